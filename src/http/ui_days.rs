//! What the pages show of the last days.

use maud::Markup;

use crate::http::Service;
use crate::http::denied::Denied;
use crate::store::history::Filter;
use crate::ui::days;
use crate::ui::facts::AppFacts;
use crate::ui::layout::Layout;
use crate::ui::marks::OwnRestarts;
use crate::ui::plot::{Range, Shown, plot};
use dynowarden_core::days::report::TypeReport;
use dynowarden_core::ident::{AppName, DynoName, ProcessType};
use dynowarden_core::limits;
use dynowarden_core::record::view::{DecisionView, Word};
use dynowarden_core::time::earlier;

impl Service {
    /// The page of a process type over days; none for one without lines.
    pub(super) async fn type_page(
        &self,
        layout: &Layout<'_>,
        app: &str,
        process_type: &str,
        range: Option<&str>,
    ) -> Result<Option<Markup>, Denied> {
        let (Some(app), Ok(process_type)) = (self.app(app), process_type.parse::<ProcessType>()) else {
            return Ok(None);
        };
        let Some(plan) = self.plans.get(app.0 as usize) else { return Ok(None) };
        let now = self.clock.now();
        let range = Range::of(range, Range::Hours24);
        let reports = self.days.reports((app, plan), true, &self.store, now).await;
        let reports = reports.map_err(Denied::StoreAway)?;
        let is_it = |report: &&TypeReport| report.process_type == process_type.as_str();
        let Some(report) = reports.iter().find(is_it) else {
            return Ok(None);
        };
        let history = self.days.series((plan, None), days::LONGEST, &self.store, now).await;
        let history = history.map_err(Denied::StoreAway)?;
        let ours = self.own_restarts(&plan.name, None, range).await?;
        let of_type = (&history, &process_type);
        Ok(Some(days::type_page(layout, report, of_type, (range, &ours), now.wall)))
    }

    /// A dyno's chart from the series; none for the last hours, which have a finer one.
    pub(super) async fn plot_of(
        &self,
        app: &AppFacts,
        dyno: &DynoName,
        range: Range,
    ) -> Result<Option<Markup>, Denied> {
        let plan = self.app(app.name.as_str()).and_then(|app| self.plans.get(app.0 as usize));
        let Some(plan) = plan.filter(|_| range != Range::Hours3) else { return Ok(None) };
        let now = self.clock.now();
        let history = self.days.series((plan, Some(dyno)), range.span(), &self.store, now).await;
        let history = history.map_err(Denied::StoreAway)?;
        let ours = self.own_restarts(&plan.name, Some(dyno), range).await?;
        let dynos: Vec<_> = history.dyno(dyno).map(|steps| (dyno, steps)).into_iter().collect();
        let shown = Shown { history: &history, dynos: &dynos, ours: &ours };
        Ok(Some(plot(shown, range, now.wall)))
    }

    /// The newest restarts that dynowarden made within a range.
    async fn own_restarts(
        &self,
        app: &AppName,
        dyno: Option<&DynoName>,
        range: Range,
    ) -> Result<OwnRestarts, Denied> {
        let filter = Filter {
            app: Some(app.clone()),
            dyno: dyno.cloned(),
            kind: Some(Word::Restart),
            since: Some(earlier(self.clock.now().wall, range.span())),
            limit: limits::PAGE_ROWS_MAX,
            ..Filter::default()
        };
        let page = self.store.decisions(&filter).await.map_err(Denied::StoreAway)?;
        let since = page.next.and(page.decisions.last()).map(|decision| decision.at);
        let made = page.decisions.into_iter().filter(|decision| !decision.dry_run && was_made(decision));
        let made = made.filter_map(|decision| Some((decision.at, decision.dyno?.parse().ok()?))).collect();
        Ok(OwnRestarts { made, since })
    }
}

/// Whether a restart that was decided replaced a process, as far as is known.
fn was_made(decision: &DecisionView) -> bool {
    let result = decision.outcome.as_ref().map(|outcome| &*outcome.result);
    !matches!(result, Some("gone" | "ignored" | "lapsed" | "not_sent" | "refused" | "withdrawn"))
}

#[cfg(test)]
mod tests {
    use super::was_made;
    use dynowarden_core::record::view::DecisionView;

    #[test]
    fn a_restart_that_did_not_happen_marks_nothing() {
        let decision = |outcome: &str| -> DecisionView {
            let text = format!(
                r#"{{"at":"2026-03-04T05:06:07Z","app":"acme","dyno":"web.1","rule":"r14",
                "decision":"restart","reason":"R14","code":"R14","last_at":"2026-03-04T05:06:07Z","outcome":{outcome}}}"#
            );
            serde_json::from_str(&text).expect("a decision")
        };
        assert!(was_made(&decision("null")));
        for (result, expect) in
            [("back", true), ("unanswered", true), ("refused", false), ("withdrawn", false)]
        {
            let outcome = format!(r#"{{"result":"{result}","text":"x"}}"#);
            assert_eq!(was_made(&decision(&outcome)), expect, "{result}");
        }
    }
}
