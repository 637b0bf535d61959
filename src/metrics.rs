//! The metrics of `/metrics`: every figure, its labels and their bounds.
//!
//! Labels are the configured apps, their listed process types and closed sets of words, so no peer can grow
//! the number of series. Series whose labels are known at startup exist from then on, at zero, so that rates
//! have a starting point.

mod labels;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::exposition::Exposition;
use crate::metrics::labels::{
    ApiLabels, AppLabel, AppLabels, BuildLabels, DecisionLabels, EventKindLabel, EventLabels, KindLabels,
    NotifierLabels, ReadLabels, RefusalLabels, RestartLabels, TypeLabel,
};
use crate::notify::NotifierFigures;
use crate::store::Health;
use dynowarden_core::codes::Code;
use dynowarden_core::health::silence::DrainActivity;
use dynowarden_core::ident::{AppId, ProcessType};
use dynowarden_core::ingest::{Counts, EventKind};
use dynowarden_core::policy::AppPlan;
use dynowarden_core::time::Now;

/// All figures of the program; shared behind an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    apps: Vec<AppLabel>,
    /// The counters of every batch, by app.
    tallies: Vec<Tally>,
    /// When the last batch of each app came, in `mono` milliseconds from 1; 0 before the first.
    last_batch_at: Vec<AtomicU64>,
    /// The same for the last batch with a runtime-metrics sample.
    last_sample_at: Vec<AtomicU64>,
    families: Families,
}

/// Why the HTTP server rejected a request or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    BodySlow,
    /// A connection was closed to make room for a new one.
    Evicted,
    /// A TLS handshake failed: plain HTTP, another version, or a peer that does not trust us.
    HandshakeFailed,
    HandshakeSlow,
    /// The head is invalid or ambiguous.
    HeadBroken,
    HeadSlow,
    /// Too many bytes or lines.
    HeadTooLarge,
    /// No descriptor, or no connection that could be evicted.
    NoRoom,
    QueueFull,
    /// Too many wrong passwords from the same address.
    Throttled,
    TooLarge,
    Unauthorized,
    UnknownApp,
    /// An unsupported content encoding.
    UnknownEncoding,
    /// An unknown drain, while not all drains are listed yet.
    Unlisted,
}

/// The counters of one app that every batch adds to. Looking them up by labels would take a hash of the app's
/// name and a lock each: an eighth of the instructions for a batch of five frames.
#[derive(Debug)]
struct Tally {
    batches: Counter,
    frames: Counter,
    left_alone: Counter,
    lost_elsewhere: Counter,
    lost_messages: Counter,
}

#[derive(Debug)]
struct Families {
    api_away: Gauge<i64, AtomicI64>,
    api_rate_limit_remaining: Gauge<i64, AtomicI64>,
    api_requests: Family<ApiLabels, Counter>,
    app_hidden: Family<AppLabels, Gauge<i64, AtomicI64>>,
    bad_frames: Family<KindLabels, Counter>,
    batches: Family<AppLabels, Counter>,
    certificate_ends: Gauge<i64, AtomicI64>,
    certificate_reads: Family<ReadLabels, Counter>,
    connections: Gauge<i64, AtomicI64>,
    decisions: Family<DecisionLabels, Counter>,
    drain_last_batch: Family<AppLabels, Gauge<f64, AtomicU64>>,
    drain_silent: Family<AppLabels, Gauge<i64, AtomicI64>>,
    dynos: Family<AppLabels, Gauge<i64, AtomicI64>>,
    events: Family<EventLabels, Counter>,
    frames: Family<AppLabels, Counter>,
    left_alone: Family<AppLabels, Counter>,
    lost_elsewhere: Family<AppLabels, Counter>,
    lost_messages: Family<AppLabels, Counter>,
    notices: Family<KindLabels, Counter>,
    notifications: Family<NotifierLabels, Counter>,
    stale_answers: Counter,
    platform_red: Gauge<i64, AtomicI64>,
    ready: Gauge<i64, AtomicI64>,
    refusals: Family<RefusalLabels, Counter>,
    repeated_batches: Family<AppLabels, Counter>,
    restart_seconds: Family<AppLabels, Histogram, fn() -> Histogram>,
    restarts: Family<RestartLabels, Counter>,
    store_away: Gauge<i64, AtomicI64>,
    store_dropped_rows: Counter,
    store_unwritten_rows: Gauge<i64, AtomicI64>,
    tasks: Gauge<i64, AtomicI64>,
    token_accepted: Gauge<i64, AtomicI64>,
}

/// The stages and ends of a restart that exist from the start; see
/// [`RestartResult::label`](dynowarden_core::record::RestartResult::label).
const RESTART_OUTCOMES: [&str; 8] =
    ["accepted", "back", "back_late", "gone", "not_back", "refused", "unanswered", "withdrawn"];

/// Seconds out of service: a small app is back in 10 s, `boot_timeout` is 3 min by default.
const RESTART_SECONDS: [f64; 11] = [5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0];

// === impl Metrics ===

impl Metrics {
    /// The figures of a program that watches these apps, in the order of the settings.
    pub fn new<'p>(plans: impl IntoIterator<Item = &'p AppPlan>) -> Self {
        let families = Families::new();
        let mut registry = Registry::with_prefix("dynowarden");
        families.register(&mut registry);
        let mut apps = Vec::new();
        for plan in plans {
            let label = AppLabel(plan.name.clone());
            families.begin(&label, &plan.policy.process_types);
            apps.push(label);
        }
        let tallies = apps.iter().map(|label| families.tally(label)).collect();
        let never = || apps.iter().map(|_| AtomicU64::new(0)).collect();
        let (last_batch_at, last_sample_at) = (never(), never());
        Self { registry, apps, tallies, last_batch_at, last_sample_at, families }
    }

    pub fn batch(&self, app: AppId, counts: &Counts, now: Now) {
        let (Some(label), Some(tally)) = (self.label(app), self.tallies.get(index(app))) else { return };
        tally.batches.inc();
        tally.frames.inc_by(counts.frames);
        tally.left_alone.inc_by(counts.left_alone);
        tally.lost_messages.inc_by(counts.lost_messages);
        tally.lost_elsewhere.inc_by(counts.lost_elsewhere);
        for (kind, count) in &counts.bad_frames {
            let labels = KindLabels { app: label.clone(), kind };
            self.families.bad_frames.get_or_create(&labels).inc_by(*count);
        }
        for (kind, count) in &counts.events {
            let labels = EventLabels { app: label.clone(), kind: EventKindLabel(*kind) };
            self.families.events.get_or_create(&labels).inc_by(*count);
        }
        if counts.events.contains_key(&EventKind::Sample) {
            note(&self.last_sample_at, app, now);
        }
        note(&self.last_batch_at, app, now);
    }

    pub fn repeated_batch(&self, app: AppId, now: Now) {
        if let Some(label) = self.label(app) {
            self.families.repeated_batches.get_or_create(&AppLabels { app: label.clone() }).inc();
        }
        note(&self.last_batch_at, app, now);
    }

    /// When the last batch of an app came, including redelivered ones, in `mono` time; none before the first.
    pub fn last_batch_at(&self, app: AppId) -> Option<Duration> {
        noted(&self.last_batch_at, app)
    }

    /// Returns the activity of an app's drain so far.
    pub fn drain_activity(&self, app: AppId) -> DrainActivity {
        let lost = |label: &AppLabel| {
            self.families.lost_messages.get_or_create(&AppLabels { app: label.clone() }).get()
        };
        DrainActivity {
            last_batch_at: noted(&self.last_batch_at, app),
            last_sample_at: noted(&self.last_sample_at, app),
            lost_messages: self.label(app).map_or(0, lost),
        }
    }

    /// Sets whether an app's drain is silent or missing.
    pub fn drain_silent(&self, app: AppId, silent: bool) {
        if let Some(label) = self.label(app) {
            let labels = AppLabels { app: label.clone() };
            self.families.drain_silent.get_or_create(&labels).set(silent.into());
        }
    }

    /// Sets whether an app cannot be seen.
    pub fn app_hidden(&self, app: AppId, hidden: bool) {
        if let Some(label) = self.label(app) {
            let labels = AppLabels { app: label.clone() };
            self.families.app_hidden.get_or_create(&labels).set(hidden.into());
        }
    }

    /// Sets whether the Platform API has not answered for a while.
    pub fn api_away(&self, away: bool) {
        self.families.api_away.set(away.into());
    }

    /// Sets whether Heroku's status page is red.
    pub fn platform_red(&self, red: bool) {
        self.families.platform_red.set(red.into());
    }

    pub fn store(&self, health: &Health) {
        let Families { store_away, store_dropped_rows, store_unwritten_rows, .. } = &self.families;
        store_away.set(health.away.is_some().into());
        store_unwritten_rows.set(i64::try_from(health.unwritten).unwrap_or(i64::MAX));
        // The store counts; two scrapes may arrive here in any order.
        store_dropped_rows.inner().fetch_max(health.dropped, Ordering::Relaxed);
    }

    /// Sets whether the API accepts the token; none before it was asked.
    pub fn token_accepted(&self, accepted: Option<bool>) {
        self.families.token_accepted.set(accepted.map_or(-1, i64::from));
    }

    pub fn refused(&self, refusal: Refusal) {
        self.families.refusals.get_or_create(&RefusalLabels { reason: refusal.label() }).inc();
    }

    pub fn certificate_ends(&self, at: Timestamp) {
        self.families.certificate_ends.set(at.as_second());
    }

    /// Counts a change of the certificate's files; `outcome` is `replaced` or `failed`.
    pub fn certificate_read(&self, outcome: &'static str) {
        self.families.certificate_reads.get_or_create(&ReadLabels { outcome }).inc();
    }

    pub fn connections(&self, open: usize) {
        self.families.connections.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// Sets the number of runtime tasks that have not ended.
    pub fn tasks(&self, alive: usize) {
        self.families.tasks.set(i64::try_from(alive).unwrap_or(i64::MAX));
    }

    pub fn notifiers(&self, notifiers: &[NotifierFigures]) {
        for figures in notifiers {
            for (outcome, count) in [
                ("delivered", figures.delivered),
                ("dropped", figures.dropped),
                ("failed", figures.failed),
                ("forgotten", figures.forgotten),
                ("missed", figures.missed),
            ] {
                let labels = NotifierLabels { notifier: figures.name.to_string(), outcome };
                // The notifier counts; this shows its count.
                let counter = self.families.notifications.get_or_create(&labels);
                counter.inner().fetch_max(count, Ordering::Relaxed);
            }
        }
    }

    /// Sets the number of answers that no attempt was waiting for.
    pub fn stale_answers(&self, count: u64) {
        self.families.stale_answers.inner().fetch_max(count, Ordering::Relaxed);
    }

    pub fn decision(&self, app: AppId, decision: &'static str, reason: &'static str) {
        if let Some(label) = self.label(app) {
            let labels = DecisionLabels { app: label.clone(), decision, reason };
            self.families.decisions.get_or_create(&labels).inc();
        }
    }

    /// Counts a stage or an end of a restart.
    pub fn restart(&self, app: AppId, process_type: &ProcessType, outcome: &'static str) {
        if let Some(label) = self.label(app) {
            let process_type = TypeLabel(process_type.clone());
            let labels = RestartLabels { app: label.clone(), process_type, outcome };
            self.families.restarts.get_or_create(&labels).inc();
        }
    }

    /// Records how long a restarted dyno was out.
    pub fn restart_took(&self, app: AppId, out_for: Duration) {
        if let Some(label) = self.label(app) {
            let labels = AppLabels { app: label.clone() };
            self.families.restart_seconds.get_or_create(&labels).observe(out_for.as_secs_f64());
        }
    }

    pub fn notice(&self, app: AppId, kind: &'static str) {
        if let Some(label) = self.label(app) {
            self.families.notices.get_or_create(&KindLabels { app: label.clone(), kind }).inc();
        }
    }

    /// Counts a call of the Platform API; `outcome` is `ok` or the label of an
    /// [`ApiError`](dynowarden_core::api::ApiError).
    pub fn api_request(&self, call: &'static str, outcome: &'static str) {
        self.families.api_requests.get_or_create(&ApiLabels { call, outcome }).inc();
    }

    /// Sets `RateLimit-Remaining` of the last response.
    pub fn api_tokens(&self, remaining: u32) {
        self.families.api_rate_limit_remaining.set(remaining.into());
    }

    /// Sets the number of an app's dynos that the engine keeps state for.
    pub fn dynos(&self, app: AppId, tracked: usize) {
        if let Some(label) = self.label(app) {
            let labels = AppLabels { app: label.clone() };
            self.families.dynos.get_or_create(&labels).set(i64::try_from(tracked).unwrap_or(i64::MAX));
        }
    }

    pub fn ready(&self, ready: bool) {
        self.families.ready.set(ready.into());
    }

    /// All figures as text. Ages are those at `now`.
    pub fn render(&self, exposition: Exposition, now: Now) -> String {
        for (app, heard_at) in self.apps.iter().zip(&self.last_batch_at) {
            // Before the first batch it is the time since startup, so that an alert on a silent drain also
            // covers one that never sent anything.
            let at = Duration::from_millis(heard_at.load(Ordering::Relaxed).saturating_sub(1));
            let age = now.mono.saturating_sub(at).as_secs_f64();
            self.families.drain_last_batch.get_or_create(&AppLabels { app: app.clone() }).set(age);
        }
        let mut page = String::new();
        // Writing to a `String` cannot fail, and no encoder of ours does.
        if text::encode(&mut page, &self.registry).is_err() {
            page.clear();
        }
        exposition.of_open_metrics(page)
    }

    fn label(&self, app: AppId) -> Option<&AppLabel> {
        self.apps.get(index(app))
    }
}

/// Notes the time of an event; times count from 1, so that 0 means never.
fn note(times: &[AtomicU64], app: AppId, now: Now) {
    if let Some(at) = times.get(index(app)) {
        let millis = u64::try_from(now.mono.as_millis()).unwrap_or(u64::MAX - 1);
        at.fetch_max(millis + 1, Ordering::Relaxed);
    }
}

fn noted(times: &[AtomicU64], app: AppId) -> Option<Duration> {
    times.get(index(app))?.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_millis)
}

fn index(app: AppId) -> usize {
    app.0 as usize
}

// === impl Families ===

impl Families {
    fn new() -> Self {
        Self {
            api_away: Gauge::default(),
            api_rate_limit_remaining: Gauge::default(),
            api_requests: Family::default(),
            app_hidden: Family::default(),
            bad_frames: Family::default(),
            batches: Family::default(),
            certificate_ends: Gauge::default(),
            certificate_reads: Family::default(),
            connections: Gauge::default(),
            decisions: Family::default(),
            drain_last_batch: Family::default(),
            drain_silent: Family::default(),
            dynos: Family::default(),
            events: Family::default(),
            frames: Family::default(),
            left_alone: Family::default(),
            lost_elsewhere: Family::default(),
            lost_messages: Family::default(),
            notices: Family::default(),
            notifications: Family::default(),
            stale_answers: Counter::default(),
            platform_red: Gauge::default(),
            ready: Gauge::default(),
            refusals: Family::default(),
            repeated_batches: Family::default(),
            restart_seconds: Family::new_with_constructor(|| Histogram::new(RESTART_SECONDS)),
            restarts: Family::default(),
            store_away: Gauge::default(),
            store_dropped_rows: Counter::default(),
            store_unwritten_rows: Gauge::default(),
            tasks: Gauge::default(),
            token_accepted: Gauge::default(),
        }
    }

    fn register(&self, to: &mut Registry) {
        let f = self;
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        to.register("build_info", "The program's version", build);
        to.register("batches", "Batches accepted, without repeated ones", f.batches.clone());
        to.register(
            "repeated_batches",
            "Batches acknowledged because their frame id was known",
            f.repeated_batches.clone(),
        );
        to.register("frames", "Frames in accepted batches", f.frames.clone());
        to.register("bad_frames", "Frames that could not be read, by kind", f.bad_frames.clone());
        to.register("events", "Platform events found, by kind", f.events.clone());
        let help = "Events of process types that are not listed";
        to.register("left_alone_events", help, f.left_alone.clone());
        let help = "Messages that logplex dropped on the way to this drain (L10)";
        to.register("lost_messages", help, f.lost_messages.clone());
        let help = "Messages that logplex dropped on the way to the app's other drains (L10)";
        to.register("other_drains_lost_messages", help, f.lost_elsewhere.clone());
        to.register("decisions", "Decisions, refusals included", f.decisions.clone());
        let help = "Restarts by stage or end: accepted, then one of back, back_late, not_back, gone";
        to.register("restarts", help, f.restarts.clone());
        let help = "Seconds from an accepted restart until the new dyno was up";
        to.register("restart_seconds", help, f.restart_seconds.clone());
        to.register("notices", "Notices to people, by kind", f.notices.clone());
        to.register("api_requests", "Calls of the Platform API by outcome", f.api_requests.clone());
        let help = "API calls left to the account, as last reported; -1 before the first answer";
        f.api_rate_limit_remaining.set(-1);
        to.register("api_rate_limit_remaining", help, f.api_rate_limit_remaining.clone());
        to.register("dynos", "Dynos that the engine keeps state for", f.dynos.clone());
        let help = "Seconds since the app's last batch, or since startup before the first";
        to.register("drain_last_batch_seconds", help, f.drain_last_batch.clone());
        let help = "1 while the app's drain is silent although its dynos are up, or is missing";
        to.register("drain_silent", help, f.drain_silent.clone());
        let help = "1 if the Platform API accepts the token, 0 if not, -1 before the first answer";
        f.token_accepted.set(-1);
        to.register("token_accepted", help, f.token_accepted.clone());
        let help = "1 while the app is gone, renamed, or not accessible with this token";
        to.register("app_hidden", help, f.app_hidden.clone());
        to.register("api_away", "1 while the Platform API has not answered for a while", f.api_away.clone());
        let help = "1 while Heroku's status page shows red; 0 also where it is not read";
        to.register("platform_red", help, f.platform_red.clone());
        to.register("store_away", "1 while the database is away", f.store_away.clone());
        let help = "Rows that wait to be written to the database";
        to.register("store_unwritten_rows", help, f.store_unwritten_rows.clone());
        let help = "Rows dropped because the queue was full or the database rejected them";
        to.register("store_dropped_rows", help, f.store_dropped_rows.clone());
        let help = "Expiry of the certificate of [tls], in seconds since 1970; 0 without one";
        to.register("tls_certificate_expiry_timestamp_seconds", help, f.certificate_ends.clone());
        let help = "Reloads of the certificate: replaced, or failed with the old one kept";
        to.register("tls_certificate_reads", help, f.certificate_reads.clone());
        let help =
            "Messages of each notifier: delivered, dropped from a full queue, failed, forgotten, missed";
        to.register("notifications", help, f.notifications.clone());
        let help = "API and store answers that came when the engine no longer waited for them";
        to.register("stale_answers", help, f.stale_answers.clone());
        to.register("connections", "Open connections", f.connections.clone());
        to.register("tasks", "Running tasks of the runtime", f.tasks.clone());
        let help = "Requests and connections that the HTTP server refused, by reason";
        to.register("refused_requests", help, f.refusals.clone());
        to.register("ready", "1 if /readyz answers 200", f.ready.clone());
    }

    fn tally(&self, app: &AppLabel) -> Tally {
        let of_app = AppLabels { app: app.clone() };
        Tally {
            batches: self.batches.get_or_create_owned(&of_app),
            frames: self.frames.get_or_create_owned(&of_app),
            left_alone: self.left_alone.get_or_create_owned(&of_app),
            lost_elsewhere: self.lost_elsewhere.get_or_create_owned(&of_app),
            lost_messages: self.lost_messages.get_or_create_owned(&of_app),
        }
    }

    fn begin(&self, app: &AppLabel, process_types: &[ProcessType]) {
        let of_app = AppLabels { app: app.clone() };
        begin(&self.repeated_batches, &of_app);
        begin(&self.app_hidden, &of_app);
        begin(&self.drain_silent, &of_app);
        begin(&self.dynos, &of_app);
        begin(&self.restart_seconds, &of_app);
        begin(&self.bad_frames, &KindLabels { app: app.clone(), kind: "header" });
        begin(
            &self.events,
            &EventLabels { app: app.clone(), kind: EventKindLabel(EventKind::Error(Code::R14)) },
        );
        let rule = DecisionLabels { app: app.clone(), decision: "restart", reason: "rule" };
        begin(&self.decisions, &rule);
        for process_type in process_types {
            for outcome in RESTART_OUTCOMES {
                let process_type = TypeLabel(process_type.clone());
                begin(&self.restarts, &RestartLabels { app: app.clone(), process_type, outcome });
            }
        }
        for outcome in ["ok", "unreachable"] {
            for call in ["delete_dyno", "list_dynos"] {
                begin(&self.api_requests, &ApiLabels { call, outcome });
            }
        }
        for reason in [Refusal::QueueFull, Refusal::Throttled, Refusal::Unauthorized] {
            begin(&self.refusals, &RefusalLabels { reason: reason.label() });
        }
    }
}

/// Creates a series at zero.
fn begin<S, M, C>(family: &Family<S, M, C>, labels: &S)
where
    S: Clone + std::hash::Hash + Eq,
    M: Clone,
    C: MetricConstructor<M>,
{
    drop(family.get_or_create(labels));
}

// === impl Refusal ===

impl Refusal {
    fn label(self) -> &'static str {
        match self {
            Self::BodySlow => "body_slow",
            Self::Evicted => "evicted",
            Self::HandshakeFailed => "handshake_failed",
            Self::HandshakeSlow => "handshake_slow",
            Self::HeadBroken => "head_broken",
            Self::HeadSlow => "head_slow",
            Self::HeadTooLarge => "head_too_large",
            Self::NoRoom => "no_room",
            Self::QueueFull => "queue_full",
            Self::Throttled => "throttled",
            Self::TooLarge => "too_large",
            Self::Unauthorized => "unauthorized",
            Self::UnknownApp => "unknown_app",
            Self::UnknownEncoding => "unknown_encoding",
            Self::Unlisted => "drains_unlisted",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{Exposition, Metrics, Refusal};
    use dynowarden_core::ident::{AppId, ProcessType};
    use dynowarden_core::ingest::Counts;
    use dynowarden_core::policy::{AppPlan, Policy, Rate};
    use dynowarden_core::time::Now;

    const START: Now = Now { mono: Duration::from_secs(100), wall: Timestamp::UNIX_EPOCH };

    fn watched() -> AppPlan {
        let one = NonZeroU32::MIN;
        let span = Duration::from_secs(60);
        AppPlan {
            name: "acme".parse().expect("an app"),
            dry_run: false,
            policy: Policy {
                process_types: vec!["web".parse().expect("a type")],
                cooldown: span,
                max_restarts: Rate { count: one, per: span },
                give_up_for: span,
                max_concurrent: one,
                settle: span,
                min_uptime: span,
                boot_timeout: span,
                window: Vec::new(),
            },
            rules: Vec::new(),
        }
    }

    #[test]
    fn the_age_of_the_last_batch_grows_until_the_next() {
        let plan = watched();
        let metrics = Metrics::new([&plan]);
        let age = |now| {
            let page = metrics.render(Exposition::Prometheus, now);
            let name = "dynowarden_drain_last_batch_seconds{app=\"acme\"} ";
            let line = page.lines().find_map(|line| line.strip_prefix(name)).expect("a figure");
            line.parse::<f64>().expect("a number")
        };
        assert_eq!((metrics.last_batch_at(AppId(0)), age(START)), (None, 100.0));
        metrics.batch(AppId(0), &Counts::default(), START);
        assert_eq!(metrics.last_batch_at(AppId(0)), Some(START.mono));
        assert_eq!(age(START.after(Duration::from_secs(7))), 7.0);
        metrics.repeated_batch(AppId(0), START.after(Duration::from_secs(8)));
        assert_eq!(age(START.after(Duration::from_secs(9))), 1.0);
        assert_eq!(metrics.last_batch_at(AppId(1)), None);
    }

    #[test]
    fn an_unwatched_app_has_no_series() {
        let plan = watched();
        let metrics = Metrics::new([&plan]);
        let before = metrics.render(Exposition::OpenMetrics, START);
        let web: ProcessType = "web".parse().expect("a type");
        metrics.batch(AppId(1), &Counts::default(), START);
        metrics.decision(AppId(1), "hold", "stale");
        metrics.restart(AppId(1), &web, "accepted");
        assert_eq!(metrics.render(Exposition::OpenMetrics, START), before);
        metrics.refused(Refusal::QueueFull);
        assert_ne!(metrics.render(Exposition::OpenMetrics, START), before);
    }
}
