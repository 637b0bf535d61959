//! What happened to dynos within a chart of days: each new process with who began it, and each time above
//! the quota.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};

use dynowarden_core::days::history::{Release, Steps, mark_time};
use dynowarden_core::days::step::{self, MarkKind};
use dynowarden_core::ident::DynoName;
use dynowarden_core::time::{later, since};

/// A new process, or the end of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Crashed,
    /// Heroku's daily restart.
    Cycled,
    /// With the release's number, if it is known.
    Deployed(Option<u64>),
    /// Heroku killed it far above its quota.
    Killed,
    /// By dynowarden.
    Ours,
    /// By a person or another program: what Heroku logs of both is the same.
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

/// The restarts by dynowarden within a chart.
#[derive(Clone, Debug, Default)]
pub struct OwnRestarts {
    /// When each was decided, and of which dyno.
    pub made: Vec<(Timestamp, DynoName)>,
    /// Those before this time are not among them.
    pub since: Option<Timestamp>,
}

/// The kinds of marks in the order of drawing: the class in the style sheet, and what the legend says.
/// Each has a shape of its own, because colours alone tell nothing to many people.
const KINDS: [(&str, &str); 6] = [
    ("other", "Started, cause unknown"),
    ("person", "Restarted by a person or another program"),
    ("cycle", "Heroku's daily restart"),
    ("deploy", "Deployed"),
    ("crash", "Crashed or killed"),
    ("ours", "Restarted by dynowarden"),
];

/// From what ended a process to the start of the next, at most.
const REPLACED_WITHIN: Duration = Duration::from_secs(600);

/// From a release to the restart of the last dyno, which happens in turn.
const RELEASED_WITHIN: Duration = Duration::from_secs(900);

/// Marks have whole seconds, so a process may seem to begin a moment before it was decided.
const SECOND: Duration = Duration::from_secs(1);

/// From a decision to restart to the new process.
const OURS_WITHIN: Duration = Duration::from_secs(300);

/// The marks of a dyno from a step on, in the order of their times.
pub(super) fn marks(
    (dyno, steps): (&DynoName, &Steps),
    (releases, ours): (&[Release], &OwnRestarts),
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
                let what = cause(dyno, why.map(|(_, what)| what), (releases, ours), (before, at));
                // A crash has its mark already.
                if what != What::Crashed {
                    marks.push(note(what));
                }
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
    (releases, ours): (&[Release], &OwnRestarts),
    (before, at): (Timestamp, Timestamp),
) -> What {
    let is_ours = |(decided, of): &&(Timestamp, DynoName)| {
        of == dyno
            && *decided > later(before, SECOND)
            && *decided <= later(at, SECOND)
            && since(*decided, at) <= OURS_WITHIN
    };
    if ours.made.iter().any(|restart| is_ours(&restart)) {
        return What::Ours;
    }
    let is_recent = |release: &&Release| release.at <= at && since(release.at, at) <= RELEASED_WITHIN;
    match (ended, releases.iter().rfind(is_recent)) {
        (Some(what @ (What::Crashed | What::Cycled | What::Killed)), _) => what,
        (_, Some(release)) => What::Deployed(Some(release.version).filter(|version| *version > 0)),
        // Heroku logs our restarts as it logs a person's.
        (Some(What::Restarted), None) if ours.since.is_some_and(|since| at < since) => What::Started,
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

/// Lines across a chart, one for each kind and place: a thousand dynos are no more than one then.
pub(super) fn strokes(marks: impl Iterator<Item = (i64, What)>, height: i64) -> Markup {
    let places: BTreeSet<(&str, i64)> = marks.map(|(x, what)| (what.class(), x)).collect();
    let path = |class: &str, tail: &str| {
        let mut path = String::new();
        for (_, x) in places.iter().filter(|(of, _)| *of == class) {
            let _ = write!(path, "M{x} {tail}");
        }
        PreEscaped(path)
    };
    let across = format!("0v{height}");
    let (up, down) = ("8h0".to_owned(), format!("{}h0", height - 8));
    html! {
        @for (class, _) in KINDS {
            @let line = path(class, &across);
            @if !line.0.is_empty() {
                path class=(class) d=(line) {}
                @match class {
                    "ours" => path.dots d=(path(class, &up)) {},
                    "person" => path.person-dots d=(path(class, &down)) {},
                    "cycle" => path.cycle-dots d=(path(class, &down)) {},
                    _ => {}
                }
            }
        }
    }
}

/// What the lines and marks of a chart mean.
pub(super) fn legend(marks: &[What]) -> Markup {
    html! {
        p.legend {
            span.key-quota { "Quota" } span.key-breach { "Above it" }
            @for (class, words) in KINDS.iter().rev() {
                @if marks.iter().any(|what| what.class() == *class) {
                    span class={ "key-" (class) } { (words) }
                }
            }
        }
    }
}

impl What {
    fn class(self) -> &'static str {
        match self {
            Self::Crashed | Self::Killed => "crash",
            Self::Cycled => "cycle",
            Self::Deployed(_) => "deploy",
            Self::Ours => "ours",
            Self::Restarted => "person",
            Self::Started => "other",
        }
    }

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
    use std::collections::BTreeSet;
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{OwnRestarts, What, breaches, legend, marks, strokes};
    use dynowarden_core::codes::Code;
    use dynowarden_core::days::history::AppHistory;
    use dynowarden_core::days::seen::Seen;
    use dynowarden_core::days::step::step_of;
    use dynowarden_core::detect::sign::Sign;
    use dynowarden_core::event::DynoState;
    use dynowarden_core::ident::{DynoName, DynoRef};
    use dynowarden_core::time::later;

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
        let mut ours = OwnRestarts { made: vec![(at(7195), other), (at(10_799), dyno.clone())], since: None };
        let steps = history.dyno(&dyno).expect("steps");
        let found = |ours: &OwnRestarts| -> Vec<What> {
            let marks = marks((&dyno, steps), (&history.releases(), ours), step_of(at(0)));
            marks.iter().map(|mark| mark.what).collect()
        };
        assert_eq!(
            found(&ours),
            [
                What::Started,
                What::Cycled,
                What::Restarted,
                What::Started,
                What::Ours,
                What::Started,
                What::Crashed,
                What::Deployed(Some(42)),
                What::Killed
            ]
        );
        // One restart of ours is the cause of one process, also where its decision seems to follow the start.
        ours.made[1].0 = later(at(10_802), Duration::from_millis(500));
        assert_eq!(found(&ours)[4..6], [What::Ours, What::Started]);
        // Where our own restarts are not known, nobody else's are.
        ours.since = Some(at(9000));
        assert_eq!(found(&ours)[1..4], [What::Cycled, What::Started, What::Started]);
    }

    #[test]
    fn each_kind_of_mark_has_its_shape_and_its_words() {
        let all = [
            What::Started,
            What::Restarted,
            What::Cycled,
            What::Deployed(None),
            What::Crashed,
            What::Ours,
            What::Killed,
        ];
        let one = |what| strokes([(7, what)].into_iter(), 100).into_string();
        assert_eq!(
            one(What::Cycled),
            r#"<path class="cycle" d="M7 0v100"></path><path class="cycle-dots" d="M7 92h0"></path>"#
        );
        assert_eq!(
            one(What::Restarted),
            r#"<path class="person" d="M7 0v100"></path><path class="person-dots" d="M7 92h0"></path>"#
        );
        assert_eq!(one(What::Deployed(Some(42))), r#"<path class="deploy" d="M7 0v100"></path>"#);
        let shapes: BTreeSet<String> = all.into_iter().map(one).collect();
        assert_eq!(shapes.len(), 6, "a kill is shown as a crash: {shapes:?}");
        let words: BTreeSet<String> = all.into_iter().map(|what| legend(&[what]).into_string()).collect();
        assert_eq!(words.len(), 6, "{words:?}");
        assert!(legend(&[What::Cycled]).into_string().contains("Heroku's daily restart"));
        assert!(!legend(&[]).into_string().contains("restart"), "only what is in the chart");
    }

    #[test]
    fn many_marks_of_one_place_are_one_line() {
        let many = (0..10_000).map(|place| (place % 960, What::Cycled));
        let length = strokes(many, 100).into_string().len();
        assert!(length < 25_000, "{length} characters");
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
