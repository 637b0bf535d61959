//! Feeds the engine with what rules on days need: quiet hours, former lives, the ages of dynos, slow dynos.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::notify::NotifierHandle;
use dynowarden_core::days::history::AppHistory;
use dynowarden_core::days::peers::Peers;
use dynowarden_core::days::report;
use dynowarden_core::engine::Input;
use dynowarden_core::engine::days::AppDays;
use dynowarden_core::engine::known::known;
use dynowarden_core::ident::AppId;
use dynowarden_core::limits;
use dynowarden_core::policy::{AppPlan, Factor, Rule, Trigger};

#[derive(Debug)]
pub struct DaysTask {
    context: Context,
    apps: Vec<(AppId, AppPlan)>,
    known: HashMap<AppId, (u64, AppDays)>,
    minute: u64,
    notices: NotifierHandle,
    peers: HashMap<(AppId, Arc<str>), Peers>,
    /// When the suspects of an app are looked for next, on the clock's `mono`.
    suspects_at: HashMap<AppId, Duration>,
    /// When quiet hours and lives are read next, on the clock's `mono`.
    read_at: Duration,
}

/// Whether an app has a rule on slow dynos.
pub fn has_slow(plan: &AppPlan) -> bool {
    has(plan, |rule| matches!(rule.trigger, Trigger::SlowerThanPeers { .. }))
}

fn has(plan: &AppPlan, is_such: impl Fn(&Rule) -> bool) -> bool {
    plan.rules.iter().any(is_such)
}

// === impl DaysTask ===

impl DaysTask {
    pub fn new(plans: &[AppPlan], notices: NotifierHandle, context: Context) -> Self {
        let apps = (0..).map(AppId).zip(plans.iter().cloned());
        Self {
            apps: apps.collect(),
            known: HashMap::new(),
            minute: context.clock.now().mono.as_secs() / 60,
            notices,
            peers: HashMap::new(),
            suspects_at: HashMap::new(),
            read_at: Duration::ZERO,
            context,
        }
    }

    /// Runs until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut timer = tokio::time::interval(self.context.clock.real(limits::AGES_EVERY));
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(timer.tick()).await.is_some() {
            self.read_days().await;
            self.look_at_ages();
            self.compare_peers();
        }
    }

    /// Reads quiet hours and lives, no longer than a twentieth of the time.
    async fn read_days(&mut self) {
        let clock = self.context.clock;
        let began = clock.now();
        if began.mono < self.read_at {
            return;
        }
        let mut due = std::mem::take(&mut self.suspects_at);
        for (app, plan) in &self.apps {
            // Nothing is known of an app without lines since the last time that was not known then.
            let changes = self.context.days.book.changes(*app);
            if self.known.get(app).is_some_and(|(known, _)| *known == changes) {
                continue;
            }
            let read =
                self.context.days.series((plan, None), Duration::MAX, &self.context.store, clock.now());
            // The store reports that it is away. What was known still holds.
            let Ok(mut history) = read.await else { continue };
            let looks = self.looks_for_suspects((*app, plan), &mut history, &mut due).await;
            let plan_of = plan.clone();
            let made = tokio::task::spawn_blocking(move || {
                let (days, judgements) = known(&history, &plan_of);
                (days, judgements, looks.then(|| report::suspects_of(&history)))
            });
            let Ok((days, judgements, suspects)) = made.await else { continue };
            self.notices.judged(*app, judgements);
            if let Some(suspects) = suspects {
                self.context.traffic.set_suspects(*app, suspects);
            }
            if self.known.get(app).is_none_or(|(_, known)| *known != days) {
                self.context.handle.days(Input::Days { app: *app, days: days.clone() });
            }
            self.known.insert(*app, (changes, days));
        }
        self.suspects_at = due;
        let now = clock.now().mono;
        let pause = now.saturating_sub(began.mono).saturating_mul(limits::DAYS_READ_SHARE);
        self.read_at = now + pause.max(limits::DAYS_READ_EVERY);
    }

    /// Whether it is time to look for the suspects of an app; if so, adds its requests to the history.
    async fn looks_for_suspects(
        &self,
        (app, plan): (AppId, &AppPlan),
        history: &mut AppHistory,
        due: &mut HashMap<AppId, Duration>,
    ) -> bool {
        let now = self.context.clock.now();
        // Only messages need them before somebody asks.
        if !self.context.traffic.is_on() || due.get(&app).is_some_and(|due| *due > now.mono) {
            return false;
        }
        due.insert(app, now.mono + limits::SUSPECTS_EVERY);
        let added = self.context.days.add_evidence((app, plan), history, &self.context.store, now).await;
        added.is_ok() && !history.ledger().is_empty()
    }

    fn look_at_ages(&self) {
        for (app, plan) in &self.apps {
            if !has(plan, |rule| matches!(rule.trigger, Trigger::Uptime { .. })) {
                continue;
            }
            let dynos = self.context.days.book.ages(*app, self.context.clock.now().wall);
            if !dynos.is_empty() {
                self.context.handle.days(Input::Ages { app: *app, dynos });
            }
        }
    }

    /// Compares the last whole minute, once.
    fn compare_peers(&mut self) {
        let now = self.context.clock.now();
        let minute = now.mono.as_secs() / 60;
        if std::mem::replace(&mut self.minute, minute) == minute {
            return;
        }
        for (app, plan) in &self.apps {
            let slow_rules = plan.rules.iter().filter_map(|rule| match rule.trigger {
                Trigger::SlowerThanPeers { above } => Some((rule, above)),
                _ => None,
            });
            for (rule, above) in slow_rules.collect::<Vec<(&Rule, Factor)>>() {
                let medians = self.context.traffic.medians(*app, minute - 1);
                let peers = self.peers.entry((*app, Arc::clone(&rule.name))).or_default();
                for dyno in peers.minute(&medians, above) {
                    let rule = Arc::clone(&rule.name);
                    self.context.handle.days(Input::Slow { app: *app, dyno, rule, at: now.wall });
                }
            }
        }
    }
}
