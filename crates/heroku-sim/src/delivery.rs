//! Logplex on real sockets: posts batches to the drains with the headers and time limits of heroku.md §1.1
//! and §1.6, over persistent connections.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, TRANSFER_ENCODING, USER_AGENT};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use crate::sender::{Outcome, Post, SenderId};
use crate::state::Shared;
use crate::target::Target;

/// Advances the world and sends what is due, until the simulation is shut down.
pub(super) async fn drive(shared: Arc<Shared>) {
    let connections = Arc::new(Connections::default());
    loop {
        let (posts, next_at) = shared.step();
        for post in posts {
            let (shared, connections) = (Arc::clone(&shared), Arc::clone(&connections));
            let stop = shared.stop.clone();
            shared.tasks.clone().spawn(stop.run_until_cancelled_owned(async move {
                let outcome = connections.send(&post, &shared.tasks).await;
                shared.delivered(&post, outcome);
            }));
        }
        let pause = next_at.map_or(IDLE_PAUSE, |at| shared.clock.real_time_until(at).min(IDLE_PAUSE));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.wake.notified() => {}
            () = shared.stop.cancelled() => return,
        }
    }
}

/// The kept connection of each sender.
#[derive(Default)]
struct Connections(Mutex<BTreeMap<SenderId, SendRequest<Full<Bytes>>>>);

impl Connections {
    async fn send(&self, post: &Post, tasks: &TaskTracker) -> Outcome {
        let Some(request) = request(post) else { return Outcome::Unconnected };
        let Some(target) = Target::parse(&post.url) else { return Outcome::Unconnected };
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&post.lane);
        let sender = match kept.filter(|sender| !sender.is_closed()) {
            Some(sender) => Some(sender),
            None => connect(&target.address, tasks).await,
        };
        let Some(mut sender) = sender else { return Outcome::Unconnected };
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, async {
            let response = sender.ready().await.and(Ok(sender.send_request(request))).ok()?.await.ok()?;
            read(response).await
        });
        let Ok(Some(status)) = answer.await else { return Outcome::Failed };
        // After a temporary failure logplex opens a new connection.
        if !post.closes && matches!(status, 200..=299 | 400..=428 | 430..=499) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(post.lane.clone(), sender);
        }
        Outcome::Status(status)
    }
}

/// Opens a connection; its driver ends when the sender is dropped.
pub(super) async fn connect(address: &str, tasks: &TaskTracker) -> Option<SendRequest<Full<Bytes>>> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await.ok()?.ok()?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tasks.spawn(async move {
        // The sender sees every failure itself.
        let _ended = connection.await;
    });
    Some(sender)
}

/// The status of a response that logplex can read: it does not support chunked bodies.
async fn read(response: Response<Incoming>) -> Option<u16> {
    if response.headers().contains_key(TRANSFER_ENCODING) {
        return None;
    }
    let status = response.status().as_u16();
    response.into_body().collect().await.ok()?;
    Some(status)
}

fn request(post: &Post) -> Option<Request<Full<Bytes>>> {
    let target = Target::parse(&post.url)?;
    let mut builder = Request::builder()
        .method(Method::POST)
        .uri(target.path)
        .header(HOST, target.host)
        .header(CONTENT_TYPE, "application/logplex-1")
        .header("Logplex-Msg-Count", post.count);
    if let Some(authorization) = target.authorization {
        builder = builder.header(AUTHORIZATION, authorization);
    }
    if let Some(frame_id) = &post.frame_id {
        builder = builder.header("Logplex-Frame-Id", frame_id);
    }
    if let Some(token) = &post.token {
        builder = builder.header("Logplex-Drain-Token", token.as_str());
    }
    builder = match post.closes {
        true => builder.header(USER_AGENT, "excon/0.76.0").header(CONNECTION, "close"),
        false => builder.header(USER_AGENT, "Logplex/v128"),
    };
    builder.body(Full::new(post.body.clone())).ok()
}

/// heroku.md §1.6.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// When idle: how soon the clock is checked again, in case it jumped.
const IDLE_PAUSE: Duration = Duration::from_secs(1);
