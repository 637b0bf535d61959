//! Decisions with their evidence.

use crate::engine::Engine;
use crate::engine::attempt::Cause;
use crate::engine::dyno::DynoKey;
use crate::ident::AppId;
use crate::limits;
use crate::policy::{Rule, Trigger};
use crate::record::{Action, AttemptId, Decision, Evidence, Measure, MemoryReading, Record};
use crate::time::since;

impl Engine {
    pub(super) fn decide(
        &mut self,
        key: DynoKey,
        cause: &Cause,
        action: Action,
        attempt_id: Option<AttemptId>,
    ) -> Decision {
        if let (Action::Hold(hold), Cause::Rule { .. }) = (&action, cause) {
            self.report_if_not_restarted(key, hold);
        }
        let decision = self.decision(key, cause, action, attempt_id);
        self.record(Record::Decision(decision.clone()));
        decision
    }

    /// A decision that is not on record yet.
    pub(super) fn decision(
        &self,
        key: DynoKey,
        cause: &Cause,
        action: Action,
        attempt_id: Option<AttemptId>,
    ) -> Decision {
        Decision {
            at: self.now.wall,
            app: key.app,
            dyno: Some(self.name(key)),
            rule: cause.rule(),
            action,
            evidence: self.evidence(key, cause),
            attempt_id,
        }
    }

    /// What the rule of a cause without a code measured.
    fn measure(&self, app: AppId, cause: &Cause) -> Measure {
        let rules = &self.app(app).plan.rules;
        match cause {
            Cause::Age { above, .. } => Measure::Uptime { above: *above },
            Cause::Manual { .. } => Measure::Memory,
            Cause::Rule { rule, .. } => match rules.iter().find(|known| known.name == *rule) {
                Some(Rule { trigger: Trigger::Swap { .. }, .. }) => Measure::Swap,
                Some(Rule { trigger: Trigger::SlowerThanPeers { .. }, .. }) => Measure::ServiceTime,
                _ => Measure::Memory,
            },
        }
    }

    fn evidence(&self, key: DynoKey, cause: &Cause) -> Evidence {
        let dyno = self.dynos.get(&key);
        let at = cause.error_at().unwrap_or(self.now.wall);
        let is_near = |reading: &MemoryReading| {
            since(reading.at, at).max(since(at, reading.at)) <= limits::EVIDENCE_AGE_MAX
        };
        let (code, lines, asked_by) = match cause {
            Cause::Age { .. } => (None, 0, None),
            Cause::Manual { by, .. } => (None, 0, by.clone()),
            Cause::Rule { code, lines, .. } => (*code, *lines, None),
        };
        Evidence {
            measure: self.measure(key.app, cause),
            code,
            line_at: cause.error_at(),
            lines,
            memory: dyno.and_then(|dyno| dyno.memory).filter(is_near),
            seen: dyno.and_then(|dyno| dyno.seen.as_deref().cloned()),
            asked_by,
        }
    }
}
