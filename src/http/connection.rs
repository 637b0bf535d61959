//! One connection: HTTP/1.1 on it, and the deadline that each of its phases has.
//!
//! hyper has one time-out for "the next head", which it also applies to an idle connection. We need two:
//! a half-open request must be gone within seconds, an idle keep-alive connection must outlast Heroku's
//! router. So hyper's is off, and a [`ConnectionState`] beside the connection knows which phase it is in.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
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
use crate::http::reply::{self, ReplyBody};
use crate::metrics::Refusal;
use dynowarden_core::limits;

/// Serves one connection until it ends, is evicted or overstays, or the program shuts down.
pub async fn serve<IO>(
    (io, peer): (IO, IpAddr),
    service: Arc<Service>,
    pulse: Arc<ConnectionState>,
    shutdown: CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(Watched { framing: Framing::default(), io, pulse: pulse.clone() });
    let handler = {
        let (service, pulse) = (service.clone(), pulse.clone());
        service_fn(move |request| answer(service.clone(), pulse.clone(), peer, request))
    };
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_headers(limits::HEADERS_MAX)
        .max_header_size(limits::HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(io, handler);

    let mut deadline = pin!(tokio::time::sleep_until(pulse.deadline()));
    let mut evicted = pin!(pulse.evicted.cancelled());
    let mut stopping = pin!(shutdown.cancelled());
    let mut last_call = None;
    let end = std::future::poll_fn(|cx| {
        pulse.look_at_clock();
        if last_call.is_none() && stopping.as_mut().poll(cx).is_ready() {
            // Idle connections close by this; one with half a head gets a moment for the rest.
            Pin::new(&mut connection).graceful_shutdown();
            let grace = if pulse.phase().0 == Phase::Busy { limits::HTTP_GRACE } else { HEAD_GRACE };
            last_call = Some(Instant::now() + grace);
        }
        if let Poll::Ready(closed) = connection.poll_without_shutdown(cx) {
            return Poll::Ready(End::Closed(closed.err().and_then(|error| fault_of_head(&error))));
        }
        if evicted.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::Evicted);
        }
        let due = last_call.map_or(pulse.deadline(), |call| call.min(pulse.deadline()));
        overdue(deadline.as_mut(), due, cx).map(|()| End::Overdue)
    })
    .await;
    if let End::Closed(Some(fault)) = end {
        service.metrics.refused(fault);
    }
    match end {
        // Nothing keeps a stopping program waiting that has no answer to wait for.
        End::Closed(_) if last_call.is_some() => {}
        End::Closed(_) => linger(connection.into_parts().io.into_inner(), &pulse).await,
        End::Evicted => service.metrics.refused(Refusal::Evicted),
        End::Overdue if pulse.phase().0 == Phase::Head => service.metrics.refused(Refusal::HeadSlow),
        End::Overdue => {}
    }
}

/// hyper's read buffer grows to this; a pipelining peer can hold no more of our memory. A full batch fits
/// in with its head, so that a busy daemon finds all of it in one piece and has nothing to put together.
const BUFFER_BYTES_MAX: usize = limits::BODY_ROOM_BYTES;

/// For how long the rest of a head is waited for at shutdown.
const HEAD_GRACE: Duration = Duration::from_secs(1);

enum End {
    /// By the client, or behind an answer; perhaps because of a head that could not be read.
    Closed(Option<Refusal>),
    Evicted,
    Overdue,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<ReplyBody>, std::convert::Infallible>> + Send>>;

fn answer(
    service: Arc<Service>,
    pulse: Arc<ConnectionState>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Answer {
    pulse.enter(Phase::Busy);
    let in_flight = InFlight { pulse };
    let (parts, body) = request.into_parts();
    let head = Head { parts, peer };
    // Of unknown length is a body that comes in chunks; see `framing`.
    let is_last = body.size_hint().exact().is_none();
    Box::pin(async move {
        let mut response = service.answer(&head, body).await;
        if reply::is_delayed(&response) {
            in_flight.pulse.enter(Phase::Delayed);
            tokio::time::sleep(limits::WRONG_PASSWORD_HOLD).await;
        }
        if is_last {
            response = reply::closing(response);
        }
        response.body_mut().hold(in_flight);
        Ok(response)
    })
}

/// What a head was refused for by hyper, which has answered 400 or 431.
fn fault_of_head(error: &hyper::Error) -> Option<Refusal> {
    if error.is_parse_too_large() {
        Some(Refusal::HeadTooLarge)
    } else {
        error.is_parse().then_some(Refusal::HeadBroken)
    }
}

/// Ready once `due` has passed; `due` may move between polls.
///
/// Every request moves it, nearly always to a later time. Then the sleep is left to end too early and is
/// prolonged at that moment: setting it again each time would go through the runtime's timers, and their
/// lock, twice for a request.
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

/// Closes our side and throws away what the client still sends: closing with unread bytes would reset the
/// connection, and the client might never see the answer.
async fn linger<IO>(mut io: Watched<IO>, pulse: &ConnectionState)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    pulse.enter(Phase::Head);
    let discard = async {
        io.shutdown().await?;
        tokio::io::copy(&mut io, &mut tokio::io::sink()).await
    };
    tokio::select! {
        _ = tokio::time::timeout(limits::LINGER, discard) => {}
        () = pulse.evicted.cancelled() => {}
    }
}

// === impl Pulse ===

/// The socket, watched for the first byte of a request, for requests without one clear end, and for a peer
/// that takes nothing.
struct Watched<IO> {
    framing: Framing,
    io: IO,
    pulse: Arc<ConnectionState>,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if buffer.filled().len() == before {
            return read;
        }
        if self.pulse.phase().0 == Phase::Idle {
            self.pulse.enter(Phase::Head);
        }
        if let Err(passed) = self.framing.follow(&buffer.filled()[before..]) {
            // No head can hold this octet, so hyper answers 400 and closes. It takes the place of a line.
            buffer.set_filled(before + passed);
            buffer.put_slice(b"\0");
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.pulse.wrote(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS keeps what the socket does not take, and says so here only.
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.pulse.wrote(&flushed);
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
        self.pulse.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
