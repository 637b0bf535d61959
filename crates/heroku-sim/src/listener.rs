//! The Platform API on a real socket: carries out the decisions of `platform`, broken connections included.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

use crate::platform::Reply;
use crate::state::Shared;
use dynowarden_core::limits;

/// Accepts connections until the simulation is shut down.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                shared.tasks.spawn(serve(stream, Arc::clone(&shared)));
            }
            // Probably out of descriptors: a short pause lets some connections end.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // A broken connection leaves no peer to answer.
        _ = connection => {}
        () = stop.cancelled() => {}
    }
}

/// Ends the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the simulated connection breaks")]
struct Broken;

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<PacedBody>, Broken> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, limits::SIM_BODY_BYTES_MAX).collect().await else {
        let mut response = Response::new(PacedBody::new(Bytes::new(), Duration::ZERO));
        *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return Ok(response);
    };
    match shared.answer(&Request::from_parts(head, body.to_bytes())) {
        Reply::Answer { over, response } => Ok(response.map(|body| PacedBody::new(body, over))),
        Reply::Break => Err(Broken),
        Reply::Silence => std::future::pending().await,
    }
}

/// A body that arrives in pieces over a time.
struct PacedBody {
    pause: Duration,
    piece_bytes: usize,
    rest: Bytes,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl PacedBody {
    fn new(body: Bytes, over: Duration) -> Self {
        let pieces = if over.is_zero() { 1 } else { PIECES };
        let piece_bytes = body.len().div_ceil(pieces).max(1);
        Self { pause: over / PIECES as u32, piece_bytes, rest: body, sleep: None }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        if !self.pause.is_zero() {
            let pause = self.pause;
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            std::task::ready!(sleep.as_mut().poll(context));
            self.sleep = None;
        }
        let end = self.piece_bytes.min(self.rest.len());
        let piece = self.rest.split_to(end);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// Pieces of a slow body.
const PIECES: usize = 20;

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
