//! `history`: past decisions from the store, newest first, with or without a running daemon.

use std::io::{self, Write};

use crate::cli::{Format, HistoryArgs};
use crate::config::settings::Settings;
use crate::store::error::{StoreAway, StoreError};
use crate::store::history::{Filter, Page};
use crate::store::read_only::ReadOnlyStore;
use dynowarden_core::limits;
use dynowarden_core::record::view::DecisionView;

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

/// Prints decisions to `out`: one line or one JSON object each.
///
/// # Errors
/// The store cannot be read: exit code 1.
pub fn run(args: &HistoryArgs, settings: &Settings, out: &mut dyn Write) -> Result<(), HistoryError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(HistoryError::Runtime)?;
    runtime.block_on(async {
        let reading = ReadOnlyStore::open(&settings.database).await?;
        let printed = print(args, &reading, out).await;
        reading.close().await;
        match printed {
            // The reader is gone, as under `| head`: that is the end, not a failure.
            Err(HistoryError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            printed => printed,
        }
    })
}

async fn print(args: &HistoryArgs, reading: &ReadOnlyStore, out: &mut dyn Write) -> Result<(), HistoryError> {
    let (mut left, mut before) = (args.limit, None);
    while left > 0 {
        let limit = left.min(limits::PAGE_ROWS_MAX);
        let filter = Filter { app: args.app.clone(), dyno: None, before, limit };
        let Page { decisions, next } = reading.decisions(&filter).await?;
        for decision in &decisions {
            print_one(decision, args.format, out).map_err(HistoryError::Write)?;
        }
        out.flush().map_err(HistoryError::Write)?;
        left -= limit;
        match next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    Ok(())
}

fn print_one(decision: &DecisionView, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Json => {
            serde_json::to_writer(&mut *out, decision)?;
            writeln!(out)
        }
        Format::Text => writeln!(out, "{decision}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser as _;

    use super::run;
    use crate::cli::{Cli, Command, HistoryArgs};
    use crate::config::{self, Needs, Sources};
    use crate::store::{Store, StoreOptions};
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
            let mut out = Vec::new();
            run(&args(line), &settings, &mut out).map(|()| String::from_utf8(out).expect("text"))
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
        let text = "2026-03-01 00:00:00Z acme web.2 hold (r14): this dyno is already being restarted (× 3, last 2026-03-01 00:00:00Z)\n";
        assert_eq!(shown("dynowarden history --app acme").expect("a record"), text);
        assert_eq!(shown("dynowarden history --app other").expect("a record"), "");
        let json = shown("dynowarden history --format json").expect("a record");
        let json: serde_json::Value = serde_json::from_str(json.trim_end()).expect("one object");
        assert_eq!(
            (&json["decision"], &json["code"], &json["count"]),
            (&"hold".into(), &"under_way".into(), &3.into())
        );
    }
}
