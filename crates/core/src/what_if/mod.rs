//! What if: which policy would have done best on an archive.
//!
//! - `slots` holds a dyno's memory and requests in slots of 20 seconds.
//! - `log` cuts an app's log into lives, by the rules of `days`, and notes what no policy changes; `boots`
//!   knows how long a restarted dyno is out.
//! - `pace` finds whether memory grows with requests or with time. By that, `donor` reads the memory of a
//!   life, also past its end, and `sample` chooses whose life a new process has.
//! - `policies` lists the policies, `play` plays one of them with the daemon's own engine, and `dyno` is what
//!   the engine restarts.
//! - `compare` ranks them and chooses one.
//!
//! It is an estimate: a process that was restarted at another time is taken to live like one of the log's
//! that started at about the same hour.

mod boots;
pub mod compare;
mod donor;
mod dyno;
mod log;
mod pace;
mod play;
pub mod policies;
mod sample;
mod slots;
#[cfg(test)]
mod tests;

use crate::days::seen;
use crate::detect::{self, DetectError};
use crate::ident::AppName;
use crate::limits;
use crate::policy::AppPlan;
use crate::replay::archive::Entry;
use crate::replay::roster::Roster;
use crate::what_if::compare::{Basis, Comparison};
use crate::what_if::log::{App, AppLog};

/// An archive, while it is read.
pub struct WhatIf<'s> {
    apps: Vec<AppLog>,
    plan_for: Box<dyn Fn(&AppName) -> AppPlan + 's>,
    roster: Roster,
    /// Hours of dynos with lines that may still be held.
    room: usize,
    /// Hours of lives that may be cut, which also have the silences between lines.
    room_for_lives: usize,
    has_no_room: bool,
    zone_unknown: bool,
}

/// Why there is no comparison.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("what-if needs 3 days of lines and 4 lives of dynos; this log has too little: {}", .0.spelled())]
    TooLittle(Missing),
    #[error(
        "this log has more than {} hours of dynos, which is more than what-if can hold; name fewer files, or \
         one app with --app",
        limits::WHAT_IF_DYNO_HOURS_MAX
    )]
    TooLarge,
}

/// What a log lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    pub hours: u64,
    pub lives: usize,
}

/// The least that a comparison rests on.
const HOURS_LEAST: f64 = 72.0;
const LIVES_LEAST: usize = 4;

impl<'s> WhatIf<'s> {
    /// For the apps of `roster`; `plan_for` returns each app's policy, in which the rules are replaced.
    pub fn new(roster: Roster, plan_for: impl Fn(&AppName) -> AppPlan + 's) -> Self {
        Self {
            apps: Vec::new(),
            plan_for: Box::new(plan_for),
            roster,
            room: limits::WHAT_IF_DYNO_HOURS_MAX,
            room_for_lives: limits::WHAT_IF_DYNO_HOURS_MAX,
            has_no_room: false,
            zone_unknown: false,
        }
    }

    /// Notes a line as it is read, before the lines are in order.
    pub fn announce(&mut self, entry: &Entry<'_>) {
        if let Some(system) = entry.system {
            self.roster.announce(system);
        }
        self.zone_unknown |= entry.is_zone_unknown;
    }

    /// Takes in the next line in order.
    ///
    /// # Errors
    /// A platform line that could not be understood. It counts for nothing.
    pub fn read(&mut self, entry: &Entry<'_>) -> Result<(), DetectError> {
        let Some(place) = self.roster.place(entry.system) else { return Ok(()) };
        if place >= self.apps.len() {
            self.apps.push(AppLog::new((self.plan_for)(self.roster.app(place))));
        }
        if entry.line.app == b"heroku" && entry.line.procid != b"router" {
            detect::fact(&entry.line)?;
        }
        let Some((dyno, seen)) = seen::read(&entry.line) else { return Ok(()) };
        let at = entry.at?;
        self.has_no_room |= !self.apps[place].add(dyno, &seen, &mut self.room, at);
        Ok(())
    }

    /// Whether some times are in a zone that the log does not name.
    pub fn is_zone_unknown(&self) -> bool {
        self.zone_unknown
    }

    /// Plays all policies. `progress` is called with what is done and with all there is to do.
    ///
    /// # Errors
    /// The log has too little for a comparison, or too much.
    pub fn compare(self, progress: &mut dyn FnMut(u64, u64)) -> Result<Comparison, Refusal> {
        if self.has_no_room {
            return Err(Refusal::TooLarge);
        }
        let mut room = self.room_for_lives;
        let mut basis = Basis { zone_unknown: self.zone_unknown, ..Basis::default() };
        let mut least = Missing { hours: HOURS_LEAST as u64, lives: LIVES_LEAST };
        let mut apps: Vec<App> = Vec::new();
        for (place, log) in self.apps.into_iter().enumerate() {
            let (hours, dropped, name) = (log.hours(), log.dropped(), self.roster.app(place));
            let app = log.into_app(&mut room).ok_or(Refusal::TooLarge)?;
            let lives: usize = app.formations.iter().map(|formation| formation.lives).sum();
            let missing = Missing::of(hours, lives);
            if missing != Missing::default() {
                least = least.min_by_what_is_left(missing);
                basis.apps_left_out.push((name.clone(), missing.spelled()));
                continue;
            }
            basis.add(name, &app, (hours, lives, dropped));
            apps.push(app);
        }
        if apps.is_empty() {
            return Err(Refusal::TooLittle(least));
        }
        Ok(compare::compare(&apps, basis, progress))
    }
}

// === impl Missing ===

impl Missing {
    fn of(hours: f64, lives: usize) -> Self {
        Self { hours: (HOURS_LEAST - hours).max(0.0).ceil() as u64, lives: LIVES_LEAST.saturating_sub(lives) }
    }

    fn min_by_what_is_left(self, other: Self) -> Self {
        if (other.hours, other.lives) < (self.hours, self.lives) { other } else { self }
    }

    /// `12 h more, 1 life more`.
    pub fn spelled(&self) -> String {
        let hours = (self.hours > 0).then(|| format!("{} h more", self.hours));
        let lives = match self.lives {
            0 => None,
            1 => Some("1 life more".to_owned()),
            lives => Some(format!("{lives} lives more")),
        };
        [hours, lives].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

// === impl Basis ===

impl Basis {
    fn add(&mut self, name: &AppName, app: &App, (hours, lives, dropped): (f64, usize, u64)) {
        self.apps.push(name.clone());
        let dynos: std::collections::BTreeSet<_> = app
            .formations
            .iter()
            .flat_map(|formation| formation.stays.iter().map(|stay| &stay.dyno))
            .collect();
        self.dynos += dynos.len();
        self.lives += lives;
        self.days = self.days.max(hours / 24.0);
        self.boot_seconds = self.boot_seconds.max(app.boot_ms as f64 / 1000.0);
        self.has_samples |= app.has_samples;
        self.has_requests |= app.requests > 0;
        self.requests += app.requests as f64;
        self.has_quiet |= app.quiet.is_some();
        self.lines_dropped += dropped;
    }
}
