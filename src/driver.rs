//! The one task that owns the engine, and the handle through which others reach it.
//!
//! The driver passes inputs to the engine one at a time and carries out its effects in order. Slow work (an
//! API call, a claim in the store) runs in a task of its own and comes back as an input, so that one app's
//! slow answers never delay another's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::app_ids::AppIds;
use crate::clock::Clock;
use crate::drain_tokens::DrainTokens;
use crate::heroku::{Answered, Heroku};
use crate::metrics::Metrics;
use crate::notify::NotifierHandle;
use crate::origin_gate::OriginGate;
use crate::pauses::PauseKeeper;
use crate::queue_quota::{QueuePermit, QueueQuota};
use crate::store::Store;
use crate::store::claims::ClaimRequest;
use crate::telemetry::Reporter;
use dynowarden_core::engine::restore::RestoredState;
use dynowarden_core::engine::status::{AppStatus, PauseStatus};
use dynowarden_core::engine::{Effect, Engine, Input, OrderId, RuleHit};
use dynowarden_core::event::{Event, Fact};
use dynowarden_core::ident::{AppId, DrainToken, DynoName};
use dynowarden_core::limits;
use dynowarden_core::origin::{Batch, Passed};
use dynowarden_core::policy::AppPlan;
use dynowarden_core::policy::verdict::Bounds;
use dynowarden_core::record::{Decision, Notice, NoticeKind, Record, Scope};
use dynowarden_core::time::Now;

#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    records: broadcast::Sender<Record>,
    shares: QueueQuota,
}

/// The queue to the engine, or this app's share of it, is full. The sender should retry later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue to the engine is full")]
pub struct QueueFull;

/// The driver has ended, as it does at shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("dynowarden is shutting down")]
pub struct Stopped;

/// Requests to the driver, sent through its [`Handle`].
#[derive(Debug)]
pub enum Command {
    ApiQuota {
        remaining: u32,
    },
    /// What the last days showed: one of the engine's inputs about it.
    Days(Input),
    Events {
        app: AppId,
        events: Vec<Event>,
        drain: Option<DrainToken>,
        share: QueuePermit,
    },
    Order {
        app: AppId,
        dyno: Option<DynoName>,
        forced: bool,
        by: Arc<str>,
        answer: oneshot::Sender<Vec<Decision>>,
    },
    /// The API's clock agrees with this machine's.
    ClockConfirmed,
    PlatformStatus {
        is_red: bool,
    },
    Pause {
        app: Option<AppId>,
        pause: PauseStatus,
        kept: oneshot::Sender<()>,
    },
    Publish(Box<Record>),
    Resume {
        app: Option<AppId>,
        kept: oneshot::Sender<()>,
    },
    Status {
        answer: oneshot::Sender<Vec<AppStatus>>,
    },
}

#[derive(Debug)]
pub(crate) struct Parts {
    pub clock: Clock,
    /// The other end of `handle`.
    pub commands: mpsc::Receiver<Command>,
    pub handle: Handle,
    pub heroku: Heroku,
    pub ids: Arc<AppIds>,
    pub metrics: Arc<Metrics>,
    pub notices: NotifierHandle,
    /// [`AppId`] is the place in the list.
    pub plans: Vec<AppPlan>,
    /// Makes the jitter.
    pub seed: u64,
    pub store: Store,
    pub tokens: Arc<DrainTokens>,
}

/// Owns the engine. [`Driver::run`] ends with the shutdown.
#[derive(Debug)]
pub struct Driver {
    answers: mpsc::Receiver<Input>,
    /// Cloned for tasks that will answer.
    answerer: mpsc::Sender<Input>,
    clock: Clock,
    clock_confirmed: bool,
    commands: mpsc::Receiver<Command>,
    engine: Engine,
    gate: OriginGate,
    heroku: Heroku,
    orders: HashMap<OrderId, oneshot::Sender<Vec<Decision>>>,
    orders_made: u64,
    pauses: PauseKeeper,
    /// The number of dynos in the metrics, and when they were counted, in `mono` time.
    shown: (usize, Duration),
    sinks: RecordSinks,
    tasks: TaskTracker,
}

// === impl Handle ===

impl Handle {
    /// The handle of the driver that reads the other end of `commands`.
    pub fn new(commands: mpsc::Sender<Command>) -> Self {
        let records = broadcast::Sender::new(limits::RECORDS_BEHIND_MAX);
        Self { commands, records, shares: QueueQuota::default() }
    }

    /// Every record from now on. A reader who falls behind misses the oldest.
    pub fn records(&self) -> broadcast::Receiver<Record> {
        self.records.subscribe()
    }

    /// Broadcasts a record without a driver.
    #[cfg(test)]
    pub(crate) fn broadcast(&self, record: Record) {
        let _listeners = self.records.send(record);
    }

    /// The state of every watched dyno.
    ///
    /// # Errors
    /// The driver is gone.
    pub async fn status(&self) -> Result<Vec<AppStatus>, Stopped> {
        self.request(|answer| Command::Status { answer }).await
    }

    /// Sends the events of a batch to the engine, without waiting.
    ///
    /// # Errors
    /// The queue is full or the driver is gone: nothing was sent.
    pub fn report(&self, app: AppId, events: Vec<Event>, drain: Option<DrainToken>) -> Result<(), QueueFull> {
        let share = self.shares.take(app, events.len()).ok_or(QueueFull)?;
        self.commands.try_send(Command::Events { app, events, drain, share }).map_err(|_| QueueFull)
    }

    /// Reports the account's remaining API calls to the engine. A full queue drops the report, and the next
    /// API response repeats it.
    pub fn api_tokens(&self, remaining: u32) {
        let _full = self.commands.try_send(Command::ApiQuota { remaining });
    }

    /// Reports that the API's clock agrees with this machine's. A full queue drops it; the next probe repeats
    /// it.
    pub fn clock_confirmed(&self) {
        let _full = self.commands.try_send(Command::ClockConfirmed);
    }

    /// Reports a reading of Heroku's status page. A full queue drops it; the next reading repeats it.
    pub fn platform_status(&self, is_red: bool) {
        let _full = self.commands.try_send(Command::PlatformStatus { is_red });
    }

    /// Passes on what the last days showed. It is shown again soon, so a full queue drops it.
    pub fn days(&self, input: Input) {
        let _full = self.commands.try_send(Command::Days(input));
    }

    /// Records another task's finding: it is logged, counted and sent like the engine's own records.
    ///
    /// # Errors
    /// The driver is gone.
    pub async fn publish(&self, record: Record) -> Result<(), Stopped> {
        self.commands.send(Command::Publish(Box::new(record))).await.map_err(|_| Stopped)
    }

    /// The same without waiting; false if the queue is full.
    pub(crate) fn try_publish(&self, record: Record) -> bool {
        self.commands.try_send(Command::Publish(Box::new(record))).is_ok()
    }

    /// Requests a manual restart: of one dyno, or of every running one of the listed process types. A forced
    /// one is a person's word, and the record says `by` whom. Answers once each of them has been judged.
    ///
    /// # Errors
    /// The driver is gone.
    pub async fn order(
        &self,
        app: AppId,
        dyno: Option<DynoName>,
        forced: bool,
        by: Arc<str>,
    ) -> Result<Vec<Decision>, Stopped> {
        self.request(|answer| Command::Order { app, dyno, forced, by, answer }).await
    }

    /// Stops restarts of one app, or of all, until a time. Answers once the pause is in force and stored, so
    /// that it survives a crash.
    ///
    /// # Errors
    /// The driver is gone.
    pub async fn pause(&self, app: Option<AppId>, pause: PauseStatus) -> Result<(), Stopped> {
        self.request(|kept| Command::Pause { app, pause, kept }).await
    }

    /// Allows restarts again. Answers like [`pause`](Self::pause).
    ///
    /// # Errors
    /// The driver is gone.
    pub async fn resume(&self, app: Option<AppId>) -> Result<(), Stopped> {
        self.request(|kept| Command::Resume { app, kept }).await
    }

    /// Sends a command and waits for its answer.
    async fn request<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }
}

// === impl Driver ===

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { clock, commands, handle, heroku, ids, metrics, notices, plans, seed, store, tokens } =
            parts;
        let (answerer, answers) = mpsc::channel(limits::QUEUED_ANSWERS_MAX);
        Self {
            answers,
            answerer,
            clock,
            clock_confirmed: false,
            commands,
            engine: Engine::new(plans.clone(), seed),
            gate: OriginGate::new(ids, tokens, metrics.clone()),
            heroku,
            orders: HashMap::new(),
            orders_made: 0,
            pauses: PauseKeeper::new(store.clone()),
            shown: (0, Duration::ZERO),
            sinks: RecordSinks {
                metrics,
                notices,
                plans,
                records: handle.records,
                reporter: Reporter::default(),
                store,
            },
            tasks: TaskTracker::new(),
        }
    }

    /// Runs the engine, starting from `past`, until `shutdown`, and then until every call in flight has been
    /// answered.
    pub async fn run(mut self, past: RestoredState, shutdown: CancellationToken) {
        // Whose lines led to them is not stored.
        for pending in &past.pending {
            self.gate.ids.note_uncertain(pending.app, self.clock.now().mono);
        }
        self.take(Input::Restore(past));
        self.show_pauses();
        let mut renewal = tokio::time::interval(self.clock.real(limits::CLAIM_RENEW_EVERY));
        let mut pauses = tokio::time::interval(limits::PAUSES_READ_EVERY);
        let mut tokens = tokio::time::interval(self.clock.real(limits::TOKENS_ASKED_EVERY));
        for timer in [&mut renewal, &mut pauses, &mut tokens] {
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut listed = self.gate.tokens.changes();
        loop {
            self.show_dynos();
            let deadline = self.deadline();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(input) = self.answers.recv() => {
                    let is_pause = matches!(input, Input::Pauses(_));
                    self.take(input);
                    if is_pause {
                        self.show_pauses();
                    }
                }
                Some(command) = self.commands.recv() => self.obey(command),
                Ok(()) = listed.changed() => self.recheck_origins(),
                _ = renewal.tick() => self.renew_claims(),
                _ = pauses.tick(), if self.sinks.store.is_shared() => self.read_pauses(),
                _ = tokens.tick(), if self.engine.waits_for_calls() => self.ask_tokens(),
                () = tokio::time::sleep_until(deadline) => self.take(Input::Wake),
            }
        }
        for input in self.gate.release() {
            self.take(input);
        }
        self.finish().await;
    }

    /// Passes on the batches whose senders have become known.
    fn recheck_origins(&mut self) {
        let passed = self.gate.recheck(self.clock.now().mono);
        self.pass(passed);
    }

    fn pass(&mut self, passed: Vec<Passed>) {
        for Passed { input, alert, .. } in passed {
            if let Input::Events { app, events } = &input {
                for event in events {
                    if let Fact::Release { version } = event.fact {
                        self.sinks.notices.released(*app, version);
                    }
                }
            }
            if let (Some(alert), Input::ForeignEvents { app, .. }) = (alert, &input) {
                let now = self.clock.now();
                let what = NoticeKind::Health(alert);
                let notice = Notice { at: now.wall, scope: Scope::App(*app), dyno: None, what };
                self.sinks.publish(Record::Notice(notice), now);
            }
            self.take(input);
        }
    }

    fn renew_claims(&self) {
        let open = self.engine.open_attempts();
        let (store, clock) = (self.sinks.store.clone(), self.clock);
        self.tasks.spawn(async move {
            // The store reports that it is away; the leases run on and are renewed when it is back.
            let _away = store.renew(&open, clock.now().wall).await;
        });
    }

    /// Reads the pauses set on other replicas.
    fn read_pauses(&self) {
        if let Some(reading) = self.pauses.reading() {
            let clock = self.clock;
            self.ask(async move { reading.read(clock.now().wall).await.map(Input::Pauses) });
        }
    }

    /// Asks for the account's remaining calls, which costs none.
    fn ask_tokens(&self) {
        let heroku = self.heroku.clone();
        self.ask(async move {
            let Answered { tokens_remaining, .. } = heroku.rate_limits().await;
            tokens_remaining.map(|remaining| Input::ApiQuota { remaining })
        });
    }

    /// Waits for the answers of calls in flight, and makes no new ones.
    async fn finish(mut self) {
        self.commands.close();
        self.tasks.close();
        let in_flight = self.tasks.len();
        if in_flight > 0 {
            info!(in_flight, "waiting for API calls in flight");
        }
        drop(self.answerer);
        // Batches that were acknowledged and not read yet.
        let mut inputs = Vec::new();
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Events { app, events, drain, .. } = command {
                let passed = self.gate.arrive(Batch { app, drain, events }, self.clock.now().mono);
                inputs.extend(passed.into_iter().map(|passed| passed.input));
            }
        }
        for input in inputs.into_iter().chain(self.gate.release()) {
            let effects = self.engine.handle(input, self.clock.now());
            publish_records(&mut self.sinks, effects, self.clock);
        }
        let last_answers = async {
            while let Some(input) = self.answers.recv().await {
                // Inspections and claims would lead to decisions that are no longer carried out.
                if !matches!(input, Input::Deleted { .. } | Input::Polled { .. }) {
                    continue;
                }
                let effects = self.engine.handle(input, self.clock.now());
                publish_records(&mut self.sinks, effects, self.clock);
            }
        };
        let all = async { tokio::join!(last_answers, self.pauses.kept()) };
        if tokio::time::timeout(limits::LAST_ANSWERS_WAIT, all).await.is_err() {
            warn!("shut down with API calls in flight; their outcome will be checked at next startup");
        }
        let (effects, pending) = self.engine.stop(self.clock.now());
        publish_records(&mut self.sinks, effects, self.clock);
        for pending in pending {
            self.sinks.store.write_pending(pending);
        }
        self.sinks.store.close().await;
    }

    fn deadline(&self) -> Instant {
        let now = self.clock.now();
        let idle = if self.shown.0 == self.engine.dynos_watched() { IDLE_WAKE } else { COUNT_EVERY };
        let span = self.engine.next_deadline().map_or(idle, |at| at.saturating_sub(now.mono).min(idle));
        Instant::now() + self.clock.real(span)
    }

    /// Updates the number of watched dynos of each app now and then: counting takes as long as a few thousand
    /// events.
    fn show_dynos(&mut self) {
        self.sinks.metrics.stale_answers(self.engine.stale_answers());
        let (shown, counted_at) = self.shown;
        let (watched, now) = (self.engine.dynos_watched(), self.clock.now().mono);
        if watched != shown && (shown == 0 || now.saturating_sub(counted_at) >= COUNT_EVERY) {
            self.shown = (watched, now);
            for (app, count) in (0..).map(AppId).zip(self.engine.dynos_by_app()) {
                self.sinks.metrics.dynos(app, count);
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let input = match command {
            Command::ApiQuota { remaining } => Input::ApiQuota { remaining },
            Command::Days(input) => input,
            Command::Events { app, events, drain, share: _given_back } => {
                let passed = self.gate.arrive(Batch { app, drain, events }, self.clock.now().mono);
                return self.pass(passed);
            }
            Command::Order { app, dyno, forced, by, answer } => {
                self.orders_made += 1;
                let order = OrderId(self.orders_made);
                self.orders.insert(order, answer);
                Input::Order { order, app, dyno, forced, by: Some(by) }
            }
            Command::Pause { app, pause, kept } => {
                self.pauses.keep(app, pause.clone(), kept);
                let PauseStatus { until, reason, by } = pause;
                Input::Pause { app, until, reason, by }
            }
            Command::ClockConfirmed => {
                // Which of the stored pauses are over is certain only now.
                if !std::mem::replace(&mut self.clock_confirmed, true) {
                    self.read_pauses();
                }
                return;
            }
            Command::PlatformStatus { is_red } => Input::PlatformStatus { is_red },
            Command::Publish(record) => {
                return self.sinks.publish(*record, self.clock.now());
            }
            Command::Resume { app, kept } => {
                self.pauses.end(app, kept);
                Input::Resume { app }
            }
            Command::Status { answer } => {
                // The client may have disconnected.
                let _gone = answer.send(self.engine.status());
                return;
            }
        };
        let is_pause = matches!(input, Input::Pause { .. } | Input::Resume { .. });
        self.take(input);
        if is_pause {
            self.show_pauses();
        }
    }

    fn show_pauses(&self) {
        for app in (0..).map(AppId).take(self.sinks.plans.len()) {
            self.sinks.metrics.paused_until(app, self.engine.paused_until(app));
        }
    }

    /// Passes an input to the engine, and carries out its effects.
    fn take(&mut self, input: Input) {
        for effect in self.engine.handle(input, self.clock.now()) {
            self.carry_out(effect);
        }
    }

    /// Carries out one effect; its answer, if it has one, comes back as an input.
    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Answer { order, decisions } => {
                if let Some(answer) = self.orders.remove(&order) {
                    // The client may have disconnected; the decisions stand.
                    let _gone = answer.send(decisions);
                }
            }
            Effect::Claim { attempt_id, app, seen, is_forced, broken, last, decision } => {
                let bounds = Bounds::from(&self.sinks.plans[app.0 as usize].policy);
                let request =
                    ClaimRequest { attempt_id, app, seen, is_forced, broken, last, decision, bounds };
                let (store, clock) = (self.sinks.store.clone(), self.clock);
                self.ask(async move {
                    let answer = store.claim(&request, clock.now().wall).await;
                    Some(Input::Claimed { attempt_id, answer })
                });
            }
            Effect::Delete { attempt_id, app, dyno } => {
                let (heroku, name) = (self.heroku.clone(), self.gate.ids.target(app));
                self.call(async move {
                    let answered = heroku.delete(&name, &dyno).await;
                    answered.map(|answer| Input::Deleted { attempt_id, answer })
                });
            }
            Effect::Inspect { attempt_id, app, dyno } => {
                let listed = self.sinks.plans[app.0 as usize].policy.process_types.clone();
                let (heroku, ids) = (self.heroku.clone(), Arc::clone(&self.gate.ids));
                self.call(async move {
                    let answered = ids.inspect(app, &listed, dyno.as_ref(), &heroku).await;
                    answered.map(|answer| Input::Inspected { attempt_id, answer })
                });
            }
            Effect::Poll { attempt_id, app, dyno } => {
                let (heroku, name) = (self.heroku.clone(), self.gate.ids.target(app));
                self.call(async move {
                    let answered = heroku.poll(&name, &dyno).await;
                    answered.map(|answer| Input::Polled { attempt_id, answer })
                });
            }
            Effect::Record(record) => self.sinks.publish(record, self.clock.now()),
            Effect::CountAcrossReplicas(hit) if self.sinks.store.is_shared() => self.share(hit),
            Effect::CountAcrossReplicas(_) => {}
        }
    }

    /// Counts an error together with those that other replicas received.
    fn share(&self, hit: RuleHit) {
        let record = self.sinks.store.clone();
        self.ask(async move {
            // With the store away, nothing is restarted anyway.
            let times = record.share_hit(&hit).await.ok()?;
            Some(Input::CountedAcrossReplicas { hit, times })
        });
    }

    /// Makes an API call in a separate task; the account's remaining calls come back before the answer.
    fn call(&self, call: impl Future<Output = Answered<Input>> + Send + 'static) {
        self.ask(async move {
            let Answered { value, tokens_remaining } = call.await;
            let quota = tokens_remaining.map(|remaining| Input::ApiQuota { remaining });
            quota.into_iter().chain([value])
        });
    }

    /// Asks the store or the API in a separate task; its answers come back as inputs.
    fn ask<A>(&self, question: impl Future<Output = A> + Send + 'static)
    where
        A: IntoIterator<Item = Input, IntoIter: Send>,
    {
        let answerer = self.answerer.clone();
        self.tasks.spawn(async move {
            for input in question.await {
                // The driver outlives its tasks, except at a shutdown that waited long enough.
                let _ended = answerer.send(input).await;
            }
        });
    }
}

/// Between two counts of the watched dynos, if their number has changed.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// The driver wakes the engine at least this often, for its housekeeping.
const IDLE_WAKE: Duration = Duration::from_secs(60);

/// Everything that receives each record.
#[derive(Debug)]
struct RecordSinks {
    metrics: Arc<Metrics>,
    notices: NotifierHandle,
    plans: Vec<AppPlan>,
    records: broadcast::Sender<Record>,
    reporter: Reporter,
    store: Store,
}

impl RecordSinks {
    /// Logs, counts and stores a record, and passes it to all listeners.
    fn publish(&self, record: Record, now: Now) {
        self.reporter.report(&record, &self.plans, &self.metrics);
        self.store.write(&record, now.wall);
        self.notices.record(&record);
        // There may be no listener.
        let _listeners = self.records.send(record);
    }
}

/// Carries out the records among effects; the others would begin work that is no longer finished.
fn publish_records(sinks: &mut RecordSinks, effects: Vec<Effect>, clock: Clock) {
    for effect in effects {
        if let Effect::Record(record) = effect {
            sinks.publish(record, clock.now());
        }
    }
}
