//! The JSON of `GET /api/v1/dynos` and of the event stream.

use jiff::Timestamp;
use serde::Serialize;

use crate::ui::facts::{AppFacts, DrainFacts, DynoFacts, Facts, PauseFacts, Traffic};
use dynowarden_core::ident::AppName;
use dynowarden_core::record::view::{MemoryView, OutcomeView};
use dynowarden_core::record::{Notice, Outcome};

/// The response to `GET /api/v1/dynos`.
#[derive(Debug, Serialize)]
pub struct DynosJson {
    at: String,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    apps: Vec<AppJson>,
    dynos: Vec<DynoJson>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AppJson {
    app: String,
    dry_run: bool,
    paused: Option<PauseFacts>,
    drain: DrainFacts,
    dynos: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DynoJson {
    app: String,
    dyno: String,
    process_type: String,
    /// See [`Stage::word`](dynowarden_core::engine::status::Stage::word).
    state: &'static str,
    /// The state in the last API response.
    platform_state: Option<&'static str>,
    memory: Option<MemoryView>,
    traffic: Option<Traffic>,
    last_restart_at: Option<String>,
    cooling_until: Option<String>,
    given_up_until: Option<String>,
    waiting_for: Option<String>,
}

/// The outcome of a restart, as the event `outcome`.
#[derive(Debug, Serialize)]
pub struct OutcomeEvent {
    at: String,
    app: String,
    dyno: String,
    outcome: OutcomeView,
}

/// The event `notice`.
#[derive(Debug, Serialize)]
pub struct NoticeJson {
    at: String,
    /// `None` for a notice about the account.
    app: Option<String>,
    dyno: Option<String>,
    kind: &'static str,
    text: String,
}

/// Dynos and apps whose state has changed, as the event `status`.
#[derive(Debug, Serialize)]
pub struct StatusJson {
    pub at: String,
    pub apps: Vec<AppJson>,
    pub dynos: Vec<DynoJson>,
}

impl DynosJson {
    /// All dynos of all apps, or of one.
    pub fn new(facts: &Facts, app: Option<&str>) -> Self {
        let wanted = |of: &&AppFacts| app.is_none_or(|app| of.name.as_str() == app);
        let apps: Vec<&AppFacts> = facts.apps.iter().filter(wanted).collect();
        Self {
            at: facts.now.to_string(),
            ready: facts.trouble.is_none(),
            trouble: facts.trouble.clone(),
            dynos: apps
                .iter()
                .flat_map(|app| app.dynos.iter().map(|dyno| DynoJson::new(&app.name, dyno)))
                .collect(),
            apps: apps.into_iter().map(AppJson::new).collect(),
        }
    }
}

impl AppJson {
    pub fn new(app: &AppFacts) -> Self {
        Self {
            app: app.name.to_string(),
            dry_run: app.dry_run,
            paused: app.paused.clone(),
            drain: app.drain.clone(),
            dynos: app.dynos.len(),
        }
    }

    /// Whether more than the passing of time separates this from `other`.
    pub fn differs(&self, other: &Self) -> bool {
        (&self.paused, self.dynos, &self.drain.trouble, self.drain.lost_messages)
            != (&other.paused, other.dynos, &other.drain.trouble, other.drain.lost_messages)
    }
}

impl DynoJson {
    pub fn new(app: &AppName, dyno: &DynoFacts) -> Self {
        let status = &dyno.status;
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            app: app.to_string(),
            dyno: status.name.to_string(),
            process_type: status.name.process_type().to_string(),
            state: status.stage.word(),
            platform_state: status.seen.as_ref().map(|seen| seen.state.word()),
            memory: status.memory.as_ref().map(MemoryView::new),
            traffic: dyno.traffic,
            last_restart_at: text(status.last_restart_at),
            cooling_until: text(status.cooling_until),
            given_up_until: text(status.given_up_until),
            waiting_for: status.waiting_for.as_ref().map(ToString::to_string),
        }
    }
}

impl OutcomeEvent {
    pub fn new(outcome: &Outcome, app: &AppName) -> Self {
        Self {
            at: outcome.at.to_string(),
            app: app.to_string(),
            dyno: outcome.dyno.to_string(),
            outcome: OutcomeView::new(outcome),
        }
    }
}

impl NoticeJson {
    pub fn new(notice: &Notice, app: Option<&AppName>) -> Self {
        Self {
            at: notice.at.to_string(),
            app: app.map(ToString::to_string),
            dyno: notice.dyno.as_ref().map(ToString::to_string),
            kind: notice.what.label(),
            text: notice.what.to_string(),
        }
    }
}
