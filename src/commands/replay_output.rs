//! What `replay` writes: decisions to standard output, and what could not be used to standard error.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use dynowarden_core::ident::DynoRef;
use dynowarden_core::limits;
use dynowarden_core::record::Record;
use dynowarden_core::record::view::DecisionView;
use dynowarden_core::replay::ReplayOutput;
use dynowarden_core::replay::archive::{Entry, Place, Unread, Why};
use dynowarden_core::replay::order::Late;
use dynowarden_core::replay::summary::Summary;
use dynowarden_core::replay::timeline::Timeline;

// === Standard output ===

/// The text to be printed next.
pub(super) struct Page {
    /// None for JSON.
    pub(super) timeline: Option<Timeline>,
    pub(super) is_begun: bool,
    pub(super) text: String,
}

// === impl Page ===

impl Page {
    /// Adds the decisions. A replay makes up the outcome of a restart, so outcomes are not printed.
    pub(super) fn add(&mut self, output: &mut Vec<ReplayOutput>) {
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

    pub(super) fn end(&mut self, summary: Option<Summary>) {
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
pub(super) struct Troubles {
    pub(super) not_read: Trouble,
    pub(super) not_understood: Trouble,
    /// Lines about whole files.
    pub(super) notes: String,
}

// === impl Troubles ===

impl Troubles {
    pub(super) fn add_late(&mut self, late: &Late, files: &[PathBuf]) {
        let Some((file, place)) = late.first.filter(|_| late.lines > 0) else { return };
        let path = files[file].display();
        let text = format!(
            "{} lines come after later ones and could not be put in order, first {path}:{place}: \
             name the files \
             oldest first\n",
            late.lines
        );
        self.notes.push_str(&text);
    }
}

/// Problems of one kind: their number, and the first.
#[derive(Default)]
pub(super) struct Trouble {
    count: u64,
    first: String,
}

impl Trouble {
    pub(super) fn add(&mut self, path: &Path, place: Place, why: impl fmt::Display, text: &[u8]) {
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
        f.write_str(&self.notes)
    }
}

// === Parts ===

/// What a file has, to say what is wrong with it.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) entries: u64,
    pub(super) has_dyno: bool,
    pub(super) without_dyno: u64,
    /// The first part that was not read, and the first platform line without a dyno.
    pub(super) begins: Option<(String, String)>,
}

// === impl Seen ===

impl Seen {
    pub(super) fn note(&mut self, entry: &Entry<'_>) {
        self.entries += 1;
        self.has_dyno |= entry.line.app == b"heroku" && DynoRef::parse(entry.line.procid).is_some();
    }

    pub(super) fn note_unread(&mut self, unread: &Unread<'_>) {
        let is_without_dyno = matches!(unread.why, Why::Dyno | Why::Fir);
        let begins = self.begins.get_or_insert_with(|| (quoted(unread.text), String::new()));
        if is_without_dyno && self.without_dyno == 0 {
            begins.1 = quoted(unread.text);
        }
        self.without_dyno += u64::from(is_without_dyno);
    }
}

/// The text, without the mark of UTC behind its times if they are not known to be in it.
pub(super) fn zoned(text: String, is_zoned: bool) -> String {
    if is_zoned {
        return text;
    }
    let octets = text.as_bytes();
    let is_digit = |at: usize| octets.get(at).is_some_and(u8::is_ascii_digit);
    let is_mark = |at: usize| {
        let fraction = octets[..at].iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
        let end = match octets[..at].get(at.wrapping_sub(fraction + 1)) {
            Some(b'.') => at - fraction - 1,
            _ => at,
        };
        end >= 8
            && [1, 2, 4, 5, 7, 8].iter().all(|back| is_digit(end - back))
            && [3, 6].iter().all(|back| octets[end - back] == b':')
    };
    text.char_indices().filter(|(at, c)| *c != 'Z' || !is_mark(*at)).map(|(_, c)| c).collect()
}

/// The start of an untrusted text, enough to recognise it.
pub(super) fn quoted(text: &[u8]) -> String {
    // A character has four bytes at most.
    let text = &text[..text.len().min(limits::QUOTED_CHARS_MAX * 4)];
    String::from_utf8_lossy(text).trim_end().chars().take(limits::QUOTED_CHARS_MAX).collect()
}
