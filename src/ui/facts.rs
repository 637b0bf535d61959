//! The data of the pages: one consistent picture of everything at one moment.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::notify::NotifierFigures;
use crate::ui::series::Trace;
use dynowarden_core::engine::status::{DynoStatus, PauseStatus, Stage};
use dynowarden_core::ident::AppName;
use dynowarden_core::incident::message::NextStep;
use dynowarden_core::record::view::DecisionView;

#[derive(Clone, Debug)]
pub struct Facts {
    pub now: Timestamp,
    /// Why dynowarden is not ready, as `/readyz` reports it.
    pub trouble: Option<String>,
    /// Problems that do not make it unready, as `/readyz` reports them.
    pub warn: Option<String>,
    /// The watched apps, in the order of the settings.
    pub apps: Vec<AppFacts>,
    /// The last decisions, newest first.
    pub decisions: Vec<Arc<DecisionView>>,
    pub notifiers: Vec<NotifierFigures>,
}

#[derive(Clone, Debug)]
pub struct AppFacts {
    pub name: AppName,
    pub dry_run: bool,
    pub paused: Option<PauseFacts>,
    pub drain: DrainFacts,
    /// Why none of its dynos can be restarted at present, in words.
    pub restarts_off: Option<Off>,
    /// Its dynos, in the order of their names.
    pub dynos: Vec<DynoFacts>,
}

/// Why nothing of an app is restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Off {
    /// In words.
    pub why: String,
    pub next_step: NextStep,
    /// Whether it concerns all apps.
    pub is_everywhere: bool,
}

/// A pause in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PauseFacts {
    #[serde(serialize_with = "as_text")]
    pub until: Timestamp,
    /// The person's reason; may be empty.
    #[serde(serialize_with = "as_text")]
    pub reason: Arc<str>,
    /// Who asked for it: the user name, if one was given, the address and the way.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_optional_text")]
    pub asked_by: Option<Arc<str>>,
}

/// The state of an app's drain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DrainFacts {
    /// `None` before the first batch since startup.
    #[serde(rename = "last_batch_seconds_ago", serialize_with = "as_seconds")]
    pub last_batch_ago: Option<Duration>,
    /// Batches since startup.
    pub batches: u64,
    /// Frames in them that could not be read.
    pub bad_frames: u64,
    /// Messages that logplex dropped before they reached us (L10).
    pub lost_messages: u64,
    /// A known problem of the drain itself, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// What ends it, if that is known.
    #[serde(skip)]
    pub fix: Option<String>,
}

#[derive(Clone, Debug)]
pub struct DynoFacts {
    /// The engine's state of it.
    pub status: DynoStatus,
    /// Its memory over time.
    pub trace: Option<Trace>,
    /// Its share of the app's requests.
    pub traffic: Option<Traffic>,
    /// Whether it errs, and people were told that it is not restarted.
    pub is_not_restarted: bool,
}

/// Requests of the last whole minute, as reported by the router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    #[serde(rename = "requests_per_minute")]
    pub requests: u64,
    /// Responses with status 5xx.
    #[serde(rename = "errors_per_minute")]
    pub errors: u64,
    /// The 95th percentile of the service time.
    #[serde(rename = "p95_ms", serialize_with = "as_millis")]
    pub p95: Option<Duration>,
}

fn as_text<S: Serializer>(value: &impl Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

fn as_optional_text<S: Serializer>(value: &Option<Arc<str>>, to: S) -> Result<S::Ok, S::Error> {
    value.as_deref().serialize(to)
}

fn as_seconds<S: Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    span.map(|span| span.as_secs()).serialize(to)
}

fn as_millis<S: Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    span.map(|span| span.as_millis()).serialize(to)
}

// === impl Facts ===

impl Facts {
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
    /// The traffic of all its dynos together, with the p95 of the slowest one.
    pub fn traffic(&self) -> Option<Traffic> {
        self.dynos.iter().filter_map(|dyno| dyno.traffic).reduce(|all, one| Traffic {
            requests: all.requests.saturating_add(one.requests),
            errors: all.errors.saturating_add(one.errors),
            p95: all.p95.max(one.p95),
        })
    }
}

// === impl PauseFacts ===

impl From<PauseStatus> for PauseFacts {
    fn from(PauseStatus { until, reason, by }: PauseStatus) -> Self {
        Self { until, reason, asked_by: by }
    }
}

// === impl DynoFacts ===

impl DynoFacts {
    /// Whether it is healthy and nothing is under way.
    pub fn is_calm(&self) -> bool {
        let over = self.status.memory.is_some_and(|memory| memory.permille > 1000);
        self.status.stage == Stage::Watched && !over && !self.status.is_broken
    }

    /// Whether its restart has begun, or waits for its turn.
    pub fn is_under_way(&self) -> bool {
        matches!(
            self.status.stage,
            Stage::Queued | Stage::Waiting | Stage::Restarting | Stage::Booting | Stage::Settling
        )
    }

    pub fn needs_person(&self) -> bool {
        matches!(self.status.stage, Stage::Failed | Stage::GivenUp)
    }
}

// === impl Traffic ===

impl Traffic {
    pub fn errors_permille(&self) -> u64 {
        self.errors.saturating_mul(1000).checked_div(self.requests).unwrap_or(0)
    }
}
