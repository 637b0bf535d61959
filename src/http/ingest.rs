//! `POST /logs/{app}` and `POST /logs`: logplex and its like deliver a batch.
//!
//! Logplex decides by the status (heroku.md §1.4): after 2xx it is done with a frame, after 4xx it drops the
//! frame for good, after anything else it sends the frame again. So a batch with faults inside is answered
//! 204 and its faults are counted. The answer is 503 only if the queue is full, if the same frame is being
//! taken just now, or if the owner of the drain is not known yet at the start.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, StatusCode};
use hyper::body::Body;

use crate::drain_tokens::Unlisted;
use crate::driver::QueueFull;
use crate::http::Service;
use crate::http::auth::{self, Entry};
use crate::http::body::{self, Encoding, Unpacked};
use crate::http::client_addr::Head;
use crate::http::denied::refuse_unread;
use crate::http::reply::{self, ReplyBody};
use crate::metrics::Refusal;
use dynowarden_core::dedup::{Delivery, FrameClaim, Source};
use dynowarden_core::detect::{self, request::Request};
use dynowarden_core::ident::{AppId, DrainToken, DynoName};
use dynowarden_core::ingest::{self, Counts};

impl Service {
    pub(super) async fn take_batch<B>(&self, named: Option<&str>, head: &Head, body: B) -> Response<ReplyBody>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let drain = drain_token(&head.headers);
        let wanted = || match named {
            Some(name) => self.app(name),
            None => self.app_of_drain(drain.as_ref()),
        };
        let shown = auth::basic(&head.headers);
        let mut entry = self.door.open(shown.as_ref(), wanted);
        if let (Entry::UnknownApp, None, Some(drain)) = (entry, named, &drain) {
            match self.tokens.app_soon(drain).await {
                Ok(found) => entry = self.door.open(shown.as_ref(), || found),
                Err(Unlisted) => {
                    self.metrics.refused(Refusal::Unlisted);
                    return refuse_unread(&body, reply::overloaded());
                }
            }
        }
        let app = match entry {
            Entry::App(app) => app,
            Entry::Unauthorized => {
                let refusal = reply::unauthorized(reply::BASIC_CHALLENGE);
                // Never 429, which brings a batch back three times (heroku.md §1.4).
                return match self.count_wrong_password(head, shown.as_ref()) {
                    Ok(()) => refuse_unread(&body, refusal),
                    Err(_wait) => reply::closing(reply::held(refusal)),
                };
            }
            Entry::UnknownApp => {
                self.metrics.refused(Refusal::UnknownApp);
                return refuse_unread(&body, reply::text(StatusCode::NOT_FOUND, "unknown app\n"));
            }
        };
        let Some(encoding) = Encoding::of(&head.headers) else {
            self.metrics.refused(Refusal::UnknownEncoding);
            let text = "Content-Encoding must be gzip, identity or absent\n";
            return refuse_unread(&body, reply::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        };
        let packed = match body::read(body, self.body_bytes_max).await {
            Ok(packed) => packed,
            Err(error) => return self.refuse_body(error),
        };
        let source = Source { app, drain };
        let claim = match self.frame_ids.begin(&source, frame_id(&head.headers), self.clock.now()) {
            Delivery::New(claim) => claim,
            Delivery::Duplicate => {
                self.metrics.repeated_batch(app, self.clock.now());
                return reply::empty(StatusCode::NO_CONTENT);
            }
            // The first attempt may still be refused, and this one would then be the only other chance.
            Delivery::InProgress => return reply::overloaded(),
        };
        match encoding.unpack(packed, self.body_bytes_max) {
            Ok(batch) => self.report(&source, claim, &batch),
            Err(error) => self.refuse_body(error),
        }
    }

    /// The one app that is watched, else the one that the drain belongs to.
    fn app_of_drain(&self, drain: Option<&DrainToken>) -> Option<AppId> {
        match self.apps.len() {
            1 => Some(AppId(0)),
            _ => self.tokens.app(drain?),
        }
    }

    fn report(&self, source: &Source, claim: FrameClaim<'_>, batch: &Unpacked) -> Response<ReplyBody> {
        let Source { app, ref drain } = *source;
        let Some(watched) = self.of(app) else { return reply::not_found() };
        let mut counts = Counts::default();
        let mut requests: Vec<(DynoName, Request<'_>)> = Vec::new();
        let body = &batch.bytes;
        let events = if self.traffic.is_on() {
            ingest::read_batch_with(body, &watched.watch, drain.as_ref(), &mut counts, |line| {
                if let Some(request) = detect::request::request(&line)
                    && let Some(dyno) = watched.watch.listed(request.dyno)
                {
                    requests.push((dyno, request));
                }
            })
        } else {
            ingest::read_batch(body, &watched.watch, drain.as_ref(), &mut counts)
        };
        if !batch.whole {
            counts.bad_frame("packing");
        }
        let now = self.clock.now();
        // Most batches say nothing; they need no place in the queue.
        if !events.is_empty() && self.handle.report(app, events.clone()) == Err(QueueFull) {
            self.metrics.refused(Refusal::QueueFull);
            return reply::overloaded();
        }
        claim.commit();
        if let Some(admin_ui) = &self.admin_ui {
            admin_ui.status_model.heard(app, &events, &counts, now);
        }
        self.traffic.hear(app, &events, now);
        for (dyno, request) in requests {
            self.traffic.request(app, dyno, &request, now);
        }
        self.metrics.batch(app, &counts, now);
        if let Some(drain) = drain {
            self.tokens.heard(app, drain);
        }
        reply::empty(StatusCode::NO_CONTENT)
    }
}

/// Made once: a name that is given as text is read and checked at every look-up.
static DRAIN_TOKEN: HeaderName = HeaderName::from_static("logplex-drain-token");
static FRAME_ID: HeaderName = HeaderName::from_static("logplex-frame-id");

/// The drain's token. Space logging has none; one that is no token counts as none.
fn drain_token(headers: &HeaderMap) -> Option<DrainToken> {
    let shown = headers.get(&DRAIN_TOKEN)?.as_bytes().trim_ascii();
    str::from_utf8(shown).ok()?.parse().ok()
}

/// The frame's id, which is opaque.
fn frame_id(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(&FRAME_ID).map(http::HeaderValue::as_bytes).filter(|id| !id.is_empty())
}
