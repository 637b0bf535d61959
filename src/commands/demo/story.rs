//! The output of the demo, line by line: platform lines, decisions and notifications.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use crate::commands::demo::people::Letter;
use dynowarden_core::columns::Columns;
use dynowarden_core::ident::{AppId, AppName, DynoName};
use dynowarden_core::record::hold::Hold;
use dynowarden_core::record::{Action, Decision, MemoryAfterRestart, Record, RestartResult};
use dynowarden_core::time::spoken;
use heroku_sim::line::{LogLine, Source};

pub(super) struct Story {
    apps: Vec<AppName>,
    columns: Columns,
    /// The last error of each dyno; it repeats every 20 s and is printed once.
    errors: HashMap<(AppName, String), Vec<u8>>,
    /// The last refusal of each dyno; it repeats with every error.
    holds: HashMap<(AppId, DynoName), &'static str>,
    tally: Tally,
}

/// Totals for the last sentence.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    back: u32,
    given_up: u32,
    out_for: Duration,
    refusals: u64,
    restarts: u32,
}

impl Story {
    /// A story of `apps`, in the order of their ids.
    pub(super) fn new(apps: Vec<AppName>, mut columns: Columns) -> Self {
        apps.iter().for_each(|app| columns.fit(app.as_str(), "web.1"));
        Self { apps, columns, errors: HashMap::new(), holds: HashMap::new(), tally: Tally::default() }
    }

    /// Prints until one of the sources ends or the reader is gone, as after `| head`.
    pub(super) async fn print(
        &mut self,
        mut lines: Receiver<LogLine>,
        mut records: Receiver<Record>,
        mut letters: mpsc::Receiver<Letter>,
    ) {
        loop {
            let printed = tokio::select! {
                line = lines.recv() => match line {
                    Ok(line) => self.platform(&line).into_iter().collect(),
                    Err(RecvError::Lagged(_)) => Vec::new(),
                    Err(RecvError::Closed) => return,
                },
                record = records.recv() => match record {
                    Ok(record) => self.record(&record).into_iter().collect(),
                    Err(RecvError::Lagged(_)) => Vec::new(),
                    Err(RecvError::Closed) => return,
                },
                Some(letter) = letters.recv() => self.letter_lines(&letter),
            };
            let mut out = io::stdout().lock();
            if printed.iter().any(|line| writeln!(out, "{line}").is_err()) {
                return;
            }
        }
    }

    /// The summary, as one sentence.
    pub(super) fn ending(&self) -> String {
        let Tally { back, given_up, out_for, refusals, restarts } = self.tally;
        let mean = out_for.checked_div(back).unwrap_or_default();
        let given_up = match given_up {
            0 => String::new(),
            dynos => format!("; dynos given up because restarts did not help: {dynos}"),
        };
        format!(
            "{restarts} restarts, one dyno at a time, {} down on average; {refusals} times decided not to \
             restart, each with its reason{given_up}",
            spoken(mean)
        )
    }

    /// The platform lines worth printing: errors and changes of state, not each sample.
    fn platform(&mut self, line: &LogLine) -> Option<String> {
        let is_platform = matches!(line.source, Source::Heroku) || line.procid == "api";
        let text = String::from_utf8_lossy(&line.text);
        let place = || (line.app.clone(), line.procid.clone());
        let is_news = if text.starts_with("Error R") {
            self.errors.insert(place(), line.text.clone()).as_ref() != Some(&line.text)
        } else if text.starts_with("State changed") {
            self.errors.remove(&place());
            true
        } else {
            text.starts_with("Release v")
        };
        let place = (line.app.as_str(), Some(line.procid.as_str()));
        (is_news && is_platform).then(|| self.columns.line(line.at, place, "heroku", text.trim_end()))
    }

    fn record(&mut self, record: &Record) -> Option<String> {
        let app = |id: AppId| self.apps.get(id.0 as usize).map_or("?", AppName::as_str).to_owned();
        match record {
            Record::MemoryAfterRestart(MemoryAfterRestart { app: id, dyno, memory, .. }) => {
                let text = format!("{memory} after the restart");
                let (app, dyno) = (app(*id), dyno.to_string());
                Some(self.columns.line(memory.at, (&app, Some(&dyno)), "memory", &text))
            }
            Record::Decision(decision) => {
                if matches!(decision.action, Action::Hold(_)) {
                    self.tally.refusals += 1;
                }
                let app = app(decision.app);
                if self.repeats(decision) {
                    return None;
                }
                let dyno = decision.dyno.as_ref().map(ToString::to_string);
                let word = decision.action.word();
                Some(self.columns.line(decision.at, (&app, dyno.as_deref()), word, &decision.reason()))
            }
            Record::Outcome(outcome) => {
                match &outcome.result {
                    RestartResult::Accepted { .. } => self.tally.restarts += 1,
                    RestartResult::Back { out_for, .. } => {
                        self.tally.back += 1;
                        self.tally.out_for += *out_for;
                    }
                    _ => {}
                }
                let (label, text) = (outcome.result.label(), outcome.result.to_string());
                let (app, dyno) = (app(outcome.app), outcome.dyno.to_string());
                Some(self.columns.line(outcome.at, (&app, Some(&dyno)), label, &text))
            }
            // Printed when its message arrives.
            Record::Notice(notice) => {
                self.tally.given_up += u32::from(notice.what.label() == "give_up");
                None
            }
        }
    }

    fn repeats(&mut self, decision: &Decision) -> bool {
        let Some(dyno) = &decision.dyno else { return false };
        let place = (decision.app, dyno.clone());
        match &decision.action {
            Action::Hold(Hold::UnderWay) => true,
            Action::Hold(hold) => self.holds.insert(place, hold.label()) == Some(hold.label()),
            Action::Notify | Action::Restart { .. } => {
                self.holds.remove(&place);
                false
            }
        }
    }

    fn letter_lines(&mut self, letter: &Letter) -> Vec<String> {
        let dyno = Some(letter.dyno.as_str()).filter(|dyno| !dyno.is_empty());
        let mut lines = vec![self.columns.line(letter.at, (&letter.app, dyno), "message", &letter.title)];
        for (dyno, proof) in &letter.proofs {
            lines.push(self.columns.line(letter.at, (&letter.app, Some(dyno)), "proof", proof));
        }
        lines
    }
}
