//! The series of all dynos: the present hour of each in memory, written to the store as its steps pass.
//!
//! Lines count at the time that they carry, so what arrives late or all at once is where it belongs. An hour
//! is written when a newer step begins, so that a process that dies loses no more than the last two steps.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::one::RefMut;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::store::Store;
use crate::store::error::StoreAway;
use crate::store::series::HourRow;
use dynowarden_core::days::hour::OpenHour;
use dynowarden_core::days::pack;
use dynowarden_core::days::seen::Seen;
use dynowarden_core::days::step::{self, STEP_SECONDS, STEPS_PER_HOUR};
use dynowarden_core::detect::sign::Sign;
use dynowarden_core::event::DynoState;
use dynowarden_core::hash::Keyed;
use dynowarden_core::ident::{AppId, AppName, DynoName, InstanceId};
use dynowarden_core::limits;
use dynowarden_core::time::earlier;

/// The series of this process; shared behind an `Arc`.
#[derive(Debug)]
pub struct SeriesBook {
    /// In the order of [`AppId`].
    apps: Vec<AppName>,
    keep: Duration,
    /// Boxed: the map has up to twice as many slots as dynos. The names in it come from outside.
    open: DashMap<Key, Box<Open>, Keyed>,
    /// Hours that are over, or that lines came for later, until they are written.
    past: Mutex<BTreeMap<Place, Part>>,
    /// An hour that is over waits to be written.
    is_over: Notify,
    first_part: i64,
    parts: AtomicI64,
    dropped: AtomicU64,
    /// Steps and processes that began and lines that came late, for each app: the series may say more now.
    changes: Vec<AtomicU64>,
}

/// A dyno of an app; without a dyno, the app as a whole.
type Key = (AppId, Option<DynoName>);

/// An hour of a dyno, and the number of the part.
type Place = (i64, Key, i64);

/// The present hour of a dyno.
#[derive(Debug)]
struct Open {
    hour: i64,
    /// The time of the newest line.
    heard: Timestamp,
    instance: Option<InstanceId>,
    part: Part,
    /// When its process began, if that was seen.
    started: Option<Timestamp>,
}

/// What this process knows of one hour.
#[derive(Debug)]
struct Part {
    /// Its number in the store.
    number: i64,
    steps: OpenHour,
    /// The newest step, counted from the epoch.
    newest: i64,
    /// The newest step when it was last written.
    written: i64,
    is_dirty: bool,
}

/// Which parts to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted<'w> {
    /// All that changed.
    All,
    /// All that changed of one app.
    App(&'w AppName),
    /// Those with a step that is over.
    Due { now: i64 },
}

// === impl SeriesBook ===

impl SeriesBook {
    /// An empty book of these apps. `seed` is different for each process.
    pub fn new(apps: Vec<AppName>, keep: Duration, seed: u64) -> Self {
        // Below 2^31: four bytes in the store, and only parts of the same hour must differ.
        let first_part = (seed >> 33) as i64;
        Self {
            changes: apps.iter().map(|_| AtomicU64::new(0)).collect(),
            apps,
            keep,
            open: DashMap::default(),
            past: Mutex::default(),
            is_over: Notify::new(),
            first_part,
            parts: AtomicI64::new(first_part),
            dropped: AtomicU64::new(0),
        }
    }

    /// The apps in the order of [`AppId`].
    pub fn apps(&self) -> &[AppName] {
        &self.apps
    }

    /// The first number of a part, which is different for each process.
    pub fn first_part(&self) -> i64 {
        self.first_part
    }

    /// Adds what lines of one dyno showed, in their order. A time in the future counts as now; one before the
    /// kept span is dropped.
    pub fn add<'s>(
        &self,
        key: (AppId, Option<DynoName>),
        lines: impl IntoIterator<Item = (&'s Seen<'static>, Timestamp)>,
        now: Timestamp,
    ) {
        let oldest = earlier(now, self.keep);
        let (mut open, mut last) = (None::<RefMut<'_, Key, Box<Open>>>, None);
        for (seen, at) in lines {
            let at = at.min(now);
            // Most lines of a batch are of the same step as the one before.
            if let (Some(open), Some(last), Seen::Heard | Seen::Request(_)) = (&mut open, last, seen)
                && (last..last + STEP_SECONDS).contains(&at.as_second())
                && at >= oldest
            {
                open.add_to_newest(seen, at);
                continue;
            }
            let place = if at < oldest { None } else { open.take().or_else(|| self.open(&key, at)) };
            match place {
                Some(mut place) => {
                    self.add_line(&key, &mut place, seen, at);
                    last = Some(place.newest_start());
                    open = Some(place);
                }
                None => _ = self.dropped.fetch_add(1, Ordering::Relaxed),
            }
        }
    }

    /// The present hour of a dyno; none if there is no room for it.
    fn open(&self, key: &Key, at: Timestamp) -> Option<RefMut<'_, Key, Box<Open>>> {
        if let Some(open) = self.open.get_mut(key) {
            return Some(open);
        }
        if self.open.len() >= limits::SERIES_DYNOS_MAX {
            return None;
        }
        let hour = step::step_of(at).div_euclid(STEPS_PER_HOUR);
        let new = || Box::new(Open { hour, heard: at, instance: None, part: self.new_part(), started: None });
        Some(self.open.entry(key.clone()).or_insert_with(new))
    }

    fn add_line(&self, key: &Key, open: &mut Open, seen: &Seen<'_>, at: Timestamp) {
        let index = step::step_of(at);
        let hour = index.div_euclid(STEPS_PER_HOUR);
        open.heard = open.heard.max(at);
        if let Seen::Sign(Sign::Starting | Sign::State(DynoState::Starting | DynoState::Up)) = seen {
            open.started = open.started.max(Some(at));
        }
        let Open { hour: open_hour, instance, part, .. } = open;
        if hour < *open_hour {
            self.changed(key.0);
            return self.add_late((hour, key.clone()), seen, at);
        }
        if hour > *open_hour {
            let over = std::mem::replace(part, self.new_part());
            let over_hour = std::mem::replace(open_hour, hour);
            self.keep_past((over_hour, key.clone(), over.number), over);
        }
        let is_change = part.newest < index || matches!(seen, Seen::Sign(_) | Seen::Release(_));
        if is_change {
            self.changed(key.0);
        }
        part.add(index, seen, instance, at);
    }

    fn changed(&self, app: AppId) {
        if let Some(changes) = self.changes.get(app.0 as usize) {
            changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often a step or a process of an app began.
    pub fn changes(&self, app: AppId) -> u64 {
        self.changes.get(app.0 as usize).map_or(0, |changes| changes.load(Ordering::Relaxed))
    }

    /// The dynos of an app of which a line was heard lately, each with the start of its process if that was
    /// seen.
    pub fn ages(&self, app: AppId, now: Timestamp) -> Vec<(DynoName, Option<Timestamp>)> {
        let since = earlier(now, limits::AGES_HEARD);
        let of_app = self.open.iter().filter(|entry| entry.key().0 == app && entry.value().heard >= since);
        let mut ages: Vec<_> =
            of_app.filter_map(|entry| Some((entry.key().1.clone()?, entry.value().started))).collect();
        ages.sort_unstable();
        ages
    }

    /// Lines and hours that were not kept.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Writes everything of an app that is not yet in the store.
    ///
    /// # Errors
    /// The store is away.
    pub async fn flush_app(&self, app: &AppName, store: &Store) -> Result<(), StoreAway> {
        self.write(Wanted::App(app), store).await
    }

    /// Writes steps as they pass, until `end`, and then the rest.
    pub async fn run(&self, store: Store, clock: Clock, end: CancellationToken) {
        let mut timer = tokio::time::interval(limits::SERIES_WRITE_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = end.cancelled() => break,
                _ = timer.tick() => {}
                // More may follow at once: one write for all of it.
                () = self.is_over.notified() => tokio::time::sleep(limits::SERIES_WRITE_SOON).await,
            }
            let now = step::step_of(clock.now().wall);
            // The store reports that it is away, and what is not written stays.
            let _away = self.write(Wanted::Due { now }, &store).await;
            self.forget_idle(now);
        }
        let _away = self.write(Wanted::All, &store).await;
    }

    async fn write(&self, wanted: Wanted<'_>, store: &Store) -> Result<(), StoreAway> {
        loop {
            let (rows, keys) = self.take(wanted);
            if rows.is_empty() {
                return Ok(());
            }
            let saved = store.save_hours(&rows).await;
            self.settle(&keys, saved.is_ok());
            saved?;
            if rows.len() < limits::ROWS_PER_WRITE_MAX {
                return Ok(());
            }
        }
    }

    /// Takes the next rows out, as many as fit one transaction.
    fn take(&self, wanted: Wanted<'_>) -> (Vec<HourRow>, Vec<Place>) {
        let (mut rows, mut keys) = (Vec::new(), Vec::new());
        let mut take = |hour: i64, key: &Key, part: &mut Part, is_over: bool| {
            let Some(name) = self.apps.get(key.0.0 as usize) else { return };
            if rows.len() < limits::ROWS_PER_WRITE_MAX && part.is_wanted(wanted, name, is_over) {
                part.is_dirty = false;
                let is_known = std::mem::replace(&mut part.written, part.newest) != i64::MIN;
                let (app, dyno, packed) = (name.clone(), key.1.clone(), pack::pack_open(&part.steps));
                rows.push(HourRow { app, dyno, hour, part: part.number, is_known, packed });
                keys.push((hour, key.clone(), part.number));
            }
        };
        for ((hour, key, _), part) in self.past().iter_mut() {
            take(*hour, key, part, true);
        }
        for mut open in self.open.iter_mut() {
            let (key, open) = open.pair_mut();
            take(open.hour, key, &mut open.part, false);
        }
        (rows, keys)
    }

    /// Notes whether the rows were written. What came in between is written the next time.
    fn settle(&self, keys: &[Place], is_saved: bool) {
        for key in keys {
            let mut past = self.past();
            if let Entry::Occupied(mut entry) = past.entry(key.clone()) {
                if !is_saved {
                    entry.get_mut().mark_unwritten();
                } else if !entry.get().is_dirty {
                    entry.remove();
                }
                continue;
            }
            drop(past);
            if let Some(mut open) = self.open.get_mut(&key.1)
                && open.part.number == key.2
                && !is_saved
            {
                open.part.mark_unwritten();
            }
        }
    }

    /// Moves hours of dynos without lines for an hour out of the way.
    fn forget_idle(&self, now: i64) {
        let hour = now.div_euclid(STEPS_PER_HOUR);
        self.open.retain(|_, open| open.part.is_dirty || open.hour + 2 > hour);
    }

    /// Adds a line of an hour that is over: to a part that waits, or to a new one.
    fn add_late(&self, (hour, key): (i64, Key), seen: &Seen<'_>, at: Timestamp) {
        let index = step::step_of(at);
        let mut past = self.past();
        let (first, last) = ((hour, key.clone(), i64::MIN), (hour, key.clone(), i64::MAX));
        if let Some((_, part)) = past.range_mut(first..=last).next() {
            return part.add(index, seen, &mut None, at);
        }
        drop(past);
        let mut part = self.new_part();
        part.add(index, seen, &mut None, at);
        self.keep_past((hour, key, part.number), part);
    }

    fn keep_past(&self, place: Place, part: Part) {
        if !part.is_dirty {
            return;
        }
        let mut past = self.past();
        past.insert(place, part);
        self.is_over.notify_one();
        while past.len() > limits::SERIES_WAITING_MAX {
            past.pop_first();
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn new_part(&self) -> Part {
        Part {
            number: self.parts.fetch_add(1, Ordering::Relaxed),
            steps: OpenHour::default(),
            newest: i64::MIN,
            written: i64::MIN,
            is_dirty: false,
        }
    }

    fn past(&self) -> MutexGuard<'_, BTreeMap<Place, Part>> {
        // Each change is complete before the lock is released, so a panic elsewhere is harmless.
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Open ===

impl Open {
    /// When the newest step with lines begins, in seconds since the epoch.
    fn newest_start(&self) -> i64 {
        self.part.newest.saturating_mul(STEP_SECONDS)
    }

    /// Adds a line of the newest step that says nothing of the dyno's process.
    fn add_to_newest(&mut self, seen: &Seen<'_>, at: Timestamp) {
        self.heard = self.heard.max(at);
        self.part.add(self.part.newest, seen, &mut self.instance, at);
    }
}

// === impl Part ===

impl Part {
    fn add(&mut self, index: i64, seen: &Seen<'_>, instance: &mut Option<InstanceId>, at: Timestamp) {
        self.steps.step_mut(index).add(seen, instance, at);
        self.newest = self.newest.max(index);
        self.is_dirty = true;
    }

    fn is_wanted(&self, wanted: Wanted<'_>, app: &AppName, is_over: bool) -> bool {
        self.is_dirty
            && match wanted {
                Wanted::All => true,
                Wanted::App(wanted) => wanted == app,
                Wanted::Due { now } => is_over || self.newest > self.written || now > self.newest,
            }
    }

    fn mark_unwritten(&mut self) {
        self.is_dirty = true;
        self.written = i64::MIN;
    }
}
