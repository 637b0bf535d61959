//! What all outgoing connections have in common: TLS by ring, and the settings of HTTP clients.

use std::time::Duration;

use reqwest::{ClientBuilder, Url, redirect, retry};

use dynowarden_core::drain_url::is_loopback;

pub(crate) const USER_AGENT: &str = concat!("dynowarden/", env!("CARGO_PKG_VERSION"));

/// Shorter than any idle time-out on the way, so that no request goes out on a connection that is closing. A
/// DELETE with an unknown outcome costs an inspection.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// A client for `url`. It follows no redirects and repeats nothing by itself.
pub(crate) fn builder(url: &str, timeout: Duration) -> ClientBuilder {
    use_ring();
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .timeout(timeout)
        .pool_idle_timeout(POOL_IDLE);
    // A proxy from the environment is not for loopback.
    let is_local = Url::parse(url).is_ok_and(|url| url.host_str().is_some_and(is_loopback));
    if is_local { builder.no_proxy() } else { builder }
}

/// Makes ring the TLS implementation of this process. A second call changes nothing.
pub(crate) fn use_ring() {
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
}
