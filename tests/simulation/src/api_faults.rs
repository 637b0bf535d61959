//! Calls on their way to the Platform API and back: their faults, and the meaning of their responses.
//!
//! A status means the same as for the program's own client, with the same decoding of bodies.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};

use dynowarden_core::api::answer::{Failure, deletion};
use dynowarden_core::api::json::{self, Formation};
use dynowarden_core::api::{ApiError, DeleteResult, DynoInfo};
use dynowarden_core::ident::{AppName, DrainToken, DynoName};
use dynowarden_core::record::AttemptId;
use heroku_sim::fault::Fault;
use heroku_sim::platform::gateway_page;
use heroku_sim::rng::Chance;

use crate::figures::Figures;
use crate::invariants::{DynoTruth, ListTruth};
use crate::scenario::{ApiCondition, secs};

#[derive(Clone, Debug)]
pub struct Flight {
    pub life: u32,
    pub attempt_id: AttemptId,
    pub app: usize,
    pub want: Want,
    /// No task waits for the response any more.
    pub is_over: bool,
    pub has_arrived: bool,
    pub never_arrives: bool,
    pub is_unsent: bool,
    /// The response's fault, if it gets that far.
    pub trouble: Option<Trouble>,
    /// From the API's response until it arrives; none if it never does.
    pub way_back: Option<Duration>,
    pub answer: Option<Answer>,
}

#[derive(Clone, Debug)]
pub enum Want {
    Delete(DynoName),
    /// An app's drains; asked for at this time of the engine's clock.
    Drains {
        asked_at: Duration,
    },
    /// The first half of an inspection.
    List {
        dyno: Option<DynoName>,
    },
    /// The second half.
    OneOfLook {
        dyno: DynoName,
        formation: Vec<DynoInfo>,
        list: ListTruth,
        quantities: Vec<Formation>,
    },
    Poll(DynoName),
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub tokens: Option<u32>,
    pub body: Bytes,
    /// The real state at that time.
    pub truth: Truth,
}

#[derive(Clone, Debug)]
pub enum Truth {
    /// Token and URL of each drain.
    Drains(Vec<(DrainToken, String)>),
    Dyno(Option<DynoTruth>),
    List(ListTruth),
    None,
}

#[derive(Clone, Debug)]
pub enum Trouble {
    /// Not carried out; this status.
    Status(u16, Option<Duration>),
    /// Carried out, and a status that does not say so.
    StatusAfter(u16),
    /// Carried out, and the body is spoiled.
    Spoiled(Fault),
}

#[derive(Clone, Debug)]
pub struct Fate {
    /// When it reaches the API, from now; none if it never does.
    pub arrives: Option<Duration>,
    pub trouble: Option<Trouble>,
    pub way_back: Option<Duration>,
    /// When the client notices that the connection broke.
    pub breaks: Option<Duration>,
    /// What answers instead of the API, whether or not the call reaches it.
    pub page: Option<Page>,
    /// The client knows that the request was not sent.
    pub is_unsent: bool,
}

/// The answer of a gateway, a proxy or a login page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub status: u16,
    /// From the request to this answer.
    pub after: Duration,
}

/// The client's `heroku.request_timeout`.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest time after its sender gave up until a lost request takes effect.
pub const LATE_MAX: Duration = Duration::from_secs(4);

impl Fate {
    /// There and back.
    pub fn fair(chance: &mut Chance) -> Self {
        let way = |chance: &mut Chance| match chance.below(100) {
            0..90 => chance.span(Duration::from_millis(10), Duration::from_millis(150)),
            90..98 => chance.span(Duration::from_millis(150), Duration::from_millis(800)),
            _ => chance.span(Duration::from_millis(800), Duration::from_millis(1500)),
        };
        Self { arrives: Some(way(chance)), way_back: Some(way(chance)), ..Self::lost() }
    }

    /// Never there, and no answer.
    pub fn lost() -> Self {
        Self { arrives: None, trouble: None, way_back: None, breaks: None, page: None, is_unsent: false }
    }

    pub fn draw(
        chance: &mut Chance,
        api_condition: ApiCondition,
        want: &Want,
        figures: &mut Figures,
    ) -> Self {
        let fair = Self::fair(chance);
        let mishap = match api_condition {
            ApiCondition::Fair if chance.hits(if want.is_delete() { 120 } else { 20 }) => chance.below(14),
            ApiCondition::Fair => return fair,
            ApiCondition::Down => chance.below(7),
            ApiCondition::Slow => 4 + chance.below(2),
            ApiCondition::Garbled => 13,
            ApiCondition::Forbidden => {
                figures.fault("forbidden");
                let status = *chance.pick(&[402, 403]).expect("two");
                return Self { trouble: Some(Trouble::Status(status, None)), ..fair };
            }
            ApiCondition::Unauthorized => {
                figures.fault("unauthorized");
                return Self { trouble: Some(Trouble::Status(401, None)), ..fair };
            }
            ApiCondition::Throttled { retry_after } => return fair.throttled(chance, retry_after, figures),
        };
        fair.spoil(chance, mishap, want, figures)
    }

    fn spoil(mut self, chance: &mut Chance, mishap: u64, want: &Want, figures: &mut Figures) -> Self {
        let soon = chance.span(Duration::ZERO, secs(3));
        let kind = match mishap {
            0 => {
                (self.arrives, self.breaks) = (None, Some(soon));
                "break_before"
            }
            1 => {
                (self.way_back, self.breaks) = (None, Some(self.arrives.unwrap_or_default() + soon));
                "break_after"
            }
            2 => {
                self.arrives = None;
                "hang_before"
            }
            3 => {
                self.way_back = None;
                "hang_after"
            }
            4 => {
                self.arrives = Some(TIMEOUT + chance.span(Duration::ZERO, LATE_MAX));
                "slow_before"
            }
            5 => {
                self.way_back = Some(chance.span(TIMEOUT, 2 * TIMEOUT));
                "slow_after"
            }
            6 => {
                let status = *chance.pick(&[500, 502, 503, 504]).expect("four");
                self.trouble = Some(Trouble::Status(status, None));
                "5xx"
            }
            7 => {
                self.trouble = Some(Trouble::StatusAfter(*chance.pick(&[502, 503, 504]).expect("three")));
                "5xx_after"
            }
            8 | 9 if want.is_delete() => {
                let late = chance.span(Duration::ZERO, LATE_MAX);
                (self.breaks, self.arrives, self.way_back) = (Some(soon), Some(soon + late), None);
                "late"
            }
            8 | 9 => {
                self.way_back = Some(chance.span(secs(1), secs(8)));
                "slow"
            }
            10 => {
                let has_time = chance.hits(500);
                return self.throttled(chance, has_time, figures);
            }
            11 => {
                let status = *chance.pick(&[400, 409, 422]).expect("three");
                self.trouble = Some(Trouble::Status(status, None));
                "refused"
            }
            _ => {
                let (fault, kind) = spoiled(chance, want);
                self.trouble = Some(Trouble::Spoiled(fault));
                kind
            }
        };
        figures.fault(kind);
        self
    }

    pub fn is_unlucky(&self) -> bool {
        let Self { arrives, trouble, way_back, breaks, .. } = self;
        trouble.is_some() || breaks.is_some() || arrives.is_none() || way_back.is_none()
    }

    fn throttled(mut self, chance: &mut Chance, retry_after: bool, figures: &mut Figures) -> Self {
        figures.fault(if retry_after { "429_with_time" } else { "429" });
        let wait = retry_after.then(|| secs(1 + chance.below(40)));
        self.trouble = Some(Trouble::Status(429, wait));
        self
    }
}

fn spoiled(chance: &mut Chance, want: &Want) -> (Fault, &'static str) {
    let fields: &[_] = match want {
        // An API that leaves `updated_at` out of both responses of an inspection does not know it, and is
        // trusted; the engine holds if only one of them has it.
        Want::Drains { .. } => &["id", "token", "url"],
        Want::OneOfLook { .. } => &["created_at", "id", "name", "state", "type"],
        _ => &["created_at", "id", "name", "state", "type", "updated_at"],
    };
    let field = (*chance.pick(fields).expect("some")).to_owned();
    match chance.below(5) {
        0 => (Fault::MissingField(field), "missing_field"),
        1 => (Fault::WrongType(field), "wrong_type"),
        2 => (Fault::UnknownState("hibernating".to_owned()), "unknown_state"),
        3 => (Fault::Html, "html"),
        _ => (Fault::WrongJson, "cut_json"),
    }
}

impl Want {
    /// The call's HTTP request.
    pub fn request(&self, app: &AppName) -> Request<Bytes> {
        let (method, path) = match self {
            Self::Delete(dyno) => (Method::DELETE, format!("/apps/{app}/dynos/{dyno}")),
            Self::Drains { .. } => (Method::GET, format!("/apps/{app}/log-drains")),
            Self::List { .. } => (Method::GET, format!("/apps/{app}/dynos")),
            Self::OneOfLook { dyno, .. } | Self::Poll(dyno) => {
                (Method::GET, format!("/apps/{app}/dynos/{dyno}"))
            }
        };
        Request::builder()
            .method(method)
            .uri(path)
            .header("accept", "application/vnd.heroku+json; version=3")
            .header("authorization", "Bearer secret")
            .body(Bytes::new())
            .expect("names make a path")
    }

    pub fn is_delete(&self) -> bool {
        matches!(self, Self::Delete(_))
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delete(dyno) => write!(f, "delete {dyno}"),
            Self::Drains { .. } => f.write_str("list drains"),
            Self::List { .. } => f.write_str("list"),
            Self::OneOfLook { dyno, .. } => write!(f, "look at {dyno}"),
            Self::Poll(dyno) => write!(f, "peek at {dyno}"),
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { arrives, trouble, way_back, breaks, page, is_unsent } = self;
        if let Some(page) = page {
            write!(f, "{page:?}, ")?;
        }
        if *is_unsent {
            f.write_str("not sent, ")?;
        }
        write!(f, "there in {arrives:?}, back in {way_back:?}")?;
        if let Some(breaks) = breaks {
            write!(f, ", breaks in {breaks:?}")?;
        }
        if let Some(trouble) = trouble {
            write!(f, ", {trouble:?}")?;
        }
        Ok(())
    }
}

impl Answer {
    pub fn read(response: Response<Bytes>, truth: Truth) -> Self {
        let tokens = response.headers().get("ratelimit-remaining");
        Self {
            status: response.status().as_u16(),
            retry_after: None,
            tokens: tokens.and_then(|value| value.to_str().ok()?.parse().ok()),
            body: response.into_body(),
            truth,
        }
    }

    /// A page of something between the client and the API.
    pub fn of_page(page: Page) -> Self {
        Self::read(gateway_page(page.status), Truth::None)
    }

    /// The body of a 2xx; none for the API's own 404.
    pub fn body(&self) -> Result<Option<&[u8]>, ApiError> {
        match self.status {
            200..=299 => Ok(Some(&self.body)),
            status => match Failure::of(status, &self.body, self.retry_after) {
                Failure::NotFound => Ok(None),
                Failure::Error(error) => Err(error),
            },
        }
    }

    pub fn deletion(&self) -> DeleteResult {
        deletion(self.status, &self.body, self.retry_after)
    }
}

/// The dyno in a response, if it is the requested one.
pub fn one(body: Option<&[u8]>, name: &DynoName) -> Result<Option<DynoInfo>, ApiError> {
    let Some(body) = body else { return Ok(None) };
    match json::dyno(body) {
        Ok(seen) if seen.name == *name => Ok(Some(seen)),
        Ok(_) => Err(ApiError::Garbled { what: "another dyno".to_owned() }),
        Err(garbled) => Err(ApiError::Garbled { what: garbled.to_string() }),
    }
}
