//! Every route, by its audience: logplex and hooks, operations, the JSON API, the status page and its forms.

use http::Method;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'p> {
    /// `POST /logs/{app}`, or `POST /logs`, where the drain token identifies the app.
    Drain(Option<&'p str>),
    /// `GET /api/v1/events`.
    Events,
    /// `POST /pause`, `/restart` and `/resume`: the forms of the status page.
    Form(Form),
    /// `GET /healthz`.
    Health,
    /// `POST /hooks/restart/{app}`.
    Hook(&'p str),
    /// `GET /api/v1/decisions`.
    ListDecisions,
    /// `GET /api/v1/dynos`.
    ListDynos,
    /// `GET /metrics`.
    Metrics,
    /// The status page.
    Page(Page<'p>),
    /// `POST /api/v1/pause`.
    Pause,
    /// `GET /readyz`.
    Ready,
    /// `GET /api/v1/report`.
    Report,
    /// `POST /api/v1/resume`.
    Resume,
    /// `GET /api/v1/series`.
    Series,
}

/// A page or an asset of the status page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page<'p> {
    /// `GET /apps/{app}`.
    App(&'p str),
    /// `GET /assets/{name}`, the whole path.
    Asset(&'p str),
    /// `GET /decisions`.
    Decisions,
    /// `GET /apps/{app}/dynos/{dyno}`.
    Dyno(&'p str, &'p str),
    /// `GET /apps/{app}/types/{type}`.
    ProcessType(&'p str, &'p str),
    /// `GET /`.
    Overview,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Pause,
    Restart,
    Resume,
}

impl<'p> Route<'p> {
    /// Parses a path.
    pub(super) fn of(path: &'p str) -> Option<Self> {
        Some(match path {
            "/" => Self::Page(Page::Overview),
            "/api/v1/decisions" => Self::ListDecisions,
            "/api/v1/dynos" => Self::ListDynos,
            "/api/v1/events" => Self::Events,
            "/api/v1/pause" => Self::Pause,
            "/api/v1/report" => Self::Report,
            "/api/v1/resume" => Self::Resume,
            "/api/v1/series" => Self::Series,
            "/decisions" => Self::Page(Page::Decisions),
            "/healthz" => Self::Health,
            "/logs" => Self::Drain(None),
            "/metrics" => Self::Metrics,
            "/pause" => Self::Form(Form::Pause),
            "/readyz" => Self::Ready,
            "/restart" => Self::Form(Form::Restart),
            "/resume" => Self::Form(Form::Resume),
            _ => return Self::with_segments(path),
        })
    }

    fn with_segments(path: &'p str) -> Option<Self> {
        if let Some(app) = path.strip_prefix("/hooks/restart/") {
            return last_segment(app).map(Self::Hook);
        }
        if let Some(app) = path.strip_prefix("/logs/") {
            return last_segment(app).map(|app| Self::Drain(Some(app)));
        }
        if path.starts_with("/assets/") {
            return Some(Self::Page(Page::Asset(path)));
        }
        let rest = path.strip_prefix("/apps/")?;
        Some(Self::Page(match rest.split_once('/') {
            None => Page::App(last_segment(rest)?),
            Some((app, rest)) => match rest.split_once('/').filter(|(_, name)| !name.contains('/'))? {
                ("dynos", dyno) => Page::Dyno(app, dyno),
                ("types", process_type) => Page::ProcessType(app, process_type),
                _ => return None,
            },
        }))
    }

    pub(super) fn allows(self, method: &Method) -> bool {
        match self.methods() {
            "POST" => *method == Method::POST,
            "GET" => *method == Method::GET,
            _ => matches!(*method, Method::GET | Method::HEAD),
        }
    }

    /// The methods of the route, for `Allow`.
    pub(super) fn methods(self) -> &'static str {
        match self {
            Self::Drain(_) | Self::Form(_) | Self::Hook(_) | Self::Pause | Self::Resume => "POST",
            Self::Events => "GET",
            Self::Health
            | Self::ListDecisions
            | Self::ListDynos
            | Self::Metrics
            | Self::Page(_)
            | Self::Ready
            | Self::Report
            | Self::Series => "GET, HEAD",
        }
    }
}

fn last_segment(rest: &str) -> Option<&str> {
    (!rest.is_empty() && !rest.contains('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Form, Page, Route};

    #[test]
    fn paths_are_parsed() {
        for (path, expect) in [
            ("/", Some(Route::Page(Page::Overview))),
            ("/apps/acme", Some(Route::Page(Page::App("acme")))),
            ("/apps/acme/dynos/web.1", Some(Route::Page(Page::Dyno("acme", "web.1")))),
            ("/apps/acme/types/web", Some(Route::Page(Page::ProcessType("acme", "web")))),
            ("/apps/acme/types/web/x", None),
            ("/apps/acme/lives/web", None),
            ("/assets/x.js", Some(Route::Page(Page::Asset("/assets/x.js")))),
            ("/api/v1/events", Some(Route::Events)),
            ("/hooks/restart/acme", Some(Route::Hook("acme"))),
            ("/logs", Some(Route::Drain(None))),
            ("/logs/acme", Some(Route::Drain(Some("acme")))),
            ("/restart", Some(Route::Form(Form::Restart))),
            ("/apps/", None),
            ("/apps/acme/", None),
            ("/apps/acme/dynos/web.1/x", None),
            ("/apps/acme/web.1", None),
            ("/index.html", None),
            ("", None),
            ("/hooks/restart/", None),
            ("/logs/", None),
            ("/logs/acme/x", None),
            ("/x", None),
        ] {
            assert_eq!(Route::of(path), expect, "{path}");
        }
        assert!(Route::Events.allows(&Method::GET) && !Route::Events.allows(&Method::HEAD));
        assert!(Route::Pause.allows(&Method::POST) && !Route::Pause.allows(&Method::GET));
    }
}
