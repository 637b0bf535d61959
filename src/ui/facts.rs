//! What the pages are made of: one consistent picture of everything, taken at one moment.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::ui::series::Trace;
use dynowarden_core::engine::status::{DynoStatus, Stage};
use dynowarden_core::ident::AppName;
use dynowarden_core::record::view::DecisionView;

/// The whole picture.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The moment.
    pub now: Timestamp,
    /// The program's version.
    pub version: &'static str,
    /// What keeps the program from its work, as `/readyz` says it.
    pub trouble: Option<String>,
    /// What is amiss that it can work with, as `/readyz` says it.
    pub warn: Option<String>,
    /// The watched apps, in the order of the settings.
    pub apps: Vec<AppFacts>,
    /// The last decisions, newest first.
    pub decisions: Vec<Arc<DecisionView>>,
}

#[derive(Clone, Debug)]
pub struct AppFacts {
    pub name: AppName,
    /// Whether nothing is sent for it.
    pub dry_run: bool,
    /// The pause in force.
    pub paused: Option<PauseFacts>,
    pub drain: DrainFacts,
    /// Its dynos, in the order of their names.
    pub dynos: Vec<DynoFacts>,
}

/// A pause in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PauseFacts {
    pub until: Timestamp,
    /// The person's reason; may be empty.
    pub reason: Arc<str>,
}

/// How an app's lines reach us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainFacts {
    /// How long ago the last batch came; none when none has come since the start.
    pub last_batch_ago: Option<Duration>,
    /// Batches since the start.
    pub batches: u64,
    /// Frames in them that could not be read.
    pub bad_frames: u64,
    /// Messages that logplex dropped before they reached us (L10).
    pub lost_messages: u64,
    /// What is wrong with the drain itself, in words, where that is known.
    pub trouble: Option<String>,
}

#[derive(Clone, Debug)]
pub struct DynoFacts {
    /// What the engine knows of it.
    pub status: DynoStatus,
    /// Its memory over time.
    pub trace: Option<Trace>,
    /// Its share of the app's requests.
    pub traffic: Option<Traffic>,
}

/// Requests of the last whole minute, as reported by the router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub requests: u64,
    /// Those that were answered with 5xx.
    pub errors: u64,
    /// The service time that 95 of a hundred requests stayed below.
    pub p95: Option<Duration>,
}

// === impl Facts ===

impl Facts {
    /// How many dynos are watched.
    pub fn dynos(&self) -> usize {
        self.apps.iter().map(|app| app.dynos.len()).sum()
    }

    /// Every app with each of its dynos.
    pub fn each_dyno(&self) -> impl Iterator<Item = (&AppFacts, &DynoFacts)> {
        self.apps.iter().flat_map(|app| app.dynos.iter().map(move |dyno| (app, dyno)))
    }
}

// === impl AppFacts ===

impl AppFacts {
    /// The traffic of all its dynos together, where any is known. The slowest dyno's p95 stands for all.
    pub fn traffic(&self) -> Option<Traffic> {
        self.dynos.iter().filter_map(|dyno| dyno.traffic).reduce(|all, one| Traffic {
            requests: all.requests.saturating_add(one.requests),
            errors: all.errors.saturating_add(one.errors),
            p95: all.p95.max(one.p95),
        })
    }
}

// === impl DynoFacts ===

impl DynoFacts {
    /// Whether it stands as it should and there is nothing to say about it.
    pub fn is_calm(&self) -> bool {
        let over = self.status.memory.is_some_and(|memory| memory.permille > 1000);
        self.status.stage == Stage::Watched && !over
    }

    /// Whether a restart of it is on its way.
    pub fn is_under_way(&self) -> bool {
        matches!(
            self.status.stage,
            Stage::Queued | Stage::Waiting | Stage::Restarting | Stage::Booting | Stage::Settling
        )
    }

    /// Whether it needs a person.
    pub fn needs_person(&self) -> bool {
        matches!(self.status.stage, Stage::Failed | Stage::GivenUp)
    }
}

// === impl Traffic ===

impl Traffic {
    /// Errors per thousand requests.
    pub fn errors_permille(&self) -> u64 {
        self.errors.saturating_mul(1000).checked_div(self.requests).unwrap_or(0)
    }
}
