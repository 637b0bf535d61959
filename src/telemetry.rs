//! The log, and the one place that turns a record into its log line and its metrics.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::settings::LogFormat;
use crate::metrics::Metrics;
use crate::terminal::Colour;
use dynowarden_core::api::ApiError;
use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::limits;
use dynowarden_core::policy::AppPlan;
use dynowarden_core::record::admin::Client;
use dynowarden_core::record::{
    Action, Decision, MemoryAfterRestart, Notice, NoticeKind, Outcome, Record, RestartResult, Scope,
};
use dynowarden_core::time::since;

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("RUST_LOG is not a filter such as `info` or `dynowarden=debug,warn`")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// Another log was set up in this process.
    #[error("logging is already set up")]
    Installed(#[source] TryInitError),
}

/// Sets up the log on standard output, as twelve-factor programs do.
///
/// `filter` is `RUST_LOG`; the default is `info`. The default format is text on a terminal and JSON
/// elsewhere.
///
/// # Errors
/// The filter is invalid, or logging is already set up.
pub fn begin(format: Option<LogFormat>, filter: Option<&str>) -> Result<(), LogError> {
    let filter = filter.filter(|text| !text.trim().is_empty()).unwrap_or("info");
    let filter = EnvFilter::builder().parse(filter).map_err(LogError::Filter)?;
    let on_terminal = std::io::stdout().is_terminal();
    let format = format.unwrap_or(if on_terminal { LogFormat::Text } else { LogFormat::Json });
    let colour = Colour::on(&std::io::stdout()).is_on() && format == LogFormat::Text;
    // The path of a module says nothing to an operator.
    let layer = tracing_subscriber::fmt::layer().with_ansi(colour).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        LogFormat::Text => registry.with(layer).try_init(),
    }
    .map_err(LogError::Installed)
}

/// Logs and counts records in one place, so that the two cannot differ.
///
/// The same refusal repeats with every error line. The log has it at once and then every ten minutes; every
/// one is counted.
#[derive(Debug, Default)]
pub struct Reporter {
    /// The last refusal of each dyno and rule.
    holds: Mutex<HashMap<HoldKey, LoggedHold>>,
}

type HoldKey = (AppId, Option<DynoName>, Arc<str>);

#[derive(Debug)]
struct LoggedHold {
    code: &'static str,
    /// By the decisions' own time.
    at: Timestamp,
    /// Since it was logged.
    unlogged: u64,
}

impl Reporter {
    pub fn report(&self, record: &Record, plans: &[AppPlan], metrics: &Metrics) {
        let plan = |app: AppId| &plans[app.0 as usize];
        match record {
            Record::MemoryAfterRestart(MemoryAfterRestart { app, dyno, memory, .. }) => {
                let app = &plan(*app).name;
                info!(%app, %dyno, outcome = "memory_after_restart", %memory, "memory after restart");
            }
            Record::Decision(decision) => self.report_decision(decision, plan(decision.app), metrics),
            Record::Notice(notice) => report_notice(notice, plans, metrics),
            Record::Outcome(outcome) => report_outcome(outcome, plan(outcome.app), metrics),
        }
    }

    fn report_decision(&self, decision: &Decision, plan: &AppPlan, metrics: &Metrics) {
        let word = decision.action.word();
        let code = decision.reason_label();
        metrics.decision(decision.app, word, code);
        let Some(repeats) = self.repeats(decision, code) else { return };
        let app = &plan.name;
        let dyno = decision.dyno.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let rule = &decision.rule;
        let reason = decision.reason();
        let what = match &decision.action {
            Action::Hold(_) => "not restarted",
            Action::Notify => "rule fired",
            Action::Restart { dry_run: true, .. } => "would be restarted",
            Action::Restart { .. } => "restarting",
        };
        // The one message that is no constant: alerts and people read it without the fields.
        match repeats {
            0 => info!(%app, dyno, %rule, decision = word, code, reason, "{app} {dyno}: {what}: {reason}"),
            repeats => info!(
                %app, dyno, %rule, decision = word, code, reason, repeats,
                "{app} {dyno}: {what}: {reason} ({repeats} times since the last such line)"
            ),
        }
    }

    /// How many equal refusals the log has not had; none if this is another one.
    fn repeats(&self, decision: &Decision, code: &'static str) -> Option<u64> {
        let key = (decision.app, decision.dyno.clone(), decision.rule.clone());
        // The map is consistent after every statement, so a panic elsewhere is harmless.
        let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(decision.action, Action::Hold(_)) {
            holds.remove(&key);
            return Some(0);
        }
        if let Some(logged) = holds.get_mut(&key)
            && logged.code == code
        {
            if since(logged.at, decision.at) < limits::LOG_HOLD_EVERY {
                logged.unlogged += 1;
                return None;
            }
            logged.at = decision.at;
            return Some(std::mem::take(&mut logged.unlogged));
        }
        if holds.len() >= limits::LOGGED_HOLDS_REMEMBERED {
            let oldest = holds.iter().min_by_key(|(_, logged)| logged.at).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| holds.remove(&oldest));
        }
        holds.insert(key, LoggedHold { code, at: decision.at, unlogged: 0 });
        Some(0)
    }
}

fn report_outcome(outcome: &Outcome, plan: &AppPlan, metrics: &Metrics) {
    let label = outcome.result.label();
    metrics.restart(outcome.app, outcome.dyno.process_type(), label);
    if let RestartResult::Back { out_for, .. } = &outcome.result {
        metrics.restart_took(outcome.app, *out_for);
    }
    let (app, dyno, result) = (plan.name.as_str(), outcome.dyno.to_string(), outcome.result.to_string());
    // As text, so that a sentence is in quotes.
    let (dyno, result) = (dyno.as_str(), result.as_str());
    match &outcome.result {
        RestartResult::Accepted { .. }
        | RestartResult::Back { late: false, .. }
        | RestartResult::Gone
        | RestartResult::Withdrawn => {
            info!(app, dyno, outcome = label, result, "restart outcome");
        }
        RestartResult::Back { late: true, .. }
        | RestartResult::DownAgain { .. }
        | RestartResult::Ignored { .. }
        | RestartResult::NoHelp { .. }
        | RestartResult::NotBack { .. }
        | RestartResult::Refused(_)
        | RestartResult::Unanswered { .. } => {
            warn!(app, dyno, outcome = label, result, "restart outcome");
        }
    }
}

fn report_notice(notice: &Notice, plans: &[AppPlan], metrics: &Metrics) {
    let label = notice.what.label();
    let app = match notice.scope {
        // It concerns every app, so each app's counter has it.
        Scope::Account => {
            (0..).map(AppId).zip(plans).for_each(|(app, _)| metrics.notice(app, label));
            "account"
        }
        Scope::App(app) => {
            metrics.notice(app, label);
            plans[app.0 as usize].name.as_str()
        }
    };
    let about = notice.dyno.as_ref().map_or_else(|| app.to_owned(), |dyno| format!("{app} {dyno}"));
    let dyno = notice.dyno.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let what = &notice.what;
    match what {
        // Only a person can fix these, and until then nothing is restarted.
        NoticeKind::ApiError(ApiError::Unauthorized | ApiError::Forbidden { .. } | ApiError::NoSuchApp) => {
            error!(app, dyno, notice = label, "{about}: {what}");
        }
        NoticeKind::Health(alert) if alert.needs_person() => {
            error!(app, dyno, notice = label, "{about}: {what}");
        }
        NoticeKind::Admin(act) => {
            let Client { address, through, .. } = &act.by;
            info!(
                app,
                dyno,
                notice = label,
                user = act.by.user(),
                address,
                through = through.to_string(),
                "{about}: {what}"
            );
        }
        NoticeKind::ApiRecovered
        | NoticeKind::CallsLeft
        | NoticeKind::LinesCurrent
        | NoticeKind::Often { .. } => info!(app, dyno, notice = label, "{about}: {what}"),
        NoticeKind::Health(alert) if alert.is_recovery() => {
            info!(app, dyno, notice = label, "{about}: {what}");
        }
        NoticeKind::ApiError(_)
        | NoticeKind::Broken { .. }
        | NoticeKind::ClockDisagrees { .. }
        | NoticeKind::LinesLate { .. }
        | NoticeKind::NoCallsLeft { .. }
        | NoticeKind::NotRestarted { .. }
        | NoticeKind::GaveUp { .. }
        | NoticeKind::NoHelp { .. }
        | NoticeKind::RestartFailed(_)
        | NoticeKind::Health(_) => warn!(app, dyno, notice = label, "{about}: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::num::NonZeroU32;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use jiff::Timestamp;
    use tracing_subscriber::fmt::MakeWriter;

    use super::{LogError, Reporter, begin};
    use crate::drain_activity::DrainActivities;
    use crate::exposition::Exposition;
    use crate::metrics::Metrics;
    use dynowarden_core::api::ApiError;
    use dynowarden_core::ident::AppId;
    use dynowarden_core::policy::{AppPlan, Policy, Rate};
    use dynowarden_core::record::hold::Hold;
    use dynowarden_core::record::{
        Action, AttemptId, Decision, Evidence, Notice, NoticeKind, Outcome, Record, RestartResult, Scope,
    };
    use dynowarden_core::time::Now;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'w> MakeWriter<'w> for Sink {
        type Writer = Self;

        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }

    fn plan() -> AppPlan {
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

    #[track_caller]
    fn check(record: Record, level: &str, fields: &[(&str, &str)], figure: &str) {
        let (sink, plans) = (Sink::default(), [plan()]);
        let metrics = Metrics::new(&plans);
        let subscriber =
            tracing_subscriber::fmt().json().flatten_event(true).with_writer(sink.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            Reporter::default().report(&record, &plans, &metrics)
        });
        let text = String::from_utf8(sink.0.lock().expect("no panic").clone()).expect("text");
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(line["level"], level, "{text}");
        assert_eq!(line["app"], "acme", "{text}");
        for (key, value) in fields {
            assert_eq!(line[key], *value, "{text}");
        }
        let now = Now { mono: Duration::ZERO, wall: Timestamp::UNIX_EPOCH };
        let page = metrics.render(Exposition::Prometheus, &DrainActivities::new(1), now);
        assert!(page.contains(&format!("dynowarden_{figure} 1\n")), "{page}");
    }

    #[test]
    fn a_record_makes_one_log_line_and_one_count() {
        let at = Timestamp::UNIX_EPOCH;
        let dyno = Some("web.2".parse().expect("a dyno"));
        let decision = |action| {
            let (app, rule, evidence) = (AppId(0), "r".into(), Evidence::default());
            Record::Decision(Decision {
                at,
                app,
                dyno: dyno.clone(),
                rule,
                action,
                evidence,
                attempt_id: None,
            })
        };
        let outcome = |result| {
            let dyno = "web.2".parse().expect("a dyno");
            Record::Outcome(Outcome { at, app: AppId(0), dyno, attempt_id: AttemptId(1), result })
        };
        let notice = |what| Record::Notice(Notice { at, scope: Scope::App(AppId(0)), dyno: None, what });
        check(
            decision(Action::Hold(Hold::UnderWay)),
            "INFO",
            &[
                ("dyno", "web.2"),
                ("rule", "r"),
                ("decision", "hold"),
                ("code", "under_way"),
                ("reason", "this dyno is already being restarted"),
            ],
            r#"decisions_total{app="acme",decision="hold",reason="under_way"}"#,
        );
        check(
            decision(Action::Restart { dry_run: false, formation: 2 }),
            "INFO",
            &[("decision", "restart"), ("message", "acme web.2: restarting: memory above the rule's limit")],
            r#"decisions_total{app="acme",decision="restart",reason="rule"}"#,
        );
        check(
            outcome(RestartResult::Accepted { answer_lost: false }),
            "INFO",
            &[("outcome", "accepted"), ("message", "restart outcome")],
            r#"restarts_total{app="acme",process_type="web",outcome="accepted"}"#,
        );
        let out_for = Duration::from_secs(12);
        check(
            outcome(RestartResult::Back {
                id: "i".parse().expect("an id"),
                release: None,
                up_since: Timestamp::UNIX_EPOCH,
                out_for,
                late: false,
            }),
            "INFO",
            &[("outcome", "back")],
            r#"restart_seconds_count{app="acme"}"#,
        );
        check(
            notice(NoticeKind::ApiError(ApiError::Unauthorized)),
            "ERROR",
            &[("notice", "failure"), ("dyno", "-")],
            r#"notices_total{app="acme",kind="failure"}"#,
        );
        check(
            notice(NoticeKind::NoHelp { after: out_for }),
            "WARN",
            &[("notice", "no_help")],
            r#"notices_total{app="acme",kind="no_help"}"#,
        );
    }

    #[test]
    fn the_same_refusal_is_logged_once_in_ten_minutes_and_always_counted() {
        let (sink, plans) = (Sink::default(), [plan()]);
        let metrics = Metrics::new(&plans);
        let reporter = Reporter::default();
        let subscriber =
            tracing_subscriber::fmt().json().flatten_event(true).with_writer(sink.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            for (second, action) in [
                (0, Action::Hold(Hold::UnderWay)),
                (20, Action::Hold(Hold::UnderWay)),
                (40, Action::Hold(Hold::UnderWay)),
                (601, Action::Hold(Hold::UnderWay)),
                (620, Action::Hold(Hold::Gone)),
                (640, Action::Restart { dry_run: false, formation: 2 }),
                (660, Action::Hold(Hold::Gone)),
            ] {
                let decision = Decision {
                    at: Timestamp::from_second(second).expect("a time"),
                    app: AppId(0),
                    dyno: Some("web.2".parse().expect("a dyno")),
                    rule: "r".into(),
                    action,
                    evidence: Evidence::default(),
                    attempt_id: None,
                };
                reporter.report(&Record::Decision(decision), &plans, &metrics);
            }
        });
        let text = String::from_utf8(sink.0.lock().expect("no panic").clone()).expect("text");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let codes: Vec<_> = lines.iter().map(|line| line["code"].as_str().unwrap_or_default()).collect();
        assert_eq!(codes, ["under_way", "under_way", "gone", "rule", "gone"], "{text}");
        assert_eq!(lines[1]["repeats"], 2);
        let message = "acme web.2: not restarted: this dyno is already being restarted";
        assert_eq!(lines[0]["message"], message);
        let now = Now { mono: Duration::ZERO, wall: Timestamp::UNIX_EPOCH };
        let page = metrics.render(Exposition::Prometheus, &DrainActivities::new(1), now);
        let counted = r#"dynowarden_decisions_total{app="acme",decision="hold",reason="under_way"} 4"#;
        assert!(page.contains(counted), "{page}");
    }

    #[test]
    fn an_invalid_log_filter_is_reported() {
        assert!(matches!(begin(None, Some("dynowarden=loud")), Err(LogError::Filter(_))));
    }
}
