//! One connection: HTTP/1.1, and a deadline for each of its phases.
//!
//! hyper has one time-out for the next head, which it also applies to an idle connection. We need two: a
//! half-open request must end within seconds, but an idle keep-alive connection must outlast Heroku's router.
//! So hyper's is off, and a [`ConnectionState`] alongside the connection tracks its phase.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::HOST;
use http::{Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use crate::http::Service;
use crate::http::client_addr::Head;
use crate::http::connection_state::{ConnectionState, InFlight, Phase};
use crate::http::framing::Framing;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, ReplyBody};
use dynowarden_core::limits;

/// Serves one connection until it ends, is evicted, misses a deadline, or the daemon shuts down.
pub async fn serve<IO>(
    (io, peer): (IO, IpAddr),
    service: Arc<Service>,
    state: Arc<ConnectionState>,
    shutdown: CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(Watched { framing: Framing::default(), io, state: state.clone() });
    let handler = {
        let (service, state) = (service.clone(), state.clone());
        service_fn(move |request| answer(service.clone(), state.clone(), peer, request))
    };
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_headers(limits::HEADERS_MAX)
        .max_header_size(limits::HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(io, handler);

    let mut deadline = pin!(tokio::time::sleep_until(state.deadline()));
    let mut evicted = pin!(state.evicted.cancelled());
    let mut stopping = pin!(shutdown.cancelled());
    let mut last_call = None;
    let end = std::future::poll_fn(|cx| {
        state.read_clock();
        if last_call.is_none() && stopping.as_mut().poll(cx).is_ready() {
            // This closes an idle connection; one with half a head has a moment for the rest.
            Pin::new(&mut connection).graceful_shutdown();
            let grace = if state.phase().0 == Phase::Busy { limits::HTTP_GRACE } else { HEAD_GRACE };
            last_call = Some(Instant::now() + grace);
        }
        if let Poll::Ready(closed) = connection.poll_without_shutdown(cx) {
            return Poll::Ready(End::Closed(closed.err().and_then(|error| head_refusal(&error))));
        }
        if evicted.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::Evicted);
        }
        let due = last_call.map_or(state.deadline(), |call| call.min(state.deadline()));
        overdue(deadline.as_mut(), due, cx).map(|()| End::Overdue)
    })
    .await;
    if let End::Closed(Some(fault)) = end {
        service.metrics.refused(fault);
    }
    match end {
        // At shutdown there is no answer to wait for.
        End::Closed(_) if last_call.is_some() => {}
        End::Closed(_) => linger(connection.into_parts().io.into_inner(), &state).await,
        End::Evicted => service.metrics.refused(Refusal::Evicted),
        End::Overdue if state.phase().0 == Phase::Head => service.metrics.refused(Refusal::HeadSlow),
        End::Overdue => {}
    }
}

/// hyper's read buffer grows to this, so a pipelining client cannot use more of our memory. A full batch fits
/// with its head, so a busy daemon reads it in one piece.
const BUFFER_BYTES_MAX: usize = limits::BODY_ROOM_BYTES;

/// How long the rest of a head may take at shutdown.
const HEAD_GRACE: Duration = Duration::from_secs(1);

enum End {
    /// By the client or after a response, perhaps because of an invalid head.
    Closed(Option<Refusal>),
    Evicted,
    Overdue,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<ReplyBody>, std::convert::Infallible>> + Send>>;

fn answer(
    service: Arc<Service>,
    state: Arc<ConnectionState>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Answer {
    state.enter(Phase::Busy);
    let (parts, body) = request.into_parts();
    let head = Head { connection: state.clone(), parts, peer };
    if !state.is_known() && service.proxies.direct_client(peer).is_none() {
        service.places.forwarded(&state, service.proxies.client_addr(&head));
    }
    let in_flight = InFlight { state };
    // Only a chunked body has no known length; see `framing`.
    let is_last = body.size_hint().exact().is_none();
    Box::pin(async move {
        let has_host = head.version != Version::HTTP_11 || head.headers.contains_key(HOST);
        let mut response = if has_host { service.answer(&head, body).await } else { reply::no_host() };
        if reply::is_delayed(&response) {
            in_flight.state.enter(Phase::Delayed);
            tokio::time::sleep(limits::WRONG_PASSWORD_HOLD).await;
        }
        // A stranger has no claim to a connection: it would hold a place and buffers.
        let is_rejected = !in_flight.state.is_known() && response.status() != StatusCode::OK;
        if is_last || is_rejected {
            response = reply::closing(response);
        }
        response.body_mut().hold(in_flight);
        Ok(response)
    })
}

/// Why hyper rejected a head; it has answered 400 or 431.
fn head_refusal(error: &hyper::Error) -> Option<Refusal> {
    if error.is_parse_too_large() {
        Some(Refusal::HeadTooLarge)
    } else {
        error.is_parse().then_some(Refusal::HeadBroken)
    }
}

/// Ready once `due` has passed; `due` may move between polls.
///
/// Every request moves it, nearly always to a later time. Then the sleep ends too early and is extended at
/// that moment. Resetting it each time would lock the runtime's timers twice for a request.
fn overdue(mut sleep: Pin<&mut Sleep>, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
    if due < sleep.deadline() {
        sleep.as_mut().reset(due);
    }
    while sleep.as_mut().poll(cx).is_ready() {
        if due <= sleep.deadline() {
            return Poll::Ready(());
        }
        sleep.as_mut().reset(due);
    }
    Poll::Pending
}

/// Closes our side and discards what the client still sends. Closing with unread bytes would reset the
/// connection, and the client might never see the response.
async fn linger<IO>(mut io: Watched<IO>, state: &ConnectionState)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    state.enter(Phase::Head);
    let discard = async {
        io.shutdown().await?;
        tokio::io::copy(&mut io, &mut tokio::io::sink()).await
    };
    tokio::select! {
        _ = tokio::time::timeout(limits::LINGER, discard) => {}
        () = state.evicted.cancelled() => {}
    }
}

// === Watched ===

/// The socket, watched for the first byte of a request, for ambiguous requests, and for a client that does
/// not read.
struct Watched<IO> {
    framing: Framing,
    io: IO,
    state: Arc<ConnectionState>,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.state.is_stalled() {
            // The client does not read its responses. When it does, or is closed for it, this task is woken.
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = if self.state.is_known() {
            Pin::new(&mut self.io).poll_read(cx, buffer)
        } else {
            poll_read_little(Pin::new(&mut self.io), cx, buffer)
        };
        if buffer.filled().len() == before {
            return read;
        }
        if self.state.phase().0 == Phase::Idle {
            self.state.enter(Phase::Head);
        }
        if let Err(passed) = self.framing.read(&buffer.filled()[before..]) {
            // This octet is invalid in a head, so hyper answers 400 and closes.
            buffer.set_filled(before + passed);
            buffer.put_slice(b"\0");
        }
        read
    }
}

/// Reads a stranger's head in small parts, so that hyper's buffer stays small.
fn poll_read_little<IO: AsyncRead>(
    io: Pin<&mut IO>,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let mut little = [0; limits::STRANGER_READ_BYTES];
    let length = little.len().min(buffer.remaining());
    let mut part = ReadBuf::new(&mut little[..length]);
    let read = io.poll_read(cx, &mut part);
    buffer.put_slice(part.filled());
    read
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.state.wrote(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS buffers what the socket does not accept, and reports that only here.
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.state.wrote(&flushed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.state.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
