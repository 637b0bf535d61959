//! An app's drains: whether one of them leads to the daemon, with the right password, and only once.

use secrecy::{ExposeSecret as _, SecretString};

use crate::api::ApiError;
use crate::api::json::{AppInfo, Drain};
use crate::drain_url::{self, DrainUrl, PublicUrl};
use crate::health::check::facts::{AppFacts, Facts, Home, PasswordPlace};
use crate::health::check::finding::{Finding, Severity, Subject};
use crate::health::judgement;

/// A drain that is meant for the daemon.
struct Ours<'d> {
    drain: &'d Drain,
    url: DrainUrl,
}

pub(super) fn examine(facts: &Facts, app: &AppFacts, info: &AppInfo) -> Vec<Finding> {
    let drains = match &app.drains {
        Ok(drains) => drains,
        Err(error) => {
            let fix = "check that the token has the scope write, and try again";
            return vec![Finding::error(Subject::Drain, error.to_string()).fix(fix)];
        }
    };
    let ours: Vec<Ours<'_>> = ours(facts.public_url.as_ref(), app, drains);
    if let Some(finding) = look_for_loop(facts, app, info, (drains, &ours)) {
        return vec![finding];
    }
    let good = ours.iter().filter(|drain| works(drain, app)).collect::<Vec<_>>();
    let mut findings: Vec<Finding> = ours.iter().filter_map(|drain| trouble_with(drain, app)).collect();
    if !good.is_empty() {
        // Nothing is lost that way; a drain that is refused only costs and complains.
        findings.iter_mut().for_each(|finding| finding.severity = Severity::Warning);
    }
    findings.push(match good.as_slice() {
        [] => missing(facts, app, drains, !ours.is_empty()),
        [one] => {
            let added = if matches!(app.registered, Some(Ok(()))) { "added: " } else { "" };
            Finding::ok(Subject::Drain, format!("{added}{} ({})", one.url.shown(), one.drain.token))
        }
        [_, more @ ..] => {
            let text = format!("{} drains lead here, so every line comes that often", good.len());
            let name = &app.plan.name;
            let remove = |ours: &&Ours<'_>| format!("heroku drains:remove {} -a {name}", ours.drain.token);
            let fix = more.iter().map(remove).collect::<Vec<_>>().join(" && ");
            Finding::warning(Subject::Drain, text).fix(fix)
        }
    });
    findings
}

/// Whether a drain of the app to this address would lead the app's log into the app itself.
pub fn would_loop(public_url: &PublicUrl, home: &Home, app: &AppFacts) -> bool {
    app.info.as_ref().is_ok_and(|info| {
        let wanted = public_url.of_app(&app.plan.name).and_then(|url| drain_url::host_of(&url));
        let own = info.web_url.as_deref().and_then(drain_url::host_of);
        home.is(&app.plan.name, info) || (own.is_some() && own == wanted)
    })
}

/// Whether the app has a drain that works; what `--register` goes by.
pub fn is_registered(public_url: Option<&PublicUrl>, app: &AppFacts) -> bool {
    let drains = app.drains.as_deref().unwrap_or_default();
    ours(public_url, app, drains).iter().any(|ours| works(ours, app))
}

/// The URL that the app's drain should have, with its password; none without one, or where the address
/// belongs to another app.
pub fn wanted_url(public_url: &PublicUrl, app: &AppFacts) -> Option<SecretString> {
    let password = app.password.as_ref()?.expose_secret();
    let userinfo = format!("{USER}:{}", drain_url::percent_encoded(password));
    public_url.with_userinfo(&userinfo, &app.plan.name).map(SecretString::from)
}

/// Whatever stands in front of the colon is not looked at.
const USER: &str = "drain";

/// With the daemon's address known, the drains that lead to it; else those with a path of ours.
fn ours<'d>(public_url: Option<&PublicUrl>, app: &AppFacts, drains: &'d [Drain]) -> Vec<Ours<'d>> {
    let parsed = drains
        .iter()
        .filter(|drain| !drain.of_addon)
        .filter_map(|drain| Some(Ours { drain, url: DrainUrl::parse(drain.url.expose_secret())? }));
    parsed.filter(|ours| judgement::is_ours(&ours.url, public_url, &app.plan.name)).collect()
}

fn works(ours: &Ours<'_>, app: &AppFacts) -> bool {
    ours.url.is_http()
        && ours.url.is_path_of(&app.plan.name)
        && app.password.as_ref().is_some_and(|password| ours.url.password_is(password))
}

/// Each batch to an app that drains into itself makes a router line, and that a new batch (heroku.md §7).
/// That is so whatever its path is, and whoever reads the batches.
fn look_for_loop(
    facts: &Facts,
    app: &AppFacts,
    info: &AppInfo,
    (drains, ours): (&[Drain], &[Ours<'_>]),
) -> Option<Finding> {
    let own_host = info.web_url.as_deref().and_then(drain_url::host_of);
    let leads_home = |drain: &&Drain| {
        let url = DrainUrl::parse(drain.url.expose_secret());
        own_host.is_some() && url.as_ref().map(DrainUrl::host) == own_host.as_deref()
    };
    let is_home = facts.home.is(&app.plan.name, info);
    let looping = drains.iter().find(leads_home);
    let looping = looping.or(ours.first().filter(|_| is_home).map(|ours| ours.drain));
    let name = &app.plan.name;
    if let Some(looping) = looping {
        let text = "it drains into itself: each batch makes a router line, hence a new batch, without end";
        let fix = format!("heroku drains:remove {} -a {name}", looping.token);
        return Some(Finding::error(Subject::Drain, text).fix(fix));
    }
    let would_loop = facts.public_url.as_ref().is_some_and(|url| would_loop(url, &facts.home, app));
    (would_loop || is_home).then(|| {
        let text = "the app that dynowarden itself runs in: a drain of it would make a loop without end";
        Finding::error(Subject::Drain, text).fix(format!("take {name} out of HEROKU_APP"))
    })
}

/// What is wrong with a drain that is meant for us.
fn trouble_with(ours: &Ours<'_>, app: &AppFacts) -> Option<Finding> {
    let (name, url, token) = (&app.plan.name, &ours.url, &ours.drain.token);
    let remove = format!("heroku drains:remove {token} -a {name}");
    let text = if !url.is_http() {
        format!("{} is a syslog drain, and batches come over HTTPS only", url.shown())
    } else if !url.is_path_of(name) {
        format!("{} has the wrong path: /logs/{name} is the right one", url.shown())
    } else if !url.has_password() && app.password.is_some() {
        format!("{} has no password, so every batch is refused", url.shown())
    } else if app.old_password.as_ref().is_some_and(|password| url.password_is(password)) {
        let text = format!("{} has the old password, which is still accepted", url.shown());
        let fix = format!("when one with the new password is there, {remove}");
        return Some(Finding::warning(Subject::Drain, text).fix(fix));
    } else if app.password.as_ref().is_some_and(|password| !url.password_is(password)) {
        format!("{} has another password than DRAIN_PASSWORD, so every batch is refused", url.shown())
    } else if url.is_clear() {
        let text = format!("{} sends logs and password in clear", url.shown());
        return Some(Finding::warning(Subject::Drain, text).fix(format!("{remove}, then add it with https")));
    } else {
        return None;
    };
    Some(Finding::error(Subject::Drain, text).fix(remove))
}

fn missing(facts: &Facts, app: &AppFacts, drains: &[Drain], some_are_wrong: bool) -> Finding {
    if let Some(Err(error)) = &app.registered {
        let text = format!("its drain could not be added: {error}");
        let fix = match error {
            ApiError::Refused { status: 422, .. } => "look at `heroku drains` for its five drains at most",
            _ => "check that the token has the scope write, then try again",
        };
        return Finding::error(Subject::Drain, text).fix(fix);
    }
    let what = if some_are_wrong { "none that works leads here" } else { "none of its drains leads here" };
    let elsewhere = elsewhere(facts, app, drains);
    Finding::error(Subject::Drain, format!("{what}{elsewhere}")).fix(add_command(facts, app))
}

/// A drain with our path at another machine is most often the same daemon under another name.
fn elsewhere(facts: &Facts, app: &AppFacts, drains: &[Drain]) -> String {
    let hosts: Vec<String> =
        ours(None, app, drains).iter().map(|drain| drain.url.host().to_owned()).collect();
    match facts.public_url {
        Some(_) if !hosts.is_empty() => format!(" ({} has one with such a path)", hosts.join(", ")),
        _ => String::new(),
    }
}

/// The exact command that adds the drain. The password stands there only if it is a fresh one.
fn add_command(facts: &Facts, app: &AppFacts) -> String {
    let name = &app.plan.name;
    let (userinfo, quote, first) = match (&app.password, app.password_place) {
        (None, _) => {
            let fresh = &facts.fresh_password;
            (format!("{USER}:{fresh}"), '\'', format!("set DRAIN_PASSWORD={fresh} for the daemon, then "))
        }
        (Some(_), PasswordPlace::Variable) => (format!("{USER}:$DRAIN_PASSWORD"), '"', String::new()),
        (Some(_), PasswordPlace::File) => {
            let first = "put the text of the drain's password file into DRAIN_PASSWORD, then ";
            (format!("{USER}:$DRAIN_PASSWORD"), '"', first.to_owned())
        }
    };
    let known = facts.public_url.as_ref().and_then(|public| public.with_userinfo(&userinfo, name));
    let url = known.unwrap_or_else(|| format!("https://{userinfo}@YOUR-HOST/logs/{name}"));
    format!("{first}heroku drains:add {quote}{url}{quote} -a {name}")
}
