//! Decisions for people: one line each, and two for a row of equal refusals.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;

use crate::columns::Columns;
use crate::ident::{AppName, DynoName};
use crate::limits;
use crate::record::{Action, Decision};

#[derive(Debug, Default)]
pub struct Timeline {
    columns: Columns,
    folds: BTreeMap<Subject, Fold>,
}

/// A decision's dyno and rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Subject {
    app: AppName,
    dyno: Option<DynoName>,
    rule: Arc<str>,
}

/// A row of equal decisions. The first is written already; the time and the reason are the last's.
#[derive(Debug)]
struct Fold {
    at: Timestamp,
    more: u64,
    reason: String,
    label: &'static str,
    word: &'static str,
}

impl Timeline {
    pub fn new(columns: Columns) -> Self {
        Self { columns, folds: BTreeMap::new() }
    }

    /// Adds a decision about a dyno of `app`.
    pub fn add(&mut self, app: &AppName, decision: &Decision, out: &mut String) {
        let subject =
            Subject { app: app.clone(), dyno: decision.dyno.clone(), rule: Arc::clone(&decision.rule) };
        let (word, label) = (decision.action.word(), decision.reason_label());
        if let Some(fold) = self.folds.get_mut(&subject)
            && (fold.word, fold.label) == (word, label)
        {
            fold.more += 1;
            fold.at = decision.at;
            fold.reason = decision.reason();
            return;
        }
        if let Some(fold) = self.folds.remove(&subject) {
            self.unfold(&subject, &fold, out);
        }
        let fold = Fold { at: decision.at, more: 0, reason: decision.reason(), label, word };
        self.write(&subject, &fold, &fold.reason, out);
        if matches!(decision.action, Action::Restart { .. }) {
            return;
        }
        if self.folds.len() >= limits::REPLAY_FOLDS_MAX {
            self.end(out);
        }
        self.folds.insert(subject, fold);
    }

    /// Writes what is left, at the end.
    pub fn end(&mut self, out: &mut String) {
        let mut folds: Vec<_> = std::mem::take(&mut self.folds).into_iter().collect();
        folds.sort_by_key(|(_, fold)| fold.at);
        for (subject, fold) in &folds {
            self.unfold(subject, fold, out);
        }
    }

    fn unfold(&mut self, subject: &Subject, fold: &Fold, out: &mut String) {
        match fold.more {
            0 => {}
            1 => self.write(subject, fold, &fold.reason, out),
            more => self.write(subject, fold, &format!("… {more} more like this until then"), out),
        }
    }

    fn write(&mut self, subject: &Subject, Fold { at, word, .. }: &Fold, text: &str, out: &mut String) {
        let dyno = subject.dyno.as_ref().map(ToString::to_string);
        let line = self.columns.line(*at, (subject.app.as_str(), dyno.as_deref()), word, text);
        writeln!(out, "{line}").expect("a string takes everything");
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::Timeline;
    use crate::event::DynoState;
    use crate::ident::AppId;
    use crate::record::hold::Hold;
    use crate::record::{Action, Decision, Evidence};

    fn decision(secs: i64, dyno: &str, action: Action) -> Decision {
        Decision {
            at: Timestamp::from_second(1_754_636_400 + secs).expect("a time"),
            app: AppId(0),
            dyno: Some(dyno.parse().expect("a dyno")),
            rule: "r".into(),
            action,
            evidence: Evidence {
                code: Some("R14".parse().expect("a code")),
                lines: 1,
                ..Evidence::default()
            },
            attempt_id: None,
        }
    }

    #[test]
    fn equal_refusals_are_printed_as_two_lines() {
        let (mut timeline, mut out) = (Timeline::default(), String::new());
        let mut add = |secs, dyno: &str, action| {
            timeline.add(&"acme".parse().expect("an app"), &decision(secs, dyno, action), &mut out);
        };
        let restart = || Action::Restart { dry_run: false, formation: 2 };
        add(0, "web.1", restart());
        for secs in 1..5 {
            add(secs, "web.1", Action::Hold(Hold::UnderWay));
            add(secs, "web.10", Action::Hold(Hold::NotUp { state: DynoState::Starting }));
        }
        add(5, "web.1", Action::Hold(Hold::Gone));
        add(6, "web.1", restart());
        add(7, "web.1", restart());
        add(8, "web.10", restart());
        add(9, "web.10", Action::Hold(Hold::Gone));
        add(10, "web.10", Action::Hold(Hold::Gone));
        timeline.end(&mut out);
        assert_eq!(
            out,
            "\
2025-08-08 07:00:00Z  acme  web.1  restart  R14 (Memory quota exceeded)
2025-08-08 07:00:01Z  acme  web.1  hold     this dyno is already being restarted
2025-08-08 07:00:01Z  acme  web.10  hold     the dyno is starting, not up
2025-08-08 07:00:04Z  acme  web.1   hold     … 3 more like this until then
2025-08-08 07:00:05Z  acme  web.1   hold     Heroku has no dyno of this name: it was scaled down or never existed
2025-08-08 07:00:06Z  acme  web.1   restart  R14 (Memory quota exceeded)
2025-08-08 07:00:07Z  acme  web.1   restart  R14 (Memory quota exceeded)
2025-08-08 07:00:04Z  acme  web.10  hold     … 3 more like this until then
2025-08-08 07:00:08Z  acme  web.10  restart  R14 (Memory quota exceeded)
2025-08-08 07:00:09Z  acme  web.10  hold     Heroku has no dyno of this name: it was scaled down or never existed
2025-08-08 07:00:10Z  acme  web.10  hold     Heroku has no dyno of this name: it was scaled down or never existed
"
        );
    }
}
