//! The engine: decides, and nothing else.

pub mod calendar;
pub mod policy;
pub mod record;
pub mod view;

use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::record::{Decision, Record, Ticket};
use crate::engine::view::{Blind, ClaimRefusal, Deletion, Seen, View};
use crate::event::Event;
use crate::ident::{AppId, DynoName};

/// Everything that can make the engine work.
#[derive(Clone, Debug)]
pub enum Input {
    /// The events of one batch of one app, in the order of its lines.
    Events {
        /// The app.
        app: AppId,
        /// Events about dynos of the listed process types, and about the app.
        events: Vec<Event>,
    },
    /// The answer to [`Effect::Look`].
    Looked {
        /// The look's ticket.
        ticket: Ticket,
        /// What was seen.
        answer: Result<View, Blind>,
    },
    /// The answer to [`Effect::Peek`].
    Peeked {
        /// The peek's ticket.
        ticket: Ticket,
        /// The dyno; none when there is none of that name.
        answer: Result<Option<Seen>, Blind>,
    },
    /// The answer to [`Effect::Claim`].
    Claimed {
        /// The claim's ticket.
        ticket: Ticket,
        /// Whether it was given.
        answer: Result<(), ClaimRefusal>,
    },
    /// The answer to [`Effect::Delete`].
    Deleted {
        /// The request's ticket.
        ticket: Ticket,
        /// What became of it.
        answer: Deletion,
    },
    /// `RateLimit-Remaining` of any answer of the API.
    ApiTokens {
        /// Calls left to the account.
        remaining: u32,
    },
    /// A person asks for a restart; answered by [`Effect::Answer`].
    Order {
        /// Names the order.
        order: OrderId,
        /// The app.
        app: AppId,
        /// One dyno, or every running one of the listed process types.
        dyno: Option<DynoName>,
    },
    /// A person wants no restarts for a while.
    Pause {
        /// The app, or all.
        app: Option<AppId>,
        /// Until when.
        until: Timestamp,
        /// Why.
        reason: Arc<str>,
    },
    /// A person wants them again.
    Resume {
        /// The app, or all.
        app: Option<AppId>,
    },
    /// Nothing but time has passed: a deadline is due.
    Wake,
}

/// Everything that the engine can ask of the world.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Answer an order.
    Answer {
        /// The order.
        order: OrderId,
        /// The decisions, one for every dyno that it touches.
        decisions: Vec<Decision>,
    },
    /// Write down that this restart is about to be asked for, unless somebody else has done so.
    Claim {
        /// To be given back with the answer.
        ticket: Ticket,
        /// The app.
        app: AppId,
        /// The instance to be replaced.
        seen: Seen,
        /// Whether a person asked, who may pass the cool-down.
        by_hand: bool,
    },
    /// `DELETE /apps/{app}/dynos/{name}`.
    Delete {
        /// To be given back with the answer.
        ticket: Ticket,
        /// The app.
        app: AppId,
        /// The dyno.
        dyno: DynoName,
    },
    /// `GET /apps/{app}/dynos`, then `GET /apps/{app}/dynos/{name}` if a dyno is named.
    Look {
        /// To be given back with the answer.
        ticket: Ticket,
        /// The app.
        app: AppId,
        /// The dyno in question.
        dyno: Option<DynoName>,
    },
    /// `GET /apps/{app}/dynos/{name}`.
    Peek {
        /// To be given back with the answer.
        ticket: Ticket,
        /// The app.
        app: AppId,
        /// The dyno.
        dyno: DynoName,
    },
    /// Remember and tell.
    Record(Record),
}

/// Names a person's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderId(pub u64);
