//! `history`: past decisions from the store, newest first, with or without a running daemon.

use std::collections::VecDeque;
use std::io::{self, Write};

use crate::cli::{Format, HistoryArgs};
use crate::clock::Clock;
use crate::commands::prelude::{Prelude, Source};
use crate::commands::{attention, columns};
use crate::config::settings::Settings;
use crate::store::error::{StoreAway, StoreError};
use crate::store::history::{Filter, Page};
use crate::store::read_only::ReadOnlyStore;
use crate::terminal::Colour;
use dynowarden_core::columns::Columns;
use dynowarden_core::limits;
use dynowarden_core::record::view::DecisionView;
use dynowarden_core::time::{earlier, spoken};

/// Why history could not be shown. The message names the file or the server, and no secret.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The store went away in between; the rows read so far have been printed.
    #[error(transparent)]
    Away(#[from] StoreAway),
    #[error(transparent)]
    Open(#[from] StoreError),
    #[error("no runtime for the store's connections")]
    Runtime(#[source] io::Error),
    #[error("the output cannot be written")]
    Write(#[source] io::Error),
}

/// Prints decisions to `out`: one line or one JSON object each, the newest first. With `--follow`, the newest
/// last, and then new ones as they are made. `asides` get what people have to do: at the end, next to the
/// prompt, or before a list that has no end.
///
/// # Errors
/// The store cannot be read: exit code 1.
pub fn run(
    args: &HistoryArgs,
    settings: &Settings,
    colour: Colour,
    out: &mut dyn Write,
    asides: Asides<'_>,
) -> Result<(), HistoryError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(HistoryError::Runtime)?;
    runtime.block_on(async {
        let reading = ReadOnlyStore::open(&settings.database).await?;
        let is_text = args.format == Format::Text;
        if asides.is_terminal && is_text {
            let from = Source::Store(reading.place());
            let prelude = Prelude { what: "Decisions", app: args.app.as_ref(), since: args.since, from };
            aside(asides.to, &prelude);
        }
        if args.follow && is_text {
            say_what_to_do(args, &reading, asides.to).await?;
        }
        let mut printer = Printer { format: args.format, columns: columns(colour), out };
        let printed = match args.follow {
            true => follow(args, &reading, &mut printer).await,
            false => print(args, &reading, &mut printer).await,
        };
        if printed.is_ok() && is_text {
            say_what_to_do(args, &reading, asides.to).await?;
        }
        reading.close().await;
        match printed {
            // The reader is gone, as under `| head`: that is the end, not a failure.
            Err(HistoryError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            printed => printed,
        }
    })
}

/// Where people read what is no decision, so that programs do not have to skip it.
pub struct Asides<'o> {
    pub to: &'o mut dyn Write,
    pub is_terminal: bool,
}

async fn say_what_to_do(
    args: &HistoryArgs,
    reading: &ReadOnlyStore,
    to: &mut dyn Write,
) -> Result<(), HistoryError> {
    for line in attention::lines(args, reading, Clock::system().now().wall).await? {
        aside(to, &line);
    }
    Ok(())
}

fn aside(to: &mut dyn Write, text: &dyn std::fmt::Display) {
    // If standard error is gone, nothing is lost.
    let _gone = writeln!(to, "{text}");
}

struct Printer<'o> {
    format: Format,
    columns: Columns,
    out: &'o mut dyn Write,
}

/// What `args` selects, of the decisions so far.
fn filter(args: &HistoryArgs) -> Filter {
    let now = Clock::system().now().wall;
    let since = args.since.map(|span| earlier(now, span));
    Filter { app: args.app.clone(), since, ..Filter::default() }
}

async fn print(
    args: &HistoryArgs,
    reading: &ReadOnlyStore,
    printer: &mut Printer<'_>,
) -> Result<(), HistoryError> {
    let filter = filter(args);
    let (mut left, mut before, mut is_empty) = (args.limit, None, true);
    while left > 0 {
        let limit = left.min(limits::PAGE_ROWS_MAX);
        let Page { decisions, next } = reading.decisions(&Filter { before, limit, ..filter.clone() }).await?;
        is_empty &= decisions.is_empty();
        printer.print(&decisions)?;
        left -= limit;
        before = next;
        if before.is_none() {
            break;
        }
    }
    if is_empty && args.format == Format::Text {
        let of_app = args.app.as_ref().map_or_else(String::new, |app| format!(" about {app}"));
        let since = args.since.map_or_else(String::new, |span| format!(" in the last {}", spoken(span)));
        printer.line(&format!("no decisions{of_app}{since}"))?;
    }
    Ok(())
}

/// Prints the newest decisions, and then each new one, and each again when its outcome changes.
async fn follow(
    args: &HistoryArgs,
    reading: &ReadOnlyStore,
    printer: &mut Printer<'_>,
) -> Result<(), HistoryError> {
    let filter = filter(args);
    let limit = args.limit.min(limits::PAGE_ROWS_MAX);
    let mut shown: VecDeque<(String, Option<String>)> = VecDeque::new();
    loop {
        let Page { mut decisions, .. } =
            reading.decisions(&Filter { limit: limits::PAGE_ROWS_MAX, ..filter.clone() }).await?;
        if shown.is_empty() {
            // What is older than the first lines stays unprinted.
            let old = decisions.split_off(decisions.len().min(limit as usize));
            shown.extend(old.iter().rev().map(state));
        }
        decisions.reverse();
        decisions.retain(|decision| !shown.contains(&state(decision)));
        shown.extend(decisions.iter().map(state));
        let over = shown.len().saturating_sub(limits::HISTORY_FOLLOWED);
        shown.drain(..over);
        printer.print(&decisions)?;
        tokio::time::sleep(limits::HISTORY_FOLLOW_EVERY).await;
    }
}

/// What makes a decision another line: itself, and its outcome.
fn state(decision: &DecisionView) -> (String, Option<String>) {
    let dyno = decision.dyno.as_deref().unwrap_or_default();
    let key = format!("{} {} {dyno} {} {}", decision.at, decision.app, decision.rule, decision.code);
    (key, decision.outcome.as_ref().map(|outcome| outcome.result.to_string()))
}

impl Printer<'_> {
    fn print(&mut self, decisions: &[DecisionView]) -> Result<(), HistoryError> {
        for decision in decisions {
            self.columns.fit(&decision.app, decision.dyno.as_deref().unwrap_or("-"));
        }
        for decision in decisions {
            let text = match self.format {
                Format::Json => serde_json::to_string(decision).expect("its keys are texts"),
                Format::Text => self.columns.decision(decision),
            };
            self.line(&text)?;
        }
        self.out.flush().map_err(HistoryError::Write)
    }

    fn line(&mut self, text: &str) -> Result<(), HistoryError> {
        writeln!(self.out, "{text}").map_err(HistoryError::Write)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser as _;

    use super::{Asides, run};
    use crate::cli::{Cli, Command, HistoryArgs};
    use crate::config::{self, Needs, Sources};
    use crate::store::{Store, StoreOptions};
    use crate::terminal::Colour;
    use dynowarden_core::ident::AppId;
    use dynowarden_core::record::hold::Hold;
    use dynowarden_core::record::{Action, Decision, Evidence, Record};

    fn args(line: &str) -> HistoryArgs {
        let parsed = Cli::try_parse_from(line.split_whitespace()).map(Cli::into_command);
        let Ok(Command::History(args)) = parsed else { panic!("{line}") };
        args
    }

    #[test]
    fn decisions_are_printed_as_text_and_as_json() {
        let dir = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite://{}", dir.path().join("x.db").display());
        let env = [("DATABASE_URL".into(), url.into())];
        let sources =
            Sources { config: None, env: &env, read_file: &|_| Err(std::io::ErrorKind::NotFound.into()) };
        let settings = config::load(&sources, Needs::Nothing).expect("settings");
        let shown = |line: &str| {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let asides = Asides { to: &mut err, is_terminal: false };
            run(&args(line), &settings, Colour::OFF, &mut out, asides)
                .map(|()| String::from_utf8(out).expect("text"))
        };
        let missing = shown("dynowarden history").expect_err("nothing there").to_string();
        assert!(missing.contains("there is no decision history yet"), "{missing}");

        let at = "2026-03-01T00:00:00Z".parse().expect("a time");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let options = StoreOptions::new(vec!["acme".parse().expect("an app")], Duration::from_secs(3600));
            let store = Store::open(&settings.database, options, at).await.expect("a store");
            for _ in 0..3 {
                let decision = Decision {
                    at,
                    app: AppId(0),
                    dyno: Some("web.2".parse().expect("a dyno")),
                    rule: "r14".into(),
                    action: Action::Hold(Hold::UnderWay),
                    evidence: Evidence::default(),
                    attempt_id: None,
                };
                store.write(&Record::Decision(decision), at);
            }
            store.close().await;
        });
        let text = "2026-03-01 00:00:00Z  acme  web.2  hold     this dyno is already being restarted (× 3, last 2026-03-01 00:00:00Z)\n";
        assert_eq!(shown("dynowarden history --app acme").expect("a record"), text);
        assert_eq!(shown("dynowarden history --app other").expect("a record"), "no decisions about other\n");
        let recent = shown("dynowarden history --since 1h").expect("a record");
        assert_eq!(recent, "no decisions in the last 1h\n");
        let (mut terminal, mut out) = (Vec::new(), Vec::new());
        for line in ["dynowarden history --app acme --since 1h", "dynowarden history --format json"] {
            let asides = Asides { to: &mut terminal, is_terminal: true };
            run(&args(line), &settings, Colour::OFF, &mut out, asides).expect("a record");
        }
        let place = dir.path().join("x.db");
        let expect = format!(
            "Decisions of acme, last 1h, from {}\n\
             Nothing to do: no dyno is given up, and no restart failed in the last 1d.\n",
            place.display()
        );
        assert_eq!(String::from_utf8(terminal).expect("text"), expect);
        let json = shown("dynowarden history --format json").expect("a record");
        let json: serde_json::Value = serde_json::from_str(json.trim_end()).expect("one object");
        assert_eq!(
            (&json["decision"], &json["code"], &json["count"]),
            (&"hold".into(), &"under_way".into(), &3.into())
        );
    }
}
