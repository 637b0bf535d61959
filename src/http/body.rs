//! Reading a request's body, with limits for its size, its time and its size after decompression.

use std::future::poll_fn;
use std::io::Read;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body_util::BodyExt;
use hyper::body::Body;

use dynowarden_core::limits;

/// A supported `Content-Encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Identity,
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    /// The connection broke, or the chunks are invalid.
    #[error("the body ended early")]
    Broken,
    /// It did not arrive in [`limits::BODY_READ`].
    #[error("the body did not arrive in time")]
    Slow,
    #[error("the body is over the limit")]
    TooLarge,
}

/// A decompressed body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unpacked {
    pub bytes: Bytes,
    /// False if a compressed body is cut off or corrupt.
    pub whole: bool,
}

impl Encoding {
    /// Returns `None` for an unsupported encoding.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut named = headers.get_all(CONTENT_ENCODING).iter();
        let Some(first) = named.next() else { return Some(Self::Identity) };
        if named.next().is_some() {
            return None;
        }
        match first.to_str().ok()?.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            _ => None,
        }
    }

    /// Decompresses a body.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] if the result has more than `bytes_max` bytes.
    pub(super) fn unpack(self, packed: Bytes, bytes_max: usize) -> Result<Unpacked, BodyError> {
        match self {
            Self::Identity => Ok(Unpacked { bytes: packed, whole: true }),
            Self::Gzip => gunzip(&packed, bytes_max),
        }
    }
}

/// Reads all of a body. A declared length over the limit is rejected before anything is read.
pub(super) async fn read<B>(body: B, bytes_max: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(BodyError::TooLarge);
    }
    let mut collected = pin!(collect(body, bytes_max));
    // Most bodies arrive with their heads, and need no timer.
    if let Poll::Ready(read) = poll_fn(|cx| Poll::Ready(collected.as_mut().poll(cx))).await {
        return read;
    }
    tokio::time::timeout(limits::BODY_READ, collected).await.unwrap_or(Err(BodyError::Slow))
}

async fn collect<B>(mut body: B, bytes_max: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    // The buffer grows with what arrives, because a client can declare any length for free.
    let mut first = Bytes::new();
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        if data.len() > bytes_max - first.len().max(all.len()) {
            return Err(BodyError::TooLarge);
        }
        if first.is_empty() && all.is_empty() {
            first = data;
            continue;
        }
        if all.is_empty() {
            // The declared length is trusted up to a full batch of logplex.
            let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
            all.reserve_exact(first.len() + data.len() + declared.min(limits::BODY_ROOM_BYTES));
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

fn gunzip(packed: &[u8], bytes_max: usize) -> Result<Unpacked, BodyError> {
    let mut bytes = Vec::new();
    // One byte over the limit is enough to detect a body that is too large.
    let read = MultiGzDecoder::new(packed).take(bytes_max as u64 + 1).read_to_end(&mut bytes);
    if bytes.len() > bytes_max {
        return Err(BodyError::TooLarge);
    }
    // The frames before a fault are good, and count.
    Ok(Unpacked { whole: read.is_ok() || packed.is_empty(), bytes: bytes.into() })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::io::Write;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::HeaderMap;
    use http::header::{CONTENT_ENCODING, HeaderValue};
    use http_body_util::Full;
    use hyper::body::{Body, Frame};

    use super::{BodyError, Encoding, Unpacked, read};

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("packed");
        encoder.finish().expect("packed")
    }

    #[test]
    fn only_gzip_and_identity_are_supported() {
        for (named, expect) in [
            (&[][..], Some(Encoding::Identity)),
            (&["identity"], Some(Encoding::Identity)),
            (&["gzip"], Some(Encoding::Gzip)),
            (&["GZip"], Some(Encoding::Gzip)),
            (&["deflate"], None),
            (&["br"], None),
            (&["gzip, gzip"], None),
            (&["gzip", "gzip"], None),
        ] {
            let mut headers = HeaderMap::new();
            for name in named {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(name));
            }
            assert_eq!(Encoding::of(&headers), expect, "{named:?}");
        }
    }

    #[test]
    fn decompression_stops_at_the_limit() {
        let bomb = gzip(&vec![0; 64 * 1024 * 1024]);
        assert!(bomb.len() < 100_000);
        assert_eq!(Encoding::Gzip.unpack(bomb.into(), 4096), Err(BodyError::TooLarge));
        let fits = Encoding::Gzip.unpack(gzip(&[7; 4096]).into(), 4096).expect("fits");
        assert_eq!((fits.bytes.len(), fits.whole), (4096, true));
    }

    #[test]
    fn data_before_a_fault_is_kept() {
        let text: Vec<u8> =
            (0..40_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
        let packed = gzip(&text);
        let cut = Encoding::Gzip.unpack(packed[..packed.len() / 2].to_vec().into(), 1 << 20).expect("read");
        assert!(!cut.whole && !cut.bytes.is_empty() && text.starts_with(&cut.bytes));
        let garbage = Encoding::Gzip.unpack(Bytes::from_static(b"no gzip"), 100).expect("read");
        assert_eq!(garbage, Unpacked { bytes: Bytes::new(), whole: false });
        let empty = Encoding::Gzip.unpack(Bytes::new(), 100).expect("read");
        assert_eq!(empty, Unpacked { bytes: Bytes::new(), whole: true });
        let two = Encoding::Gzip.unpack([gzip(b"a"), gzip(b"b")].concat().into(), 100).expect("read");
        assert_eq!((&two.bytes[..], two.whole), (&b"ab"[..], true));
    }

    #[tokio::test]
    async fn a_body_at_the_limit_is_read() {
        assert_eq!(read(Full::from("1234"), 4).await, Ok(Bytes::from_static(b"1234")));
        assert_eq!(read(Full::from("12345"), 4).await, Err(BodyError::TooLarge));
        assert_eq!(read(Full::from(""), 0).await, Ok(Bytes::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_times_out() {
        let body = Pieces { left: VecDeque::from(["a"]), ends: false };
        assert_eq!(read(body, 4).await, Err(BodyError::Slow));
    }

    #[tokio::test]
    async fn the_limit_counts_all_pieces() {
        for (bytes_max, expect) in [(6, Ok(Bytes::from_static(b"abcdef"))), (5, Err(BodyError::TooLarge))] {
            let body = Pieces { left: VecDeque::from(["ab", "cd", "ef"]), ends: true };
            assert_eq!(read(body, bytes_max).await, expect);
        }
    }

    /// A body of unknown length that arrives in pieces, and then ends or stalls.
    struct Pieces {
        left: VecDeque<&'static str>,
        ends: bool,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.left.pop_front() {
                Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece.into())))),
                None if self.ends => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }
}
