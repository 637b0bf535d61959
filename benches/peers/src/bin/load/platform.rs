//! The minimum of a Platform API for a restart: every requested dyno is up and an hour old, and a DELETE
//! gives it a new id. It answers at once and notes when a DELETE came.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::TcpListener;

use crate::client::{DRAIN_PASSWORD, drain_token};

/// The API, and the restarts requested from it.
#[derive(Clone)]
pub struct Platform {
    pub address: SocketAddr,
    /// By `app/dyno`.
    deletes: Arc<Mutex<HashMap<String, (Instant, Timestamp)>>>,
    dynos_per_app: u32,
    /// When all dynos that were not restarted came up, as text.
    first_born: Arc<str>,
    /// The list of each app, rewritten after its restarts: writing it is not part of the daemon's time.
    lists: Arc<Mutex<HashMap<String, Bytes>>>,
}

impl Platform {
    pub async fn start(dynos_per_app: u32) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let platform = Self {
            address: listener.local_addr()?,
            deletes: Arc::default(),
            dynos_per_app,
            first_born: born(Timestamp::now() - Duration::from_secs(3600)).into(),
            lists: Arc::default(),
        };
        let shared = platform.clone();
        tokio::spawn(async move {
            while let Ok((stream, _peer)) = listener.accept().await {
                let _nodelay = stream.set_nodelay(true);
                let platform = shared.clone();
                let answer = service_fn(move |request| std::future::ready(platform.answer(&request)));
                tokio::spawn(async move {
                    let _gone = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        Ok(platform)
    }

    pub fn deleted(&self, app: &str, dyno: &str) -> Option<Instant> {
        let deletes = self.deletes.lock().unwrap_or_else(PoisonError::into_inner);
        deletes.get(&format!("{app}/{dyno}")).map(|(at, _)| *at)
    }

    fn answer(&self, request: &Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let came = Instant::now();
        let mut path: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
        // The daemon knows an app by its id.
        if let Some(app) = path.get_mut(1) {
            *app = app.strip_prefix("id-of-").unwrap_or(app);
        }
        let (status, body) = match (request.method(), &path[..]) {
            (&Method::GET, ["apps", app]) => (StatusCode::OK, self.app(app).into()),
            (&Method::GET, ["apps", app, "dynos"]) => (StatusCode::OK, self.list(app)),
            (&Method::GET, ["apps", app, "dynos", dyno]) => (StatusCode::OK, self.dyno(app, dyno).into()),
            (&Method::DELETE, ["apps", app, "dynos", dyno]) => {
                self.note_delete(app, dyno, came);
                self.write_list(app);
                (StatusCode::ACCEPTED, Bytes::from_static(b"{}"))
            }
            (&Method::GET, ["apps", app, "log-drains"]) => (StatusCode::OK, drains(app).into()),
            (&Method::GET, ["apps", _, _]) => (StatusCode::OK, Bytes::from_static(b"[]")),
            (&Method::GET, ["account", "rate-limits"]) => {
                (StatusCode::OK, Bytes::from_static(br#"{"remaining":4500}"#))
            }
            _ => (StatusCode::NOT_FOUND, Bytes::from_static(br#"{"id":"not_found","message":"not here"}"#)),
        };
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status;
        Ok(response)
    }

    fn note_delete(&self, app: &str, dyno: &str, came: Instant) {
        let mut deletes = self.deletes.lock().unwrap_or_else(PoisonError::into_inner);
        deletes.entry(format!("{app}/{dyno}")).or_insert((came, Timestamp::now()));
    }

    fn list(&self, app: &str) -> Bytes {
        let written = self.lists.lock().unwrap_or_else(PoisonError::into_inner).get(app).cloned();
        written.unwrap_or_else(|| self.write_list(app))
    }

    fn write_list(&self, app: &str) -> Bytes {
        let dynos: Vec<String> =
            (1..=self.dynos_per_app).map(|index| self.dyno(app, &format!("web.{index}"))).collect();
        let list = Bytes::from(format!("[{}]", dynos.join(",")));
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).insert(app.to_owned(), list.clone());
        list
    }

    fn app(&self, app: &str) -> String {
        format!(
            r#"{{"id":"id-of-{app}","name":"{app}","maintenance":false,"generation":{{"name":"cedar"}},"space":null,"web_url":"https://{app}.herokuapp.com/"}}"#
        )
    }

    fn dyno(&self, app: &str, dyno: &str) -> String {
        let deletes = self.deletes.lock().unwrap_or_else(PoisonError::into_inner);
        let (life, born) = match deletes.get(&format!("{app}/{dyno}")) {
            Some((_, at)) => (2, born(*at)),
            None => (1, self.first_born.to_string()),
        };
        format!(
            r#"{{"id":"{app}-{dyno}-{life}","name":"{dyno}","type":"web","state":"up","size":"standard-1X","command":"serve","created_at":"{born}","updated_at":"{born}","release":{{"id":"release","version":7}},"app":{{"id":"id-of-{app}","name":"{app}"}}}}"#
        )
    }
}

/// The one drain of an app, which leads to the daemon.
fn drains(app: &str) -> String {
    let token = drain_token(app);
    format!(
        r#"[{{"id":"drain-of-{app}","token":"{token}","url":"https://drain:{DRAIN_PASSWORD}@127.0.0.1/logs/{app}","addon":null}}]"#
    )
}

fn born(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
