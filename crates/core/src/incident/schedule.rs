//! When a message is due, and what it is about.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::incident::Plan;
use crate::incident::kind::Kind;
use crate::incident::message::Phase;
use crate::limits;

/// The messages that an incident has sent and still has to send.
#[derive(Clone, Debug, Default)]
pub(super) struct NotificationSchedule {
    pub(super) due: Option<Duration>,
    /// The kinds of that message.
    pub(super) pending: BTreeSet<Kind>,
    pub(super) sent_at: Option<Duration>,
    pub(super) sent: BTreeSet<Kind>,
    messages: u32,
}

impl NotificationSchedule {
    /// Requests a message. A quiet kind is sent once, and not after a more urgent quiet one; a loud kind
    /// once, and again after `repeat`; both again for a dyno of which it `is_new`. Every recovery is sent.
    /// Loud kinds wait a moment, and longer after another loud message, so that an incident makes one.
    /// Further dynos with a loud kind that was just sent are gathered.
    pub(super) fn request(&mut self, kind: Kind, is_new: bool, plan: &Plan, now: Duration) {
        let is_recent = self.sent_at.is_some_and(|at| now < at.saturating_add(plan.repeat));
        let is_sent = match kind {
            _ if is_new => false,
            Kind::Recovered => false,
            kind if kind.is_loud() => self.sent.contains(&kind) && is_recent,
            kind => self.sent.iter().any(|sent| !sent.is_loud() && *sent >= kind),
        };
        if !plan.on.contains(&kind) || is_sent {
            return;
        }
        self.pending.insert(kind);
        let due = match kind {
            // Another dyno of an incident that people know: the others of its formation are about to follow.
            kind if kind.is_loud() && self.sent.contains(&kind) && is_recent => {
                now.saturating_add(plan.gathering())
            }
            kind if kind.is_loud() => self.loud_at(plan, now),
            _ => now.saturating_add(plan.group),
        };
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    fn loud_at(&self, plan: &Plan, now: Duration) -> Duration {
        let soon = now.saturating_add(limits::LOUD_WAIT.min(plan.group));
        let apart = plan.group.min(limits::LOUD_APART_MAX);
        let was_loud = self.sent.iter().any(|kind| kind.is_loud());
        let free = self.sent_at.filter(|_| was_loud).map(|at| at.saturating_add(apart));
        free.map_or(soon, |free| free.max(soon))
    }

    /// Takes the message that is due, if any: a new one, or the last again while the problem `stands`.
    pub(super) fn take_due(&mut self, plan: &Plan, stands: bool, now: Duration) -> Option<(Kind, Phase)> {
        if stands && self.repeat_at(plan).is_some_and(|at| at <= now) {
            self.sent_at = Some(now);
            return Some((*self.sent.last()?, Phase::Reminder));
        }
        self.due.take_if(|due| *due <= now)?;
        let kind = *self.pending.last()?;
        let phase = if self.sent.is_empty() { Phase::Opened } else { Phase::Updated };
        self.sent.append(&mut self.pending);
        self.sent_at = Some(now);
        Some((kind, phase))
    }

    /// When the last message is repeated, if it is loud.
    pub(super) fn repeat_at(&self, plan: &Plan) -> Option<Duration> {
        let is_loud = self.sent.iter().any(|kind| kind.is_loud());
        self.sent_at.filter(|_| is_loud && self.due.is_none()).map(|at| at.saturating_add(plan.repeat))
    }

    pub(super) fn next_id(&mut self, incident: &str) -> String {
        self.messages += 1;
        format!("{incident}.{}", self.messages)
    }
}

impl Plan {
    /// How long further dynos of a reported incident are gathered.
    pub(super) fn gathering(&self) -> Duration {
        self.group.saturating_mul(limits::GATHERING_GROUPS)
    }
}
