//! `GET /api/v1/report` and `GET /api/v1/series`: what is known over days.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use crate::http::Service;
use crate::http::client_addr::Head;
use crate::http::denied::{Answered, Denied};
use crate::http::forms::Fields;
use crate::http::reply;
use dynowarden_core::days::history::AppHistory;
use dynowarden_core::days::report::TypeReport;
use dynowarden_core::days::step::{self, STEP_SECONDS, Step};
use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::limits;
use dynowarden_core::units;

/// The answer of `GET /api/v1/series`.
#[derive(Debug, Serialize)]
struct SeriesJson<'s> {
    app: &'s str,
    dyno: String,
    step_seconds: i64,
    points: Vec<PointJson>,
}

/// One step, in which at least one line of the dyno arrived.
#[derive(Debug, Serialize)]
struct PointJson {
    /// Its start.
    at: Timestamp,
    /// The mean.
    memory_mb: Option<f64>,
    memory_min_mb: Option<f64>,
    memory_max_mb: Option<f64>,
    quota_mb: Option<f64>,
    requests: u32,
    errors: u32,
    /// The mean service time.
    service_ms: Option<u32>,
}

impl Service {
    /// `GET /api/v1/report?app=`.
    pub(super) async fn show_report(&self, head: &Head) -> Answered {
        self.require_admin_ui(head)?;
        let fields = Fields::of_query(head);
        let wanted = match fields.filled("app") {
            Some(name) => vec![self.app(name).ok_or(Denied::UnknownApp)?],
            None => (0..).map(AppId).take(self.apps.len()).collect(),
        };
        let mut reports: Vec<TypeReport> = Vec::new();
        for (place, app) in wanted.into_iter().enumerate() {
            let Some(plan) = self.plans.get(app.0 as usize) else { continue };
            let asks = place < limits::REPORT_APPS_ASKED_MAX;
            let made = self.days.reports((app, plan), asks, &self.store, self.clock.now()).await;
            reports.extend(made.map_err(Denied::StoreAway)?);
        }
        Ok(reply::no_store(reply::json(StatusCode::OK, &reports)))
    }

    /// `GET /api/v1/series?app=&dyno=&since=`.
    pub(super) async fn show_series(&self, head: &Head) -> Answered {
        self.require_admin_ui(head)?;
        let fields = Fields::of_query(head);
        let app = match fields.filled("app") {
            Some(name) => self.app(name).ok_or(Denied::UnknownApp)?,
            None if self.apps.len() == 1 => AppId(0),
            None => return Err(Denied::Query("app: is missing".to_owned())),
        };
        let dyno = fields.filled("dyno").ok_or_else(|| Denied::Query("dyno: is missing".to_owned()))?;
        let shown: String = dyno.chars().take(limits::QUOTED_CHARS_MAX).collect();
        let dyno: DynoName = dyno.parse().map_err(|_| {
            Denied::Query(format!("dyno: {shown:?} is not the name of a dyno, such as web.2"))
        })?;
        let span = since(fields.filled("since")).map_err(Denied::Query)?;
        let plan = self.plans.get(app.0 as usize).ok_or(Denied::UnknownApp)?;
        let history = self.days.series((plan, Some(&dyno)), span, &self.store, self.clock.now()).await;
        let history = history.map_err(Denied::StoreAway)?;
        let first = step::step_of(dynowarden_core::time::earlier(self.clock.now().wall, span));
        let series = SeriesJson {
            app: plan.name.as_str(),
            dyno: dyno.to_string(),
            step_seconds: STEP_SECONDS,
            points: points(&history, &dyno, first),
        };
        Ok(reply::no_store(reply::json(StatusCode::OK, &series)))
    }
}

fn since(text: Option<&str>) -> Result<Duration, String> {
    let Some(text) = text else { return Ok(SINCE) };
    let shown: String = text.chars().take(limits::QUOTED_CHARS_MAX).collect();
    match units::duration(text) {
        Ok(span) if !span.is_zero() => Ok(span),
        _ => Err(format!("since: {shown:?} is not a duration such as 3h, 24h or 7d")),
    }
}

/// Without `since=`.
const SINCE: Duration = Duration::from_secs(86_400);

fn points(history: &AppHistory, dyno: &DynoName, first: i64) -> Vec<PointJson> {
    let steps = history.dyno(dyno).into_iter().flat_map(|steps| steps.range(first..));
    steps.map(|(index, step)| PointJson::new(*index, step)).collect()
}

impl PointJson {
    fn new(index: i64, step: &Step) -> Self {
        let megabytes = |tenths: u32| f64::from(tenths) / 10.0;
        let has_memory = step.samples > 0;
        Self {
            at: step::start_of(index),
            memory_mb: step.memory_mean().map(megabytes),
            memory_min_mb: has_memory.then(|| megabytes(step.memory_low)),
            memory_max_mb: has_memory.then(|| megabytes(step.memory_high)),
            quota_mb: (step.quota > 0).then(|| megabytes(step.quota)),
            requests: step.requests,
            errors: step.errors,
            service_ms: step.service_ms(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::since;

    #[test]
    fn a_span_is_a_duration() {
        assert_eq!(since(None), Ok(Duration::from_secs(86_400)));
        assert_eq!(since(Some("7d")), Ok(Duration::from_secs(7 * 86_400)));
        for text in ["0s", "soon", "-1h"] {
            assert!(since(Some(text)).is_err_and(|problem| problem.starts_with("since: ")), "{text}");
        }
    }
}
