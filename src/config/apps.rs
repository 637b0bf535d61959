//! The watched apps: `HEROKU_APP` and `[[app]]`.

use secrecy::SecretString;

use crate::config::policy;
use crate::config::problem::{Origin, Problem};
use crate::config::reader::{Reader, Section, at_commas};
use crate::config::rules;
use crate::config::secret::{self, SecretSource};
use crate::config::settings::AppSettings;
use dynowarden_core::ident::{AppName, DrainToken};
use dynowarden_core::limits;
use dynowarden_core::policy::AppPlan;

/// What applies to an app that says nothing else.
pub(super) struct Common<'a> {
    pub(super) drain_password: Option<&'a SecretString>,
    pub(super) old_drain_password: Option<&'a SecretString>,
    /// Its name stands for all others and is replaced.
    pub(super) plan: AppPlan,
}

const APP_ALLOWED: &str = "names of Heroku apps, as `heroku apps` lists them";

/// A drain's password, from a variable or a file.
pub(super) fn read_drain_password(
    reader: &mut Reader<'_>,
    variable: Option<&str>,
    section: &Section,
    key: &'static str,
) -> Option<SecretString> {
    let (allowed, is_usable) = (DRAIN_PASSWORD_ALLOWED, is_drain_password as fn(&str) -> bool);
    secret::read(reader, &SecretSource { variable, section, key, allowed, is_usable })
}

/// Whether a drain password can be in the URL of a drain. Logplex takes what is in front of the host apart
/// at every `:` (heroku.md §1.6), and no URL has blanks or control characters.
fn is_drain_password(text: &str) -> bool {
    !text.chars().any(|c| c == ':' || c.is_whitespace() || c.is_control())
}

/// See [`is_drain_password`].
const DRAIN_PASSWORD_ALLOWED: &str =
    "a password that can be part of a URL, without `:`, blanks and control characters; best [A-Za-z0-9_-]";

/// All apps, those of `HEROKU_APP` first: an app is watched if it is in either place. A list in the
/// environment that silently hid a table of the file would leave an app unguarded.
pub(super) fn read(reader: &mut Reader<'_>, root: &Section, common: &Common<'_>) -> Vec<AppSettings> {
    let named = read_variable(reader);
    let sections = reader.sections(root, "app", "app");
    let mut tables: Vec<AppSettings> = Vec::new();
    for section in &sections {
        let Some(app) = read_one(reader, section, common) else { continue };
        if tables.iter().any(|other| other.plan.name == app.plan.name) {
            reader.problems.push(Problem::value(
                "app.name",
                section.origin.clone(),
                format!("\"{}\" a second time", app.plan.name),
                "one [[app]] for each app",
            ));
            continue;
        }
        refuse_shared_tokens(reader, section, &app, &tables);
        tables.push(app);
    }
    let mut apps = Vec::new();
    for name in named {
        let place = tables.iter().position(|app| app.plan.name == name);
        apps.push(match place {
            Some(place) => tables.remove(place),
            None => AppSettings {
                drain_password: common.drain_password.cloned(),
                old_drain_password: common.old_drain_password.cloned(),
                drain_tokens: Vec::new(),
                plan: AppPlan { name, ..common.plan.clone() },
            },
        });
    }
    apps.append(&mut tables);
    if apps.len() > limits::APPS_MAX {
        let text = format!("read {} apps; allowed: at most {}", apps.len(), limits::APPS_MAX);
        reader.problems.push(Problem::new("app", root.origin.clone(), text));
    }
    apps
}

fn read_variable(reader: &mut Reader<'_>) -> Vec<AppName> {
    let Some(found) = reader.variable("HEROKU_APP") else { return Vec::new() };
    let mut names: Vec<AppName> = Vec::new();
    for item in reader.items(&found, APP_ALLOWED, at_commas).unwrap_or_default() {
        match item.value.text().map(str::parse::<AppName>) {
            Some(Ok(name)) if names.contains(&name) => {}
            Some(Ok(name)) => names.push(name),
            Some(Err(reason)) => reader.refuse(&item, format!("{APP_ALLOWED}, comma-separated ({reason})")),
            None => reader.refuse(&item, APP_ALLOWED),
        }
    }
    names
}

fn read_one(reader: &mut Reader<'_>, section: &Section, common: &Common<'_>) -> Option<AppSettings> {
    if reader.find(section, "name").is_none() {
        reader.missing(section, "name", "the name of a Heroku app, as `heroku apps` lists it");
    }
    let name_allowed = "the name of a Heroku app: lower-case letters, digits and -, at most 128";
    let name = reader.parsed(section, "name", name_allowed);
    let own_password = read_drain_password(reader, None, section, "drain_password_file");
    let own_old_password = read_drain_password(reader, None, section, "old_drain_password_file");
    let tokens: Option<Vec<DrainToken>> =
        reader.list(section, "drain_tokens", "drain tokens, as `heroku drains --json` shows them", at_commas);
    let own_types = policy::process_types(reader, section);
    let own_policy = reader.section(section, "policy", "app.policy");
    let both = reader.find(section, "process_types").and(reader.find(&own_policy, "process_types"));
    if let Some(found) = both {
        let text = "is also set as app.process_types; allowed: one of the two";
        reader.problems.push(Problem::new(found.setting, found.origin, text));
    }
    let mut policy = policy::read(reader, &own_policy, &common.plan.policy);
    if let Some(types) = own_types {
        policy.process_types = types;
    }
    let own_rules = rules::read(reader, section, "app.rule");
    let rules = own_rules.unwrap_or_else(|| common.plan.rules.clone());
    // The common one was never the password of an app that has its own.
    let common_old = common.old_drain_password.filter(|_| own_password.is_none());
    Some(AppSettings {
        old_drain_password: own_old_password.or_else(|| common_old.cloned()),
        drain_password: own_password.or_else(|| common.drain_password.cloned()),
        drain_tokens: tokens.unwrap_or_default(),
        plan: AppPlan { name: name?, dry_run: common.plan.dry_run, policy, rules },
    })
}

/// A token is all that says whose lines a batch on `/logs` holds.
fn refuse_shared_tokens(
    reader: &mut Reader<'_>,
    section: &Section,
    app: &AppSettings,
    others: &[AppSettings],
) {
    for token in &app.drain_tokens {
        let owner = others.iter().find(|other| other.drain_tokens.contains(token));
        if let Some(owner) = owner {
            let origin: Origin =
                reader.find(section, "drain_tokens").map_or(section.origin.clone(), |f| f.origin);
            reader.problems.push(Problem::value(
                "app.drain_tokens",
                origin,
                format!("\"{token}\""),
                format!("a token that belongs to this app alone; {} has it already", owner.plan.name),
            ));
        }
    }
}
