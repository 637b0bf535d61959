//! Puts the answers of one inspection together, and rejects answers that contradict each other.

use std::time::Duration;

use crate::api::json::Formation;
use crate::api::{ApiError, DynoInfo, FormationInfo};
use crate::ident::{DynoName, ProcessType};
use crate::limits;

/// The answers of one inspection.
#[derive(Clone, Debug)]
pub struct Answers<'a> {
    /// The dyno that was asked for, if any, and the API's answer about it.
    pub dyno: Option<(&'a DynoName, Option<DynoInfo>)>,
    /// The list of dynos.
    pub formation: Vec<DynoInfo>,
    /// The listed process types.
    pub listed: &'a [ProcessType],
    /// How many dynos each process type should have; none if that is unknown.
    pub quantities: Option<&'a [Formation]>,
    pub preboot: bool,
}

impl FormationInfo {
    /// Puts the answers together.
    ///
    /// # Errors
    /// The list lacks a dyno that the API shows by itself or that the formation must have.
    pub fn assemble(answers: Answers<'_>) -> Result<Self, ApiError> {
        let Answers { dyno, mut formation, listed, quantities, preboot } = answers;
        let asked = dyno.as_ref().map(|(name, _)| *name);
        let mut seen = dyno.and_then(|(_, seen)| seen);
        for one in formation.iter_mut().chain(&mut seen) {
            let quantity = quantity_of(quantities, &one.process_type);
            one.is_one_off |= quantity.is_some_and(|quantity| one.name.index() > quantity);
        }
        let quantity = asked.and_then(|name| quantity_of(quantities, name.process_type()));
        // The API's own 404 for a dyno needs no list.
        let is_gone = asked.is_some() && seen.is_none();
        if !is_gone {
            if let Some(seen) = seen.as_ref().filter(|seen| formation.iter().all(|one| one.name != seen.name))
            {
                let what = format!("the list of dynos lacks {}, which the API shows by itself", seen.name);
                return Err(ApiError::Garbled { what });
            }
            let concerned = asked.map_or(listed, |name| std::slice::from_ref(name.process_type()));
            if let Some(what) = missing(concerned, &formation, quantities) {
                return Err(ApiError::Garbled { what });
            }
        }
        Ok(Self { dyno: seen, formation, quantity, preboot, app: None })
    }
}

/// How a list of dynos compares with what the quantities demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It lacks dynos.
    Lacks,
    /// It has dynos beyond the quantity: one-off dynos, or a formation that has grown since.
    Exceeds,
    Fits,
}

/// The dynos of a list that are beyond the quantity of their type, except those that the API itself calls
/// one-off dynos.
pub fn beyond(formation: &[DynoInfo], quantities: &[Formation]) -> Vec<DynoName> {
    let is_beyond = |one: &&DynoInfo| {
        let quantity = quantity_of(Some(quantities), &one.process_type);
        !one.is_one_off && quantity.is_some_and(|quantity| one.name.index() > quantity)
    };
    formation.iter().filter(is_beyond).map(|one| one.name.clone()).collect()
}

impl Fit {
    /// How long quantities hold that fit a list like this. `doubted` are the dynos that were beyond them when
    /// they were asked for: another one may be of a formation that has grown since.
    pub fn holds_for(self, beyond: &[DynoName], doubted: &[DynoName]) -> Duration {
        match self {
            Self::Fits => limits::QUANTITIES_ASKED_EVERY,
            Self::Exceeds if beyond.iter().all(|name| doubted.contains(name)) => {
                limits::QUANTITIES_DOUBTED_EVERY
            }
            Self::Exceeds | Self::Lacks => Duration::ZERO,
        }
    }

    pub fn of(listed: &[ProcessType], formation: &[DynoInfo], quantities: &[Formation]) -> Self {
        if missing(listed, formation, Some(quantities)).is_some() {
            Self::Lacks
        } else if !beyond(formation, quantities).is_empty() {
            Self::Exceeds
        } else {
            Self::Fits
        }
    }
}

/// Says which process type has fewer dynos in the list than it should have.
fn missing(
    concerned: &[ProcessType],
    formation: &[DynoInfo],
    quantities: Option<&[Formation]>,
) -> Option<String> {
    concerned.iter().find_map(|process_type| {
        let quantity = quantity_of(quantities, process_type)?;
        let of_type = |one: &&DynoInfo| {
            one.process_type == *process_type && !one.is_one_off && one.name.index() <= quantity
        };
        let shown = formation.iter().filter(of_type).count();
        (shown < quantity as usize)
            .then(|| format!("the list of dynos shows {shown} of {process_type}, which has {quantity}"))
    })
}

fn quantity_of(quantities: Option<&[Formation]>, process_type: &ProcessType) -> Option<u32> {
    let entry = quantities?.iter().find(|entry| entry.process_type == process_type.as_str())?;
    Some(entry.quantity)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{Answers, Fit};
    use crate::api::json::Formation;
    use crate::api::{ApiError, DynoInfo, FormationInfo};
    use crate::event::DynoState;
    use crate::ident::{DynoName, ProcessType};
    use crate::limits;

    fn seen(name: &str, is_one_off: bool) -> DynoInfo {
        let name: DynoName = name.parse().expect("a dyno");
        DynoInfo {
            process_type: name.process_type().clone(),
            is_one_off,
            id: format!("{name}-id").parse().expect("an id"),
            name,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            state: DynoState::Up,
            release: None,
        }
    }

    /// `web.4321!` has an attach_url.
    fn list(names: &str) -> Vec<DynoInfo> {
        names.split_whitespace().map(|name| seen(name.trim_end_matches('!'), name.ends_with('!'))).collect()
    }

    fn quantities(web: u32) -> Vec<Formation> {
        vec![Formation { process_type: "web".to_owned(), quantity: web, size: None }]
    }

    fn inspect(
        asked: Option<(&str, bool)>,
        names: &str,
        web: Option<u32>,
    ) -> Result<FormationInfo, ApiError> {
        let listed: [ProcessType; 2] = ["web", "worker"].map(|word| word.parse().expect("a type"));
        let name: Option<DynoName> = asked.map(|(name, _)| name.parse().expect("a dyno"));
        let quantities = web.map(quantities);
        let one = asked.and_then(|(name, is_there)| is_there.then(|| seen(name, false)));
        FormationInfo::assemble(Answers {
            dyno: name.as_ref().map(|name| (name, one)),
            formation: list(names),
            listed: &listed,
            quantities: quantities.as_deref(),
            preboot: false,
        })
    }

    #[test]
    fn a_list_that_lacks_a_dyno_is_garbled_unless_the_dyno_itself_is_gone() {
        for (asked, names, web, is_believed) in [
            (Some(("web.1", true)), "web.1 web.2", None, true),
            (Some(("web.1", true)), "web.1", Some(1), true),
            // Empty, or without the dyno.
            (Some(("web.1", true)), "", None, false),
            (Some(("web.1", true)), "web.2", None, false),
            // A part of the formation.
            (Some(("web.1", true)), "web.1", Some(2), false),
            (Some(("web.1", true)), "web.1 web.4321", Some(2), false),
            (Some(("web.1", true)), "web.1 web.9!", Some(2), false),
            (Some(("worker.1", true)), "worker.1", Some(2), true),
            // Scaled away: the API's own 404 says so.
            (Some(("web.2", false)), "web.1", Some(2), true),
            (Some(("web.2", false)), "", None, true),
            // A person asks for all dynos.
            (None, "web.1 web.2", Some(2), true),
            (None, "web.1", Some(2), false),
            (None, "", None, true),
        ] {
            let answer = inspect(asked, names, web);
            assert_eq!(answer.is_ok(), is_believed, "{asked:?} {names} {web:?}: {answer:?}");
            assert!(answer.is_ok() || matches!(answer, Err(ApiError::Garbled { .. })), "{answer:?}");
        }
    }

    #[test]
    fn a_dyno_beyond_the_quantity_is_a_one_off_dyno() {
        let view = inspect(Some(("web.1", true)), "web.1 web.2 web.77! web.4321", Some(2)).expect("a view");
        let one_off: Vec<String> =
            view.formation.iter().filter(|one| one.is_one_off).map(|one| one.name.to_string()).collect();
        assert_eq!((one_off.join(" "), view.quantity), ("web.77 web.4321".to_owned(), Some(2)));
        let view = inspect(Some(("web.4321", true)), "web.1 web.2 web.4321", Some(2)).expect("a view");
        assert!(view.dyno.expect("a dyno").is_one_off);
        // Nothing but its name says so.
        let view = inspect(Some(("web.4321", true)), "web.1 web.2 web.4321", None).expect("a view");
        assert!(!view.dyno.expect("a dyno").is_one_off);
    }

    #[test]
    fn a_list_is_compared_with_the_quantities() {
        let listed: [ProcessType; 1] = ["web".parse().expect("a type")];
        for (names, web, expect) in [
            ("web.1 web.2", 2, Fit::Fits),
            ("web.1 web.2 web.9!", 2, Fit::Fits),
            ("web.1", 2, Fit::Lacks),
            ("web.1 web.9!", 2, Fit::Lacks),
            ("web.1 web.2 web.3", 2, Fit::Exceeds),
            ("", 0, Fit::Fits),
        ] {
            assert_eq!(Fit::of(&listed, &list(names), &quantities(web)), expect, "{names} {web}");
        }
    }

    #[test]
    fn a_new_dyno_beyond_the_quantity_asks_for_it_at_once() {
        let web = |index: u32| format!("web.{index}").parse::<DynoName>().expect("a dyno");
        let holds = |fit: Fit, beyond: &[u32], doubted: &[u32]| {
            let names = |indexes: &[u32]| indexes.iter().map(|index| web(*index)).collect::<Vec<_>>();
            fit.holds_for(&names(beyond), &names(doubted))
        };
        assert_eq!(holds(Fit::Fits, &[], &[]), limits::QUANTITIES_ASKED_EVERY);
        assert_eq!(holds(Fit::Exceeds, &[4321], &[4321, 9]), limits::QUANTITIES_DOUBTED_EVERY);
        assert_eq!(holds(Fit::Exceeds, &[4321, 4], &[4321]), Duration::ZERO);
        assert_eq!(holds(Fit::Exceeds, &[4], &[]), Duration::ZERO);
        assert_eq!(holds(Fit::Lacks, &[], &[]), Duration::ZERO);
    }
}
