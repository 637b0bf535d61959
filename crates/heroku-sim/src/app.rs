//! Apps: their formations, their releases, their drains.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::dyno::{DynoPlan, STANDARD_1X, Size};
use dynowarden_core::ident::{AppName, DrainToken, DynoName, ProcessType};

/// The initial state of an app.
#[derive(Clone, Debug)]
pub struct AppSpec {
    /// The lines that its dynos print, if any.
    pub chatter: Option<Chatter>,
    pub generation: Generation,
    pub formations: Vec<Formation>,
    /// Whether `log-runtime-metrics` is on.
    pub metrics: bool,
    pub name: AppName,
    /// Whether preboot is on: old and new dynos overlap for three minutes.
    pub preboot: bool,
    /// The interval between router lines, if any.
    pub router_every: Option<Duration>,
    /// The Private Space that it runs in, if any.
    pub space: Option<String>,
    /// Whether a dyno close to swapping answers slowly, and a swapping one not always.
    pub swaps: bool,
    /// How long its first dynos have been up.
    pub uptime: Duration,
    /// How much of that time their memory has been growing.
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

/// The lines that dynos print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chatter {
    /// The interval between lines, over all dynos of the app.
    pub every: Duration,
    /// Whether some of the lines imitate the platform's own.
    pub forging: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// With log drains.
    Cedar,
    /// Without log drains.
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

#[derive(Clone, Debug)]
pub struct Formation {
    pub command: String,
    /// The behaviour of its dynos, unless one of them has its own plan.
    pub plan: DynoPlan,
    pub process_type: ProcessType,
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

#[derive(Clone, Debug)]
pub struct App {
    pub created_at: Timestamp,
    /// Oldest first.
    pub drains: Vec<DrainResource>,
    /// A UUID.
    pub id: String,
    pub maintenance: bool,
    /// The number in `dyno=heroku.<number>.<uuid>` of the metrics.
    pub number: u64,
    /// Oldest first; never empty.
    pub releases: Vec<Release>,
    /// Its initial state; `formations` is kept up to date.
    pub spec: AppSpec,
    pub updated_at: Timestamp,
    /// Consecutive crashes of the process at each place.
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

    pub fn version(&self) -> u64 {
        self.releases.last().map_or(0, |release| release.version)
    }

    pub fn formation(&self, process_type: &str) -> Option<&Formation> {
        self.spec.formations.iter().find(|formation| formation.process_type.as_str() == process_type)
    }

    pub(super) fn formation_mut(&mut self, process_type: &str) -> Option<&mut Formation> {
        self.spec.formations.iter_mut().find(|formation| formation.process_type.as_str() == process_type)
    }

    pub fn plan(&self, name: &DynoName) -> DynoPlan {
        let own = self.plans.get(name).copied();
        let shared = || self.formation(name.process_type().as_str()).map(|formation| formation.plan);
        own.or_else(shared).unwrap_or_default()
    }
}

#[derive(Clone, Debug)]
pub struct Release {
    pub created_at: Timestamp,
    /// Its cause.
    pub description: String,
    /// A UUID.
    pub id: String,
    pub version: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainResource {
    pub created_at: Timestamp,
    /// A UUID.
    pub id: String,
    /// Sent as `Logplex-Drain-Token`.
    pub token: DrainToken,
    /// May hold a password.
    pub url: String,
}

impl DrainResource {
    /// Whether `key` is the drain's id, URL or token.
    pub fn answers_to(&self, key: &str) -> bool {
        self.id == key || self.url == key || self.token.as_str() == key
    }
}
