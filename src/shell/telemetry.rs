//! What operators read: the log, and one place where a record becomes its log line and its figures.

use std::io::IsTerminal;

use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::settings::LogFormat;
use crate::engine::policy::AppPlan;
use crate::engine::record::{Decision, Notice, NoticeKind, Outcome, Record, RestartResult, Verdict};
use crate::engine::view::Blind;
use crate::shell::metrics::Metrics;

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `RUST_LOG` is not a filter.
    #[error("RUST_LOG is not a filter such as `info` or `dynowarden=debug,warn`")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// Somebody else has set up a log in this process.
    #[error("there is a log already")]
    Installed(#[source] TryInitError),
}

/// Sets up the log on standard output, where a twelve-factor program's belongs.
///
/// `filter` is `RUST_LOG`; without it everything from `info` on is shown. Without a format it is text on
/// a terminal and JSON elsewhere.
///
/// # Errors
/// The filter cannot be read, or there is a log already.
pub fn begin(format: Option<LogFormat>, filter: Option<&str>) -> Result<(), LogError> {
    let filter = filter.filter(|text| !text.trim().is_empty()).unwrap_or("info");
    let filter = EnvFilter::builder().parse(filter).map_err(LogError::Filter)?;
    let on_terminal = std::io::stdout().is_terminal();
    let format = format.unwrap_or(if on_terminal { LogFormat::Text } else { LogFormat::Json });
    let layer = tracing_subscriber::fmt::layer().with_ansi(on_terminal);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        LogFormat::Text => registry.with(layer).try_init(),
    }
    .map_err(LogError::Installed)
}

/// Tells one record: its line and its figures together, so that they cannot differ.
pub fn tell(record: &Record, plan: &AppPlan, metrics: &Metrics) {
    match record {
        Record::Decision(decision) => tell_decision(decision, plan, metrics),
        Record::Notice(notice) => tell_notice(notice, plan, metrics),
        Record::Outcome(outcome) => tell_outcome(outcome, plan, metrics),
    }
}

fn tell_decision(decision: &Decision, plan: &AppPlan, metrics: &Metrics) {
    let word = decision.verdict.word();
    let code = decision.reason_label();
    metrics.decision(decision.app, word, code);
    let app = &plan.name;
    let dyno = decision.dyno.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let rule = &decision.rule;
    let reason = decision.reason();
    match &decision.verdict {
        Verdict::Hold(_) => {
            info!(%app, dyno, %rule, decision = word, code, reason, "{dyno} of {app} is left alone");
        }
        Verdict::Notify => info!(%app, dyno, %rule, decision = word, code, reason, "{rule} of {app} fired"),
        Verdict::Restart { dry_run: true, .. } => {
            info!(%app, dyno, %rule, decision = word, code, reason, "{dyno} of {app} would be restarted");
        }
        Verdict::Restart { .. } => {
            info!(%app, dyno, %rule, decision = word, code, reason, "{dyno} of {app} is being restarted");
        }
    }
}

fn tell_outcome(outcome: &Outcome, plan: &AppPlan, metrics: &Metrics) {
    let label = outcome.result.label();
    metrics.restart(outcome.app, outcome.dyno.process_type(), label);
    if let RestartResult::Back { out_for, .. } = &outcome.result {
        metrics.restart_took(outcome.app, *out_for);
    }
    let (app, dyno, result) = (&plan.name, &outcome.dyno, &outcome.result);
    match result {
        RestartResult::Accepted { .. } | RestartResult::Back { late: false, .. } | RestartResult::Gone => {
            info!(%app, %dyno, outcome = label, "restart of {dyno} of {app}: {result}");
        }
        RestartResult::Back { late: true, .. }
        | RestartResult::NotBack { .. }
        | RestartResult::Refused(_)
        | RestartResult::Unanswered { .. } => {
            warn!(%app, %dyno, outcome = label, "restart of {dyno} of {app}: {result}");
        }
    }
}

fn tell_notice(notice: &Notice, plan: &AppPlan, metrics: &Metrics) {
    let label = notice.what.label();
    metrics.notice(notice.app, label);
    let app = &plan.name;
    let dyno = notice.dyno.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let what = &notice.what;
    match what {
        // Only a person can mend these, and until then nothing is restarted.
        NoticeKind::Blind(Blind::Unauthorized | Blind::Forbidden { .. } | Blind::NoSuchApp) => {
            error!(%app, dyno, notice = label, "{app}: {what}");
        }
        NoticeKind::SeesAgain => info!(%app, dyno, notice = label, "{app}: {what}"),
        NoticeKind::Blind(_)
        | NoticeKind::ClockDisagrees { .. }
        | NoticeKind::GaveUp { .. }
        | NoticeKind::NoHelp { .. }
        | NoticeKind::RestartFailed(_) => warn!(%app, dyno, notice = label, "{app}: {what}"),
    }
}
