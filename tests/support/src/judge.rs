//! The promises, checked against the simulated Heroku's view: its dynos and the calls that reached it, never
//! the daemon's own word.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use dynowarden_core::event::DynoState;
use dynowarden_core::ident::{AppName, DynoName, InstanceId};
use dynowarden_core::time::{later, since};
use heroku_sim::platform::Platform;
use http::Method;
use jiff::Timestamp;

/// The daemon's settings.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub cooldown: Duration,
    pub min_uptime: Duration,
    pub settle: Duration,
    pub max_restarts: (usize, Duration),
    /// The most restarts of a dyno, in a world in which no restart helps.
    pub give_up_after: Option<usize>,
}

/// What else replaces dynos in this world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Others {
    /// Nothing: every new instance is the daemon's doing, whatever the outcome of its call.
    None,
    /// Deploys, crashes, scaling: a new instance is the daemon's doing if it was made by a DELETE.
    Platform,
}

#[derive(Debug)]
struct Place {
    id: InstanceId,
    up_since: Option<Timestamp>,
    /// Whether the daemon caused this instance.
    ours: bool,
    restarts: VecDeque<Timestamp>,
}

/// Watches a world in which at most one `web` dyno of an app may be out at once.
#[derive(Debug)]
pub struct Judge {
    bounds: Bounds,
    others: Others,
    places: BTreeMap<(AppName, DynoName), Place>,
    calls_seen: usize,
    deletes: Vec<(AppName, DynoName, Timestamp)>,
    /// Restarts that took effect.
    pub restarts: u64,
    /// DELETEs, including those without effect.
    pub deleted: u64,
    pub broken: Vec<String>,
}

impl Judge {
    pub fn new(bounds: Bounds, others: Others) -> Self {
        Self {
            bounds,
            others,
            places: BTreeMap::new(),
            calls_seen: 0,
            deletes: Vec::new(),
            restarts: 0,
            deleted: 0,
            broken: Vec::new(),
        }
    }

    /// Checks all changes; must be called often enough that no dyno is replaced twice in between.
    pub fn look(&mut self, platform: &Platform) {
        self.read_calls(platform);
        let mut born = Vec::new();
        for app in platform.world.apps() {
            for dyno in platform.world.dynos(app.name()) {
                if platform.world.dyno(app.name(), &dyno.name.to_string()).map(|newest| newest.id)
                    != Some(dyno.id)
                {
                    continue;
                }
                let key = (app.name().clone(), dyno.name.clone());
                let up_since = (dyno.state == DynoState::Up).then_some(dyno.updated_at);
                match self.places.get_mut(&key) {
                    Some(place) if place.id == dyno.id => place.up_since = up_since.or(place.up_since),
                    Some(_) => born.push((dyno.created_at, key, dyno.id, up_since)),
                    None => {
                        let restarts = VecDeque::new();
                        self.places.insert(key, Place { id: dyno.id, up_since, ours: false, restarts });
                    }
                }
            }
        }
        born.sort();
        for (at, key, id, up_since) in born {
            let ours = match self.others {
                Others::None => true,
                Others::Platform => self
                    .deletes
                    .iter()
                    .any(|(app, dyno, deleted_at)| (app, dyno) == (&key.0, &key.1) && *deleted_at == at),
            };
            if ours {
                self.restarted(&key, at);
            }
            let place = self.places.get_mut(&key).expect("it was there before");
            (place.id, place.up_since, place.ours) = (id, up_since, ours);
        }
    }

    /// The number of restarts of a dyno by the daemon so far.
    pub fn restarts_of(&self, app: &AppName, dyno: &DynoName) -> usize {
        self.places.get(&(app.clone(), dyno.clone())).map_or(0, |place| place.restarts.len())
    }

    /// Whether every app has had a restart since then.
    pub fn all_restarted_since(&self, at: Timestamp) -> bool {
        let mut apps: BTreeMap<&AppName, bool> = BTreeMap::new();
        for ((app, _), place) in &self.places {
            *apps.entry(app).or_default() |= place.restarts.back().is_some_and(|&last| last > at);
        }
        !apps.is_empty() && apps.values().all(|&restarted| restarted)
    }

    fn read_calls(&mut self, platform: &Platform) {
        let calls = platform.calls().count();
        for call in platform.calls().skip(self.calls_seen).filter(|call| call.is_change()) {
            let segments: Vec<&str> = call.path.split('/').collect();
            match segments[..] {
                [_, "apps", _, "log-drains", ..] => {}
                ["", "apps", app, "dynos", dyno] if call.method == Method::DELETE => {
                    self.deleted += 1;
                    match (app.parse::<AppName>(), dyno.parse::<DynoName>()) {
                        (Ok(app), Ok(dyno)) if dyno.process_type().as_str() == "web" => {
                            self.deletes.push((app, dyno, call.at));
                        }
                        _ => self.broken.push(format!("a DELETE of something else: {}", call.path)),
                    }
                }
                _ => self.broken.push(format!("a call that changes more: {} {}", call.method, call.path)),
            }
        }
        self.calls_seen = calls;
    }

    /// Checks a restart of the daemon that took effect at this place.
    fn restarted(&mut self, key: &(AppName, DynoName), at: Timestamp) {
        let Bounds { cooldown, min_uptime, settle, max_restarts: (max, within), give_up_after } = self.bounds;
        let name = format!("{} of {}", key.1, key.0);
        let is_out = |place: &Place| place.ours && place.up_since.is_none_or(|up| later(up, settle) > at);
        for (other, place) in &self.places {
            let is_beside =
                other.0 == key.0 && other.1.process_type() == key.1.process_type() && other != key;
            if is_beside && is_out(place) {
                self.broken.push(format!("{name} was restarted at {at} while {} was out", other.1));
            }
        }
        let place = self.places.get_mut(key).expect("it was there before");
        if place.up_since.is_none_or(|up| later(up, min_uptime) > at) {
            let up = place.up_since;
            self.broken.push(format!("{name} was restarted at {at} although up only since {up:?}"));
        }
        if let Some(&last) = place.restarts.back()
            && later(last, cooldown) > at
        {
            self.broken.push(format!("{name} was restarted at {last} and again at {at}"));
        }
        let recent = place.restarts.iter().filter(|&&before| since(before, at) < within).count();
        if recent >= max {
            self.broken.push(format!("{name} was restarted {recent} times and again at {at}"));
        }
        if give_up_after.is_some_and(|most| place.restarts.len() >= most) {
            let useless = place.restarts.len();
            self.broken
                .push(format!("{name} was restarted at {at} after {useless} restarts that did not help"));
        }
        place.restarts.push_back(at);
        self.restarts += 1;
    }
}
