//! What an archive shows of one app: its lives, its requests, and what no policy changes.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::calendar::{self, QuietHours, Shut, Window};
use crate::days::history::{AppHistory, Release};
use crate::days::life::{Ended, Life, is_other_quota};
use crate::days::report;
use crate::days::seen::Seen;
use crate::days::verdict::Verdict;
use crate::days::{quiet, step};
use crate::ident::{DynoName, DynoRef, ProcessType};
use crate::limits;
use crate::policy::AppPlan;
use crate::time::{later, since};
use crate::what_if::boots;
use crate::what_if::donor::{Donor, Worth};
use crate::what_if::pace;
use crate::what_if::slots::{self, SLOTS_PER_HOUR, SLOTS_PER_MINUTE, Track};

/// The lines of one app, while they are read.
#[derive(Debug)]
pub(super) struct AppLog {
    plan: AppPlan,
    history: AppHistory,
    tracks: BTreeMap<ProcessType, BTreeMap<u32, Track>>,
    /// Whether the log has memory below the quota.
    has_samples: bool,
    requests: u64,
}

/// The same, ready to be played.
#[derive(Debug)]
pub(super) struct App {
    pub(super) plan: AppPlan,
    pub(super) formations: Vec<Formation>,
    pub(super) releases: Vec<Release>,
    pub(super) quiet: Option<QuietHours>,
    pub(super) verdicts: Vec<(ProcessType, Verdict)>,
    /// From a restart to the new process being up.
    pub(super) boot_ms: i64,
    /// When any of its dynos was there.
    pub(super) segments: Vec<Segment>,
    /// When restarts are allowed, by segments and their minutes.
    pub(super) open: Vec<Vec<Open>>,
    pub(super) has_samples: bool,
    pub(super) requests: u64,
}

/// The dynos of one process type.
#[derive(Debug)]
pub(super) struct Formation {
    pub(super) process_type: ProcessType,
    pub(super) donors: Vec<Donor>,
    pub(super) stays: Vec<Stay>,
    /// Lives that say something.
    pub(super) lives: usize,
    /// Requests to each dyno, by segments and their slots. One a slot where the log has none.
    pub(super) rates: Vec<Vec<f32>>,
    pub(super) by_requests: bool,
}

/// A span of slots without a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) from: i64,
    pub(super) until: i64,
}

/// The windows that are open in a minute.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Open {
    /// Those of the policy.
    pub(super) policy: bool,
    /// The quiet hours.
    pub(super) quiet: bool,
}

/// A span in which a dyno was there, whatever was done to it.
#[derive(Clone, Debug)]
pub(super) struct Stay {
    pub(super) dyno: DynoName,
    pub(super) from: i64,
    pub(super) until: i64,
    /// The place of its first life among the donors: no policy has restarted it yet.
    pub(super) first: usize,
    pub(super) is_start_known: bool,
    /// When the platform cycled that first life.
    pub(super) cycled_at: Option<i64>,
    pub(super) quota: u32,
    /// Restarts that have nothing to do with the policy.
    pub(super) outside: Vec<(i64, Outside)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outside {
    Crash,
    Release,
}

/// A dyno that is away for longer than this has been scaled away.
const AWAY_SLOTS: i64 = SLOTS_PER_HOUR / 4;

/// Requests to a life, on average, from which on memory is read by them.
const REQUESTS_LEAST: u64 = 200;

// === impl AppLog ===

impl AppLog {
    pub(super) fn new(plan: AppPlan) -> Self {
        Self {
            plan,
            history: AppHistory::default(),
            tracks: BTreeMap::new(),
            has_samples: false,
            requests: 0,
        }
    }

    /// Adds what a line showed, and returns whether there was `room` for it, in hours of dynos.
    pub(super) fn add(
        &mut self,
        dyno: Option<DynoRef<'_>>,
        seen: &Seen<'_>,
        room: &mut usize,
        at: Timestamp,
    ) -> bool {
        let is_listed = |dyno: &DynoRef<'_>| {
            let mut listed = self.plan.policy.process_types.iter();
            dyno.index <= limits::FORMATION_INDEX_MAX
                && listed.any(|listed| listed.as_str() == dyno.process_type)
        };
        // Other dynos show that lines arrive.
        let Some(dyno) = dyno.filter(is_listed) else {
            let is_release = matches!(seen, Seen::Release(_));
            self.history.add(None, if is_release { seen } else { &Seen::Heard }, at);
            return true;
        };
        let Some(track) = track(&mut self.tracks, &dyno) else { return true };
        if track.is_new(at) {
            let Some(left) = room.checked_sub(1) else { return false };
            *room = left;
        }
        track.heard(at);
        match seen {
            Seen::Sample { total, quota, .. } if quota.hundredths > 0 => {
                track.memory(total.hundredths as f32 / quota.hundredths as f32, at);
                self.has_samples |= total < quota;
            }
            Seen::Memory { permille, .. } => track.memory(*permille as f32 / 1000.0, at),
            Seen::Error(crate::codes::Code::R14 | crate::codes::Code::R15) => track.over(at),
            Seen::Request(_) => {
                track.request(at);
                self.requests += 1;
            }
            _ => {}
        }
        self.history.add(Some(dyno), seen, at);
        true
    }

    /// Hours in which lines arrived.
    pub(super) fn hours(&self) -> f64 {
        quiet::covered(&self.history.heard()).count() as f64 / step::STEPS_PER_HOUR as f64
    }

    /// Lines of dynos past the limit of a report.
    pub(super) fn dropped(&self) -> u64 {
        self.history.dropped()
    }

    /// Cuts the log into lives; none if there is no `room` for them, in hours of dynos.
    pub(super) fn into_app(self, room: &mut usize) -> Option<App> {
        let zone = report::zone_of(&self.plan);
        let types: Vec<ProcessType> = self.tracks.keys().cloned().collect();
        let cut: Vec<Cut> =
            types.iter().map(|process_type| self.cut(process_type, room)).collect::<Option<_>>()?;
        let segments = segments(cut.iter().flat_map(|cut| &cut.stays));
        let formations = types.into_iter().zip(cut).map(|(process_type, cut)| Formation {
            rates: self.rates(&process_type, &cut, &segments),
            lives: cut.lives,
            donors: cut.donors,
            stays: cut.stays,
            by_requests: cut.by_requests,
            process_type,
        });
        let quiet = report::quiet_hours(&self.history, &zone);
        let windows = &self.plan.policy.window;
        let open = segments.iter().map(|segment| open(windows, quiet.as_ref(), segment));
        Some(App {
            formations: formations.collect(),
            releases: self.history.releases(),
            open: open.collect(),
            quiet,
            verdicts: report::verdicts(&self.history),
            boot_ms: boots::usual_ms(&self.history),
            segments,
            has_samples: self.has_samples,
            requests: self.requests,
            plan: self.plan,
        })
    }

    fn cut(&self, process_type: &ProcessType, room: &mut usize) -> Option<Cut> {
        let mut lives = report::lives_of(&self.history, process_type);
        lives.sort_by(|left, right| left.dyno.cmp(&right.dyno).then(left.start.cmp(&right.start)));
        let empty = Track::default();
        let tracks = self.tracks.get(process_type);
        let track = |life: &Life| tracks.and_then(|tracks| tracks.get(&life.dyno.index())).unwrap_or(&empty);
        for life in &mut lives {
            // A life without readings has no end by silence, and a wrong clock may be years off.
            let (from, until) = (slots::slot_of(life.start), slots::slot_of(life.end));
            let end = slots::start_of(track(life).heard_until(from, until) + 1);
            life.end = life.end.min(end).max(life.start);
            let hours = (slots::slot_of(life.end) - from) / SLOTS_PER_HOUR + 1;
            *room = room.checked_sub(usize::try_from(hours).ok()?)?;
        }
        let by_requests = self.requests >= REQUESTS_LEAST * lives.len() as u64
            && self.requests > 0
            && pace::follows_requests(lives.iter().map(|life| (life, track(life))));
        let mut cut = Cut { donors: Vec::new(), stays: Vec::new(), lives: 0, by_requests };
        for life in &lives {
            let donor = Donor::new(life, track(life), by_requests, self.has_samples);
            cut.lives += usize::from(life.ended != Ended::Open || donor.worth != Worth::None);
            cut.donors.push(donor);
        }
        for (place, life) in lives.iter().enumerate() {
            let before = place.checked_sub(1).map(|before| &lives[before]);
            cut.live(place, life, before.filter(|before| before.dyno == life.dyno));
        }
        Some(cut)
    }

    /// Requests to each dyno: those of all, by the number of dynos. The router chooses at random, so another
    /// policy only changes which dyno has them.
    fn rates(&self, process_type: &ProcessType, cut: &Cut, segments: &[Segment]) -> Vec<Vec<f32>> {
        let of_segment = |segment: &Segment| {
            let length = (segment.until - segment.from) as usize;
            let (mut rates, mut dynos) = (vec![0.0_f32; length], vec![0_i32; length + 1]);
            for stay in cut.stays.iter().filter(|stay| segment.has(stay)) {
                dynos[(stay.from - segment.from) as usize] += 1;
                dynos[(stay.until - segment.from) as usize] -= 1;
            }
            if self.requests == 0 {
                return vec![1.0; length];
            }
            for track in self.tracks.get(process_type).into_iter().flat_map(BTreeMap::values) {
                for (slot, rate) in (segment.from..).zip(&mut rates) {
                    *rate += f32::from(track.slot(slot).1);
                }
            }
            let mut present = 0;
            for (rate, change) in rates.iter_mut().zip(&dynos) {
                present += change;
                *rate = if present > 0 { *rate / present as f32 } else { 0.0 };
            }
            rates
        };
        segments.iter().map(of_segment).collect()
    }
}

/// The track of a dyno; none for one too many.
fn track<'t>(
    tracks: &'t mut BTreeMap<ProcessType, BTreeMap<u32, Track>>,
    dyno: &DynoRef<'_>,
) -> Option<&'t mut Track> {
    if !tracks.keys().any(|known| known.as_str() == dyno.process_type) {
        tracks.insert(dyno.process_type.parse().ok()?, BTreeMap::new());
    }
    let (_, of_type) = tracks.iter_mut().find(|(known, _)| known.as_str() == dyno.process_type)?;
    Some(of_type.entry(dyno.index).or_default())
}

/// A process type's log in lives.
struct Cut {
    donors: Vec<Donor>,
    stays: Vec<Stay>,
    lives: usize,
    by_requests: bool,
}

// === impl Cut ===

impl Cut {
    /// Adds a life behind the one before it of the same dyno.
    fn live(&mut self, place: usize, life: &Life, before: Option<&Life>) {
        let (from, until) = (slots::slot_of(life.start), slots::slot_of(life.end));
        let until = until.max(from + 1);
        if let Some(before) = before
            && let Some(stay) = self.stays.last_mut()
            && from - stay.until <= AWAY_SLOTS
            && before.ended != Ended::Down
            && !is_other_quota(stay.quota, life.quota)
        {
            match before.ended {
                Ended::Release => stay.outside.push((from, Outside::Release)),
                Ended::Crash => stay.outside.push((from, Outside::Crash)),
                _ => {}
            }
            stay.until = stay.until.max(until);
            return;
        }
        // Two lives in one slot, or lines out of order.
        let after = self.stays.last().filter(|_| before.is_some()).map_or(from, |stay| stay.until);
        let from = from.max(after);
        self.stays.push(Stay {
            dyno: life.dyno.clone(),
            from,
            until: until.max(from + 1),
            first: place,
            is_start_known: life.is_start_known,
            cycled_at: (life.ended == Ended::Cycle).then_some(until),
            quota: life.quota,
            outside: Vec::new(),
        });
    }
}

// === impl Segment ===

impl Segment {
    pub(super) fn has(&self, stay: &Stay) -> bool {
        stay.from >= self.from && stay.until <= self.until
    }
}

/// The spans in which any dyno was there.
fn segments<'c>(stays: impl Iterator<Item = &'c Stay>) -> Vec<Segment> {
    let mut spans: Vec<Segment> = stays.map(|stay| Segment { from: stay.from, until: stay.until }).collect();
    spans.sort_by_key(|span| span.from);
    let mut segments: Vec<Segment> = Vec::new();
    for span in spans {
        match segments.last_mut() {
            Some(last) if span.from - last.until <= SLOTS_PER_HOUR => last.until = last.until.max(span.until),
            _ => segments.push(span),
        }
    }
    segments
}

fn open(windows: &[Window], quiet: Option<&QuietHours>, segment: &Segment) -> Vec<Open> {
    let length = ((segment.until - segment.from) / SLOTS_PER_MINUTE + 1) as usize;
    let start = slots::start_of(segment.from);
    let minutes = |windows: &[Window]| {
        let (mut minutes, mut minute) = (vec![windows.is_empty(); length], 0);
        while minute < length && !windows.is_empty() {
            let at = later(start, Duration::from_secs(minute as u64 * 60));
            match calendar::check(windows, quiet, at) {
                Ok(()) => minutes[minute] = true,
                Err(Shut::Until(Some(opens))) => {
                    minute =
                        minute.max((since(start, opens).as_secs().div_ceil(60)) as usize).max(minute + 1);
                    continue;
                }
                Err(Shut::Until(None) | Shut::QuietUnknown) => break,
            }
            minute += 1;
        }
        minutes
    };
    let (policy, quiet) = (minutes(windows), minutes(&[Window::Quiet]));
    policy.into_iter().zip(quiet).map(|(policy, quiet)| Open { policy, quiet }).collect()
}
