//! The addresses of receivers: URLs of webhooks and mail servers, and e-mail addresses.

use http::Uri;
use secrecy::SecretString;

use crate::config::field::SecretKind;
use crate::config::settings::SmtpSecurity;
use dynowarden_core::drain_url::is_loopback;

/// A Slack incoming webhook.
pub(super) const SLACK_URL: SecretKind = SecretKind {
    allowed: "the URL of an incoming webhook, as Slack shows it: https://hooks.slack.com/services/...",
    is_usable: is_slack_url,
};

pub(super) const WEBHOOK_URL: SecretKind =
    SecretKind { allowed: "a URL with http or https, a host and no fragment", is_usable: is_webhook_url };

/// A workflow of Microsoft Teams.
pub(super) const TEAMS_URL: SecretKind = SecretKind {
    allowed: "the URL of a Teams workflow that starts when a webhook request is received, as Teams shows it",
    is_usable: is_private_url,
};

/// A Discord webhook.
pub(super) const DISCORD_URL: SecretKind = SecretKind {
    allowed: "the URL of a webhook, as Discord shows it: https://discord.com/api/webhooks/...",
    is_usable: is_private_url,
};

/// An address of the Events API v2.
pub(super) const PAGERDUTY_URL: SecretKind =
    SecretKind { allowed: "an address of PagerDuty's Events API v2", is_usable: is_private_url };

/// Where PagerDuty's service in the United States takes events; other regions have their own address.
pub(super) const PAGERDUTY_EVENTS: &str = "https://events.pagerduty.com/v2/enqueue";

/// A mail server.
pub(super) const SMTP_URL: SecretKind = SecretKind {
    allowed: "smtps://USER:PASSWORD@HOST:465 or smtp://USER:PASSWORD@HOST:587?tls=required, the user's \
              special characters as %40 and the like; smtp://localhost:25 for a server on this machine",
    is_usable: |text| smtp_url(text).is_some(),
};

/// What an e-mail address may be.
pub(super) const ADDRESS_ALLOWED: &str = "an e-mail address such as ops@example.com";

/// A mail server's address.
pub(super) struct SmtpUrl {
    pub(super) host: String,
    pub(super) password: Option<SecretString>,
    pub(super) port: u16,
    pub(super) security: SmtpSecurity,
    pub(super) user: Option<String>,
}

fn is_slack_url(text: &str) -> bool {
    // Slack URLs have no query; without TLS only a substitute on this machine is allowed.
    web(text).is_some_and(|uri| uri.query().is_none() && !text.contains('@') && !is_clear(text))
}

/// Without TLS only a substitute on this machine is allowed.
fn is_private_url(text: &str) -> bool {
    web(text).is_some() && !is_clear(text)
}

fn is_webhook_url(text: &str) -> bool {
    web(text).is_some()
}

/// Whether messages would cross a network without TLS.
pub(super) fn is_clear(text: &str) -> bool {
    let Some(uri) = web(text) else { return false };
    uri.scheme_str() == Some("http") && !uri.host().is_some_and(is_loopback)
}

fn web(text: &str) -> Option<Uri> {
    // `Uri` silently drops a fragment.
    if text.contains('#') {
        return None;
    }
    let uri: Uri = text.parse().ok()?;
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    (is_web && has_host && has_right_port(&uri)).then_some(uri)
}

fn has_right_port(uri: &Uri) -> bool {
    uri.authority().is_some_and(|authority| {
        let place = authority.as_str().rsplit('@').next().unwrap_or_default();
        place.len() == authority.host().len() || authority.port_u16().is_some_and(|port| port > 0)
    })
}

/// Reads a mail server's address.
pub(super) fn smtp_url(text: &str) -> Option<SmtpUrl> {
    if text.contains('#') {
        return None;
    }
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?;
    let host = uri.host().filter(|host| !host.is_empty())?;
    if !has_right_port(&uri) || !matches!(uri.path(), "" | "/") {
        return None;
    }
    let (security, port) = match (uri.scheme_str()?, uri.query()) {
        ("smtps", None) => (SmtpSecurity::Tls, 465),
        ("smtp", Some("tls=required")) => (SmtpSecurity::StartTls, 587),
        // Without TLS a password may only go to this machine.
        ("smtp", None) if is_loopback(host) => (SmtpSecurity::None, 25),
        _ => return None,
    };
    let user_info = authority.as_str().rsplit_once('@').map(|(user_info, _)| user_info);
    let (user, password) = match user_info.map(|user_info| user_info.split_once(':').ok_or(user_info)) {
        None => (None, None),
        Some(Err(user)) => (Some(decoded(user)?), None),
        Some(Ok((user, password))) => (Some(decoded(user)?), Some(decoded(password)?.into())),
    };
    if user.as_ref().is_some_and(String::is_empty) {
        return None;
    }
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some(SmtpUrl { host, password, port: uri.port_u16().unwrap_or(port), security, user })
}

/// `%40` as `@`.
fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((octet, tail)) = rest.split_first() {
        rest = tail;
        if *octet != b'%' {
            octets.push(*octet);
            continue;
        }
        let digits = str::from_utf8(tail.get(..2)?).ok()?;
        // `from_str_radix` accepts a sign.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        octets.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &tail[2..];
    }
    String::from_utf8(octets).ok().filter(|text| !text.chars().any(char::is_control))
}

/// An address of the common kind: no quotes, no comments, no blanks, nothing that could end a header.
pub(super) fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (1..=64).contains(&local.len())
        && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_word))
        && domain.len() <= 253
        && domain.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::{is_address, is_clear, is_slack_url, is_webhook_url, smtp_url};
    use crate::config::settings::SmtpSecurity;

    #[test]
    fn webhooks_are_http_and_a_host() {
        for text in [
            "https://hooks.example.com/a/b?c=d",
            "http://127.0.0.1:1234/",
            "https://u:p@h/x",
            "http://[::1]:9/",
        ] {
            assert!(is_webhook_url(text), "{text}");
        }
        for text in [
            "",
            "hooks.example.com/a",
            "ftp://h/a",
            "https://",
            "https://h:x/",
            "https://h:0/",
            "https://h/#a",
        ] {
            assert!(!is_webhook_url(text), "{text}");
        }
        assert!(is_slack_url("https://hooks.slack.com/services/T0/B0/x"));
        assert!(is_slack_url("http://localhost:1/services/T0/B0/x"));
        for text in ["http://hooks.slack.com/services/x", "https://a:b@hooks.slack.com/x", "https://h/x?y"] {
            assert!(!is_slack_url(text), "{text}");
        }
        assert!(is_clear("http://h/x") && !is_clear("http://127.0.0.1/x") && !is_clear("https://h/x"));
    }

    #[test]
    fn a_mail_server_is_reached_by_tls_unless_it_is_this_machine() {
        let url = smtp_url("smtps://me%40example.com:p%3Aw@mail.example.com").expect("a URL");
        assert_eq!((url.host.as_str(), url.port, url.security), ("mail.example.com", 465, SmtpSecurity::Tls));
        assert_eq!(url.user.as_deref(), Some("me@example.com"));
        assert_eq!(url.password.expect("one").expose_secret(), "p:w");
        let url = smtp_url("smtp://mail.example.com:2525?tls=required").expect("a URL");
        assert_eq!((url.port, url.security, url.user), (2525, SmtpSecurity::StartTls, None));
        let url = smtp_url("smtp://localhost").expect("a URL");
        assert_eq!((url.port, url.security), (25, SmtpSecurity::None));
        for text in [
            "",
            "smtp://mail.example.com",
            "smtp://u:p@mail.example.com:587?tls=opportunistic",
            "smtps://mail.example.com?tls=required",
            "https://mail.example.com",
            "smtps://",
            "smtps://:p@mail.example.com",
            "smtps://u:%zz@mail.example.com",
            "smtps://u:%+1@mail.example.com",
            "smtps://u:%0a@mail.example.com",
            "smtps://mail.example.com/x",
            "smtps://mail.example.com:70000",
        ] {
            assert!(smtp_url(text).is_none(), "{text}");
        }
    }

    #[test]
    fn an_address_cannot_leave_its_header() {
        for text in ["ops@example.com", "a.b+c@example.co.uk", "root@localhost"] {
            assert!(is_address(text), "{text}");
        }
        for text in [
            "",
            "@",
            "ops",
            "ops@",
            "@example.com",
            "a b@example.com",
            "a@b@c..d",
            ".a@b.c",
            "a..b@c.d",
            "a@-b.c",
            "a@b.c\r\nBcc: x@y.z",
            "<a@b.c>",
            "\"a b\"@c.d",
            "a@exämple.com",
        ] {
            assert!(!is_address(text), "{text}");
        }
    }
}
