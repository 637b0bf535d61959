//! The watched apps: `HEROKU_APP` and `[[app]]`.

use std::str::FromStr as _;

use secrecy::SecretString;
use toml::Spanned;

use crate::config::keys;
use crate::config::policy;
use crate::config::problem::Problem;
use crate::config::reader::{Reader, at_commas};
use crate::config::rules;
use crate::config::secret;
use crate::config::settings::AppSettings;
use dynowarden_core::ident::{AppName, DrainToken};
use dynowarden_core::limits;
use dynowarden_core::policy::AppPlan;

/// What applies to an app that has no settings of its own.
pub(super) struct Common<'a> {
    pub(super) drain_password: Option<&'a SecretString>,
    pub(super) old_drain_password: Option<&'a SecretString>,
    /// Its name is a placeholder.
    pub(super) plan: AppPlan,
}

/// All apps, those of `HEROKU_APP` first. An app is watched if it is in either place: a list in the
/// environment that silently hid a table of the file would leave an app unguarded.
pub(super) fn read(
    reader: &mut Reader<'_>,
    sections: &[Spanned<keys::App>],
    common: &Common<'_>,
) -> Vec<AppSettings> {
    let named = read_variable(reader);
    let mut tables: Vec<AppSettings> = Vec::new();
    for section in sections {
        let at = section.span().start;
        let Some(app) = read_one(reader, section.get_ref(), at, common, &tables) else { continue };
        if tables.iter().any(|other| other.plan.name == app.plan.name) {
            let name = &app.plan.name;
            let text = format!("read \"{name}\" a second time; allowed: one [[app]] for each app");
            reader.problem_with("app.name", at, text);
            continue;
        }
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
        reader.problems.push(Problem::new("app", reader.places.whole_file(), text));
    }
    apps
}

fn read_variable(reader: &mut Reader<'_>) -> Vec<AppName> {
    let allowed = "names of Heroku apps, as `heroku apps` lists them";
    let items = reader.variable("HEROKU_APP").and_then(|found| reader.items(&found, allowed, at_commas));
    let because = |reason| format!("{allowed}, comma-separated ({reason})");
    reader.parsed(items.unwrap_or_default(), because, allowed)
}

/// A wrong name is refused with what was probably meant.
fn read_name(reader: &mut Reader<'_>, section: &keys::App) -> Option<AppName> {
    let (found, _) = section.name.read()?;
    match found.value.text().map(AppName::from_str) {
        Some(Ok(name)) => Some(name),
        Some(Err(reason)) => {
            reader.refuse(found, format!("the name of a Heroku app, as `heroku apps` lists it ({reason})"));
            None
        }
        None => reader.get(&section.name),
    }
}

fn read_one(
    reader: &mut Reader<'_>,
    section: &keys::App,
    at: usize,
    common: &Common<'_>,
    others: &[AppSettings],
) -> Option<AppSettings> {
    if !section.name.is_set() {
        reader.missing("app.name", at, "the name of a Heroku app, as `heroku apps` lists it");
    }
    let name = read_name(reader, section);
    let own_password = secret::read_file(reader, &section.drain_password_file, secret::DRAIN_PASSWORD);
    let own_old_password =
        secret::read_file(reader, &section.old_drain_password_file, secret::DRAIN_PASSWORD);
    let allowed = "drain tokens, as `heroku drains --json` shows them";
    let drain_tokens: Vec<DrainToken> =
        reader.list(&section.drain_tokens, allowed, at_commas).unwrap_or_default();
    let own_types = policy::process_types(reader, &section.process_types);
    if let Some(found) = section.policy.process_types.found().filter(|_| section.process_types.is_set()) {
        reader.problem(found.at, "is also set as app.process_types; allowed: only one of the two");
    }
    let mut policy = policy::read(reader, &section.policy, &common.plan.policy);
    if let Some(types) = own_types {
        policy.process_types = types;
    }
    let rules = rules::read(reader, &section.rule, "app.rule").unwrap_or_else(|| common.plan.rules.clone());
    let name = name?;
    // A drain token alone says whose lines a batch on `/logs` holds.
    for (token, owner) in drain_tokens.iter().filter_map(|token| {
        let owner = others.iter().find(|other| other.drain_tokens.contains(token))?;
        (owner.plan.name != name).then_some((token, &owner.plan.name))
    }) {
        let text = format!(
            "read \"{token}\"; allowed: a token that belongs to this app alone; {owner} has it already"
        );
        let at = section.drain_tokens.found().map_or(at, |found| found.at);
        reader.problem_with("app.drain_tokens", at, text);
    }
    // The common old password was never the password of an app that has its own.
    let common_old = common.old_drain_password.filter(|_| own_password.is_none());
    Some(AppSettings {
        old_drain_password: own_old_password.or_else(|| common_old.cloned()),
        drain_password: own_password.or_else(|| common.drain_password.cloned()),
        drain_tokens,
        plan: AppPlan { name, dry_run: common.plan.dry_run, policy, rules },
    })
}
