//! `dynowarden serve`.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::clock::Clock;
use crate::config::settings::Settings;
use crate::daemon;
use crate::telemetry;

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
/// It cannot start, or fails.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    telemetry::begin(settings.log_format, settings.log_filter.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let shutdown = CancellationToken::new();
        cancel_on_signal(shutdown.clone())?;
        let listener = daemon::bind(&settings).await?;
        let running = daemon::start(settings, listener, Clock::system(), shutdown).await?;
        running.ended.await?
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
