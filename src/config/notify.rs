//! `[[notify]]`: where messages go, and which ones.
//!
//! The addresses of receivers are secrets themselves: anyone with the URL of a Slack webhook can post to its
//! channel. No message about a setting shows one, not even one that is refused.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use toml::Spanned;

use crate::config::field::{Field, Found, SecretKind};
use crate::config::keys;
use crate::config::problem::{self, Problem, SHOWN_AS};
use crate::config::reader::{Reader, at_commas};
use crate::config::receivers;
use crate::config::secret;
use crate::config::settings::{AppSettings, ChannelSettings, EmailSettings, NotifierSettings};
use crate::config::types::{self, ChannelType};
use dynowarden_core::ident::AppName;
use dynowarden_core::incident::kind::Kind;
use dynowarden_core::limits;

/// All notifiers, in the order of the settings.
pub(super) fn read(
    reader: &mut Reader<'_>,
    sections: &[Spanned<keys::Notify>],
    apps: &[AppSettings],
) -> Vec<NotifierSettings> {
    if sections.len() > limits::NOTIFIERS_MAX {
        let text = format!("read {} notifiers; allowed: at most {}", sections.len(), limits::NOTIFIERS_MAX);
        reader.problems.push(Problem::new("notify", reader.places.whole_file(), text));
    }
    let mut notifiers: Vec<NotifierSettings> = Vec::new();
    for section in sections.iter().take(limits::NOTIFIERS_MAX) {
        let (at, section) = (section.span().start, section.get_ref());
        let Some(mut notifier) = read_one(reader, section, at, apps) else { continue };
        if let Some(name) = section.name.found()
            && notifiers.iter().any(|other| other.name == notifier.name)
        {
            reader.refuse(name, "a name that no other notifier has");
            continue;
        }
        notifier.name = free_name(notifier.name, &notifiers);
        notifiers.push(notifier);
    }
    notifiers
}

/// `name`, or with the first number behind it that no notifier has.
pub(super) fn free_name(name: Arc<str>, notifiers: &[NotifierSettings]) -> Arc<str> {
    let is_taken = |name: &str| notifiers.iter().any(|other| *other.name == *name);
    if !is_taken(&name) {
        return name;
    }
    let mut numbered = (2..).map(|number| format!("{name}-{number}"));
    numbered.find(|name| !is_taken(name)).map_or(name.clone(), Arc::from)
}

pub(super) const GROUP: Duration = Duration::from_secs(30);
pub(super) const REPEAT: Duration = Duration::from_secs(4 * 3600);

/// Reads every key before it gives up, so that every problem is found.
fn read_one(
    reader: &mut Reader<'_>,
    section: &keys::Notify,
    at: usize,
    apps: &[AppSettings],
) -> Option<NotifierSettings> {
    if !section.channel_type.is_set() {
        reader.missing("notify.type", at, types::CHANNEL_ALLOWED);
    }
    let channel_type = reader.get(&section.channel_type);
    let name = reader.get(&section.name);
    let digest = reader.get(&section.digest);
    let on = read_on(reader, &section.on, digest.is_some());
    let notified_apps = read_apps(reader, &section.apps, apps);
    let group = reader.get(&section.group).unwrap_or(GROUP);
    let repeat = reader.get(&section.repeat).unwrap_or(REPEAT);
    let url = read_url(reader, section, at, channel_type);
    let is_pager = channel_type == Some(ChannelType::PagerDuty);
    let secret_kind = if is_pager { ROUTING_KEY } else { SIGNING };
    let secret = read_secret(reader, &section.secret, &section.secret_env, &section.secret_file, secret_kind);
    if is_pager && !has_secret(section) {
        let text = format!("{}; or secret_env or secret_file, which name where it is", ROUTING_KEY.allowed);
        reader.missing("notify.secret", at, text);
    }
    let email = read_email_keys(reader, section);
    let channel_type = channel_type?;
    refuse_foreign(reader, section, channel_type);
    let channel = match channel_type {
        ChannelType::Discord => ChannelSettings::Discord { url: url? },
        ChannelType::PagerDuty => ChannelSettings::PagerDuty { url: url?, routing_key: secret? },
        ChannelType::Slack => ChannelSettings::Slack { url: url? },
        ChannelType::Teams => ChannelSettings::Teams { url: url? },
        ChannelType::Webhook => ChannelSettings::Webhook { url: url?, secret },
        ChannelType::Email => ChannelSettings::Email(read_email(reader, section, at, url, email)?),
    };
    Some(NotifierSettings {
        apps: notified_apps,
        channel,
        digest,
        group,
        name: name.unwrap_or_else(|| channel_type.word().into()),
        on: on?,
        repeat,
        variable: None,
    })
}

fn has_secret(section: &keys::Notify) -> bool {
    [&section.secret, &section.secret_env, &section.secret_file].iter().any(|field| field.is_set())
}

fn read_on(reader: &mut Reader<'_>, field: &Field, has_digest: bool) -> Option<BTreeSet<Kind>> {
    let allowed = format!("kinds of messages: {}", Kind::WORDS);
    let Some(found) = field.found() else { return Some(Kind::DEFAULT.into()) };
    let problems = reader.problems.len();
    let kinds: Vec<Kind> = reader.list(field, &allowed, at_commas)?;
    if reader.problems.len() > problems {
        return None;
    }
    if kinds.is_empty() && !has_digest {
        let allowed = format!("at least one of the {allowed} (none only with a digest)");
        reader.refuse_as(found, "an empty list", allowed);
        return None;
    }
    Some(kinds.into_iter().collect())
}

fn read_apps(reader: &mut Reader<'_>, field: &Field, apps: &[AppSettings]) -> Option<Vec<AppName>> {
    let named: Vec<AppName> = reader.list(field, "names of watched apps", at_commas)?;
    let origin = reader.places.origin(field.found()?.at);
    for name in named.iter().filter(|name| apps.iter().all(|app| app.plan.name != **name)) {
        let warning = format!("notify.apps ({origin}): {name} is not watched, so nothing is reported for it");
        reader.warnings.push(warning);
    }
    Some(named)
}

fn read_url(
    reader: &mut Reader<'_>,
    section: &keys::Notify,
    at: usize,
    channel_type: Option<ChannelType>,
) -> Option<SecretString> {
    let kind = match channel_type {
        Some(ChannelType::Discord) => receivers::DISCORD_URL,
        Some(ChannelType::PagerDuty) => receivers::PAGERDUTY_URL,
        Some(ChannelType::Slack) => receivers::SLACK_URL,
        Some(ChannelType::Teams) => receivers::TEAMS_URL,
        Some(ChannelType::Webhook) => receivers::WEBHOOK_URL,
        Some(ChannelType::Email) => receivers::SMTP_URL,
        None => SecretKind { allowed: "an address", is_usable: |_| true },
    };
    if [&section.url, &section.url_env, &section.url_file].iter().all(|field| !field.is_set()) {
        if channel_type == Some(ChannelType::PagerDuty) {
            return Some(receivers::PAGERDUTY_EVENTS.to_owned().into());
        }
        let allowed = kind.allowed;
        let text =
            format!("{allowed}; or url_env or url_file, which name a variable or a file that holds it");
        reader.missing("notify.url", at, text);
    }
    let url = read_secret(reader, &section.url, &section.url_env, &section.url_file, kind)?;
    let is_webhook = channel_type == Some(ChannelType::Webhook);
    if is_webhook && receivers::is_clear(url.expose_secret()) {
        let origin = reader.places.origin(at);
        let warning = format!("notify.url ({origin}): http to another machine sends messages in clear text");
        reader.warnings.push(warning);
    }
    Some(url)
}

const SIGNING: SecretKind = SecretKind {
    allowed: "a secret of printable characters, ideally 32 random ones",
    is_usable: secret::PASSWORD.is_usable,
};

pub(super) const ROUTING_KEY: SecretKind = SecretKind {
    allowed: "the integration key of a PagerDuty service with the Events API v2, 32 letters and digits",
    is_usable: |text| text.bytes().all(|byte| byte.is_ascii_alphanumeric()),
};

const MAIL_PASSWORD: SecretKind = SecretKind {
    allowed: "the password of the mail server's account, on one line",
    is_usable: |text| !text.chars().any(char::is_control),
};

/// A secret in one of three places: in the file itself, in a variable that a key names, or in a file that a
/// key names.
fn read_secret(
    reader: &mut Reader<'_>,
    plain: &Field,
    variable: &Field,
    file: &Field,
    kind: SecretKind,
) -> Option<SecretString> {
    let mut set = [plain, variable, file].into_iter().filter_map(Field::found);
    let found = set.next()?;
    if let Some(second) = set.next() {
        let first = reader.places.name(found.at);
        reader.problem(second.at, format!("is set together with {first}; allowed: only one of the two"));
    }
    let (text, what) = if plain.is_set() {
        (found.value.text().map(str::to_owned), SHOWN_AS.to_owned())
    } else if variable.is_set() {
        let Some(name) = found.value.text().filter(|name| is_variable_name(name)) else {
            let allowed = "the name of an environment variable, such as SLACK_URL";
            reader.refuse_as(found, "a value that is not shown", allowed);
            return None;
        };
        let Some(text) = reader.any_variable(name) else {
            let missing = format!("the environment variable {name} is empty or not set");
            reader.problem(found.at, format!("{missing}; allowed: {}", kind.allowed));
            return None;
        };
        (Some(text), format!("the value of {name} (not shown)"))
    } else {
        return secret::read_file(reader, file, kind);
    };
    checked(reader, found, text, &what, kind)
}

pub(super) fn checked(
    reader: &mut Reader<'_>,
    found: &Found,
    text: Option<String>,
    what: &str,
    kind: SecretKind,
) -> Option<SecretString> {
    let is_short = |text: &String| (1..=limits::NOTIFIER_URL_BYTES_MAX).contains(&text.len());
    if let Some(text) = text.as_deref().and_then(|text| problem::in_quotes(what, text)) {
        reader.problem(found.at, text);
        return None;
    }
    let secret = text.filter(|text| is_short(text) && (kind.is_usable)(text));
    if secret.is_none() {
        reader.problem(found.at, format!("{what} is not valid; allowed: {}", kind.allowed));
    }
    secret.map(SecretString::from)
}

/// Any other text may be the secret itself, typed in place of a variable's name.
fn is_variable_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= limits::NAME_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Refuses keys of another type, which would have no effect.
fn refuse_foreign(reader: &mut Reader<'_>, section: &keys::Notify, channel_type: ChannelType) {
    let signing = [&section.secret, &section.secret_env, &section.secret_file].map(Field::found);
    let passwords = [&section.password_env, &section.password_file].map(Field::found);
    let other = [section.from.found(), section.to.found(), section.ca_file.found()];
    let is_email = channel_type == ChannelType::Email;
    let has_secret = matches!(channel_type, ChannelType::Webhook | ChannelType::PagerDuty);
    let email = other.into_iter().chain(passwords).filter(|_| !is_email);
    for found in email.chain(signing.into_iter().filter(|_| !has_secret)).flatten() {
        let word = channel_type.word();
        reader.problem(found.at, format!("does not apply to type = \"{word}\"; allowed: remove it"));
    }
}

// === E-mail ===

/// The keys of e-mail alone, as far as they are set and right.
struct EmailKeys {
    password: Option<SecretString>,
    from: Option<String>,
    to: Option<Vec<String>>,
    roots: Option<Arc<str>>,
}

fn read_email_keys(reader: &mut Reader<'_>, section: &keys::Notify) -> EmailKeys {
    let (variable, file) = (&section.password_env, &section.password_file);
    EmailKeys {
        password: read_secret(reader, &Field::default(), variable, file, MAIL_PASSWORD),
        from: reader.get(&section.from),
        to: section.to.found().and_then(|found| read_recipients(reader, found)),
        roots: section.ca_file.found().and_then(|found| read_roots(reader, found)),
    }
}

fn read_recipients(reader: &mut Reader<'_>, found: &Found) -> Option<Vec<String>> {
    let items = reader.items(found, receivers::ADDRESS_ALLOWED, at_commas)?;
    let is_empty = items.is_empty();
    let mut to: Vec<String> = Vec::new();
    for item in items {
        match item.value.text().filter(|text| receivers::is_address(text)) {
            Some(text) if to.iter().any(|other| other == text) => {}
            Some(text) => to.push(text.to_owned()),
            None => reader.refuse(&item, receivers::ADDRESS_ALLOWED),
        }
    }
    if to.len() > limits::RECIPIENTS_MAX || is_empty {
        let allowed = format!("1 to {} addresses", limits::RECIPIENTS_MAX);
        reader.refuse_as(found, format!("{} addresses", to.len()), allowed);
        return None;
    }
    Some(to)
}

/// The text of a file of certificates.
fn read_roots(reader: &mut Reader<'_>, found: &Found) -> Option<Arc<str>> {
    let allowed = "the path of a PEM file with certificates";
    match found.value.text().map(|path| reader.file(Path::new(path))) {
        Some(Ok(text)) if text.contains("-----BEGIN CERTIFICATE-----") => return Some(text.into()),
        Some(Err(error)) => reader.refuse(found, format!("{allowed}, and readable ({error})")),
        Some(Ok(_)) | None => reader.refuse(found, allowed),
    }
    None
}

fn read_email(
    reader: &mut Reader<'_>,
    section: &keys::Notify,
    at: usize,
    url: Option<SecretString>,
    keys: EmailKeys,
) -> Option<EmailSettings> {
    for (setting, is_set) in [("notify.from", section.from.is_set()), ("notify.to", section.to.is_set())] {
        if !is_set {
            reader.missing(setting, at, receivers::ADDRESS_ALLOWED);
        }
    }
    let (from, to) = (keys.from?, keys.to?);
    let url = receivers::smtp_url(url?.expose_secret())?;
    if url.password.is_some() && keys.password.is_some() {
        let text = "the URL already has a password; allowed: only one of the two";
        reader.problem_with("notify.password_file", at, text);
        return None;
    }
    let credentials = match (url.user, url.password.or(keys.password)) {
        (None, None) => None,
        (Some(user), Some(password)) => Some((user, password)),
        (user, _) => {
            let text = if user.is_none() {
                "there is a password but no user; allowed: smtps://USER@HOST:465"
            } else {
                "there is a user but no password; allowed: password_env or password_file, which name a \
                 variable or a file that holds it, or smtps://USER:PASSWORD@HOST:465"
            };
            reader.problem_with("notify.url", at, text);
            return None;
        }
    };
    Some(EmailSettings {
        credentials,
        from,
        host: url.host,
        port: url.port,
        roots: keys.roots,
        security: url.security,
        to,
    })
}
