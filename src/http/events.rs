//! Server-sent events, as JSON for programs or as HTML elements for an open page.
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
    /// Part of every event id, to recognise the ids of another process.
    process: u64,
    open: Mutex<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Elements that replace those of an open page.
    Html,
    Json,
}

/// Why a stream cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoStream {
    /// The daemon is shutting down.
    Closed,
    /// [`limits::STREAMS_MAX`] are open.
    Full,
}

#[derive(Clone, Debug)]
pub(super) struct Event<'e> {
    pub name: &'e str,
    /// May have several lines.
    pub data: &'e str,
}

/// The response body of one stream.
#[derive(Debug)]
pub(super) struct Stream {
    first: Option<Bytes>,
    events: mpsc::Receiver<Bytes>,
}

#[derive(Debug, Default)]
struct Open {
    closed: bool,
    html: Vec<mpsc::Sender<Bytes>>,
    json: Vec<mpsc::Sender<Bytes>>,
    /// JSON events for clients that reconnect, oldest first.
    kept: VecDeque<(u64, Bytes)>,
    html_sent: u64,
    json_sent: u64,
}

// === impl Streams ===

impl Streams {
    /// `process` is a number that no earlier process had.
    pub(super) fn new(process: u64) -> Self {
        Self { process, open: Mutex::default() }
    }

    /// The id of the last event for pages, which a page that is rendered now already shows.
    pub(super) fn last_html_id(&self) -> String {
        self.id(self.lock().html_sent)
    }

    /// Opens a stream for a client that has seen everything up to `last`.
    ///
    /// # Errors
    /// Too many are open, or the daemon is shutting down.
    pub(super) fn open(&self, format: Format, last: Option<&str>) -> Result<Stream, NoStream> {
        let mut open = self.lock();
        if open.closed {
            return Err(NoStream::Closed);
        }
        open.remove_closed();
        if open.html.len() + open.json.len() >= limits::STREAMS_MAX {
            return Err(NoStream::Full);
        }
        let (sender, events) = mpsc::channel(limits::STREAM_BACKLOG_MAX);
        let mut first = String::from("retry: 2000\n\n");
        let last = last.map(|last| self.number(last));
        match format {
            Format::Html => {
                if last.flatten() != Some(open.html_sent) {
                    let event = Event { name: "rebuilt", data: "" };
                    write_event(&mut first, Some(&self.id(open.html_sent)), &event);
                }
                open.html.push(sender);
            }
            Format::Json => {
                self.catch_up(&open, last, &mut first);
                open.json.push(sender);
            }
        }
        Ok(Stream { first: Some(first.into()), events })
    }

    pub(super) fn has_clients(&self, format: Format) -> bool {
        let mut open = self.lock();
        open.remove_closed();
        !open.of(format).is_empty()
    }

    /// Sends events that no page may miss.
    pub(super) fn send_html(&self, events: &[Event<'_>]) {
        let mut open = self.lock();
        open.html_sent += 1;
        let id = self.id(open.html_sent);
        let mut text = String::new();
        for event in events {
            write_event(&mut text, Some(&id), event);
        }
        open.send(Format::Html, &text.into());
    }

    /// Sends an event without an id, which a page may miss.
    pub(super) fn send_html_once(&self, event: &Event<'_>) {
        let mut text = String::new();
        write_event(&mut text, None, event);
        self.lock().send(Format::Html, &text.into());
    }

    /// Sends a JSON event, and keeps it for clients that reconnect.
    pub(super) fn send_json(&self, name: &str, data: &impl Serialize) {
        let data = serde_json::to_string(data).expect("our own types can be written as JSON");
        let mut open = self.lock();
        open.json_sent += 1;
        let mut text = String::new();
        write_event(&mut text, Some(&self.id(open.json_sent)), &Event { name, data: &data });
        let bytes = Bytes::from(text);
        if open.kept.len() >= limits::EVENTS_KEPT_MAX {
            open.kept.pop_front();
        }
        let number = open.json_sent;
        open.kept.push_back((number, bytes.clone()));
        open.send(Format::Json, &bytes);
    }

    /// Sends a comment on all streams, so that no proxy closes them as idle.
    pub(super) fn send_heartbeat(&self) {
        let mut open = self.lock();
        let comment = Bytes::from_static(b":\n\n");
        open.send(Format::Html, &comment);
        open.send(Format::Json, &comment);
    }

    /// Ends all streams, and refuses new ones.
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
                &Event { name: "reset", data: r#"{"why":"some events are no longer kept"}"# },
            ),
        }
    }

    fn id(&self, number: u64) -> String {
        format!("{:x}-{number}", self.process)
    }

    fn number(&self, id: &str) -> Option<u64> {
        let (process, number) = id.split_once('-')?;
        (u64::from_str_radix(process, 16).ok()? == self.process).then_some(number.parse().ok()?)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Every statement leaves it consistent, so a poisoned lock is safe to use.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn of(&mut self, format: Format) -> &mut Vec<mpsc::Sender<Bytes>> {
        match format {
            Format::Html => &mut self.html,
            Format::Json => &mut self.json,
        }
    }

    /// Sends to every client, and drops those whose queue is full.
    fn send(&mut self, format: Format, bytes: &Bytes) {
        self.of(format).retain(|client| match client.try_send(bytes.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => false,
        });
    }

    fn remove_closed(&mut self) {
        self.html.retain(|client| !client.is_closed());
        self.json.retain(|client| !client.is_closed());
    }
}

/// Writes one event. Every line of the data is a field of its own, because a line end terminates a field
/// (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
fn write_event(to: &mut String, id: Option<&str>, event: &Event<'_>) {
    if let Some(id) = id {
        // Writing to a string cannot fail.
        let _ = writeln!(to, "id: {id}");
    }
    let _ = writeln!(to, "event: {}", event.name);
    for line in event.data.split(['\n', '\r']) {
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
        self.events.poll_recv(cx).map(|event| event.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::{Event, Format, NoStream, Stream, Streams};
    use dynowarden_core::limits;

    async fn next(stream: &mut Stream) -> Option<String> {
        let frame = stream.frame().await?.expect("infallible");
        Some(String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn line_ends_in_data_cannot_end_an_event() {
        let streams = Streams::new(7);
        let mut stream = streams.open(Format::Html, Some("7-0")).expect("open");
        assert_eq!(next(&mut stream).await.as_deref(), Some("retry: 2000\n\n"));
        streams.send_html(&[Event { name: "part", data: "a\nb\r\n\nevent: evil" }]);
        assert_eq!(
            next(&mut stream).await.as_deref(),
            Some("id: 7-1\nevent: part\ndata: a\ndata: b\ndata: \ndata: \ndata: event: evil\n\n")
        );
        streams.send_json("decision", &"a\nb\r\u{2028}");
        let mut late = streams.open(Format::Json, Some("7-0")).expect("open");
        let sent = next(&mut late).await.expect("news");
        assert!(sent.ends_with("id: 7-1\nevent: decision\ndata: \"a\\nb\\r\u{2028}\"\n\n"), "{sent}");
    }

    #[tokio::test]
    async fn a_reconnecting_client_receives_missed_events_or_a_reset() {
        let streams = Streams::new(7);
        for number in 0..limits::EVENTS_KEPT_MAX + 3 {
            streams.send_json("decision", &number);
        }
        for (last, expect) in [
            (None, vec![]),
            (Some("7-257"), vec!["257", "258"]),
            (Some("7-259"), vec![]),
            (Some("7-1"), vec!["{\"why\":\"some events are no longer kept\"}"]),
            (Some("7-2"), vec!["{\"why\":\"some events are no longer kept\"}"]),
            (Some("6-259"), vec!["{\"why\":\"some events are no longer kept\"}"]),
            (Some("7-999"), vec!["{\"why\":\"some events are no longer kept\"}"]),
            (Some("nonsense"), vec!["{\"why\":\"some events are no longer kept\"}"]),
        ] {
            let mut stream = streams.open(Format::Json, last).expect("open");
            let first = next(&mut stream).await.expect("a beginning");
            let data: Vec<_> = first.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
            assert_eq!(data, expect, "{last:?}");
        }
    }

    #[tokio::test]
    async fn a_page_that_missed_an_event_is_asked_to_reload() {
        let streams = Streams::new(7);
        streams.send_html(&[Event { name: "part", data: "a" }]);
        assert_eq!(streams.last_html_id(), "7-1");
        for (last, reloads) in [(Some("7-1"), false), (Some("7-0"), true), (None, true), (Some("x"), true)] {
            let mut stream = streams.open(Format::Html, last).expect("open");
            let first = next(&mut stream).await.expect("a beginning");
            assert_eq!(first.contains("event: rebuilt"), reloads, "{last:?}");
        }
    }

    #[tokio::test]
    async fn only_a_client_that_does_not_read_is_dropped() {
        let streams = Streams::new(7);
        let mut slow = streams.open(Format::Json, None).expect("open");
        let mut quick = streams.open(Format::Json, None).expect("open");
        let _ = next(&mut quick).await;
        for number in 0..=limits::STREAM_BACKLOG_MAX {
            streams.send_json("decision", &number);
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
    async fn streams_are_bounded_and_closed_ones_do_not_count() {
        let streams = Streams::new(7);
        let mut all: Vec<_> =
            (0..limits::STREAMS_MAX).map(|_| streams.open(Format::Json, None).expect("open")).collect();
        assert_eq!(streams.open(Format::Html, None).err(), Some(NoStream::Full));
        all.pop();
        assert!(streams.open(Format::Html, None).is_ok());
        streams.close();
        assert_eq!(streams.open(Format::Html, None).err(), Some(NoStream::Closed));
        let mut one = all.pop().expect("a stream");
        assert!(next(&mut one).await.is_some_and(|first| first.starts_with("retry")));
        assert_eq!(next(&mut one).await, None);
    }
}
