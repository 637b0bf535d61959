//! `report`: what is known of each app over days, from the store or from archived logs.

mod files;
mod text;

use std::io::{self, Read, Write};
use std::sync::Arc;

use jiff::Timestamp;

use crate::cli::{Format, ReportArgs};
use crate::commands::prelude::{Prelude, Source};
use crate::commands::report::files::FileError;
use crate::config::settings::Settings;
use crate::heroku::Heroku;
use crate::metrics::Metrics;
use crate::store::error::{StoreAway, StoreError};
use crate::store::read_only::ReadOnlyStore;
use dynowarden_core::days::history::AppHistory;
use dynowarden_core::days::report::{self, Surroundings, TypeReport};
use dynowarden_core::days::size::{DynoSize, Tenancy};
use dynowarden_core::ident::AppName;
use dynowarden_core::limits;
use dynowarden_core::time::earlier;

pub struct Streams<'a> {
    /// Read for `-`.
    pub stdin: &'a mut dyn Read,
    pub out: &'a mut dyn Write,
    pub err: &'a mut dyn Write,
    /// Whether standard error is a terminal, which is told what is read.
    pub is_terminal: bool,
    /// Whether charts may use block characters.
    pub is_unicode: bool,
}

/// Why there is no report. The message names the file or the server, and no secret.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Away(#[from] StoreAway),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Open(#[from] StoreError),
    #[error("no runtime for connections")]
    Runtime(#[source] io::Error),
    #[error("the output cannot be written")]
    Write(#[source] io::Error),
}

/// Prints a report on every process type: a few lines or one JSON object each.
///
/// # Errors
/// The files or the store cannot be read: exit code 1.
pub fn run(
    args: &ReportArgs,
    settings: &Settings,
    streams: Streams<'_>,
    now: Timestamp,
) -> Result<(), ReportError> {
    let Streams { stdin, out, err, is_terminal, is_unicode } = streams;
    let mut tell = |from: Source<'_>| {
        if is_terminal && args.format == Format::Text {
            let prelude = Prelude { what: "Report", app: args.app.as_ref(), since: args.since, from };
            // If standard error is gone, nothing is lost.
            let _gone = writeln!(err, "{prelude}");
        }
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ReportError::Runtime)?;
    let mut apps = if args.files.is_empty() {
        runtime.block_on(from_store(args, settings, now, &mut tell))?
    } else {
        tell(Source::Files(&args.files));
        files::read(args, settings, (stdin, err), now)?
    };
    if let Some(since) = args.since {
        for (_, history) in &mut apps {
            // The log's own time is the clock, and so is the series'.
            if let Some(end) = report::end_of(history) {
                history.forget_before(earlier(end, since));
            }
        }
    }
    let sizes = runtime.block_on(ask_sizes(&apps, settings));
    let mut reports = Vec::new();
    for (place, (app, history)) in apps.iter().enumerate() {
        let around = Surroundings {
            counts_requests: settings.drain.statistics && settings.drain.evidence,
            zone: report::zone_of(&settings.plan_for(app)),
            sizes: sizes.as_ref().map(|(sizes, _)| sizes.as_slice()),
            tenancy: sizes.as_ref().and_then(|(_, tenancies)| tenancies[place].as_ref()),
        };
        reports.extend(report::reports(app, history, &around));
    }
    let written = match args.format {
        Format::Json => print_json(&reports, out),
        Format::Text => text::print(&reports, args.app.as_ref(), is_unicode, out),
    };
    match written.and_then(|()| out.flush()) {
        // The reader is gone, as under `| head`: that is the end, not a failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(ReportError::Write),
    }
}

/// The apps of the store, or the one that was asked for.
async fn from_store(
    args: &ReportArgs,
    settings: &Settings,
    now: Timestamp,
    tell: &mut dyn FnMut(Source<'_>),
) -> Result<Vec<(AppName, AppHistory)>, ReportError> {
    let store = ReadOnlyStore::open(&settings.database).await?;
    tell(Source::Store(store.place()));
    let read = async {
        let names = match &args.app {
            Some(app) => vec![app.clone()],
            None => store.series_apps().await?,
        };
        let mut apps = Vec::new();
        for app in names {
            let mut history = store.series(&app, None, earlier(now, settings.keep_series)).await?;
            if settings.drain.statistics && settings.drain.evidence {
                let since = earlier(now, settings.keep_series.min(limits::KEEP_EVIDENCE));
                store.windows(&app, since).await?.iter().for_each(|window| history.add_window(window));
            }
            apps.push((app, history));
        }
        Ok::<_, StoreAway>(apps)
    };
    let apps = read.await;
    store.close().await;
    Ok(apps?)
}

/// Asks the API for the sizes and for each app's place; none without a token or an answer.
async fn ask_sizes(
    apps: &[(AppName, AppHistory)],
    settings: &Settings,
) -> Option<(Vec<DynoSize>, Vec<Option<Tenancy>>)> {
    let heroku = Heroku::new(&settings.heroku, Arc::new(Metrics::new([]))).ok()?;
    let sizes = heroku.dyno_sizes().await.value.ok()?;
    let mut tenancies = Vec::new();
    for (app, _) in apps {
        tenancies.push(heroku.tenancy(app).await);
    }
    Some((sizes, tenancies))
}

fn print_json(reports: &[TypeReport], out: &mut dyn Write) -> io::Result<()> {
    for report in reports {
        serde_json::to_writer(&mut *out, report)?;
        writeln!(out)?;
    }
    Ok(())
}
