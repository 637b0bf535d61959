//! One attempt at a restart, from the error to the settled new dyno.
//!
//! Each state is a type, and each step consumes the state that it starts from, so a step in the wrong state
//! does not compile. docs/states.md draws the states; its arrows are the methods here.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::DynoInfo;
use crate::codes::Code;
use crate::record::hold::Hold;
use crate::record::{AttemptId, Decision, MANUAL};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cause {
    Manual,
    Rule {
        rule: Arc<str>,
        code: Option<Code>,
        lines: u32,
        /// The time in the newest line.
        error_at: Timestamp,
    },
}

impl Cause {
    pub(super) fn is_manual(&self) -> bool {
        matches!(self, Self::Manual)
    }

    /// The time in the newest line; none for a person's request.
    pub(super) fn error_at(&self) -> Option<Timestamp> {
        match self {
            Self::Manual => None,
            Self::Rule { error_at, .. } => Some(*error_at),
        }
    }

    pub(super) fn rule(&self) -> Arc<str> {
        match self {
            Self::Manual => MANUAL.into(),
            Self::Rule { rule, .. } => Arc::clone(rule),
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
    /// Whether a process that died began it. No further DELETE is sent for it.
    pub is_resumed: bool,
    /// When it entered the queue.
    pub since: Duration,
    /// The reason to wait, once it is on record.
    pub waiting_for: Option<Hold>,
    /// For the back-off.
    pub waits: u32,
}

/// A DELETE whose answer was lost, and which may still be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LostAnswer {
    pub sent: Duration,
    /// When it became clear that no answer will come.
    pub lost: Duration,
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
    pub lost: Option<LostAnswer>,
}

/// Something else is in the way. The attempt inspects again later.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub request: Request,
    pub lost: Option<LostAnswer>,
}

/// The store was asked for the claim.
#[derive(Clone, Debug)]
pub(super) struct Claiming {
    pub request: Request,
    pub lost: Option<LostAnswer>,
    pub target: DynoInfo,
    /// The decision to restart, until it is on record.
    pub draft: Option<Box<Decision>>,
}

#[derive(Clone, Debug)]
pub(super) struct Restarting {
    pub request: Request,
    /// An earlier DELETE of the same process.
    pub lost: Option<LostAnswer>,
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
    pub accepted: Duration,
    pub polling: Polling,
}

/// The new instance is up and settles.
#[derive(Clone, Debug)]
pub(super) struct Settling {
    pub request: Request,
}

/// The new instance was not up in time. The dyno is still polled.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub request: Request,
    pub target: DynoInfo,
    pub accepted: Duration,
    pub polling: Polling,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Polling {
    /// For the back-off.
    pub count: u32,
    /// Whether an answer is outstanding.
    pub is_out: bool,
}

/// A new attempt that may go on, or one that is over.
#[derive(Debug)]
pub(super) enum Left {
    /// No DELETE can still be carried out.
    Over(Request),
    /// An earlier DELETE may still be carried out.
    Unconfirmed(Unconfirmed),
}

/// A state before the API has accepted a DELETE, so that the attempt can wait or be dropped.
pub(super) trait Revocable: Into<Attempt> + Sized {
    /// The request, and an earlier DELETE that may still be carried out.
    fn parts(self) -> (Request, Option<LostAnswer>);

    fn request(&self) -> &Request;

    /// Something else is in the way.
    fn wait(self) -> Waiting {
        let (mut request, lost) = self.parts();
        request.waits += 1;
        Waiting { request, lost }
    }

    /// Drops the attempt, unless an earlier DELETE may still be carried out.
    fn leave(self) -> Left {
        match self.parts() {
            (request, None) => Left::Over(request),
            (request, Some(lost)) => {
                Left::Unconfirmed(Unconfirmed { request, lost, polling: Polling::default() })
            }
        }
    }
}

/// A state in which the API may be asked for the dyno and its formation.
pub(super) trait Inspectable: Revocable {
    fn inspect(self) -> Inspecting {
        let (request, lost) = self.parts();
        Inspecting { request, lost }
    }
}

impl Inspectable for Queued {}
impl Inspectable for Waiting {}
impl Inspectable for Unconfirmed {}

/// A state in which the new instance may come up.
pub(super) trait Restarted: Into<Attempt> + Sized {
    fn into_request(self) -> Request;

    /// The new instance is up.
    fn settle(self) -> Settling {
        Settling { request: self.into_request() }
    }
}

impl Restarted for Booting {
    fn into_request(self) -> Request {
        self.request
    }
}

impl Restarted for Failed {
    fn into_request(self) -> Request {
        self.request
    }
}

// === the steps ===

impl Queued {
    pub(super) fn queue(id: AttemptId, cause: Cause, now: Duration) -> Self {
        let request = Request {
            id,
            cause,
            decided: false,
            deletes: 0,
            failed_inspections: 0,
            is_resumed: false,
            since: now,
            waiting_for: None,
            waits: 0,
        };
        Self { request }
    }

    /// Continues for a process that died between its DELETE and the end of the attempt.
    pub(super) fn resume_unconfirmed(self, target: DynoInfo, now: Duration) -> Unconfirmed {
        let request = Request { decided: true, deletes: 1, is_resumed: true, ..self.request };
        Unconfirmed {
            request,
            lost: LostAnswer { sent: now, lost: now, target },
            polling: Polling::default(),
        }
    }
}

impl Inspecting {
    /// Nothing is in the way: asks the store.
    pub(super) fn claim(self, target: DynoInfo, draft: Option<Box<Decision>>) -> Claiming {
        Claiming { request: self.request, lost: self.lost, target, draft }
    }

    /// The inspection showed that a DELETE without an answer was carried out.
    pub(super) fn boot(self, lost: LostAnswer) -> Booting {
        Booting::new(self.request, lost.target, lost.sent)
    }
}

impl Claiming {
    /// The claim is granted: the DELETE is sent.
    pub(super) fn restart(self, now: Duration) -> Restarting {
        let request = Request { deletes: self.request.deletes + 1, ..self.request };
        Restarting { request, lost: self.lost, target: self.target, sent: now }
    }
}

impl Restarting {
    /// The API accepted the DELETE.
    pub(super) fn boot(self) -> Booting {
        Booting::new(self.request, self.target, self.sent)
    }

    /// No answer will come.
    pub(super) fn lose_answer(self, now: Duration) -> Unconfirmed {
        let lost = LostAnswer { sent: self.sent, lost: now, target: self.target };
        Unconfirmed { request: self.request, lost, polling: Polling::default() }
    }
}

impl Unconfirmed {
    /// A poll showed that the DELETE was carried out, or it is unknown and counts as carried out.
    pub(super) fn boot(self) -> Booting {
        Booting::new(self.request, self.lost.target, self.lost.sent)
    }
}

impl Booting {
    fn new(request: Request, target: DynoInfo, accepted: Duration) -> Self {
        Self { request, target, accepted, polling: Polling::default() }
    }

    /// The new instance was not up in time.
    pub(super) fn fail(self) -> Failed {
        let Self { request, target, accepted, .. } = self;
        Failed { request, target, accepted, polling: Polling::default() }
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
            Self::Queued(_) => false,
            Self::Inspecting(Inspecting { lost, .. }) | Self::Waiting(Waiting { lost, .. }) => lost.is_some(),
            Self::Claiming(_)
            | Self::Restarting(_)
            | Self::Unconfirmed(_)
            | Self::Booting(_)
            | Self::Settling(_)
            | Self::Failed(_) => true,
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

impl Revocable for Queued {
    fn parts(self) -> (Request, Option<LostAnswer>) {
        (self.request, None)
    }

    fn request(&self) -> &Request {
        &self.request
    }
}

macro_rules! revocable {
    ($($state:ident)+) => {$(
        impl Revocable for $state {
            fn parts(self) -> (Request, Option<LostAnswer>) {
                (self.request, self.lost)
            }

            fn request(&self) -> &Request {
                &self.request
            }
        }
    )+};
}

revocable! { Inspecting Waiting Claiming Restarting }

impl Revocable for Unconfirmed {
    fn parts(self) -> (Request, Option<LostAnswer>) {
        (self.request, Some(self.lost))
    }

    fn request(&self) -> &Request {
        &self.request
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{Attempt, Cause, Inspectable as _, Left, Queued, Revocable as _};
    use crate::api::DynoInfo;
    use crate::event::DynoState;
    use crate::record::AttemptId;

    fn queued() -> Queued {
        Queued::queue(AttemptId(1), Cause::Manual, Duration::ZERO)
    }

    fn target() -> DynoInfo {
        DynoInfo {
            name: "web.1".parse().expect("a dyno"),
            is_one_off: false,
            process_type: "web".parse().expect("a type"),
            id: "i".parse().expect("an id"),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            state: DynoState::Up,
            release: None,
        }
    }

    #[test]
    fn an_attempt_without_a_delete_ends_when_dropped() {
        assert!(matches!(queued().leave(), Left::Over(_)));
        assert!(matches!(queued().inspect().leave(), Left::Over(_)));
        assert!(matches!(queued().inspect().claim(target(), None).wait().leave(), Left::Over(_)));
    }

    #[test]
    fn an_unanswered_delete_is_polled_until_its_fate_is_known() {
        let sent = queued().inspect().claim(target(), None).restart(Duration::from_secs(1));
        let lost = sent.lose_answer(Duration::from_secs(6));
        assert!(Attempt::from(lost.clone().inspect()).may_be_out());
        assert!(Attempt::from(lost.clone().wait()).may_be_out());
        let Left::Unconfirmed(again) = lost.inspect().claim(target(), None).leave() else {
            panic!("it may yet be carried out")
        };
        assert_eq!((again.lost.sent, again.request.deletes), (Duration::from_secs(1), 1));
    }
}
