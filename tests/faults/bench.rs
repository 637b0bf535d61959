//! One simulated Heroku with dynos that err all the time, one daemon, and a judge of its actions.
//!
//! Usually each process errs by another rule than the one before it, so that every restart has helped as far
//! as anybody can tell. With the same error again, every dyno is given up after its third restart, and most
//! faults would meet a daemon that has nothing to do.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use dynowarden_core::event::DynoState;
use dynowarden_core::ident::{AppName, DynoName, InstanceId};
use heroku_sim::app::AppSpec;
use heroku_sim::dyno::DynoPlan;
use heroku_sim::line::LogLine;
use heroku_sim::rng::Chance;
use heroku_sim::sender::{Chaos, DrainPolicy};
use heroku_sim::server::{SimHeroku, SimOptions};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use support::client;
use support::daemon::Daemon;
use support::judge::{Bounds, Judge, Others};
use support::process::{Usage, usage};
use support::proxy::Proxy;

/// The environment of one lane of faults.
pub(crate) struct Bench {
    pub chance: Chance,
    pub directory: TempDir,
    pub env: Vec<(String, String)>,
    pub heroku: Arc<SimHeroku>,
    /// Makes the command that starts the daemon.
    pub launch: Box<dyn Fn() -> Command>,
    pub rows: Vec<Row>,
    pub storm: Arc<Storm>,
    /// How many daemons share the work, and the store.
    pub replicas: usize,
    daemons: Vec<Daemon>,
    judge: Arc<Mutex<Judge>>,
    /// Between logplex and the daemons.
    pub proxy: Proxy,
}

/// The errors that dynos log, all the time while it is on.
#[derive(Debug, Default)]
pub(crate) struct Storm {
    pub is_on: AtomicBool,
    pub errors: AtomicU64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub fault: String,
    pub times: u32,
    /// Calls, or moments, in which the fault had an effect.
    pub struck: u64,
    pub errors: u64,
    pub deletes: u64,
    pub restarts: u64,
    /// The longest time until every app had a restart again.
    pub recovery: Duration,
    /// Before the first time and after the last one.
    pub usage: Option<(Usage, Usage)>,
    /// Other results, such as the reasons for which dynos were left alone in between.
    pub notes: BTreeSet<String>,
}

/// What went wrong, in words.
pub(crate) type Broken = String;

/// The apps, and the dynos of each.
const APPS: [&str; 3] = ["acme", "blog", "shop"];
const WEBS: u32 = 3;

/// All dynos, by app and number.
pub(crate) const DYNOS: [(&str, u32); 9] = [
    ("acme", 1),
    ("acme", 2),
    ("acme", 3),
    ("blog", 1),
    ("blog", 2),
    ("blog", 3),
    ("shop", 1),
    ("shop", 2),
    ("shop", 3),
];

/// One rule for each of [`ERRORS`].
const RULES: &str = r#"[
    {name = "memory-quota-exceeded", on = ["R14"], do = "restart"},
    {name = "request-timeout", on = ["H12"], do = "restart"}]"#;

const ERRORS: [DynoError; 2] = [DynoError::MemoryQuota, DynoError::RequestTimeout];

#[derive(Clone, Copy, Debug)]
enum DynoError {
    /// R14, by the dyno.
    MemoryQuota,
    /// H12, by the router about the dyno.
    RequestTimeout,
}

impl DynoError {
    fn line(self, app: AppName, dyno: &DynoName, at: Timestamp) -> LogLine {
        match self {
            Self::MemoryQuota => {
                LogLine::heroku(app, dyno.to_string(), "Error R14 (Memory quota exceeded)", at)
            }
            Self::RequestTimeout => {
                let text = format!(
                    "at=error code=H12 desc=\"Request timeout\" method=GET path=\"/\" host=x request_id=1 \
                     fwd=\"192.0.2.1\" dyno={dyno} connect=0ms service=30000ms status=503 bytes=0 protocol=https"
                );
                LogLine::heroku(app, "router", text, at)
            }
        }
    }
}

/// The daemon's settings, much shorter than the defaults.
pub(crate) fn bounds() -> Bounds {
    Bounds {
        cooldown: Duration::from_secs(4),
        min_uptime: Duration::from_secs(1),
        settle: Duration::from_secs(1),
        max_restarts: (1000, Duration::from_secs(3600)),
        give_up_after: None,
    }
}

impl Bench {
    /// A world whose dynos err from the start, without a daemon yet.
    pub(crate) async fn begin(seed: u64, bounds: Bounds) -> Self {
        let chaos = Chaos {
            delay_permille: 20,
            delay_max: Duration::from_secs(3),
            duplicate_permille: 100,
            lose_permille: 5,
            reorder_permille: 50,
        };
        Self::begin_with(seed, bounds, chaos).await
    }

    /// The same with another logplex policy.
    pub(crate) async fn begin_with(seed: u64, bounds: Bounds, chaos: Chaos) -> Self {
        // Where restarts are to be useless, every process logs the same error.
        let errors = if bounds.give_up_after.is_some() { &ERRORS[..1] } else { &ERRORS[..] };
        let mut chance = Chance::new(seed);
        let drains = DrainPolicy { chaos, nodes: 2, ..DrainPolicy::default() };
        let options = SimOptions { drains, seed: chance.draw(), ..SimOptions::default() };
        let heroku = Arc::new(SimHeroku::start(options).await.expect("loopback"));
        let proxy = Proxy::begin(Vec::new()).await;
        for name in APPS {
            let mut spec = AppSpec::new(app(name), WEBS);
            spec.formations[0].plan = DynoPlan {
                boot: Duration::from_millis(500),
                linger: Duration::from_millis(500),
                ..DynoPlan::default()
            };
            heroku.add_app(spec);
            support::fixtures::drain_to(&heroku, &format!("http://{}", proxy.address), &app(name));
        }
        let directory = tempfile::tempdir().expect("a directory");
        let (max, within) = bounds.max_restarts;
        let env = [
            ("HEROKU_APP", APPS.join(",")),
            ("DATABASE_URL", format!("sqlite://{}/record.db", directory.path().display())),
            ("DYNOWARDEN_HEROKU__REQUEST_TIMEOUT", "1s".to_owned()),
            // A line that says that the platform acts counts for this long, if the line that ends it is lost.
            ("DYNOWARDEN_POLICY__BOOT_TIMEOUT", "30s".to_owned()),
            ("DYNOWARDEN_RULE", RULES.to_owned()),
            ("DYNOWARDEN_POLICY__COOLDOWN", format!("{}s", bounds.cooldown.as_secs())),
            ("DYNOWARDEN_POLICY__MIN_UPTIME", format!("{}s", bounds.min_uptime.as_secs())),
            ("DYNOWARDEN_POLICY__SETTLE", format!("{}s", bounds.settle.as_secs())),
            ("DYNOWARDEN_POLICY__MAX_RESTARTS", format!("{max}/{}s", within.as_secs())),
        ];
        let judge = Arc::new(Mutex::new(Judge::new(bounds, Others::None)));
        let storm = Arc::new(Storm::default());
        tokio::spawn(watch(Arc::clone(&heroku), Arc::clone(&judge)));
        tokio::spawn(blow(Arc::clone(&heroku), Arc::clone(&storm), errors, chance.split()));
        Self {
            chance,
            directory,
            env: env.map(|(key, value)| (key.to_owned(), value)).to_vec(),
            heroku,
            launch: Box::new(support::daemon::command),
            rows: Vec::new(),
            storm,
            replicas: 1,
            daemons: Vec::new(),
            judge,
            proxy,
        }
    }

    /// Starts the daemons that do not run, and points logplex to all of them.
    pub(crate) fn start(&mut self) {
        let env: Vec<(&str, &str)> = self.env.iter().map(|(key, value)| (&**key, &**value)).collect();
        while self.daemons.len() < self.replicas {
            self.daemons.push(Daemon::start_by((self.launch)(), &self.heroku.api_url(), &env));
        }
        let address = |daemon: &Daemon| daemon.url.trim_start_matches("http://").to_owned();
        self.proxy.lead_to(self.daemons.iter().map(address).collect());
    }

    /// Starts it, and lets it work for a while, so that its resources afterwards are the normal level.
    pub(crate) async fn warm_up(&mut self) -> Result<(), Broken> {
        self.start();
        self.storm(true);
        let began = self.heroku.now();
        self.await_restarts(began, "the start").await?;
        Ok(())
    }

    pub(crate) fn daemon(&self) -> &Daemon {
        self.daemons.first().expect("started")
    }

    pub(crate) fn daemons(&self) -> &[Daemon] {
        &self.daemons
    }

    /// Any of them.
    pub(crate) fn take_daemon(&mut self) -> Daemon {
        let chosen = self.chance.below(self.daemons.len() as u64) as usize;
        self.daemons.swap_remove(chosen)
    }

    pub(crate) fn storm(&self, is_on: bool) {
        self.storm.is_on.store(is_on, Ordering::Relaxed);
    }

    pub(crate) fn judge(&self) -> MutexGuard<'_, Judge> {
        self.judge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until every app has had a restart since then, and returns how long that took.
    pub(crate) async fn await_restarts(&self, since: Timestamp, after: &str) -> Result<Duration, Broken> {
        let began = Instant::now();
        loop {
            self.fail_if_broken(after)?;
            if self.judge().all_restarted_since(since) {
                return Ok(began.elapsed());
            }
            if began.elapsed() > RECOVERY_MAX {
                let log: Vec<String> =
                    self.daemon().lines().iter().rev().take(30).rev().map(Value::to_string).collect();
                return Err(format!(
                    "{after}: no restart in every app within {RECOVERY_MAX:?}\n{}",
                    log.join("\n")
                ));
            }
            pause(LOOK_EVERY).await;
        }
    }

    /// Fails with the judge's findings.
    pub(crate) fn fail_if_broken(&self, during: &str) -> Result<(), Broken> {
        if STOP.load(Ordering::Relaxed) {
            return Err("ended from outside".to_owned());
        }
        match self.judge().broken.first() {
            Some(broken) => Err(format!("{during}: {broken}")),
            None => Ok(()),
        }
    }

    /// Starts a fault, keeps it until it has had an effect, ends it, and waits until restarts continue.
    #[expect(clippy::too_many_arguments, reason = "a fault is its parts, each named where it is struck")]
    pub(crate) async fn strike(
        &mut self,
        fault: &str,
        span: Duration,
        begin: impl AsyncFnOnce(&Self),
        felt: impl Fn(&Self, usize) -> u64,
        end: impl AsyncFnOnce(&Self),
    ) -> Result<(), Broken> {
        let before = usage(self.daemon().id()).ok_or("the daemon is gone")?;
        let (errors, deletes, restarts) = self.counts();
        let lines = self.daemon().lines().len();
        begin(self).await;
        pause(span).await;
        let began = Instant::now();
        while felt(self, lines) == 0 && began.elapsed() < FELT_WITHIN {
            self.fail_if_broken(fault)?;
            pause(LOOK_EVERY).await;
        }
        let struck = felt(self, lines);
        end(self).await;
        let ended = self.heroku.now();
        let recovery = self.await_restarts(ended, fault).await?;
        let after = usage(self.daemon().id()).ok_or_else(|| format!("{fault}: the daemon is gone"))?;
        let now = self.counts();
        let refusals = self.refusals(lines);
        let row = self.row(fault);
        row.times += 1;
        row.struck += struck;
        row.errors += now.0 - errors;
        row.deletes += now.1 - deletes;
        row.restarts += now.2 - restarts;
        row.recovery = row.recovery.max(recovery);
        row.usage = Some((row.usage.map_or(before, |(first, _)| first), after));
        row.notes.extend(refusals);
        if row.struck == 0 {
            return Err(format!("{fault}: it was not felt, so it proves nothing"));
        }
        Ok(())
    }

    /// Why dynos were left alone since a line of the log, without the ordinary reasons.
    fn refusals(&self, lines: usize) -> BTreeSet<String> {
        let lines = self.daemon().lines_from(lines);
        let holds = lines.iter().filter(|line| line["decision"] == "hold");
        let codes = holds.filter_map(|line| line["code"].as_str());
        codes.filter(|code| !ORDINARY.contains(code)).map(str::to_owned).collect()
    }

    /// How often the daemon gave this reason since a line of its log.
    pub(crate) fn said(&self, code: &str, lines: usize) -> u64 {
        self.daemon().lines_from(lines).iter().filter(|line| line["code"] == code).count() as u64
    }

    /// The row of a fault, created if missing.
    pub(crate) fn row(&mut self, fault: &str) -> &mut Row {
        let at = self.rows.iter().position(|row| row.fault == fault).unwrap_or_else(|| {
            self.rows.push(Row { fault: fault.to_owned(), ..Row::default() });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    /// Errors, DELETEs and restarts so far.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let judge = self.judge();
        (self.storm.errors.load(Ordering::Relaxed), judge.deleted, judge.restarts)
    }

    /// Checks that the daemon at rest holds no more than when it was warm.
    pub(crate) async fn conclude(&self, warm: Usage) -> Result<Usage, Broken> {
        self.storm(false);
        let began = Instant::now();
        loop {
            let now = usage(self.daemon().id()).ok_or("the daemon is gone")?;
            let grown = now.descriptors > warm.descriptors + DESCRIPTORS_MORE_MAX
                || now.threads > warm.threads + THREADS_MORE_MAX
                || now.own_kib > warm.own_kib + OWN_KIB_MORE_MAX;
            if !grown {
                self.fail_if_broken("the end")?;
                self.every_restart_is_on_record()?;
                return Ok(now);
            }
            if began.elapsed() > RECOVERY_MAX {
                return Err(format!("it holds {now:?}, and {warm:?} before"));
            }
            pause(LOOK_EVERY).await;
        }
    }

    /// Checks that every restart is in the store.
    fn every_restart_is_on_record(&self) -> Result<(), Broken> {
        for (name, index) in DYNOS {
            let path = format!("/api/v1/decisions?app={name}&dyno=web.{index}&limit=1000");
            let page = client::read(&self.daemon().url, &path).ok_or("the record could not be read")?;
            let page: Value = serde_json::from_str(&page).map_err(|error| error.to_string())?;
            let rows = page["decisions"].as_array().ok_or("no decisions in the record")?;
            if rows.len() == 1000 {
                continue;
            }
            let recorded = rows.iter().filter(|row| row["decision"] == "restart").count();
            let made = self.judge().restarts_of(&app(name), &web(index));
            if recorded < made {
                return Err(format!("web.{index} of {name}: {made} restarts, and {recorded} on record"));
            }
        }
        Ok(())
    }
}

/// Watches the world continuously; replacing a dyno takes at least two seconds.
async fn watch(heroku: Arc<SimHeroku>, judge: Arc<Mutex<Judge>>) {
    loop {
        heroku.see(|platform, _| judge.lock().unwrap_or_else(PoisonError::into_inner).look(platform));
        pause(LOOK_EVERY).await;
    }
}

/// Makes every dyno err two or three times a second; one that is not up errs now and then, as its old process
/// would.
async fn blow(heroku: Arc<SimHeroku>, storm: Arc<Storm>, errors: &'static [DynoError], mut chance: Chance) {
    let mut errors = ErrorsByProcess { errors, newest: BTreeMap::new() };
    loop {
        pause(chance.span(Duration::from_millis(200), Duration::from_millis(600))).await;
        if !storm.is_on.load(Ordering::Relaxed) {
            continue;
        }
        let erring: Vec<(AppName, DynoName, DynoError)> = heroku.see(|platform, _| {
            let dynos = DYNOS.iter().map(|&(name, index)| (app(name), web(index)));
            let error = |(app, name): (AppName, DynoName)| {
                let dyno = platform.world.dyno(&app, &name.to_string());
                let up = dyno.filter(|dyno| dyno.state == DynoState::Up).map(|dyno| dyno.id);
                let error = errors.of((app.clone(), name.clone()), up);
                (up.is_some() || chance.hits(100)).then_some((app, name, error))
            };
            dynos.filter_map(error).collect()
        });
        for (app, dyno, error) in erring {
            heroku.emit(error.line(app, &dyno, heroku.now()));
            storm.errors.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The error that each process logs: the next one after its predecessor's.
#[derive(Debug)]
struct ErrorsByProcess {
    errors: &'static [DynoError],
    newest: BTreeMap<(AppName, DynoName), (InstanceId, usize)>,
}

impl ErrorsByProcess {
    /// The error of a dyno whose process `up` is up, or else of the last one that was.
    fn of(&mut self, dyno: (AppName, DynoName), up: Option<InstanceId>) -> DynoError {
        let known = self.newest.get(&dyno).copied();
        let index = match (known, up) {
            (Some((id, index)), Some(up)) if id != up => (index + 1) % self.errors.len(),
            (Some((_, index)), _) => index,
            (None, _) => 0,
        };
        if let Some(id) = up {
            self.newest.insert(dyno, (id, index));
        }
        self.errors[index]
    }
}

pub(crate) fn app(name: &str) -> AppName {
    name.parse().expect("an app")
}

pub(crate) fn web(index: u32) -> DynoName {
    DynoName::new("web".parse().expect("a type"), index)
}

/// A pause in which the world goes on: only time has to pass.
pub(crate) async fn pause(span: Duration) {
    tokio::time::sleep(span).await;
}

/// A fault that this machine cannot simulate.
pub(crate) fn not_run(fault: &str, why: &str) -> Row {
    Row { fault: fault.to_owned(), notes: BTreeSet::from([format!("NOT RUN: {why}")]), ..Row::default() }
}

pub(crate) fn without_postgres(fault: &str) -> Row {
    not_run(fault, "needs .ci/postgres run")
}

/// The figures of all lanes, one row per fault.
pub(crate) fn merge(rows: Vec<Row>) -> BTreeMap<String, Row> {
    let mut merged: BTreeMap<String, Row> = BTreeMap::new();
    for row in rows {
        let entry = merged
            .entry(row.fault.clone())
            .or_insert_with(|| Row { fault: row.fault.clone(), ..Row::default() });
        entry.times += row.times;
        entry.struck += row.struck;
        entry.errors += row.errors;
        entry.deletes += row.deletes;
        entry.restarts += row.restarts;
        entry.recovery = entry.recovery.max(row.recovery);
        entry.usage = entry.usage.or(row.usage);
        entry.notes.extend(row.notes);
    }
    merged
}

/// Set when the run should end.
pub(crate) static STOP: AtomicBool = AtomicBool::new(false);

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The longest time until restarts continue after a fault: a cool-down, the others of the formation, a dead
/// holder's claim, and a loaded machine.
pub(crate) const RECOVERY_MAX: Duration = Duration::from_secs(120);

/// How long a fault waits to have an effect.
const FELT_WITHIN: Duration = Duration::from_secs(30);

/// Why a dyno waits when nothing is wrong.
const ORDINARY: [&str; 4] = ["cooling_down", "formation_out", "queued", "under_way"];

/// One or two API calls and a write to the store may be in progress at that moment.
const DESCRIPTORS_MORE_MAX: u64 = 4;

/// The runtime keeps threads for files, and ends them later.
const THREADS_MORE_MAX: u64 = 4;

/// The allocator's reserve.
const OWN_KIB_MORE_MAX: u64 = 16 * 1024;
