//! What the outcome of a restart means for the incident of its dyno.

use crate::ident::{AppId, DynoName};
use crate::incident::Incidents;
use crate::incident::kind::Kind;
use crate::limits;
use crate::record::{Outcome, RestartResult};

impl Incidents {
    pub(super) fn record_outcome(&mut self, outcome: &Outcome) {
        let now = self.now;
        self.leaking_dyno_outcome(outcome);
        if let RestartResult::Back { .. } = outcome.result {
            self.remember_return(outcome.app, &outcome.dyno);
        }
        let Some(incident) =
            self.incidents.values_mut().find(|incident| incident.has(outcome.app, Some(&outcome.dyno)))
        else {
            return;
        };
        let affected = incident.dyno(Some(outcome.dyno.clone()), now.mono);
        let had_failed = affected.add_outcome(outcome, now.mono);
        // A recovery is news only if the failure was reported.
        if had_failed && incident.schedule.sent.iter().any(|kind| kind.is_loud()) {
            incident.request(Kind::Recovered, false, &self.plan, now.mono);
        }
    }

    fn remember_return(&mut self, app: AppId, dyno: &DynoName) {
        let key = (app, dyno.clone());
        if self.returns.len() >= limits::RETURNS_MAX && !self.returns.contains_key(&key) {
            let oldest = self.returns.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.returns.remove(&oldest));
        }
        self.returns.insert(key, self.now.mono);
    }
}
