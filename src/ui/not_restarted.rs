//! The dynos that err for long without a restart, of which people were notified.

use std::collections::HashMap;

use jiff::Timestamp;

use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::limits;
use dynowarden_core::record::{Action, Decision, Notice, NoticeKind};
use dynowarden_core::time::since;

/// Bounded by the watched dynos.
#[derive(Clone, Debug, Default)]
pub struct NotRestarted {
    /// When each last erred.
    dynos: HashMap<(AppId, DynoName), Timestamp>,
}

// === impl NotRestarted ===

impl NotRestarted {
    pub fn notice(&mut self, notice: &Notice) {
        if let (NoticeKind::NotRestarted { .. }, Some(app), Some(dyno)) =
            (&notice.what, notice.scope.app(), &notice.dyno)
        {
            self.dynos.retain(|_, at| since(*at, notice.at) < limits::INCIDENT_QUIET);
            self.dynos.insert((app, dyno.clone()), notice.at);
        }
    }

    /// A refusal shows that the error lasts, and a restart ends it.
    pub fn decision(&mut self, decision: &Decision) {
        let Some(dyno) = &decision.dyno else { return };
        let key = (decision.app, dyno.clone());
        match decision.action {
            Action::Restart { .. } => _ = self.dynos.remove(&key),
            Action::Hold(_) | Action::Notify => {
                if let Some(at) = self.dynos.get_mut(&key) {
                    *at = decision.at.max(*at);
                }
            }
        }
    }

    pub fn is_in_force(&self, app: AppId, dyno: &DynoName, now: Timestamp) -> bool {
        // Nothing says that the error is over, but its lines would come every few seconds.
        let at = self.dynos.get(&(app, dyno.clone()));
        at.is_some_and(|at| since(*at, now) < limits::INCIDENT_QUIET)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::NotRestarted;
    use dynowarden_core::ident::{AppId, DynoName};
    use dynowarden_core::limits;
    use dynowarden_core::record::hold::Hold;
    use dynowarden_core::record::{Action, Decision, Evidence, Notice, NoticeKind, Scope};
    use dynowarden_core::time::later;

    const APP: AppId = AppId(0);

    fn at(minute: u64) -> Timestamp {
        later("2026-01-02T00:00:00Z".parse().expect("a time"), Duration::from_secs(minute * 60))
    }

    fn web_1() -> DynoName {
        "web.1".parse().expect("a dyno")
    }

    fn decide(dynos: &mut NotRestarted, minute: u64, action: Action) {
        let (evidence, rule) = (Evidence::default(), "r".into());
        let (at, dyno) = (at(minute), Some(web_1()));
        dynos.decision(&Decision { at, app: APP, dyno, rule, action, evidence, attempt_id: None });
    }

    #[test]
    fn it_lasts_while_the_dyno_errs_and_until_it_is_restarted() {
        let mut dynos = NotRestarted::default();
        let reason = Box::new(Hold::StoreAway);
        let what = NoticeKind::NotRestarted { erring_for: Duration::from_secs(900), reason };
        dynos.notice(&Notice { at: at(0), scope: Scope::App(APP), dyno: Some(web_1()), what });
        let quiet = limits::INCIDENT_QUIET.as_secs() / 60;
        assert!(
            dynos.is_in_force(APP, &web_1(), at(quiet - 1)) && !dynos.is_in_force(APP, &web_1(), at(quiet))
        );
        decide(&mut dynos, quiet - 1, Action::Hold(Hold::StoreAway));
        assert!(
            dynos.is_in_force(APP, &web_1(), at(quiet)) && !dynos.is_in_force(AppId(1), &web_1(), at(quiet))
        );
        decide(&mut dynos, quiet, Action::Restart { dry_run: false, formation: 2 });
        assert!(!dynos.is_in_force(APP, &web_1(), at(quiet)));
    }
}
