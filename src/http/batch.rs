//! Reading the body of a batch: decompression, and from its frames to events and requests.
//!
//! A usual body is read at once. A large one keeps a core busy for up to a quarter of a second, so it is read
//! on a thread of its own, a few at a time and each app only so many: meanwhile, this thread serves its other
//! connections.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::http::body::BodyError;
use crate::http::unpack::{Encoding, TooLarge, Unpacked, Unpacker};
use dynowarden_core::codes::Code;
use dynowarden_core::days::evidence::paths::Paths;
use dynowarden_core::days::seen::{self, Seen};
use dynowarden_core::detect::request::Request;
use dynowarden_core::event::Event;
use dynowarden_core::ident::{AppId, DrainToken, DynoName, DynoRef};
use dynowarden_core::ingest::{self, Counts, ProcessTypeFilter};
use dynowarden_core::limits;

/// Reads bodies.
#[derive(Debug)]
pub(super) struct BatchReader {
    bytes_max: usize,
    places: Arc<Semaphore>,
    places_of_apps: Vec<Arc<Semaphore>>,
}

/// How a batch is read.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) app: AppId,
    pub(super) drain: Option<DrainToken>,
    pub(super) encoding: Encoding,
    pub(super) process_types: Arc<ProcessTypeFilter>,
    /// Whether anybody asks for statistics of requests.
    pub(super) with_requests: bool,
    /// Whether requests are counted by endpoint.
    pub(super) with_paths: bool,
}

/// What is in a batch.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) counts: Counts,
    pub(super) events: Vec<Event>,
    /// Platform lines for the statistics over days.
    pub(super) observed: Vec<Observed>,
    pub(super) requests: Vec<DynoRequest>,
    pub(super) paths: Paths,
}

/// A platform line about a dyno, or about the app, without its text.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) dyno: Option<DynoName>,
    /// A request in it names no dyno: that is beside it.
    pub(super) seen: Seen<'static>,
    /// The time in the line.
    pub(super) at: Timestamp,
}

/// A request, without its line.
#[derive(Debug)]
pub(super) struct DynoRequest {
    pub(super) dyno: DynoName,
    code: Option<Code>,
    service_ms: Option<u32>,
    status: Option<u16>,
}

impl BatchReader {
    /// A reader for this number of apps, and bodies of at most `bytes_max` bytes.
    pub(super) fn new(apps: usize, bytes_max: usize) -> Self {
        let place = || Arc::new(Semaphore::new(limits::LARGE_BODIES_OF_APP_AT_ONCE));
        Self {
            bytes_max,
            places: Arc::new(Semaphore::new(limits::LARGE_BODIES_AT_ONCE)),
            places_of_apps: (0..apps).map(|_| place()).collect(),
        }
    }

    /// Reads a body.
    ///
    /// # Errors
    /// It is too large, too many others are being read, or it takes too long.
    pub(super) async fn read(&self, reading: &Reading, body: Bytes) -> Result<Batch, BodyError> {
        match reading.encoding {
            Encoding::Identity if body.len() <= limits::UNPACK_AT_ONCE_BYTES => {
                Ok(reading.read(&Unpacked { bytes: body, whole: true }))
            }
            Encoding::Identity => {
                let batch = Unpacked { bytes: body, whole: true };
                self.elsewhere(reading, move |reading| Ok(reading.read(&batch))).await
            }
            Encoding::Gzip => {
                let mut unpacker = Unpacker::new(body, self.bytes_max);
                while unpacker.work() <= limits::UNPACK_AT_ONCE_BYTES {
                    if unpacker.step()? {
                        return Ok(reading.read(&unpacker.finish()));
                    }
                }
                self.elsewhere(reading, move |reading| Ok(reading.read(&unpack(unpacker)?))).await
            }
        }
    }

    /// Runs `work` on another thread, when there is a place. It keeps its place even if the client leaves.
    async fn elsewhere(
        &self,
        reading: &Reading,
        work: impl FnOnce(Reading) -> Result<Batch, BodyError> + Send + 'static,
    ) -> Result<Batch, BodyError> {
        let taken = tokio::time::timeout(limits::LARGE_BODY_WAIT, self.place(reading.app)).await;
        let Ok(Some(place)) = taken else { return Err(BodyError::NoTurn) };
        let reading = reading.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work(reading)
        });
        // It ends early only if it panics, or with the runtime.
        done.await.unwrap_or(Err(BodyError::NoTurn))
    }

    /// A place among those of the app, and then one among all, so that an app waits for its own bodies first.
    async fn place(&self, app: AppId) -> Option<[OwnedSemaphorePermit; 2]> {
        let of_app = self.places_of_apps.get(app.0 as usize)?.clone().acquire_owned().await.ok()?;
        Some([of_app, self.places.clone().acquire_owned().await.ok()?])
    }
}

/// Decompresses the rest of a large body.
fn unpack(mut unpacker: Unpacker) -> Result<Unpacked, BodyError> {
    let began = Instant::now();
    while !unpacker.step()? {
        if began.elapsed() > limits::UNPACK_TIME {
            return Err(BodyError::NoTurn);
        }
    }
    Ok(unpacker.finish())
}

impl Reading {
    fn read(&self, body: &Unpacked) -> Batch {
        let Self { drain, process_types, .. } = self;
        let mut batch = Batch::default();
        let Batch { counts, events, observed, requests, paths } = &mut batch;
        *events = ingest::read_batch_with(&body.bytes, process_types, drain.as_ref(), counts, |line| {
            let Some((dyno, seen)) = seen::read(&line) else { return };
            let dyno = match dyno.map(|dyno| process_types.listed(dyno).or_else(|| unlisted(dyno))) {
                Some(None) => return,
                Some(name) => name,
                None => None,
            };
            if let (Seen::Request(request), Some(name), true) = (seen, &dyno, self.with_requests)
                && process_types.process_types.contains(name.process_type())
            {
                let Request { code, service_ms, status, .. } = request;
                requests.push(DynoRequest { dyno: name.clone(), code, service_ms, status });
            }
            if let Ok(at) = line.time() {
                if let (Seen::Request(request), Some(name), true) = (seen, &dyno, self.with_paths) {
                    paths.add(name, &request, at);
                }
                observed.push(Observed { dyno, seen: without_dyno(seen), at });
            }
        });
        if !body.whole {
            counts.bad_frame("packing");
        }
        batch
    }
}

/// The name of a dyno of another process type, whose text is not shared.
fn unlisted(dyno: DynoRef<'_>) -> Option<DynoName> {
    Some(DynoName::new(dyno.process_type.parse().ok()?, dyno.index))
}

/// The same without what borrows from the batch.
fn without_dyno(seen: Seen<'_>) -> Seen<'static> {
    let nameless = DynoRef { process_type: "", index: 0 };
    match seen {
        Seen::Request(Request { status, service_ms, code, .. }) => {
            Seen::Request(Request { dyno: nameless, method: b"", path: b"", status, service_ms, code })
        }
        Seen::Error(code) => Seen::Error(code),
        Seen::Heard => Seen::Heard,
        Seen::Memory { used, permille } => Seen::Memory { used, permille },
        Seen::Release(version) => Seen::Release(version),
        Seen::Sample { instance, total, quota } => Seen::Sample { instance, total, quota },
        Seen::Sign(sign) => Seen::Sign(sign),
    }
}

impl DynoRequest {
    pub(super) fn request(&self) -> Request<'_> {
        let dyno = DynoRef { process_type: self.dyno.process_type().as_str(), index: self.dyno.index() };
        let Self { code, service_ms, status, .. } = *self;
        Request { dyno, method: b"", path: b"", status, service_ms, code }
    }
}

impl From<TooLarge> for BodyError {
    fn from(TooLarge: TooLarge) -> Self {
        Self::TooLarge
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;

    use super::{BatchReader, BodyError, Encoding, Reading};
    use dynowarden_core::ident::AppId;
    use dynowarden_core::ingest::ProcessTypeFilter;
    use dynowarden_core::limits;

    fn reading(app: u32) -> Reading {
        let process_types = vec!["web".parse().expect("a type")];
        Reading {
            app: AppId(app),
            drain: None,
            encoding: Encoding::Identity,
            process_types: Arc::new(ProcessTypeFilter { process_types }),
            with_requests: true,
            with_paths: true,
        }
    }

    fn body(length: usize) -> Bytes {
        let line =
            "<158>1 2026-01-02T03:04:05Z host heroku router - at=info dyno=web.1 service=7ms status=200\n";
        format!("{} {line}", line.len()).repeat(length.div_ceil(line.len())).into()
    }

    #[tokio::test]
    async fn small_and_large_bodies_are_read_alike() {
        let reader = BatchReader::new(1, usize::MAX);
        for length in [1, limits::UNPACK_AT_ONCE_BYTES * 2] {
            let body = body(length);
            let batch = reader.read(&reading(0), body.clone()).await.expect("read");
            assert_eq!(batch.counts.frames as usize, batch.requests.len());
            assert_eq!(batch.requests.len(), body.iter().filter(|octet| **octet == b'\n').count());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_app_waits_only_for_its_own_large_bodies() {
        let reader = BatchReader::new(2, usize::MAX);
        let large = body(limits::UNPACK_AT_ONCE_BYTES * 2);
        let busy = reader.place(AppId(0)).await.expect("a place");
        assert_eq!(reader.read(&reading(0), large.clone()).await.err(), Some(BodyError::NoTurn));
        let other = reader.place(AppId(1)).await.expect("a place of its own");
        drop(other);
        assert!(reader.read(&reading(0), body(1)).await.is_ok(), "a small body needs no turn");
        let of_app = reading(0);
        let (read, ()) = tokio::join!(reader.read(&of_app, large), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(busy);
        });
        assert!(read.is_ok());
    }
}
