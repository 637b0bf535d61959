//! The order of an archive's lines: newest first, by pages, or as they were written.
//!
//! Lines are held until they are known to be in order, within [`limits::REPLAY_HELD_BYTES_MAX`]. What is held
//! falls into *runs*, which go forward or backward in time as far as jitter allows. A run that goes backward
//! is reversed, and runs are merged by their times. A run that goes forward keeps the order in which it was
//! written, because a line that was written later can have an earlier time: replay decides as the daemon does
//! when the lines come in.

use std::mem;
use std::time::Duration;

use jiff::Timestamp;

use crate::limits;
use crate::replay::archive::{Entry, Place};
use crate::time::{earlier, later};
use crate::wire::line::Line;
use crate::wire::timestamp::TimeError;

/// Lines that wait for their turn.
#[derive(Debug, Default)]
pub struct Order {
    lines: Vec<Held>,
    octets: Vec<u8>,
    /// The latest time of the lines that were given out.
    passed: Option<Timestamp>,
    late: Late,
}

/// Lines that came after lines of a later time had been given out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Late {
    pub lines: u64,
    /// The file and the place of the first.
    pub first: Option<(usize, Place)>,
}

/// The lines run backward, and there are more than can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it runs from new to old, and there is too much of it to be turned round ({} MiB of platform lines); \
     reverse it first, as in `tac FILE | dynowarden replay -`",
    limits::REPLAY_HELD_BYTES_MAX >> 20
)]
pub struct TooLarge;

/// One line, with its texts in [`Order::octets`].
#[derive(Debug)]
struct Held {
    at: Result<Timestamp, TimeError>,
    is_zone_unknown: bool,
    file: usize,
    place: Place,
    has_system: bool,
    start: usize,
    /// The ends of its system, HOST, APP, PROCID and MSG.
    ends: [usize; 5],
    priority: u8,
    /// The time by which it is merged.
    key: Timestamp,
}

// === impl Order ===

impl Order {
    /// Adds a line of the file with this number.
    ///
    /// An app's own text is not kept: it means nothing.
    pub fn hold(&mut self, file: usize, place: Place, entry: &Entry<'_>) {
        let Line { priority, host, app, procid, msg, .. } = entry.line;
        let is_app = app != b"heroku" && !(app == b"app" && matches!(procid, b"api" | b"log-shuttle"));
        let msg = if is_app { &msg[..0] } else { msg };
        let start = self.octets.len();
        let texts = [entry.system.unwrap_or_default(), host, app, procid, msg];
        let ends = texts.map(|text| {
            self.octets.extend_from_slice(text);
            self.octets.len()
        });
        self.lines.push(Held {
            at: entry.at,
            is_zone_unknown: entry.is_zone_unknown,
            file,
            place,
            has_system: entry.system.is_some(),
            start,
            ends,
            priority,
            key: entry.at.unwrap_or(Timestamp::MIN),
        });
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.octets.len() + self.lines.len() * size_of::<Held>() >= limits::REPLAY_HELD_BYTES_MAX
    }

    /// Whether the last line is at `at` or later, and the lines do not run backward.
    pub fn ends_at(&self, at: Timestamp) -> bool {
        let is_backward = runs(&self.lines).last().is_some_and(|run| run.is_backward);
        self.lines.last().is_some_and(|line| line.at.is_ok_and(|time| time >= at)) && !is_backward
    }

    /// Gives out all lines in their order.
    pub fn take(&mut self) -> Ordered {
        let count = self.sort();
        self.split(count)
    }

    /// Gives out the older half.
    ///
    /// # Errors
    /// Older lines are still to come.
    pub fn take_half(&mut self) -> Result<Ordered, TooLarge> {
        let is_backward = runs(&self.lines).last().is_some_and(|run| run.is_backward);
        if is_backward {
            return Err(TooLarge);
        }
        let count = self.sort();
        Ok(self.split(count / 2))
    }

    pub fn late(&self) -> &Late {
        &self.late
    }

    /// Puts the lines in order, and returns their number.
    fn sort(&mut self) -> usize {
        let mut sorted = Vec::with_capacity(self.lines.len());
        let runs = runs(&self.lines);
        let mut lines = mem::take(&mut self.lines).into_iter();
        for run in runs {
            let mut part: Vec<_> = lines.by_ref().take(run.len).collect();
            if run.is_backward {
                if !run.is_paged {
                    part.reverse();
                }
                carry(&mut part, SECONDS);
                part.sort_by_key(|line| line.key);
            } else {
                carry(&mut part, JITTER);
            }
            sorted.append(&mut part);
        }
        sorted.sort_by_key(|line| line.key);
        self.lines = sorted;
        self.lines.len()
    }

    fn split(&mut self, count: usize) -> Ordered {
        let rest = self.lines.split_off(count);
        let lines = mem::replace(&mut self.lines, rest);
        for line in &lines {
            self.late.note(line, self.passed);
        }
        let latest = lines.iter().filter_map(|line| line.at.ok()).max();
        self.passed = self.passed.max(latest);
        let octets = mem::take(&mut self.octets);
        // What stays is copied, so that the space of the rest is free again.
        for line in &mut self.lines {
            let (from, to) = (line.start, line.ends[4]);
            let start = self.octets.len();
            self.octets.extend_from_slice(&octets[from..to]);
            line.start = start;
            line.ends = line.ends.map(|end| end - from + start);
        }
        Ordered { lines, octets }
    }
}

/// Makes each key the latest time so far, so that lines stay as they were written where they go back by less
/// than `jitter`.
fn carry(lines: &mut [Held], jitter: Duration) {
    // Lines without a time that can be read stay behind the line before them.
    let first = lines.iter().find_map(|line| line.at.ok()).unwrap_or(Timestamp::MIN);
    let mut latest = first;
    for line in lines {
        let at = line.at.unwrap_or(latest);
        latest = latest.max(at);
        line.key = if at < earlier(latest, jitter) { at } else { latest };
    }
}

/// Some lines in their order.
#[derive(Debug)]
pub struct Ordered {
    lines: Vec<Held>,
    octets: Vec<u8>,
}

// === impl Ordered ===

impl Ordered {
    /// Each line with the number of its file and its place there.
    pub fn entries(&self) -> impl Iterator<Item = (usize, Place, Entry<'_>)> {
        self.lines.iter().map(|line| {
            let [system, host, app, procid, msg] = line.ends;
            let text = |from: usize, to: usize| &self.octets[from..to];
            let entry = Entry {
                system: line.has_system.then(|| text(line.start, system)),
                at: line.at,
                is_zone_unknown: line.is_zone_unknown,
                line: Line {
                    priority: line.priority,
                    time: b"",
                    host: text(system, host),
                    app: text(host, app),
                    procid: text(app, procid),
                    msgid: b"-",
                    msg: text(procid, msg),
                },
            };
            (line.file, line.place, entry)
        })
    }
}

// === impl Late ===

impl Late {
    fn note(&mut self, line: &Held, passed: Option<Timestamp>) {
        let is_late = passed.zip(line.at.ok()).is_some_and(|(passed, at)| at < earlier(passed, JITTER));
        if is_late {
            self.lines += 1;
            self.first.get_or_insert((line.file, line.place));
        }
    }
}

/// Lines in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    len: usize,
    is_backward: bool,
    /// It goes backward by short pages, which go forward themselves.
    is_paged: bool,
}

/// The runs of these lines. A file begins a new one.
fn runs(lines: &[Held]) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut start = 0;
    while start < lines.len() {
        let run = run(&lines[start..]);
        start += run.len;
        runs.push(run);
    }
    runs
}

/// The longest run at the start of `lines`.
fn run(lines: &[Held]) -> Run {
    let mut direction = Direction::default();
    for (place, line) in lines.iter().enumerate() {
        let is_other_file = line.file != lines[0].file;
        let is_over = line.at.is_ok_and(|at| !direction.takes(at));
        if is_other_file || is_over {
            return direction.run(place);
        }
        if let Ok(at) = line.at {
            direction.add(at);
        }
    }
    direction.run(lines.len())
}

/// What the lines so far say about a run's direction.
#[derive(Debug, Default)]
struct Direction {
    /// The first, the earliest and the latest time, and the last.
    times: Option<[Timestamp; 4]>,
    ups: u32,
    downs: u32,
    /// Whether the run can only be forward, or only backward.
    is_settled: Option<Settled>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    Forward,
    Backward,
}

impl Direction {
    /// Whether a line at `at` can be part of the run.
    fn takes(&self, at: Timestamp) -> bool {
        let Some([_, earliest, latest, _]) = self.times else { return true };
        let (is_forward, is_backward) = (at >= earlier(latest, JITTER), at <= later(earliest, JITTER));
        match self.is_settled {
            Some(Settled::Forward) => is_forward,
            Some(Settled::Backward) => is_backward,
            None => is_forward || is_backward,
        }
    }

    fn add(&mut self, at: Timestamp) {
        let Some([first, earliest, latest, last]) = self.times else {
            self.times = Some([at; 4]);
            return;
        };
        let (is_forward, is_backward) = (at >= earlier(latest, JITTER), at <= later(earliest, JITTER));
        if is_forward != is_backward {
            self.is_settled = Some(if is_forward { Settled::Forward } else { Settled::Backward });
        }
        self.ups += u32::from(at > last);
        self.downs += u32::from(at < last);
        self.times = Some([first, earliest.min(at), latest.max(at), at]);
    }

    fn run(&self, len: usize) -> Run {
        let is_backward = self.is_backward();
        Run { len, is_backward, is_paged: is_backward && self.ups > self.downs }
    }

    fn is_backward(&self) -> bool {
        match (self.is_settled, self.times) {
            (Some(settled), _) => settled == Settled::Backward,
            // A short run: jitter turns some lines, and never most of them.
            (None, Some([first, .., last])) => self.downs > self.ups && last < earlier(first, SECONDS),
            (None, None) => false,
        }
    }
}

/// How far lines can be from their order without being out of it. Logplex sends a batch three times within 15
/// seconds, from several nodes at once.
const JITTER: Duration = Duration::from_secs(60);

/// A few lines that go back by more than this run backward.
const SECONDS: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::{Just, Strategy as _, prop, proptest};

    use super::Order;
    use crate::replay::archive::{Entry, Place};
    use crate::wire::line::Line;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_750_000_000 + secs).expect("a time")
    }

    /// The order of lines at these seconds of the file with this number.
    fn ordered(lines: &[(usize, i64)]) -> Vec<(usize, i64)> {
        let mut order = Order::default();
        for (place, (file, secs)) in (1..).zip(lines) {
            let line = Line::shown(b"", b"heroku", b"web.1", b"x");
            let entry = Entry { system: None, at: Ok(at(*secs)), is_zone_unknown: false, line };
            order.hold(*file, Place::Line(place), &entry);
        }
        let ordered = order.take();
        let seconds = ordered
            .entries()
            .map(|(file, _, entry)| (file, entry.at.expect("a time").as_second() - 1_750_000_000));
        seconds.collect()
    }

    #[track_caller]
    fn check(lines: &[i64], expect: &[i64]) {
        let lines: Vec<_> = lines.iter().map(|secs| (0, *secs)).collect();
        let seconds: Vec<_> = ordered(&lines).into_iter().map(|(_, secs)| secs).collect();
        assert_eq!(seconds, expect);
    }

    #[test]
    fn lines_in_order_and_jitter_stay_as_they_are() {
        check(&[], &[]);
        check(&[0, 20, 40, 60, 80, 100], &[0, 20, 40, 60, 80, 100]);
        check(&[0, 20, 19, 40, 10, 60, 59, 200], &[0, 20, 19, 40, 10, 60, 59, 200]);
        check(&[1, 0], &[1, 0]);
        check(&[3, 2, 1], &[3, 2, 1]);
    }

    #[test]
    fn lines_that_run_backward_are_reversed() {
        check(&[100, 80, 60, 40, 20, 0], &[0, 20, 40, 60, 80, 100]);
        check(&[40, 20, 0], &[0, 20, 40]);
        check(&[400, 399, 401, 200, 0, 1], &[1, 0, 200, 401, 399, 400]);
        // Pages that are shorter than jitter.
        check(&[60, 81, 0, 21], &[0, 21, 60, 81]);
        check(
            &[180, 201, 222, 120, 120, 141, 162, 60, 81, 102],
            &[60, 81, 102, 120, 120, 141, 162, 180, 201, 222],
        );
    }

    #[test]
    fn pages_and_files_are_put_in_order() {
        check(&[1000, 1100, 1200, 500, 600, 700, 0, 100], &[0, 100, 500, 600, 700, 1000, 1100, 1200]);
        check(&[100, 50, 0, 1100, 1050, 1000], &[0, 50, 100, 1000, 1050, 1100]);
        assert_eq!(ordered(&[(0, 500), (0, 600), (1, 0), (1, 100)]), [(1, 0), (1, 100), (0, 500), (0, 600)]);
        assert_eq!(ordered(&[(0, 0), (0, 600), (1, 300)]), [(0, 0), (1, 300), (0, 600)]);
    }

    #[test]
    fn the_older_half_is_given_out_first() {
        let mut order = Order::default();
        for secs in [0, 100, 200, 300] {
            let line = Line::shown(b"", b"heroku", b"web.1", b"x");
            let entry = Entry { system: Some(b"acme"), at: Ok(at(secs)), is_zone_unknown: false, line };
            order.hold(0, Place::Line(1), &entry);
        }
        let text = |ordered: super::Ordered| -> Vec<String> {
            let show = |(_, _, entry): (usize, Place, Entry<'_>)| {
                format!("{:?} {:?}", entry.at.map(|at| at.as_second() - 1_750_000_000), entry.line.msg)
            };
            ordered.entries().map(show).collect()
        };
        let half = text(order.take_half().expect("forward"));
        assert_eq!(half, ["Ok(0) [120]", "Ok(100) [120]"]);
        assert_eq!(text(order.take()), ["Ok(200) [120]", "Ok(300) [120]"]);
        let line = Line::shown(b"", b"heroku", b"web.1", b"x");
        order.hold(0, Place::Line(5), &Entry { system: None, at: Ok(at(0)), is_zone_unknown: false, line });
        drop(order.take());
        assert_eq!((order.late().lines, order.late().first), (1, Some((0, Place::Line(5)))));
    }

    proptest! {
        /// Lines more than jitter apart are in order, however a file is arranged.
        #[test]
        fn any_arrangement_is_put_in_order(
            lines in (2_usize..40).prop_flat_map(|count| {
                Just((0..count).map(|place| place as i64 * 200).collect::<Vec<_>>()).prop_shuffle()
            }),
        ) {
            let mut expect = lines.clone();
            expect.sort_unstable();
            let lines: Vec<_> = lines.into_iter().map(|secs| (0, secs)).collect();
            let seconds: Vec<_> = ordered(&lines).into_iter().map(|(_, secs)| secs).collect();
            assert_eq!(seconds, expect);
        }

        /// A reversed file is the file.
        #[test]
        fn a_reversed_file_is_the_same(steps in prop::collection::vec(0_i64..100, 5..60)) {
            let mut seconds = vec![0];
            for step in &steps {
                seconds.push(seconds[seconds.len() - 1] + step);
            }
            let lines: Vec<_> = seconds.iter().map(|secs| (0, *secs)).collect();
            let reversed: Vec<_> = lines.iter().rev().copied().collect();
            assert_eq!(ordered(&reversed), ordered(&lines));
        }
    }
}
