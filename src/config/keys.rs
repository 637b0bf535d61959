//! The keys of the settings file: its sections, as serde reads them, and the type of each key.

use core::net::IpAddr;
use std::sync::LazyLock;

use serde::de::{Deserializer, Error as _, Visitor, value};
use serde::{Deserialize, forward_to_deserialize_any};
use toml::Spanned;

use crate::config::field::Field;
use crate::config::settings::LogFormat;
use crate::config::types::{ChannelType, Count, EmailAddress, NotifierName, RuleName, Size, Span, ms};
use dynowarden_core::ident::AppName;
use dynowarden_core::incident::digest::DailyTime;
use dynowarden_core::limits;
use dynowarden_core::policy::{Act, Proof, Rate};

/// The file's top level.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Root {
    pub(super) listen: Field<IpAddr>,
    pub(super) port: Field<u16>,
    pub(super) public_url: Field,
    pub(super) trusted_proxies: Field,
    pub(super) dry_run: Field<bool>,
    pub(super) log_format: Field<LogFormat>,
    pub(super) heroku: Heroku,
    pub(super) drain: Drain,
    pub(super) tls: Tls,
    pub(super) admin: Admin,
    pub(super) hook: Hook,
    pub(super) store: Store,
    pub(super) policy: Policy,
    pub(super) rule: Vec<Spanned<Rule>>,
    pub(super) app: Vec<Spanned<App>>,
    pub(super) notify: Vec<Spanned<Notify>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Heroku {
    pub(super) allow_http: Field<bool>,
    pub(super) api_url: Field,
    pub(super) api_key_file: Field,
    pub(super) request_timeout:
        Field<Span<{ ms(limits::REQUEST_TIMEOUT_MIN) }, { ms(limits::REQUEST_TIMEOUT_MAX) }>>,
    pub(super) status_url: Field,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Drain {
    pub(super) password_file: Field,
    pub(super) old_password_file: Field,
    pub(super) max_body: Field<Size<{ limits::BODY_BYTES_LEAST }, { limits::BODY_BYTES_MOST }>>,
    pub(super) max_connections: Field<Count<{ limits::CONNECTIONS_MAX }>>,
    pub(super) statistics: Field<bool>,
    pub(super) evidence: Field<bool>,
    pub(super) silent_after: Field<Span<{ ms(limits::SILENT_AFTER_MIN) }, { ms(limits::SILENT_AFTER_MAX) }>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) cert: Field,
    pub(super) key: Field,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) password_file: Field,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Hook {
    pub(super) key_file: Field,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Store {
    pub(super) url: Field,
    pub(super) url_file: Field,
    pub(super) keep: Field<Span<{ ms(limits::KEEP_MIN) }, { ms(limits::KEEP_MAX) }>>,
    pub(super) keep_series: Field<Span<{ ms(limits::KEEP_SERIES_MIN) }, { ms(limits::KEEP_SERIES_MAX) }>>,
}

/// `[policy]` and `[app.policy]`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Policy {
    pub(super) process_types: Field,
    pub(super) cooldown: Field<Span<0, POLICY_MAX>>,
    pub(super) max_restarts: Field<Rate>,
    pub(super) give_up_after: Field<Count<{ limits::COUNT_MAX }>>,
    pub(super) give_up_for: Field<Span<SPAN_MIN, POLICY_MAX>>,
    pub(super) max_concurrent: Field<Count<{ limits::CONCURRENT_MAX }>>,
    pub(super) settle: Field<Span<0, BOOT_MAX>>,
    pub(super) min_uptime: Field<Span<0, INSTANCE_MAX>>,
    pub(super) boot_timeout: Field<Span<SPAN_MIN, BOOT_MAX>>,
    pub(super) window: Field,
}

const SPAN_MIN: u64 = ms(limits::SPAN_MIN);
const POLICY_MAX: u64 = ms(limits::POLICY_SPAN_MAX);
const BOOT_MAX: u64 = ms(limits::BOOT_SPAN_MAX);
const INSTANCE_MAX: u64 = ms(limits::INSTANCE_SPAN_MAX);

/// `[[rule]]` and `[[app.rule]]`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) name: Field<RuleName>,
    pub(super) on: Field,
    pub(super) count: Field<Count<{ limits::COUNT_MAX }>>,
    pub(super) within: Field<Span<SPAN_MIN, INSTANCE_MAX>>,
    pub(super) above: Field,
    #[serde(rename = "for")]
    pub(super) lasting: Field<Span<SPAN_MIN, INSTANCE_MAX>>,
    #[serde(rename = "do")]
    pub(super) act: Field<Act>,
    pub(super) window: Field,
    pub(super) proof: Field<Proof>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct App {
    pub(super) name: Field<AppName>,
    pub(super) drain_password_file: Field,
    pub(super) old_drain_password_file: Field,
    pub(super) drain_tokens: Field,
    pub(super) process_types: Field,
    pub(super) policy: Policy,
    pub(super) rule: Vec<Spanned<Rule>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Notify {
    #[serde(rename = "type")]
    pub(super) channel_type: Field<ChannelType>,
    pub(super) name: Field<NotifierName>,
    pub(super) url: Field,
    pub(super) url_env: Field,
    pub(super) url_file: Field,
    pub(super) secret: Field,
    pub(super) secret_env: Field,
    pub(super) secret_file: Field,
    pub(super) from: Field<EmailAddress>,
    pub(super) to: Field,
    pub(super) password_env: Field,
    pub(super) password_file: Field,
    pub(super) ca_file: Field,
    pub(super) on: Field,
    pub(super) apps: Field,
    pub(super) group: Field<Span<0, { ms(limits::GROUP_MAX) }>>,
    pub(super) repeat: Field<Span<{ ms(limits::REPEAT_MIN) }, { ms(limits::REPEAT_MAX) }>>,
    pub(super) digest: Field<DailyTime>,
}

/// A section's name, and its keys in their order.
pub type SectionKeys = (&'static str, &'static [&'static str]);

/// Every section of the file with its keys; the first is the file's top level. `app.policy` and `app.rule`
/// have the keys of `policy` and `rule`.
pub static SECTIONS: LazyLock<[SectionKeys; 11]> = LazyLock::new(|| {
    [
        ("", struct_keys::<Root>()),
        ("heroku", struct_keys::<Heroku>()),
        ("drain", struct_keys::<Drain>()),
        ("tls", struct_keys::<Tls>()),
        ("admin", struct_keys::<Admin>()),
        ("hook", struct_keys::<Hook>()),
        ("store", struct_keys::<Store>()),
        ("policy", struct_keys::<Policy>()),
        ("rule", struct_keys::<Rule>()),
        ("app", struct_keys::<App>()),
        ("notify", struct_keys::<Notify>()),
    ]
});

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One table, `[policy]`.
    Section,
    /// A list of tables, `[[rule]]`.
    Tables,
    Value,
}

/// The setting of `key` in `section`, as a user types it.
pub(super) fn path(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// The key at the end of a path.
pub(super) fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// The keys of `section`.
pub(super) fn keys_of(section: &str) -> &'static [&'static str] {
    let section = section.strip_prefix("app.").unwrap_or(section);
    SECTIONS.iter().find(|(name, _)| *name == section).map_or(&[], |(_, keys)| keys)
}

/// What the setting at `path` stands for.
pub(super) fn shape(path: &str) -> Shape {
    let section = path.strip_prefix("app.").unwrap_or(path);
    match section {
        "rule" | "app" | "notify" => Shape::Tables,
        _ if SECTIONS.iter().any(|(name, _)| *name == section) => Shape::Section,
        _ => Shape::Value,
    }
}

/// Every setting that has a value: all but the names of sections, which have keys instead.
pub(super) fn all_paths() -> impl Iterator<Item = String> {
    let paths = SECTIONS.iter().flat_map(|(section, keys)| keys.iter().map(|key| path(section, key)));
    paths.filter(|path| shape(path) != Shape::Section)
}

/// The keys that serde reads for the struct `T`.
fn struct_keys<T: Deserialize<'static>>() -> &'static [&'static str] {
    let mut keys: &[&str] = &[];
    // The answer is in the call; there is no value to deserialize.
    drop(T::deserialize(StructKeys(&mut keys)));
    keys
}

/// Notes the fields that a struct asks for.
struct StructKeys<'k>(&'k mut &'static [&'static str]);

impl<'de> Deserializer<'de> for StructKeys<'_> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, value::Error> {
        Err(value::Error::custom("only structs have keys"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
