//! A notifier with the default settings: what people would have been sent.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::incident::kind::Kind;
use dynowarden_core::incident::{Incidents, Input, Plan, WatchedApp};
use dynowarden_core::policy::AppPlan;
use dynowarden_core::record::Record;
use dynowarden_core::time::{Now, later, since};
use dynowarden_core::traffic::{Figures, Readings, Span};

use crate::scenario::secs;

pub(crate) struct Notifier {
    born: Timestamp,
    incidents: Incidents,
    /// Messages by the word of their kind.
    pub(crate) sent: BTreeMap<&'static str, u32>,
}

impl Notifier {
    pub(crate) fn new(plans: &[AppPlan], now: Timestamp) -> Self {
        let plan = Plan {
            apps: plans.iter().map(|plan| WatchedApp::new(plan, true)).collect(),
            digest: None,
            group: secs(30),
            on: Kind::DEFAULT.into(),
            repeat: secs(4 * 3600),
            tag: 1,
            window: secs(30),
        };
        let mono = Now { mono: Duration::ZERO, wall: now };
        Self { born: now, incidents: Incidents::new(plan, mono), sent: BTreeMap::new() }
    }

    pub(crate) fn record(&mut self, record: &Record, now: Timestamp) {
        self.handle(Input::Record(record), now);
    }

    pub(crate) fn wake(&mut self, now: Timestamp) {
        if self.wakes_at().is_some_and(|at| at <= now) {
            self.handle(Input::Wake, now);
        }
    }

    pub(crate) fn wakes_at(&self) -> Option<Timestamp> {
        self.incidents.next_deadline().map(|at| later(self.born, at))
    }

    fn handle(&mut self, input: Input<'_>, now: Timestamp) {
        let at = Now { mono: since(self.born, now), wall: now };
        for message in self.incidents.handle(input, &NoTraffic, at) {
            *self.sent.entry(message.kind.word()).or_default() += 1;
        }
    }
}

/// The simulated apps have no requests.
struct NoTraffic;

impl Readings for NoTraffic {
    fn read(&self, _app: AppId, _dyno: &DynoName, _span: Span) -> Option<Figures> {
        None
    }
}
