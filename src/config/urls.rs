//! The URLs of the Platform API and of the store.

use std::path::PathBuf;

use http::Uri;

use crate::config::field::SecretKind;
use crate::config::problem::quoted;
use crate::config::settings::Database;
use dynowarden_core::drain_url::is_loopback;

pub(super) const API_URL_ALLOWED: &str =
    "a URL such as https://api.heroku.com, with http or https, without a user, a query or a fragment";

/// The URL of a store.
pub(super) const DATABASE: SecretKind = SecretKind {
    allowed: "sqlite://FILE, postgres://USER:PASSWORD@HOST/DATABASE (in which a / of the password is %2F, \
              a ? %3F and a # %23) or memory",
    is_usable: |text| database(text).is_some(),
};

pub(super) struct ApiUrl {
    /// Without a trailing slash.
    pub(super) text: String,
    /// Whether the token would cross a network without TLS.
    pub(super) is_clear: bool,
}

pub(super) fn api_url(text: &str) -> Option<ApiUrl> {
    // `Uri` silently drops a fragment.
    if text.contains(['#', '@', '?']) {
        return None;
    }
    let uri: Uri = text.parse().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?;
    let authority = uri.authority()?;
    let host = authority.host();
    if host.is_empty() || (authority.as_str().len() > host.len() && authority.port_u16().is_none()) {
        return None;
    }
    let is_clear = scheme == "http" && !is_loopback(host);
    let text = format!("{scheme}://{authority}{}", uri.path()).trim_end_matches('/').to_owned();
    Some(ApiUrl { text, is_clear })
}

/// A refused URL, without the parts that could be a password.
pub(super) fn shown_api_url(text: &str) -> String {
    match (text.rsplit_once('@'), scheme_of(text)) {
        (Some((_, host)), Some(scheme)) => quoted(&format!("{scheme}://…@{}", before_query(host))),
        (Some((_, host)), None) => quoted(&format!("…@{}", before_query(host))),
        (None, _) => quoted(before_query(text)),
    }
}

/// What precedes `://`, if it can only be a scheme.
fn scheme_of(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    scheme.bytes().all(|byte| byte.is_ascii_alphabetic()).then_some(scheme)
}

fn before_query(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or_default()
}

pub(super) fn database(text: &str) -> Option<Database> {
    if text.chars().any(char::is_control) {
        return None;
    }
    if let Some(server) = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://")) {
        let has_place = !server.is_empty() && !server.contains(' ') && !splits_password(server);
        return has_place.then(|| Database::Postgres(text.into()));
    }
    let file = match text {
        "memory" => return Some(Database::Memory),
        _ => text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"))?,
    };
    match file {
        "" => None,
        ":memory:" => Some(Database::Memory),
        // Other programs take options after a `?`, so it is not part of a file name.
        _ if file.contains('?') => None,
        _ => Some(Database::Sqlite(PathBuf::from(file))),
    }
}

/// Whether a `/`, `?` or `#` precedes an `@`, most likely within a password. Parts of that password would
/// then be read as the host, the port and the database, which messages name.
fn splits_password(server: &str) -> bool {
    let authority = server.split(['/', '?', '#']).next().unwrap_or_default();
    let tail = &server[authority.len()..];
    let (place, options) = tail.split_once('?').unwrap_or((tail, ""));
    let is_in_option = |pair: &str| pair.split_once('=').map_or(pair, |(key, _)| key).contains('@');
    place.contains(['@', '#'])
        || options.contains('#')
        || options.split('&').any(is_in_option)
        || (!authority.contains('@') && options.contains('@'))
}

/// A refused store URL: only the scheme, since a password can be in several parts of a URL. Any other text
/// is not shown at all, since it may be a password.
pub(super) fn shown_database(text: &str) -> String {
    match scheme_of(text) {
        Some(scheme) => quoted(&format!("{scheme}://…")),
        None => "a value that is not shown".to_owned(),
    }
}

/// Whether a store URL contains credentials, which belong in the environment or in a file of their own.
pub(super) fn has_user(text: &str) -> bool {
    text.contains('@') || text.contains("password=")
}

#[cfg(test)]
mod tests {
    use super::{api_url, database, shown_api_url, shown_database};
    use crate::config::settings::Database;

    #[test]
    fn an_api_address_is_http_and_a_host() {
        for (text, expect, is_clear) in [
            ("https://api.heroku.com", "https://api.heroku.com", false),
            ("https://api.heroku.com/", "https://api.heroku.com", false),
            ("http://127.0.0.1:4000", "http://127.0.0.1:4000", false),
            ("http://[::1]:4000/", "http://[::1]:4000", false),
            ("http://localhost:4000/base/", "http://localhost:4000/base", false),
            ("http://heroku:4000", "http://heroku:4000", true),
        ] {
            let url = api_url(text).expect(text);
            assert_eq!((url.text.as_str(), url.is_clear), (expect, is_clear));
        }
        for text in [
            "",
            "api.heroku.com",
            "/",
            "ftp://api.heroku.com",
            "https://",
            "https://:443",
            "https://host:port",
            "https://host:99999",
            "https://host:",
            "https://user:pass@api.heroku.com",
            "https://api.heroku.com?x=1",
            "https://api.heroku.com#x",
            "https://api heroku.com",
            "*",
        ] {
            assert!(api_url(text).is_none(), "{text}");
        }
        for text in
            ["https://user:canary@h?x", "user:canary@h", "https://h?key=canary", "https://a:can@ary@h"]
        {
            assert!(!shown_api_url(text).contains("canary"), "{text}");
        }
    }

    #[test]
    fn a_store_is_a_file_a_server_or_memory() {
        for (text, expect) in [
            ("memory", "Memory"),
            ("sqlite::memory:", "Memory"),
            ("sqlite://dynowarden.db", "Sqlite(\"dynowarden.db\")"),
            ("sqlite:dynowarden.db", "Sqlite(\"dynowarden.db\")"),
            ("sqlite:///var/lib/x.db", "Sqlite(\"/var/lib/x.db\")"),
        ] {
            assert_eq!(format!("{:?}", database(text).expect(text)), expect);
        }
        for text in [
            "postgres://u:canary@h/d",
            "postgresql://u:canary@h:5432/d?sslmode=require",
            "postgres://u:can@ary@h/d",
            "postgres://u:p%2Fcanary@h/d%40?application_name=a@b",
        ] {
            let postgres = database(text).expect(text);
            assert!(matches!(postgres, Database::Postgres(_)));
            assert!(!format!("{postgres:?}").contains("canary"));
        }
        for text in [
            "",
            "sqlite://",
            "sqlite:",
            "sqlite://x?mode=rwc",
            "x.db",
            "mysql://u:canary@h",
            "postgres://",
            "Memory",
            "canary",
            "postgres:u:canary@h",
            "host=h password=canary",
            "u:canary@h://",
            // What stands in front of the slash would be a host and its port.
            "postgres://u:12/canary@h/d",
            "postgres://u:12#canary@h/d",
            "postgres://u:12?canary@h/d",
            "postgres://u:12?a=canary@h/d",
            "postgres://u:can@ary/x@h/d",
            "postgres://u:can@ary?x@h/d",
            "postgres://u:can@ary#x@h/d",
        ] {
            assert!(database(text).is_none(), "{text}");
            assert!(!shown_database(text).contains("canary"), "{text}");
        }
    }
}
