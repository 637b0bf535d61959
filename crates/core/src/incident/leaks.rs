//! Leaks: dynos whose restarts help, so that they are restarted until somebody fixes the leak.
//!
//! People know the first restarts from messages of their own. From the notice of how often a dyno is
//! restarted on, its restarts are counted, and one message for its formation tells the count at once and
//! every [`Plan::repeat`]. What goes wrong with such a dyno keeps its own messages.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ident::{AppId, DynoName, ProcessType};
use crate::incident::dyno_incident::DynoIncident;
use crate::incident::kind::Kind;
use crate::incident::message::{Message, Phase};
use crate::incident::text::plural;
use crate::incident::{Incidents, Plan, WatchedApp, next_step};
use crate::limits;
use crate::record::{Action, Decision, MANUAL, Notice, NoticeKind, Outcome};
use crate::time::{Now, earlier, spoken};

/// The leaking dynos of one formation.
#[derive(Debug)]
pub(super) struct Leak {
    /// Renders the dynos' reports; its own schedule is not used.
    incident: DynoIncident,
    /// Whether each restart is known to have helped, as far as the engine reported.
    all_helped: bool,
    dynos: BTreeMap<DynoName, Count>,
    told_at: Option<Duration>,
    /// When the next message is due.
    due: Option<Duration>,
}

/// The restarts of one dyno since the last message.
#[derive(Clone, Copy, Debug)]
struct Count {
    restarts: u32,
    since: Duration,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Helpless,
    Release,
}

impl Incidents {
    /// The engine reported how often the restarts of a dyno have helped.
    pub(super) fn restarted_often(&mut self, app: AppId, notice: &Notice) {
        let NoticeKind::Often { restarts, within, all_helped } = notice.what else { return };
        let Some(dyno) = notice.dyno.clone().filter(|_| self.plan.on.contains(&Kind::Restart)) else {
            return;
        };
        let now = self.now;
        let key = (app, dyno.process_type().clone());
        if !self.leaks.contains_key(&key) {
            self.make_room_for_leak();
            let id = self.incident_id(&format!("{}-{}-leak", self.app_name(app), key.1));
            let since = Now { mono: now.mono.saturating_sub(within), wall: earlier(now.wall, within) };
            let incident = DynoIncident::new(id, app, Some(key.1.clone()), since);
            let leak = Leak { incident, all_helped: true, dynos: BTreeMap::new(), told_at: None, due: None };
            self.leaks.insert(key.clone(), leak);
        }
        let Some(leak) = self.leaks.get_mut(&key) else { return };
        if leak.dynos.len() >= limits::INCIDENT_DYNOS_MAX || leak.dynos.contains_key(&dyno) {
            return;
        }
        leak.all_helped &= all_helped;
        leak.incident.dyno(Some(dyno.clone()), now.mono);
        leak.dynos.insert(dyno, Count { restarts, since: now.mono.saturating_sub(within) });
        // The dynos of a formation are often equally old, and leak one after the other.
        let wait = if leak.told_at.is_some() { self.plan.gathering() } else { self.plan.group };
        let due = now.mono.saturating_add(wait);
        leak.due = Some(leak.due.map_or(due, |before| before.min(due)));
    }

    /// Counts a restart of a leaking dyno; returns whether that replaces its own message.
    pub(super) fn count_leak(&mut self, decision: &Decision) -> bool {
        let (now, repeat) = (self.now, self.plan.repeat);
        let Some(dyno) = &decision.dyno else { return false };
        let is_by_rule =
            matches!(decision.action, Action::Restart { dry_run: false, .. }) && &*decision.rule != MANUAL;
        let Some(leak) = self.leaks.get_mut(&(decision.app, dyno.process_type().clone())) else {
            return false;
        };
        let Some(count) = leak.dynos.get_mut(dyno).filter(|_| is_by_rule) else { return false };
        count.restarts = count.restarts.saturating_add(1);
        leak.incident.dyno(Some(dyno.clone()), now.mono).add_decision(decision, now);
        if let Some(told_at) = leak.told_at {
            let due = told_at.saturating_add(repeat).max(now.mono);
            leak.due.get_or_insert(due);
        }
        true
    }

    pub(super) fn leaking_dyno_outcome(&mut self, outcome: &Outcome) {
        let key = (outcome.app, outcome.dyno.process_type().clone());
        if let Some(leak) = self.leaks.get_mut(&key)
            && leak.dynos.contains_key(&outcome.dyno)
        {
            leak.incident.dyno(Some(outcome.dyno.clone()), self.now.mono).add_outcome(outcome, self.now.mono);
        }
    }

    /// Restarts of this dyno have stopped helping, which is told by a message of its own.
    pub(super) fn leak_is_helpless(&mut self, app: AppId, dyno: Option<&DynoName>) {
        let Some(dyno) = dyno else { return };
        let key = (app, dyno.process_type().clone());
        let Some(leak) = self.leaks.get_mut(&key) else { return };
        // The last one of a leak is in its last message.
        if leak.dynos.len() > 1 {
            leak.dynos.remove(dyno);
            leak.incident.forget(dyno);
        } else if leak.dynos.contains_key(dyno) {
            self.end_leak(&key, End::Helpless);
        }
    }

    /// After a release, dynos may leak no more, so the engine counts anew.
    pub(super) fn leaks_are_released(&mut self, app: AppId) {
        let keys: Vec<_> = self.leaks.keys().filter(|(of, _)| *of == app).cloned().collect();
        keys.iter().for_each(|key| self.end_leak(key, End::Release));
    }

    fn end_leak(&mut self, key: &(AppId, ProcessType), end: End) {
        let Some(mut leak) = self.leaks.remove(key) else { return };
        if leak.told_at.is_some() {
            let app = &self.plan.apps[key.0.0 as usize];
            self.messages.push(leak.message((Phase::Closed, Some(end)), app, &self.plan, self.now));
        }
    }

    pub(super) fn send_leaks(&mut self) {
        let now = self.now;
        for ((app, _), leak) in &mut self.leaks {
            if leak.due.take_if(|due| *due <= now.mono).is_none() {
                continue;
            }
            let is_repeat = leak.told_at.is_some_and(|at| now.mono >= at.saturating_add(self.plan.repeat));
            let phase = match leak.told_at {
                None => Phase::Opened,
                Some(_) if is_repeat => Phase::Reminder,
                Some(_) => Phase::Updated,
            };
            let app = &self.plan.apps[app.0 as usize];
            self.messages.push(leak.message((phase, None), app, &self.plan, now));
        }
    }

    fn make_room_for_leak(&mut self) {
        if self.leaks.len() >= limits::INCIDENTS_MAX {
            let oldest = self.leaks.iter().min_by_key(|(_, leak)| leak.told_at).map(|(key, _)| key.clone());
            if oldest.and_then(|key| self.leaks.remove(&key)).is_some() {
                self.forgotten += 1;
            }
        }
    }
}

impl Leak {
    /// Whether its next message is the first of some dyno.
    pub(super) fn is_news(&self) -> bool {
        self.told_at.is_none()
    }

    pub(super) fn due(&mut self) -> &mut Option<Duration> {
        &mut self.due
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.due
    }

    fn message(
        &mut self,
        (phase, end): (Phase, Option<End>),
        app: &WatchedApp,
        plan: &Plan,
        now: Now,
    ) -> Message {
        let message = self.incident.message(Kind::Restart, phase, app, now);
        let counted = |count: &Count| {
            let span = spoken(now.mono.saturating_sub(count.since));
            match count.restarts {
                0 => format!("not restarted in the last {span}"),
                times => format!("restarted {times} {} in {span}", plural(u64::from(times), "time")),
            }
        };
        let all = Count {
            restarts: self.dynos.values().map(|count| count.restarts).sum(),
            since: self.dynos.values().map(|count| count.since).min().unwrap_or(now.mono),
        };
        let subject = match self.dynos.keys().next() {
            Some(dyno) if self.dynos.len() == 1 => format!("{} {dyno}", app.name),
            first => {
                let process_type = first.map_or("", |dyno| dyno.process_type().as_str());
                format!("{} {process_type} ({} dynos)", app.name, self.dynos.len())
            }
        };
        let what = match end {
            None if self.all_helped => ", which helps",
            None => "",
            Some(End::Helpless) => ", until that stopped helping",
            Some(End::Release) => ", until a release",
        };
        let still = if phase == Phase::Reminder { "still: " } else { "" };
        let title = format!("{still}{subject}: {}{what}", counted(&all));
        let mut body: Vec<String> = Vec::new();
        if end.is_none() {
            let why = if self.all_helped {
                "Each restart helps, so this goes on until the leak is fixed"
            } else {
                "Heroku replaced some of the new processes before they could show whether that helped"
            };
            body.push(format!(
                "{why}. The next restarts are counted, and reported every {}.",
                spoken(plan.repeat)
            ));
        }
        let lines = self.dynos.iter().map(|(dyno, count)| format!("{dyno}: {}.", counted(count)));
        if self.dynos.len() > 1 {
            body.extend(lines.take(limits::MESSAGE_NAMES_MAX));
        }
        if self.dynos.len() > limits::MESSAGE_NAMES_MAX {
            body.push(format!("And {} more.", self.dynos.len() - limits::MESSAGE_NAMES_MAX));
        }
        self.told_at = Some(now.mono);
        for count in self.dynos.values_mut() {
            *count = Count { restarts: 0, since: now.mono };
        }
        let next_step = next_step::of_leak(&app.name, matches!(end, Some(End::Helpless)), phase);
        Message { title, body, next_step: Some(next_step), ..message }
    }
}
