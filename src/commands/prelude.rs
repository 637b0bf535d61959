//! The first line of the commands that read what happened: what they read, and from where. It is shown on a
//! terminal only, so that no program has to skip it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::store::error::StoreLocation;
use dynowarden_core::ident::AppName;
use dynowarden_core::time::spoken;

#[derive(Clone, Copy, Debug)]
pub(super) struct Prelude<'a> {
    /// What is printed, such as "Decisions".
    pub what: &'static str,
    pub app: Option<&'a AppName>,
    pub since: Option<Duration>,
    pub from: Source<'a>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    Files(&'a [PathBuf]),
    /// Without its password.
    Store(&'a StoreLocation),
}

impl fmt::Display for Prelude<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, app, since, from } = self;
        match app {
            Some(app) => write!(f, "{what} of {app}")?,
            None => write!(f, "{what} of all apps")?,
        }
        if let Some(since) = since {
            write!(f, ", last {}", spoken(*since))?;
        }
        write!(f, ", from {from}")
    }
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(place) => place.fmt(f),
            Self::Files([]) => f.write_str("no file"),
            Self::Files([file]) => f.write_str(&name(file)),
            Self::Files([one, other]) => write!(f, "{} and {}", name(one), name(other)),
            Self::Files([first, more @ ..]) => write!(f, "{} and {} more files", name(first), more.len()),
        }
    }
}

fn name(file: &Path) -> String {
    if file.as_os_str() == "-" { "standard input".to_owned() } else { file.display().to_string() }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::{Prelude, Source};
    use crate::store::error::StoreLocation;

    #[test]
    fn every_command_begins_in_one_form() {
        let app = "acme".parse().expect("an app");
        let files: Vec<PathBuf> = ["a.log", "-", "c.log.gz"].map(PathBuf::from).into();
        let place = StoreLocation { shown: "dynowarden.db".into(), user: None };
        let two_hours = Some(Duration::from_secs(7200));
        for (what, app, since, from, expect) in [
            ("Decisions", None, None, Source::Store(&place), "Decisions of all apps, from dynowarden.db"),
            (
                "Decisions",
                Some(&app),
                two_hours,
                Source::Store(&place),
                "Decisions of acme, last 2h, from dynowarden.db",
            ),
            ("Report", None, None, Source::Files(&files), "Report of all apps, from a.log and 2 more files"),
            ("Replay", Some(&app), None, Source::Files(&files[1..2]), "Replay of acme, from standard input"),
            (
                "Replay",
                None,
                None,
                Source::Files(&files[..2]),
                "Replay of all apps, from a.log and standard input",
            ),
        ] {
            assert_eq!(Prelude { what, app, since, from }.to_string(), expect);
        }
    }
}
