//! `[[notify]]`: who is told of what, and through which medium.
//!
//! The addresses of receivers are secrets themselves: whoever has the URL of a Slack webhook can post to the
//! channel. So no message about a setting shows one, not even one that is refused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::problem::Problem;
use crate::config::reader::{Found, Reader, Section, at_commas};
use crate::config::receivers::{self, SmtpUrl};
use crate::config::secret::{self, SecretSource};
use crate::config::settings::{AppSettings, ChannelSettings, EmailSettings, NotifierSettings};
use dynowarden_core::ident::AppName;
use dynowarden_core::incident::kind::Kind;
use dynowarden_core::limits;

/// All notifiers, in the order of the settings.
pub(super) fn read(reader: &mut Reader<'_>, root: &Section, apps: &[AppSettings]) -> Vec<NotifierSettings> {
    let sections = reader.sections(root, "notify", "notify");
    if sections.len() > limits::NOTIFIERS_MAX {
        let text = format!("read {} notifiers; allowed: at most {}", sections.len(), limits::NOTIFIERS_MAX);
        reader.problems.push(Problem::new("notify", root.origin.clone(), text));
    }
    let mut notifiers: Vec<NotifierSettings> = Vec::new();
    for section in sections.iter().take(limits::NOTIFIERS_MAX) {
        let Some(mut notifier) = read_one(reader, section, apps) else { continue };
        let is_taken =
            |name: &str, others: &[NotifierSettings]| others.iter().any(|other| *other.name == *name);
        if is_taken(&notifier.name, &notifiers) {
            if let Some(found) = reader.find(section, "name") {
                reader.refuse(&found, "a name that no other notifier has");
                continue;
            }
            let word = Arc::clone(&notifier.name);
            let free =
                (2..).map(|number| format!("{word}-{number}")).find(|name| !is_taken(name, &notifiers));
            notifier.name = free.map_or(word, Arc::from);
        }
        notifiers.push(notifier);
    }
    notifiers
}

/// The media, in the words of `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChannelType {
    Email,
    Slack,
    Webhook,
}

const NAME_ALLOWED: &str = "a name of 1 to 64 letters, digits, -, _ and .";
const _: () = assert!(limits::NOTIFIER_NAME_CHARS_MAX == 64);

/// Reads every key before anything is given up, so that every problem is found.
fn read_one(reader: &mut Reader<'_>, section: &Section, apps: &[AppSettings]) -> Option<NotifierSettings> {
    if reader.find(section, "type").is_none() {
        reader.missing(section, "type", "slack, webhook or email");
    }
    let channel_type =
        reader.value(section, "type", "slack, webhook or email", |value| match value.text()? {
            "email" => Some(ChannelType::Email),
            "slack" => Some(ChannelType::Slack),
            "webhook" => Some(ChannelType::Webhook),
            _ => None,
        });
    let name = reader.value(section, "name", NAME_ALLOWED, |value| {
        let text = value.text()?;
        let fits = (1..=limits::NOTIFIER_NAME_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        fits.then(|| Arc::<str>::from(text))
    });
    let digest = reader.parsed(
        section,
        "digest",
        "a time of day and a time zone of the IANA database, such as \"09:00 Europe/Berlin\"",
    );
    let on = read_on(reader, section, digest.is_some());
    let told = read_apps(reader, section, apps);
    let group = reader.duration(section, "group", Duration::ZERO..=limits::GROUP_MAX);
    let repeat = reader.duration(section, "repeat", limits::REPEAT_MIN..=limits::REPEAT_MAX);
    let url = read_url(reader, section, channel_type);
    let keys = ["secret", "secret_env", "secret_file"];
    let signing = read_secret(reader, section, keys, is_signing_secret, SIGNING_ALLOWED);
    let keys = ["", "password_env", "password_file"];
    let password = read_secret(reader, section, keys, is_password, PASSWORD_ALLOWED);
    let addresses = read_addresses(reader, section);
    let roots = read_roots(reader, section);
    let channel_type = channel_type?;
    refuse_foreign(reader, section, channel_type);
    let channel = match channel_type {
        ChannelType::Slack => ChannelSettings::Slack { url: url? },
        ChannelType::Webhook => ChannelSettings::Webhook { url: url?, secret: signing },
        ChannelType::Email => {
            let (from, to) = email_addresses(reader, section, addresses)?;
            let url = receivers::smtp_url(url?.expose_secret())?;
            ChannelSettings::Email(email(reader, section, EmailParts { url, password, from, to, roots })?)
        }
    };
    let word = match channel_type {
        ChannelType::Email => "email",
        ChannelType::Slack => "slack",
        ChannelType::Webhook => "webhook",
    };
    Some(NotifierSettings {
        apps: told,
        channel,
        digest,
        group: group.unwrap_or(GROUP),
        name: name.unwrap_or_else(|| word.into()),
        on: on?,
        repeat: repeat.unwrap_or(REPEAT),
    })
}

const GROUP: Duration = Duration::from_secs(30);
const REPEAT: Duration = Duration::from_secs(4 * 3600);

fn read_on(reader: &mut Reader<'_>, section: &Section, has_digest: bool) -> Option<BTreeSet<Kind>> {
    let allowed = format!("kinds of messages: {}", Kind::WORDS);
    let Some(found) = reader.find(section, "on") else { return Some(Kind::DEFAULT.into()) };
    let problems = reader.problems.len();
    let kinds: Vec<Kind> = reader.list(section, "on", &allowed, at_commas)?;
    if reader.problems.len() > problems {
        return None;
    }
    if kinds.is_empty() && !has_digest {
        let allowed = format!("at least one of the {allowed} (none only with a digest)");
        reader.problems.push(Problem::value(found.setting, found.origin, "an empty list", allowed));
        return None;
    }
    Some(kinds.into_iter().collect())
}

fn read_apps(reader: &mut Reader<'_>, section: &Section, apps: &[AppSettings]) -> Option<Vec<AppName>> {
    let found = reader.find(section, "apps")?;
    let named: Vec<AppName> = reader.list(section, "apps", "names of watched apps", at_commas)?;
    for name in named.iter().filter(|name| apps.iter().all(|app| app.plan.name != **name)) {
        let warning = format!(
            "{} ({}): {name} is not watched, so nothing is reported for it",
            found.setting, found.origin
        );
        reader.warnings.push(warning);
    }
    Some(named)
}

fn read_url(
    reader: &mut Reader<'_>,
    section: &Section,
    channel_type: Option<ChannelType>,
) -> Option<SecretString> {
    let (is_usable, allowed): (fn(&str) -> bool, _) = match channel_type {
        Some(ChannelType::Slack) => (receivers::is_slack_url, receivers::SLACK_URL_ALLOWED),
        Some(ChannelType::Webhook) => (receivers::is_webhook_url, receivers::WEBHOOK_URL_ALLOWED),
        Some(ChannelType::Email) => (|text| receivers::smtp_url(text).is_some(), receivers::SMTP_URL_ALLOWED),
        None => (|_| true, "an address"),
    };
    let keys = ["url", "url_env", "url_file"];
    let is_set = keys.iter().any(|key| reader.find(section, key).is_some());
    if !is_set {
        let allowed =
            format!("{allowed}; or url_env or url_file, which name a variable or a file that holds it");
        reader.missing(section, "url", allowed);
    }
    let url = read_secret(reader, section, keys, is_usable, allowed)?;
    let is_web = matches!(channel_type, Some(ChannelType::Slack | ChannelType::Webhook));
    if is_web && receivers::is_clear(url.expose_secret()) {
        let warning =
            format!("notify.url ({}): http to another machine sends messages in clear", section.origin);
        reader.warnings.push(warning);
    }
    Some(url)
}

const SIGNING_ALLOWED: &str = "a secret of printable characters, best 32 random ones";

fn is_signing_secret(text: &str) -> bool {
    text.trim() == text && !text.chars().any(char::is_control)
}

const PASSWORD_ALLOWED: &str = "the password of the mail server's account, on one line";

fn is_password(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// A secret that stands in the file itself, in a variable that a key names, or in a file that a key names;
/// in one of the three. An empty key is one that there is not.
fn read_secret(
    reader: &mut Reader<'_>,
    section: &Section,
    [plain, variable, file]: [&'static str; 3],
    is_usable: fn(&str) -> bool,
    allowed: &'static str,
) -> Option<SecretString> {
    let keys = [plain, variable, file];
    let set: Vec<&str> =
        keys.into_iter().filter(|key| !key.is_empty() && reader.find(section, key).is_some()).collect();
    if let [first, second, ..] = set.as_slice() {
        let found = reader.find(section, second)?;
        let text = format!("is set together with notify.{first}; allowed: one of the two");
        reader.problems.push(Problem::new(found.setting, found.origin, text));
    }
    let key = *set.first()?;
    if key == file {
        return secret::read(
            reader,
            &SecretSource { variable: None, section, key: file, allowed, is_usable },
        );
    }
    let found = reader.find(section, key)?;
    let (text, what) = if key == plain {
        (found.value.text().map(str::to_owned), "the value (not shown)".to_owned())
    } else {
        let name = found.value.text().filter(|name| is_variable_name(name));
        let Some(name) = name else {
            refuse_hidden(reader, &found, "the name of an environment variable, such as SLACK_URL");
            return None;
        };
        let Some(text) = reader.any_variable(name) else {
            let text = format!("the environment has no variable {name}, or it is empty; allowed: {allowed}");
            reader.problems.push(Problem::new(found.setting, found.origin, text));
            return None;
        };
        (Some(text), format!("the value of {name} (not shown)"))
    };
    let is_short = |text: &String| (1..=limits::NOTIFIER_URL_BYTES_MAX).contains(&text.len());
    match text {
        Some(text) if is_short(&text) && is_usable(&text) => Some(text.into()),
        _ => {
            let text = format!("{what} cannot work; allowed: {allowed}");
            reader.problems.push(Problem::new(found.setting, found.origin, text));
            None
        }
    }
}

/// What is no variable's name may well be the secret itself, typed in its place.
fn is_variable_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= limits::NAME_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

fn refuse_hidden(reader: &mut Reader<'_>, found: &Found, allowed: &str) {
    let text = format!("read a value that is not shown; allowed: {allowed}");
    reader.problems.push(Problem::new(found.setting.clone(), found.origin.clone(), text));
}

// === E-mail ===

/// The sender and the recipients, as far as they are set and right.
type Addresses = (Option<String>, Option<Vec<String>>);

fn read_addresses(reader: &mut Reader<'_>, section: &Section) -> Addresses {
    let from = reader.value(section, "from", receivers::ADDRESS_ALLOWED, |value| {
        value.text().filter(|text| receivers::is_address(text)).map(str::to_owned)
    });
    let Some(found) = reader.find(section, "to") else { return (from, None) };
    let Some(items) = reader.items(&found, receivers::ADDRESS_ALLOWED, at_commas) else {
        return (from, None);
    };
    let mut to: Vec<String> = Vec::new();
    for item in items {
        match item.value.text() {
            Some(text) if !receivers::is_address(text) => reader.refuse(&item, receivers::ADDRESS_ALLOWED),
            Some(text) if to.iter().any(|other| other == text) => {}
            Some(text) => to.push(text.to_owned()),
            None => reader.refuse(&item, receivers::ADDRESS_ALLOWED),
        }
    }
    if to.len() > limits::RECIPIENTS_MAX || (to.is_empty() && !reader.has_problem(&found.setting)) {
        let read = format!("{} addresses", to.len());
        let allowed = format!("1 to {} addresses", limits::RECIPIENTS_MAX);
        reader.problems.push(Problem::value(found.setting, found.origin, read, allowed));
        return (from, None);
    }
    (from, Some(to))
}

fn email_addresses(
    reader: &mut Reader<'_>,
    section: &Section,
    (from, to): Addresses,
) -> Option<(String, Vec<String>)> {
    for key in ["from", "to"] {
        if reader.find(section, key).is_none() {
            reader.missing(section, key, receivers::ADDRESS_ALLOWED);
        }
    }
    Some((from?, to?))
}

/// The text of a file of certificates.
fn read_roots(reader: &mut Reader<'_>, section: &Section) -> Option<Arc<str>> {
    let allowed = "the path of a file of certificates in PEM form";
    let found = reader.find(section, "ca_file")?;
    let text = found.value.text().map(|path| reader.file(std::path::Path::new(path)));
    match text {
        Some(Ok(text)) if text.contains("-----BEGIN CERTIFICATE-----") => Some(text.into()),
        Some(Err(error)) => {
            reader.refuse(&found, format!("{allowed} that can be read ({error})"));
            None
        }
        Some(Ok(_)) | None => {
            reader.refuse(&found, allowed);
            None
        }
    }
}

struct EmailParts {
    url: SmtpUrl,
    password: Option<SecretString>,
    from: String,
    to: Vec<String>,
    roots: Option<Arc<str>>,
}

fn email(reader: &mut Reader<'_>, section: &Section, parts: EmailParts) -> Option<EmailSettings> {
    let EmailParts { url, password, from, to, roots } = parts;
    let mut refuse = |key: &str, text: &str| {
        let setting = format!("notify.{key}");
        reader.problems.push(Problem::new(setting, section.origin.clone(), text));
    };
    let password = match (url.password, password) {
        (Some(_), Some(_)) => {
            refuse("password_file", "the URL has a password already; allowed: one of the two");
            return None;
        }
        (one, other) => one.or(other),
    };
    match (&url.user, &password) {
        (None, Some(_)) => {
            refuse("url", "there is a password and no user; allowed: smtps://USER@HOST:465");
            return None;
        }
        (Some(_), None) => {
            refuse(
                "url",
                "there is a user and no password; allowed: password_env or password_file, which name a \
                 variable or a file that holds it, or smtps://USER:PASSWORD@HOST:465",
            );
            return None;
        }
        (None, None) | (Some(_), Some(_)) => {}
    }
    Some(EmailSettings {
        credentials: url.user.zip(password),
        from,
        host: url.host,
        port: url.port,
        roots,
        security: url.security,
        to,
    })
}

/// Refuses keys of another medium: they would be without effect.
fn refuse_foreign(reader: &mut Reader<'_>, section: &Section, channel_type: ChannelType) {
    let (email, signing) = (
        &["from", "to", "password_env", "password_file", "ca_file"][..],
        &["secret", "secret_env", "secret_file"][..],
    );
    let (word, foreign) = match channel_type {
        ChannelType::Email => ("email", vec![signing]),
        ChannelType::Slack => ("slack", vec![email, signing]),
        ChannelType::Webhook => ("webhook", vec![email]),
    };
    for key in foreign.into_iter().flatten() {
        if let Some(found) = reader.find(section, key) {
            let text = format!("has no meaning with type = \"{word}\"; allowed: leave it out");
            reader.problems.push(Problem::new(found.setting, found.origin, text));
        }
    }
}
