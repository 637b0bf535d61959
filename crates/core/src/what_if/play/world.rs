//! What surrounds the engine in a play: what the days show it, and an API that answers at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::api::{DeleteResult, FormationInfo};
use crate::days::life::Ended;
use crate::days::proof;
use crate::engine::days::{AppDays, Breaches};
use crate::engine::{Effect, Input};
use crate::ident::DynoName;
use crate::policy::Trigger;
use crate::time::Now;
use crate::what_if::dyno::Dyno;
use crate::what_if::play::{ONLY, Play};

impl Play<'_> {
    /// Notes what the last days showed, where it has changed.
    pub(super) fn learn(&mut self, at: i64) {
        let mut breaches = Vec::new();
        let now = self.wall(at);
        for rule in &self.plan.rules {
            let (Some(proof), Trigger::Memory { above, .. }) = (rule.proof, &rule.trigger) else { continue };
            for (place, formation) in self.app.formations.iter().enumerate() {
                let mut lives = self.pasts[place].lives();
                let open = self.dynos.iter().filter(|dyno| dyno.formation == place);
                let open = open.filter_map(|dyno| {
                    let process = dyno.process.as_ref().filter(|process| process.breached_at.is_some())?;
                    Some(process.life(dyno, Ended::Open, |at| self.wall(at), at))
                });
                lives.extend(open);
                let until = self.app.releases.partition_point(|release| release.at <= now);
                let breached = proof::breached(&lives, &self.app.releases[..until], proof, *above);
                let process_type = formation.process_type.clone();
                breaches.push(Breaches { process_type, rule: Arc::clone(&rule.name), breached });
            }
        }
        if at > 0 && breaches == self.breaches {
            return;
        }
        self.breaches.clone_from(&breaches);
        let (quiet, verdicts) = (self.app.quiet.clone(), self.app.verdicts.clone());
        self.news = Some(AppDays { quiet, breaches, verdicts });
    }

    /// Shows the engine the dynos that are old enough, while it may act on them.
    pub(super) fn look_at_ages(&mut self, at: i64) {
        let (Some(above), open) = (self.watch.uptime, self.open(at)) else { return };
        if !(open.policy && open.quiet) {
            return;
        }
        let is_old = |dyno: &&Dyno<'_>| {
            dyno.process.as_ref().is_some_and(|process| at - process.start >= above && process.up_at <= at)
        };
        let wall = self.wall(at);
        if !self.dynos.iter().any(|dyno| is_old(&dyno)) {
            return;
        }
        let old = self.dynos.iter().filter(is_old);
        let dynos =
            old.map(|dyno| (dyno.name.clone(), dyno.process.as_ref().map(|process| process.began(wall, at))));
        let dynos = dynos.collect();
        self.pass(Input::Ages { app: ONLY, dynos }, at);
    }

    fn now(&self, at: i64) -> Now {
        Now { mono: Duration::from_millis(at.max(0) as u64), wall: self.wall(at) }
    }

    /// Passes an input to the engine, and carries out its effects until there are none.
    pub(super) fn pass(&mut self, input: Input, at: i64) {
        self.mono_ms = self.mono_ms.max(at);
        let now = self.now(at);
        let mut effects = VecDeque::new();
        if let Some(days) = self.news.take() {
            effects.extend(self.engine.handle(Input::Days { app: ONLY, days }, now));
        }
        effects.extend(self.engine.handle(input, now));
        while let Some(effect) = effects.pop_front() {
            let answer = match effect {
                Effect::Claim { attempt_id, .. } => Input::Claimed { attempt_id, answer: Ok(()) },
                Effect::Delete { attempt_id, dyno, .. } => {
                    Input::Deleted { attempt_id, answer: self.delete(&dyno, at) }
                }
                Effect::Inspect { attempt_id, dyno, .. } => {
                    Input::Inspected { attempt_id, answer: Ok(self.look(dyno.as_ref(), at)) }
                }
                Effect::Poll { attempt_id, dyno, .. } => {
                    Input::Polled { attempt_id, answer: Ok(self.look(Some(&dyno), at).dyno) }
                }
                Effect::Answer { .. } | Effect::CountAcrossReplicas(_) | Effect::Record(_) => continue,
            };
            effects.extend(self.engine.handle(answer, now));
        }
    }

    fn delete(&mut self, name: &DynoName, at: i64) -> DeleteResult {
        match self.dynos.iter().position(|dyno| dyno.name == *name && dyno.process.is_some()) {
            Some(place) => {
                self.restart(place, Ended::Restart, at);
                DeleteResult::Accepted
            }
            None => DeleteResult::Gone,
        }
    }

    fn look(&self, dyno: Option<&DynoName>, at: i64) -> FormationInfo {
        let shown = |dyno: &Dyno<'_>| dyno.shown(|at| self.wall(at), (self.wall(at), at));
        FormationInfo {
            dyno: self.dynos.iter().find(|known| Some(&known.name) == dyno).and_then(shown),
            formation: self.dynos.iter().filter_map(shown).collect(),
            ..FormationInfo::default()
        }
    }
}
