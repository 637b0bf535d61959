//! The status page over HTTP: its pages, its assets and its forms.

use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH, LOCATION, REFERRER_POLICY, VARY,
};
use http::{Response, StatusCode};
use hyper::body::Body;
use maud::Markup;

use crate::http::Service;
use crate::http::admin_ui::AdminUi;
use crate::http::api::decision_filter;
use crate::http::client_addr::Head;
use crate::http::denied::{Answered, Denied};
use crate::http::forms::Fields;
use crate::http::reply::{self, ReplyBody, accepts_gzip};
use crate::http::route::{Form, Page};
use crate::store::history::Filter;
use crate::ui::assets::Asset;
use crate::ui::decisions_page::{Asked, decisions_page};
use crate::ui::dyno::{app_page, dyno_page, problem_page, ps_restart};
use crate::ui::facts::{AppFacts, DynoFacts};
use crate::ui::layout::{self, Layout, Told};
use crate::ui::overview::Overview;
use crate::ui::plot::Range;
use dynowarden_core::ident::{AppName, DynoName};
use dynowarden_core::limits;
use dynowarden_core::record::admin::{Client, Door};
use dynowarden_core::record::hold::Hold;
use dynowarden_core::record::{Action, Decision};

impl Service {
    pub(super) async fn show_page(&self, page: Page<'_>, head: &Head) -> Answered {
        let admin_ui = self.require_admin_ui(head)?;
        // Read before the facts, so that an event between the two is repeated and not missed.
        let seen = admin_ui.streams.last_html_id();
        let fields = Fields::of_query(head);
        let told = fields.filled("told").and_then(|told| told.parse().ok());
        let layout = Layout { told: told.and_then(|id| admin_ui.told(id)), ..admin_ui.layout(&seen) };
        if let Page::Asset(path) = page {
            return Ok(admin_ui
                .asset(path)
                .map_or_else(reply::not_found, |found| asset(found, &head.headers)));
        }
        let mut facts = self.facts(admin_ui).await?;
        let page = match page {
            Page::App(name) => facts.apps.iter().find(|app| app.name.as_str() == name).map(|app| {
                let number = fields.value("page").and_then(|page| page.parse().ok());
                app_page(&layout, &facts, app, number.unwrap_or(NonZeroUsize::MIN))
            }),
            Page::Dyno(app, dyno) => {
                let range = Range::of(fields.value("range"), Range::Hours3);
                let is_it = |(of, known): &(&AppFacts, &DynoFacts)| {
                    of.name.as_str() == app && known.status.name.to_string() == dyno
                };
                match facts.each_dyno().find(is_it) {
                    Some((app, dyno)) => {
                        let plot = self.plot_of(app, &dyno.status.name, range).await?;
                        Some(dyno_page(&layout, &facts, (app, dyno), (range, plot.as_ref())))
                    }
                    None => None,
                }
            }
            Page::Decisions => {
                let asked = asked(&fields);
                let filter = match self.page_filter(&fields) {
                    Ok(filter) => filter,
                    Err(problem) => {
                        let page = problem_page(&layout, "Not a filter", &problem);
                        return Ok(html(StatusCode::BAD_REQUEST, page, &head.headers));
                    }
                };
                let page = self.store.decisions(&filter).await.map_err(Denied::StoreAway)?;
                facts.decisions = page.decisions.into_iter().map(Arc::new).collect();
                let next = page.next.map(|next| next.to_string());
                Some(decisions_page(&layout, &facts, &asked, next.as_deref()))
            }
            Page::Asset(_) => None,
            Page::ProcessType(app, process_type) => {
                self.type_page(&layout, app, process_type, fields.value("range")).await?
            }
            Page::Overview => Some(Overview::new(&layout, &facts).page(&layout, &facts)),
        };
        let (status, page) = match page {
            Some(page) => (StatusCode::OK, page),
            None => (StatusCode::NOT_FOUND, missing_page(&layout)),
        };
        Ok(html(status, page, &head.headers))
    }

    /// Carries out a form, and redirects the browser to the page that shows the result.
    pub(super) async fn submit_form<B>(&self, form: Form, head: &Head, body: B) -> Answered
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let fields = Fields::read(&self.read_admin_body(head, body).await?);
        let admin_ui = self.admin_ui.as_ref().ok_or(Denied::Closed)?;
        if !admin_ui.token.is_in(&fields) {
            let text = "This form is not from this dynowarden, or the password has changed since. \
                        Go back, reload the page and try again.";
            return Ok(failed(admin_ui, StatusCode::FORBIDDEN, text));
        }
        let (app, text) = (fields.filled("app"), |name| fields.value(name).unwrap_or_default());
        let by = self.client(head, Door::Page);
        let done = match form {
            Form::Pause => {
                let done = self.pause_app(by, app, text("for"), text("reason")).await;
                let of = app.map_or("all apps".to_owned(), str::to_owned);
                let said = format!("Restarts of {of} are paused for {}.", text("for"));
                done.map(|_| ("/".to_owned(), Told { text: said, command: None, is_done: true }))
            }
            Form::Restart => self.restart_dyno(by, app, text("dyno")).await,
            Form::Resume => {
                let done = self.resume_app(by, app).await;
                let of = app.map_or("all apps".to_owned(), str::to_owned);
                let said = format!("Restarts of {of} are allowed again.");
                done.map(|_| ("/".to_owned(), Told { text: said, command: None, is_done: true }))
            }
        };
        match done {
            Ok((to, told)) => Ok(see_other(&format!("{to}?told={}", admin_ui.tell(told)))),
            Err(Denied::Query(problem)) => Ok(failed(admin_ui, StatusCode::BAD_REQUEST, &problem)),
            Err(Denied::UnknownApp) => {
                Ok(failed(admin_ui, StatusCode::NOT_FOUND, "No watched app has this name."))
            }
            Err(other) => Err(other),
        }
    }

    /// The filter of the page: without a kind, what an operator asks first.
    fn page_filter(&self, fields: &Fields) -> Result<Filter, String> {
        let kind = fields.filled("kind");
        let filter = decision_filter(&fields.without("kind", kind == Some("all")), self.clock.now().wall)?;
        let is_narrowed = fields.filled("code").is_some();
        Ok(Filter { only_news: kind.is_none() && !is_narrowed, ..filter })
    }

    /// Requests a restart, and returns the page that will show its result, with the answer.
    async fn restart_dyno(
        &self,
        by: Client,
        app: Option<&str>,
        dyno: &str,
    ) -> Result<(String, Told), Denied> {
        let name = app.ok_or(Denied::UnknownApp)?;
        let app = self.app(name).ok_or(Denied::UnknownApp)?;
        let dyno: DynoName = dyno.parse().map_err(|error| Denied::Query(format!("{error}")))?;
        let to = format!("/apps/{name}/dynos/{dyno}");
        // The order stands even after the time-out.
        let order = self.handle.order(app, Some(dyno.clone()), true, by.to_string().into());
        let ordered = tokio::time::timeout(limits::FORM_WAIT, order).await;
        let decisions = ordered.as_ref().ok().and_then(|decisions| decisions.as_deref().ok());
        self.audit_restart(by, app, Some(dyno.clone()), decisions).await;
        let decisions = match ordered {
            Ok(answer) => answer?,
            Err(_) => Vec::new(),
        };
        let name: AppName = name.parse().map_err(|_| Denied::UnknownApp)?;
        Ok((to, answer(&name, &dyno, decisions.first())))
    }
}

/// What became of a person's restart.
fn answer(app: &AppName, dyno: &DynoName, decision: Option<&Decision>) -> Told {
    let told = |text, is_done| Told { text, command: None, is_done };
    let Some(decision) = decision else {
        return told(format!("Asked for a restart of {dyno}. The decision appears here."), true);
    };
    let reason = decision.reason();
    match &decision.action {
        Action::Restart { dry_run: true, .. } => {
            told(format!("Dry run: {dyno} would be restarted now. Nothing was sent."), true)
        }
        Action::Restart { .. } => told(format!("{dyno} is being restarted."), true),
        Action::Hold(Hold::Queued { .. } | Hold::FormationOut { .. }) => {
            told(format!("{dyno} will be restarted when its turn comes: {reason}."), true)
        }
        Action::Hold(Hold::UnderWay) => told(format!("{dyno} is already being restarted."), true),
        Action::Hold(Hold::Gone) => told(format!("{dyno} was not restarted: {reason}."), false),
        Action::Hold(_) | Action::Notify => Told {
            text: format!("{dyno} was not restarted: {reason}."),
            command: Some(ps_restart(app, dyno)),
            is_done: false,
        },
    }
}

/// The fields of the filter, to be shown again.
fn asked(fields: &Fields) -> Asked {
    let text =
        |name: &str| fields.value(name).unwrap_or_default().chars().take(limits::QUOTED_CHARS_MAX).collect();
    Asked {
        app: text("app"),
        dyno: text("dyno"),
        kind: text("kind"),
        code: text("code"),
        since: text("since"),
    }
}

/// 303, so that a reload does not send the form again. `to` consists of names, which are valid in a header.
fn see_other(to: &str) -> Response<ReplyBody> {
    let mut response = reply::empty(StatusCode::SEE_OTHER);
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, to);
    }
    reply::no_store(response)
}

/// The page after a form that was not carried out.
fn failed(admin_ui: &AdminUi, status: StatusCode, text: &str) -> Response<ReplyBody> {
    let seen = admin_ui.streams.last_html_id();
    html(status, problem_page(&admin_ui.layout(&seen), "That did not work", text), &HeaderMap::new())
}

fn missing_page(layout: &Layout<'_>) -> Markup {
    let text = "No watched app or dyno has this name. It may have been scaled down, or has logged nothing \
                since startup.";
    problem_page(layout, "Not found", text)
}

fn html(status: StatusCode, page: Markup, headers: &HeaderMap) -> Response<ReplyBody> {
    let page = page.into_string();
    let mut response =
        reply::compressed(status, "text/html; charset=utf-8", page.into_bytes().into(), headers);
    let to = response.headers_mut();
    to.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(layout::CONTENT_SECURITY_POLICY));
    to.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    to.insert(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY"));
    to.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    reply::no_store(response)
}

/// An asset, which a browser may cache permanently because its name changes with its content.
fn asset((asset, packed): (&Asset, Bytes), headers: &HeaderMap) -> Response<ReplyBody> {
    let tag = format!("\"{}\"", asset.path.trim_start_matches("/assets/"));
    let known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if known {
        reply::empty(StatusCode::NOT_MODIFIED)
    } else if accepts_gzip(headers) {
        let mut response = reply::typed(StatusCode::OK, asset.content_type, packed);
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    } else {
        reply::typed(StatusCode::OK, asset.content_type, Bytes::from_static(asset.content.as_bytes()))
    };
    let to = response.headers_mut();
    to.insert(VARY, HeaderValue::from_static("accept-encoding"));
    to.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    // The name consists of letters, digits, dots and dashes.
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        to.insert(ETAG, tag);
    }
    response
}
