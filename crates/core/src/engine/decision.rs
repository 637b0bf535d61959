//! Decisions with their evidence.

use crate::engine::Engine;
use crate::engine::attempt::Cause;
use crate::engine::dyno::DynoKey;
use crate::limits;
use crate::record::{Action, AttemptId, Decision, Evidence, MemoryReading, Record};
use crate::time::since;

impl Engine {
    pub(super) fn decide(
        &mut self,
        key: DynoKey,
        cause: &Cause,
        action: Action,
        attempt_id: Option<AttemptId>,
    ) -> Decision {
        if let (Action::Hold(hold), false) = (&action, cause.is_manual()) {
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

    fn evidence(&self, key: DynoKey, cause: &Cause) -> Evidence {
        let dyno = self.dynos.get(&key);
        let at = cause.error_at().unwrap_or(self.now.wall);
        let is_near = |reading: &MemoryReading| {
            since(reading.at, at).max(since(at, reading.at)) <= limits::EVIDENCE_AGE_MAX
        };
        let (code, lines) = match cause {
            Cause::Manual { .. } => (None, 0),
            Cause::Rule { code, lines, .. } => (*code, *lines),
        };
        Evidence {
            code,
            line_at: cause.error_at(),
            lines,
            memory: dyno.and_then(|dyno| dyno.memory).filter(is_near),
            seen: dyno.and_then(|dyno| dyno.seen.clone()),
        }
    }
}
