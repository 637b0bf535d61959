//! `dynowarden check`: gathers the facts, lets `check` judge them, and prints what was found.

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
use crate::config::problem::{Origin, Problem, Problems};
use crate::config::settings::{AppSettings, Database, NotifierSettings, Settings, TlsSettings};
use crate::dyno_env;
use crate::heroku::{ClientError, Heroku};
use crate::metrics::Metrics;
use crate::notify::{self, Undelivered};
use crate::store::error::StoreError;
use crate::store::read_only::ReadOnlyStore;
use dynowarden_core::api::ApiError;
use dynowarden_core::drain_url::{PUBLIC_URL_ALLOWED, PublicUrl};
use dynowarden_core::health::check::facts::{
    AppFacts, Clocks, Facts, MissingSetting, NotifierFact, PasswordPlace, StoreFact, TlsFact, TokenFacts,
};
use dynowarden_core::health::check::finding::{Finding, Severity};
use dynowarden_core::health::check::{self, drains};
use dynowarden_core::health::judgement;
use dynowarden_core::limits;

/// Looks over everything and prints the findings; says whether nothing is wrong.
///
/// # Errors
/// `--register` is no address to register (as [`Problems`]), or the findings cannot be written.
pub fn run(args: &CheckArgs, settings: &Settings, out: &mut dyn Write) -> anyhow::Result<bool> {
    let register = args.register.as_deref().map(|text| address(text, settings)).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let facts = runtime.block_on(gather(args, settings, register))?;
    let findings = check::examine(&facts);
    print(&findings, args.format, out).context("cannot write the findings")?;
    Ok(findings.iter().all(|finding| finding.severity < Severity::Error))
}

/// Reads `--register`: where every app's drain is to lead.
fn address(text: &str, settings: &Settings) -> Result<PublicUrl, Problems> {
    let refuse = |read: String, allowed: String| {
        Problems::one(Problem::value("--register", Origin::Argument, read, allowed))
    };
    let url = PublicUrl::parse(text).ok_or_else(|| {
        // What stands in front of the host may be a password.
        let shown = text.rsplit_once('@').map_or(text, |(_, host)| host);
        let shown: String = shown.chars().take(limits::QUOTED_CHARS_MAX).collect();
        refuse(format!("{shown:?}"), PUBLIC_URL_ALLOWED.to_owned())
    })?;
    for AppSettings { plan, drain_password, .. } in &settings.apps {
        let name = &plan.name;
        if url.of_app(name).is_none() {
            let allowed = format!("an address that ends with /logs/{name}, with /logs, or before it");
            return Err(refuse("the address of another app's drain".to_owned(), allowed));
        }
        if drain_password.as_ref().is_some_and(|password| !url.agrees_with(password)) {
            let allowed = format!("the drain password of {name}, or none at all");
            return Err(refuse("another password (not shown)".to_owned(), allowed));
        }
    }
    Ok(url)
}

async fn gather(args: &CheckArgs, settings: &Settings, register: Option<PublicUrl>) -> anyhow::Result<Facts> {
    let on_heroku = || dyno_env::host().and_then(|host| PublicUrl::parse(&format!("https://{host}")));
    let may_register = register.is_some();
    let public_url = register.or_else(|| settings.public_url.clone()).or_else(on_heroku);
    let (token, clocks, apps) = match Heroku::new(&settings.heroku, Arc::new(Metrics::new([]))) {
        Ok(heroku) => {
            let registrar = public_url.as_ref().filter(|_| may_register);
            ask(&heroku, settings, registrar).await
        }
        Err(_) if settings.heroku.api_key.is_none() => (TokenFacts::Missing, None, Vec::new()),
        Err(ClientError::Tls(_)) => (TokenFacts::NoHttps, None, Vec::new()),
        Err(error) => (TokenFacts::Unusable { what: error.to_string() }, None, Vec::new()),
    };
    Ok(Facts {
        apps,
        clocks,
        fresh_password: fresh_password()?,
        home: dyno_env::here(),
        missing: settings.missing_for_serve().iter().map(missing_setting).collect(),
        notifiers: notifiers(settings, args.notify).await,
        notify_asked: args.notify,
        public_url: public_url.clone(),
        store: store(&settings.database).await,
        tls: settings.tls.as_ref().map(|tls| tls_fact(tls, public_url.as_ref())),
        token,
        warnings: settings.warnings.clone(),
    })
}

fn missing_setting(problem: &Problem) -> MissingSetting {
    MissingSetting { name: problem.setting().to_owned(), message: problem.to_string() }
}

fn tls_fact(tls: &TlsSettings, public_url: Option<&PublicUrl>) -> TlsFact {
    TlsFact {
        is_for_host: public_url.map(|public_url| tls.identity.is_for(public_url.host())),
        not_after: tls.identity.not_after,
        state: tls.identity.state(Clock::system().now().wall),
    }
}

/// Every notifier by its name, and what became of a test message where one is asked for.
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

/// Asks the API about the token and, if it answers at all, about every app.
async fn ask(
    heroku: &Heroku,
    settings: &Settings,
    register: Option<&PublicUrl>,
) -> (TokenFacts, Option<Clocks>, Vec<AppFacts>) {
    let account = heroku.account().await.value;
    let here = Clock::system().now().wall;
    let clocks = heroku.date().map(|there| Clocks { here, there });
    let is_deaf = matches!(&account, Err(ApiError::Unauthorized | ApiError::Unreachable { .. }));
    let mut apps = Vec::new();
    if !is_deaf {
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
    // Last, so that it is what is left after this look, too.
    let calls_left = if is_deaf { None } else { heroku.rate_limits().await.value.ok() };
    (TokenFacts::Asked { account, scope: heroku.scope().map(str::to_owned), calls_left }, clocks, apps)
}

async fn ask_about(
    heroku: &Heroku,
    app: AppSettings,
    password_place: PasswordPlace,
    register: Option<&PublicUrl>,
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
        // What is not there has nothing else to tell.
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
        registered: None,
    };
    if let Some(public_url) = register {
        add_drain(heroku, public_url, &mut facts).await;
    }
    facts
}

/// Adds the app's drain, unless there is one that works, or one must not be.
async fn add_drain(heroku: &Heroku, public_url: &PublicUrl, facts: &mut AppFacts) {
    let has_drains = facts.drains.is_ok() && facts.info.as_ref().is_ok_and(|info| !judgement::is_fir(info));
    if !has_drains
        || drains::would_loop(public_url, &dyno_env::here(), facts)
        || drains::is_registered(Some(public_url), facts)
    {
        return;
    }
    let Some(url) = drains::wanted_url(public_url, facts) else { return };
    let created = heroku.create_drain(&facts.plan.name, &url).await.value;
    facts.registered = Some(created.map(|drain| {
        if let Ok(drains) = &mut facts.drains {
            drains.push(drain);
        }
    }));
}

/// Where a command that is typed here finds the app's password.
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

/// A password that nobody can guess, of letters, digits, `-` and `_`: what every part of a URL can hold.
fn fresh_password() -> anyhow::Result<String> {
    let mut octets = [0; PASSWORD_OCTETS];
    let provider = rustls::crypto::ring::default_provider();
    provider
        .secure_random
        .fill(&mut octets)
        .map_err(|_| anyhow::anyhow!("this system gives no random numbers"))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(octets))
}

/// 192 bits, 32 characters.
const PASSWORD_OCTETS: usize = 24;

/// Whether the store can be used; nothing is made where there is none yet.
async fn store(database: &Database) -> StoreFact {
    let place = match database {
        Database::Memory => return StoreFact::Memory,
        Database::Postgres(_) => "postgres://…".to_owned(),
        Database::Sqlite(path) => format!("sqlite://{}", path.display()),
    };
    match (ReadOnlyStore::open(database).await, database) {
        (Ok(reading), _) => {
            reading.close().await;
            StoreFact::Opened { place }
        }
        (Err(StoreError::Missing { .. }), Database::Sqlite(path)) => match try_beside(path) {
            Ok(()) => StoreFact::Empty { place },
            Err(error) => StoreFact::Failed { what: format!("{place} cannot be made: {error}"), place },
        },
        (Err(StoreError::Missing { .. }), _) => StoreFact::Empty { place },
        (Err(error), _) => StoreFact::Failed { place, what: error.to_string() },
    }
}

/// Whether the first start could make a file at `path`: one beside it is made, and gone again.
fn try_beside(path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".check-{}", std::process::id()));
    File::create_new(&name)?;
    fs::remove_file(&name)
}

fn print(findings: &[Finding], format: Format, out: &mut dyn Write) -> io::Result<()> {
    for finding in findings {
        match format {
            Format::Json => {
                serde_json::to_writer(&mut *out, finding)?;
                writeln!(out)?;
            }
            Format::Text => writeln!(out, "{finding}")?,
        }
    }
    if format == Format::Text {
        let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        match (errors, warnings) {
            (0, 0) => writeln!(out, "all is well")?,
            _ => writeln!(out, "errors: {errors}, warnings: {warnings}")?,
        }
    }
    out.flush()
}
