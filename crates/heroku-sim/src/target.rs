//! The destination of a drain's URL.

use base64::Engine as _;
use http::Uri;

/// A drain URL, parsed as logplex does it (heroku.md §1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `Authorization`, if the URL has user info.
    pub authorization: Option<String>,
    /// Host and port to connect to.
    pub address: String,
    /// `Host`, with the port only if it is in the URL.
    pub host: String,
    /// Path and query; the fragment is not sent.
    pub path: String,
}

impl Target {
    /// Parses a plain `http` URL; none for any other. A simulation on loopback needs no TLS.
    pub fn parse(url: &str) -> Option<Self> {
        let uri = url.parse::<Uri>().ok().filter(|uri| uri.scheme_str() == Some("http"))?;
        let authority = uri.authority()?;
        let (authorization, host) = match authority.as_str().rsplit_once('@') {
            Some((user_info, host)) => {
                let encoded = base64::engine::general_purpose::STANDARD.encode(decode(user_info)?);
                (Some(format!("Basic {encoded}")), host)
            }
            None => (None, authority.as_str()),
        };
        let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
        Some(Self { authorization, address, host: host.to_owned(), path: uri.path_and_query()?.to_string() })
    }
}

/// Percent-decodes part of a URL; none if the encoding is broken or not UTF-8.
pub(super) fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{Target, decode};

    #[test]
    fn a_url_becomes_what_logplex_sends() {
        for (url, address, host, path, authorization) in [
            ("http://127.0.0.1:8080/logs/acme", "127.0.0.1:8080", "127.0.0.1:8080", "/logs/acme", None),
            ("http://drain.example", "drain.example:80", "drain.example", "/", None),
            ("http://drain.example?a=1#frag", "drain.example:80", "drain.example", "/?a=1", None),
            (
                "http://u:p%40ss@drain.example/x",
                "drain.example:80",
                "drain.example",
                "/x",
                Some("Basic dTpwQHNz"),
            ),
        ] {
            let target = Target::parse(url).expect(url);
            assert_eq!((&*target.address, &*target.host, &*target.path), (address, host, path), "{url}");
            assert_eq!(target.authorization.as_deref(), authorization, "{url}");
        }
        for url in ["https://drain.example/", "syslog://drain.example:514", "http://", "", "http://u:%zz@h/"]
        {
            assert_eq!(Target::parse(url), None, "{url}");
        }
    }

    #[test]
    fn broken_percent_encoding_is_refused() {
        assert_eq!(decode("d%2e1"), Some("d.1".into()));
        for text in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
