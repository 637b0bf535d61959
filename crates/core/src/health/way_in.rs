//! The way in from outside: whether a request to `public_url` reaches the daemon, as logplex's would.

use std::time::Duration;

use crate::health::facts::Identity;
use crate::health::finding::{Finding, Subject};
use crate::health::reached::{Reply, Unreached, WayIn};
use crate::time::spoken;

pub(super) fn check(way_in: Option<&WayIn>, identity: &Identity) -> Vec<Finding> {
    let (Some(way_in), Some(public_url)) = (way_in, &identity.public_url) else { return Vec::new() };
    let url = public_url.of_path("/readyz");
    let reply = match &way_in.ready {
        Ok(reply) => reply,
        Err(unreached) => return vec![not_reached(&url, public_url.host(), unreached)],
    };
    let Reply { status, line, .. } = reply;
    if !is_ours(reply) {
        let (text, fix) = match status {
            502..=504 => (
                format!("{url} was answered with {status}: a proxy is there, but no dynowarden behind it"),
                "start dynowarden, and check the address and port that the proxy sends requests to",
            ),
            300..=399 => (
                format!("{url} was answered with {status}, a redirect, which logplex does not follow"),
                "set public_url to the address that it leads to, with https",
            ),
            _ => (
                format!("{url} was answered with {status}, but not by dynowarden: {line:?}"),
                "set public_url to dynowarden's own address, with the path that a proxy puts in front",
            ),
        };
        return vec![Finding::error(Subject::WayIn, text, fix)];
    }
    let mut findings = vec![match status {
        200 => Finding::ok(Subject::WayIn, format!("dynowarden answers at {url}")),
        _ => {
            let fix = "see dynowarden's log; batches are accepted meanwhile";
            Finding::warning(
                Subject::WayIn,
                format!("dynowarden answers at {url}, and is not ready: {line}"),
                fix,
            )
        }
    }];
    for (app, answer) in &way_in.batches {
        let last = way_in.last_batches.iter().find(|(name, _)| name == app).map(|(_, ago)| *ago);
        findings.push(Finding { app: Some(app.to_string()), ..batch(answer, last) });
    }
    findings
}

/// Whether the answer is one of dynowarden's own.
fn is_ours(Reply { status, is_plain_text, line }: &Reply) -> bool {
    let is_ready = *status == 200 && line.split(';').next() == Some("ready");
    // A router's or a proxy's 503 is a page, or has a name for its reason only.
    let is_not_ready = *status == 503 && !line.is_empty() && !line.contains("Service") && !line.contains('<');
    *is_plain_text && (is_ready || is_not_ready)
}

fn not_reached(url: &str, host: &str, unreached: &Unreached) -> Finding {
    match unreached {
        Unreached::Dns { what } => {
            let text = format!("{host} has no address, as far as this machine can tell: {what}");
            Finding::warning(
                Subject::WayIn,
                text,
                format!("check the spelling of public_url and the DNS records of {host}"),
            )
        }
        Unreached::Tls { what } => {
            let text = format!("{url}: TLS failed: {what}");
            let fix = "install a certificate of a public authority for this host, with its whole chain";
            Finding::error(Subject::WayIn, text, fix)
        }
        Unreached::Network { what } => {
            let text = format!("{url} cannot be reached from this machine: {what}");
            let fix =
                format!("try `curl -i {url}` on another machine; if it works there, this is no problem");
            Finding::warning(Subject::WayIn, text, fix)
        }
    }
}

/// What an empty batch shows. `last` is known if the daemon could be asked.
fn batch(answer: &Result<u16, Unreached>, last: Option<Option<Duration>>) -> Finding {
    let heard = match last {
        Some(Some(ago)) => format!(", last batch {} ago", spoken(Duration::from_secs(ago.as_secs()))),
        Some(None) => ", no batch since it started".to_owned(),
        None => String::new(),
    };
    let refused = |status: u16, why: &str, fix: &str| {
        Finding::error(Subject::WayIn, format!("a batch was answered with {status}: {why}"), fix)
    };
    match answer {
        Ok(204) => Finding::ok(Subject::WayIn, format!("a batch is accepted{heard}")),
        Ok(401) => refused(
            401,
            "the daemon has another drain password",
            "start the daemon with the settings of this check",
        ),
        Ok(404) => refused(
            404,
            "the daemon does not watch this app",
            "start the daemon with the settings of this check",
        ),
        Ok(status) => refused(
            *status,
            "the way to the daemon changes requests",
            "check the proxy in front of dynowarden",
        ),
        Err(Unreached::Dns { what } | Unreached::Network { what } | Unreached::Tls { what }) => {
            let fix = "check the proxy in front of dynowarden";
            Finding::warning(Subject::WayIn, format!("a batch was not answered: {what}"), fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Reply, Unreached, WayIn, check};
    use crate::drain_url::PublicUrl;
    use crate::health::facts::Identity;
    use crate::health::finding::Severity;

    fn findings(way_in: &WayIn) -> Vec<(Severity, String)> {
        let public_url = PublicUrl::parse("https://warden.example.com/x");
        let identity = Identity { public_url, ..Identity::default() };
        check(Some(way_in), &identity).into_iter().map(|finding| (finding.severity, finding.text)).collect()
    }

    fn reply(status: u16, line: &str) -> WayIn {
        let reply = Reply { status, is_plain_text: !line.starts_with('<'), line: line.to_owned() };
        WayIn { ready: Ok(reply), batches: Vec::new(), last_batches: Vec::new() }
    }

    #[test]
    fn what_answers_is_told_apart() {
        let none = |unreached| WayIn { ready: Err(unreached), ..reply(0, "") };
        let what = || "because".to_owned();
        for (way_in, severity, part) in [
            (reply(200, "ready"), Severity::Ok, "dynowarden answers at https://warden.example.com/x/readyz"),
            (reply(200, "ready; dry run"), Severity::Ok, "answers"),
            (reply(503, "acme: the API is down"), Severity::Warning, "not ready: acme: the API is down"),
            (reply(503, "<html>"), Severity::Error, "a proxy is there"),
            (reply(503, "Service Unavailable"), Severity::Error, "a proxy is there"),
            (reply(502, "Bad Gateway"), Severity::Error, "a proxy is there"),
            (reply(301, ""), Severity::Error, "redirect"),
            (reply(200, "<html>"), Severity::Error, "not by dynowarden"),
            (reply(404, "not found"), Severity::Error, "not by dynowarden"),
            (none(Unreached::Dns { what: what() }), Severity::Warning, "has no address"),
            (
                none(Unreached::Network { what: what() }),
                Severity::Warning,
                "cannot be reached from this machine",
            ),
            (none(Unreached::Tls { what: what() }), Severity::Error, "TLS failed"),
        ] {
            let found = findings(&way_in);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].0 == severity && found[0].1.contains(part), "{found:?}");
        }
        assert_eq!(check(None, &Identity::default()), []);
    }

    #[test]
    fn a_batch_proves_the_password_and_the_app() {
        let app: crate::ident::AppName = "acme".parse().expect("an app");
        for (status, last, severity, text) in [
            (
                204,
                Some(Some(Duration::from_millis(4200))),
                Severity::Ok,
                "a batch is accepted, last batch 4s ago",
            ),
            (204, Some(None), Severity::Ok, "a batch is accepted, no batch since it started"),
            (204, None, Severity::Ok, "a batch is accepted"),
            (
                401,
                None,
                Severity::Error,
                "a batch was answered with 401: the daemon has another drain password",
            ),
            (404, None, Severity::Error, "a batch was answered with 404: the daemon does not watch this app"),
            (
                413,
                None,
                Severity::Error,
                "a batch was answered with 413: the way to the daemon changes requests",
            ),
        ] {
            let mut way_in = reply(200, "ready");
            way_in.batches.push((app.clone(), Ok(status)));
            way_in.last_batches.extend(last.map(|last| (app.clone(), last)));
            assert_eq!(findings(&way_in)[1], (severity, text.to_owned()));
        }
    }
}
