//! Reading a request's body, with limits for its size and its time.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;

use crate::http::body_budget::{BodyRoom, NoRoom};
use crate::http::connection_state::ConnectionState;
use dynowarden_core::limits;

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    /// The connection broke, or the chunks are invalid.
    #[error("the body ended early")]
    Broken,
    /// Too many large bodies are being read, or this one took too long.
    #[error("overloaded")]
    NoTurn,
    /// Too many bytes of bodies are in flight.
    #[error("overloaded")]
    NoRoom,
    /// It did not arrive in [`limits::BODY_READ`].
    #[error("the body did not arrive in time")]
    Slow,
    #[error("the body is over the limit")]
    TooLarge,
}

impl From<NoRoom> for BodyError {
    fn from(NoRoom: NoRoom) -> Self {
        Self::NoRoom
    }
}

/// Reads all of a body into its room. A declared length over the limit is rejected before anything is read.
pub(super) async fn read<B>(body: B, bytes_max: usize, room: &mut BodyRoom<'_>) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(BodyError::TooLarge);
    }
    let mut collected = pin!(collect(body, bytes_max, room));
    // Most bodies arrive with their heads, and need no timer.
    if let Poll::Ready(read) = poll_fn(|cx| Poll::Ready(collected.as_mut().poll(cx))).await {
        return read;
    }
    tokio::time::timeout(limits::BODY_READ, collected).await.unwrap_or(Err(BodyError::Slow))
}

async fn collect<B>(mut body: B, bytes_max: usize, room: &mut BodyRoom<'_>) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let moving = Moving::new(room.connection());
    // The buffer grows with what arrives, because a client can declare any length for free.
    let mut first = Bytes::new();
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        moving.connection.body_moves();
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        if data.len() > bytes_max - first.len().max(all.len()) {
            return Err(BodyError::TooLarge);
        }
        if first.is_empty() && all.is_empty() {
            if body.is_end_stream() && data.len() <= limits::BODY_ROOM_BYTES {
                // It came with its head: the caller takes room if it keeps it.
                return Ok(data);
            }
            room.grow_to(data.len())?;
            first = data;
            continue;
        }
        let so_far = first.len().max(all.len());
        let needed = so_far + data.len();
        if needed > all.capacity() {
            // The declared length is trusted up to a full batch of logplex.
            let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
            let ahead = declared.min(limits::BODY_ROOM_BYTES.max(so_far));
            room.grow_to(needed + ahead)?;
            all.reserve_exact(needed + ahead - all.len());
        }
        all.extend_from_slice(&std::mem::take(&mut first));
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

/// While it is there, the connection counts as one that reads a body.
struct Moving {
    connection: Arc<ConnectionState>,
}

impl Moving {
    fn new(connection: Arc<ConnectionState>) -> Self {
        connection.body_moves();
        Self { connection }
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        self.connection.body_ended();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::body::{Body, Frame};

    use super::BodyError;
    use crate::http::body_budget::BodyBudget;
    use crate::http::connection_state::ConnectionState;
    use dynowarden_core::ident::AppId;

    async fn read(body: impl Body<Data = Bytes> + Unpin, bytes_max: usize) -> Result<Bytes, BodyError> {
        let budget = BodyBudget::new(bytes_max);
        let mut room = budget.room(Some(AppId(0)), Arc::new(ConnectionState::new()));
        super::read(body, bytes_max, &mut room).await
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
