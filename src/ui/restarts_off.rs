//! Why the engine restarts nothing of an app: it cannot see or act. The messages to people say the same.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use crate::ui::facts::Off;
use dynowarden_core::api::ApiError;
use dynowarden_core::health::alert::HealthAlert;
use dynowarden_core::ident::{AppId, AppName};
use dynowarden_core::incident::message::NextStep;
use dynowarden_core::incident::next_step;
use dynowarden_core::limits;
use dynowarden_core::record::hold::Hold;
use dynowarden_core::record::{Action, Decision, Notice, NoticeKind};
use dynowarden_core::time::since;

/// Bounded by the watched apps.
#[derive(Clone, Debug, Default)]
pub struct RestartsOff {
    reasons: HashMap<(AppId, Obstacle), Reason>,
    /// Those of all apps, in force until they are reported over.
    everywhere: BTreeSet<Everywhere>,
}

/// What stops the restarts of all apps, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Everywhere {
    Token,
    Store,
    Platform,
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
    next_step: NextStep,
    /// When it last kept a dyno from being restarted.
    at: Timestamp,
}

// === impl RestartsOff ===

impl RestartsOff {
    /// `name` is the app's, if it is about one.
    pub fn notice(&mut self, notice: &Notice, name: Option<&AppName>) {
        let app = notice.scope.app();
        let name = name.map_or_else(String::new, ToString::to_string);
        match &notice.what {
            NoticeKind::ApiError(ApiError::Unauthorized) | NoticeKind::Health(HealthAlert::TokenRefused) => {
                self.everywhere.insert(Everywhere::Token);
                return;
            }
            NoticeKind::Health(HealthAlert::StoreAway) => _ = self.everywhere.insert(Everywhere::Store),
            NoticeKind::Health(HealthAlert::StoreRecovered) => _ = self.everywhere.remove(&Everywhere::Store),
            NoticeKind::Health(HealthAlert::PlatformRed) => _ = self.everywhere.insert(Everywhere::Platform),
            NoticeKind::Health(HealthAlert::PlatformRecovered) => {
                self.everywhere.remove(&Everywhere::Platform);
            }
            // An answer about one app shows that the token is accepted.
            NoticeKind::ApiRecovered | NoticeKind::Health(HealthAlert::TokenRecovered) => {
                self.everywhere.remove(&Everywhere::Token);
            }
            _ => {}
        }
        let over = match &notice.what {
            NoticeKind::ApiError(ApiError::Forbidden { .. } | ApiError::NoSuchApp) => {
                let step = next_step::without_access(&name);
                return self.begin(app, Obstacle::Api, notice, step);
            }
            NoticeKind::ApiError(_) => {
                return self.begin(app, Obstacle::Api, notice, next_step::without_api());
            }
            NoticeKind::NoCallsLeft { .. } => {
                return self.begin(app, Obstacle::Calls, notice, next_step::without_calls());
            }
            NoticeKind::LinesLate { .. } => {
                return self.begin(app, Obstacle::Late, notice, next_step::while_late());
            }
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

    /// Why nothing of `app` is restarted, and what to do about it.
    pub fn of(&self, app: AppId, now: Timestamp) -> Option<Off> {
        if let Some(worst) = self.everywhere.first() {
            let (why, next_step) = match worst {
                Everywhere::Token => {
                    let why = format!("restarts are off: {}", ApiError::Unauthorized);
                    (why, next_step::without_token())
                }
                Everywhere::Store => {
                    ("restarts are off: the database is unavailable".to_owned(), next_step::without_store())
                }
                Everywhere::Platform => (HealthAlert::PlatformRed.to_string(), next_step::while_red()),
            };
            return Some(Off { why, next_step, is_everywhere: true });
        }
        let (why, next_step) = self.of_app(app, now)?;
        Some(Off { why, next_step, is_everywhere: false })
    }

    /// The reasons of the last minutes. Nothing says that one is over while no dyno errs.
    fn of_app(&self, app: AppId, now: Timestamp) -> Option<(String, NextStep)> {
        let lasts = |reason: &&Reason| since(reason.at, now) < limits::INCIDENT_QUIET;
        let of = |obstacle| self.reasons.get(&(app, obstacle)).filter(lasts);
        let known: Vec<&Reason> =
            [Obstacle::Api, Obstacle::Calls, Obstacle::Late].into_iter().filter_map(of).collect();
        let step = known.first()?.next_step.clone();
        Some((known.iter().map(|reason| reason.text.as_str()).collect::<Vec<_>>().join("; "), step))
    }

    fn begin(&mut self, app: Option<AppId>, obstacle: Obstacle, notice: &Notice, next_step: NextStep) {
        if let Some(app) = app {
            let reason = Reason { text: notice.what.to_string(), next_step, at: notice.at };
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
        off.notice(&Notice { at: at(0), scope, dyno: None, what }, None);
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
            assert!(off.of(one, at(1)).is_some_and(|off| off.why.contains("restarts are off")), "{off:?}");
            assert_eq!(off.of(other, at(1)), None);
            notice(&mut off, ending, ends);
            assert_eq!(off.of(one, at(1)), None);
        }
    }

    #[test]
    fn a_step_fits_its_error() {
        let app: dynowarden_core::ident::AppName = "acme".parse().expect("an app");
        for (error, expect) in [
            (
                ApiError::NoSuchApp,
                "What to do: give the token's account access: heroku access:add EMAIL -a acme",
            ),
            (ApiError::Garbled { what: "a page".to_owned() }, "Nothing to do: restarts resume"),
        ] {
            let mut off = RestartsOff::default();
            let what = NoticeKind::ApiError(error);
            off.notice(&Notice { at: at(0), scope: Scope::App(AppId(0)), dyno: None, what }, Some(&app));
            let step = off.of(AppId(0), at(1)).expect("a reason").next_step.to_string();
            assert!(step.starts_with(expect), "{step}");
        }
    }

    #[test]
    fn what_stops_all_apps_lasts_until_it_is_over_and_has_its_next_step() {
        let (app, account) = (AppId(3), Scope::Account);
        let mut off = RestartsOff::default();
        for (begins, ends, expect, step) in [
            (
                HealthAlert::PlatformRed,
                HealthAlert::PlatformRecovered,
                "shows its system Apps red",
                "Nothing",
            ),
            (HealthAlert::StoreAway, HealthAlert::StoreRecovered, "the database is unavailable", "What"),
            (HealthAlert::TokenRefused, HealthAlert::TokenRecovered, "rejects the API token", "What"),
        ] {
            notice(&mut off, account, NoticeKind::Health(begins));
            let shown = off.of(app, at(600)).expect("a reason");
            assert!(shown.is_everywhere && shown.why.contains(expect), "{shown:?}");
            assert!(shown.next_step.to_string().starts_with(step), "{shown:?}");
            notice(&mut off, account, NoticeKind::Health(ends));
            assert_eq!(off.of(app, at(600)), None);
        }
    }

    #[test]
    fn a_reason_is_shown_for_as_long_as_it_holds_restarts() {
        let app = AppId(0);
        let mut off = RestartsOff::default();
        notice(&mut off, Scope::App(app), NoticeKind::NoCallsLeft { remaining: 7 });
        assert_eq!((off.of(app, at(14)).is_some(), off.of(app, at(15))), (true, None));
        off.decision(&Decision {
            at: at(10),
            app,
            dyno: None,
            rule: "r".into(),
            action: Action::Hold(Hold::ApiReserve { remaining: 7 }),
            evidence: Evidence::default(),
            attempt_id: None,
        });
        assert!(off.of(app, at(24)).is_some());
    }
}
