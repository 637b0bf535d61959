//! What all outgoing connections have in common: TLS by ring, the settings of HTTP clients, and the words for
//! their failures.

use std::error::Error;
use std::time::Duration;

use reqwest::{ClientBuilder, Url, redirect, retry};

use dynowarden_core::drain_url::is_loopback;
use dynowarden_core::time::spoken;

pub(crate) const USER_AGENT: &str = concat!("dynowarden/", env!("CARGO_PKG_VERSION"));

/// Shorter than any idle time-out on the way, so that no request goes out on a connection that is closing. A
/// DELETE with an unknown outcome costs an inspection.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// A client for `url`. It follows no redirects and repeats nothing.
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

/// Why a request got no answer, without its URL. It contains no token either, for reqwest shows no headers.
pub(crate) fn no_answer(error: reqwest::Error, timeout: Duration) -> String {
    if error.is_timeout() {
        return format!("no response within {}", spoken(timeout));
    }
    with_causes(&error.without_url())
}

/// An error and its causes in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        cause = next.source();
    }
    one_line(&line, WHY_CHARS_MAX)
}

const WHY_CHARS_MAX: usize = 200;

/// The first `chars_max` characters of a text, without control characters.
pub(crate) fn one_line(text: &str, chars_max: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn control_characters_are_removed_from_a_line() {
        assert_eq!(one_line("a\r\nb\0c", 10), "a  b c");
        assert_eq!(one_line("äöü", 2), "äö…");
        assert_eq!(one_line("äöü", 3), "äöü");
    }
}
