//! `POST /pause`, `/resume` and `/restart`: what the status page's forms send.

use bytes::Bytes;
use http::header::{HeaderValue, LOCATION};
use http::{Response, StatusCode};
use hyper::body::Body;

use crate::driver::Stopped;
use crate::http::Service;
use crate::http::admin::{is_same_origin, pause_span};
use crate::http::body;
use crate::http::caller::Head;
use crate::http::denied::Denied;
use crate::http::forms::Fields;
use crate::http::reply::{self, ReplyBody};
use crate::http::route::Form;
use dynowarden_core::ident::DynoName;
use dynowarden_core::limits;
use dynowarden_core::time::later;

impl Service {
    /// Does what a form asks for, and sends the browser on to see it.
    pub(super) async fn act<B>(&self, form: Form, head: &Head, body: B) -> Result<Response<ReplyBody>, Denied>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let admin_ui = self.require_admin_ui(head)?;
        if !is_same_origin(&head.headers) {
            return Err(Denied::OtherSite);
        }
        let body = body::read(body, limits::ADMIN_BODY_BYTES_MAX).await.map_err(Denied::Body)?;
        let fields = Fields::read(&body);
        if !admin_ui.token.is_in(&fields) {
            let text = "This form was not made by this dynowarden, or its password has changed since. \
                        Go back, reload the page and try again.";
            return Ok(self.show_problem(admin_ui, StatusCode::FORBIDDEN, ("Not done", text)));
        }
        let done = match form {
            Form::Pause => self.pause_by_form(&fields).await,
            Form::Restart => self.restart_by_form(&fields).await,
            Form::Resume => self.resume_by_form(&fields).await,
        };
        match done {
            Ok(to) => Ok(see_other(&to)),
            Err(Denied::Query(problem)) => {
                Ok(self.show_problem(admin_ui, StatusCode::BAD_REQUEST, ("Not done", &problem)))
            }
            Err(Denied::UnknownApp) => {
                let text = "No app of that name is watched.";
                Ok(self.show_problem(admin_ui, StatusCode::NOT_FOUND, ("Not done", text)))
            }
            Err(other) => Err(other),
        }
    }

    async fn pause_by_form(&self, fields: &Fields) -> Result<String, Denied> {
        let app = self.admin_app(fields.filled("app"))?;
        let span = pause_span(fields.value("for").unwrap_or_default()).map_err(Denied::Query)?;
        let until = later(self.clock.now().wall, span);
        let reason = fields.value("reason").unwrap_or_default();
        let reason: String = reason.chars().take(limits::PAUSE_REASON_CHARS_MAX).collect();
        self.handle.pause(app, until, reason.into()).await.map_err(|Stopped| Denied::Stopping)?;
        Ok("/".to_owned())
    }

    async fn resume_by_form(&self, fields: &Fields) -> Result<String, Denied> {
        let app = self.admin_app(fields.filled("app"))?;
        self.handle.resume(app).await.map_err(|Stopped| Denied::Stopping)?;
        Ok("/".to_owned())
    }

    async fn restart_by_form(&self, fields: &Fields) -> Result<String, Denied> {
        let name = fields.filled("app").ok_or(Denied::UnknownApp)?;
        let app = self.app(name).ok_or(Denied::UnknownApp)?;
        let dyno: DynoName = fields
            .value("dyno")
            .unwrap_or_default()
            .parse()
            .map_err(|error| Denied::Query(format!("{error}")))?;
        let to = format!("/apps/{name}/dynos/{dyno}");
        // The order stands even when nobody waits for its answer; the page shows what comes of it.
        let order = self.handle.order(app, Some(dyno));
        match tokio::time::timeout(limits::FORM_WAIT, order).await {
            Ok(Err(Stopped)) => Err(Denied::Stopping),
            Ok(Ok(_)) | Err(_) => Ok(to),
        }
    }
}

/// 303, so that a reload does not send the form again. `to` is made of names, which fit a header.
fn see_other(to: &str) -> Response<ReplyBody> {
    let mut response = reply::empty(StatusCode::SEE_OTHER);
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, to);
    }
    reply::private(response)
}
