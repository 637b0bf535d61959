//! The task that turns records and changes of state into events for the open streams.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::http::Service;
use crate::http::admin_ui::AdminUi;
use crate::http::events::{Event, Format};
use crate::ui::decisions::sentence;
use crate::ui::facts::Facts;
use crate::ui::json::{AppJson, DynoJson, NoticeJson, OutcomeEvent, StatusJson};
use crate::ui::overview::Overview;
use crate::ui::parts::{Change, Part, changes};
use dynowarden_core::ident::AppName;
use dynowarden_core::limits;
use dynowarden_core::record::view::DecisionView;
use dynowarden_core::record::{Action, Decision, Notice, Outcome, Record, RestartResult};

/// Keeps the status model and the open streams up to date until `shutdown`, and then ends the streams.
///
/// It receives records from this call on, not from the first poll. Without an `ADMIN_PASSWORD` it ends at
/// once.
pub fn run(service: Arc<Service>, shutdown: CancellationToken) -> impl Future<Output = ()> + Send {
    let records = service.handle.records();
    async move {
        if let Some(admin_ui) = &service.admin_ui {
            Publisher { admin_ui, records, service: &service, shown: Shown::default() }.run(&shutdown).await;
            admin_ui.streams.close();
        }
    }
}

struct Publisher<'s> {
    admin_ui: &'s AdminUi,
    records: Receiver<Record>,
    service: &'s Service,
    shown: Shown,
}

/// The state that clients already have.
#[derive(Default)]
struct Shown {
    apps: HashMap<String, AppJson>,
    dynos: HashMap<(String, String), DynoJson>,
    parts: Vec<Part>,
}

impl Publisher<'_> {
    async fn run(mut self, shutdown: &CancellationToken) {
        let mut heartbeat = tokio::time::interval(limits::STREAM_BEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut due = Instant::now() + limits::STATUS_EVERY;
        // Pages that are rendered before the first change show this.
        if let Ok(facts) = self.service.facts(self.admin_ui).await {
            self.shown.parts = Overview::new(&self.admin_ui.layout(""), &facts).parts();
        }
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                record = self.records.recv() => match record {
                    Ok(record) => {
                        self.record(&record);
                        due = due.min(Instant::now() + limits::STATUS_SOON);
                    }
                    Err(RecvError::Lagged(_)) => self.admin_ui.streams.send_json("reset", &MISSED),
                    Err(RecvError::Closed) => return,
                },
                _ = heartbeat.tick() => self.admin_ui.streams.send_heartbeat(),
                () = tokio::time::sleep_until(due) => {
                    self.publish_changes().await;
                    due = Instant::now() + limits::STATUS_EVERY;
                }
            }
        }
    }

    fn record(&mut self, record: &Record) {
        self.admin_ui.status_model.record(record);
        match record {
            // The next change of the page shows it.
            Record::MemoryAfterRestart(_) => {}
            Record::Decision(decision) => self.publish_decision(decision),
            Record::Notice(notice) => self.publish_notice(notice),
            Record::Outcome(outcome) => self.publish_outcome(outcome),
        }
    }

    fn publish_decision(&self, decision: &Decision) {
        let Some(app) = self.admin_ui.status_model.name(decision.app) else { return };
        let json = DecisionView::new(decision, app);
        self.admin_ui.streams.send_json("decision", &json);
        // Refusals repeat with every error, and would drown the rest if a screen reader announced them.
        if !matches!(decision.action, Action::Hold(_)) {
            self.announce(&sentence(&json));
        }
    }

    fn publish_notice(&self, notice: &Notice) {
        let app = notice.scope.app().and_then(|app| self.admin_ui.status_model.name(app));
        self.admin_ui.streams.send_json("notice", &NoticeJson::new(notice, app));
        let app = app.map_or("account", AppName::as_str);
        let dyno = notice.dyno.as_ref().map(|dyno| format!(" {dyno}")).unwrap_or_default();
        self.announce(&format!("{app}{dyno}: {}", notice.what));
    }

    fn publish_outcome(&self, outcome: &Outcome) {
        let Some(app) = self.admin_ui.status_model.name(outcome.app) else { return };
        self.admin_ui.streams.send_json("outcome", &OutcomeEvent::new(outcome, app));
        if !matches!(outcome.result, RestartResult::Accepted { .. }) {
            self.announce(&format!("{app} {}: {}", outcome.dyno, outcome.result));
        }
    }

    /// Makes a screen reader announce a sentence on open pages.
    fn announce(&self, data: &str) {
        self.admin_ui.streams.send_html_once(&Event { name: "said", data });
    }

    /// Publishes what has changed in the state of all dynos, if a client has a stream open.
    async fn publish_changes(&mut self) {
        let (html, json) = (
            self.admin_ui.streams.has_clients(Format::Html),
            self.admin_ui.streams.has_clients(Format::Json),
        );
        if !html && !json {
            return;
        }
        let Ok(facts) = self.service.facts(self.admin_ui).await else { return };
        if html {
            self.publish_html(&facts);
        }
        if json {
            self.publish_json(&facts);
        }
    }

    fn publish_html(&mut self, facts: &Facts) {
        // Only the frame shows the last event's id, and parts do not contain it.
        let layout = self.admin_ui.layout("");
        let parts = Overview::new(&layout, facts).parts();
        match changes(&self.shown.parts, &parts) {
            Change::Rebuilt => self.admin_ui.streams.send_html(&[Event { name: "rebuilt", data: "" }]),
            Change::Elements(rows) if rows.is_empty() => {}
            Change::Elements(rows) => {
                let data: Vec<_> = rows.iter().map(|row| format!("{}\n{}", row.id, row.html)).collect();
                let events: Vec<_> = data.iter().map(|data| Event { name: "part", data }).collect();
                self.admin_ui.streams.send_html(&events);
            }
        }
        self.shown.parts = parts;
    }

    fn publish_json(&mut self, facts: &Facts) {
        let (mut apps, mut dynos) = (HashMap::new(), HashMap::new());
        let mut changed = StatusJson { at: facts.now.to_string(), apps: Vec::new(), dynos: Vec::new() };
        for app in &facts.apps {
            let json = AppJson::new(app);
            let name = app.name.to_string();
            if self.shown.apps.get(&name).is_none_or(|shown| json.differs(shown)) {
                changed.apps.push(json.clone());
            }
            apps.insert(name.clone(), json);
            for dyno in &app.dynos {
                let json = DynoJson::new(&app.name, dyno);
                let key = (name.clone(), dyno.status.name.to_string());
                if self.shown.dynos.get(&key) != Some(&json) {
                    changed.dynos.push(json.clone());
                }
                dynos.insert(key, json);
            }
        }
        (self.shown.apps, self.shown.dynos) = (apps, dynos);
        if !changed.apps.is_empty() || !changed.dynos.is_empty() {
            self.admin_ui.streams.send_json("status", &changed);
        }
    }
}

#[derive(serde::Serialize)]
struct Missed {
    why: &'static str,
}

const MISSED: Missed = Missed { why: "events were dropped because too many happened at once" };
