//! The form of a decision in a terminal, the same in `replay`, `history` and `demo`: time, app, dyno, word,
//! text, in columns.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::record::view::{DecisionView, OutcomeView};

/// The text before and after a word, for terminals with colours.
pub type Paint = fn(&str) -> (&'static str, &'static str);

/// The widths of the columns. They only grow, because the next line is not known.
#[derive(Debug, Default)]
pub struct Columns {
    app: usize,
    dyno: usize,
    /// Frames a word, for terminals with colours.
    paint: Option<Paint>,
}

impl Columns {
    /// With the text before and after each word.
    pub fn painted(paint: Paint) -> Self {
        Self { paint: Some(paint), ..Self::default() }
    }

    /// Makes room for a line that comes later.
    pub fn fit(&mut self, app: &str, dyno: &str) {
        self.app = self.app.max(app.len());
        self.dyno = self.dyno.max(dyno.len());
    }

    /// One line, without its end.
    pub fn line(
        &mut self,
        at: Timestamp,
        (app, dyno): (&str, Option<&str>),
        word: &str,
        text: &str,
    ) -> String {
        let dyno = dyno.unwrap_or("-");
        self.fit(app, dyno);
        let at = at.strftime("%Y-%m-%d %H:%M:%SZ");
        let (before, after) = self.paint.map_or(("", ""), |paint| paint(word));
        let (app_width, dyno_width) = (self.app, self.dyno);
        format!("{at}  {app:app_width$}  {dyno:dyno_width$}  {before}{word:7}{after}  {text}")
    }

    /// A decision of the record, with the number of its repeats and its outcome.
    pub fn decision(&mut self, decision: &DecisionView) -> String {
        let mut text = decision.reason.clone();
        let mut add =
            |args: std::fmt::Arguments<'_>| text.write_fmt(args).expect("a string takes everything");
        if decision.count > 1 {
            let last = decision.last_at.strftime("%Y-%m-%d %H:%M:%SZ");
            add(format_args!(" (× {}, last {last})", decision.count));
        }
        if let Some(outcome) = &decision.outcome {
            add(format_args!("; {}", outcome_text(outcome)));
            if let Some(memory) = &outcome.memory {
                add(format_args!(", now at {memory}"));
            }
        }
        let word = decision.decision.to_string();
        self.line(decision.at, (&decision.app, decision.dyno.as_deref()), &word, &text)
    }
}

fn outcome_text(outcome: &OutcomeView) -> &str {
    if outcome.text.is_empty() { &outcome.result } else { &outcome.text }
}
