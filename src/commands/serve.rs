//! `dynowarden serve`.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::clock::Clock;
use crate::config::problem::{Origin, Problem, Problems};
use crate::config::settings::Settings;
use crate::daemon;
use crate::telemetry::{self, LogError};

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
/// It cannot start, or fails.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    begin_log(&settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let shutdown = CancellationToken::new();
        cancel_on_signal(shutdown.clone())?;
        let listener = daemon::bind(&settings).await?;
        let running = daemon::start(settings, listener, Clock::system(), shutdown).await?;
        running.ended.await?
    })
}

/// Reports an invalid filter like any other wrong setting, although only the log can parse it.
fn begin_log(settings: &Settings) -> anyhow::Result<()> {
    let filter = settings.log_filter.as_deref();
    telemetry::begin(settings.log_format, filter).map_err(|error| match error {
        LogError::Filter(reason) => {
            let allowed = format!("a filter such as `info` or `dynowarden=debug,warn` ({reason})");
            let read = format!("{:?}", filter.unwrap_or_default());
            let origin = Origin::Variable("RUST_LOG".into());
            Problems::one(Problem::value("RUST_LOG", origin, read, allowed)).into()
        }
        other @ LogError::Installed(_) => other.into(),
    })
}

/// A platform may send SIGTERM more than once; the first is enough, and the others change nothing.
pub(super) fn cancel_on_signal(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            info!(signal = name, "stop requested");
            shutdown.cancel();
        }
    });
    Ok(())
}
