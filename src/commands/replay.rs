//! `replay`: files in, decisions out.
//!
//! Standard output carries decisions and, in text, the summary; everything else goes to standard error.
//! Decisions are written as soon as their lines are read, so that `heroku logs --tail` can be piped in. When
//! the reader is gone, as under `| head`, that is the end, not a failure.

use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Write};
use std::mem;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use crate::cli::{Format, ReplayArgs};
use crate::commands::columns;
use crate::config::settings::Settings;
use crate::terminal::Colour;
use dynowarden_core::limits;
use dynowarden_core::record::Record;
use dynowarden_core::record::view::DecisionView;
use dynowarden_core::replay::archive::{Archive, FORMS, Item, Place};
use dynowarden_core::replay::roster::Roster;
use dynowarden_core::replay::summary::Summary;
use dynowarden_core::replay::timeline::Timeline;
use dynowarden_core::replay::{Replay, ReplayOutput};

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
    /// A file that is missing or cannot be read to its end.
    #[error("{}: cannot be read", file.display())]
    Read {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the output cannot be written")]
    Write(#[source] io::Error),
}

/// Replays the files, in the order given, as one log.
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
    let configured = settings.apps.iter().map(|app| app.plan.name.clone()).collect();
    let roster = Roster::new(args.app.clone(), configured);
    let Streams { stdin, out, err, is_terminal } = streams;
    let mut run = Run {
        bar: ProgressBar::hidden(),
        err,
        has_bar: is_terminal,
        now,
        out,
        page: Page {
            timeline: matches!(args.format, Format::Text).then(|| Timeline::new(columns(colour))),
            is_begun: false,
            text: String::new(),
        },
        replay: Replay::new(roster, |app| settings.plan_for(app)),
        output: Vec::new(),
        troubles: Troubles::default(),
    };
    match run.all(&args.files, stdin) {
        Err(ReplayError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

struct Run<'a> {
    /// Of the file that is being read; hidden for small ones.
    bar: ProgressBar,
    err: &'a mut dyn Write,
    has_bar: bool,
    now: Timestamp,
    out: &'a mut dyn Write,
    page: Page,
    replay: Replay<'a>,
    output: Vec<ReplayOutput>,
    troubles: Troubles,
}

// === impl Run ===

impl Run<'_> {
    fn all(&mut self, files: &[PathBuf], stdin: &mut dyn Read) -> Result<(), ReplayError> {
        let read = files.iter().try_for_each(|file| self.file(file, stdin));
        if read.is_ok() {
            self.replay.end(&mut self.output);
        }
        self.page.add(&mut self.output);
        self.page.end(read.is_ok().then(|| self.replay.summary()));
        // If standard error is gone, problems cannot be reported.
        let _written = self.err.write_all(self.troubles.to_string().as_bytes());
        if read.is_ok() && self.page.timeline.is_none() {
            let _written = writeln!(self.err, "{}", self.replay.summary());
        }
        self.flush().and(read)
    }

    fn file(&mut self, path: &Path, stdin: &mut dyn Read) -> Result<(), ReplayError> {
        let broken = |source| ReplayError::Read { file: path.to_owned(), source };
        if is_stdin(path) {
            return self.read(path, Archive::new(self.now), unzipped(stdin).map_err(broken)?);
        }
        let file = File::open(path).map_err(broken)?;
        let found = file.metadata().map_err(broken)?;
        let written = found.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
        let archive = Archive::new(written.unwrap_or(self.now));
        if self.has_bar && found.len() >= limits::REPLAY_PROGRESS_BYTES_MIN {
            self.bar = bar(path, found.len());
        }
        let reader = unzipped(self.bar.wrap_read(file)).map_err(broken)?;
        let result = self.read(path, archive, reader);
        mem::replace(&mut self.bar, ProgressBar::hidden()).finish_and_clear();
        result
    }

    fn read(&mut self, path: &Path, mut archive: Archive, mut reader: impl Read) -> Result<(), ReplayError> {
        let mut chunk = vec![0; limits::REPLAY_CHUNK_BYTES];
        let (mut entries, mut begins) = (0_u64, None);
        let mut passed = 0;
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
            if passed < limits::REPLAY_CHUNK_BYTES {
                self.announce(archive.clone());
            }
            passed += octets;
            while let Some((place, item)) = archive.read() {
                match item {
                    Item::Entry(entry) => {
                        entries += 1;
                        if let Err(error) = self.replay.read(&entry, &mut self.output) {
                            self.troubles.not_understood.add(path, place, error, entry.line.msg);
                        }
                    }
                    Item::Unread(unread) => {
                        begins.get_or_insert_with(|| quoted(unread.text));
                        self.troubles.not_read.add(path, place, unread.why, unread.text);
                    }
                }
                self.page.add(&mut self.output);
            }
            self.flush()?;
            if octets == 0 {
                break;
            }
        }
        match begins {
            Some(begins) if entries == 0 => Err(ReplayError::NoLog { file: path.to_owned(), begins }),
            _ => Ok(()),
        }
    }

    /// Reads the first part of a file to find its apps.
    fn announce(&mut self, mut archive: Archive) {
        while let Some((_, item)) = archive.read() {
            if let Item::Entry(entry) = item {
                self.replay.announce(&entry);
            }
        }
    }

    fn flush(&mut self) -> Result<(), ReplayError> {
        if self.page.text.is_empty() {
            return Ok(());
        }
        let text = mem::take(&mut self.page.text);
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

/// The text in `reader`, unpacked if it is gzipped, including archives joined from several members.
fn unzipped<'r>(mut reader: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let mut head = Vec::new();
    reader.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut head)?;
    let is_gzipped = head == GZIP_MAGIC;
    let whole = Cursor::new(head).chain(reader);
    Ok(if is_gzipped {
        Box::new(Filling { reader: MultiGzDecoder::new(whole), trouble: None })
    } else {
        Box::new(whole)
    })
}

/// Fills the caller's buffer, or returns everything left. An unpacker stops at the end of each member, and
/// the meaning of a system's name depends on the rest of a file's first part, wherever it was joined. An
/// uncompressed pipe is not waited for: its lines are handled as they come.
struct Filling<R> {
    reader: R,
    /// The error that ended the last part early, to be reported in its turn.
    trouble: Option<io::Error>,
}

impl<R: Read> Read for Filling<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < room.len() && self.trouble.is_none() {
            match self.reader.read(&mut room[filled..]) {
                Ok(0) => break,
                Ok(octets) => filled += octets,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.trouble = Some(error),
            }
        }
        if filled == 0 { self.trouble.take().map_or(Ok(0), Err) } else { Ok(filled) }
    }
}

/// RFC 1952, 2.3.1.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The start of an untrusted text, enough to recognise it.
fn quoted(text: &[u8]) -> String {
    // A character has four bytes at most.
    let text = &text[..text.len().min(limits::QUOTED_CHARS_MAX * 4)];
    String::from_utf8_lossy(text).trim_end().chars().take(limits::QUOTED_CHARS_MAX).collect()
}

// === Standard output ===

/// The text to be printed next.
struct Page {
    /// None for JSON.
    timeline: Option<Timeline>,
    is_begun: bool,
    text: String,
}

// === impl Page ===

impl Page {
    /// Adds the decisions. A replay makes up the outcome of a restart, so outcomes are not printed.
    fn add(&mut self, output: &mut Vec<ReplayOutput>) {
        for ReplayOutput { app, record } in output.drain(..) {
            let Record::Decision(decision) = record else { continue };
            self.is_begun = true;
            match &mut self.timeline {
                Some(timeline) => timeline.add(&app, &decision, &mut self.text),
                None => {
                    let json = serde_json::to_string(&DecisionView::new(&decision, &app))
                        .expect("texts and numbers always have a form in JSON");
                    writeln!(self.text, "{json}").expect("a string takes everything");
                }
            }
        }
    }

    fn end(&mut self, summary: Option<Summary>) {
        let Some(timeline) = &mut self.timeline else { return };
        timeline.end(&mut self.text);
        if let Some(summary) = summary {
            let gap = if self.is_begun { "\n" } else { "" };
            writeln!(self.text, "{gap}{summary}").expect("a string takes everything");
        }
    }
}

// === Standard error ===

/// Lines that could not be used.
#[derive(Default)]
struct Troubles {
    not_read: Trouble,
    not_understood: Trouble,
}

/// Problems of one kind: their number, and the first.
#[derive(Default)]
struct Trouble {
    count: u64,
    first: String,
}

impl Trouble {
    fn add(&mut self, path: &Path, place: Place, why: impl fmt::Display, text: &[u8]) {
        if self.count == 0 {
            self.first = format!("{}:{place}: {why}: {:?}", path.display(), quoted(text));
        }
        self.count += 1;
    }
}

impl fmt::Display for Troubles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, trouble) in [("read", &self.not_read), ("understood", &self.not_understood)] {
            match trouble.count {
                0 => {}
                1 => writeln!(f, "1 line was not {what}: {}", trouble.first)?,
                count => writeln!(f, "{count} lines were not {what}, first {}", trouble.first)?,
            }
        }
        Ok(())
    }
}
