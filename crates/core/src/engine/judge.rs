//! Whether a dyno may be restarted, from the engine's own state and from what the API shows.
//!
//! Nothing here changes state, so each refusal can be read and tested alone.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::{ApiError, DynoInfo};
use crate::engine::attempt::Cause;
use crate::engine::dyno::{Dyno, GivenUp};
use crate::engine::formation::{self, Inspection};
use crate::event::DynoState;
use crate::ident::DynoName;
use crate::limits;
use crate::policy::verdict::{Bounds, History, Refusal, earliest, verdict};
use crate::policy::{MemoryBound, Policy};
use crate::record::MemoryReading;
use crate::record::hold::{AgeLimit, Hold};
use crate::time::{Now, later, on_axis, since};

/// What an attempt should do now.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Assessment {
    /// Replace this instance.
    Go {
        seen: Box<DynoInfo>,
        /// The number of dynos of its type.
        formation: usize,
        /// Others of its type that have been out for so long that they no longer count as out.
        broken: Vec<DynoName>,
    },
    /// Not this dyno, not for this error.
    Leave(Hold),
    /// Not yet: something else is in the way, for this long if known.
    Wait(Hold, Option<Duration>),
}

/// What the engine knows of a dyno's app.
#[derive(Clone, Debug)]
pub(super) struct Context<'c> {
    pub policy: &'c Policy,
    /// The memory limit of the cause, if it has one.
    pub limit: Option<MemoryBound>,
    /// Announced releases so far.
    pub releases_seen: u64,
    pub has_preboot: bool,
    /// The earlier of our clock and Heroku's.
    pub cautious: Timestamp,
    /// The reason if no window is open.
    pub shut: Option<Hold>,
}

/// Judges without asking the API: first the error, then the dyno, then the hour.
pub(super) fn before_looking(
    cause: &Cause,
    dyno: &Dyno,
    context: &Context<'_>,
    now: Now,
) -> Result<(), Hold> {
    let policy = context.policy;
    if let Some(error_at) = cause.error_at() {
        error_is_current(error_at, now.wall)?;
        // It is that old at least, should our clock be behind Heroku's.
        if let Some(age) = cause.heard_for(now.mono).filter(|age| *age > limits::ERROR_AGE_MAX) {
            return Err(Hold::Stale { age });
        }
        if let Some(began) = dyno.process_began.filter(|began| *began > error_at) {
            return Err(Hold::Superseded { created_at: began });
        }
        if let Some(seen) = &dyno.seen {
            older_than_error(seen, error_at)?;
        }
        // With a longer `min_uptime`, a process that young is left alone anyway.
        if policy.min_uptime < limits::OLD_PROCESS_MAX && dyno.may_be_of_stopped(error_at) {
            return Err(Hold::PlatformActs);
        }
        memory_is_high(dyno, error_at, context)?;
    }
    // A person's request has its own look.
    if !cause.is_manual() && dyno.is_one_off(now.mono) {
        return Err(Hold::OneOff);
    }
    by_history(cause, dyno, context, now)?;
    if let Some(hold) = &context.shut {
        return Err(hold.clone());
    }
    if let Some(refused) = dyno.refused.as_deref().filter(|refused| refused.until > now.mono) {
        let until = later(now.wall, refused.until.saturating_sub(now.mono));
        return Err(Hold::RefusedBefore { error: refused.error.clone(), until });
    }
    match dyno.platform_acts(cause.error_at().unwrap_or(now.wall), policy.boot_timeout) {
        Some(hold) => Err(hold),
        None => Ok(()),
    }
}

/// A reading since the error that is below the limit withdraws it.
fn memory_is_high(dyno: &Dyno, error_at: Timestamp, context: &Context<'_>) -> Result<(), Hold> {
    let Some(limit) = context.limit else { return Ok(()) };
    let since_error = [dyno.memory, dyno.sample]
        .into_iter()
        .flatten()
        .find(|memory| memory.at > error_at && is_below(memory, limit));
    // An error names no instance. Under preboot it may be the old one's, and the new one's samples tell.
    let may_have_twin =
        context.has_preboot && dyno.instances.as_ref().is_some_and(|instances| instances.has_previous());
    let beside = dyno.sample.filter(|sample| {
        may_have_twin && since(sample.at, error_at) <= SAMPLE_EVERY && is_below(sample, limit)
    });
    match since_error.or(beside) {
        Some(memory) => Err(Hold::Recovered { memory }),
        None => Ok(()),
    }
}

fn is_below(memory: &MemoryReading, limit: MemoryBound) -> bool {
    match limit {
        MemoryBound::OfQuota { permille } => memory.permille < permille,
        MemoryBound::Size(size) => memory.used < size,
    }
}

/// Samples come about every 20 s (heroku.md §3).
const SAMPLE_EVERY: Duration = Duration::from_secs(25);

/// Judges by the restarts so far. After an announced release or another process, what the old one used up is
/// left to the inspection, which shows the release.
fn by_history(cause: &Cause, dyno: &Dyno, context: &Context<'_>, now: Now) -> Result<(), Hold> {
    let restarts = &dyno.restarts;
    if cause.is_forced() {
        return Ok(());
    }
    let is_released = restarts.is_unseen || restarts.releases_seen != context.releases_seen;
    let is_in_force = |given_up: &&GivenUp| given_up.is_in_force(Now { wall: context.cautious, ..now });
    let given_up = restarts.given_up.as_deref().filter(|given_up| !is_released && is_in_force(given_up));
    // A look for a release that no line announced; it restarts nothing before that is known.
    if given_up.is_some_and(|given_up| given_up.look_again <= now.mono) {
        return Ok(());
    }
    let accepted: &[SignedDuration] = if is_released { &[] } else { restarts.accepted.as_slice() };
    let history = History {
        accepted,
        cooling_from: restarts.last.as_ref().map(|last| last.accepted),
        useless: if is_released { 0 } else { restarts.doublings() },
        given_up_until: given_up.map(|given_up| on_axis(given_up.until)),
        ..History::default()
    };
    let bounds = Bounds::from(context.policy);
    let at = |until: SignedDuration| {
        later(now.wall, Duration::try_from(until.saturating_sub(on_axis(now.mono))).unwrap_or_default())
    };
    match (verdict(&history, &bounds, on_axis(now.mono)), given_up) {
        (Err(Refusal::CoolingDown { until }), _) => Err(Hold::CoolingDown {
            until: at(until),
            cooldown: bounds.cooldown_after(history.useless),
            useless: history.useless,
        }),
        (Err(Refusal::GivenUp { .. }), Some(given_up)) => {
            Err(Hold::GivenUp { until: given_up.until_at, useless: restarts.useless })
        }
        (Err(Refusal::MaxRestarts { until }), _) => {
            Err(Hold::MaxRestarts { allowed: context.policy.max_restarts, until: at(until) })
        }
        _ => Ok(()),
    }
}

/// The rest of the cool-down; none when it is over.
pub(super) fn cool_down_left(dyno: &Dyno, policy: &Policy, now: Duration) -> Option<Duration> {
    let cooling_from = dyno.restarts.last.as_ref().map(|restart| restart.accepted);
    let history = History { cooling_from, useless: dyno.restarts.doublings(), ..History::default() };
    let ends = earliest(&history, &Bounds::from(policy), on_axis(now))?;
    Duration::try_from(ends.saturating_sub(on_axis(now))).ok()
}

/// Judges by what the API shows: first the dyno itself, then its formation.
pub(super) fn by_view(inspection: &Inspection<'_>, now: Now) -> Assessment {
    let view = inspection.view;
    let Some(seen) = &view.dyno else { return Assessment::Leave(Hold::Gone) };
    let policy = inspection.policy;
    if let Err(hold) = by_itself(seen, inspection.name, (policy, view.preboot), inspection.cause, now) {
        return Assessment::Leave(hold);
    }
    let is_of_type =
        |other: &&DynoInfo| other.process_type == *inspection.name.process_type() && !other.is_one_off;
    let formation: Vec<&DynoInfo> = view.formation.iter().filter(is_of_type).collect();
    if let Some(error) = disagreement(seen, &formation) {
        return Assessment::Wait(Hold::ApiError(error), None);
    }
    let deploying = deploying(&formation, policy, now).filter(|_| !inspection.ignores_deploys);
    if let Some(hold) = deploying {
        return Assessment::Wait(hold, None);
    }
    match formation::can_spare(&formation, inspection, now) {
        Err((hold, span)) => Assessment::Wait(hold, span),
        Ok(broken) => Assessment::Go {
            seen: Box::new(seen.clone()),
            formation: formation.len().max(view.quantity.unwrap_or(0) as usize).max(1),
            broken,
        },
    }
}

/// Judges the dyno alone, as the API shows it.
pub(super) fn by_itself(
    seen: &DynoInfo,
    name: &DynoName,
    (policy, has_preboot): (&Policy, bool),
    cause: &Cause,
    now: Now,
) -> Result<(), Hold> {
    if seen.is_one_off {
        return Err(Hold::OneOff);
    }
    if seen.name != *name || seen.process_type != *name.process_type() {
        return Err(Hold::WrongType);
    }
    if seen.state != DynoState::Up {
        return Err(Hold::NotUp { state: seen.state });
    }
    // An error's age and a dyno's age are both by the platform's clock, so ours need not be right.
    let judged_at = match cause.error_at() {
        Some(error_at) => {
            older_than_error(seen, error_at)?;
            error_at
        }
        None => now.wall,
    };
    let (min, limit) = least_uptime(cause, policy, has_preboot);
    let age = since(seen.surely_in_state_since(), judged_at);
    if age < min && !cause.is_forced() {
        return Err(Hold::TooYoung { age, min, limit });
    }
    Ok(())
}

/// The longest of `min_uptime`, the age that the cause is about, and the time for which preboot's old dynos
/// run on.
fn least_uptime(cause: &Cause, policy: &Policy, has_preboot: bool) -> (Duration, AgeLimit) {
    let above = if let Cause::Age { above, .. } = cause { *above } else { Duration::ZERO };
    let preboot = if has_preboot { limits::PREBOOT_UPTIME_MIN } else { Duration::ZERO };
    let least = [(above, AgeLimit::Above), (preboot, AgeLimit::Preboot)];
    let first = (policy.min_uptime, AgeLimit::MinUptime);
    least.into_iter().fold(first, |longest, other| if other.0 > longest.0 { other } else { longest })
}

fn error_is_current(error_at: Timestamp, wall: Timestamp) -> Result<(), Hold> {
    let age = since(error_at, wall);
    if age > limits::ERROR_AGE_MAX {
        return Err(Hold::Stale { age });
    }
    let lead = since(wall, error_at);
    if lead > limits::CLOCK_LEAD_MAX {
        return Err(Hold::ClockAhead { lead });
    }
    Ok(())
}

fn older_than_error(seen: &DynoInfo, error_at: Timestamp) -> Result<(), Hold> {
    if seen.surely_in_state_since() >= error_at {
        return Err(Hold::Superseded { created_at: seen.in_state_since() });
    }
    Ok(())
}

/// The two answers of an inspection describe one process. If only one of them has a change of state after its
/// creation, the other left out all `updated_at`, and which dynos have just come up is unknown.
fn disagreement(seen: &DynoInfo, formation: &[&DynoInfo]) -> Option<ApiError> {
    let knows_change = |seen: &DynoInfo| seen.updated_at > seen.created_at;
    let other = formation.iter().find(|other| other.id == seen.id && other.state == seen.state)?;
    (knows_change(other) != knows_change(seen)).then(|| ApiError::Garbled {
        what: format!("{} has an updated_at in one answer and none in the other", seen.name),
    })
}

/// Two releases alongside each other, while the newer one may still be booting or in preboot's overlap.
fn deploying(formation: &[&DynoInfo], policy: &Policy, now: Now) -> Option<Hold> {
    let from = formation.iter().filter_map(|seen| seen.release).min()?;
    let to = formation.iter().filter_map(|seen| seen.release).max()?;
    let youngest =
        formation.iter().filter(|seen| seen.release == Some(to)).map(|seen| seen.created_at).max()?;
    let overlap = policy.boot_timeout.saturating_add(PREBOOT_OVERLAP);
    (from != to && since(youngest, now.wall) < overlap).then_some(Hold::Deploying { from, to })
}

/// Preboot keeps the old dynos for the boot timeout and two minutes more
/// (<https://devcenter.heroku.com/changelog-items/1121>).
const PREBOOT_OVERLAP: Duration = Duration::from_secs(2 * 60);

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{DynoInfo, by_itself, disagreement};
    use crate::engine::attempt::Cause;
    use crate::event::DynoState;
    use crate::policy::{Policy, Rate};
    use crate::time::Now;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    /// A dyno that came up at a time.
    fn up(second: i64) -> DynoInfo {
        DynoInfo {
            name: "web.1".parse().expect("a dyno"),
            is_one_off: false,
            process_type: "web".parse().expect("a type"),
            id: "i".parse().expect("an id"),
            created_at: at(second - 10),
            updated_at: at(second),
            state: DynoState::Up,
            release: None,
        }
    }

    #[test]
    fn a_young_dyno_is_held_by_the_longest_limit_and_the_reason_names_it() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let policy = Policy {
            process_types: vec!["web".parse().expect("a type")],
            cooldown: minutes(10),
            max_restarts: Rate { count: NonZeroU32::MIN, per: minutes(120) },
            give_up_after: NonZeroU32::MIN,
            give_up_for: minutes(360),
            max_concurrent: NonZeroU32::MIN,
            settle: minutes(1),
            min_uptime: minutes(3),
            boot_timeout: minutes(3),
            window: Vec::new(),
        };
        let error = |second| Cause::Rule {
            rule: "r".into(),
            code: None,
            lines: 1,
            error_at: at(second),
            heard_at: Duration::ZERO,
        };
        let age = || Cause::Age { rule: "r".into(), above: minutes(960) };
        let old = up(1000);
        let least = format!("{}", old.surely_in_state_since().duration_since(old.in_state_since()));
        assert_eq!(least, "PT1S", "the API cuts times to whole seconds");
        for (cause, has_preboot, expect) in [
            // The error was written when the dyno was too young, however late it is judged.
            (error(1180), false, "up for only 2m 59s (min_uptime = 3m)"),
            (error(1180), true, "up for only 2m 59s (at least 5m because of preboot)"),
            (age(), false, "up for only 3m 9s (the rule's above = 16h)"),
            (age(), true, "up for only 3m 9s (the rule's above = 16h)"),
        ] {
            let now = Now { mono: Duration::ZERO, wall: at(1190) };
            let name = "web.1".parse().expect("a dyno");
            let held = by_itself(&old, &name, (&policy, has_preboot), &cause, now);
            assert_eq!(held.expect_err("it is young").to_string(), expect);
        }
    }

    /// Found by the simulation: in a list without `updated_at`, a dyno that had just come up looked as if it
    /// had settled long ago.
    #[test]
    fn answers_that_disagree_about_updated_at_are_rejected() {
        let seen = |updated| DynoInfo {
            name: "web.1".parse().expect("a dyno"),
            is_one_off: false,
            process_type: "web".parse().expect("a type"),
            id: "i".parse().expect("an id"),
            created_at: at(100),
            updated_at: at(updated),
            state: DynoState::Up,
            release: None,
        };
        let elsewhere = DynoInfo { id: "j".parse().expect("an id"), ..seen(100) };
        for (one, list, is_believed) in [
            (seen(130), seen(130), true),
            (seen(100), seen(100), true),
            (seen(130), seen(100), false),
            (seen(100), seen(130), false),
            (seen(130), elsewhere, true),
            (seen(130), DynoInfo { state: DynoState::Starting, ..seen(100) }, true),
        ] {
            assert_eq!(disagreement(&one, &[&list]).is_none(), is_believed, "{one:?} {list:?}");
        }
    }
}
