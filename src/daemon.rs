//! The daemon: binds, starts every task, and ends them in order.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::settings::Settings;
use crate::shell::clock::Clock;
use crate::shell::driver::{Driver, Handle};
use crate::shell::heroku::Heroku;
use crate::shell::http::listener;
use crate::shell::http::readiness::Readiness;
use crate::shell::http::tokens::DrainTokens;
use crate::shell::http::{Service, Wiring};
use crate::shell::metrics::Metrics;

/// Binds the address of the settings.
///
/// # Errors
/// The address cannot be had; the message says which and what can be done.
pub async fn bind(settings: &Settings) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(settings.listen, settings.port);
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: another program may have the port; set PORT to a free one")
    })
}

/// Runs the daemon on `listener` until `shutdown`, and then ends it: first no more connections, then no
/// more calls of the API, then the answers of those that were made.
///
/// # Errors
/// It cannot start.
pub async fn run(
    settings: Settings,
    listener: TcpListener,
    clock: Clock,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let plans: Vec<_> = settings.apps.iter().map(|app| app.plan.clone()).collect();
    let metrics = Arc::new(Metrics::new(&plans));
    let heroku = Heroku::new(&settings.heroku, metrics.clone())?;
    let readiness = Arc::new(Readiness::starting());
    let tokens = Arc::new(DrainTokens::new(&settings));
    let (handle, commands) = Handle::new();

    for warning in &settings.warnings {
        warn!("{warning}");
    }
    // The seed need not be secret, only different between replicas that would otherwise keep in step.
    let seed = u64::from(std::process::id()) ^ clock.now().wall.as_nanosecond() as u64;
    let driver = Driver::new(plans, heroku, metrics.clone(), commands, (clock, seed));
    let driver_shutdown = CancellationToken::new();
    let mut driver = tokio::spawn(driver.run(driver_shutdown.clone()));

    let address = listener.local_addr()?;
    let wiring = Wiring { clock, handle, metrics, readiness: readiness.clone(), tokens };
    let service = Arc::new(Service::new(&settings, wiring));
    let mut door = tokio::spawn(listener::serve(listener, service, shutdown.clone()));
    readiness.started();
    let apps = settings.apps.len();
    info!(%address, apps, version = env!("CARGO_PKG_VERSION"), "listening on http://{address}");

    tokio::select! {
        () = shutdown.cancelled() => {}
        // A daemon that takes batches and decides nothing, or the other way round, is worse than none.
        ended = &mut driver => return Err(broken("driver", ended)),
        ended = &mut door => return Err(broken("front door", ended)),
    }
    info!("shutting down");
    readiness.troubled("shutdown", "shutting down");
    door.await.context("the front door broke")?;
    driver_shutdown.cancel();
    driver.await.context("the driver broke")?;
    info!("down");
    Ok(())
}

fn broken(task: &str, ended: Result<(), JoinError>) -> anyhow::Error {
    match ended {
        Ok(()) => anyhow::anyhow!("the {task} ended without being asked to"),
        Err(error) => anyhow::Error::new(error).context(format!("the {task} broke")),
    }
}
