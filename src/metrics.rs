//! The metrics of `/metrics`: every figure, its labels and their bounds.
//!
//! Labels are the configured apps, their listed process types and closed sets of words, so no peer can grow
//! the number of series. Series whose labels are known at startup exist from then on, at zero, so that rates
//! have a starting point.

mod labels;
mod status;
mod words;

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::{EncodeMetric as _, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::drain_activity::DrainActivities;
use crate::exposition::Exposition;
use crate::metrics::labels::{
    ApiLabels, AppLabel, AppLabels, BuildLabels, DecisionLabels, DynoLabels, EventKindLabel, EventLabels,
    KindLabels, NotifierLabels, ReadLabels, RefusalLabels, RestartLabels, TypeLabel,
};
use crate::notify::NotifierFigures;
use crate::store::Health;
use dynowarden_core::codes::Code;
use dynowarden_core::ident::{AppId, ProcessType};
use dynowarden_core::ingest::{Counts, EventKind};
use dynowarden_core::policy::AppPlan;
use dynowarden_core::time::Now;

/// All figures of the program; shared behind an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    apps: Vec<AppLabel>,
    /// Held while the dynos' series are replaced and written.
    rendering: Mutex<()>,
    /// The counters of every batch, by app.
    tallies: Vec<Tally>,
    families: Families,
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
    /// The end of the app's pause, in seconds since 1970.
    paused_until: AtomicI64,
}

/// What every name begins with.
const PREFIX: &str = "dynowarden";

/// Declares the families with their names and help texts. Names get the prefix `dynowarden_`, and those of
/// counters the suffix `_total`.
macro_rules! families {
    ($($field:ident: $family:ty, $name:literal, $help:literal;)+) => {
        #[derive(Debug)]
        struct Families {
            $($field: $family,)+
            restart_seconds: Family<AppLabels, Histogram, fn() -> Histogram>,
            /// Of each family: name, help text and type.
            described: Vec<(&'static str, &'static str, MetricType)>,
        }

        impl Families {
            fn new(registry: &mut Registry) -> Self {
                let mut families = Self {
                    $($field: <$family>::default(),)+
                    restart_seconds: Family::new_with_constructor(|| Histogram::new(RESTART_SECONDS)),
                    described: Vec::new(),
                };
                $(registry.register($name, $help, families.$field.clone());)+
                families.described = vec![$(($name, $help, families.$field.metric_type())),+];
                let help = "Seconds from an accepted restart until the new dyno was up";
                registry.register("restart_seconds", help, families.restart_seconds.clone());
                families
            }
        }
    };
}

families! {
    build: Family<BuildLabels, Gauge>, "build_info", "The program's version";
    batches: Family<AppLabels, Counter>, "batches", "Batches accepted, without redelivered ones";
    repeated_batches: Family<AppLabels, Counter>, "repeated_batches",
        "Redelivered batches, which are acknowledged but not counted again";
    frames: Family<AppLabels, Counter>, "frames", "Frames in accepted batches";
    bad_frames: Family<KindLabels, Counter>, "bad_frames", "Frames that could not be read, by kind";
    events: Family<EventLabels, Counter>, "events", "Platform events found, by kind";
    left_alone: Family<AppLabels, Counter>, "left_alone_events",
        "Events of process types that are not in process_types";
    surplus_events: Family<AppLabels, Counter>, "surplus_events",
        "Events about more dynos than one app can have, which are dropped";
    lost_messages: Family<AppLabels, Counter>, "lost_messages",
        "Messages that logplex dropped on the way to this drain (L10)";
    lost_elsewhere: Family<AppLabels, Counter>, "other_drains_lost_messages",
        "Messages that logplex dropped on the way to the app's other drains (L10)";
    decisions: Family<DecisionLabels, Counter>, "decisions", "Decisions, including refusals";
    restarts: Family<RestartLabels, Counter>, "restarts",
        "Restarts by outcome: accepted, then one of back, back_late, not_back, gone";
    notices: Family<KindLabels, Counter>, "notices", "Notices, by kind";
    api_requests: Family<ApiLabels, Counter>, "api_requests", "Platform API calls by outcome";
    api_rate_limit_remaining: Gauge, "api_rate_limit_remaining",
        "API calls left for the account, as last reported; -1 before the first response";
    dynos: Family<AppLabels, Gauge>, "dynos", "Dynos being watched";
    paused: Family<AppLabels, Gauge>, "paused", "1 while restarts of the app are paused";
    drain_last_batch: Family<AppLabels, Gauge<f64, AtomicU64>>, "drain_last_batch_seconds",
        "Seconds since the app's last batch, or since startup before the first";
    drain_silent: Family<AppLabels, Gauge>, "drain_silent",
        "1 while the app's drain is missing, or silent although dynos are up";
    token_accepted: Gauge, "token_accepted",
        "1 if the Platform API accepts the token, 0 if not, -1 before the first response";
    app_hidden: Family<AppLabels, Gauge>, "app_hidden",
        "1 while the app is gone or not accessible with this token";
    api_away: Gauge, "api_away", "1 while the Platform API does not respond";
    platform_red: Gauge, "platform_red",
        "1 while Heroku's status page shows red; 0 also if heroku.status_url is not set";
    store_away: Gauge, "store_away", "1 while the database is unavailable";
    store_unwritten_rows: Gauge, "store_unwritten_rows",
        "Rows waiting to be written to the database";
    store_dropped_rows: Counter, "store_dropped_rows",
        "Rows dropped because the queue was full or the database rejected them";
    certificate_ends: Gauge, "tls_certificate_expiry_timestamp_seconds",
        "Expiry of the certificate of [tls], in seconds since 1970; 0 without one";
    certificate_reads: Family<ReadLabels, Counter>, "tls_certificate_reads",
        "Reloads of the certificate: replaced, or failed with the old one kept";
    notifications: Family<NotifierLabels, Counter>, "notifications",
        "Messages of each notifier: delivered, dropped from a full queue, failed, forgotten, missed";
    stale_answers: Counter, "stale_answers",
        "API and database responses that came too late to be used";
    connections: Gauge, "connections", "Open connections";
    tasks: Gauge, "tasks", "Running async tasks";
    refusals: Family<RefusalLabels, Counter>, "refused_requests",
        "Requests and connections that the HTTP server rejected, by reason";
    ready: Gauge, "ready", "1 if /readyz answers 200";
    dry_run: Gauge, "dry_run", "1 if nothing is restarted (dry_run)";
    started: Gauge<f64, AtomicU64>, "process_start_time_seconds",
        "When the process started, in seconds since 1970";
    given_up: Family<AppLabels, Gauge>, "given_up", "Dynos that were given up";
    dyno_memory: Family<DynoLabels, Gauge<f64, AtomicU64>>, "dyno_memory_bytes",
        "Memory of a watched dyno, as last reported by Heroku";
    dyno_quota: Family<DynoLabels, Gauge<f64, AtomicU64>>, "dyno_memory_quota_bytes",
        "Memory quota of a watched dyno, from its last report";
}

/// The stages and ends of a restart that exist from the start; see
/// [`RestartResult::label`](dynowarden_core::record::RestartResult::label).
const RESTART_OUTCOMES: [&str; 11] = [
    "accepted",
    "back",
    "back_late",
    "down_again",
    "gone",
    "ignored",
    "no_help",
    "not_back",
    "refused",
    "unanswered",
    "withdrawn",
];

/// Seconds out of service: a small app is back in 10 s, `boot_timeout` is 3 min by default.
const RESTART_SECONDS: [f64; 11] = [5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0];

// === impl Metrics ===

impl Metrics {
    /// The figures of a program that watches these apps, in the order of the settings.
    pub fn new<'p>(plans: impl IntoIterator<Item = &'p AppPlan>) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let families = Families::new(&mut registry);
        families.api_rate_limit_remaining.set(-1);
        families.token_accepted.set(-1);
        families.build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        families.begin_common();
        let mut apps = Vec::new();
        for plan in plans {
            families.dry_run.set(plan.dry_run.into());
            let label = AppLabel(plan.name.clone());
            families.begin(&label, &plan.policy.process_types);
            apps.push(label);
        }
        let tallies = apps.iter().map(|label| families.tally(label)).collect();
        Self { registry, apps, rendering: Mutex::default(), tallies, families }
    }

    pub fn batch(&self, app: AppId, counts: &Counts) {
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
    }

    /// Counts events about dynos beyond the app's share.
    pub fn surplus_events(&self, app: AppId, count: u64) {
        if count > 0 {
            self.of_app(&self.families.surplus_events, app, |counter| _ = counter.inc_by(count));
        }
    }

    pub fn repeated_batch(&self, app: AppId) {
        self.of_app(&self.families.repeated_batches, app, |counter| _ = counter.inc());
    }

    /// Sets whether an app's drain is silent or missing.
    pub fn drain_silent(&self, app: AppId, silent: bool) {
        self.of_app(&self.families.drain_silent, app, |gauge| _ = gauge.set(silent.into()));
    }

    /// Sets whether an app cannot be seen.
    pub fn app_hidden(&self, app: AppId, hidden: bool) {
        self.of_app(&self.families.app_hidden, app, |gauge| _ = gauge.set(hidden.into()));
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

    pub fn refused(&self, reason: impl Into<&'static str>) {
        self.families.refusals.get_or_create(&RefusalLabels { reason: reason.into() }).inc();
    }

    pub fn certificate_ends(&self, at: Timestamp) {
        self.families.certificate_ends.set(at.as_second());
    }

    /// Counts a change of the certificate's files; `outcome` is `replaced` or `failed`.
    pub fn certificate_read(&self, outcome: &'static str) {
        self.families.certificate_reads.get_or_create(&ReadLabels { outcome }).inc();
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
        self.of_app(&self.families.restart_seconds, app, |seconds| seconds.observe(out_for.as_secs_f64()));
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

    /// Sets the end of the app's pause; none if it is not paused.
    pub fn paused_until(&self, app: AppId, until: Option<Timestamp>) {
        if let Some(tally) = self.tallies.get(index(app)) {
            tally.paused_until.store(until.map_or(0, Timestamp::as_second), Ordering::Relaxed);
        }
    }

    /// All figures as text. Ages are those at `now`.
    pub fn render(&self, exposition: Exposition, drains: &DrainActivities, now: Now) -> String {
        for app in (0..).map(AppId).take(self.apps.len()) {
            // Before the first batch it is the time since startup, so that an alert on a silent drain also
            // covers one that never sent anything.
            let at = drains.of(app).last_batch_at.unwrap_or_default();
            let age = now.mono.saturating_sub(at).as_secs_f64();
            self.of_app(&self.families.drain_last_batch, app, |gauge| _ = gauge.set(age));
            let paused_until = self.tallies[index(app)].paused_until.load(Ordering::Relaxed);
            let is_paused = paused_until > now.wall.as_second();
            self.of_app(&self.families.paused, app, |gauge| _ = gauge.set(is_paused.into()));
        }
        let mut page = String::new();
        // Writing to a `String` cannot fail, and no encoder of ours does.
        if text::encode(&mut page, &self.registry).is_err() {
            page.clear();
        }
        self.families.describe_empty(&mut page);
        exposition.of_open_metrics(page)
    }

    /// Updates the series of a watched app.
    fn of_app<M: Clone, C: MetricConstructor<M>>(
        &self,
        family: &Family<AppLabels, M, C>,
        app: AppId,
        update: impl FnOnce(&M),
    ) {
        if let Some(label) = self.label(app) {
            update(&family.get_or_create(&AppLabels { app: label.clone() }));
        }
    }

    fn label(&self, app: AppId) -> Option<&AppLabel> {
        self.apps.get(index(app))
    }
}

fn index(app: AppId) -> usize {
    app.0 as usize
}

// === impl Families ===

impl Families {
    /// Adds the names of the families that have no series yet, so that a page always shows what there is.
    fn describe_empty(&self, page: &mut String) {
        let Some(end) = page.strip_suffix("# EOF\n").map(str::len) else { return };
        let is_empty = |name: &str| !page.contains(&format!("# TYPE {PREFIX}_{name} "));
        let empty: Vec<_> = self.described.iter().filter(|(name, ..)| is_empty(name)).collect();
        page.truncate(end);
        for (name, help, kind) in empty {
            page.push_str(&format!(
                "# HELP {PREFIX}_{name} {help}.\n# TYPE {PREFIX}_{name} {}\n",
                kind.as_str()
            ));
        }
        page.push_str("# EOF\n");
    }

    fn tally(&self, app: &AppLabel) -> Tally {
        let of_app = AppLabels { app: app.clone() };
        Tally {
            batches: self.batches.get_or_create_owned(&of_app),
            frames: self.frames.get_or_create_owned(&of_app),
            left_alone: self.left_alone.get_or_create_owned(&of_app),
            lost_elsewhere: self.lost_elsewhere.get_or_create_owned(&of_app),
            lost_messages: self.lost_messages.get_or_create_owned(&of_app),
            paused_until: AtomicI64::new(0),
        }
    }

    fn begin(&self, app: &AppLabel, process_types: &[ProcessType]) {
        let of_app = AppLabels { app: app.clone() };
        begin(&self.repeated_batches, &of_app);
        begin(&self.surplus_events, &of_app);
        begin(&self.app_hidden, &of_app);
        begin(&self.drain_silent, &of_app);
        begin(&self.dynos, &of_app);
        begin(&self.restart_seconds, &of_app);
        begin(&self.paused, &of_app);
        begin(&self.given_up, &of_app);
        self.begin_words(app);
        begin(
            &self.events,
            &EventLabels { app: app.clone(), kind: EventKindLabel(EventKind::Error(Code::R14)) },
        );
        for process_type in process_types {
            for outcome in RESTART_OUTCOMES {
                let process_type = TypeLabel(process_type.clone());
                begin(&self.restarts, &RestartLabels { app: app.clone(), process_type, outcome });
            }
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{DrainActivities, Exposition, Metrics};
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
                give_up_after: NonZeroU32::MIN,
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
        let (metrics, drains) = (Metrics::new([&plan]), DrainActivities::new(1));
        let age = |now| {
            let page = metrics.render(Exposition::Prometheus, &drains, now);
            let name = "dynowarden_drain_last_batch_seconds{app=\"acme\"} ";
            let line = page.lines().find_map(|line| line.strip_prefix(name)).expect("a figure");
            line.parse::<f64>().expect("a number")
        };
        assert_eq!(age(START), 100.0);
        drains.record_batch(AppId(0), &Counts::default(), START);
        assert_eq!(age(START.after(Duration::from_secs(7))), 7.0);
        drains.record_repeated_batch(AppId(0), START.after(Duration::from_secs(8)));
        assert_eq!(age(START.after(Duration::from_secs(9))), 1.0);
        assert_eq!(drains.of(AppId(1)).last_batch_at, None);
    }

    #[test]
    fn an_unwatched_app_has_no_series() {
        let plan = watched();
        let (metrics, drains) = (Metrics::new([&plan]), DrainActivities::new(1));
        let before = metrics.render(Exposition::OpenMetrics, &drains, START);
        let web: ProcessType = "web".parse().expect("a type");
        metrics.batch(AppId(1), &Counts::default());
        metrics.decision(AppId(1), "hold", "stale");
        metrics.restart(AppId(1), &web, "accepted");
        assert_eq!(metrics.render(Exposition::OpenMetrics, &drains, START), before);
        metrics.refused("queue_full");
        assert_ne!(metrics.render(Exposition::OpenMetrics, &drains, START), before);
    }
}
