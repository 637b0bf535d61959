//! Apps: their formations, their releases, their drains.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::dyno::{DynoPlan, STANDARD_1X, Size};
use dynowarden_core::ident::{AppName, DrainToken, DynoName, ProcessType};

/// What an app starts out with.
#[derive(Clone, Debug)]
pub struct AppSpec {
    /// What its dynos print, if anything.
    pub chatter: Option<Chatter>,
    /// Cedar or Fir.
    pub generation: Generation,
    pub formations: Vec<Formation>,
    /// Whether `log-runtime-metrics` is on.
    pub metrics: bool,
    pub name: AppName,
    /// Whether preboot is on: old and new dynos overlap for three minutes.
    pub preboot: bool,
    /// A router line so often, if any.
    pub router_every: Option<Duration>,
    /// The Private Space that it runs in, if any.
    pub space: Option<String>,
    /// Whether a dyno that is about to swap answers slowly, and one that swaps not always.
    pub swaps: bool,
    /// How long its first dynos have been up.
    pub uptime: Duration,
    /// For how much of that time their memory has been growing.
    pub warm_for: Duration,
}

impl AppSpec {
    /// A Cedar app with a quiet formation of `web` dynos that have been up for an hour.
    pub fn new(name: AppName, web_dynos: u32) -> Self {
        let web = "web".parse().expect("three letters are a process type");
        Self {
            chatter: None,
            generation: Generation::Cedar,
            formations: vec![Formation::new(web, web_dynos)],
            metrics: false,
            name,
            preboot: false,
            router_every: None,
            space: None,
            swaps: false,
            uptime: Duration::from_secs(3600),
            warm_for: Duration::ZERO,
        }
    }
}

/// What dynos print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chatter {
    /// A line of any of the app's dynos so often.
    pub every: Duration,
    /// Whether some of the lines look like the platform's own.
    pub forging: bool,
}

/// The platform generation of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// With log drains.
    Cedar,
    /// Without.
    Fir,
}

impl Generation {
    /// `generation.name` of the Platform API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cedar => "cedar",
            Self::Fir => "fir",
        }
    }
}

/// One process type of an app.
#[derive(Clone, Debug)]
pub struct Formation {
    pub command: String,
    /// How its dynos behave, unless one of them has a plan of its own.
    pub plan: DynoPlan,
    pub process_type: ProcessType,
    /// How many dynos.
    pub quantity: u32,
    pub size: &'static Size,
}

impl Formation {
    /// `quantity` well-behaved dynos.
    pub fn new(process_type: ProcessType, quantity: u32) -> Self {
        Self {
            command: format!("bin/{process_type} --port $PORT"),
            plan: DynoPlan::default(),
            process_type,
            quantity,
            size: &STANDARD_1X,
        }
    }
}

/// An app of the world.
#[derive(Clone, Debug)]
pub struct App {
    /// When it was made.
    pub created_at: Timestamp,
    /// Its drains, oldest first.
    pub drains: Vec<DrainResource>,
    /// Its id: a UUID.
    pub id: String,
    /// Whether maintenance mode is on.
    pub maintenance: bool,
    /// The number in `dyno=heroku.<number>.<uuid>` of the metrics.
    pub number: u64,
    /// Its releases, oldest first; never empty.
    pub releases: Vec<Release>,
    /// What it was made of; `formations` is kept up to date.
    pub spec: AppSpec,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// How often the process at a place crashed in a row.
    pub(super) crashes: BTreeMap<DynoName, u32>,
    /// The newest instance at each place, by its key in the world.
    pub(super) current: BTreeMap<DynoName, u64>,
    /// Plans of single dynos.
    pub(super) plans: BTreeMap<DynoName, DynoPlan>,
}

impl App {
    pub fn name(&self) -> &AppName {
        &self.spec.name
    }

    /// The version of the newest release.
    pub fn version(&self) -> u64 {
        self.releases.last().map_or(0, |release| release.version)
    }

    /// The formation of a process type.
    pub fn formation(&self, process_type: &str) -> Option<&Formation> {
        self.spec.formations.iter().find(|formation| formation.process_type.as_str() == process_type)
    }

    pub(super) fn formation_mut(&mut self, process_type: &str) -> Option<&mut Formation> {
        self.spec.formations.iter_mut().find(|formation| formation.process_type.as_str() == process_type)
    }

    /// The plan of the dyno at a place.
    pub fn plan(&self, name: &DynoName) -> DynoPlan {
        let own = self.plans.get(name).copied();
        let shared = || self.formation(name.process_type().as_str()).map(|formation| formation.plan);
        own.or_else(shared).unwrap_or_default()
    }
}

/// One release of an app.
#[derive(Clone, Debug)]
pub struct Release {
    /// When it was made.
    pub created_at: Timestamp,
    /// What made it.
    pub description: String,
    /// Its id: a UUID.
    pub id: String,
    pub version: u64,
}

/// A registered log drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainResource {
    /// When it was registered.
    pub created_at: Timestamp,
    /// Its id: a UUID.
    pub id: String,
    /// What it sends as `Logplex-Drain-Token`.
    pub token: DrainToken,
    /// Where it sends; may hold a password.
    pub url: String,
}

impl DrainResource {
    /// Whether `key` is the drain's id, URL or token.
    pub fn answers_to(&self, key: &str) -> bool {
        self.id == key || self.url == key || self.token.as_str() == key
    }
}
