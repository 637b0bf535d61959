//! Why the engine restarts nothing of an app: it cannot see or act. The messages to people say the same.

use std::collections::HashMap;

use jiff::Timestamp;

use dynowarden_core::health::alert::HealthAlert;
use dynowarden_core::ident::AppId;
use dynowarden_core::limits;
use dynowarden_core::record::hold::Hold;
use dynowarden_core::record::{Action, Decision, Notice, NoticeKind};
use dynowarden_core::time::since;

/// Bounded by the watched apps.
#[derive(Clone, Debug, Default)]
pub struct RestartsOff {
    reasons: HashMap<(AppId, Obstacle), Reason>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Obstacle {
    Api,
    /// No API calls are left.
    Calls,
    /// Lines arrive too late.
    Late,
}

#[derive(Clone, Debug)]
struct Reason {
    text: String,
    /// When it last kept a dyno from being restarted.
    at: Timestamp,
}

// === impl RestartsOff ===

impl RestartsOff {
    pub fn notice(&mut self, notice: &Notice) {
        let app = notice.scope.app();
        let over = match &notice.what {
            NoticeKind::ApiError(_) => return self.begin(app, Obstacle::Api, notice),
            NoticeKind::NoCallsLeft { .. } => return self.begin(app, Obstacle::Calls, notice),
            NoticeKind::LinesLate { .. } => return self.begin(app, Obstacle::Late, notice),
            NoticeKind::ApiRecovered
            | NoticeKind::Health(
                HealthAlert::ApiRecovered | HealthAlert::AppRecovered | HealthAlert::TokenRecovered,
            ) => Obstacle::Api,
            NoticeKind::CallsLeft => Obstacle::Calls,
            NoticeKind::LinesCurrent => Obstacle::Late,
            _ => return,
        };
        self.reasons.retain(|(of, obstacle), _| *obstacle != over || app.is_some_and(|app| app != *of));
    }

    /// Notes a refusal for a reason that is known.
    pub fn decision(&mut self, decision: &Decision) {
        let obstacle = match &decision.action {
            Action::Hold(Hold::ApiError(_) | Hold::RefusedBefore { .. }) => Obstacle::Api,
            Action::Hold(Hold::ApiReserve { .. }) => Obstacle::Calls,
            Action::Hold(Hold::Stale { .. }) => Obstacle::Late,
            _ => return,
        };
        if let Some(reason) = self.reasons.get_mut(&(decision.app, obstacle)) {
            reason.at = reason.at.max(decision.at);
        }
    }

    /// The reasons of the last minutes. Nothing says that one is over while no dyno errs.
    pub fn text(&self, app: AppId, now: Timestamp) -> Option<String> {
        let lasts = |reason: &&Reason| since(reason.at, now) < limits::INCIDENT_QUIET;
        let of =
            |obstacle| self.reasons.get(&(app, obstacle)).filter(lasts).map(|reason| reason.text.as_str());
        let texts: Vec<&str> =
            [Obstacle::Api, Obstacle::Calls, Obstacle::Late].into_iter().filter_map(of).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    fn begin(&mut self, app: Option<AppId>, obstacle: Obstacle, notice: &Notice) {
        if let Some(app) = app {
            let reason = Reason { text: notice.what.to_string(), at: notice.at };
            self.reasons.insert((app, obstacle), reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::RestartsOff;
    use dynowarden_core::api::ApiError;
    use dynowarden_core::health::alert::HealthAlert;
    use dynowarden_core::ident::AppId;
    use dynowarden_core::record::hold::Hold;
    use dynowarden_core::record::{Action, Decision, Evidence, Notice, NoticeKind, Scope};
    use dynowarden_core::time::later;

    fn at(minute: u64) -> Timestamp {
        later("2026-01-02T00:00:00Z".parse().expect("a time"), Duration::from_secs(minute * 60))
    }

    fn notice(off: &mut RestartsOff, scope: Scope, what: NoticeKind) {
        off.notice(&Notice { at: at(0), scope, dyno: None, what });
    }

    #[test]
    fn a_reason_lasts_until_it_is_over() {
        let [one, other] = [AppId(0), AppId(1)];
        let of = Scope::App(one);
        let garbled = || NoticeKind::ApiError(ApiError::Garbled { what: "a page".to_owned() });
        for (begins, ends, ending) in [
            (garbled(), NoticeKind::ApiRecovered, of),
            (garbled(), NoticeKind::Health(HealthAlert::AppRecovered), of),
            (garbled(), NoticeKind::Health(HealthAlert::TokenRecovered), Scope::Account),
            (NoticeKind::NoCallsLeft { remaining: 7 }, NoticeKind::CallsLeft, of),
            (NoticeKind::LinesLate { age: Duration::from_secs(200) }, NoticeKind::LinesCurrent, of),
        ] {
            let mut off = RestartsOff::default();
            notice(&mut off, of, begins);
            notice(&mut off, Scope::App(other), ends.clone());
            assert!(off.text(one, at(1)).is_some_and(|text| text.contains("restarts are off")), "{off:?}");
            assert_eq!(off.text(other, at(1)), None);
            notice(&mut off, ending, ends);
            assert_eq!(off.text(one, at(1)), None);
        }
    }

    #[test]
    fn a_reason_is_shown_for_as_long_as_it_holds_restarts() {
        let app = AppId(0);
        let mut off = RestartsOff::default();
        notice(&mut off, Scope::App(app), NoticeKind::NoCallsLeft { remaining: 7 });
        assert_eq!((off.text(app, at(14)).is_some(), off.text(app, at(15))), (true, None));
        off.decision(&Decision {
            at: at(10),
            app,
            dyno: None,
            rule: "r".into(),
            action: Action::Hold(Hold::ApiReserve { remaining: 7 }),
            evidence: Evidence::default(),
            attempt_id: None,
        });
        assert!(off.text(app, at(24)).is_some());
    }
}
