//! The task that turns what happens into news for the open streams.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::http::Service;
use crate::http::admin_ui::AdminUi;
use crate::http::events::{Form, News};
use crate::ui::decisions::sentence;
use crate::ui::facts::Facts;
use crate::ui::json::{AppJson, DynoJson, NoticeJson, OutcomeEvent, StatusJson};
use crate::ui::overview::Overview;
use crate::ui::parts::{Change, Part, changes};
use dynowarden_core::ident::AppName;
use dynowarden_core::limits;
use dynowarden_core::record::view::DecisionView;
use dynowarden_core::record::{Action, Decision, Notice, Outcome, Record, RestartResult};

/// Keeps the board and the open streams up to date until `shutdown`, and then ends the streams.
///
/// It listens from the moment of the call, not of the first poll. Without an `ADMIN_PASSWORD` there is
/// nothing to do, and it is done at once.
pub fn watch(service: Arc<Service>, shutdown: CancellationToken) -> impl Future<Output = ()> + Send {
    let records = service.handle.records();
    async move {
        if let Some(admin_ui) = &service.admin_ui {
            Watcher { admin_ui, records, service: &service, shown: Shown::default() }.run(&shutdown).await;
            admin_ui.streams.close();
        }
    }
}

struct Watcher<'s> {
    admin_ui: &'s AdminUi,
    records: Receiver<Record>,
    service: &'s Service,
    shown: Shown,
}

/// What the readers have been told of the state of things.
#[derive(Default)]
struct Shown {
    apps: HashMap<String, AppJson>,
    dynos: HashMap<(String, String), DynoJson>,
    parts: Vec<Part>,
}

impl Watcher<'_> {
    async fn run(mut self, shutdown: &CancellationToken) {
        let mut beat = tokio::time::interval(limits::STREAM_BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut due = Instant::now() + limits::STATUS_EVERY;
        // What pages show that are made before the first change: only what differs from it is news.
        if let Ok(facts) = self.service.facts(self.admin_ui).await {
            self.shown.parts = Overview::new(&self.admin_ui.frame(""), &facts).parts();
        }
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                record = self.records.recv() => match record {
                    Ok(record) => {
                        self.take(&record);
                        due = due.min(Instant::now() + limits::STATUS_SOON);
                    }
                    Err(RecvError::Lagged(_)) => self.admin_ui.streams.tell_programs("reset", &MISSED),
                    Err(RecvError::Closed) => return,
                },
                _ = beat.tick() => self.admin_ui.streams.beat(),
                () = tokio::time::sleep_until(due) => {
                    self.look().await;
                    due = Instant::now() + limits::STATUS_EVERY;
                }
            }
        }
    }

    fn take(&mut self, record: &Record) {
        self.admin_ui.status_model.record(record);
        match record {
            // The next look at the page shows it.
            Record::MemoryAfterRestart(_) => {}
            Record::Decision(decision) => self.decided(decision),
            Record::Notice(notice) => self.noticed(notice),
            Record::Outcome(outcome) => self.learnt(outcome),
        }
    }

    fn decided(&self, decision: &Decision) {
        let Some(app) = self.admin_ui.status_model.name(decision.app) else { return };
        let json = DecisionView::new(decision, app);
        self.admin_ui.streams.tell_programs("decision", &json);
        // A refusal comes with every line of a dyno that errs; reading each out would drown the rest.
        if !matches!(decision.action, Action::Hold(_)) {
            self.say(&sentence(&json));
        }
    }

    fn noticed(&self, notice: &Notice) {
        let app = notice.scope.app().and_then(|app| self.admin_ui.status_model.name(app));
        self.admin_ui.streams.tell_programs("notice", &NoticeJson::new(notice, app));
        let app = app.map_or("account", AppName::as_str);
        let dyno = notice.dyno.as_ref().map(|dyno| format!(" {dyno}")).unwrap_or_default();
        self.say(&format!("{app}{dyno}: {}", notice.what));
    }

    fn learnt(&self, outcome: &Outcome) {
        let Some(app) = self.admin_ui.status_model.name(outcome.app) else { return };
        self.admin_ui.streams.tell_programs("outcome", &OutcomeEvent::new(outcome, app));
        if !matches!(outcome.result, RestartResult::Accepted { .. }) {
            self.say(&format!("{app} {}: {}", outcome.dyno, outcome.result));
        }
    }

    fn say(&self, data: &str) {
        self.admin_ui.streams.mention_to_pages(&News { event: "said", data });
    }

    /// Reads the state of all dynos if a client watches, and publishes what has changed.
    async fn look(&mut self) {
        let (html, json) =
            (self.admin_ui.streams.has_readers(Form::Html), self.admin_ui.streams.has_readers(Form::Json));
        if !html && !json {
            return;
        }
        let Ok(facts) = self.service.facts(self.admin_ui).await else { return };
        if html {
            self.tell_pages(&facts);
        }
        if json {
            self.tell_programs(&facts);
        }
    }

    fn tell_pages(&mut self, facts: &Facts) {
        // No part shows what has been seen; the page around them does.
        let frame = self.admin_ui.frame("");
        let parts = Overview::new(&frame, facts).parts();
        match changes(&self.shown.parts, &parts) {
            Change::Rebuilt => self.admin_ui.streams.tell_pages(&[News { event: "rebuilt", data: "" }]),
            Change::Elements(rows) if rows.is_empty() => {}
            Change::Elements(rows) => {
                let data: Vec<_> = rows.iter().map(|row| format!("{}\n{}", row.id, row.html)).collect();
                let all: Vec<_> = data.iter().map(|data| News { event: "part", data }).collect();
                self.admin_ui.streams.tell_pages(&all);
            }
        }
        self.shown.parts = parts;
    }

    fn tell_programs(&mut self, facts: &Facts) {
        let (mut apps, mut dynos) = (HashMap::new(), HashMap::new());
        let mut news = StatusJson { at: facts.now.to_string(), apps: Vec::new(), dynos: Vec::new() };
        for app in &facts.apps {
            let json = AppJson::new(app);
            let name = app.name.to_string();
            if self.shown.apps.get(&name).is_none_or(|shown| json.differs(shown)) {
                news.apps.push(json.clone());
            }
            apps.insert(name.clone(), json);
            for dyno in &app.dynos {
                let json = DynoJson::new(&app.name, dyno);
                let key = (name.clone(), dyno.status.name.to_string());
                if self.shown.dynos.get(&key) != Some(&json) {
                    news.dynos.push(json.clone());
                }
                dynos.insert(key, json);
            }
        }
        (self.shown.apps, self.shown.dynos) = (apps, dynos);
        if !news.apps.is_empty() || !news.dynos.is_empty() {
            self.admin_ui.streams.tell_programs("status", &news);
        }
    }
}

#[derive(serde::Serialize)]
struct Missed {
    why: &'static str,
}

const MISSED: Missed = Missed { why: "events were dropped because too many happened at once" };
