//! Each dyno's memory over the last hours, for the charts.
//!
//! There is one point a minute, and a fixed number of them, so every dyno has the same cost.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use crate::ui::marks::What;
use dynowarden_core::detect::sign::Sign;
use dynowarden_core::event::{Change, DynoState, Event, Fact, Megabytes};
use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::limits;
use dynowarden_core::shares::{self, Share};

/// The traces of all dynos, at most [`limits::TRACES_MAX`], of which each app has its share.
#[derive(Clone, Debug)]
pub struct History {
    apps: HashMap<AppId, Share<DynoName, Trace>>,
    /// Each app's last release.
    releases: HashMap<AppId, (Timestamp, Option<u64>)>,
    traces_of_app_max: usize,
}

/// One dyno's memory, minute by minute, and when it was restarted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The minute of the last slot, counted from the epoch.
    end: i64,
    /// Why the platform ends the process, which the next one's mark says.
    leaving: Option<(Timestamp, What)>,
    marks: VecDeque<Mark>,
    /// Peak of each minute in tenths of a per cent of the quota; [`GAP`] without a reading.
    peaks: VecDeque<u16>,
}

/// A replacement of the process, or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub at: Timestamp,
    pub what: What,
}

/// One minute of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// How many minutes before the end of the chart.
    pub minutes_ago: u16,
    /// The peak in tenths of a per cent of the quota.
    pub permille: u16,
}

// === impl History ===

impl History {
    /// An empty history of this number of apps.
    pub fn new(apps: usize) -> Self {
        let traces_of_app_max = shares::of_app(limits::TRACES_MAX, apps);
        Self { apps: HashMap::new(), releases: HashMap::new(), traces_of_app_max }
    }

    /// Adds the memory readings and new processes of a batch.
    pub fn add_events(&mut self, app: AppId, events: &[Event], now: Timestamp) {
        for event in events {
            match &event.fact {
                Fact::Memory { dyno, permille, .. } => {
                    if let Some(trace) = self.room_for(app, dyno, now) {
                        trace.add(event.at, *permille, now);
                    }
                }
                Fact::Sample { dyno, total, quota, .. } => {
                    if let Some(permille) = share(*total, *quota)
                        && let Some(trace) = self.room_for(app, dyno, now)
                    {
                        trace.add(event.at, permille, now);
                    }
                }
                Fact::Life { dyno, change: Change::Starting } => {
                    let at = event.at.min(now);
                    let what = self.cause(app, dyno, at);
                    self.marked(app, dyno, Mark { at, what }, now);
                }
                Fact::Life { dyno, change: Change::State { to: DynoState::Crashed, .. } } => {
                    self.marked(app, dyno, Mark { at: event.at.min(now), what: What::Crashed }, now);
                }
                Fact::Release { version } => {
                    // A deploy is announced twice: by what was deployed, and by its number.
                    let known = self.releases.get(&app).and_then(|(_, version)| *version);
                    self.releases.insert(app, (event.at.min(now), version.or(known)));
                }
                _ => {}
            }
        }
    }

    /// Notes why the platform ends a process; before the events of the same batch.
    pub fn leaving(&mut self, app: AppId, dyno: &DynoName, (sign, at): (Sign, Timestamp), now: Timestamp) {
        let what = match sign {
            Sign::Cycling => What::Cycled,
            Sign::Restarting => What::Restarted,
            _ => return,
        };
        if let Some(trace) = self.room_for(app, dyno, now) {
            trace.leaving = Some((at.min(now), what));
        }
    }

    /// Why the platform started a process: what it said of the last one, or a release just before.
    fn cause(&self, app: AppId, dyno: &DynoName, at: Timestamp) -> What {
        let within = |begin: Timestamp, minutes| (0..=minutes).contains(&(minute(at) - minute(begin)));
        let left = self.trace(app, dyno).and_then(|trace| trace.leaving);
        let left = left.filter(|(begin, _)| within(*begin, LEAVING_MINUTES)).map(|(_, what)| what);
        match (left, self.releases.get(&app)) {
            (Some(What::Cycled), _) => What::Cycled,
            (_, Some((released, version))) if within(*released, RELEASE_MINUTES) => What::Deployed(*version),
            (left, _) => left.unwrap_or(What::Started),
        }
    }

    /// Adds a restart that the API accepted.
    pub fn restarted(&mut self, app: AppId, dyno: &DynoName, at: Timestamp) {
        self.marked(app, dyno, Mark { at, what: What::Ours }, at);
    }

    pub fn trace(&self, app: AppId, dyno: &DynoName) -> Option<&Trace> {
        self.apps.get(&app)?.get(dyno)
    }

    fn marked(&mut self, app: AppId, dyno: &DynoName, mark: Mark, now: Timestamp) {
        if let Some(trace) = self.room_for(app, dyno, now) {
            trace.mark(mark);
        }
    }

    /// The trace of a dyno. In a full share, those of dynos that are gone make room; if all are alive, the
    /// new dyno has no chart.
    fn room_for(&mut self, app: AppId, dyno: &DynoName, now: Timestamp) -> Option<&mut Trace> {
        let oldest = minute(now) - limits::TRACE_POINTS_MAX as i64;
        let max = self.traces_of_app_max;
        let traces = self.apps.entry(app).or_insert_with(|| Share::new(max));
        let seconds = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default());
        traces.entry(dyno, |trace| trace.last() <= oldest, seconds)
    }
}

// === impl Trace ===

impl Trace {
    /// Adds a reading. One that is too old for the chart is dropped, one from the future counts as now.
    pub fn add(&mut self, at: Timestamp, permille: u32, now: Timestamp) {
        let slot = minute(at.min(now));
        let permille = u16::try_from(permille).unwrap_or(u16::MAX).max(GAP + 1);
        if self.peaks.is_empty() {
            self.end = slot;
            self.peaks.push_back(permille);
            return;
        }
        let ahead = slot - self.end;
        if ahead > 0 {
            let gaps = usize::try_from(ahead - 1).unwrap_or(usize::MAX).min(limits::TRACE_POINTS_MAX);
            self.peaks.extend(std::iter::repeat_n(GAP, gaps));
            self.peaks.push_back(permille);
            self.end = slot;
            let surplus = self.peaks.len().saturating_sub(limits::TRACE_POINTS_MAX);
            self.peaks.drain(..surplus);
        } else if let Some(peak) = usize::try_from(-ahead)
            .ok()
            .and_then(|back| self.peaks.len().checked_sub(back + 1))
            .and_then(|place| self.peaks.get_mut(place))
        {
            *peak = (*peak).max(permille);
        }
    }

    pub fn mark(&mut self, mark: Mark) {
        // The platform logs a restart of ours after it happened: one restart, one mark.
        let is_same = |known: &Mark| (minute(known.at) - minute(mark.at)).abs() <= MARKS_APART;
        if self
            .marks
            .iter()
            .any(|known| is_same(known) && (known.what == What::Ours || mark.what != What::Ours))
        {
            return;
        }
        if mark.what == What::Ours {
            self.marks.retain(|known| known.what == What::Ours || !is_same(known));
        }
        if self.marks.len() >= limits::TRACE_MARKS_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back(mark);
    }

    /// The last minute with a reading or a mark.
    fn last(&self) -> i64 {
        self.marks.back().map_or(self.end, |mark| self.end.max(minute(mark.at)))
    }

    /// The readings of the chart that ends at `now`, oldest first.
    pub fn points(&self, now: Timestamp) -> impl Iterator<Item = Point> + '_ {
        let behind = (minute(now) - self.end).max(0);
        let length = self.peaks.len();
        self.peaks.iter().enumerate().filter_map(move |(place, &permille)| {
            let minutes_ago = i64::try_from(length - 1 - place).ok()?.saturating_add(behind);
            let in_chart = permille != GAP && minutes_ago < limits::TRACE_POINTS_MAX as i64;
            in_chart.then_some(Point { minutes_ago: u16::try_from(minutes_ago).ok()?, permille })
        })
    }

    /// The restarts within the chart that ends at `now`, oldest first, with how many minutes ago.
    pub fn marks(&self, now: Timestamp) -> impl Iterator<Item = (u16, Mark)> + '_ {
        self.marks.iter().filter_map(move |mark| {
            let minutes_ago = (minute(now) - minute(mark.at)).max(0);
            let in_chart = minutes_ago < limits::TRACE_POINTS_MAX as i64;
            in_chart.then_some((u16::try_from(minutes_ago).ok()?, *mark))
        })
    }
}

/// No reading in that minute. A share of zero is kept as a tenth of a per cent.
const GAP: u16 = 0;

/// How long after a release a new process belongs to it: dynos are replaced one after the other.
const RELEASE_MINUTES: i64 = 5;

/// From the end of a process to the start of the next: a boot may have to wait.
const LEAVING_MINUTES: i64 = 10;

/// Minutes between two marks that are taken for two restarts: a boot takes about one.
const MARKS_APART: i64 = 2;

fn minute(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}

/// The share of the quota in tenths of a per cent; `None` for a quota of zero.
pub fn share(used: Megabytes, quota: Megabytes) -> Option<u32> {
    let permille = u128::from(used.hundredths) * 1000 / u128::from(quota.hundredths.max(1));
    (quota.hundredths > 0).then_some(u32::try_from(permille).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{GAP, History, Mark, Trace};
    use crate::ui::marks::What;
    use dynowarden_core::detect::sign::Sign;
    use dynowarden_core::event::{Change, DynoState, Event, Fact, Megabytes};
    use dynowarden_core::ident::AppId;
    use dynowarden_core::limits;
    use dynowarden_core::time::later;

    fn at(seconds: u64) -> Timestamp {
        later("2026-01-02T00:00:00Z".parse().expect("a time"), Duration::from_secs(seconds))
    }

    fn points(trace: &Trace, now: Timestamp) -> Vec<(u16, u16)> {
        trace.points(now).map(|point| (point.minutes_ago, point.permille)).collect()
    }

    #[test]
    fn a_minute_keeps_its_peak_and_silence_is_a_gap() {
        let mut trace = Trace::default();
        for (seconds, permille) in [(0, 500), (20, 700), (40, 600), (200, 800), (61, 550)] {
            trace.add(at(seconds), permille, at(300));
        }
        assert_eq!(points(&trace, at(200)), [(3, 700), (2, 550), (0, 800)]);
        assert_eq!(points(&trace, at(260)), [(4, 700), (3, 550), (1, 800)]);
        assert!(trace.peaks.contains(&GAP));
    }

    #[test]
    fn a_trace_is_as_long_as_its_chart() {
        let mut trace = Trace::default();
        for minute in 0..1000 {
            trace.add(at(minute * 60), 900, at(minute * 60));
        }
        assert_eq!(trace.peaks.len(), limits::TRACE_POINTS_MAX);
        assert_eq!(trace.points(at(999 * 60)).count(), limits::TRACE_POINTS_MAX);
        trace.add(at(5000 * 60), 900, at(5000 * 60));
        assert_eq!(points(&trace, at(5000 * 60)), [(0, 900)]);
    }

    #[test]
    fn a_wrong_clock_neither_empties_a_chart_nor_writes_ahead() {
        let mut trace = Trace::default();
        trace.add(at(0), 500, at(0));
        trace.add(at(1_000_000), 600, at(60));
        trace.add(Timestamp::MIN, 900, at(60));
        assert_eq!(points(&trace, at(60)), [(1, 500), (0, 600)]);
    }

    #[test]
    fn one_restart_has_one_mark_and_ours_is_named() {
        let mut trace = Trace::default();
        trace.mark(Mark { at: at(0), what: What::Ours });
        trace.mark(Mark { at: at(5), what: What::Started });
        trace.mark(Mark { at: at(3600), what: What::Started });
        trace.mark(Mark { at: at(3610), what: What::Ours });
        let marks: Vec<_> = trace.marks(at(7200)).map(|(ago, mark)| (ago, mark.what == What::Ours)).collect();
        assert_eq!(marks, [(120, true), (60, true)]);
        for hour in 0..200 {
            trace.mark(Mark { at: at(hour * 3600), what: What::Ours });
        }
        assert!(trace.marks.len() <= limits::TRACE_MARKS_MAX);
    }

    #[test]
    fn a_new_process_after_a_release_is_a_deploy() {
        let mut history = History::new(1);
        let dyno: dynowarden_core::ident::DynoName = "web.1".parse().expect("a dyno");
        let starting = |seconds| Event {
            at: at(seconds),
            fact: Fact::Life { dyno: dyno.clone(), change: Change::Starting },
        };
        let crashed = |seconds| Event {
            at: at(seconds),
            fact: Fact::Life { dyno: dyno.clone(), change: Change::to(DynoState::Crashed) },
        };
        let released = |seconds, version| Event { at: at(seconds), fact: Fact::Release { version } };
        let events = [
            starting(0),
            released(3600, None),
            released(3601, Some(42)),
            starting(3610),
            starting(3601 + 10 * 60),
            crashed(6000),
            starting(6020),
        ];
        history.add_events(AppId(0), &events, at(7200));
        let trace = history.trace(AppId(0), &dyno).expect("a trace");
        let marks: Vec<_> = trace.marks(at(7200)).map(|(_, mark)| mark.what).collect();
        assert_eq!(marks, [What::Started, What::Deployed(Some(42)), What::Started, What::Crashed]);
    }

    #[test]
    fn a_daily_restart_and_a_person_s_are_told_apart() {
        let dyno: dynowarden_core::ident::DynoName = "web.1".parse().expect("a dyno");
        let other: dynowarden_core::ident::DynoName = "web.2".parse().expect("a dyno");
        let starting = |seconds| Event {
            at: at(seconds),
            fact: Fact::Life { dyno: dyno.clone(), change: Change::Starting },
        };
        let mut history = History::new(1);
        let mut marked =
            |of: &dynowarden_core::ident::DynoName, sign, left, started, released: Option<u64>| {
                let release = released
                    .map(|at_second| Event { at: at(at_second), fact: Fact::Release { version: Some(7) } });
                history.leaving(AppId(0), of, (sign, at(left)), at(left));
                history.add_events(AppId(0), release.as_slice(), at(started));
                history.add_events(AppId(0), &[starting(started)], at(started));
                let trace = history.trace(AppId(0), &dyno).expect("a trace");
                trace.marks(at(started)).last().map(|(_, mark)| mark.what)
            };
        assert_eq!(marked(&dyno, Sign::Cycling, 100, 105, None), Some(What::Cycled));
        assert_eq!(marked(&dyno, Sign::Restarting, 1000, 1005, None), Some(What::Restarted));
        assert_eq!(marked(&dyno, Sign::Killed, 2000, 2005, None), Some(What::Started));
        assert_eq!(marked(&other, Sign::Cycling, 3000, 3005, None), Some(What::Started));
        assert_eq!(marked(&dyno, Sign::Restarting, 4000, 4005, Some(3990)), Some(What::Deployed(Some(7))));
        assert_eq!(marked(&dyno, Sign::Cycling, 5000, 5005, Some(4990)), Some(What::Cycled));
        assert_eq!(marked(&dyno, Sign::Cycling, 6000, 6800, None), Some(What::Started), "long ago");
    }

    #[test]
    fn the_number_of_traces_is_bounded_and_the_gone_make_room() {
        let mut history = History::new(1);
        let sample = |index: usize, seconds| Event {
            at: at(seconds),
            fact: Fact::Sample {
                dyno: format!("web.{index}").parse().expect("a dyno"),
                instance: "i".parse().expect("an id"),
                total: Megabytes { hundredths: 25_600 },
                quota: Megabytes { hundredths: 51_200 },
                swap: None,
            },
        };
        let all: Vec<_> = (1..=limits::DYNOS_OF_APP_MAX + 5).map(|index| sample(index, 0)).collect();
        history.add_events(AppId(0), &all, at(0));
        assert_eq!(history.apps[&AppId(0)].len(), limits::DYNOS_OF_APP_MAX);
        history.add_events(AppId(1), &[sample(1, 0)], at(0));
        assert!(history.trace(AppId(1), &"web.1".parse().expect("a dyno")).is_some(), "a share of its own");
        let starting = Event {
            at: at(86_400),
            fact: Fact::Life { dyno: "web.90000".parse().expect("a dyno"), change: Change::Starting },
        };
        history.add_events(AppId(0), &[starting, sample(90_000, 86_400)], at(86_400));
        assert_eq!(history.apps[&AppId(0)].len(), 1);
        let trace = history.trace(AppId(0), &"web.90000".parse().expect("a dyno")).expect("a trace");
        assert_eq!(points(trace, at(86_400)), [(0, 500)]);
    }
}
