//! What happened to dynos within a chart of days: each new process with who began it, and each time above
//! the quota.

use std::time::Duration;

use jiff::Timestamp;

use dynowarden_core::days::history::{Release, Steps, mark_time};
use dynowarden_core::days::step::{self, MarkKind};
use dynowarden_core::ident::DynoName;
use dynowarden_core::time::{later, since};

/// A new process, or the end of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Crashed,
    /// Heroku's daily restart.
    Cycled,
    /// With the release's number, if it is known.
    Deployed(Option<u64>),
    /// Heroku killed it far above its quota.
    Killed,
    /// By dynowarden.
    Ours,
    /// By a person or another program.
    Restarted,
    /// Nothing is known of why.
    Started,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub at: Timestamp,
    pub dyno: DynoName,
    pub what: What,
}

/// A restart by dynowarden: when it was decided, and of which dyno.
pub type OwnRestart = (Timestamp, DynoName);

/// From what ended a process to the start of the next, at most.
const REPLACED_WITHIN: Duration = Duration::from_secs(600);

/// From a release to the restart of the last dyno, which happens in turn.
const RELEASED_WITHIN: Duration = Duration::from_secs(900);

/// From a decision to restart to the new process.
const OURS_WITHIN: Duration = Duration::from_secs(300);

/// The marks of a dyno from a step on, in the order of their times.
pub(super) fn marks(
    (dyno, steps): (&DynoName, &Steps),
    (releases, ours): (&[Release], &[OwnRestart]),
    first: i64,
) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    let mut ended: Option<(Timestamp, What)> = None;
    let mut began: Option<Timestamp> = None;
    // When the process before this one began: a restart that was decided earlier made that one.
    let mut before = Timestamp::MIN;
    for (index, mark) in
        steps.range(first..).flat_map(|(index, step)| step.marks().iter().map(move |mark| (*index, mark)))
    {
        let at = mark_time(index, mark.second);
        let note = |what| Mark { at, dyno: dyno.clone(), what };
        match mark.kind {
            MarkKind::Crashed => {
                marks.push(note(What::Crashed));
                ended = Some((at, What::Crashed));
            }
            MarkKind::Cycling => ended = Some((at, What::Cycled)),
            MarkKind::Killed => ended = Some((at, What::Killed)),
            MarkKind::Restarting => ended = Some((at, What::Restarted)),
            // One boot has several lines before it is up.
            MarkKind::Starting
                if began.is_none_or(|began| since(began, at) > REPLACED_WITHIN) || ended.is_some() =>
            {
                let why = ended.take().filter(|(since_when, _)| since(*since_when, at) <= REPLACED_WITHIN);
                marks.push(note(cause(dyno, why.map(|(_, what)| what), (releases, ours), (before, at))));
                before = at;
                began = Some(at);
            }
            // The next one is another boot.
            MarkKind::Up => began = None,
            _ => {}
        }
    }
    marks
}

/// Why a process began at a time, if `ended` is why the one before it ended, which began at `before`.
fn cause(
    dyno: &DynoName,
    ended: Option<What>,
    (releases, ours): (&[Release], &[OwnRestart]),
    (before, at): (Timestamp, Timestamp),
) -> What {
    let is_ours = |(decided, of): &&OwnRestart| {
        of == dyno
            && *decided > before
            && *decided <= later(at, Duration::from_secs(1))
            && since(*decided, at) <= OURS_WITHIN
    };
    if ours.iter().any(|restart| is_ours(&restart)) {
        return What::Ours;
    }
    let is_recent = |release: &&Release| release.at <= at && since(release.at, at) <= RELEASED_WITHIN;
    match (ended, releases.iter().rfind(is_recent)) {
        (Some(what @ (What::Crashed | What::Cycled | What::Killed)), _) => what,
        (_, Some(release)) => What::Deployed(Some(release.version).filter(|version| *version > 0)),
        (Some(what), None) => what,
        (None, None) => What::Started,
    }
}

/// The spans above the quota within some steps, each from a step up to but not including another.
pub(super) fn breaches(steps: &Steps, first: i64, end: i64) -> Vec<(i64, i64)> {
    let mut spans: Vec<(i64, i64)> = Vec::new();
    for (index, _) in steps.range(first..end).filter(|(_, step)| step.over > 0 || is_error(step)) {
        match spans.last_mut() {
            Some((_, until)) if *until == *index => *until = index + 1,
            _ => spans.push((*index, index + 1)),
        }
    }
    spans
}

/// Whether an R14 or R15 stands for readings that are not there.
fn is_error(step: &step::Step) -> bool {
    step.marks().iter().any(|mark| mark.kind.is_excess())
}

impl What {
    /// The mark in words, without its dyno.
    pub(super) fn words(self) -> String {
        match self {
            Self::Crashed => "crashed".to_owned(),
            Self::Cycled => "restarted by Heroku, as every day".to_owned(),
            Self::Deployed(Some(version)) => format!("v{version} deployed"),
            Self::Deployed(None) => "deployed".to_owned(),
            Self::Killed => "killed by Heroku (R15)".to_owned(),
            Self::Ours => "restarted by dynowarden".to_owned(),
            Self::Restarted => "restarted by a person or another program".to_owned(),
            Self::Started => "started".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{What, breaches, marks};
    use dynowarden_core::codes::Code;
    use dynowarden_core::days::history::AppHistory;
    use dynowarden_core::days::seen::Seen;
    use dynowarden_core::days::step::step_of;
    use dynowarden_core::detect::sign::Sign;
    use dynowarden_core::event::DynoState;
    use dynowarden_core::ident::{DynoName, DynoRef};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + second).expect("a time")
    }

    #[test]
    fn each_new_process_has_its_cause() {
        let mut history = AppHistory::default();
        let named = DynoRef { process_type: "web", index: 1 };
        let starting = Sign::State(DynoState::Starting);
        for (second, sign) in [
            (0, starting),
            (3600, Sign::Cycling),
            (3603, starting),
            (7200, Sign::Restarting),
            (7204, starting),
            (7205, Sign::Starting),
            (7210, Sign::State(DynoState::Up)),
            (7300, starting),
            (7310, Sign::State(DynoState::Up)),
            (10_800, Sign::Restarting),
            (10_802, starting),
            (10_810, Sign::State(DynoState::Up)),
            (10_900, starting),
            (10_910, Sign::State(DynoState::Up)),
            (14_400, Sign::State(DynoState::Crashed)),
            (14_460, starting),
            (18_000, Sign::Restarting),
            (18_001, starting),
            (21_600, Sign::Killed),
            (21_602, starting),
        ] {
            history.add(Some(named), &Seen::Sign(sign), at(second));
        }
        history.add(None, &Seen::Release(Some(42)), at(17_990));
        let dyno: DynoName = "web.1".parse().expect("a dyno");
        let other: DynoName = "web.2".parse().expect("a dyno");
        let ours = [(at(7195), other), (at(10_799), dyno.clone())];
        let steps = history.dyno(&dyno).expect("steps");
        let marks = marks((&dyno, steps), (&history.releases(), &ours), step_of(at(0)));
        let what: Vec<What> = marks.iter().map(|mark| mark.what).collect();
        assert_eq!(
            what,
            [
                What::Started,
                What::Cycled,
                What::Restarted,
                What::Started,
                What::Ours,
                What::Started,
                What::Crashed,
                What::Crashed,
                What::Deployed(Some(42)),
                What::Killed
            ]
        );
    }

    #[test]
    fn time_above_the_quota_is_in_spans() {
        let mut history = AppHistory::default();
        let named = DynoRef { process_type: "web", index: 1 };
        for second in [310, 620, 1900] {
            history.add(Some(named), &Seen::Error(Code::R14), at(second));
        }
        let first = step_of(at(0));
        let steps = history.dyno(&"web.1".parse().expect("a dyno")).expect("steps");
        let found = breaches(steps, first, first + 12);
        assert_eq!(found, [(first + 1, first + 3), (first + 6, first + 7)]);
    }
}
