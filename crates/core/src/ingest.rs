//! From the body of a batch to the engine's events; everything else is counted.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use crate::codes::Code;
use crate::days::seen::{self, Seen};
use crate::detect;
use crate::event::{BorrowedEvent, Event, Fact};
use crate::glance::{Glance, Usual, glances};
use crate::ident::{self, DrainToken, DynoName, DynoRef, ProcessType};
use crate::limits;
use crate::wire::line::Line;
use crate::wire::timestamp::Times;

/// Process types whose events are kept for one app.
#[derive(Clone, Debug)]
pub struct ProcessTypeFilter {
    /// Events share their text, so that an event costs no allocation of its own.
    pub process_types: Vec<ProcessType>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames, including bad ones.
    pub frames: u64,
    /// Unreadable frames, by kind.
    pub bad_frames: BTreeMap<&'static str, u64>,
    /// Events about the app and about dynos of the listed types, by kind.
    pub events: BTreeMap<EventKind, u64>,
    /// Events about dynos of other types.
    pub left_alone: u64,
    /// Messages that L10 lines report as dropped on the way to other drains, which also see the app's log.
    pub lost_elsewhere: u64,
    /// Messages that L10 lines report as dropped on their way here.
    pub lost_messages: u64,
}

/// The label value of an event in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    Error(Code),
    Life,
    /// L10.
    Loss,
    /// Memory next to an R14.
    Memory,
    Release,
    Sample,
    Scale,
}

/// Reads a batch: passes on the events that match the filter and adds everything up in `counts`. A few errors
/// of other process types pass as well, so that it is on record that they are left alone.
///
/// An unreadable frame costs only itself. If its count is broken, the start of the next frame is unknown, so
/// the batch ends there.
///
/// `own` is the drain that brought the batch, if known: it distinguishes losses of other drains.
pub fn read_batch(
    body: &[u8],
    watch: &ProcessTypeFilter,
    own: Option<&DrainToken>,
    counts: &mut Counts,
) -> Vec<Event> {
    read_batch_with(body, watch, own, counts, |_| {})
}

/// A readable line that is not an app's own output, for statistics.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'l, 'b> {
    /// The router's line about an answered request.
    Request(&'l Usual<'b>),
    /// Any other, with the event in it.
    Line(&'l Line<'b>, Option<&'l BorrowedEvent<'b>>),
}

/// Does the same as [`read_batch`], and passes every readable line but an app's own output to `show`.
pub fn read_batch_with<'b>(
    body: &'b [u8],
    watch: &ProcessTypeFilter,
    own: Option<&DrainToken>,
    counts: &mut Counts,
    mut show: impl FnMut(Shown<'_, 'b>),
) -> Vec<Event> {
    let (mut events, mut unlisted, mut times) = (Vec::new(), 0, Times::default());
    for (place, glance) in (0_u64..).zip(glances(body)) {
        if place >= limits::FRAMES_PER_BATCH_MAX {
            counts.bad_frame("too_many");
            break;
        }
        counts.frames += 1;
        let found = match glance {
            Glance::App => continue,
            Glance::Request(line) => {
                show(Shown::Request(&line));
                continue;
            }
            Glance::Line(Ok(line)) => {
                let found = detect::event_of_batch(&line, &mut times).map_err(|error| error.label());
                show(Shown::Line(&line, found.as_ref().ok().and_then(Option::as_ref)));
                found
            }
            Glance::Line(Err(bad)) => Err(bad.label()),
        };
        match found {
            Ok(None) => {}
            Ok(Some(event)) => {
                let at = event.at;
                if let Fact::Error { code, dyno: Some(dyno) } = event.fact
                    && unlisted < limits::UNLISTED_ERRORS_PER_BATCH_MAX
                    && let Some(dyno) = watch.unlisted(dyno)
                {
                    unlisted += 1;
                    events.push(Event { at, fact: Fact::Error { code, dyno: Some(dyno) } });
                }
                match event.fact.name_dyno(|dyno| watch.listed(dyno)) {
                    Some(fact) => {
                        counts.event(&fact, own);
                        events.push(Event { at, fact });
                    }
                    None => counts.left_alone += 1,
                }
            }
            Err(kind) => counts.bad_frame(kind),
        }
    }
    events
}

impl<'b> Shown<'_, 'b> {
    /// What the statistics use of it.
    #[inline]
    pub fn seen(self) -> Option<(Option<DynoRef<'b>>, Seen<'b>)> {
        match self {
            Self::Request(line) => Some(seen::of_router(line.msg())),
            Self::Line(line, event) => seen::read_with(line, event.map(|event| &event.fact)),
        }
    }

    /// The time in it, if it can be read.
    #[inline]
    pub fn time(self, times: &mut Times) -> Option<Timestamp> {
        match self {
            Self::Request(line) => times.parse(line.time()).ok(),
            Self::Line(_, Some(event)) => Some(event.at),
            Self::Line(line, None) => times.parse(line.time).ok(),
        }
    }
}

impl ProcessTypeFilter {
    /// The name of a dyno of another process type, unless it is a one-off dyno.
    fn unlisted(&self, dyno: DynoRef<'_>) -> Option<DynoName> {
        let is_listed = self.process_types.iter().any(|listed| listed.as_str() == dyno.process_type);
        if is_listed || ident::is_one_off(dyno.process_type) {
            return None;
        }
        Some(DynoName::new(dyno.process_type.parse().ok()?, dyno.index))
    }

    /// The name of a dyno of a listed process type.
    pub fn listed(&self, dyno: DynoRef<'_>) -> Option<DynoName> {
        let listed = self.process_types.iter().find(|listed| listed.as_str() == dyno.process_type)?;
        Some(DynoName::new(listed.clone(), dyno.index))
    }
}

impl Counts {
    pub fn bad_frame(&mut self, kind: &'static str) {
        *self.bad_frames.entry(kind).or_default() += 1;
    }

    fn event(&mut self, fact: &Fact, own: Option<&DrainToken>) {
        if let Fact::Loss { drain, messages } = fact {
            // Without a name it is the reader's own (heroku.md §1.5).
            let is_other = drain.as_ref().zip(own).is_some_and(|(drain, own)| drain != own);
            let lost = if is_other { &mut self.lost_elsewhere } else { &mut self.lost_messages };
            *lost = lost.saturating_add(*messages);
        }
        *self.events.entry(EventKind::of(fact)).or_default() += 1;
    }
}

impl EventKind {
    fn of(fact: &Fact) -> Self {
        match fact {
            Fact::Error { code, .. } => Self::Error(*code),
            Fact::Life { .. } => Self::Life,
            Fact::Loss { .. } => Self::Loss,
            Fact::Memory { .. } => Self::Memory,
            Fact::Release { .. } => Self::Release,
            Fact::Sample { .. } => Self::Sample,
            Fact::Scale { .. } => Self::Scale,
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(code) => code.fmt(f),
            Self::Life => f.write_str("life"),
            Self::Loss => f.write_str("loss"),
            Self::Memory => f.write_str("memory"),
            Self::Release => f.write_str("release"),
            Self::Sample => f.write_str("sample"),
            Self::Scale => f.write_str("scale"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Counts, EventKind, ProcessTypeFilter, read_batch};
    use crate::codes::Code;
    use crate::limits;

    fn frame(app: &str, procid: &str, message: &str) -> String {
        let line = format!("<134>1 2026-01-02T03:04:05Z host {app} {procid} - {message}\n");
        format!("{} {line}", line.len())
    }

    fn watch() -> ProcessTypeFilter {
        ProcessTypeFilter {
            process_types: vec!["web".parse().expect("a type"), "api".parse().expect("a type")],
        }
    }

    #[track_caller]
    fn check(body: &str, dynos: &[Option<&str>], expect: &Counts) {
        let mut counts = Counts::default();
        let events = read_batch(body.as_bytes(), &watch(), None, &mut counts);
        let named: Vec<_> = events.iter().map(|event| event.fact.dyno().map(ToString::to_string)).collect();
        let named: Vec<_> = named.iter().map(Option::as_deref).collect();
        assert_eq!(named, dynos);
        assert_eq!(&counts, expect);
    }

    #[test]
    fn events_of_listed_types_and_of_the_app_pass() {
        let r14 = "Error R14 (Memory quota exceeded)";
        let body = [
            frame("heroku", "web.1", r14),
            frame("heroku", "worker.1", r14),
            frame("heroku", "api.2", "Process running mem=646M(126.2%)"),
            frame("app", "web.1", r14),
            frame("heroku", "run.7", "State changed from starting to up"),
            frame("app", "api", "Release v12 created by user a@example.com"),
            frame(
                "heroku",
                "logplex",
                "Error L10 (output buffer overflow): 5 messages dropped since 2026-01-02T03:04:05Z.",
            ),
        ]
        .concat();
        let events = [EventKind::Error(Code::R14), EventKind::Memory, EventKind::Release, EventKind::Loss];
        let expect = Counts {
            frames: 7,
            events: events.into_iter().map(|kind| (kind, 1)).collect(),
            left_alone: 2,
            lost_elsewhere: 0,
            lost_messages: 5,
            bad_frames: BTreeMap::new(),
        };
        check(&body, &[Some("web.1"), Some("worker.1"), Some("api.2"), None, None], &expect);
    }

    #[test]
    fn unreadable_frames_are_counted_by_kind() {
        let r14 = frame("heroku", "web.1", "Error R14 (Memory quota exceeded)");
        let counts = |frames, events: u64, bad: &[(&'static str, u64)]| Counts {
            frames,
            events: (0..events.min(1)).map(|_| (EventKind::Error(Code::R14), events)).collect(),
            bad_frames: bad.iter().copied().collect(),
            ..Counts::default()
        };
        check("", &[], &counts(0, 0, &[]));
        check(
            &format!("{r14}4 nonsense{r14}"),
            &[Some("web.1")],
            &counts(3, 1, &[("header", 1), ("count", 1)]),
        );
        check(&format!("3 non{r14}"), &[Some("web.1")], &counts(2, 1, &[("header", 1)]));
        check(&format!("{r14}500 half"), &[Some("web.1")], &counts(2, 1, &[("cut", 1)]));
        check(&r14.replace("2026-01", "2026-99"), &[], &counts(1, 0, &[("time", 1)]));
    }

    #[test]
    fn frames_past_the_limit_of_a_batch_are_not_read() {
        let r14 = frame("heroku", "web.1", "Error R14 (Memory quota exceeded)");
        let most = usize::try_from(limits::FRAMES_PER_BATCH_MAX).expect("a number of frames");
        for (silent, events, too_many) in [(most - 1, 1, None), (most, 0, Some(1))] {
            let body = format!("{}{r14}{r14}", frame("app", "web.1", "x").repeat(silent));
            let body = if too_many.is_none() { body[..body.len() - r14.len()].to_owned() } else { body };
            let mut counts = Counts::default();
            assert_eq!(read_batch(body.as_bytes(), &watch(), None, &mut counts).len(), events);
            assert_eq!(counts.frames, limits::FRAMES_PER_BATCH_MAX);
            assert_eq!(counts.bad_frames.get("too_many").copied(), too_many);
        }
    }

    #[test]
    fn losses_are_counted_by_drain() {
        let l10 =
            |text: &str| frame("heroku", "logplex", &format!("Error L10 (output buffer overflow): {text}"));
        let body = [
            l10("1 messages dropped since 2026-01-02T03:04:05Z."),
            l10("drain 'd.own' dropped 20 messages since 2026-01-02T03:04:05Z."),
            l10("drain 'd.other' dropped 300 messages since 2026-01-02T03:04:05Z."),
        ]
        .concat();
        let own = "d.own".parse().expect("a token");
        for (own, here, elsewhere) in [(Some(&own), 21, 300), (None, 321, 0)] {
            let mut counts = Counts::default();
            read_batch(body.as_bytes(), &watch(), own, &mut counts);
            assert_eq!((counts.lost_messages, counts.lost_elsewhere), (here, elsewhere), "{own:?}");
        }
    }

    #[test]
    fn events_share_the_text_of_their_process_type() {
        let watch = watch();
        let body = frame("heroku", "web.1", "Error R14 (Memory quota exceeded)");
        let events = read_batch(body.as_bytes(), &watch, None, &mut Counts::default());
        let dyno = events[0].fact.dyno().expect("a dyno");
        assert!(std::ptr::eq(dyno.process_type().as_str(), watch.process_types[0].as_str()));
    }
}
