//! `[policy]` and `[app.policy]`.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::config::problem::Problem;
use crate::config::reader::{Reader, Section, at_commas};
use dynowarden_core::calendar;
use dynowarden_core::ident::{NameError, ProcessType};
use dynowarden_core::limits;
use dynowarden_core::policy::{Policy, Rate};
use dynowarden_core::units::{self, UnitError};

/// What applies where nothing is set.
pub(super) fn defaults() -> Policy {
    let minutes = |count: u64| Duration::from_secs(count * 60);
    Policy {
        process_types: vec!["web".parse().expect("`web` is letters only")],
        cooldown: minutes(10),
        max_restarts: Rate { count: NonZeroU32::MIN.saturating_add(2), per: minutes(120) },
        give_up_for: minutes(360),
        max_concurrent: NonZeroU32::MIN,
        settle: Duration::from_secs(30),
        min_uptime: minutes(3),
        boot_timeout: minutes(3),
        window: Vec::new(),
    }
}

/// `base`, with every key that is set in `section` in place of its own.
pub(super) fn read(reader: &mut Reader<'_>, section: &Section, base: &Policy) -> Policy {
    let or = |set: Option<Duration>, base: Duration| set.unwrap_or(base);
    let some = |least: Duration, most: Duration| least..=most;
    let spans = some(limits::SPAN_MIN, limits::POLICY_SPAN_MAX);
    let zero = Duration::ZERO;
    Policy {
        process_types: process_types(reader, section).unwrap_or_else(|| base.process_types.clone()),
        cooldown: or(
            reader.duration(section, "cooldown", some(zero, limits::POLICY_SPAN_MAX)),
            base.cooldown,
        ),
        max_restarts: rate(reader, section, spans.clone()).unwrap_or(base.max_restarts),
        give_up_for: or(reader.duration(section, "give_up_for", spans), base.give_up_for),
        max_concurrent: count(reader, section, "max_concurrent", limits::CONCURRENT_MAX)
            .unwrap_or(base.max_concurrent),
        settle: or(reader.duration(section, "settle", some(zero, limits::BOOT_SPAN_MAX)), base.settle),
        min_uptime: or(
            reader.duration(section, "min_uptime", some(zero, limits::INSTANCE_SPAN_MAX)),
            base.min_uptime,
        ),
        boot_timeout: or(
            reader.duration(section, "boot_timeout", some(limits::SPAN_MIN, limits::BOOT_SPAN_MAX)),
            base.boot_timeout,
        ),
        window: reader
            .list(section, "window", WINDOW_ALLOWED, calendar::split_list)
            .unwrap_or_else(|| base.window.clone()),
    }
}

const WINDOW_ALLOWED: &str = "windows such as \"Mon-Fri 00:00-06:00 America/New_York\"";

/// `process_types` of `section`, which may be that of a policy or of an app.
pub(super) fn process_types(reader: &mut Reader<'_>, section: &Section) -> Option<Vec<ProcessType>> {
    let types: Vec<Lasting> = reader.list(section, "process_types", TYPES_ALLOWED, at_commas)?;
    if types.is_empty() {
        // Items that were refused have their own problems; a list without any is one, too.
        let found = reader.find(section, "process_types")?;
        if !reader.has_problem(&found.setting) {
            let allowed =
                format!("at least one of the {TYPES_ALLOWED} (to watch without acting: dry_run = true)");
            reader.problems.push(Problem::value(
                &found.setting,
                found.origin.clone(),
                "an empty list",
                allowed,
            ));
        }
        return None;
    }
    Some(types.into_iter().map(|lasting| lasting.0).collect())
}

const TYPES_ALLOWED: &str = "process types of the Procfile, such as \"web\"";

/// A process type whose dynos stay: the others run one command for somebody and are never restarted.
#[derive(PartialEq)]
struct Lasting(ProcessType);

/// What is wrong with a process type.
#[derive(Debug, thiserror::Error)]
enum LastingError {
    #[error("{0}")]
    Name(NameError),
    #[error("one-off dynos are never restarted")]
    OneOff,
}

impl FromStr for Lasting {
    type Err = LastingError;

    fn from_str(text: &str) -> Result<Self, LastingError> {
        let process_type: ProcessType = text.parse().map_err(LastingError::Name)?;
        if ONE_OFF_TYPES.contains(&text) { Err(LastingError::OneOff) } else { Ok(Self(process_type)) }
    }
}

/// `heroku run`, the scheduler add-on, the release phase, and what people call a shell.
const ONE_OFF_TYPES: [&str; 4] = ["console", "release", "run", "scheduler"];

/// A whole number from 1.
pub(super) fn count(
    reader: &mut Reader<'_>,
    section: &Section,
    key: &str,
    count_max: u32,
) -> Option<NonZeroU32> {
    let count = reader.integer(section, key, 1..=u64::from(count_max))?;
    u32::try_from(count).ok().and_then(NonZeroU32::new)
}

fn rate(reader: &mut Reader<'_>, section: &Section, per: RangeInclusive<Duration>) -> Option<Rate> {
    let (least, most) = (units::spell_duration(*per.start()), units::spell_duration(*per.end()));
    let allowed = format!("{}, from 1 to {} in {least} to {most}", UnitError::Rate, limits::COUNT_MAX);
    reader.value(section, "max_restarts", allowed, |value| {
        let rate: Rate = value.text()?.parse().ok()?;
        (rate.count.get() <= limits::COUNT_MAX && per.contains(&rate.per)).then_some(rate)
    })
}
