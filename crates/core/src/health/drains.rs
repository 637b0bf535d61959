//! An app's drains: whether one leads here, with the right password, only once and not in a loop.
//!
//! Two predicates say whether an app has a drain of ours. They differ on purpose:
//!
//! - `is_registered` is for `check --register`, which adds a drain unless one works. A drain works with HTTP,
//!   the right path and the right password. Drains of add-ons are skipped, as users cannot change them.
//! - [`leading_here`] is for the watchdog, which reports that no batch can arrive. A drain that batches came
//!   from counts, even if an add-on owns it or a proxy changes its URL on the way. With a public URL any path
//!   on that host counts. Scheme and password are ignored: such a drain is wrong, but not missing.

use secrecy::{ExposeSecret as _, SecretString};

use crate::api::json::{AppInfo, Drain};
use crate::api::{ApiError, SETTLE};
use crate::drain_url::{self, DrainUrl, PublicUrl};
use crate::health::facts::{AppFacts, Facts, Identity, PasswordPlace};
use crate::health::finding::{Finding, Severity, Subject};
use crate::ident::{AppName, DrainToken};

/// A drain whose URL leads to dynowarden.
struct Candidate<'d> {
    drain: &'d Drain,
    url: DrainUrl,
}

fn candidates<'d>(
    drains: &'d [Drain],
    identity: &Identity,
    app: &AppName,
) -> impl Iterator<Item = Candidate<'d>> {
    let parsed = drains
        .iter()
        .filter_map(|drain| Some(Candidate { drain, url: DrainUrl::parse(drain.url.expose_secret())? }));
    parsed.filter(|candidate| identity.is_reached_by(&candidate.url, app))
}

/// Returns the first of an app's drains that leads here; `seen_tokens` are the tokens of its batches so far.
pub fn leading_here<'d>(
    drains: &'d [Drain],
    seen_tokens: &[DrainToken],
    identity: &Identity,
    app: &AppName,
) -> Option<&'d Drain> {
    let by_token = drains.iter().find(|drain| seen_tokens.contains(&drain.token));
    by_token.or_else(|| candidates(drains, identity, app).next().map(|candidate| candidate.drain))
}

/// Whether batches of a drain arrive here and are accepted: by path, password and, if that is known, host.
pub fn leads_here(
    drain: &Drain,
    app: &AppName,
    passwords: &[SecretString],
    public_url: Option<&PublicUrl>,
) -> bool {
    DrainUrl::parse(drain.url.expose_secret()).is_some_and(|url| {
        url.is_http()
            && match public_url {
                Some(public_url) => url.is_at(public_url) && url.is_path_of(app, Some(public_url)),
                // A proxy may take a prefix away.
                None => url.resembles_path_of(app),
            }
            && passwords.iter().any(|password| url.password_is(password))
    })
}

/// Returns the URL, with its password, of the drain that `--register` adds. There is none if a drain works
/// already, if it would loop, or if the app, its password or the public URL does not allow one.
pub fn url_to_add(identity: &Identity, app: &AppFacts) -> Option<SecretString> {
    let public_url = identity.public_url.as_ref()?;
    let info = app.info.as_ref().ok().filter(|info| !info.is_fir())?;
    let drains = app.drains.as_ref().ok()?;
    if would_loop(identity, app, info) || is_registered(drains, identity, app) {
        return None;
    }
    let password = drain_url::percent_encoded(app.password.as_ref()?.expose_secret());
    public_url.with_userinfo(&format!("{USER}:{password}"), &app.plan.name).map(SecretString::from)
}

/// The HTTP server ignores the user name.
const USER: &str = "drain";

fn is_registered(drains: &[Drain], identity: &Identity, app: &AppFacts) -> bool {
    changeable(drains, identity, app).any(|candidate| works(&candidate, identity, app))
}

/// Users cannot change the drains of add-ons.
fn changeable<'d>(
    drains: &'d [Drain],
    identity: &Identity,
    app: &AppFacts,
) -> impl Iterator<Item = Candidate<'d>> {
    candidates(drains, identity, &app.plan.name).filter(|candidate| !candidate.drain.of_addon)
}

fn works(Candidate { url, .. }: &Candidate<'_>, identity: &Identity, app: &AppFacts) -> bool {
    url.is_http()
        && url.is_path_of(&app.plan.name, identity.public_url.as_ref())
        && app.password.as_ref().is_some_and(|password| url.password_is(password))
}

/// Whether a drain of the app to the public URL would lead into the app itself.
fn would_loop(identity: &Identity, app: &AppFacts, info: &AppInfo) -> bool {
    let url = identity.public_url.as_ref().and_then(|public_url| public_url.of_app(&app.plan.name));
    let target = url.as_deref().and_then(drain_url::host_of);
    let own = info.web_url.as_deref().and_then(drain_url::host_of);
    runs_in(identity, app, info) || (own.is_some() && own == target)
}

fn runs_in(identity: &Identity, app: &AppFacts, info: &AppInfo) -> bool {
    identity.runs_in(&[app.plan.name.as_str(), &info.name, &info.id])
}

pub(super) fn looping(drain: &DrainToken, app: &AppName) -> Finding {
    let text = "the app drains into itself: each batch causes a router line, and so another batch";
    Finding::error(Subject::Drain, text, removal(drain, app))
}

pub(super) fn missing(fix: impl Into<String>) -> Finding {
    Finding::error(Subject::Drain, "no drain of this app points here", fix)
}

pub(super) fn foreign(drain: &DrainToken, owner: Option<&AppName>) -> Finding {
    let whose = owner.map_or_else(|| "another app".to_owned(), |owner| format!("the app {owner}"));
    let text =
        format!("the drain {drain} of {whose} sends its logs under this app's name; they are not counted");
    let at = owner.map_or("THAT-APP", |owner| owner.as_str());
    Finding::error(Subject::Drain, text, format!("heroku drains:remove {drain} -a {at}"))
}

fn removal(drain: &DrainToken, app: &AppName) -> String {
    format!("heroku drains:remove {drain} -a {app}")
}

pub(super) fn check(facts: &Facts, app: &AppFacts, info: &AppInfo) -> Vec<Finding> {
    let drains = match &app.drains {
        Ok(drains) => drains,
        Err(error) => {
            let fix = if error.is_account_unsettled() { SETTLE } else { CHECK_SCOPE };
            return vec![Finding::error(Subject::Drain, error.to_string(), fix)];
        }
    };
    let ours: Vec<Candidate<'_>> = changeable(drains, &facts.identity, app).collect();
    if let Some(finding) = find_loop(facts, app, info, (drains, &ours)) {
        return vec![finding];
    }
    let good: Vec<&Candidate<'_>> =
        ours.iter().filter(|candidate| works(candidate, &facts.identity, app)).collect();
    let mut findings: Vec<Finding> =
        ours.iter().filter_map(|candidate| mistake(candidate, &facts.identity, app)).collect();
    if !good.is_empty() {
        // No line is lost: the other drain only wastes requests.
        findings.iter_mut().for_each(|finding| finding.severity = Severity::Warning);
    } else if !matches!(app.registered, Some(Err(_)))
        && let Some(first) = findings.first_mut()
    {
        // Added before the wrong one is removed, so that no line is lost.
        let remove = first.fix.as_deref().unwrap_or_default();
        first.fix = Some(format!("{} && {remove}", add_command(facts, app)));
        return findings;
    }
    findings.push(match good.as_slice() {
        [] => none_works(facts, app, drains, !ours.is_empty()),
        [one] => {
            let added = if matches!(app.registered, Some(Ok(()))) { "added: " } else { "" };
            Finding::ok(Subject::Drain, format!("{added}{} ({})", one.url.shown(), one.drain.token))
        }
        [_, more @ ..] => {
            let count = good.len();
            let text = format!("{count} drains point here, so every line arrives {count} times");
            let remove = |candidate: &&Candidate<'_>| removal(&candidate.drain.token, &app.plan.name);
            let fix = more.iter().map(remove).collect::<Vec<_>>().join(" && ");
            Finding::warning(Subject::Drain, text, fix)
        }
    });
    findings
}

const CHECK_SCOPE: &str = "check that the token has the scope write, then try again";

/// Each batch to an app that drains into itself causes a router line, and that another batch (heroku.md §7).
/// The drain's path and its reader do not matter.
fn find_loop(
    facts: &Facts,
    app: &AppFacts,
    info: &AppInfo,
    (drains, ours): (&[Drain], &[Candidate<'_>]),
) -> Option<Finding> {
    let own_host = info.web_url.as_deref().and_then(drain_url::host_of);
    let name = &app.plan.name;
    let host = |drain: &Drain| drain_url::host_of(drain.url.expose_secret());
    let to_own_host = drains.iter().find(|drain| own_host.is_some() && host(drain) == own_host);
    let to_us = ours.first().filter(|_| runs_in(&facts.identity, app, info));
    if let Some(drain) = to_own_host.or(to_us.map(|candidate| candidate.drain)) {
        return Some(looping(&drain.token, name));
    }
    would_loop(&facts.identity, app, info).then(|| {
        let text = "dynowarden itself runs in this app, and a drain to itself would be an endless loop";
        Finding::error(Subject::Drain, text, format!("remove {name} from HEROKU_APP"))
    })
}

/// What is wrong with a drain that leads here.
fn mistake(Candidate { drain, url }: &Candidate<'_>, identity: &Identity, app: &AppFacts) -> Option<Finding> {
    let name = &app.plan.name;
    let remove = removal(&drain.token, name);
    let shown = url.shown();
    let text = if !url.is_http() {
        format!("{shown} is a syslog drain, but dynowarden accepts HTTPS only")
    } else if !url.is_path_of(name, identity.public_url.as_ref()) {
        let prefix = identity.public_url.as_ref().map_or("", PublicUrl::prefix);
        format!(
            "{shown} has the wrong path, so every batch is rejected; the right one is {prefix}/logs/{name}"
        )
    } else if !url.has_password() && app.password.is_some() {
        format!("{shown} has no password, so every batch is rejected")
    } else if app.old_password.as_ref().is_some_and(|password| url.password_is(password)) {
        let text = format!("{shown} has the old password, which is still accepted");
        return Some(Finding::warning(Subject::Drain, text, remove));
    } else if app.password.as_ref().is_some_and(|password| !url.password_is(password)) {
        format!("{shown} has a different password than DRAIN_PASSWORD, so every batch is rejected")
    } else if url.is_clear() {
        let text = format!("{shown} sends logs and password in clear text");
        return Some(Finding::warning(Subject::Drain, text, format!("{remove}, then add it with https")));
    } else {
        return None;
    };
    Some(Finding::error(Subject::Drain, text, remove))
}

fn none_works(facts: &Facts, app: &AppFacts, drains: &[Drain], some_are_wrong: bool) -> Finding {
    if let Some(Err(error)) = &app.registered {
        let fix = match error {
            ApiError::Refused { status: 422, .. } => {
                "check `heroku drains`: an app can have at most five drains"
            }
            error if error.is_account_unsettled() => SETTLE,
            _ => CHECK_SCOPE,
        };
        return Finding::error(Subject::Drain, format!("its drain could not be added: {error}"), fix);
    }
    let mut finding = missing(add_command(facts, app));
    if some_are_wrong {
        finding.text = "no drain of this app has the right URL and password".to_owned();
    }
    // A drain with our path at another host is usually the same daemon under another name.
    let by_path = Identity::default();
    let elsewhere = changeable(drains, &by_path, app);
    let hosts: Vec<String> = elsewhere.map(|candidate| candidate.url.host().to_owned()).collect();
    if facts.identity.public_url.is_some() && !hosts.is_empty() {
        finding.text.push_str(&format!(" (one with the same path points to {})", hosts.join(", ")));
    }
    finding
}

/// The exact command that adds the drain. It shows the password only if that is not in use yet.
fn add_command(facts: &Facts, app: &AppFacts) -> String {
    let name = &app.plan.name;
    let (userinfo, quote, first) = match (&app.password, app.password_place) {
        (None, _) => {
            let fresh = &facts.fresh_password;
            (format!("{USER}:{fresh}"), '\'', format!("set DRAIN_PASSWORD={fresh} for the daemon, then "))
        }
        (Some(_), PasswordPlace::Variable) => (format!("{USER}:$DRAIN_PASSWORD"), '"', String::new()),
        (Some(_), PasswordPlace::File) => {
            let first = "set DRAIN_PASSWORD to the content of the drain's password file, then ";
            (format!("{USER}:$DRAIN_PASSWORD"), '"', first.to_owned())
        }
    };
    let public_url = facts.identity.public_url.as_ref();
    let known = public_url.and_then(|public_url| public_url.with_userinfo(&userinfo, name));
    let url = known.unwrap_or_else(|| format!("https://{userinfo}@YOUR-HOST/logs/{name}"));
    format!("{first}heroku drains:add {quote}{url}{quote} -a {name}")
}
