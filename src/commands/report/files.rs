//! Archived logs, read as a replay reads them.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use jiff::Timestamp;

use crate::cli::ReportArgs;
use crate::commands::gzipped::unzipped;
use crate::config::settings::Settings;
use dynowarden_core::days::history::AppHistory;
use dynowarden_core::days::seen;
use dynowarden_core::ident::AppName;
use dynowarden_core::limits;
use dynowarden_core::replay::archive::{Archive, Entry, FORMS, Item};
use dynowarden_core::replay::roster::Roster;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{}: is a directory; name the files in it", .0.display())]
    Directory(PathBuf),
    #[error("{}: not a log that can be read: allowed are {FORMS}", .0.display())]
    NoLog(PathBuf),
    #[error("{}: cannot be read", file.display())]
    Read {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The apps of some files, in the order of their appearance.
struct Reader {
    apps: Vec<AppHistory>,
    roster: Roster,
    /// Makes the history of an app.
    empty: fn() -> AppHistory,
    /// Lines of no known form, or without a time.
    unread: u64,
}

/// Reads all files; problems with single lines are counted on standard error.
///
/// # Errors
/// A file cannot be read, or contains nothing readable.
pub(super) fn read(
    args: &ReportArgs,
    settings: &Settings,
    (stdin, err): (&mut dyn Read, &mut dyn Write),
    now: Timestamp,
) -> Result<Vec<(AppName, AppHistory)>, FileError> {
    let configured = settings.apps.iter().map(|app| app.plan.name.clone()).collect();
    let roster = Roster::new(args.app.clone(), configured);
    let counts = settings.drain.statistics && settings.drain.evidence;
    let empty = if counts { AppHistory::with_evidence } else { AppHistory::default };
    let mut reader = Reader { apps: Vec::new(), roster, empty, unread: 0 };
    for path in &args.files {
        let broken = |source| FileError::Read { file: path.clone(), source };
        let found = if path.as_os_str() == "-" {
            reader.read(Archive::new(now, None), unzipped(&mut *stdin).map_err(broken)?)
        } else {
            let found = fs::metadata(path).map_err(broken)?;
            if found.is_dir() {
                return Err(FileError::Directory(path.clone()));
            }
            let written = found.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
            let file = File::open(path).map_err(broken)?;
            reader.read(Archive::new(written.unwrap_or(now), None), unzipped(file).map_err(broken)?)
        };
        if !found.map_err(broken)? {
            return Err(FileError::NoLog(path.clone()));
        }
    }
    reader.apps.iter_mut().for_each(AppHistory::close_evidence);
    report_problems(&reader, err);
    let Reader { apps, roster, .. } = reader;
    Ok(apps.into_iter().enumerate().map(|(place, history)| (roster.app(place).clone(), history)).collect())
}

fn report_problems(reader: &Reader, err: &mut dyn Write) {
    let dropped: u64 = reader.apps.iter().map(AppHistory::dropped).sum();
    // If standard error is gone, problems cannot be reported.
    if reader.unread > 0 {
        let _gone = writeln!(err, "{} lines were not read", reader.unread);
    }
    if dropped > 0 {
        let dynos = limits::REPORT_DYNOS_MAX;
        let _gone = writeln!(err, "{dropped} lines were left out: a report has at most {dynos} dynos an app");
    }
}

impl Reader {
    /// Reads one file; false if none of its lines could be read.
    fn read(&mut self, mut archive: Archive, mut file: impl Read) -> io::Result<bool> {
        let mut chunk = vec![0; limits::REPLAY_CHUNK_BYTES];
        let (mut entries, mut unread, mut passed) = (0_u64, 0_u64, 0);
        loop {
            let octets = match file.read(&mut chunk) {
                Ok(octets) => octets,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            match octets {
                0 => archive.end(),
                octets => archive.push(&chunk[..octets]),
            }
            if passed < limits::REPLAY_CHUNK_BYTES {
                self.announce(archive.clone());
            }
            passed += octets;
            while let Some((_, item)) = archive.read() {
                match item {
                    Item::Entry(entry) => {
                        entries += 1;
                        self.take(&entry);
                    }
                    Item::Unread(_) => unread += 1,
                }
            }
            if octets == 0 {
                break;
            }
        }
        self.unread += unread;
        Ok(entries > 0 || unread == 0)
    }

    /// Notes the apps of the first part of a file.
    fn announce(&mut self, mut archive: Archive) {
        while let Some((_, item)) = archive.read() {
            if let Item::Entry(Entry { system: Some(system), .. }) = item {
                self.roster.announce(system);
            }
        }
    }

    fn take(&mut self, entry: &Entry<'_>) {
        let Some(place) = self.roster.place(entry.system) else { return };
        if place >= self.apps.len() {
            self.apps.resize_with(place + 1, self.empty);
        }
        let Some((dyno, seen)) = seen::read(&entry.line) else { return };
        match entry.at {
            Ok(at) => self.apps[place].add(dyno, &seen, at),
            Err(_) => self.unread += 1,
        }
    }
}
