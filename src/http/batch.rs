//! Reading the body of a batch: decompression, and from its frames to events and requests.
//!
//! A usual body is read at once. A large one keeps a core busy for up to a quarter of a second, so it is read
//! on a thread of its own, a few at a time and each app only so many: meanwhile, this thread serves its other
//! connections.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::http::body::BodyError;
use crate::http::observed::Observed;
use crate::http::unpack::{Encoding, TooLarge, Unpacked, Unpacker};
use dynowarden_core::days::evidence::paths::Paths;
use dynowarden_core::days::seen::Seen;
use dynowarden_core::event::Event;
use dynowarden_core::ident::{AppId, DrainToken};
use dynowarden_core::ingest::{self, Counts, ProcessTypeFilter};
use dynowarden_core::limits;
use dynowarden_core::wire::timestamp::Times;

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
    /// Whether requests are counted by endpoint.
    pub(super) with_paths: bool,
}

/// What is in a batch.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) counts: Counts,
    pub(super) events: Vec<Event>,
    /// Platform lines, for statistics.
    pub(super) observed: Observed,
    pub(super) paths: Paths,
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
            Encoding::Identity if reading.encoding.is_read_at_once(body.len()) => {
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
        let lines = (body.bytes.len() / BYTES_PER_OBSERVED).min(OBSERVED_AHEAD_MAX);
        let (mut counts, mut observed) = (Counts::default(), Observed::with_capacity(lines));
        let (mut paths, mut times) = (Paths::default(), Times::default());
        if self.with_paths {
            paths.reserve(lines);
        }
        let body_read = &body.bytes;
        let events = ingest::read_batch_with(body_read, process_types, drain.as_ref(), &mut counts, |line| {
            if let Some((dyno, seen)) = line.seen() {
                let at = line.time(&mut times);
                let numbered = observed.add(dyno, seen, at, process_types);
                if let (true, Seen::Request(request), Some(dyno), Some(at)) =
                    (self.with_paths, seen, numbered, at)
                {
                    paths.add(dyno, &request, at);
                }
            }
        });
        if !body.whole {
            counts.bad_frame("packing");
        }
        Batch { counts, events, observed, paths }
    }
}

/// In a usual batch, every second line is the platform's. A little less than it takes, so that there is space
/// for all of them in most batches.
const BYTES_PER_OBSERVED: usize = 448;

/// Space for more is made when they come.
const OBSERVED_AHEAD_MAX: usize = 512;

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
            let requests: usize = batch.observed.requests().map(|(_, requests)| requests.count()).sum();
            assert_eq!(batch.counts.frames as usize, requests);
            assert_eq!(requests, body.iter().filter(|octet| **octet == b'\n').count());
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
