//! `[policy]` and `[app.policy]`.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use crate::config::field::Field;
use crate::config::keys;
use crate::config::reader::{Reader, at_commas};
use dynowarden_core::calendar;
use dynowarden_core::ident::{self, NameError, ProcessType};
use dynowarden_core::policy::{Policy, Rate};

/// What applies where nothing is set.
pub(super) fn defaults() -> Policy {
    let minutes = |count: u64| Duration::from_secs(count * 60);
    Policy {
        process_types: vec!["web".parse().expect("`web` is letters only")],
        cooldown: minutes(10),
        max_restarts: Rate { count: NonZeroU32::MIN.saturating_add(7), per: minutes(120) },
        give_up_after: NonZeroU32::MIN.saturating_add(2),
        give_up_for: minutes(360),
        max_concurrent: NonZeroU32::MIN,
        settle: Duration::from_secs(30),
        min_uptime: minutes(3),
        boot_timeout: minutes(3),
        window: Vec::new(),
    }
}

/// What a window may be.
pub(super) const WINDOW_ALLOWED: &str =
    "windows such as \"Mon-Fri 00:00-06:00 America/New_York\", or \"quiet\"";

/// `base` with every key that is set in `section`.
pub(super) fn read(reader: &mut Reader<'_>, section: &keys::Policy, base: &Policy) -> Policy {
    let types = process_types(reader, &section.process_types);
    let window = reader.list(&section.window, WINDOW_ALLOWED, calendar::split_list);
    Policy {
        process_types: types.unwrap_or_else(|| base.process_types.clone()),
        cooldown: reader.get(&section.cooldown).unwrap_or(base.cooldown),
        max_restarts: reader.get(&section.max_restarts).unwrap_or(base.max_restarts),
        give_up_after: reader.get(&section.give_up_after).unwrap_or(base.give_up_after),
        give_up_for: reader.get(&section.give_up_for).unwrap_or(base.give_up_for),
        max_concurrent: reader.get(&section.max_concurrent).unwrap_or(base.max_concurrent),
        settle: reader.get(&section.settle).unwrap_or(base.settle),
        min_uptime: reader.get(&section.min_uptime).unwrap_or(base.min_uptime),
        boot_timeout: reader.get(&section.boot_timeout).unwrap_or(base.boot_timeout),
        window: window.unwrap_or_else(|| base.window.clone()),
    }
}

/// `process_types` of a policy or of an app.
pub(super) fn process_types(reader: &mut Reader<'_>, field: &Field) -> Option<Vec<ProcessType>> {
    let allowed = "process types of the Procfile, such as \"web\"";
    let problems = reader.problems.len();
    let types: Vec<LongRunning> = reader.list(field, allowed, at_commas)?;
    if types.is_empty() && reader.problems.len() == problems {
        let allowed = format!("at least one of the {allowed} (to watch without acting: dry_run = true)");
        reader.refuse_as(field.found()?, "an empty list", allowed);
    }
    (!types.is_empty()).then(|| types.into_iter().map(|long_running| long_running.0).collect())
}

/// A process type whose dynos keep running. The others run one command and are never restarted.
#[derive(PartialEq)]
struct LongRunning(ProcessType);

#[derive(Debug, thiserror::Error)]
enum LongRunningError {
    #[error("{0}")]
    Name(NameError),
    #[error("one-off dynos are never restarted")]
    OneOff,
}

impl FromStr for LongRunning {
    type Err = LongRunningError;

    fn from_str(text: &str) -> Result<Self, LongRunningError> {
        let process_type: ProcessType = text.parse().map_err(LongRunningError::Name)?;
        if ident::is_one_off(text) { Err(LongRunningError::OneOff) } else { Ok(Self(process_type)) }
    }
}
