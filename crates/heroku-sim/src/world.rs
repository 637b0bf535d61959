//! The world: apps and their dynos in simulated time.
//!
//! Contract of use: call [`World::advance`] with a time that never goes back, or any operation, which
//! advances to its own `now` first. The next `advance` returns the lines written since the last one, in the
//! order of their times. [`World::next_event_at`] is the time of the next event, so that a driver can sleep,
//! or jump, until then. The same seed and the same calls give the same lines, byte for byte.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::app::{App, AppSpec, Formation, Release};
use crate::dyno::Dyno;
use crate::line::LogLine;
use crate::rng::Chance;
use dynowarden_core::event::DynoState;
use dynowarden_core::ident::{AppName, DynoName, InstanceId};
use dynowarden_core::time::{earlier, later};

#[derive(Clone, Debug)]
pub struct World {
    /// Future events, by time and then by the order in which they were planned.
    pub(super) agenda: BTreeMap<(Timestamp, u64), Event>,
    pub(super) apps: BTreeMap<AppName, App>,
    pub(super) chance: Chance,
    pub(super) dynos: BTreeMap<u64, Dyno>,
    pub(super) lines: Vec<LogLine>,
    pub(super) now: Timestamp,
    drawn: u64,
}

/// A future event; numbers are keys of dynos, which may be gone by then.
#[derive(Clone, Debug)]
pub(super) enum Event {
    BootTimeout(u64),
    Chat(AppName),
    Crash(u64),
    Cycle(u64),
    Exit(u64, u8),
    Line(LogLine),
    Replace(AppName, DynoName, Cause),
    Retire(u64),
    Revive(u64),
    Route(AppName),
    Sample(u64),
    Start(u64),
    Terminate(u64),
    Up(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Crash,
    Cycle,
    Killed,
    Person,
    Release,
}

/// What an operation names does not exist, in the words of the Platform API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    #[error("Couldn't find that app.")]
    App,
    #[error("Couldn't find that dyno.")]
    Dyno,
    #[error("Couldn't find that log drain.")]
    Drain,
    #[error("Couldn't find that process type.")]
    Formation,
}

impl World {
    pub fn new(seed: u64, now: Timestamp) -> Self {
        Self {
            agenda: BTreeMap::new(),
            apps: BTreeMap::new(),
            chance: Chance::new(seed),
            dynos: BTreeMap::new(),
            lines: Vec::new(),
            now,
            drawn: 0,
        }
    }

    /// Performs all events up to and including `now`, and returns the lines written since the last call.
    pub fn advance(&mut self, now: Timestamp) -> Vec<LogLine> {
        self.run_to(now);
        std::mem::take(&mut self.lines)
    }

    pub fn next_event_at(&self) -> Option<Timestamp> {
        self.agenda.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Adds an app whose dynos are up.
    pub fn add_app(&mut self, spec: AppSpec, now: Timestamp) {
        self.run_to(now);
        let born = earlier(self.now, spec.uptime);
        let release = Release {
            created_at: born,
            description: "Deploy 0000000".into(),
            id: self.chance.uuid(),
            version: 1,
        };
        let app = App {
            created_at: born,
            drains: Vec::new(),
            id: self.chance.uuid(),
            maintenance: false,
            number: 100_000_000 + self.chance.below(200_000_000),
            releases: vec![release],
            updated_at: born,
            crashes: BTreeMap::new(),
            current: BTreeMap::new(),
            plans: BTreeMap::new(),
            spec,
        };
        let name = app.name().clone();
        if let Some(every) = app.spec.router_every {
            self.plan_in(every, Event::Route(name.clone()));
        }
        if let Some(chatter) = app.spec.chatter {
            self.plan_in(chatter.every, Event::Chat(name.clone()));
        }
        let formations = app.spec.formations.clone();
        let warm_since = earlier(self.now, app.spec.warm_for);
        self.apps.insert(name.clone(), app);
        for formation in formations {
            for index in 1..=formation.quantity {
                let place = DynoName::new(formation.process_type.clone(), index);
                let key = self.add_instance(&name, &place, born);
                self.come_up(key, born, warm_since);
            }
        }
    }

    /// Sorted by name.
    pub fn apps(&self) -> impl Iterator<Item = &App> {
        self.apps.values()
    }

    /// The app with this name or id.
    pub fn app(&self, name_or_id: &str) -> Option<&App> {
        self.apps.values().find(|app| app.name().as_str() == name_or_id || app.id == name_or_id)
    }

    /// The dynos that the API lists for an app, in the order of their creation.
    ///
    /// While preboot runs two releases alongside each other, both are listed under one name. The
    /// documentation does not say which of them the real list shows; this is the harder case.
    pub fn dynos<'w>(&'w self, app: &'w AppName) -> impl Iterator<Item = &'w Dyno> {
        self.dynos.values().filter(move |dyno| dyno.listed && dyno.app == *app)
    }

    /// A number that changes whenever the list of dynos does, or the preboot of an app. Most steps of the
    /// world change neither.
    pub fn fingerprint(&self) -> u64 {
        let mix = |sum: u64, part: u64| (sum.rotate_left(5) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let of_apps = self.apps.values().fold(0, |sum, app| mix(sum, u64::from(app.spec.preboot)));
        self.dynos.iter().filter(|(_, dyno)| dyno.listed).fold(of_apps, |sum, (key, dyno)| {
            let times = [dyno.created_at, dyno.updated_at].map(|at| at.as_microsecond().cast_unsigned());
            [*key, dyno.state as u64, times[0], times[1], dyno.release].into_iter().fold(sum, mix)
        })
    }

    /// The newest instance at a place, by name, or a listed instance, by id.
    pub fn dyno(&self, app: &AppName, name_or_id: &str) -> Option<&Dyno> {
        let newest = |name| self.dynos.get(self.apps.get(app)?.current.get(&name)?);
        match name_or_id.parse::<DynoName>() {
            Ok(name) => newest(name),
            Err(_) => self
                .dynos
                .values()
                .find(|dyno| dyno.listed && dyno.app == *app && dyno.id.as_str() == name_or_id),
        }
    }

    /// A dyno's present memory use, in tenths of a MB.
    pub fn decimegabytes(&self, app: &AppName, name: &DynoName, now: Timestamp) -> Option<u64> {
        let app = self.apps.get(app)?;
        let dyno = self.dynos.get(app.current.get(name)?)?;
        Some(dyno.decimegabytes(app.plan(name).behaviour, now))
    }

    /// Writes a line at its own time, or now if that has passed.
    pub fn emit(&mut self, line: LogLine) {
        let at = line.at.max(self.now);
        self.plan_at(at, Event::Line(line));
    }

    /// Adds a new instance at a place, `starting` and current from now on.
    pub(super) fn add_instance(&mut self, app: &AppName, name: &DynoName, at: Timestamp) -> u64 {
        let id: InstanceId = self.chance.uuid().parse().expect("a UUID is an id");
        self.drawn += 1;
        let key = self.drawn;
        let state = self.apps.get_mut(app).expect("only apps of this world get instances");
        let formation = state.formation(name.process_type().as_str()).cloned();
        let Formation { command, size, .. } =
            formation.unwrap_or_else(|| Formation::new(name.process_type().clone(), 0));
        let dyno = Dyno {
            app: app.clone(),
            attach_url: None,
            command,
            created_at: at,
            id,
            is_one_off: false,
            name: name.clone(),
            release: state.version(),
            size,
            state: DynoState::Starting,
            updated_at: at,
            listed: true,
            running: false,
            warm_since: self.now,
        };
        state.current.insert(name.clone(), key);
        self.dynos.insert(key, dyno);
        key
    }

    pub(super) fn current_key(&self, app: &AppName, name: &DynoName) -> Result<u64, Missing> {
        let app = self.apps.get(app).ok_or(Missing::App)?;
        app.current.get(name).copied().ok_or(Missing::Dyno)
    }

    pub(super) fn plan_in(&mut self, span: Duration, event: Event) {
        self.plan_at(later(self.now, span), event);
    }

    pub(super) fn plan_at(&mut self, at: Timestamp, event: Event) {
        self.drawn += 1;
        self.agenda.insert((at, self.drawn), event);
    }

    pub(super) fn run_to(&mut self, now: Timestamp) {
        while let Some(entry) = self.agenda.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = self.now.max(at);
            self.happen(event);
        }
        self.now = self.now.max(now);
    }
}

/// The owner of the simulation's apps.
pub const OWNER: &str = "owner@example.com";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::World;
    use crate::app::{AppSpec, Chatter};
    use crate::dyno::{Behaviour, DynoPlan};
    use crate::line::{Dialect, LogLine};
    use crate::operations::Rollout;
    use dynowarden_core::time::later;

    /// An eventful day, taken in steps of `step`, as bytes.
    fn day(seed: u64, step: Duration) -> Vec<u8> {
        let start = Timestamp::UNIX_EPOCH;
        let mut world = World::new(seed, start);
        let mut spec = AppSpec::new("acme".parse().expect("a name"), 3);
        spec.formations[0].plan.behaviour = Behaviour::Leak { from_mb: 300, mb_per_min: 7 };
        spec.router_every = Some(Duration::from_secs(600));
        spec.chatter = Some(Chatter { every: Duration::from_secs(700), forging: true });
        let name = spec.name.clone();
        world.add_app(spec, start);
        let crashing = DynoPlan { crash_after: Some(Duration::from_secs(4000)), ..DynoPlan::default() };
        world.set_plan(&name, "web.3".parse().expect("a dyno"), crashing).expect("acme is there");
        let mut lines: Vec<LogLine> = Vec::new();
        let mut now = start;
        for hour in 1..=24 {
            let end = later(start, Duration::from_secs(3600 * hour));
            while now < end {
                now = later(now, step).min(end);
                lines.extend(world.advance(now));
            }
            if hour % 5 == 0 {
                world.deploy(&name, Rollout::AtOnce, now).expect("acme is there");
            }
            world.restart(&name, &"web.1".parse().expect("a dyno"), now).expect("it is there");
        }
        lines.iter().flat_map(|line| line.frames(Dialect::Logplex).concat()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_in_steps_of_any_size() {
        let expect = day(1, Duration::from_secs(3600));
        assert!(expect.len() > 10_000);
        assert!(expect == day(1, Duration::from_secs(3600)));
        assert!(expect == day(1, Duration::from_millis(70_700)), "the steps of the driver show in the lines");
        assert!(expect != day(2, Duration::from_secs(3600)));
    }

    #[test]
    fn jumping_between_events_gives_the_same_lines_as_small_steps() {
        let start = Timestamp::UNIX_EPOCH;
        let mut spec = AppSpec::new("acme".parse().expect("a name"), 2);
        spec.metrics = true;
        let mut jumping = World::new(5, start);
        jumping.add_app(spec, start);
        let mut walking = jumping.clone();
        let end = later(start, Duration::from_secs(600));
        let mut jumped = Vec::new();
        while let Some(at) = jumping.next_event_at().filter(|&at| at <= end) {
            jumped.extend(jumping.advance(at));
        }
        assert!(jumped.len() > 100);
        assert_eq!(jumped, walking.advance(end));
    }

    #[test]
    fn a_dyno_is_found_by_name_and_by_id() {
        let now = Timestamp::UNIX_EPOCH;
        let mut world = World::new(1, now);
        world.add_app(AppSpec::new("acme".parse().expect("a name"), 1), now);
        let app = world.app("acme").expect("by name").clone();
        assert_eq!(world.app(&app.id).map(|app| app.name()), Some(app.name()));
        let id = world.dyno(app.name(), "web.1").expect("by name").id.to_string();
        assert!(world.dyno(app.name(), &id).is_some());
        for other in ["web", "web.2", "", "00000000-0000-4000-8000-000000000000"] {
            assert!(world.dyno(app.name(), other).is_none(), "{other}");
        }
    }
}
