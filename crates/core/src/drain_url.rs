//! Drain URLs: the parts of a registered drain's URL, and the URL that it should have.
//!
//! Both hold a password. It is kept secret, compared in constant time, and shown only on explicit request.

use core::net::IpAddr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::ident::AppName;

/// The URL of a registered drain, as logplex reads it (heroku.md §1.1).
#[derive(Clone, Debug)]
pub struct DrainUrl {
    place: Place,
    /// Path and query; logplex sends no fragment.
    path: String,
    userinfo: Option<SecretString>,
}

/// The public address of this program.
#[derive(Clone, Debug)]
pub struct PublicUrl {
    place: Place,
    path: PublicPath,
    userinfo: Option<SecretString>,
}

pub const PUBLIC_URL_ALLOWED: &str = "a URL such as https://warden.example.com, with https \
     (http only on loopback), without a query or a fragment";

/// Scheme, host and port, which identify the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    scheme: String,
    host: String,
    port: Option<u16>,
}

#[derive(Clone, Debug)]
enum PublicPath {
    /// The part before `/logs/{app}`: nothing, or a proxy's prefix.
    Prefix(String),
    /// The whole path, if it ends with `/logs` or `/logs/{app}`.
    Whole(String),
}

// === impl DrainUrl ===

impl DrainUrl {
    /// Parses a URL; none if it is invalid.
    pub fn parse(text: &str) -> Option<Self> {
        let (place, userinfo, path) = take_apart(text)?;
        Some(Self { place, path, userinfo })
    }

    /// Whether it points to the machine at `public`.
    pub fn is_at(&self, public: &PublicUrl) -> bool {
        self.place.host == public.place.host && self.place.port() == public.place.port()
    }

    /// Whether batches of `app` are accepted under its path: `/logs/{app}` or `/logs`, below the path of the
    /// public address or not. The HTTP server reads paths the same way.
    pub fn is_path_of(&self, app: &AppName, public: Option<&PublicUrl>) -> bool {
        let path = self.path.split('?').next().unwrap_or_default();
        let path = below(path, public.map_or("", PublicUrl::prefix));
        path == "/logs" || path.strip_prefix("/logs/") == Some(app.as_str())
    }

    /// Whether its path looks like one of `app`, below any prefix of a proxy.
    pub fn resembles_path_of(&self, app: &AppName) -> bool {
        let path = self.path.split('?').next().unwrap_or_default();
        path.ends_with("/logs") || path.strip_suffix(app.as_str()).is_some_and(|p| p.ends_with("/logs/"))
    }

    /// Whether it is HTTP, with or without TLS. Otherwise it is a syslog drain, which has no batches.
    pub fn is_http(&self) -> bool {
        matches!(&*self.place.scheme, "http" | "https")
    }

    /// Whether its password crosses a network unencrypted.
    pub fn is_clear(&self) -> bool {
        self.place.is_clear()
    }

    /// The host, in lower case.
    pub fn host(&self) -> &str {
        &self.place.host
    }

    /// The URL without its secrets.
    pub fn shown(&self) -> String {
        format!("{}{}", self.place.shown(), self.path.split('?').next().unwrap_or_default())
    }

    pub fn has_password(&self) -> bool {
        self.userinfo.as_ref().and_then(password_of).is_some()
    }

    /// Whether its password is `expected`, after percent-decoding.
    pub fn password_is(&self, expected: &SecretString) -> bool {
        let Some(password) = self.userinfo.as_ref().and_then(password_of) else { return false };
        let expected = Sha256::digest(expected.expose_secret().as_bytes());
        let raw = Sha256::digest(password.as_bytes()).ct_eq(&expected);
        // Invalid escapes stay as they are.
        let decoded = percent_decode_str(password).collect::<Vec<u8>>();
        let decoded = Sha256::digest(decoded).ct_eq(&expected);
        (raw | decoded).into()
    }
}

// === impl PublicUrl ===

impl PublicUrl {
    /// Parses an address; none if batches could not, or should not, be sent there.
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains(['#', '?']) || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return None;
        }
        let (place, userinfo, path) = take_apart(text)?;
        if !matches!(&*place.scheme, "http" | "https") || place.is_clear() {
            return None;
        }
        let path = path.trim_end_matches('/');
        let last_two = path.rsplit('/').nth(1);
        let path = if path.ends_with("/logs") || last_two == Some("logs") {
            PublicPath::Whole(path.to_owned())
        } else {
            PublicPath::Prefix(path.to_owned())
        };
        Some(Self { place, path, userinfo })
    }

    /// An app's drain URL without user info; none if the address is another app's.
    pub fn of_app(&self, app: &AppName) -> Option<String> {
        self.path_of(app).map(|path| format!("{}{path}", self.place.shown()))
    }

    /// An app's drain URL with `userinfo`, unescaped.
    pub fn with_userinfo(&self, userinfo: &str, app: &AppName) -> Option<String> {
        let Place { scheme, .. } = &self.place;
        self.path_of(app).map(|path| format!("{scheme}://{userinfo}@{}{path}", self.place.authority()))
    }

    /// The address of our own page at `path`, which begins with a slash.
    pub fn page(&self, path: &str) -> String {
        let prefix = match &self.path {
            PublicPath::Prefix(prefix) => prefix,
            PublicPath::Whole(whole) => whole.rfind("/logs").map_or("", |logs| &whole[..logs]),
        };
        format!("{}{prefix}{path}", self.place.shown())
    }

    /// The host, in lower case.
    pub fn host(&self) -> &str {
        &self.place.host
    }

    pub fn is_https(&self) -> bool {
        self.place.scheme == "https"
    }

    /// The part of its path before `/logs`, which a proxy may leave in front of a request's path.
    pub fn prefix(&self) -> &str {
        match &self.path {
            PublicPath::Prefix(prefix) => prefix,
            PublicPath::Whole(path) => path.rsplit_once("/logs").map_or("", |(prefix, _)| prefix),
        }
    }

    /// The URL of another path of the daemon, such as `/readyz`.
    pub fn of_path(&self, path: &str) -> String {
        format!("{}{}{path}", self.place.shown(), self.prefix())
    }

    pub fn has_userinfo(&self) -> bool {
        self.userinfo.is_some()
    }

    /// Whether the password in it, if any, is `password`.
    pub fn agrees_with(&self, password: &SecretString) -> bool {
        let Self { place, userinfo, .. } = self;
        userinfo.is_none()
            || DrainUrl { place: place.clone(), path: String::new(), userinfo: userinfo.clone() }
                .password_is(password)
    }

    fn path_of(&self, app: &AppName) -> Option<String> {
        match &self.path {
            PublicPath::Prefix(prefix) => Some(format!("{prefix}/logs/{app}")),
            PublicPath::Whole(path) => {
                let (_, last) = path.rsplit_once('/')?;
                (last == "logs" || last == app.as_str()).then(|| path.clone())
            }
        }
    }
}

/// A request's path without the prefix of the public address.
pub fn below<'p>(path: &'p str, prefix: &str) -> &'p str {
    path.strip_prefix(prefix).filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

/// Encodes a password for use in a URL.
pub fn percent_encoded(password: &str) -> String {
    utf8_percent_encode(password, &RESERVED).to_string()
}

/// All but the unreserved characters of RFC 3986.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The host of any URL, in lower case.
pub fn host_of(url: &str) -> Option<String> {
    take_apart(url).map(|(place, ..)| place.host)
}

/// Whether a URL's host is this machine.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

// === impl Place ===

impl Place {
    fn port(&self) -> u16 {
        self.port.unwrap_or(if self.scheme == "http" { 80 } else { 443 })
    }

    fn is_clear(&self) -> bool {
        self.scheme == "http" && !is_loopback(&self.host)
    }

    fn authority(&self) -> String {
        self.port.map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }

    fn shown(&self) -> String {
        format!("{}://{}", self.scheme, self.authority())
    }
}

fn take_apart(text: &str) -> Option<(Place, Option<SecretString>, String)> {
    let (scheme, rest) = text.split_once("://")?;
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (userinfo, host_and_port) = match authority.rsplit_once('@') {
        Some((userinfo, host)) => (Some(SecretString::from(userinfo)), host),
        None => (None, authority),
    };
    // The colons of an IPv6 address are inside brackets.
    let (host, port) = match host_and_port.rsplit_once(':') {
        Some((host, digits)) if !digits.contains(']') => (host, Some(digits.parse().ok()?)),
        _ => (host_and_port, None),
    };
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+');
    let is_host = !host.trim_matches('.').is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'[' | b']' | b':'));
    (is_scheme && is_host).then(|| {
        // A dot at the end is the same host.
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let place = Place { scheme: scheme.to_ascii_lowercase(), host, port };
        (place, userinfo, path.to_owned())
    })
}

/// The text after the first colon; without one there is only a user.
fn password_of(userinfo: &SecretString) -> Option<&str> {
    userinfo.expose_secret().split_once(':').map(|(_, password)| password).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use secrecy::SecretString;

    use super::{DrainUrl, PublicUrl, host_of, percent_encoded};
    use crate::ident::AppName;

    fn acme() -> AppName {
        "acme".parse().expect("an app")
    }

    fn drain(text: &str) -> DrainUrl {
        DrainUrl::parse(text).expect(text)
    }

    #[test]
    fn a_drain_is_matched_by_host_and_port() {
        let public = PublicUrl::parse("https://Warden.example.com").expect("an address");
        for (text, is_at) in [
            ("https://u:p@warden.example.com/logs/acme", true),
            ("https://u:p@WARDEN.example.com:443/logs", true),
            ("https://u:p@warden.example.com./logs", true),
            ("https://u:p@warden.example.com:8443/logs/acme", false),
            ("https://u:p@warden.example.com.evil.example/logs/acme", false),
            ("https://warden.example.com:p@other.example/logs/acme", false),
            ("http://warden.example.com/logs/acme", false),
            ("syslog://logs.example.com:514", false),
        ] {
            assert_eq!(drain(text).is_at(&public), is_at, "{text}");
        }
        let here = PublicUrl::parse("http://[::1]:8080/").expect("loopback");
        assert!(drain("http://u:p@[::1]:8080/logs").is_at(&here));
    }

    #[test]
    fn batches_are_accepted_under_two_paths() {
        for (path, expect) in [
            ("/logs/acme", true),
            ("/logs/acme?x=1", true),
            ("/logs", true),
            ("/prefix/logs/acme", false),
            ("//logs/acme", false),
            ("/./logs/acme", false),
            ("/logs/../logs/acme", false),
            ("/logs/./acme", false),
            ("/logs/%61cme", false),
            ("/Logs/acme", false),
            ("/logs/acme/", false),
            ("/logs/other", false),
            ("/logs/xacme", false),
            ("/xlogs/acme", false),
            ("/", false),
            ("", false),
        ] {
            let drain = drain(&format!("https://h.example{path}"));
            assert_eq!(drain.is_path_of(&acme(), None), expect, "{path}");
        }
    }

    #[test]
    fn the_path_of_the_public_address_may_be_in_front() {
        for public in [
            "https://h.example/warden",
            "https://h.example/warden/logs",
            "https://h.example/warden/logs/acme",
        ] {
            let public = PublicUrl::parse(public).expect(public);
            assert_eq!(
                (public.prefix(), &*public.of_path("/readyz")),
                ("/warden", "https://h.example/warden/readyz")
            );
            for (path, expect) in [
                ("/warden/logs/acme", true),
                ("/warden/logs", true),
                ("/logs/acme", true),
                ("/wardenlogs/acme", false),
                ("/warden//logs/acme", false),
                ("/warden/warden/logs/acme", false),
                ("/x/logs/acme", false),
            ] {
                let drain = drain(&format!("https://h.example{path}"));
                assert_eq!(drain.is_path_of(&acme(), Some(&public)), expect, "{path}");
            }
        }
    }

    #[test]
    fn a_password_is_compared_raw_and_decoded() {
        let expected = SecretString::from("p%40ss");
        for (userinfo, expect) in [
            ("u:p%40ss@", true),
            ("u:p%2540ss@", true),
            ("u:p@ss@", false),
            ("u:p%40s@", false),
            ("p%40ss@", false),
            ("u:@", false),
            ("", false),
        ] {
            let url = drain(&format!("https://{userinfo}h.example/logs"));
            assert_eq!(url.password_is(&expected), expect, "{userinfo}");
            assert!(!format!("{url:?}{}", url.shown()).contains("40ss"), "{url:?}");
        }
    }

    #[test]
    fn a_public_url_gives_each_app_its_drain_url() {
        for (text, expect) in [
            ("https://w.example", Some("https://w.example/logs/acme")),
            ("https://w.example/", Some("https://w.example/logs/acme")),
            ("https://w.example:8443/warden/", Some("https://w.example:8443/warden/logs/acme")),
            ("https://w.example/logs", Some("https://w.example/logs")),
            ("https://w.example/logs/acme/", Some("https://w.example/logs/acme")),
            ("https://w.example/logs/other", None),
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080/logs/acme")),
            ("https://u:p@w.example", Some("https://w.example/logs/acme")),
        ] {
            let public = PublicUrl::parse(text).expect(text);
            assert_eq!(public.of_app(&acme()).as_deref(), expect, "{text}");
        }
        for text in [
            "",
            "w.example",
            "http://w.example",
            "ftp://w.example",
            "https://",
            "https://:443",
            "https://w.example:x",
            "https://w.example?x=1",
            "https://w.example/#x",
            "https://w.example/a b",
        ] {
            assert!(PublicUrl::parse(text).is_none(), "{text}");
        }
        assert_eq!(host_of("https://Acme-1.herokuapp.com/").as_deref(), Some("acme-1.herokuapp.com"));
    }

    proptest! {
        #[test]
        fn encoded_passwords_are_decoded_again(password in "[^:\\s\\p{C}]{1,40}") {
            let public = PublicUrl::parse("https://w.example").expect("an address");
            let userinfo = format!("drain:{}", percent_encoded(&password));
            let url = public.with_userinfo(&userinfo, &acme()).expect("its own");
            let url = DrainUrl::parse(&url).expect("a URL");
            assert!(url.password_is(&SecretString::from(password)) && url.is_at(&public));
        }

        #[test]
        fn any_text_is_parsed_without_panic(text in any::<String>()) {
            let _ = DrainUrl::parse(&text);
            let _ = PublicUrl::parse(&text);
        }
    }
}
