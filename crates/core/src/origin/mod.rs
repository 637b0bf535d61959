//! Tells another app's batches from the app's own.
//!
//! A batch of a known drain passes at once. One of an unknown drain waits here until a list of the app's
//! drains, asked for after the batch came, says whose it is. It counts if no list can be fetched.

pub mod lists;
pub mod schedule;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use crate::engine::Input;
use crate::engine::foreign::Foreign;
use crate::event::Event;
use crate::health::alert::HealthAlert;
use crate::ident::{AppId, DrainToken};
use crate::limits;
use crate::origin::lists::{DrainLists, Standing};
use crate::shares;

/// The events of one batch and its sender.
#[derive(Clone, Debug)]
pub struct Batch {
    pub app: AppId,
    /// `Logplex-Drain-Token`, where there is one.
    pub drain: Option<DrainToken>,
    pub events: Vec<Event>,
}

/// Batches that wait to be judged. Times are `mono`.
#[derive(Debug, Default)]
pub struct OriginGate {
    waiting: VecDeque<Waiting>,
    /// The events of each app in `waiting`.
    waiting_events: HashMap<AppId, usize>,
}

#[derive(Debug)]
struct Waiting {
    arrived: Duration,
    batch: Batch,
}

/// What follows from a batch or from an answer about drains.
#[derive(Debug, Default)]
pub struct Judged {
    pub passed: Vec<Passed>,
    /// Apps whose drains must be listed.
    pub wanted: BTreeSet<AppId>,
    /// Batches that there was no room for.
    pub dropped: usize,
}

/// A batch whose sender is known, or need not be.
#[derive(Debug)]
pub struct Passed {
    pub app: AppId,
    pub drain: Option<DrainToken>,
    pub input: Input,
    /// A drain of another app that was not known before.
    pub alert: Option<HealthAlert>,
    /// Whether the API or the settings say whose it is.
    pub is_certain: bool,
}

impl Batch {
    /// What it counts for in its app's share: a batch without events takes room as well.
    fn weight(&self) -> usize {
        1 + self.events.len()
    }
}

impl OriginGate {
    /// Passes a batch that arrived now, or keeps it for later. `is_taken` says whether another app has an
    /// app's name.
    pub fn arrive(
        &mut self,
        batch: Batch,
        lists: &mut DrainLists,
        is_taken: impl Fn(AppId) -> bool,
        now: Duration,
    ) -> Judged {
        let mut judged = Judged::default();
        match judge(batch, lists, is_taken, (now, now)) {
            Ok(passed) => judged.passed.push(passed),
            Err(batch) => {
                let app = batch.app;
                judged.wanted.insert(app);
                *self.waiting_events.entry(app).or_default() += batch.weight();
                self.waiting.push_back(Waiting { arrived: now, batch });
                let share = shares::of_app(limits::UNKNOWN_EVENTS_MAX, lists.apps());
                while self.waiting_events.get(&app).is_some_and(|waiting| *waiting > share)
                    && self.drop_oldest(app)
                {
                    judged.dropped += 1;
                }
            }
        }
        judged
    }

    fn drop_oldest(&mut self, app: AppId) -> bool {
        let place = self.waiting.iter().position(|waiting| waiting.batch.app == app);
        let Some(oldest) = place.and_then(|place| self.waiting.remove(place)) else { return false };
        self.no_longer_waits(app, oldest.batch.weight());
        true
    }

    fn no_longer_waits(&mut self, app: AppId, weight: usize) {
        if let Some(waiting) = self.waiting_events.get_mut(&app) {
            *waiting = waiting.saturating_sub(weight);
        }
    }

    /// Passes the batches whose senders have become known.
    pub fn recheck(
        &mut self,
        lists: &mut DrainLists,
        is_taken: impl Fn(AppId) -> bool,
        now: Duration,
    ) -> Judged {
        let mut judged = Judged::default();
        for Waiting { arrived, batch } in std::mem::take(&mut self.waiting) {
            let (app, weight) = (batch.app, batch.weight());
            match judge(batch, lists, &is_taken, (arrived, now)) {
                Ok(passed) => {
                    self.no_longer_waits(app, weight);
                    judged.passed.push(passed);
                }
                Err(batch) => {
                    judged.wanted.insert(batch.app);
                    self.waiting.push_back(Waiting { arrived, batch });
                }
            }
        }
        judged
    }

    /// Passes all batches, because no list will come any more. Those of a drain that a list has called
    /// another app's are still another app's: what counts here restarts a dyno at the next start.
    pub fn release(&mut self, lists: &DrainLists, is_taken: impl Fn(AppId) -> bool) -> Vec<Passed> {
        self.waiting_events.clear();
        let pass = |Waiting { batch, .. }| {
            let is_foreign = batch.drain.as_ref().filter(|token| lists.is_foreign(batch.app, token)).cloned();
            match is_foreign {
                _ if is_taken(batch.app) => held(batch, Foreign::OtherApp),
                Some(token) => held(batch, Foreign::Drain { token }),
                None => counted(batch),
            }
        };
        std::mem::take(&mut self.waiting).into_iter().map(pass).collect()
    }
}

fn held(Batch { app, drain, events }: Batch, origin: Foreign) -> Passed {
    Passed { app, drain, input: Input::ForeignEvents { app, events, origin }, alert: None, is_certain: true }
}

/// A batch that counts, although nothing says whose it is.
fn counted(Batch { app, drain, events }: Batch) -> Passed {
    Passed { app, drain, input: Input::Events { app, events }, alert: None, is_certain: false }
}

fn judge(
    batch: Batch,
    lists: &mut DrainLists,
    is_taken: impl Fn(AppId) -> bool,
    (arrived, now): (Duration, Duration),
) -> Result<Passed, Batch> {
    let standing = lists.standing(batch.app, batch.drain.as_ref(), arrived, now);
    let is_taken = is_taken(batch.app);
    Ok(match (standing, batch.drain.clone()) {
        (Standing::Unknown, _) => return Err(batch),
        (Standing::Foreign, Some(token)) if !is_taken => {
            let alert = lists.note_foreign(batch.app, &token, now);
            Passed { alert, ..held(batch, Foreign::Drain { token }) }
        }
        (Standing::Foreign | Standing::Counts { is_known: false }, _) if is_taken => {
            held(batch, Foreign::OtherApp)
        }
        (Standing::Foreign | Standing::Counts { is_known: false }, _) => counted(batch),
        (Standing::Counts { is_known: true }, _) => Passed { is_certain: true, ..counted(batch) },
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::SecretString;

    use super::{Batch, OriginGate, Passed};
    use crate::api::json::Drain;
    use crate::engine::Input;
    use crate::engine::foreign::Foreign;
    use crate::ident::AppId;
    use crate::limits;
    use crate::origin::lists::{DrainLists, OwnDrains};
    use crate::shares;

    const APP: AppId = AppId(0);

    fn batch(drain: &str) -> Batch {
        Batch { app: APP, drain: Some(drain.parse().expect("a token")), events: Vec::new() }
    }

    fn lists() -> DrainLists {
        let name = "acme".parse().expect("an app");
        let own = OwnDrains { name, passwords: vec![SecretString::from("p")], tokens: Vec::new() };
        DrainLists::new(vec![own], None)
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn own() -> Drain {
        let url = "https://x:p@warden.example.com/logs/acme".into();
        Drain { id: "own".to_owned(), token: "d.own".parse().expect("a token"), url, of_addon: false }
    }

    fn words(passed: &[Passed]) -> Vec<String> {
        let word = |passed: &Passed| match &passed.input {
            Input::Events { .. } => "counts".to_owned(),
            Input::ForeignEvents { origin: Foreign::Drain { token }, .. } => format!("of {token}"),
            Input::ForeignEvents { origin: Foreign::OtherApp, .. } => "of another app".to_owned(),
            other => panic!("{other:?}"),
        };
        passed.iter().map(word).collect()
    }

    #[test]
    fn a_batch_waits_until_a_list_says_whose_it_is() {
        let (mut gate, mut lists) = (OriginGate::default(), lists());
        let judged = gate.arrive(batch("d.own"), &mut lists, |_| false, secs(1));
        assert!(judged.passed.is_empty() && judged.wanted == [APP].into());
        gate.arrive(batch("d.other"), &mut lists, |_| false, secs(2));
        lists.listed(APP, &[own()], secs(3));
        let judged = gate.recheck(&mut lists, |_| false, secs(4));
        assert_eq!(words(&judged.passed), ["counts", "of d.other"]);
        assert!(judged.passed[1].alert.is_some());
        // It is told once.
        gate.arrive(batch("d.other"), &mut lists, |_| false, secs(5));
        lists.listed(APP, &[own()], secs(6));
        let judged = gate.recheck(&mut lists, |_| false, secs(7));
        assert_eq!(
            (words(&judged.passed), judged.passed[0].alert.is_none()),
            (vec!["of d.other".into()], true)
        );
    }

    #[test]
    fn an_app_drops_its_own_batches_when_its_share_is_full() {
        let (mut gate, mut lists) = (OriginGate::default(), lists());
        gate.arrive(Batch { app: AppId(1), ..batch("d.new") }, &mut lists, |_| false, secs(1));
        let share = shares::of_app(limits::UNKNOWN_EVENTS_MAX, lists.apps());
        let mut dropped = 0;
        for number in 0..share + 7 {
            dropped += gate.arrive(batch(&format!("d.{number}")), &mut lists, |_| false, secs(2)).dropped;
        }
        assert_eq!((dropped, gate.waiting.len()), (7, share + 1));
        let released = gate.release(&lists, |_| false);
        assert_eq!((released[0].app, released.len()), (AppId(1), share + 1));
    }

    /// Found by the simulation: at each stop, what another app had sent since the last list was handed to the
    /// next process as a restart to be made.
    #[test]
    fn at_a_stop_another_apps_batches_stay_its_own() {
        let (mut gate, mut lists) = (OriginGate::default(), lists());
        gate.arrive(batch("d.other"), &mut lists, |_| false, secs(1));
        assert_eq!(words(&gate.release(&lists, |_| false)), ["counts"]);
        gate.arrive(batch("d.other"), &mut lists, |_| false, secs(2));
        lists.listed(APP, &[own()], secs(3));
        gate.recheck(&mut lists, |_| false, secs(4));
        gate.arrive(batch("d.other"), &mut lists, |_| false, secs(5));
        gate.arrive(batch("d.new"), &mut lists, |_| false, secs(5));
        assert_eq!(words(&gate.release(&lists, |_| false)), ["of d.other", "counts"]);
        gate.arrive(batch("d.new"), &mut lists, |_| true, secs(6));
        assert_eq!(words(&gate.release(&lists, |_| true)), ["of another app"]);
    }
}
