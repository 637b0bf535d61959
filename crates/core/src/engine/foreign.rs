//! Lines of another app. They lead to no restart and change nothing: the restarts that they ask for are held,
//! so that a person finds the drain that is wrong.

use std::sync::Arc;

use crate::codes::Code;
use crate::engine::Engine;
use crate::event::{Event, Fact};
use crate::ident::{AppId, DrainToken, DynoName};
use crate::policy::{Act, Trigger};
use crate::record::hold::Hold;
use crate::record::{Action, Decision, Evidence, Record};

/// Why a batch is not the app's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// It came through a drain of another app.
    Drain { token: DrainToken },
    /// Another app has taken over the name of the watched one.
    OtherApp,
}

impl Foreign {
    pub fn hold(&self) -> Hold {
        match self {
            Self::Drain { token } => Hold::ForeignDrain { token: token.clone() },
            Self::OtherApp => Hold::OtherApp,
        }
    }
}

impl Engine {
    /// Records the restarts that another app's lines ask for, and that are not judged further.
    pub(super) fn hold_all(&mut self, app: AppId, events: &[Event], hold: &Hold) {
        let asked: Vec<(Arc<str>, DynoName, Evidence)> = events
            .iter()
            .filter_map(|event| match &event.fact {
                Fact::Error { code, dyno: Some(dyno) } => Some((*code, dyno, event.at)),
                _ => None,
            })
            .flat_map(|(code, dyno, at)| {
                let evidence =
                    Evidence { code: Some(code), line_at: Some(at), lines: 1, ..Evidence::default() };
                self.restart_rules(app, code).map(move |rule| (rule, dyno.clone(), evidence.clone()))
            })
            .collect();
        for (rule, dyno, evidence) in asked {
            let action = Action::Hold(hold.clone());
            let (at, dyno) = (self.now.wall, Some(dyno));
            self.record(Record::Decision(Decision {
                at,
                app,
                dyno,
                rule,
                action,
                evidence,
                attempt_id: None,
            }));
        }
    }

    fn restart_rules(&self, app: AppId, code: Code) -> impl Iterator<Item = Arc<str>> {
        let rules = self.app(app).plan.rules.iter().filter(move |rule| {
            let is_on = matches!(&rule.trigger, Trigger::Errors { codes, .. } if codes.contains(&code));
            is_on && rule.act == Act::Restart
        });
        rules.map(|rule| Arc::clone(&rule.name))
    }
}
