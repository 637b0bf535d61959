//! Whether a dyno may be restarted, from the engine's own state and from what the API shows.
//!
//! Nothing here changes state, so each refusal can be read and tested alone.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::{ApiError, DynoInfo, FormationInfo};
use crate::calendar;
use crate::engine::attempt::Cause;
use crate::engine::dyno::Dyno;
use crate::event::DynoState;
use crate::ident::DynoName;
use crate::limits;
use crate::policy::Policy;
use crate::policy::verdict::{Bounds, History, Refusal, earliest, verdict};
use crate::record::hold::Hold;
use crate::time::{Now, later, since};

/// What an attempt should do now.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Assessment {
    /// Replace this instance, one of the given number of its type.
    Go(Box<DynoInfo>, usize),
    /// Not this dyno, not for this error.
    Leave(Hold),
    /// Not yet: something else is in the way, for this long if known.
    Wait(Hold, Option<Duration>),
}

/// Judges without asking the API: first the error, then the dyno, then the hour.
pub(super) fn before_looking(cause: &Cause, dyno: &Dyno, policy: &Policy, now: Now) -> Result<(), Hold> {
    if let Some(error_at) = cause.error_at() {
        error_is_current(error_at, now.wall)?;
        if let Some(seen) = &dyno.seen {
            older_than_error(seen, error_at)?;
        }
    }
    by_history(cause, dyno, policy, now)?;
    if !calendar::open(&policy.window, now.wall) {
        return Err(Hold::OutsideWindow { opens: calendar::next_open(&policy.window, now.wall) });
    }
    if dyno.platform_acts(cause.error_at().unwrap_or(now.wall), policy.boot_timeout) {
        return Err(Hold::PlatformActs);
    }
    Ok(())
}

/// Judges by the restarts so far. A given-up dyno is inspected now and then, in case there is a new release.
fn by_history(cause: &Cause, dyno: &Dyno, policy: &Policy, now: Now) -> Result<(), Hold> {
    let given_up = dyno.given_up.as_ref();
    let history = History {
        cooling_from: dyno.last_restart.as_ref().filter(|_| !cause.is_manual()).map(|last| last.accepted),
        given_up_until: given_up.map(|given_up| on_axis(given_up.until.min(given_up.look_again))),
        ..History::default()
    };
    match (verdict(&history, &Bounds::from(policy), on_axis(now.mono)), given_up) {
        (Err(Refusal::CoolingDown { until }), _) => {
            let left = Duration::try_from(until.saturating_sub(on_axis(now.mono))).unwrap_or_default();
            Err(Hold::CoolingDown { until: later(now.wall, left), cooldown: policy.cooldown })
        }
        (Err(Refusal::GivenUp { .. }), Some(given_up)) => Err(Hold::GivenUp { until: given_up.until_at }),
        _ => Ok(()),
    }
}

/// The rest of the cool-down; none when it is over.
pub(super) fn cool_down_left(dyno: &Dyno, policy: &Policy, now: Duration) -> Option<Duration> {
    let cooling_from = dyno.last_restart.as_ref().map(|restart| restart.accepted);
    let history = History { cooling_from, ..History::default() };
    let ends = earliest(&history, &Bounds::from(policy), on_axis(now))?;
    Duration::try_from(ends.saturating_sub(on_axis(now))).ok()
}

/// Converts a time of the engine's clock for verdicts.
pub(super) fn on_axis(mono: Duration) -> SignedDuration {
    SignedDuration::try_from(mono).unwrap_or(SignedDuration::MAX)
}

/// The facts of one inspection, and our own related facts.
pub(super) struct Inspection<'a> {
    pub cause: &'a Cause,
    pub name: &'a DynoName,
    pub policy: &'a Policy,
    /// Other dynos of the formation that may be out because of us.
    pub ours_out: &'a [DynoName],
    pub view: &'a FormationInfo,
}

/// Judges by what the API shows: first the dyno itself, then its formation.
pub(super) fn by_view(inspection: &Inspection<'_>, now: Now) -> Assessment {
    let Some(seen) = &inspection.view.dyno else { return Assessment::Leave(Hold::Gone) };
    if let Err(hold) = by_itself(seen, inspection.name, inspection.policy, inspection.cause, now) {
        return Assessment::Leave(hold);
    }
    let formation: Vec<&DynoInfo> = inspection
        .view
        .formation
        .iter()
        .filter(|other| other.process_type == *inspection.name.process_type())
        .collect();
    if let Some(error) = disagreement(seen, &formation) {
        return Assessment::Wait(Hold::ApiError(error), None);
    }
    if let Some(hold) = deploying(&formation, inspection.policy, now) {
        return Assessment::Wait(hold, None);
    }
    if let Some((hold, span)) = too_many_out(&formation, inspection, now) {
        return Assessment::Wait(hold, span);
    }
    Assessment::Go(Box::new(seen.clone()), formation.len().max(1))
}

/// Judges the dyno alone, as the API shows it.
pub(super) fn by_itself(
    seen: &DynoInfo,
    name: &DynoName,
    policy: &Policy,
    cause: &Cause,
    now: Now,
) -> Result<(), Hold> {
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
    let age = since(seen.surely_in_state_since(), judged_at);
    if age < policy.min_uptime {
        return Err(Hold::TooYoung { age, min: policy.min_uptime });
    }
    Ok(())
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

/// Why one more dyno out would be too many, and for how long if the others only have to settle.
fn too_many_out(
    formation: &[&DynoInfo],
    inspection: &Inspection<'_>,
    now: Now,
) -> Option<(Hold, Option<Duration>)> {
    let others = formation.iter().filter(|seen| seen.name != *inspection.name);
    // Each with the time left until it has settled, if it is up.
    let mut out: Vec<(&DynoName, DynoState, Option<Duration>)> = Vec::new();
    for seen in others {
        let up_for = since(seen.surely_in_state_since(), now.wall);
        let left = (seen.state == DynoState::Up).then(|| inspection.policy.settle.saturating_sub(up_for));
        if left != Some(Duration::ZERO) {
            out.push((&seen.name, seen.state, left));
        }
    }
    for ours in inspection.ours_out {
        if !out.iter().any(|(name, ..)| *name == ours) {
            out.push((ours, DynoState::Starting, None));
        }
    }
    let allowed = inspection.policy.max_concurrent.get() as usize;
    let (dyno, state, _) = *out.first()?;
    let history = History { others_out: out.len(), ..History::default() };
    verdict(&history, &Bounds::from(inspection.policy), on_axis(now.mono)).err()?;
    let surplus = (out.len() + 1).saturating_sub(allowed);
    // The number that must settle before there is a place.
    let mut left: Vec<Duration> = out.iter().filter_map(|(.., left)| *left).collect();
    left.sort_unstable();
    let hold =
        Hold::FormationOut { dyno: dyno.clone(), state, allowed: inspection.policy.max_concurrent.get() };
    Some((hold, left.get(surplus - 1).copied()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{DynoInfo, disagreement};
    use crate::event::DynoState;

    /// Found by the simulation: in a list without `updated_at`, a dyno that had just come up looked as if it
    /// had settled long ago.
    #[test]
    fn answers_that_disagree_about_updated_at_are_rejected() {
        let at = |second| Timestamp::from_second(second).expect("a time");
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
