//! What the settings may be: a type for each kind of value, with the text that refuses any other.

use core::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::config::field::{FieldType, Value};
use crate::config::receivers;
use crate::config::settings::LogFormat;
use dynowarden_core::ident::AppName;
use dynowarden_core::incident::digest::DailyTime;
use dynowarden_core::limits;
use dynowarden_core::policy::{Act, Factor, MemoryBound, Proof, Rate};
use dynowarden_core::units::{self, UnitError};

// === Numbers ===

/// A whole number from 1 to `MAX`.
pub(super) struct Count<const MAX: u32>;

/// A duration from `MIN` to `MAX` milliseconds.
pub(super) struct Span<const MIN: u64, const MAX: u64>;

/// A size from `MIN` to `MAX` bytes.
pub(super) struct Size<const MIN: u64, const MAX: u64>;

/// A bound of a [`Span`]. All limits are whole milliseconds.
pub(super) const fn ms(span: Duration) -> u64 {
    span.as_secs() * 1000 + span.subsec_millis() as u64
}

impl FieldType for bool {
    type Value = Self;

    fn read(value: &Value) -> Result<Self, String> {
        value.boolean().ok_or_else(|| "true or false".to_owned())
    }
}

/// A port.
impl FieldType for u16 {
    type Value = Self;

    fn read(value: &Value) -> Result<Self, String> {
        let port = value.integer().and_then(|port| Self::try_from(port).ok());
        port.ok_or_else(|| "a whole number from 0 to 65535".to_owned())
    }
}

impl<const MAX: u32> FieldType for Count<MAX> {
    type Value = NonZeroU32;

    fn read(value: &Value) -> Result<NonZeroU32, String> {
        let count = value.integer().and_then(|count| u32::try_from(count).ok()).filter(|count| *count <= MAX);
        count.and_then(NonZeroU32::new).ok_or_else(|| format!("a whole number from 1 to {MAX}"))
    }
}

impl<const MIN: u64, const MAX: u64> FieldType for Span<MIN, MAX> {
    type Value = Duration;

    fn read(value: &Value) -> Result<Duration, String> {
        let range = Duration::from_millis(MIN)..=Duration::from_millis(MAX);
        let span = value.text().and_then(|text| units::duration(text).ok());
        span.filter(|span| range.contains(span)).ok_or_else(|| {
            let (least, most) = (units::spell_duration(*range.start()), units::spell_duration(*range.end()));
            // Only a file has quotes around its values.
            let quotes = if matches!(value, Value::Plain(_)) { "" } else { " in quotes" };
            format!("{}{quotes}, from {least} to {most}", UnitError::Duration)
        })
    }
}

impl<const MIN: u64, const MAX: u64> FieldType for Size<MIN, MAX> {
    type Value = u64;

    fn read(value: &Value) -> Result<u64, String> {
        let bytes = match value {
            Value::Integer(bytes) => u64::try_from(*bytes).ok(),
            other => other.text().and_then(|text| units::bytes(text).ok()),
        };
        bytes.filter(|bytes| (MIN..=MAX).contains(bytes)).ok_or_else(|| {
            let (least, most) = (units::spell_bytes(MIN), units::spell_bytes(MAX));
            format!("{} from {least} to {most}", UnitError::Size)
        })
    }
}

impl FieldType for Rate {
    type Value = Self;

    fn read(value: &Value) -> Result<Self, String> {
        let periods = limits::SPAN_MIN..=limits::POLICY_SPAN_MAX;
        let rate: Option<Self> = value.text().and_then(|text| text.parse().ok());
        rate.filter(|rate| rate.count.get() <= limits::COUNT_MAX && periods.contains(&rate.per)).ok_or_else(
            || {
                let (least, most) =
                    (units::spell_duration(*periods.start()), units::spell_duration(*periods.end()));
                format!("{}, from 1 to {} in {least} to {most}", UnitError::Rate, limits::COUNT_MAX)
            },
        )
    }
}

/// One per cent to ten times the quota; Heroku kills dynos well below that.
const PERMILLE: std::ops::RangeInclusive<u32> = 10..=10_000;
/// One megabyte to a terabyte; the largest dyno has 128 GB.
const HUNDREDTHS: std::ops::RangeInclusive<u64> = 100..=100 * 1024 * 1024;

impl FieldType for MemoryBound {
    type Value = Self;

    fn read(value: &Value) -> Result<Self, String> {
        let fits = |bound: &Self| match bound {
            Self::OfQuota { permille } => PERMILLE.contains(permille),
            Self::Size(size) => HUNDREDTHS.contains(&size.hundredths),
        };
        let bound: Option<Self> = value.text().and_then(|text| text.parse().ok());
        bound.filter(fits).ok_or_else(|| format!("{}, from 1% to 1000% or 1MB to 1024GB", UnitError::Memory))
    }
}

/// A tenth more than the others to a hundred times as much.
const FACTORS: std::ops::RangeInclusive<u32> = 1100..=100_000;

impl FieldType for Factor {
    type Value = Self;

    fn read(value: &Value) -> Result<Self, String> {
        let factor: Option<Self> = value.text().and_then(|text| text.parse().ok());
        factor
            .filter(|factor| FACTORS.contains(&factor.permille))
            .ok_or_else(|| format!("{}, from 1.1x to 100x", UnitError::Factor))
    }
}

impl FieldType for Proof {
    type Value = Self;

    fn read(value: &Value) -> Result<Self, String> {
        let proof: Option<Self> = value.text().and_then(|text| text.parse().ok());
        let fits =
            |proof: &Self| (1..=proof.of).contains(&proof.breached) && proof.of <= limits::PROOF_LIVES_MAX;
        proof.filter(fits).ok_or_else(|| format!("{}, at most {}", UnitError::Proof, limits::PROOF_LIVES_MAX))
    }
}

// === Texts ===

/// Declares what a setting of text may be: its type, what it is read as, what is allowed, and the parser.
macro_rules! text_types {
    ($($name:ty as $value:ty, $allowed:expr, $parse:expr;)+) => { $(
        impl FieldType for $name {
            type Value = $value;

            fn read(value: &Value) -> Result<$value, String> {
                let parse: fn(&str) -> Option<$value> = $parse;
                value.text().and_then(parse).ok_or_else(|| $allowed.to_owned())
            }
        }
    )+ };
}

text_types! {
    Act as Act, ACT_ALLOWED, |text| match text {
        "notify" => Some(Act::Notify),
        "restart" => Some(Act::Restart),
        _ => None,
    };
    AppName as AppName, "the name of a Heroku app: lower-case letters, digits and -, at most 128",
        |text| text.parse().ok();
    ChannelType as ChannelType, CHANNEL_ALLOWED, |text| {
        ChannelType::ALL.into_iter().find(|channel_type| channel_type.word() == text)
    };
    DailyTime as DailyTime,
        "a time of day and a time zone of the IANA database, such as \"09:00 Europe/Berlin\"",
        |text| text.parse().ok();
    EmailAddress as String, receivers::ADDRESS_ALLOWED,
        |text| receivers::is_address(text).then(|| text.to_owned());
    IpAddr as IpAddr, "an IP address to listen on, such as 0.0.0.0, 127.0.0.1 or ::",
        |text| text.parse().ok();
    LogFormat as LogFormat, "text or json", |text| match text {
        "json" => Some(LogFormat::Json),
        "text" => Some(LogFormat::Text),
        _ => None,
    };
    NotifierName as Arc<str>, "a name of 1 to 64 letters, digits, -, _ and .", |text| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let fits = (1..=limits::NOTIFIER_NAME_CHARS_MAX).contains(&text.len());
        (fits && text.bytes().all(is_allowed)).then(|| text.into())
    };
    RuleName as Arc<str>, RULE_NAME_ALLOWED, |text| {
        let fits = (1..=limits::RULE_NAME_CHARS_MAX).contains(&text.chars().count());
        let is_trimmed = text.trim() == text && !text.chars().any(char::is_control);
        (fits && is_trimmed).then(|| text.into())
    };
}

/// The name of a rule.
pub(super) struct RuleName;

/// The name of a notifier.
pub(super) struct NotifierName;

pub(super) struct EmailAddress;

/// `type` of a notifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChannelType {
    Discord,
    Email,
    PagerDuty,
    Slack,
    Teams,
    Webhook,
}

impl ChannelType {
    const ALL: [Self; 6] =
        [Self::Slack, Self::Webhook, Self::Email, Self::PagerDuty, Self::Teams, Self::Discord];

    /// The word of `type`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Discord => "discord",
            Self::Email => "email",
            Self::PagerDuty => "pagerduty",
            Self::Slack => "slack",
            Self::Teams => "teams",
            Self::Webhook => "webhook",
        }
    }
}

pub(super) const ACT_ALLOWED: &str = "restart or notify";
pub(super) const CHANNEL_ALLOWED: &str = "slack, webhook, email, pagerduty, teams or discord";
pub(super) const RULE_NAME_ALLOWED: &str = "a name of 1 to 64 characters on one line";
const _: () = assert!(limits::RULE_NAME_CHARS_MAX == 64 && limits::NOTIFIER_NAME_CHARS_MAX == 64);
