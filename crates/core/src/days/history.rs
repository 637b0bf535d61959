//! The steps of one app, dyno by dyno, from its log or from the store.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::days::evidence::counts::{AppCounts, WindowCounts, window_of};
use crate::days::evidence::ledger::Ledger;
use crate::days::pack::Hour;
use crate::days::seen::Seen;
use crate::days::step::{self, MarkKind, STEPS_PER_HOUR, Step};
use crate::ident::{DynoName, DynoRef, InstanceId, ProcessType};
use crate::limits;

/// Steps by their number.
pub type Steps = BTreeMap<i64, Step>;

#[derive(Clone, Debug, Default)]
pub struct AppHistory {
    /// What concerns the app as a whole.
    app: Steps,
    dynos: BTreeMap<DynoName, DynoSteps>,
    /// Lines of dynos past the limit.
    dropped: u64,
    /// Requests by endpoint.
    ledger: Ledger,
    /// Those of lines that were added one by one, until they are in the ledger; none if they are not counted.
    counts: Option<Box<AppCounts>>,
}

#[derive(Clone, Debug, Default)]
struct DynoSteps {
    instance: Option<InstanceId>,
    steps: Steps,
}

/// A release of the app: when, and its number or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    pub at: Timestamp,
    pub version: u64,
}

// === impl AppHistory ===

impl AppHistory {
    /// An empty one, which also counts requests by endpoint.
    pub fn with_evidence() -> Self {
        Self { counts: Some(Box::default()), ..Self::default() }
    }

    /// Adds what a line of this app showed.
    pub fn add(&mut self, dyno: Option<DynoRef<'_>>, seen: &Seen<'_>, at: Timestamp) {
        let index = step::step_of(at);
        let Some(dyno) = dyno else {
            let step = self.app.entry(index).or_default();
            step.add(seen, &mut None, at);
            return bound(&mut self.app);
        };
        let Some(name) = self.name_of(dyno) else {
            self.dropped += 1;
            return;
        };
        let of_dyno = self.dynos.entry(name.clone()).or_default();
        of_dyno.steps.entry(index).or_default().add(seen, &mut of_dyno.instance, at);
        bound(&mut of_dyno.steps);
        if let (Seen::Request(request), Some(counts)) = (seen, &mut self.counts) {
            counts.add(&name, request, at);
            counts.take_done().iter().for_each(|window| self.ledger.add(window));
        }
    }

    /// Adds requests by endpoint from the store.
    pub fn add_window(&mut self, counts: &WindowCounts) {
        self.ledger.add(counts);
    }

    /// Ends the counting of lines that were added one by one.
    pub fn close_evidence(&mut self) {
        if let Some(counts) = &mut self.counts {
            counts.close_all();
            counts.take_done().iter().for_each(|window| self.ledger.add(window));
        }
    }

    /// Requests by endpoint.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Adds an hour from the store, numbered from the epoch; without a dyno, of the app as a whole.
    pub fn add_hour(&mut self, dyno: Option<DynoRef<'_>>, number: i64, hour: &Hour) {
        let first = number.saturating_mul(STEPS_PER_HOUR);
        let steps = match dyno {
            None => &mut self.app,
            Some(dyno) => match self.name_of(dyno) {
                Some(name) => &mut self.dynos.entry(name).or_default().steps,
                None => return self.dropped += 1,
            },
        };
        for (index, step) in (first..).zip(hour) {
            if let Some(step) = step {
                steps.entry(index).or_default().merge(step);
            }
        }
        bound(steps);
    }

    /// Forgets the steps before `at`.
    pub fn forget_before(&mut self, at: Timestamp) {
        let first = step::step_of(at);
        self.app = self.app.split_off(&first);
        for dyno in self.dynos.values_mut() {
            dyno.steps = dyno.steps.split_off(&first);
        }
        self.dynos.retain(|_, dyno| !dyno.steps.is_empty());
        self.ledger.forget_before(window_of(at));
    }

    /// The process types that have lines, in order.
    pub fn process_types(&self) -> BTreeSet<&ProcessType> {
        self.dynos.keys().map(DynoName::process_type).collect()
    }

    /// The dynos of a process type with their steps.
    pub fn dynos_of<'h>(
        &'h self,
        process_type: &'h ProcessType,
    ) -> impl Iterator<Item = (&'h DynoName, &'h Steps)> {
        let of_type = self.dynos.iter().filter(move |(name, _)| name.process_type() == process_type);
        of_type.map(|(name, dyno)| (name, &dyno.steps))
    }

    pub fn dyno(&self, name: &DynoName) -> Option<&Steps> {
        self.dynos.get(name).map(|dyno| &dyno.steps)
    }

    /// The steps in which any platform line of the app arrived.
    pub fn heard(&self) -> BTreeSet<i64> {
        let of_dynos = self.dynos.values().flat_map(|dyno| dyno.steps.keys());
        self.app.keys().chain(of_dynos).copied().collect()
    }

    /// The app's releases in order.
    pub fn releases(&self) -> Vec<Release> {
        let marks = self.app.iter().flat_map(|(index, step)| {
            step.marks().iter().filter_map(|mark| match mark.kind {
                MarkKind::Release(version) => Some(Release { at: mark_time(*index, mark.second), version }),
                _ => None,
            })
        });
        let mut releases: Vec<_> = marks.collect();
        releases.sort_unstable();
        releases
    }

    /// The last step of any line; none without lines.
    pub fn last_step(&self) -> Option<i64> {
        let of_dynos = self.dynos.values().filter_map(|dyno| dyno.steps.keys().next_back());
        self.app.keys().next_back().into_iter().chain(of_dynos).max().copied()
    }

    /// Steps of all dynos: what it takes to read it.
    pub fn steps(&self) -> usize {
        self.dynos.values().map(|dyno| dyno.steps.len()).sum()
    }

    /// Lines that were not kept because there are too many dynos.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The name of a dyno, if there is room for it.
    fn name_of(&self, dyno: DynoRef<'_>) -> Option<DynoName> {
        // The names of one type share their text.
        let known = self.dynos.keys().find(|name| name.process_type().as_str() == dyno.process_type);
        let process_type = match known {
            Some(name) => name.process_type().clone(),
            None => dyno.process_type.parse().ok()?,
        };
        let name = DynoName::new(process_type, dyno.index);
        let has_room = self.dynos.len() < limits::REPORT_DYNOS_MAX || self.dynos.contains_key(&name);
        has_room.then_some(name)
    }
}

/// When a mark of a step was written.
pub fn mark_time(index: i64, second: u16) -> Timestamp {
    crate::time::later(step::start_of(index), std::time::Duration::from_secs(second.into()))
}

fn bound(steps: &mut Steps) {
    while steps.len() > limits::SERIES_STEPS_MAX {
        steps.pop_first();
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::AppHistory;
    use crate::days::pack::{pack, unpack};
    use crate::days::seen::Seen;
    use crate::days::step::{STEPS_PER_HOUR, Step};
    use crate::detect::sign::Sign;
    use crate::event::Megabytes;
    use crate::ident::DynoRef;

    const WEB_1: DynoRef<'static> = DynoRef { process_type: "web", index: 1 };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + second).expect("a time")
    }

    fn sample(megabytes: u64) -> Seen<'static> {
        Seen::Sample {
            instance: "a".parse().expect("an id"),
            total: Megabytes { hundredths: megabytes * 100 },
            quota: Megabytes { hundredths: 51_200 },
        }
    }

    #[test]
    fn lines_of_five_minutes_make_a_step() {
        let mut history = AppHistory::default();
        for (second, megabytes) in [(0, 300), (20, 340), (299, 320), (300, 600)] {
            history.add(Some(WEB_1), &sample(megabytes), at(second));
        }
        history.add(Some(WEB_1), &Seen::Sign(Sign::Cycling), at(310));
        history.add(None, &Seen::Release(Some(7)), at(900));
        let steps = history.dyno(&"web.1".parse().expect("a dyno")).expect("steps");
        let steps: Vec<&Step> = steps.values().collect();
        assert_eq!(steps.len(), 2);
        assert_eq!(
            (steps[0].memory_low, steps[0].memory_mean(), steps[0].memory_high, steps[0].over),
            (3000, Some(3200), 3400, 0)
        );
        assert_eq!((steps[1].samples, steps[1].over, steps[1].marks().len()), (1, 1, 2));
        assert_eq!(history.heard().len(), 3);
        assert_eq!(history.releases().iter().map(|release| release.version).collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn readings_that_no_dyno_can_have_are_ignored() {
        let mut history = AppHistory::default();
        for megabytes in [0, 512 * 30, u64::MAX / 1000] {
            history.add(Some(WEB_1), &sample(megabytes), at(0));
        }
        let steps = history.dyno(&"web.1".parse().expect("a dyno")).expect("steps");
        assert_eq!(steps.values().map(|step| (step.samples, step.over)).collect::<Vec<_>>(), [(0, 0)]);
    }

    #[test]
    fn parts_of_an_hour_add_up_to_the_whole() {
        let (mut whole, mut left, mut right) =
            (AppHistory::default(), AppHistory::default(), AppHistory::default());
        for second in (0..3600).step_by(20) {
            let seen = sample(300 + second as u64 / 60);
            whole.add(Some(WEB_1), &seen, at(second));
            let half = if second / 20 % 2 == 0 { &mut left } else { &mut right };
            half.add(Some(WEB_1), &seen, at(second));
        }
        let name = "web.1".parse().expect("a dyno");
        let mut merged = AppHistory::default();
        for half in [left, right] {
            let steps = half.dyno(&name).expect("steps");
            let first = *steps.keys().next().expect("a step");
            let hour = std::array::from_fn(|place| steps.get(&(first + place as i64)).cloned());
            let hour = unpack(&pack(&hour)).expect("an hour");
            merged.add_hour(Some(WEB_1), first / STEPS_PER_HOUR, &hour);
        }
        let figures = |history: &AppHistory| -> Vec<_> {
            let steps = history.dyno(&name).expect("steps").values();
            steps.map(|step| (step.memory_low, step.memory_high, step.samples, step.quota)).collect()
        };
        assert_eq!(figures(&merged), figures(&whole));
        merged.forget_before(at(3000));
        assert_eq!(merged.heard().len(), 2);
    }
}
