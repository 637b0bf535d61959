//! The destination of a drain's URL.

use base64::Engine as _;

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
        let rest = url.strip_prefix("http://")?;
        let rest = rest.split('#').next().unwrap_or(rest);
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (user_info, host) = match authority.rsplit_once('@') {
            Some((user_info, host)) => (Some(user_info), host),
            None => (None, authority),
        };
        if host.is_empty() {
            return None;
        }
        let authorization = match user_info {
            Some(user_info) => {
                let encoded = base64::engine::general_purpose::STANDARD.encode(decode(user_info)?);
                Some(format!("Basic {encoded}"))
            }
            None => None,
        };
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { host.to_owned() } else { format!("{host}:80") };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some(Self { authorization, address, host: host.to_owned(), path })
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
