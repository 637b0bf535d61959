//! Heroku's status page. It is a different host from the API and never gets the token.

use std::time::Duration;

use reqwest::redirect;

use crate::http_client;
use dynowarden_core::api::json;
use dynowarden_core::limits;

#[derive(Clone, Debug)]
pub struct StatusPage {
    client: reqwest::Client,
    url: String,
}

impl StatusPage {
    /// A reader of the page at `url`; none if HTTPS is not available.
    pub fn new(url: &str, request_timeout: Duration) -> Option<Self> {
        let builder = http_client::builder(url, request_timeout);
        let client = builder.redirect(redirect::Policy::default()).build().ok()?;
        Some(Self { client, url: url.to_owned() })
    }

    /// Whether the page shows Apps red; none if it cannot be read.
    pub async fn are_apps_red(&self) -> Option<bool> {
        let mut response = self.client.get(&self.url).send().await.ok()?.error_for_status().ok()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.ok()? {
            if chunk.len() > limits::STATUS_BYTES_MAX - body.len() {
                return None;
            }
            body.extend_from_slice(&chunk);
        }
        json::are_apps_red(&body).ok()
    }
}
