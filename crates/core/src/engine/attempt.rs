//! One attempt at a restart, from the error to the settled new dyno.
//!
//! Each state is a type, and each step consumes the state that it starts from, so a step in the wrong state
//! does not compile. docs/states.md draws the states; its arrows are the methods here.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::DynoInfo;
use crate::codes::Code;
use crate::record::hold::Hold;
use crate::record::{AttemptId, Decision, MANUAL};
use crate::time::on_axis;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cause {
    /// A request by a person or a script.
    Manual {
        /// A person's word: it passes the bounds that only protect against too many restarts.
        forced: bool,
        /// Who requested it, as far as that is known.
        by: Option<Arc<str>>,
    },
    /// A rule on uptime: the inspection shows whether the process is that old.
    Age { rule: Arc<str>, above: Duration },
    Rule {
        rule: Arc<str>,
        code: Option<Code>,
        lines: u32,
        /// The time in the newest line.
        error_at: Timestamp,
        /// When the newest line came, on the engine's clock.
        heard_at: Duration,
    },
}

impl Cause {
    pub(super) fn is_manual(&self) -> bool {
        matches!(self, Self::Manual { .. })
    }

    /// Whether a person asked for it, whatever cool-down, limits, window and give-up say.
    pub(super) fn is_forced(&self) -> bool {
        matches!(self, Self::Manual { forced: true, .. })
    }

    /// The time in the newest line; none for a person's request.
    pub(super) fn error_at(&self) -> Option<Timestamp> {
        match self {
            Self::Age { .. } | Self::Manual { .. } => None,
            Self::Rule { error_at, .. } => Some(*error_at),
        }
    }

    /// How long ago the newest line came; none for a person's request.
    pub(super) fn heard_for(&self, now: Duration) -> Option<Duration> {
        match self {
            Self::Age { .. } | Self::Manual { .. } => None,
            Self::Rule { heard_at, .. } => Some(now.saturating_sub(*heard_at)),
        }
    }

    pub(super) fn rule(&self) -> Arc<str> {
        match self {
            Self::Manual { .. } => MANUAL.into(),
            Self::Age { rule, .. } | Self::Rule { rule, .. } => Arc::clone(rule),
        }
    }
}

/// What an attempt carries through all its states.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub id: AttemptId,
    pub cause: Cause,
    /// Whether its decision to restart is on record.
    pub decided: bool,
    pub deletes: u32,
    pub failed_inspections: u32,
    /// Inspections that were asked for.
    pub inspections: u32,
    /// Whether its next inspection is likely to be the last: what it waited for is over.
    pub is_decisive: bool,
    /// When the API was last asked for it.
    pub inspected: Duration,
    /// When an announced release or scaling, or two releases side by side, first held it up.
    pub postponed: Option<Duration>,
    /// When it got its place.
    pub placed: Duration,
    /// The reason to wait, once it is on record.
    pub waiting_for: Option<Hold>,
    /// For the back-off.
    pub waits: u32,
}

/// A DELETE whose answer was lost, and which may still be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LostAnswer {
    pub sent: Duration,
    pub target: DynoInfo,
}

/// The state of an attempt, in the order of its life.
#[derive(Clone, Debug)]
pub(super) enum Attempt {
    Queued(Queued),
    Inspecting(Inspecting),
    Waiting(Waiting),
    Claiming(Claiming),
    Restarting(Restarting),
    Unconfirmed(Unconfirmed),
    Booting(Booting),
    Settling(Settling),
    Failed(Failed),
}

/// Waits for one of the `max_concurrent` places.
#[derive(Clone, Debug)]
pub(super) struct Queued {
    pub request: Request,
}

/// The API was asked for the dyno and its formation.
#[derive(Clone, Debug)]
pub(super) struct Inspecting {
    pub request: Request,
}

/// Something else is in the way. The attempt inspects again later.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub request: Request,
}

/// The store was asked for the claim.
#[derive(Clone, Debug)]
pub(super) struct Claiming {
    pub request: Request,
    pub target: DynoInfo,
    /// The decision to restart, until it is on record.
    pub draft: Option<Box<Decision>>,
}

#[derive(Clone, Debug)]
pub(super) struct Restarting {
    pub request: Request,
    pub target: DynoInfo,
    pub sent: Duration,
}

/// The DELETE's answer was lost, and the dyno is polled.
#[derive(Clone, Debug)]
pub(super) struct Unconfirmed {
    pub request: Request,
    pub lost: LostAnswer,
    pub polling: Polling,
}

/// The API accepted. The new instance is awaited.
#[derive(Clone, Debug)]
pub(super) struct Booting {
    pub request: Request,
    pub target: DynoInfo,
    /// On the engine's clock; negative if an earlier process sent the DELETE.
    pub accepted: SignedDuration,
    pub polling: Polling,
}

/// The new instance is up and settles. It is polled once more at the end.
#[derive(Clone, Debug)]
pub(super) struct Settling {
    pub request: Request,
    pub target: DynoInfo,
    /// See [`Booting::accepted`].
    pub accepted: SignedDuration,
    pub polling: Polling,
}

/// The new instance was not up in time, or crashed before it had settled. The dyno is still polled, and it
/// has given its place back.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub request: Request,
    pub target: DynoInfo,
    /// See [`Booting::accepted`].
    pub accepted: SignedDuration,
    pub polling: Polling,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Polling {
    /// For the back-off.
    pub count: u32,
    /// Whether an answer is outstanding.
    pub is_out: bool,
}

/// A state before the API has accepted a DELETE, so that the attempt can wait or be dropped.
pub(super) trait Revocable: Into<Attempt> + Sized {
    fn into_request(self) -> Request;

    fn request(&self) -> &Request;

    fn request_mut(&mut self) -> &mut Request;

    /// Something else is in the way.
    fn wait(self) -> Waiting {
        let mut request = self.into_request();
        request.waits += 1;
        Waiting { request }
    }
}

/// A state in which the API may be asked for the dyno and its formation.
pub(super) trait Inspectable: Revocable {
    fn inspect(self, now: Duration) -> Inspecting {
        let mut request = self.into_request();
        request.inspections += 1;
        request.is_decisive = false;
        request.inspected = now;
        Inspecting { request }
    }
}

impl Inspectable for Queued {}
impl Inspectable for Waiting {}

/// A state after an accepted DELETE.
pub(super) trait Accepted: Into<Attempt> + Sized {
    /// The request, the replaced instance, and when the API accepted.
    fn parts(self) -> (Request, DynoInfo, SignedDuration);
}

/// A state in which the new instance may come up.
pub(super) trait Restarted: Accepted {
    /// The new instance is up.
    fn settle(self) -> Settling {
        let (request, target, accepted) = self.parts();
        Settling { request, target, accepted, polling: Polling::default() }
    }
}

impl Restarted for Booting {}
impl Restarted for Failed {}

/// A state in which the restart may turn out to have failed.
pub(super) trait Fallible: Accepted {
    /// The new instance was not up in time, or did not stay up.
    fn fail(self) -> Failed {
        let (request, target, accepted) = self.parts();
        Failed { request, target, accepted, polling: Polling::default() }
    }
}

impl Fallible for Booting {}
impl Fallible for Settling {}

macro_rules! accepted {
    ($($state:ident)+) => {$(
        impl Accepted for $state {
            fn parts(self) -> (Request, DynoInfo, SignedDuration) {
                (self.request, self.target, self.accepted)
            }
        }
    )+};
}

accepted! { Booting Settling Failed }

// === the steps ===

impl Queued {
    pub(super) fn queue(id: AttemptId, cause: Cause, now: Duration) -> Self {
        let request = Request {
            id,
            cause,
            decided: false,
            deletes: 0,
            failed_inspections: 0,
            inspections: 0,
            is_decisive: false,
            inspected: now,
            postponed: None,
            placed: now,
            waiting_for: None,
            waits: 0,
        };
        Self { request }
    }

    /// Continues for a process that ended between its DELETE and the answer.
    pub(super) fn resume_unconfirmed(self, target: DynoInfo, now: Duration) -> Unconfirmed {
        let request = Request { decided: true, deletes: 1, ..self.request };
        Unconfirmed { request, lost: LostAnswer { sent: now, target }, polling: Polling::default() }
    }

    /// Continues for a process that ended after the API had accepted its DELETE.
    pub(super) fn resume_booting(self, target: DynoInfo, accepted: SignedDuration) -> Booting {
        let request = Request { decided: true, deletes: 1, ..self.request };
        Booting::new(request, target, accepted)
    }
}

impl Inspecting {
    /// Nothing is in the way: asks the store.
    pub(super) fn claim(self, target: DynoInfo, draft: Option<Box<Decision>>) -> Claiming {
        Claiming { request: self.request, target, draft }
    }
}

impl Claiming {
    /// The claim is granted: the DELETE is sent.
    pub(super) fn restart(self, now: Duration) -> Restarting {
        let request = Request { deletes: self.request.deletes + 1, ..self.request };
        Restarting { request, target: self.target, sent: now }
    }
}

impl Restarting {
    /// The API accepted the DELETE.
    pub(super) fn boot(self) -> Booting {
        Booting::new(self.request, self.target, on_axis(self.sent))
    }

    /// No answer will come.
    pub(super) fn lose_answer(self) -> Unconfirmed {
        let lost = LostAnswer { sent: self.sent, target: self.target };
        Unconfirmed { request: self.request, lost, polling: Polling::default() }
    }
}

impl Unconfirmed {
    /// A poll showed that the DELETE was carried out, or it is unknown and counts as carried out.
    pub(super) fn boot(self) -> Booting {
        Booting::new(self.request, self.lost.target, on_axis(self.lost.sent))
    }
}

impl Booting {
    fn new(request: Request, target: DynoInfo, accepted: SignedDuration) -> Self {
        Self { request, target, accepted, polling: Polling::default() }
    }
}

impl Polling {
    pub(super) fn ask(&mut self) {
        self.count += 1;
        self.is_out = true;
    }
}

// === impl Attempt ===

impl Attempt {
    pub(super) fn request(&self) -> &Request {
        match self {
            Self::Queued(attempt) => &attempt.request,
            Self::Inspecting(attempt) => &attempt.request,
            Self::Waiting(attempt) => &attempt.request,
            Self::Claiming(attempt) => &attempt.request,
            Self::Restarting(attempt) => &attempt.request,
            Self::Unconfirmed(attempt) => &attempt.request,
            Self::Booting(attempt) => &attempt.request,
            Self::Settling(attempt) => &attempt.request,
            Self::Failed(attempt) => &attempt.request,
        }
    }

    pub(super) fn request_mut(&mut self) -> &mut Request {
        match self {
            Self::Queued(attempt) => &mut attempt.request,
            Self::Inspecting(attempt) => &mut attempt.request,
            Self::Waiting(attempt) => &mut attempt.request,
            Self::Claiming(attempt) => &mut attempt.request,
            Self::Restarting(attempt) => &mut attempt.request,
            Self::Unconfirmed(attempt) => &mut attempt.request,
            Self::Booting(attempt) => &mut attempt.request,
            Self::Settling(attempt) => &mut attempt.request,
            Self::Failed(attempt) => &mut attempt.request,
        }
    }

    /// Whether the dyno may be out because of us, so that it counts against `max_concurrent`.
    pub(super) fn may_be_out(&self) -> bool {
        match self {
            // A failed restart is judged by what the API shows.
            Self::Queued(_) | Self::Inspecting(_) | Self::Waiting(_) | Self::Failed(_) => false,
            Self::Claiming(_)
            | Self::Restarting(_)
            | Self::Unconfirmed(_)
            | Self::Booting(_)
            | Self::Settling(_) => true,
        }
    }
}

macro_rules! states {
    ($($state:ident)+) => {$(
        impl From<$state> for Attempt {
            fn from(state: $state) -> Self {
                Self::$state(state)
            }
        }
    )+};
}

states! { Queued Inspecting Waiting Claiming Restarting Unconfirmed Booting Settling Failed }

macro_rules! revocable {
    ($($state:ident)+) => {$(
        impl Revocable for $state {
            fn into_request(self) -> Request {
                self.request
            }

            fn request(&self) -> &Request {
                &self.request
            }

            fn request_mut(&mut self) -> &mut Request {
                &mut self.request
            }
        }
    )+};
}

revocable! { Queued Inspecting Waiting Claiming Restarting }
