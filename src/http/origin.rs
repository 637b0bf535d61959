//! Whether a request comes from our own page, from no browser at all, or from another site's page.
//!
//! A browser sends its saved Basic password with every request, even one that another site starts
//! (<https://www.w3.org/TR/fetch-metadata/>).

use http::header::{CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use http::{HeaderValue, Method};

use crate::http::client_addr::Head;

/// Whether an admin's request may be answered. Another site may link to a page of ours, and nothing else.
pub(super) fn is_ours(head: &Head, is_https: bool) -> bool {
    let headers = &head.headers;
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    if let Some(site) = headers.get("sec-fetch-site") {
        let is_link =
            is_read && is(headers, "sec-fetch-mode", "navigate") && is(headers, "sec-fetch-dest", "document");
        return matches!(site.as_bytes(), b"same-origin" | b"none") || is_link;
    }
    match headers.get(ORIGIN) {
        None => true,
        Some(origin) => is_own_origin(origin.as_bytes(), headers, is_https),
    }
}

fn is(headers: &HeaderMap, name: &str, value: &str) -> bool {
    headers.get(name).is_some_and(|sent| sent.as_bytes() == value.as_bytes())
}

/// A page that was loaded over plain HTTP may be anybody's, so it may not act on one that is served over
/// HTTPS. We do not always know that it is: a proxy in front may not say so.
fn is_own_origin(origin: &[u8], headers: &HeaderMap, is_https: bool) -> bool {
    let authority = match (origin.strip_prefix(b"https://"), origin.strip_prefix(b"http://")) {
        (Some(authority), _) => authority,
        (_, Some(authority)) if !is_https => authority,
        _ => return false,
    };
    let host = headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    !host.is_empty() && authority.eq_ignore_ascii_case(host)
}

/// Whether the body is JSON by its type. A form of another site's page cannot have this type. A script may
/// name none, but a browser that names none says where the request comes from.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(CONTENT_TYPE).iter().peekable();
    if all.peek().is_none() {
        return !headers.contains_key(ORIGIN) && !headers.contains_key("sec-fetch-site");
    }
    let (Some(sent), None) = (all.next(), all.next()) else { return false };
    let essence = sent.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;

    use http::Request;
    use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

    use super::{is_json, is_ours};
    use crate::http::client_addr::Head;
    use crate::http::connection_state::ConnectionState;

    fn head(method: &str, headers: &[(&str, &str)]) -> Head {
        let request = Request::builder().method(method);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let connection = Arc::new(ConnectionState::new());
        Head { connection, parts, peer: IpAddr::V4(Ipv4Addr::LOCALHOST) }
    }

    #[test]
    fn requests_of_another_site_are_detected() {
        let (site, host) = ("sec-fetch-site", ("host", "dyno.example"));
        let link = [(site, "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        let frame = [(site, "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        for (method, sent, expect, expect_https) in [
            ("POST", &[][..], true, true),
            ("POST", &[(site, "same-origin")], true, true),
            ("POST", &[(site, "none")], true, true),
            ("POST", &[(site, "cross-site")], false, false),
            ("POST", &[(site, "same-site")], false, false),
            ("POST", &link, false, false),
            ("GET", &[(site, "same-origin")], true, true),
            ("GET", &[(site, "cross-site"), ("sec-fetch-mode", "no-cors")], false, false),
            ("GET", &[(site, "same-site"), ("sec-fetch-mode", "cors")], false, false),
            ("GET", &link, true, true),
            ("GET", &frame, false, false),
            ("POST", &[("origin", "https://dyno.example"), host], true, true),
            ("POST", &[("origin", "http://dyno.example"), host], true, false),
            ("POST", &[("origin", "http://localhost:8080"), ("host", "localhost:8080")], true, false),
            ("POST", &[("origin", "ftp://dyno.example"), host], false, false),
            ("POST", &[("origin", "https://evil.example"), host], false, false),
            ("GET", &[("origin", "https://evil.example"), host], false, false),
            ("POST", &[("origin", "null"), host], false, false),
            ("POST", &[("origin", "https://evil.example")], false, false),
            ("POST", &[("origin", "https://")], false, false),
        ] {
            let head = head(method, sent);
            assert_eq!(
                (is_ours(&head, false), is_ours(&head, true)),
                (expect, expect_https),
                "{method} {sent:?}"
            );
        }
    }

    #[test]
    fn json_has_its_type() {
        for (sent, expect) in [
            (&["application/json"][..], true),
            (&["Application/JSON ; charset=utf-8"], true),
            (&["application/json", "text/plain"], false),
            (&["text/plain"], false),
            (&["text/plain; application/json"], false),
            (&["application/x-www-form-urlencoded"], false),
            (&[], true),
        ] {
            let mut headers = HeaderMap::new();
            for value in sent {
                headers.append(CONTENT_TYPE, HeaderValue::from_static(value));
            }
            assert_eq!(is_json(&headers), expect, "{sent:?}");
        }
        for name in ["origin", "sec-fetch-site"] {
            assert!(!is_json(&HeaderMap::from_iter([(
                name.parse().expect(name),
                HeaderValue::from_static("x")
            )])));
        }
    }
}
