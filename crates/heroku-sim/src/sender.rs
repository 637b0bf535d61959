//! One logplex node's sender for one drain: its buffer, its retries and its drops.
//!
//! The policy is that of the only public drain client (heroku.md §1.3 to §1.5, from its source): a bounded
//! buffer that drops its oldest message, a batch per request with a frame id that survives the retries, three
//! attempts, 4xx final, and a buffer of ten after five minutes without success.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::line::{Dialect, LogLine, clock_text};
use crate::rng::Chance;
use dynowarden_core::ident::{AppName, DrainToken};
use dynowarden_core::time::{later, since};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainPolicy {
    /// Octets of a batch, unless a single line is larger.
    pub batch_bytes_target: usize,
    pub chaos: Chaos,
    /// In the space dialect every line is a request of its own.
    pub dialect: Dialect,
    /// Each has its own buffer and its own order.
    pub nodes: u32,
    pub wording: Wording,
}

impl Default for DrainPolicy {
    fn default() -> Self {
        Self {
            batch_bytes_target: 102_400,
            chaos: Chaos::default(),
            dialect: Dialect::Logplex,
            nodes: 1,
            wording: Wording::Own,
        }
    }
}

/// Seeded faults, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chaos {
    /// Messages delayed on their way, and so out of order.
    pub delay_permille: u32,
    pub delay_max: Duration,
    /// Batches sent again, with the same frame id, although they were accepted.
    pub duplicate_permille: u32,
    /// Messages lost on their way, and reported as such.
    pub lose_permille: u32,
    /// Messages swapped with the one before them.
    pub reorder_permille: u32,
}

/// How a loss is reported (heroku.md §1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wording {
    /// Before the next batch of the same drain, without a newline: the public source.
    Own,
    /// The same text with a newline.
    OwnWithNewline,
    /// A minute later and with the drain's token, for all drains of the app: production in 2022.
    Shared,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// 1 for the first try.
    pub attempt: u32,
    pub body: Bytes,
    /// Whether to close the connection afterwards.
    pub closes: bool,
    /// Frames in the body.
    pub count: usize,
    /// `Logplex-Frame-Id`; none from space logging.
    pub frame_id: Option<String>,
    /// The sender that waits for the answer.
    pub lane: SenderId,
    /// `Logplex-Drain-Token`; none from space logging.
    pub token: Option<DrainToken>,
    pub url: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SenderId {
    pub token: DrainToken,
    /// Its node, from 0.
    pub node: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Sent, and then no response in time, or a broken one.
    Failed,
    Status(u16),
    Unconnected,
}

#[derive(Clone, Debug)]
pub struct DrainSender {
    app: AppName,
    buffer: VecDeque<Vec<u8>>,
    chance: Chance,
    connects_failed: u32,
    drawn: u64,
    failing_since: Option<Timestamp>,
    flight: Option<Flight>,
    held: BTreeMap<(Timestamp, u64), Vec<u8>>,
    lane: SenderId,
    loss: Option<Loss>,
    not_before: Timestamp,
    policy: DrainPolicy,
    shrunk: bool,
    url: String,
}

/// A batch on its way.
#[derive(Clone, Debug)]
struct Flight {
    attempts: u32,
    frame_id: String,
    frames: Vec<Vec<u8>>,
    in_air: bool,
    repeated: bool,
    /// The part of the loss that the last attempt reported.
    reported: u64,
}

#[derive(Clone, Copy, Debug)]
struct Loss {
    messages: u64,
    since: Timestamp,
}

impl DrainSender {
    /// A sender with nothing to send.
    pub fn new(app: AppName, lane: SenderId, url: String, policy: DrainPolicy, chance: Chance) -> Self {
        Self {
            app,
            buffer: VecDeque::new(),
            chance,
            connects_failed: 0,
            drawn: 0,
            failing_since: None,
            flight: None,
            held: BTreeMap::new(),
            lane,
            loss: None,
            not_before: Timestamp::MIN,
            policy,
            shrunk: false,
            url,
        }
    }

    /// Its app has another name from now on.
    pub(crate) fn renamed(&mut self, app: AppName) {
        self.app = app;
    }

    pub fn push(&mut self, line: &LogLine, now: Timestamp) {
        let chaos = self.policy.chaos;
        for frame in line.frames(self.policy.dialect) {
            if self.chance.hits(chaos.lose_permille) {
                self.lose(1, now);
            } else if self.chance.hits(chaos.delay_permille) {
                let until = later(now, self.chance.span(Duration::ZERO, chaos.delay_max));
                self.drawn += 1;
                self.held.insert((until, self.drawn), frame);
            } else {
                self.enqueue(frame, now);
            }
        }
    }

    /// The next request, if any; none while one is unanswered.
    pub fn poll(&mut self, now: Timestamp) -> Option<Post> {
        while let Some(entry) = self.held.first_entry().filter(|entry| entry.key().0 <= now) {
            let frame = entry.remove();
            self.enqueue(frame, now);
        }
        if now < self.not_before || self.flight.as_ref().is_some_and(|flight| flight.in_air) {
            return None;
        }
        if self.flight.is_none() {
            let frames = self.batch();
            if frames.is_empty() {
                return None;
            }
            let frame_id = self.chance.uuid();
            self.flight =
                Some(Flight { attempts: 0, frame_id, frames, in_air: false, repeated: false, reported: 0 });
        }
        let notice = self.loss.filter(|_| self.policy.wording != Wording::Shared).map(|loss| {
            let text = loss_text(None, loss);
            let line = LogLine::heroku(self.app.clone(), "logplex", text, whole_second(now));
            let newline = self.policy.wording == Wording::OwnWithNewline;
            let dialect = if newline { Dialect::Logplex } else { Dialect::LogplexBare };
            line.frames(dialect).concat()
        });
        let reported = if notice.is_some() { self.loss.map_or(0, |loss| loss.messages) } else { 0 };
        let flight = self.flight.as_mut()?;
        (flight.in_air, flight.reported) = (true, reported);
        flight.attempts += 1;
        let count = flight.frames.len() + usize::from(notice.is_some());
        let space = self.policy.dialect == Dialect::Space;
        Some(Post {
            attempt: flight.attempts,
            body: [notice.unwrap_or_default(), flight.frames.concat()].concat().into(),
            closes: space,
            count,
            frame_id: (!space).then(|| flight.frame_id.clone()),
            lane: self.lane.clone(),
            token: (!space).then(|| self.lane.token.clone()),
            url: self.url.clone(),
        })
    }

    /// Handles the result of the request on its way.
    pub fn answered(&mut self, outcome: Outcome, now: Timestamp) {
        let Some(mut flight) = self.flight.take().filter(|flight| flight.in_air) else { return };
        flight.in_air = false;
        match outcome {
            Outcome::Status(200..=299) => {
                (self.failing_since, self.shrunk, self.connects_failed) = (None, false, 0);
                self.reported(flight.reported, now);
                if !flight.repeated && self.chance.hits(self.policy.chaos.duplicate_permille) {
                    // As if the response had been lost on its way back.
                    flight.repeated = true;
                    self.flight = Some(flight);
                }
                return;
            }
            Outcome::Status(400..=428 | 430..=499) => self.lose(flight.frames.len() as u64, now),
            Outcome::Unconnected => {
                // No attempt is counted; 10 ms x a random power of two, 5.11 s at most (heroku.md §1.4).
                flight.attempts -= 1;
                self.connects_failed += 1;
                let power = 1 + self.chance.below(u64::from(self.connects_failed.min(10)));
                let factor = ((1u64 << power) - 1) / 2;
                self.not_before = later(now, Duration::from_millis(10 * factor));
                self.flight = Some(flight);
            }
            Outcome::Failed | Outcome::Status(_) if flight.attempts >= ATTEMPTS_MAX => {
                self.lose(flight.frames.len() as u64, now);
            }
            Outcome::Failed | Outcome::Status(_) => self.flight = Some(flight),
        }
        let failing_since = *self.failing_since.get_or_insert(now);
        if since(failing_since, now) > SHRINK_AFTER && !self.shrunk {
            self.shrunk = true;
            while self.buffer.len() > SHRUNK_MAX {
                self.buffer.pop_front();
                self.lose(1, now);
            }
        }
    }

    /// The line that reports a loss to all drains of the app, once it is due.
    pub fn notice(&mut self, now: Timestamp) -> Option<LogLine> {
        let loss = self.loss.filter(|_| self.notice_at().is_some_and(|at| at <= now))?;
        self.loss = None;
        let text = loss_text(Some(&self.lane.token), loss);
        Some(LogLine::heroku(self.app.clone(), "logplex", text, now))
    }

    /// When to poll again, apart from an answer or a new line.
    pub fn next_poll_at(&self) -> Option<Timestamp> {
        let held = self.held.first_key_value().map(|(&(at, _), _)| at);
        let waits = match &self.flight {
            Some(flight) => !flight.in_air,
            None => !self.buffer.is_empty(),
        };
        [held, waits.then_some(self.not_before), self.notice_at()].into_iter().flatten().min()
    }

    /// Waiting messages, including those of the batch on its way.
    pub fn waiting(&self) -> usize {
        self.buffer.len() + self.held.len() + self.flight.as_ref().map_or(0, |flight| flight.frames.len())
    }

    fn notice_at(&self) -> Option<Timestamp> {
        let loss = self.loss.filter(|_| self.policy.wording == Wording::Shared)?;
        Some(later(loss.since, NOTICE_AFTER))
    }

    fn enqueue(&mut self, frame: Vec<u8>, now: Timestamp) {
        let max = if self.shrunk { SHRUNK_MAX } else { BUFFER_MAX };
        while self.buffer.len() >= max {
            self.buffer.pop_front();
            self.lose(1, now);
        }
        self.buffer.push_back(frame);
        let last = self.buffer.len() - 1;
        if last > 0 && self.chance.hits(self.policy.chaos.reorder_permille) {
            self.buffer.swap(last - 1, last);
        }
    }

    fn batch(&mut self) -> Vec<Vec<u8>> {
        let mut frames: Vec<Vec<u8>> = Vec::new();
        let mut bytes = 0;
        while let Some(frame) = self.buffer.front() {
            let full = bytes + frame.len() > self.policy.batch_bytes_target
                || self.policy.dialect == Dialect::Space && !frames.is_empty();
            if full && !frames.is_empty() {
                break;
            }
            bytes += frame.len();
            frames.extend(self.buffer.pop_front());
        }
        frames
    }

    fn lose(&mut self, messages: u64, now: Timestamp) {
        let loss = self.loss.get_or_insert(Loss { messages: 0, since: now });
        loss.messages += messages;
    }

    /// A batch that reported `messages` lost messages has arrived.
    fn reported(&mut self, messages: u64, now: Timestamp) {
        self.loss = self.loss.and_then(|loss| {
            let rest = loss.messages.saturating_sub(messages);
            (rest > 0).then_some(Loss { messages: rest, since: if messages > 0 { now } else { loss.since } })
        });
    }
}

fn loss_text(token: Option<&DrainToken>, loss: Loss) -> String {
    let Loss { messages, since } = loss;
    match token {
        None => {
            let since = clock_text(whole_second(since));
            format!("Error L10 (output buffer overflow): {messages} messages dropped since {since}.")
        }
        Some(token) => format!(
            "Error L10 (output buffer overflow): drain '{token}' dropped {messages} messages since {}.",
            clock_text(since)
        ),
    }
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Including the first.
const ATTEMPTS_MAX: u32 = 3;

/// Messages that wait, and how many of them after `SHRINK_AFTER` without success.
const BUFFER_MAX: usize = 1024;
const SHRUNK_MAX: usize = 10;
const SHRINK_AFTER: Duration = Duration::from_secs(300);

/// The time from a loss to the line that reports it, about a minute (heroku.md §1.5).
const NOTICE_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{Chaos, DrainPolicy, DrainSender, Outcome, Post, SenderId, Wording};
    use crate::line::{Dialect, LogLine};
    use crate::rng::Chance;
    use dynowarden_core::time::later;

    const TOKEN: &str = "d.68bc07b8-b306-4fa6-985f-48f8a45912c3";

    fn at(seconds: u64) -> Timestamp {
        let start = Timestamp::from_second(1_767_225_600).expect("2026 is a time");
        later(start, Duration::from_secs(seconds))
    }

    fn node(policy: DrainPolicy) -> DrainSender {
        let lane = SenderId { token: TOKEN.parse().expect("a token"), node: 0 };
        DrainSender::new("acme".parse().expect("a name"), lane, "http://x/".into(), policy, Chance::new(1))
    }

    fn push(node: &mut DrainSender, texts: impl IntoIterator<Item = String>, now: Timestamp) {
        for text in texts {
            node.push(&LogLine::app("acme".parse().expect("a name"), "web.1", text, now), now);
        }
    }

    fn body(post: &Post) -> String {
        String::from_utf8_lossy(&post.body).into_owned()
    }

    #[test]
    fn the_first_line_is_sent_at_once_and_later_ones_together() {
        let mut node = node(DrainPolicy::default());
        assert_eq!((node.poll(at(0)), node.next_poll_at()), (None, None));
        push(&mut node, ["a".into()], at(0));
        let first = node.poll(at(0)).expect("a post");
        push(&mut node, ["b".into(), "c".into()], at(0));
        assert_eq!((first.count, first.attempt, node.poll(at(1))), (1, 1, None));
        node.answered(Outcome::Status(204), at(1));
        let second = node.poll(at(1)).expect("a post");
        assert_eq!(second.count, 2);
        assert_ne!(first.frame_id, second.frame_id);
        assert_eq!(second.token.map(|token| token.to_string()).as_deref(), Some(TOKEN));
    }

    #[test]
    fn a_batch_ends_at_its_target_size_and_a_large_line_is_sent_alone() {
        let mut node = node(DrainPolicy { batch_bytes_target: 1000, ..DrainPolicy::default() });
        push(&mut node, ["x".repeat(400), "x".repeat(400), "x".repeat(5000), "y".into()], at(0));
        let mut counts = Vec::new();
        while let Some(post) = node.poll(at(0)) {
            counts.push(post.count);
            node.answered(Outcome::Status(200), at(0));
        }
        assert_eq!(counts, [2, 1, 1]);
    }

    /// Answers every attempt alike; compares how often the batch was sent and the content of the next one.
    fn check(outcome: Outcome, attempts: u32, next: &str) {
        let mut node = node(DrainPolicy::default());
        push(&mut node, ["one".into(), "two".into()], at(0));
        let first = node.poll(at(0)).expect("a post");
        push(&mut node, ["three".into()], at(0));
        node.answered(outcome, at(1));
        let mut sent = 1;
        let following = loop {
            let post = node.poll(at(10)).expect("a post");
            if post.frame_id != first.frame_id {
                break post;
            }
            sent += 1;
            assert_eq!((post.attempt, post.count), (sent, 2), "{outcome:?}");
            node.answered(outcome, at(10));
        };
        assert_eq!(sent, attempts, "{outcome:?}");
        assert!(body(&following).contains(next), "{outcome:?}: {}", body(&following));
        assert_eq!(following.count, 1 + usize::from(next != "three"), "{outcome:?}");
    }

    #[test]
    fn a_status_decides_whether_a_batch_is_sent_again() {
        let lost_at_once =
            "L10 (output buffer overflow): 2 messages dropped since 2026-01-01T00:00:01+00:00.";
        let lost_later = "L10 (output buffer overflow): 2 messages dropped since 2026-01-01T00:00:10+00:00.";
        for status in [200, 204] {
            check(Outcome::Status(status), 1, "three");
        }
        for status in [400, 401, 404, 413, 415] {
            check(Outcome::Status(status), 1, lost_at_once);
        }
        for outcome in [429, 302, 500, 503].map(Outcome::Status).into_iter().chain([Outcome::Failed]) {
            check(outcome, 3, lost_later);
        }
    }

    #[test]
    fn a_failed_connect_uses_no_attempt_and_backs_off() {
        let mut node = node(DrainPolicy::default());
        push(&mut node, ["one".into()], at(0));
        let mut now = at(0);
        for _ in 0..50 {
            let post = node.poll(now).expect("a post");
            assert_eq!(post.attempt, 1);
            node.answered(Outcome::Unconnected, now);
            let next = node.next_poll_at().expect("it waits");
            assert!(next <= later(now, Duration::from_millis(5110)));
            assert!(next <= now || node.poll(now).is_none());
            now = next.max(now);
        }
    }

    #[test]
    fn a_full_buffer_drops_the_oldest() {
        let mut node = node(DrainPolicy::default());
        push(&mut node, (0..1030).map(|n| format!("line {n};")), at(0));
        let post = node.poll(at(5)).expect("a post");
        assert_eq!(post.count, 1025);
        let body = body(&post);
        assert!(
            body.starts_with("142 <172>1 2026-01-01T00:00:05+00:00 host heroku logplex - Error L10"),
            "{body}"
        );
        assert!(body.contains("6 messages dropped since 2026-01-01T00:00:00+00:00.58 <190>"), "{body}");
        assert!(body.contains("line 6;") && !body.contains("line 5;"));
        node.answered(Outcome::Status(204), at(6));
        push(&mut node, ["after".into()], at(6));
        assert_eq!(node.poll(at(6)).map(|post| post.count), Some(1), "a loss is reported once");
    }

    #[test]
    fn after_five_minutes_without_success_only_ten_messages_wait() {
        let mut node = node(DrainPolicy::default());
        push(&mut node, (0..100).map(|n| format!("line {n};")), at(0));
        for seconds in [0, 100, 200, 301] {
            while node.poll(at(seconds)).is_some() {
                node.answered(Outcome::Status(503), at(seconds));
            }
            push(&mut node, (0..100).map(|n| format!("line {n} at {seconds};")), at(seconds));
        }
        assert_eq!(node.waiting(), 10);
        let post = node.poll(at(302)).expect("a post");
        assert!(body(&post).contains("490 messages dropped"), "{}", body(&post));
        node.answered(Outcome::Status(204), at(302));
        push(&mut node, (0..100).map(|n| format!("line {n};")), at(303));
        assert_eq!(node.waiting(), 100);
    }

    #[test]
    fn the_production_wording_is_sent_a_minute_later_with_the_drain() {
        let mut node = node(DrainPolicy { wording: Wording::Shared, ..DrainPolicy::default() });
        push(&mut node, ["one".into()], at(0));
        node.poll(at(0)).expect("a post");
        node.answered(Outcome::Status(401), at(0));
        assert_eq!((node.notice(at(59)), node.next_poll_at()), (None, Some(at(60))));
        let notice = node.notice(at(60)).expect("a line");
        assert_eq!(
            String::from_utf8_lossy(&notice.text),
            format!(
                "Error L10 (output buffer overflow): drain '{TOKEN}' dropped 1 messages since \
                 2026-01-01T00:00:00+00:00."
            )
        );
        assert_eq!(node.notice(at(120)), None);
    }

    #[test]
    fn space_logging_sends_line_by_line_without_frame_id() {
        let mut node = node(DrainPolicy { dialect: Dialect::Space, ..DrainPolicy::default() });
        push(&mut node, ["one".into(), "two".into()], at(0));
        let post = node.poll(at(0)).expect("a post");
        assert_eq!(
            (post.count, post.frame_id.is_none(), post.token.is_none(), post.closes),
            (1, true, true, true)
        );
        assert!(body(&post).contains(" web.1 - - one\n"), "{}", body(&post));
    }

    #[test]
    fn chaos_repeats_batches_with_their_id_and_delays_within_its_bound() {
        let chaos = Chaos {
            delay_permille: 500,
            delay_max: Duration::from_secs(30),
            duplicate_permille: 1000,
            lose_permille: 0,
            reorder_permille: 500,
        };
        let mut node = node(DrainPolicy { chaos, ..DrainPolicy::default() });
        push(&mut node, (0..200).map(|n| format!("line {n};")), at(0));
        let first = node.poll(at(0)).expect("a post");
        node.answered(Outcome::Status(204), at(0));
        let again = node.poll(at(0)).expect("the same again");
        assert_eq!((&first.frame_id, &first.body), (&again.frame_id, &again.body));
        node.answered(Outcome::Status(204), at(0));
        let late = node.poll(at(30)).expect("what was held back");
        assert_eq!(first.count + late.count, 200);
        assert!(late.count > 50, "{}", late.count);
    }
}
