//! `replay`: files in, decisions out.
//!
//! Standard output carries decisions and, in text, the summary; everything else goes to standard error.
//! Decisions are written as soon as their lines are read, so that `heroku logs --tail` can be piped in. When
//! the reader is gone, as under `| head`, that is the end, not a failure.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::mem;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::{Format, ReplayArgs};
use crate::commands::columns;
use crate::commands::gzipped::unzipped;
use crate::commands::prelude::{Prelude, Source};
use crate::commands::replay_output::{Page, Seen, Troubles, zoned};
use crate::commands::what_if_output;
use crate::config::settings::Settings;
use crate::terminal::Colour;
use dynowarden_core::limits;
use dynowarden_core::replay::archive::{Archive, FORMS, Item};
use dynowarden_core::replay::order::{Order, Ordered, TooLarge};
use dynowarden_core::replay::roster::Roster;
use dynowarden_core::replay::timeline::Timeline;
use dynowarden_core::replay::{Replay, ReplayOutput};
use dynowarden_core::time::earlier;
use dynowarden_core::what_if::{Refusal, WhatIf};

pub struct Streams<'a> {
    /// Read for `-`.
    pub stdin: &'a mut dyn Read,
    pub out: &'a mut dyn Write,
    pub err: &'a mut dyn Write,
    /// Whether standard error is a terminal, where large files get a progress bar.
    pub is_terminal: bool,
}

/// Why a replay could not be finished. The message names the file and the problem.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("{}: is a directory; name the files in it", .0.display())]
    Directory(PathBuf),
    /// A file without anything to replay.
    #[error(
        "{}: not a log that replay can read: it reads {FORMS}, and the file begins with {begins:?}",
        file.display()
    )]
    NoLog { file: PathBuf, begins: String },
    /// A file whose platform lines name no dyno.
    #[error(
        "{}: no platform line names a dyno ({lines} do not), so nothing can be decided; \
         the first is {begins:?}",
        file.display()
    )]
    NoDyno { file: PathBuf, lines: u64, begins: String },
    /// A file that runs from new to old and is too large to be turned round.
    #[error("{}", .0.display())]
    Order(PathBuf, #[source] TooLarge),
    /// A file that is missing or cannot be read to its end.
    #[error("{}: cannot be read", file.display())]
    Read {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    WhatIf(#[from] Refusal),
    #[error("the output cannot be written")]
    Write(#[source] io::Error),
}

/// Replays the files as one log, in order of time.
///
/// # Errors
/// A file cannot be read, or contains nothing readable: exit code 1. Earlier decisions have been printed.
pub fn run(
    args: &ReplayArgs,
    settings: &Settings,
    streams: Streams<'_>,
    now: Timestamp,
) -> Result<(), ReplayError> {
    run_with(Colour::OFF, args, settings, streams, now)
}

/// The same with colours on standard output, or without.
///
/// # Errors
/// Those of [`run`].
pub fn run_with(
    colour: Colour,
    args: &ReplayArgs,
    settings: &Settings,
    streams: Streams<'_>,
    now: Timestamp,
) -> Result<(), ReplayError> {
    // An error in the last of many names should show before the others are read.
    for file in args.files.iter().filter(|file| !is_stdin(file)) {
        let found = fs::metadata(file).map_err(|source| ReplayError::Read { file: file.clone(), source })?;
        if found.is_dir() {
            return Err(ReplayError::Directory(file.clone()));
        }
    }
    if streams.is_terminal && args.format == Format::Text {
        let from = Source::Files(&args.files);
        let prelude = Prelude { what: "Replay", app: args.app.as_ref(), since: None, from };
        // If standard error is gone, nothing is lost.
        let _gone = writeln!(streams.err, "{prelude}");
    }
    let configured: Vec<_> = settings.apps.iter().map(|app| app.plan.name.clone()).collect();
    let roster = || Roster::new(args.app.clone(), configured.clone());
    let what_if = args.what_if.then(|| WhatIf::new(roster(), |app| settings.plan_for(app)));
    let Streams { stdin, out, err, is_terminal } = streams;
    let mut run = Run {
        bar: ProgressBar::hidden(),
        err,
        files: &args.files,
        has_bar: is_terminal,
        is_live: false,
        now,
        order: Order::default(),
        out,
        page: Page {
            timeline: matches!(args.format, Format::Text).then(|| Timeline::new(columns(colour))),
            is_begun: false,
            text: String::new(),
        },
        replay: Replay::new(roster(), |app| settings.plan_for(app)),
        output: Vec::new(),
        troubles: Troubles::default(),
        what_if,
        zone: args.zone.clone(),
    };
    match run.all(stdin) {
        Err(ReplayError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

struct Run<'a> {
    /// Of the file that is being read; hidden for small ones.
    bar: ProgressBar,
    err: &'a mut dyn Write,
    files: &'a [PathBuf],
    has_bar: bool,
    /// Standard input is being written at the moment, so its lines are not held.
    is_live: bool,
    now: Timestamp,
    order: Order,
    out: &'a mut dyn Write,
    page: Page,
    replay: Replay<'a>,
    output: Vec<ReplayOutput>,
    troubles: Troubles,
    /// Takes the lines instead of the replay.
    what_if: Option<WhatIf<'a>>,
    /// Of times without one.
    zone: Option<TimeZone>,
}

// === impl Run ===

impl Run<'_> {
    fn all(&mut self, stdin: &mut dyn Read) -> Result<(), ReplayError> {
        let mut read = (0..).zip(self.files).try_for_each(|(number, file)| self.file(number, file, stdin));
        // What was read before an error counts.
        let replayed = self.replay(false);
        read = read.and(replayed);
        let late = self.order.late().clone();
        self.troubles.add_late(&late, self.files);
        if let Some(what_if) = self.what_if.take() {
            let _written = self.err.write_all(self.troubles.to_string().as_bytes());
            return read.and_then(|()| self.compare(what_if)).and_then(|()| self.flush());
        }
        if read.is_ok() {
            self.replay.end(&mut self.output);
        }
        self.page.add(&mut self.output);
        self.page.end(read.is_ok().then(|| self.replay.summary()));
        // If standard error is gone, problems cannot be reported.
        let _written = self.err.write_all(self.troubles.to_string().as_bytes());
        if read.is_ok() && self.page.timeline.is_none() {
            let summary = self.replay.summary();
            let text = zoned(summary.to_string(), !summary.zone_unknown);
            let _written = writeln!(self.err, "{text}");
        }
        self.flush().and(read)
    }

    /// Compares the policies, and puts what comes of it on the page.
    fn compare(&mut self, what_if: WhatIf<'_>) -> Result<(), ReplayError> {
        let bar = if self.has_bar { comparing() } else { ProgressBar::hidden() };
        let compared = what_if.compare(&mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let compared = compared?;
        if self.page.timeline.is_some() {
            what_if_output::text(&compared, &mut self.page.text);
        } else {
            what_if_output::json(&compared, &mut self.page.text);
            let _written = self.err.write_all(what_if_output::notes(&compared.basis).as_bytes());
        }
        Ok(())
    }

    fn file(&mut self, number: usize, path: &Path, stdin: &mut dyn Read) -> Result<(), ReplayError> {
        let broken = |source| ReplayError::Read { file: path.to_owned(), source };
        if is_stdin(path) {
            let archive = Archive::new(self.now, self.zone.clone());
            return self.read(number, path, archive, unzipped(stdin).map_err(broken)?);
        }
        let file = File::open(path).map_err(broken)?;
        let found = file.metadata().map_err(broken)?;
        let written = found.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
        let archive = Archive::new(written.unwrap_or(self.now), self.zone.clone());
        if self.has_bar && found.len() >= limits::REPLAY_PROGRESS_BYTES_MIN {
            self.bar = bar(path, found.len());
        }
        let reader = unzipped(self.bar.wrap_read(file)).map_err(broken)?;
        let result = self.read(number, path, archive, reader);
        mem::replace(&mut self.bar, ProgressBar::hidden()).finish_and_clear();
        result
    }

    fn read(
        &mut self,
        number: usize,
        path: &Path,
        mut archive: Archive,
        mut reader: impl Read,
    ) -> Result<(), ReplayError> {
        let mut chunk = vec![0; limits::REPLAY_CHUNK_BYTES];
        let mut seen = Seen::default();
        loop {
            let octets = match reader.read(&mut chunk) {
                Ok(octets) => octets,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(ReplayError::Read { file: path.to_owned(), source }),
            };
            match octets {
                0 => archive.end(),
                octets => archive.push(&chunk[..octets]),
            }
            while let Some((place, item)) = archive.read() {
                match item {
                    Item::Entry(entry) => {
                        seen.note(&entry);
                        match &mut self.what_if {
                            Some(what_if) => what_if.announce(&entry),
                            None => self.replay.announce(&entry),
                        }
                        self.order.hold(number, place, &entry);
                    }
                    Item::Unread(unread) => {
                        seen.note_unread(&unread);
                        self.troubles.not_read.add(path, place, unread.why, unread.text);
                    }
                }
            }
            if is_stdin(path) && (self.is_live || self.order.ends_at(earlier(self.now, limits::REPLAY_LIVE)))
            {
                self.is_live = true;
                self.replay(true)?;
            } else if self.order.is_full() {
                let half = self.order.take_half();
                let half = half.map_err(|error| ReplayError::Order(path.to_owned(), error))?;
                self.replay.set_partial();
                self.replay_ordered(&half)?;
            }
            if octets == 0 {
                break;
            }
        }
        self.judge(path, seen)
    }

    /// Whether a file has anything to replay.
    fn judge(&mut self, path: &Path, seen: Seen) -> Result<(), ReplayError> {
        let file = path.to_owned();
        let lines = seen.without_dyno;
        match seen.begins {
            Some((_, begins)) if seen.entries == 0 && seen.without_dyno > 0 => {
                Err(ReplayError::NoDyno { file, lines, begins })
            }
            Some((begins, _)) if seen.entries == 0 => Err(ReplayError::NoLog { file, begins }),
            _ => {
                if seen.without_dyno > 0 && !seen.has_dyno {
                    let text = format!(
                        "{}: no platform line names a dyno ({lines} do not), so nothing can be decided\n",
                        file.display()
                    );
                    self.troubles.notes.push_str(&text);
                }
                Ok(())
            }
        }
    }

    /// Replays all lines that are held.
    fn replay(&mut self, is_partial: bool) -> Result<(), ReplayError> {
        if self.order.is_empty() {
            return Ok(());
        }
        if is_partial {
            self.replay.set_partial();
        }
        let ordered = self.order.take();
        self.replay_ordered(&ordered)
    }

    fn replay_ordered(&mut self, ordered: &Ordered) -> Result<(), ReplayError> {
        if let Some(what_if) = &mut self.what_if {
            for (number, place, entry) in ordered.entries() {
                if let Err(error) = what_if.read(&entry) {
                    self.troubles.not_understood.add(&self.files[number], place, error, entry.line.msg);
                }
            }
            return Ok(());
        }
        for (_, _, entry) in ordered.entries() {
            self.replay.foresee(&entry);
        }
        for (number, place, entry) in ordered.entries() {
            if let Err(error) = self.replay.read(&entry, &mut self.output) {
                self.troubles.not_understood.add(&self.files[number], place, error, entry.line.msg);
            }
            self.page.add(&mut self.output);
            if self.page.text.len() >= limits::REPLAY_CHUNK_BYTES {
                self.flush()?;
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), ReplayError> {
        if self.page.text.is_empty() {
            return Ok(());
        }
        let is_zoned = !self.replay.is_zone_unknown();
        let text = zoned(mem::take(&mut self.page.text), is_zoned);
        // The bar's line is removed while other lines are written.
        let written =
            self.bar.suspend(|| self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()));
        written.map_err(ReplayError::Write)
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn bar(path: &Path, bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes}, {eta} to go")
        .expect("the template names fields that there are");
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    ProgressBar::new(bytes).with_style(style).with_message(name)
}

fn comparing() -> ProgressBar {
    let style = ProgressStyle::with_template("comparing policies {wide_bar} {percent} %, {eta} to go")
        .expect("the template names fields that there are");
    ProgressBar::new(1).with_style(style)
}
