//! The requests of `check` to `public_url`: the same that logplex and a load balancer would send.

use std::error::Error;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Response};
use secrecy::ExposeSecret as _;

use crate::config::settings::Settings;
use crate::http_client::{self, no_answer, one_line};
use dynowarden_core::drain_url::PublicUrl;
use dynowarden_core::health::reached::{Reply, Unreached, WayIn};
use dynowarden_core::ident::AppName;
use dynowarden_core::limits;

/// Asks what answers at `public_url`; none if no client can be made.
pub(super) async fn ask(settings: &Settings, public_url: &PublicUrl) -> Option<WayIn> {
    let url = public_url.of_path("/readyz");
    let client = http_client::builder(&url, limits::WAY_IN_TIMEOUT).build().ok()?;
    let ready = match client.get(&url).send().await {
        Ok(response) => Ok(reply(response).await),
        Err(error) => Err(unreached(error)),
    };
    let mut way_in = WayIn { ready, batches: Vec::new(), last_batches: Vec::new() };
    if way_in.ready.is_err() {
        return Some(way_in);
    }
    // Before the batches below, which the daemon counts as well.
    way_in.last_batches = last_batches(settings, &client, public_url).await.unwrap_or_default();
    for app in &settings.apps {
        let (Some(password), Some(url)) = (&app.drain_password, public_url.of_app(&app.plan.name)) else {
            continue;
        };
        let request = client
            .post(url)
            .basic_auth("drain", Some(password.expose_secret()))
            .header(CONTENT_TYPE, "application/logplex-1")
            .header("Logplex-Msg-Count", "0")
            .body("");
        let answer = request.send().await.map(|response| response.status().as_u16()).map_err(unreached);
        way_in.batches.push((app.plan.name.clone(), answer));
    }
    Some(way_in)
}

async fn reply(response: Response) -> Reply {
    let status = response.status().as_u16();
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_plain_text = content_type.is_some_and(|content_type| content_type.starts_with("text/plain"));
    let text = body(response, LINE_BYTES_MAX).await;
    let line = text.lines().next().unwrap_or_default();
    Reply { status, is_plain_text, line: one_line(line, limits::QUOTED_CHARS_MAX) }
}

/// The start of a body: whoever answers may send any amount.
async fn body(mut response: Response, bytes_max: usize) -> String {
    let mut octets = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        octets.extend_from_slice(&chunk[..chunk.len().min(bytes_max - octets.len())]);
        if octets.len() >= bytes_max {
            break;
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

const LINE_BYTES_MAX: usize = 4096;
const METRICS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The time since each app's last batch, from the metrics of the running daemon.
async fn last_batches(
    settings: &Settings,
    client: &Client,
    public_url: &PublicUrl,
) -> Option<Vec<(AppName, Option<Duration>)>> {
    let password = settings.admin_password.as_ref()?;
    let mut bearer = http::HeaderValue::try_from(format!("Bearer {}", password.expose_secret())).ok()?;
    bearer.set_sensitive(true);
    let request = client.get(public_url.of_path("/metrics")).header(AUTHORIZATION, bearer);
    let response = request.send().await.ok().filter(|response| response.status().is_success())?;
    let metrics = body(response, METRICS_BYTES_MAX).await;
    let value = |metric: &str, name: &AppName| -> Option<f64> {
        let start = format!("dynowarden_{metric}{{app=\"{name}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&start))?.trim().parse().ok()
    };
    let of_app = |name: &AppName| {
        // Before the first batch, the age is the daemon's.
        value("batches_total", name).filter(|batches| *batches > 0.0)?;
        Duration::try_from_secs_f64(value("drain_last_batch_seconds", name)?).ok()
    };
    Some(settings.apps.iter().map(|app| (app.plan.name.clone(), of_app(&app.plan.name))).collect())
}

/// Why there was no answer, from the causes that the client gives.
fn unreached(error: reqwest::Error) -> Unreached {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(next) = cause {
        causes.push(next.to_string().to_ascii_lowercase());
        cause = next.source();
    }
    let names = |words: &[&str]| causes.iter().any(|cause| words.iter().any(|word| cause.contains(word)));
    let (is_dns, is_tls) =
        (names(&["dns error", "failed to lookup"]), names(&["certificate", "tls", "corrupt message"]));
    let what = no_answer(error, limits::WAY_IN_TIMEOUT);
    match (is_dns, is_tls) {
        (true, _) => Unreached::Dns { what },
        (_, true) => Unreached::Tls { what },
        _ => Unreached::Network { what },
    }
}
