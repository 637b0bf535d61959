//! `dynowarden check`: gathers the facts, and prints what the core finds in them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cli::{CheckArgs, Format};
use crate::clock::Clock;
use crate::commands::way_in;
use crate::config::problem::{Origin, Problem, Problems};
use crate::config::settings::{AppSettings, Database, NotifierSettings, Settings, TlsSettings};
use crate::dyno_env;
use crate::heroku::{ClientError, Heroku};
use crate::metrics::Metrics;
use crate::notify::{self, Undelivered};
use crate::store::error::StoreError;
use crate::store::history::Filter;
use crate::store::read_only::ReadOnlyStore;
use crate::terminal::{Colour, Paint};
use dynowarden_core::api::ApiError;
use dynowarden_core::days::cycles::cycles;
use dynowarden_core::days::report;
use dynowarden_core::drain_url::{PUBLIC_URL_ALLOWED, PublicUrl};
use dynowarden_core::health::check::examine;
use dynowarden_core::health::drains;
use dynowarden_core::health::facts::{
    AppFacts, Clocks, Facts, Identity, MissingSetting, NotifierFact, PasswordPlace, StoreFact, StoreState,
    TlsFact, TokenFacts,
};
use dynowarden_core::health::finding::{Finding, Severity};
use dynowarden_core::limits;
use dynowarden_core::record::MANUAL;
use dynowarden_core::record::view::DecisionView;
use dynowarden_core::time::earlier;

/// Checks the whole setup and prints the findings. Returns whether none is an error.
///
/// # Errors
/// The address of `--register` is invalid (as [`Problems`]), or the findings cannot be written.
pub fn run(
    args: &CheckArgs,
    settings: &Settings,
    colour: Colour,
    out: &mut dyn Write,
) -> anyhow::Result<bool> {
    let register = args.register.as_deref().map(|text| address(text, settings)).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let facts = runtime.block_on(gather(args, settings, register))?;
    let findings = examine(&facts);
    print(&findings, args, colour, out).context("cannot write the findings")?;
    Ok(findings.iter().all(|finding| finding.severity < Severity::Error))
}

/// Parses `--register`, the address that every app's drain leads to.
fn address(text: &str, settings: &Settings) -> Result<PublicUrl, Problems> {
    let refuse = |read: String, allowed: String| {
        Problems::one(Problem::value("--register", Origin::Argument, read, allowed))
    };
    let url = PublicUrl::parse(text).ok_or_else(|| {
        // The part in front of the host may hold a password.
        let shown = text.rsplit_once('@').map_or(text, |(_, host)| host);
        let shown: String = shown.chars().take(limits::QUOTED_CHARS_MAX).collect();
        refuse(format!("{shown:?}"), PUBLIC_URL_ALLOWED.to_owned())
    })?;
    for AppSettings { plan, drain_password, .. } in &settings.apps {
        let name = &plan.name;
        if url.of_app(name).is_none() {
            let allowed = format!("an address that ends with /logs/{name} or /logs, or the part before it");
            return Err(refuse("the address of another app's drain".to_owned(), allowed));
        }
        if drain_password.as_ref().is_some_and(|password| !url.agrees_with(password)) {
            let allowed = format!("the drain password of {name}, or no password");
            return Err(refuse("another password (not shown)".to_owned(), allowed));
        }
    }
    Ok(url)
}

async fn gather(args: &CheckArgs, settings: &Settings, register: Option<PublicUrl>) -> anyhow::Result<Facts> {
    let on_heroku = || dyno_env::host().and_then(|host| PublicUrl::parse(&format!("https://{host}")));
    let may_register = register.is_some();
    let public_url = register.or_else(|| settings.public_url.clone()).or_else(on_heroku);
    let identity = dyno_env::identity(public_url);
    let (token, clocks, mut apps) = match Heroku::new(&settings.heroku, Arc::new(Metrics::new([]))) {
        Ok(heroku) => ask(&heroku, settings, may_register.then_some(&identity)).await,
        Err(_) if settings.heroku.api_key.is_none() => (TokenFacts::Missing, None, Vec::new()),
        Err(ClientError::Tls(_)) => (TokenFacts::NoHttps, None, Vec::new()),
        Err(error) => (TokenFacts::Unusable { what: error.to_string() }, None, Vec::new()),
    };
    add_past(settings, &mut apps).await;
    let missing = |problem: &Problem| MissingSetting {
        name: problem.setting().to_owned(),
        message: problem.to_string(),
    };
    Ok(Facts {
        apps,
        clocks,
        fresh_password: fresh_password()?,
        missing: settings.missing_for_serve().iter().map(missing).collect(),
        notifiers: notifiers(settings, args.notify).await,
        notify_asked: args.notify,
        store: store(&settings.database).await,
        tls: settings.tls.as_ref().map(|tls| tls_fact(tls, identity.public_url.as_ref())),
        token,
        warnings: settings.warnings.clone(),
        way_in: match (&settings.public_url, &identity.public_url) {
            (Some(_), Some(public_url)) => way_in::ask(settings, public_url).await,
            _ => None,
        },
        identity,
    })
}

fn tls_fact(tls: &TlsSettings, public_url: Option<&PublicUrl>) -> TlsFact {
    TlsFact {
        is_for_host: public_url.map(|public_url| tls.identity.is_for(public_url.host())),
        not_after: tls.identity.not_after,
        state: tls.identity.state(Clock::system().now().wall),
    }
}

/// Names every notifier, and sends a test message through each if asked to.
async fn notifiers(settings: &Settings, is_test: bool) -> Vec<NotifierFact> {
    if is_test {
        let tests = notify::test_all(settings, Clock::system().now()).await;
        let fact = |(name, test): (Arc<str>, Result<(), Undelivered>)| NotifierFact {
            name: name.to_string(),
            test: Some(test.map_err(|why| why.to_string())),
        };
        return tests.into_iter().map(fact).collect();
    }
    let name = |notifier: &NotifierSettings| NotifierFact { name: notifier.name.to_string(), test: None };
    settings.notifiers.iter().map(name).collect()
}

/// Asks the API about the token and, unless that fails, about every app.
async fn ask(
    heroku: &Heroku,
    settings: &Settings,
    register: Option<&Identity>,
) -> (TokenFacts, Option<Clocks>, Vec<AppFacts>) {
    let account = heroku.account().await.value;
    let here = Clock::system().now().wall;
    let clocks = heroku.date().map(|there| Clocks { here, there });
    let is_useless = matches!(&account, Err(ApiError::Unauthorized | ApiError::Unreachable { .. }));
    let mut apps = Vec::new();
    if !is_useless {
        let places = Arc::new(Semaphore::new(limits::CHECKED_AT_ONCE));
        let mut asked = JoinSet::new();
        for (place, app) in settings.apps.iter().cloned().enumerate() {
            let (heroku, places, register) = (heroku.clone(), places.clone(), register.cloned());
            let password_place = password_place(settings, &app);
            asked.spawn(async move {
                // The semaphore is never closed.
                let _place = places.acquire().await;
                (place, ask_about(&heroku, app, password_place, register.as_ref()).await)
            });
        }
        let mut answered = asked.join_all().await;
        answered.sort_by_key(|(place, _)| *place);
        apps = answered.into_iter().map(|(_, facts)| facts).collect();
    }
    // Asked last, so that it includes the calls of this check.
    let calls_left = if is_useless { None } else { heroku.rate_limits().await.value.ok() };
    (TokenFacts::Asked { account, scope: heroku.scope().map(str::to_owned), calls_left }, clocks, apps)
}

async fn ask_about(
    heroku: &Heroku,
    app: AppSettings,
    password_place: PasswordPlace,
    register: Option<&Identity>,
) -> AppFacts {
    let AppSettings { drain_password: password, old_drain_password: old_password, plan, .. } = app;
    let name = &plan.name;
    let info = heroku.app(name).await.value;
    let (drains, features, formation) = match &info {
        Ok(_) => (
            heroku.drains(name).await.value,
            heroku.features(name).await.value,
            heroku.formation(name).await.value,
        ),
        // The rest would fail in the same way.
        Err(error) => (Err(error.clone()), Err(error.clone()), Err(error.clone())),
    };
    let mut facts = AppFacts {
        drains,
        features,
        formation,
        info,
        password,
        old_password,
        password_place,
        plan,
        cycles: None,
        erring_types: Vec::new(),
        registered: None,
    };
    if let Some(url) = register.and_then(|identity| drains::url_to_add(identity, &facts)) {
        let created = heroku.create_drain(&facts.plan.name, &url).await.value;
        facts.registered = Some(created.map(|drain| {
            if let Ok(drains) = &mut facts.drains {
                drains.push(drain);
            }
        }));
    }
    facts
}

/// Where a command in this shell finds the app's password.
fn password_place(settings: &Settings, app: &AppSettings) -> PasswordPlace {
    let is_variable = std::env::var_os("DRAIN_PASSWORD").is_some_and(|value| !value.is_empty());
    let shared = settings.drain.password.as_ref().zip(app.drain_password.as_ref());
    match shared {
        Some((shared, own)) if is_variable && shared.expose_secret() == own.expose_secret() => {
            PasswordPlace::Variable
        }
        _ => PasswordPlace::File,
    }
}

/// Returns a random password of letters, digits, `-` and `_`, which need no escaping in a URL.
fn fresh_password() -> anyhow::Result<String> {
    let mut octets = [0; PASSWORD_OCTETS];
    let provider = rustls::crypto::ring::default_provider();
    provider
        .secure_random
        .fill(&mut octets)
        .map_err(|_| anyhow::anyhow!("this system provides no random numbers"))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(octets))
}

/// 192 bits, 32 characters.
const PASSWORD_OCTETS: usize = 24;

/// Adds what the store knows: process types that err and are not listed, and Heroku's daily restarts.
async fn add_past(settings: &Settings, apps: &mut [AppFacts]) {
    // Whether the store can be used is another question.
    let Ok(store) = ReadOnlyStore::open(&settings.database).await else { return };
    let first = earlier(Clock::system().now().wall, settings.keep_series);
    for app in apps {
        if let Ok(history) = store.series(&app.plan.name, None, first).await {
            let zone = report::zone_of(&app.plan);
            app.cycles = cycles(&history, &app.plan.policy.process_types, &zone);
        }
        let mut before = None;
        for _ in 0..limits::CHECKED_PAGES_MAX {
            let filter = Filter {
                app: Some(app.plan.name.clone()),
                before: before.take(),
                limit: limits::PAGE_ROWS_MAX,
                ..Filter::default()
            };
            let Ok(page) = store.decisions(&filter).await else { break };
            // What a person asked for is no error.
            let errs = |decision: &&DecisionView| decision.code == "not_listed" && decision.rule != MANUAL;
            let not_listed = page.decisions.iter().filter(errs);
            let types = not_listed
                .filter_map(|decision| Some(decision.dyno.as_deref()?.rsplit_once('.')?.0.to_owned()));
            app.erring_types.extend(types);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
    }
    store.close().await;
}

/// Checks whether the store can be used, without creating it.
async fn store(database: &Database) -> StoreFact {
    let place = match database {
        Database::Memory => return StoreFact { place: "memory".to_owned(), state: StoreState::Memory },
        Database::Postgres(_) => "postgres://…".to_owned(),
        Database::Sqlite(path) => format!("sqlite://{}", path.display()),
    };
    let state = match (ReadOnlyStore::open(database).await, database) {
        (Ok(store), _) => {
            store.close().await;
            StoreState::Opened
        }
        (Err(StoreError::Missing { .. }), Database::Sqlite(path)) => match try_next_to(path) {
            Ok(()) => StoreState::Empty,
            Err(error) => StoreState::Failed(format!("{place} cannot be created: {error}")),
        },
        (Err(StoreError::Missing { .. }), _) => StoreState::Empty,
        (Err(error), _) => StoreState::Failed(error.to_string()),
    };
    StoreFact { place, state }
}

/// Checks that a file can be created at `path`, by creating and removing one next to it.
fn try_next_to(path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".check-{}", std::process::id()));
    File::create_new(&name)?;
    fs::remove_file(&name)
}

fn print(findings: &[Finding], args: &CheckArgs, colour: Colour, out: &mut dyn Write) -> io::Result<()> {
    let is_shown = |finding: &&Finding| !args.quiet || finding.severity > Severity::Ok;
    if args.format == Format::Json {
        for finding in findings.iter().filter(is_shown) {
            serde_json::to_writer(&mut *out, finding)?;
            writeln!(out)?;
        }
        return out.flush();
    }
    let mut group: Option<&Option<String>> = None;
    for finding in findings.iter().filter(is_shown) {
        if group.is_some_and(|group| *group != finding.app) {
            writeln!(out)?;
        }
        group = Some(&finding.app);
        print_one(finding, colour, out)?;
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let gap = if group.is_some() { "\n" } else { "" };
    match (errors, warnings) {
        (0, 0) if args.quiet => {}
        (0, 0) => writeln!(out, "{gap}{}", colour.paint(Paint::Good, "all is well"))?,
        (0, _) => writeln!(out, "{gap}{}", colour.paint(Paint::Warning, counted(warnings, "warning")))?,
        (_, 0) => writeln!(out, "{gap}{}", colour.paint(Paint::Bad, counted(errors, "error")))?,
        _ => {
            let text = format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"));
            writeln!(out, "{gap}{}", colour.paint(Paint::Bad, text))?;
        }
    }
    out.flush()
}

/// One finding, with its fix on a line of its own, so that a command can be copied.
fn print_one(finding: &Finding, colour: Colour, out: &mut dyn Write) -> io::Result<()> {
    let paint = match finding.severity {
        Severity::Ok => Paint::Good,
        Severity::Warning => Paint::Warning,
        Severity::Error => Paint::Bad,
    };
    let severity = colour.paint(paint, format_args!("{:<8}", finding.severity.to_string()));
    let app = finding.app.as_ref().map_or_else(String::new, |app| format!("{app} "));
    writeln!(out, "{severity} {app}{}: {}", finding.subject, finding.text)?;
    if let Some(fix) = &finding.fix {
        writeln!(out, "  fix: {}", colour.paint(Paint::Strong, fix))?;
    }
    Ok(())
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
