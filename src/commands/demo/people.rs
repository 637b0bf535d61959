//! The people of the demo: a receiver for the daemon's own webhook, on a real socket.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use dynowarden_core::limits;

pub(super) struct Letter {
    pub(super) at: Timestamp,
    pub(super) app: String,
    /// Empty if it is about several dynos, or none.
    pub(super) dyno: String,
    pub(super) title: String,
    /// Each restarted dyno, with its figures before and after.
    pub(super) proofs: Vec<(String, String)>,
}

/// Accepts posts on `listener` until the demo ends.
pub(super) async fn receive(listener: TcpListener, letters: mpsc::Sender<Letter>) {
    loop {
        // Only our own daemon knows the address, and it retries a failed connection.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let letters = letters.clone();
        let service = service_fn(move |request| take(request, letters.clone()));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn take(
    request: Request<Incoming>,
    letters: mpsc::Sender<Letter>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let body = Limited::new(request.into_body(), limits::SIM_BODY_BYTES_MAX).collect().await;
    let letter = body.ok().and_then(|body| letter(&serde_json::from_slice(&body.to_bytes()).ok()?));
    let mut response = Response::new(Empty::new());
    match letter {
        // A full queue means that the output is no longer read.
        Some(letter) => drop(letters.try_send(letter)),
        None => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    Ok(response)
}

/// Reads the format of docs/webhook.md.
fn letter(body: &Value) -> Option<Letter> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let dynos = body["dynos"].as_array()?;
    let proofs = dynos.iter().filter_map(|dyno| Some((text(dyno, "name"), proof(&dyno["proof"])?)));
    Some(Letter {
        at: body["at"].as_str()?.parse().ok()?,
        app: text(body, "app"),
        dyno: if dynos.len() == 1 { text(body, "dyno") } else { String::new() },
        title: text(body, "title"),
        proofs: proofs.collect(),
    })
}

/// `memory 514 MB -> 345 MB, H12 1.2% -> 0.0%, p95 2.1s -> 0.2s`; none without comparable figures.
fn proof(proof: &Value) -> Option<String> {
    let (before, after) = (&proof["before"], &proof["after"]);
    let share = |figures: &Value, key: &str| {
        let requests = figures["requests"].as_f64().filter(|requests| *requests > 0.0)?;
        Some(format!("{:.1}%", figures[key].as_f64()? * 100.0 / requests))
    };
    let memory = |figures: &Value| Some(format!("{:.0} MB", figures["memory"]["used_mb"].as_f64()?));
    let p95 = |figures: &Value| Some(format!("{:.1}s", figures["service_p95_ms"].as_f64()? / 1000.0));
    let pairs = [
        ("memory", memory(before), memory(after)),
        ("5xx", share(before, "errors_5xx"), share(after, "errors_5xx")),
        ("H12", share(before, "timeouts_h12"), share(after, "timeouts_h12")),
        ("p95", p95(before), p95(after)),
    ];
    let pairs: Vec<String> = pairs
        .into_iter()
        .filter_map(|(what, before, after)| Some(format!("{what} {} -> {}", before?, after?)))
        .collect();
    (!pairs.is_empty()).then(|| pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::letter;

    #[test]
    fn the_documented_example_is_read() {
        let manual = include_str!("../../../docs/webhook.md");
        let example = manual.rsplit("```json").next().and_then(|text| text.split("```").next());
        let body: Value = serde_json::from_str(example.expect("an example")).expect("JSON");
        let letter = letter(&body).expect("a message");
        assert_eq!((&*letter.app, &*letter.dyno), ("acme", "web.1"));
        assert_eq!(letter.title, "acme web.1: back after 12s, and it helped");
        let proof = "memory 646 MB -> 210 MB, 5xx 4.2% -> 0.2%, H12 1.2% -> 0.0%, p95 4.3s -> 0.2s";
        assert_eq!(letter.proofs, [("web.1".to_owned(), proof.to_owned())]);
    }
}
