//! Server-sent events: news for the clients that keep a stream open, as JSON or as elements of the open page.
//!
//! A stream is a bounded queue. A client that falls behind is disconnected, and reconnects with the id of the
//! last event that arrived. A JSON client then receives the events that it missed, if they are still kept. A
//! page is asked to reload. Each event is rendered once for all clients, and not at all without clients.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use dynowarden_core::limits;

/// All open streams.
#[derive(Debug)]
pub(super) struct Streams {
    /// Tells the ids of this life of the program from those of another.
    life: u64,
    open: Mutex<Open>,
}

/// What a reader wants its news in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Elements that replace those of an open page.
    Html,
    /// Objects.
    Json,
}

/// Why no stream is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoStream {
    /// The program is shutting down.
    #[error("shutting down")]
    Closed,
    /// There are [`limits::STREAMS_MAX`] already.
    #[error("too many open event streams")]
    Full,
}

/// One event before it is sent.
#[derive(Clone, Debug)]
pub(super) struct News<'n> {
    /// Its `event:`.
    pub event: &'n str,
    /// Its `data:`, of any number of lines.
    pub data: &'n str,
}

/// The body of one stream.
#[derive(Debug)]
pub(super) struct Stream {
    first: Option<Bytes>,
    news: mpsc::Receiver<Bytes>,
}

#[derive(Debug, Default)]
struct Open {
    closed: bool,
    html: Vec<mpsc::Sender<Bytes>>,
    json: Vec<mpsc::Sender<Bytes>>,
    /// JSON events that a returning reader may have missed, oldest first.
    kept: VecDeque<(u64, Bytes)>,
    html_sent: u64,
    json_sent: u64,
}

// === impl Streams ===

impl Streams {
    /// No streams; `life` is a number that no other life of the program has.
    pub(super) fn new(life: u64) -> Self {
        Self { life, open: Mutex::default() }
    }

    /// The id of the last event for pages: what a page that is made now has seen.
    pub(super) fn seen(&self) -> String {
        self.id(self.lock().html_sent)
    }

    /// Opens a stream for a client that has seen everything up to `last`.
    ///
    /// # Errors
    /// There are too many, or the program is shutting down.
    pub(super) fn open(&self, form: Form, last: Option<&str>) -> Result<Stream, NoStream> {
        let mut open = self.lock();
        if open.closed {
            return Err(NoStream::Closed);
        }
        open.forget_the_gone();
        if open.html.len() + open.json.len() >= limits::STREAMS_MAX {
            return Err(NoStream::Full);
        }
        let (sender, news) = mpsc::channel(limits::STREAM_BACKLOG_MAX);
        let mut first = String::from("retry: 2000\n\n");
        let last = last.map(|last| self.number(last));
        match form {
            Form::Html => {
                if last.flatten() != Some(open.html_sent) {
                    let news = News { event: "rebuilt", data: "" };
                    write_event(&mut first, Some(&self.id(open.html_sent)), &news);
                }
                open.html.push(sender);
            }
            Form::Json => {
                self.catch_up(&open, last, &mut first);
                open.json.push(sender);
            }
        }
        Ok(Stream { first: Some(first.into()), news })
    }

    /// Whether a client reads news in this form.
    pub(super) fn has_readers(&self, form: Form) -> bool {
        let mut open = self.lock();
        open.forget_the_gone();
        !open.of(form).is_empty()
    }

    /// Sends an event that every page must have: its id is new.
    pub(super) fn tell_pages(&self, all: &[News<'_>]) {
        let mut open = self.lock();
        open.html_sent += 1;
        let id = self.id(open.html_sent);
        let mut text = String::new();
        for news in all {
            write_event(&mut text, Some(&id), news);
        }
        open.send(Form::Html, &text.into());
    }

    /// Sends an event that may be missed, such as what is read out.
    pub(super) fn mention_to_pages(&self, news: &News<'_>) {
        let mut text = String::new();
        write_event(&mut text, None, news);
        self.lock().send(Form::Html, &text.into());
    }

    /// Sends an event to programs, and keeps it for those who come again.
    pub(super) fn tell_programs(&self, event: &str, data: &impl Serialize) {
        // Our own events are structs of strings and numbers, which always can be written.
        let Ok(data) = serde_json::to_string(data) else { return };
        let mut open = self.lock();
        open.json_sent += 1;
        let mut text = String::new();
        write_event(&mut text, Some(&self.id(open.json_sent)), &News { event, data: &data });
        let bytes = Bytes::from(text);
        if open.kept.len() >= limits::EVENTS_KEPT_MAX {
            open.kept.pop_front();
        }
        let number = open.json_sent;
        open.kept.push_back((number, bytes.clone()));
        open.send(Form::Json, &bytes);
    }

    /// Sends a comment on all streams, so that no proxy on the way closes them as idle.
    pub(super) fn beat(&self) {
        let mut open = self.lock();
        let beat = Bytes::from_static(b":\n\n");
        open.send(Form::Html, &beat);
        open.send(Form::Json, &beat);
    }

    /// Ends all streams and opens no more.
    pub(super) fn close(&self) {
        let mut open = self.lock();
        open.closed = true;
        open.html.clear();
        open.json.clear();
    }

    /// The events that a client missed: `None` is a new client, `Some` is one that reconnects.
    fn catch_up(&self, open: &Open, last: Option<Option<u64>>, first: &mut String) {
        let Some(last) = last else { return };
        let all_kept = |last: u64| open.kept.front().is_none_or(|(oldest, _)| *oldest <= last + 1);
        match last.filter(|last| *last <= open.json_sent && all_kept(*last)) {
            Some(last) => {
                for (_, bytes) in open.kept.iter().filter(|(number, _)| *number > last) {
                    first.push_str(&String::from_utf8_lossy(bytes));
                }
            }
            None => write_event(
                first,
                Some(&self.id(open.json_sent)),
                &News { event: "reset", data: r#"{"why":"some events are not kept any more"}"# },
            ),
        }
    }

    fn id(&self, number: u64) -> String {
        format!("{:x}-{number}", self.life)
    }

    fn number(&self, id: &str) -> Option<u64> {
        let (life, number) = id.split_once('-')?;
        (u64::from_str_radix(life, 16).ok()? == self.life).then_some(number.parse().ok()?)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Each statement that changes it leaves it whole, so a panic elsewhere spoils nothing.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn of(&mut self, form: Form) -> &mut Vec<mpsc::Sender<Bytes>> {
        match form {
            Form::Html => &mut self.html,
            Form::Json => &mut self.json,
        }
    }

    /// Hands `bytes` to every reader; one whose queue is full has read nothing for long, and is dropped.
    fn send(&mut self, form: Form, bytes: &Bytes) {
        self.of(form).retain(|reader| match reader.try_send(bytes.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => false,
        });
    }

    fn forget_the_gone(&mut self) {
        self.html.retain(|reader| !reader.is_closed());
        self.json.retain(|reader| !reader.is_closed());
    }
}

/// Writes one event. Every line of the data gets its own field, for a line end ends a field
/// (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
fn write_event(to: &mut String, id: Option<&str>, news: &News<'_>) {
    if let Some(id) = id {
        // Writing to a string cannot fail.
        let _ = writeln!(to, "id: {id}");
    }
    let _ = writeln!(to, "event: {}", news.event);
    for line in news.data.split(['\n', '\r']) {
        let _ = writeln!(to, "data: {line}");
    }
    to.push('\n');
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        self.news.poll_recv(cx).map(|news| news.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::{Form, News, NoStream, Stream, Streams};
    use dynowarden_core::limits;

    async fn next(stream: &mut Stream) -> Option<String> {
        let frame = stream.frame().await?.expect("infallible");
        Some(String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn line_ends_in_data_cannot_end_an_event() {
        let streams = Streams::new(7);
        let mut stream = streams.open(Form::Html, Some("7-0")).expect("open");
        assert_eq!(next(&mut stream).await.as_deref(), Some("retry: 2000\n\n"));
        streams.tell_pages(&[News { event: "part", data: "a\nb\r\n\nevent: evil" }]);
        assert_eq!(
            next(&mut stream).await.as_deref(),
            Some("id: 7-1\nevent: part\ndata: a\ndata: b\ndata: \ndata: \ndata: event: evil\n\n")
        );
        streams.tell_programs("decision", &"a\nb\r\u{2028}");
        let mut late = streams.open(Form::Json, Some("7-0")).expect("open");
        let told = next(&mut late).await.expect("news");
        assert!(told.ends_with("id: 7-1\nevent: decision\ndata: \"a\\nb\\r\u{2028}\"\n\n"), "{told}");
    }

    #[tokio::test]
    async fn who_comes_again_gets_what_was_missed_or_is_told() {
        let streams = Streams::new(7);
        for number in 0..limits::EVENTS_KEPT_MAX + 3 {
            streams.tell_programs("decision", &number);
        }
        for (last, expect) in [
            (None, vec![]),
            (Some("7-257"), vec!["257", "258"]),
            (Some("7-259"), vec![]),
            (Some("7-1"), vec!["{\"why\":\"some events are not kept any more\"}"]),
            (Some("7-2"), vec!["{\"why\":\"some events are not kept any more\"}"]),
            (Some("6-259"), vec!["{\"why\":\"some events are not kept any more\"}"]),
            (Some("7-999"), vec!["{\"why\":\"some events are not kept any more\"}"]),
            (Some("nonsense"), vec!["{\"why\":\"some events are not kept any more\"}"]),
        ] {
            let mut stream = streams.open(Form::Json, last).expect("open");
            let first = next(&mut stream).await.expect("a beginning");
            let data: Vec<_> = first.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
            assert_eq!(data, expect, "{last:?}");
        }
    }

    #[tokio::test]
    async fn a_page_that_missed_something_is_told_to_fetch_itself() {
        let streams = Streams::new(7);
        streams.tell_pages(&[News { event: "part", data: "a" }]);
        assert_eq!(streams.seen(), "7-1");
        for (last, told) in [(Some("7-1"), false), (Some("7-0"), true), (None, true), (Some("x"), true)] {
            let mut stream = streams.open(Form::Html, last).expect("open");
            let first = next(&mut stream).await.expect("a beginning");
            assert_eq!(first.contains("event: rebuilt"), told, "{last:?}");
        }
    }

    #[tokio::test]
    async fn who_does_not_read_is_dropped_and_the_others_are_not() {
        let streams = Streams::new(7);
        let mut slow = streams.open(Form::Json, None).expect("open");
        let mut quick = streams.open(Form::Json, None).expect("open");
        let _ = next(&mut quick).await;
        for number in 0..=limits::STREAM_BACKLOG_MAX {
            streams.tell_programs("decision", &number);
            assert!(next(&mut quick).await.is_some());
        }
        assert_eq!(streams.lock().json.len(), 1);
        let mut read = 0;
        while next(&mut slow).await.is_some() {
            read += 1;
        }
        assert_eq!(read, limits::STREAM_BACKLOG_MAX + 1, "the beginning and a full queue");
    }

    #[tokio::test]
    async fn streams_are_bounded_and_the_gone_give_their_place_back() {
        let streams = Streams::new(7);
        let mut all: Vec<_> =
            (0..limits::STREAMS_MAX).map(|_| streams.open(Form::Json, None).expect("open")).collect();
        assert_eq!(streams.open(Form::Html, None).err(), Some(NoStream::Full));
        all.pop();
        assert!(streams.open(Form::Html, None).is_ok());
        streams.close();
        assert_eq!(streams.open(Form::Html, None).err(), Some(NoStream::Closed));
        let mut one = all.pop().expect("a stream");
        assert!(next(&mut one).await.is_some_and(|first| first.starts_with("retry")));
        assert_eq!(next(&mut one).await, None);
    }
}
