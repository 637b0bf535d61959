//! The daemon: binds, starts every task, and ends them in order.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::app_ids::{AppIds, Report};
use crate::clock::Clock;
use crate::config::settings::Settings;
use crate::context::Context;
use crate::days::Days;
use crate::days_task::{self, DaysTask};
use crate::drain_activity::DrainActivities;
use crate::drain_lister::DrainLister;
use crate::drain_tokens::DrainTokens;
use crate::driver::{Driver, Handle, Parts};
use crate::evidence::EvidenceBook;
use crate::heroku::Heroku;
use crate::http::Service;
use crate::http::event_publisher;
use crate::http::listener;
use crate::http::tls::Tls;
use crate::metrics::Metrics;
use crate::notify::{self, NotifierHandle};
use crate::readiness::Readiness;
use crate::series::SeriesBook;
use crate::start_line::start_line;
use crate::status_model::StatusModel;
use crate::store::history::Filter;
use crate::store::series::HourRow;
use crate::store::{Store, StoreOptions};
use crate::store_watch;
use crate::traffic::TrafficBook;
use crate::watchdog_task::WatchdogTask;
use dynowarden_core::limits;
use dynowarden_core::policy::AppPlan;
use dynowarden_core::record::view::DecisionView;

const VERSION: &str = env!("DYNOWARDEN_VERSION");

/// Binds the address of the settings.
///
/// # Errors
/// The address is not available; the message names it and a fix.
pub async fn bind(settings: &Settings) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(settings.listen, settings.port);
    listen(address).map_err(|error| {
        let fix = match error.kind() {
            ErrorKind::AddrInUse => "another program uses the port; stop it, or set PORT to a free one",
            ErrorKind::AddrNotAvailable => {
                "this machine has no such address; set listen to one of its addresses, or to 0.0.0.0 for all"
            }
            ErrorKind::PermissionDenied => "this port needs root; set PORT to 1024 or higher, such as 8080",
            _ => "set listen and PORT to an available address and port",
        };
        anyhow::anyhow!("cannot listen on {address}: {fix} ({error})")
    })
}

/// Listens with a longer queue than tokio's own, so that a burst of connections delays no other one.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(limits::CONNECTIONS_QUEUED_MAX)
}

#[derive(Debug)]
pub struct Running {
    /// Completes when the daemon has ended, in order or broken.
    pub ended: JoinHandle<anyhow::Result<()>>,
    pub handle: Handle,
}

/// Starts the daemon on `listener`. It runs until `shutdown` and then ends in order: it closes connections,
/// makes no more API calls, and waits for the answers of those in flight.
///
/// # Errors
/// It cannot start.
pub async fn start(
    settings: Settings,
    listener: TcpListener,
    clock: Clock,
    shutdown: CancellationToken,
) -> anyhow::Result<Running> {
    start_with_past(settings, listener, (clock, shutdown), &[]).await
}

/// The same, with series of the days before in its store.
///
/// # Errors
/// It cannot start.
pub async fn start_with_past(
    settings: Settings,
    listener: TcpListener,
    (clock, shutdown): (Clock, CancellationToken),
    series: &[HourRow],
) -> anyhow::Result<Running> {
    settings.warnings.iter().for_each(|warning| warn!("{warning}"));
    let plans: Vec<_> = settings.apps.iter().map(|app| app.plan.clone()).collect();
    let metrics = Arc::new(Metrics::new(&plans));
    let heroku = Heroku::new(&settings.heroku, metrics.clone())?;
    let readiness = Arc::new(Readiness::starting());
    let tokens = Arc::new(DrainTokens::new(&settings));
    let (queue, commands) = mpsc::channel(limits::QUEUED_BATCHES_MAX);
    let handle = Handle::new(queue);
    // The seed need not be secret, only different between replicas that would otherwise keep in step.
    let seed = u64::from(std::process::id()) ^ clock.now().wall.as_nanosecond() as u64;
    let store = open_store(&settings, clock, series).await?;
    let past = store.past(remembered_span(&plans), clock.now().wall).await?;
    let ids = load_ids(&plans, clock, &handle, &store).await;
    let store_watch = tokio::spawn(store_watch::run(store.clone(), readiness.clone(), handle.clone(), clock));
    let traffic = Arc::new(TrafficBook::new(
        settings.drain.statistics && is_traffic_read(&settings, &plans),
        settings.apps.len(),
    ));
    let (notices, notifying) = notify::start(&settings, traffic.clone(), clock, seed)?;
    announce(&settings, &metrics, &notices, clock);
    let notify_shutdown = CancellationToken::new();
    let notifying = tokio::spawn(notifying.run(notify_shutdown.clone()));
    let driver = Driver::new(Parts {
        clock,
        commands,
        handle: handle.clone(),
        heroku: heroku.clone(),
        ids: ids.clone(),
        metrics: metrics.clone(),
        notices: notices.clone(),
        plans,
        seed,
        store: store.clone(),
        tokens: tokens.clone(),
    });
    let driver_shutdown = CancellationToken::new();
    let driver = tokio::spawn(driver.run(past, driver_shutdown.clone()));
    let address = listener.local_addr()?;
    let (days, series) = open_days(&settings, &heroku, (&store, clock), seed);
    let context = Context {
        clock,
        days,
        drains: Arc::new(DrainActivities::new(settings.apps.len())),
        handle: handle.clone(),
        metrics,
        readiness: readiness.clone(),
        store,
        tokens,
        traffic,
    };
    let service = start_service(&settings, &notices, &context, &shutdown).await;
    let watchdog = start_watching(&settings, heroku, ids, &context, &shutdown);
    let notify_watch =
        tokio::spawn(watch_notifiers(notices, service.status_model().cloned(), context.clone()));
    let (tls, following) = open_tls(&settings, &context, &shutdown)?.unzip();
    let watches = [store_watch, notify_watch].into_iter().chain(following).collect();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let server = tokio::spawn(listener::serve(listener, tls, service, shutdown.clone()));
    readiness.started();
    info!(%address, apps = settings.apps.len(), version = VERSION, "listening on {scheme}://{address}");
    let (driver, notifying) = ((driver, driver_shutdown), (notifying, notify_shutdown));
    let tasks = Tasks { server, driver, notifying, readiness, series, watchdog, watches };
    Ok(Running { ended: tokio::spawn(tasks.watch(shutdown)), handle })
}

/// Logs what is watched and who is told, and begins the figures that exist from the start.
fn announce(settings: &Settings, metrics: &Metrics, notices: &NotifierHandle, clock: Clock) {
    info!("{}", start_line(settings));
    metrics.started(clock.now().wall);
    metrics.notifiers(&notices.figures());
}

/// Tasks that must all run: if one ends, the daemon ends.
struct Tasks {
    server: JoinHandle<()>,
    /// These end only when the others have ended.
    driver: (JoinHandle<()>, CancellationToken),
    notifying: (JoinHandle<()>, CancellationToken),
    readiness: Arc<Readiness>,
    series: (JoinHandle<()>, CancellationToken),
    watchdog: JoinHandle<()>,
    /// Tasks that only report health or watch files.
    watches: Vec<JoinHandle<()>>,
}

impl Tasks {
    async fn watch(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            // A daemon that accepts batches but makes no decisions, or the reverse, is worse than one that is
            // down.
            ended = &mut self.driver.0 => return Err(broken("driver", ended)),
            ended = &mut self.server => return Err(broken("HTTP server", ended)),
            ended = &mut self.watchdog => return Err(broken("watchdog", ended)),
        }
        info!("shutting down");
        self.readiness.fail("shutdown", "shutting down");
        self.watchdog.await.context("the watchdog failed")?;
        self.server.await.context("the HTTP server failed")?;
        self.watches.iter().for_each(JoinHandle::abort);
        // The driver closes the store.
        self.series.1.cancel();
        self.series.0.await.context("the series failed")?;
        self.driver.1.cancel();
        self.driver.0.await.context("the driver failed")?;
        self.notifying.1.cancel();
        self.notifying.0.await.context("the notifiers failed")?;
        info!("stopped");
        Ok(())
    }
}

/// Whether notifiers, the status page or a rule read the traffic.
fn is_traffic_read(settings: &Settings, plans: &[AppPlan]) -> bool {
    !settings.notifiers.is_empty()
        || settings.admin_password.is_some()
        || plans.iter().any(days_task::has_slow)
}

async fn load_ids(plans: &[AppPlan], clock: Clock, handle: &Handle, store: &Store) -> Arc<AppIds> {
    let names = plans.iter().map(|plan| plan.name.clone()).collect();
    let handle = handle.clone();
    let report = Report(Box::new(move |record| handle.try_publish(record)));
    Arc::new(AppIds::load(names, clock, report, store.clone()).await)
}

/// Starts the tasks that ask the API about the apps: the drain lister and the watchdog, which is returned.
fn start_watching(
    settings: &Settings,
    heroku: Heroku,
    ids: Arc<AppIds>,
    context: &Context,
    shutdown: &CancellationToken,
) -> JoinHandle<()> {
    let Context { clock, handle, tokens, .. } = context.clone();
    let lister = DrainLister { clock, handle, heroku: heroku.clone(), ids: ids.clone(), tokens };
    tokio::spawn(lister.run(shutdown.clone()));
    let watchdog = WatchdogTask::new(settings, heroku, ids, context.clone());
    tokio::spawn(watchdog.run(shutdown.clone()))
}

/// Starts what is remembered over days, and the task that writes it.
fn open_days(
    settings: &Settings,
    heroku: &Heroku,
    (store, clock): (&Store, Clock),
    seed: u64,
) -> (Arc<Days>, (JoinHandle<()>, CancellationToken)) {
    let names = settings.apps.iter().map(|app| app.plan.name.clone()).collect();
    let book = SeriesBook::new(names, settings.keep_series, series_seed(seed));
    let evidence = EvidenceBook::new(settings.drain.statistics && settings.drain.evidence);
    let days = Arc::new(Days::new((book, evidence), Some(heroku.clone()), settings.keep_series));
    let end = CancellationToken::new();
    let writing = tokio::spawn(days.clone().write_series(store.clone(), clock, end.clone()));
    (days, (writing, end))
}

/// Starts the HTTP service, the publisher of its events, and what it shows over days. The page receives
/// records from this call on, so it comes before the watchdog, whose first ones come at once.
async fn start_service(
    settings: &Settings,
    notices: &NotifierHandle,
    context: &Context,
    shutdown: &CancellationToken,
) -> Arc<Service> {
    let plans: Vec<AppPlan> = settings.apps.iter().map(|app| app.plan.clone()).collect();
    tokio::spawn(DaysTask::new(&plans, notices.clone(), context.clone()).run(shutdown.clone()));
    let service = Arc::new(Service::new(settings, context.clone()));
    if let Some(status_model) = service.status_model() {
        status_model.restore(last_decisions(&context.store).await);
    }
    tokio::spawn(event_publisher::run(service.clone(), shutdown.clone()));
    service
}

/// A seed for the numbers of this process's parts of hours, which no other process may use.
fn series_seed(seed: u64) -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    // Each state has its own keys, which the standard library takes from the system's randomness.
    RandomState::new().hash_one(seed)
}

/// TLS, if `[tls]` is set, and the task that reloads its certificate files.
fn open_tls(
    settings: &Settings,
    context: &Context,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<(Tls, JoinHandle<()>)>> {
    let Some(of_tls) = &settings.tls else { return Ok(None) };
    let tls = Tls::new(&of_tls.identity);
    let reloader = tls.reloader(of_tls, context.clock, context.metrics.clone(), context.readiness.clone())?;
    let following = tokio::spawn(reloader.run(tls.clone(), shutdown.clone()));
    Ok(Some((tls, following)))
}

async fn open_store(settings: &Settings, clock: Clock, series: &[HourRow]) -> anyhow::Result<Store> {
    let names = settings.apps.iter().map(|app| app.plan.name.clone()).collect();
    let options =
        StoreOptions { keep_series: settings.keep_series, ..StoreOptions::new(names, settings.store_keep) };
    let store = Store::open(&settings.database, options, clock.now().wall).await?;
    for rows in series.chunks(limits::ROWS_PER_WRITE_MAX) {
        store.save_hours(rows).await?;
    }
    Ok(store)
}

/// The longest span that a cool-down or `max_restarts` counts.
fn remembered_span(plans: &[AppPlan]) -> Duration {
    let spans = plans.iter().map(|plan| plan.policy.cooldown.max(plan.policy.max_restarts.per));
    spans.max().unwrap_or_default()
}

/// Decisions of an earlier process, for the status page. It can start without them, so a store that does not
/// answer now is not waited for.
async fn last_decisions(store: &Store) -> Vec<DecisionView> {
    let newest = Filter { limit: limits::PAGE_ROWS_MAX, ..Filter::default() };
    let page = store.decisions(&newest).await;
    page.map(|page| page.decisions).unwrap_or_default()
}

/// Reports that a notifier is down, because its own messages cannot. It is only a warning: taking dynowarden
/// out of service because of it would also lose restarts.
async fn watch_notifiers(notices: NotifierHandle, model: Option<Arc<StatusModel>>, context: Context) {
    let mut timer = tokio::time::interval(NOTIFIERS_LOOKED_AT_EVERY);
    loop {
        timer.tick().await;
        context.readiness.warn("notify", notices.trouble());
        let figures = notices.figures();
        context.metrics.notifiers(&figures);
        if let Some(model) = &model {
            model.set_notifiers(figures);
        }
    }
}

/// `/readyz` is typically polled every few seconds.
const NOTIFIERS_LOOKED_AT_EVERY: Duration = Duration::from_secs(2);

fn broken(task: &str, ended: Result<(), JoinError>) -> anyhow::Error {
    match ended {
        Ok(()) => anyhow::anyhow!("the {task} ended unexpectedly"),
        Err(error) => anyhow::Error::new(error).context(format!("the {task} failed")),
    }
}
