//! Errors of process types that are not listed. They restart nothing; that a rule would have restarted is on
//! record, so that a gap in the settings shows.

use std::sync::Arc;

use jiff::Timestamp;

use crate::codes::Code;
use crate::engine::Engine;
use crate::ident::{self, AppId, DynoName};
use crate::limits;
use crate::policy::{Act, Rule, Trigger};
use crate::record::hold::Hold;
use crate::record::{Action, Decision, Evidence, Record};

impl Engine {
    /// Records that a dyno of a type that is not listed is left alone.
    pub(super) fn on_unlisted_error(&mut self, app: AppId, dyno: &DynoName, code: Code, at: Timestamp) {
        let now = self.now.wall;
        let state = self.app_mut(app);
        let has_code = |rule: &&Rule| match &rule.trigger {
            Trigger::Errors { codes, .. } => rule.act == Act::Restart && codes.contains(&code),
            _ => false,
        };
        let Some(rule) = state.plan.rules.iter().find(has_code).map(|rule| Arc::clone(&rule.name)) else {
            return;
        };
        let process_type = dyno.process_type();
        if ident::is_one_off(process_type.as_str()) {
            return;
        }
        if !state.unlisted.contains(process_type) {
            if state.unlisted.len() >= limits::UNLISTED_TYPES_MAX {
                return;
            }
            state.unlisted.insert(process_type.clone());
        }
        self.record(Record::Decision(Decision {
            at: now,
            app,
            dyno: Some(dyno.clone()),
            rule,
            action: Action::Hold(Hold::NotListed),
            evidence: Evidence { code: Some(code), line_at: Some(at), lines: 1, ..Evidence::default() },
            attempt_id: None,
        }));
    }
}
