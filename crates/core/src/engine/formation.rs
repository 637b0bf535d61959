//! Whether a formation can spare one more dyno.
//!
//! Dynos that are out, or have not settled, count against `max_concurrent`. A dyno that has been out for
//! longer than `boot_timeout` is broken and no longer counts: nothing is gained by waiting for it. Then at
//! least half of the others must be up, and there is always one that is.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::{DynoInfo, FormationInfo};
use crate::engine::attempt::Cause;
use crate::event::DynoState;
use crate::ident::DynoName;
use crate::limits;
use crate::policy::Policy;
use crate::policy::verdict::{Bounds, History, verdict};
use crate::record::hold::Hold;
use crate::time::{Now, on_axis, since};

/// The facts of one inspection, and our own related facts.
pub(super) struct Inspection<'a> {
    pub cause: &'a Cause,
    pub name: &'a DynoName,
    pub policy: &'a Policy,
    /// Other dynos of the formation that may be out because of us.
    pub ours_out: &'a [DynoName],
    /// Other dynos that lines show starting or just up, and that the list lacks.
    pub unlisted: &'a [DynoName],
    /// Other dynos whose restart failed, each with the latest time at which the API accepted it.
    pub failed: &'a [(DynoName, Timestamp)],
    /// Other dynos that are not up, each with the time since which it has not been.
    pub down: &'a [(DynoName, Timestamp)],
    /// Whether it has waited for releases long enough.
    pub ignores_deploys: bool,
    pub view: &'a FormationInfo,
}

/// The other dynos of a formation, by whether they serve.
#[derive(Debug, Default)]
struct Others<'o> {
    /// Out, or not settled yet: each with the time left until it has settled, if it is up.
    out: Vec<(&'o DynoName, DynoState, Option<Duration>)>,
    broken: Vec<&'o DynoName>,
    /// Up and settled.
    serving: usize,
    /// Dynos that the formation should have, that the list does not show, and of which nothing else is known.
    missing: usize,
}

/// Judges the dynos of the type, the target among them. Returns the broken ones.
///
/// # Errors
/// The reason to wait, and for how long if the others only have to settle.
pub(super) fn can_spare(
    formation: &[&DynoInfo],
    inspection: &Inspection<'_>,
    now: Now,
) -> Result<Vec<DynoName>, (Hold, Option<Duration>)> {
    let others = others(formation, inspection, now);
    if let Some(dyno) = failed_without_proof(formation, inspection) {
        return Err((Hold::FormationFailed { dyno }, None));
    }
    let policy = inspection.policy;
    let history = History { others_out: others.out.len() + others.missing, ..History::default() };
    let first = others.out.first().copied();
    if verdict(&history, &Bounds::from(policy), on_axis(now.mono)).is_err() {
        let allowed = policy.max_concurrent.get();
        let (dyno, state) =
            first.map_or((inspection.name, DynoState::Other), |(dyno, state, _)| (dyno, state));
        let hold = Hold::FormationOut { dyno: dyno.clone(), state, allowed };
        return Err((hold, settled_in(&others, allowed as usize)));
    }
    let total = others.out.len() + others.broken.len() + others.serving + others.missing;
    let least = if others.broken.is_empty() { 1 } else { total.div_ceil(2) };
    if total > 0 && others.serving < least {
        let dyno = first.map(|(dyno, ..)| dyno).or(others.broken.first().copied());
        let dyno = dyno.unwrap_or(inspection.name).clone();
        let hold = Hold::TooFewUp { dyno, up: others.serving, others: total };
        let left = others.out.iter().filter_map(|(.., left)| *left).min();
        return Err((hold, left));
    }
    Ok(others.broken.into_iter().cloned().collect())
}

fn others<'o>(formation: &[&'o DynoInfo], inspection: &Inspection<'o>, now: Now) -> Others<'o> {
    let policy = inspection.policy;
    let mut others = Others::default();
    for seen in formation.iter().filter(|seen| seen.name != *inspection.name) {
        let down = inspection.down.iter().find(|(name, _)| *name == seen.name);
        let is_ours = inspection.ours_out.contains(&seen.name);
        let up_for = since(seen.surely_in_state_since(), now.wall);
        if seen.state == DynoState::Up {
            match policy.settle.saturating_sub(up_for) {
                Duration::ZERO if !is_ours => others.serving += 1,
                left => others.out.push((&seen.name, seen.state, Some(left))),
            }
        } else if !is_ours && is_broken(down.map(|(_, at)| *at), seen, inspection, now) {
            others.broken.push(&seen.name);
        } else {
            others.out.push((&seen.name, seen.state, None));
        }
    }
    let is_listed = |name: &DynoName| formation.iter().any(|seen| seen.name == *name);
    let unlisted: BTreeSet<&DynoName> =
        inspection.ours_out.iter().chain(inspection.unlisted).filter(|name| !is_listed(name)).collect();
    let quantity = inspection.view.quantity.unwrap_or(0);
    let of_quantity = unlisted.iter().filter(|name| name.index() <= quantity).count();
    let shown = formation.len() + usize::from(!is_listed(inspection.name)) + of_quantity;
    others.missing = (quantity as usize).saturating_sub(shown);
    others.out.extend(unlisted.into_iter().map(|name| (name, DynoState::Starting, None)));
    others
}

fn is_broken(down: Option<Timestamp>, seen: &DynoInfo, inspection: &Inspection<'_>, now: Now) -> bool {
    // With preboot, the old process serves on while the new one is starting.
    let serves_on = inspection.view.preboot && seen.state == DynoState::Starting;
    let spare = if serves_on { limits::PREBOOT_OVERLAP } else { Duration::ZERO };
    let since_when = down.unwrap_or_else(|| seen.in_state_since());
    since(since_when, now.wall) > inspection.policy.boot_timeout + spare
}

/// A dyno whose restart failed, while nothing shows that dynos of its type can boot: the same cause may keep
/// all of them from coming up.
fn failed_without_proof(formation: &[&DynoInfo], inspection: &Inspection<'_>) -> Option<DynoName> {
    let has_booted_since = |at: Timestamp| {
        formation.iter().any(|seen| seen.state == DynoState::Up && seen.in_state_since() > at)
    };
    inspection.failed.iter().find(|(_, at)| !has_booted_since(*at)).map(|(name, _)| name.clone())
}

/// How long until enough of the dynos that are up have settled.
fn settled_in(others: &Others<'_>, allowed: usize) -> Option<Duration> {
    let surplus = (others.out.len() + others.missing + 1).saturating_sub(allowed);
    let mut left: Vec<Duration> = others.out.iter().filter_map(|(.., left)| *left).collect();
    left.sort_unstable();
    surplus.checked_sub(1).and_then(|place| left.get(place).copied())
}
