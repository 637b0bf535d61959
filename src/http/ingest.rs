//! `POST /logs/{app}` and `POST /logs`: logplex delivers a batch.
//!
//! Logplex is done with a batch after 2xx, drops it after 4xx, and sends it again after any other status. So
//! a batch with bad frames is answered with 204, and they are counted. The answer is 503 only if the queue is
//! full, if the same batch is being read on another connection, or if the drain's app is not known yet.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, StatusCode};
use hyper::body::Body;

use crate::drain_tokens::Unlisted;
use crate::driver::QueueFull;
use crate::http::Service;
use crate::http::auth::{self, DrainAccess};
use crate::http::batch::{Batch, Reading};
use crate::http::body::{self, BodyError};
use crate::http::client_addr::Head;
use crate::http::denied::refuse_unread;
use crate::http::places::Owner;
use crate::http::refusal::Refusal;
use crate::http::remembered::{Recalled, Remembered};
use crate::http::reply::{self, ReplyBody};
use crate::http::unpack::Encoding;
use dynowarden_core::dedup::{Delivery, FrameClaim, Source};
use dynowarden_core::ident::{AppId, DrainToken};

impl Service {
    pub(super) async fn ingest<B>(&self, named: Option<&str>, head: &Head, body: B) -> Response<ReplyBody>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let shown_drain = shown_drain(&head.headers);
        let recalled = match &*head.connection.remembered() {
            Some(remembered) => remembered.recall(&head.headers, named, shown_drain),
            None => Recalled::default(),
        };
        let drain = recalled.drain.clone().or_else(|| drain_token(shown_drain?));
        let app = || match named {
            Some(name) => self.app(name),
            None => self.app_of_drain(drain.as_ref()),
        };
        let shown = if recalled.password.is_some() { None } else { auth::basic(&head.headers) };
        let password = recalled.password.or_else(|| self.drain_auth.password(shown.as_ref()));
        let mut access = match recalled.app {
            Some(app) => DrainAccess::App(app),
            None => self.drain_auth.access(password, app),
        };
        if let (DrainAccess::UnknownApp, None, Some(drain)) = (access, named, &drain) {
            match self.tokens.app_soon(drain, self.clock.now().mono).await {
                Ok(found) => access = self.drain_auth.access(password, || found),
                Err(Unlisted) => {
                    self.metrics.refused(Refusal::Unlisted);
                    return refuse_unread(&body, reply::overloaded());
                }
            }
        }
        let app = match access {
            DrainAccess::App(app) => app,
            DrainAccess::Unauthorized => {
                let refusal = reply::unauthorized(reply::BASIC_CHALLENGE);
                // Never 429: logplex would send the batch three more times.
                let shown = shown.or_else(|| auth::basic(&head.headers));
                return match self.count_wrong_password(head, shown.as_ref()) {
                    Ok(()) => refuse_unread(&body, refusal),
                    Err(_wait) => reply::closing(reply::delayed(refusal)),
                };
            }
            DrainAccess::UnknownApp => {
                self.refuse_drain(Refusal::UnknownApp, head.uri.path());
                self.rejected.misdirected(head.uri.path());
                return refuse_unread(&body, reply::text(StatusCode::NOT_FOUND, "unknown app\n"));
            }
        };
        self.remember(head, named.map(|name| (name, app)), password, (&recalled, drain.as_ref()));
        let Some(encoding) = Encoding::of(&head.headers) else {
            self.metrics.refused(Refusal::UnknownEncoding);
            let text = "Content-Encoding must be gzip, identity or absent\n";
            return refuse_unread(&body, reply::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        };
        self.places.own(&head.connection, Owner::App(app));
        // It is freed when the batch has been read.
        let mut room = self.bodies.room(Some(app), head.connection.clone());
        let packed = match body::read(body, self.body_bytes_max, &mut room).await {
            Ok(packed) => packed,
            Err(error) => return self.refuse_batch(app, error),
        };
        // What is read at once is gone before the next body comes.
        if !encoding.is_read_at_once(packed.len())
            && let Err(error) = room.grow_to(packed.len())
        {
            return self.refuse_batch(app, error.into());
        }
        self.deliver(&Source { app, drain }, encoding, head, packed).await
    }

    /// Reads a batch and reports it, unless it was delivered before.
    async fn deliver(
        &self,
        source: &Source,
        encoding: Encoding,
        head: &Head,
        packed: Bytes,
    ) -> Response<ReplyBody> {
        let app = source.app;
        let claim = match self.frame_ids.begin(source, frame_id(&head.headers), self.clock.now()) {
            Delivery::New(claim) => claim,
            Delivery::Duplicate => {
                self.metrics.repeated_batch(app);
                self.drains.record_repeated_batch(app, self.clock.now());
                return reply::empty(StatusCode::NO_CONTENT);
            }
            // The first delivery may still be rejected; only this one would then be left.
            Delivery::InProgress => return reply::overloaded(),
        };
        let Some(reading) = self.reading(source, encoding) else { return reply::not_found() };
        match self.batches.read(&reading, packed).await {
            Ok(batch) => self.report(source, claim, batch),
            Err(error) => self.refuse_batch(app, error),
        }
    }

    /// Remembers what a batch has shown that was let through, unless the last one has shown the same.
    fn remember(
        &self,
        head: &Head,
        named: Option<(&str, AppId)>,
        password: Option<u64>,
        (recalled, drain): (&Recalled, Option<&DrainToken>),
    ) {
        let mut remembered = head.connection.remembered();
        let name = named.map(|(name, _)| name);
        let is_known = remembered.as_ref().is_some_and(|known| known.is_all(recalled, name, drain));
        if let (false, Some(password)) = (is_known, password) {
            *remembered = Some(Remembered::new(&head.headers, password, named, drain));
        }
    }

    fn refuse_batch(&self, app: AppId, error: BodyError) -> Response<ReplyBody> {
        if error == BodyError::TooLarge {
            self.rejected.too_large(app);
        }
        self.refuse_body(error)
    }

    /// Reports a request below `/logs` that is no route, if it has a right password.
    pub(super) fn report_path_below_logs(&self, head: &Head) {
        let shown = auth::basic(&head.headers);
        if matches!(self.drain_auth.check(shown.as_ref(), || None), DrainAccess::UnknownApp) {
            self.rejected.misdirected(head.uri.path());
        }
    }

    /// The only watched app, or else the app that the drain belongs to.
    fn app_of_drain(&self, drain: Option<&DrainToken>) -> Option<AppId> {
        match self.apps.len() {
            1 => Some(AppId(0)),
            _ => self.tokens.app(drain?),
        }
    }

    fn reading(&self, source: &Source, encoding: Encoding) -> Option<Reading> {
        Some(Reading {
            app: source.app,
            drain: source.drain.clone(),
            encoding,
            process_types: self.watched(source.app)?.process_types.clone(),
            with_paths: self.days.evidence.is_on(),
        })
    }

    fn report(&self, source: &Source, claim: FrameClaim<'_>, batch: Batch) -> Response<ReplyBody> {
        let Source { app, ref drain } = *source;
        let Batch { counts, mut events, observed, paths } = batch;
        let now = self.clock.now();
        self.metrics.surplus_events(app, self.rosters.admit(app, &mut events, now));
        // Most batches have no events, and need no place in the queue.
        if !events.is_empty() && self.handle.report(app, events.clone(), drain.clone()) == Err(QueueFull) {
            self.metrics.refused(Refusal::QueueFull);
            return reply::overloaded();
        }
        claim.commit();
        if drain.as_ref().is_some_and(|drain| self.tokens.is_foreign(app, drain)) {
            // Another app's requests and memory say nothing about this one.
            self.metrics.batch(app, &counts);
            return reply::empty(StatusCode::NO_CONTENT);
        }
        if let Some(admin_ui) = &self.admin_ui {
            admin_ui.status_model.record_ends(app, observed.ends(), now);
            admin_ui.status_model.record_batch(app, &events, &counts, now);
        }
        self.traffic.record(app, &events, now);
        self.traffic.requests(app, observed.requests(), now);
        for (dyno, lines) in observed.lines() {
            self.days.book.add((app, dyno.cloned()), lines, now.wall);
        }
        self.days.evidence.count(app, paths, now.wall);
        self.metrics.batch(app, &counts);
        self.drains.record_batch(app, &counts, now);
        if let Some(drain) = drain {
            self.tokens.note(app, drain);
        }
        reply::empty(StatusCode::NO_CONTENT)
    }
}

/// Constants, because a name given as text is parsed again at every look-up.
static DRAIN_TOKEN: HeaderName = HeaderName::from_static("logplex-drain-token");
static FRAME_ID: HeaderName = HeaderName::from_static("logplex-frame-id");

/// The text of the drain token. Space logging sends none.
fn shown_drain(headers: &HeaderMap) -> Option<&[u8]> {
    Some(headers.get(&DRAIN_TOKEN)?.as_bytes().trim_ascii())
}

/// An invalid token counts as none.
fn drain_token(shown: &[u8]) -> Option<DrainToken> {
    str::from_utf8(shown).ok()?.parse().ok()
}

fn frame_id(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(&FRAME_ID).map(http::HeaderValue::as_bytes).filter(|id| !id.is_empty())
}
