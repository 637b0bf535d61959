//! The totals of a run, and the timeline of a failed one.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use dynowarden_core::time::since;

/// All counts, which show that a simulation really injected faults.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub seeds: u64,
    /// Total simulated time.
    pub simulated: Duration,
    /// The longest wait of an erring dyno without an excuse.
    pub longest_wait: Duration,
    /// Injected faults, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Reasons for holds, by the engine's label.
    pub holds: BTreeMap<&'static str, u64>,
    /// The system's actions, by kind.
    pub done: BTreeMap<&'static str, u64>,
}

impl Figures {
    pub fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    pub fn hold(&mut self, label: &'static str) {
        *self.holds.entry(label).or_default() += 1;
    }

    pub fn did(&mut self, kind: &'static str, times: u64) {
        *self.done.entry(kind).or_default() += times;
    }

    /// Counts that a thousand days must have and these lack: without faults, nothing is proven.
    pub fn missing(&self) -> Vec<&'static str> {
        let of = |kinds: &'static [&'static str], counts: &BTreeMap<&'static str, u64>| {
            kinds.iter().copied().filter(|kind| !counts.contains_key(kind)).collect::<Vec<_>>()
        };
        [of(&FAULTS, &self.faults), of(&HOLDS, &self.holds), of(&DONE, &self.done)].concat()
    }

    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.simulated += other.simulated;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        for (mine, theirs) in [
            (&mut self.faults, &other.faults),
            (&mut self.holds, &other.holds),
            (&mut self.done, &other.done),
        ] {
            for (kind, count) in theirs {
                *mine.entry(kind).or_default() += count;
            }
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, wait) = (self.simulated.as_secs() / 3600, self.longest_wait.as_secs());
        writeln!(f, "{} seeds, {hours} simulated hours, longest wait without excuse {wait} s", self.seeds)?;
        for (title, counts) in [("done", &self.done), ("injected", &self.faults), ("held", &self.holds)] {
            write!(f, "{title}:")?;
            for (kind, count) in counts {
                write!(f, " {kind} {count},")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// A readable log of events; costs nothing unless it is wanted.
#[derive(Debug)]
pub struct Timeline {
    start: Timestamp,
    wanted: bool,
    entries: Vec<(Option<usize>, String)>,
}

impl Timeline {
    /// An empty timeline; an unwanted one stays empty.
    pub fn new(start: Timestamp, wanted: bool) -> Self {
        Self { start, wanted, entries: Vec::new() }
    }

    /// Adds the text of an event about one app or about all.
    pub fn note(&mut self, app: Option<usize>, text: impl FnOnce() -> String, now: Timestamp) {
        if self.wanted {
            let at = since(self.start, now);
            let (secs, millis) = (at.as_secs(), at.subsec_millis());
            let clock = format!("{:02}:{:02}:{:02}.{millis:03}", secs / 3600, secs / 60 % 60, secs % 60);
            self.entries.push((app, format!("{clock} {}", text())));
        }
    }

    /// The entries about one app and those about all of them.
    pub fn of(&self, app: Option<usize>) -> impl Iterator<Item = &str> {
        let fits = move |of: Option<usize>| app.is_none() || of.is_none() || of == app;
        self.entries.iter().filter(move |(of, _)| fits(*of)).map(|(_, text)| text.as_str())
    }
}

const FAULTS: [&str; 64] = [
    "429",
    "429_with_time",
    "5xx",
    "5xx_after",
    "autoscaler",
    "batch_again",
    "batch_answer_lost",
    "batch_refused",
    "break_after",
    "break_before",
    "claim_unanswered",
    "clock_jump",
    "crash",
    "cross_drain",
    "cut_json",
    "deploy",
    "fixing_release",
    "forbidden",
    "foreign_batch",
    "foreign_batch_counts",
    "foreign_drains",
    "hang_after",
    "hang_before",
    "html",
    "idle",
    "kill",
    "kill_between_claim_and_delete",
    "killed_call_arrives",
    "killed_call_lost",
    "late",
    "leaks",
    "lines_delayed",
    "lines_lost",
    "lines_out_of_order",
    "lines_twice",
    "missing_field",
    "name_taken_over",
    "one_off",
    "one_offs",
    "page_garbled",
    "page_lost",
    "partial_list",
    "partial_lists",
    "preboot",
    "preboot_twins",
    "refused",
    "renamed",
    "renames",
    "restart_by_person",
    "scale",
    "second_drain",
    "shared_quota",
    "sigterm",
    "slow",
    "slow_after",
    "slow_before",
    "status_page",
    "stops",
    "store_away",
    "tokens_short",
    "two_nodes",
    "unauthorized",
    "unknown_state",
    "wrong_type",
];

const HOLDS: [&str; 27] = [
    "api_reserve",
    "claimed_elsewhere",
    "clock_ahead",
    "cooling_down",
    "deploying",
    "forbidden",
    "foreign_drain",
    "formation_failed",
    "formation_out",
    "garbled",
    "given_up",
    "gone",
    "max_restarts",
    "not_listed",
    "not_up",
    "other_app",
    "outside_window",
    "paused",
    "platform_acts",
    "platform_red",
    "queued",
    "releasing",
    "stale",
    "store_away",
    "superseded",
    "throttled",
    "too_young",
];

const DONE: [&str; 22] = [
    "accepted",
    "back",
    "back_late",
    "claims_resumed",
    "dry_runs",
    "duplicate_frames",
    "give_ups",
    "gone",
    "lives",
    "not_back",
    "notify_decisions",
    "orders_answered",
    "orders_decisions",
    "page_notices",
    "pauses",
    "polls",
    "races_lost",
    "refused",
    "restarts",
    "told_foreign_drain",
    "unanswered",
    "withdrawn",
];
