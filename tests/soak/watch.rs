//! Checks that every leak is handled: a dyno above its quota is replaced within a bound, or refused
//! permanently with a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use dynowarden_core::event::DynoState;
use dynowarden_core::ident::InstanceId;
use dynowarden_core::time::since;
use heroku_sim::platform::Platform;
use jiff::Timestamp;

/// From the moment when a dyno is above its quota, and none of its formation has crashed, until it is
/// replaced. The platform samples its memory every 21 s, a minute of cool-down may be left, and all ten dynos
/// of an app may be restarted before it, at some nine seconds each.
const BOUND: Duration = Duration::from_secs(240);

/// Reasons to leave an erring dyno alone permanently: restarts do not help it.
const PERMANENT: [&str; 2] = ["given_up", "max_restarts"];

/// The dynos above their quota.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    owed: BTreeMap<(String, String), (InstanceId, Timestamp)>,
    refused: BTreeMap<(String, String), Timestamp>,
    waits: Vec<Duration>,
    refused_permanently: BTreeSet<InstanceId>,
    forgotten: BTreeMap<InstanceId, String>,
}

impl Watch {
    pub(crate) fn refused(&mut self, app: &str, dyno: &str, code: &str, now: Timestamp) {
        if PERMANENT.contains(&code) {
            self.refused.insert((app.to_owned(), dyno.to_owned()), now);
        }
    }

    pub(crate) fn look(&mut self, platform: &Platform, now: Timestamp) {
        let mut above = BTreeMap::new();
        let mut crashed = BTreeSet::new();
        for app in platform.world.apps() {
            for dyno in platform.world.dynos(app.name()) {
                if dyno.name.process_type().as_str() == "web" && dyno.state == DynoState::Crashed {
                    crashed.insert(app.name().to_string());
                }
                let quota = u64::from(dyno.size.quota_mb) * 10;
                let used = platform.world.decimegabytes(app.name(), &dyno.name, now).unwrap_or_default();
                if dyno.name.process_type().as_str() == "web" && dyno.state == DynoState::Up && used > quota {
                    above.insert((app.name().to_string(), dyno.name.to_string()), dyno.id);
                }
            }
        }
        self.owed.retain(|key, (id, from)| {
            let is_owed = above.get(key) == Some(id);
            if !is_owed && !self.refused_permanently.contains(id) {
                self.waits.push(since(*from, now));
            }
            is_owed
        });
        for (key, id) in above {
            let (_, from) = self.owed.entry(key.clone()).or_insert((id, now));
            if crashed.contains(&key.0) {
                // While the platform lets a crashed dyno wait, one is out, and no other may be restarted.
                *from = now;
            }
            let from = *from;
            if since(from, now) <= BOUND {
                continue;
            }
            if self.refused.get(&key).is_some_and(|at| since(*at, now) <= BOUND) {
                self.refused_permanently.insert(id);
            } else if !self.refused_permanently.contains(&id) {
                self.forgotten.entry(id).or_insert_with(|| {
                    format!("{} of {} has been above its quota since {from} without a restart", key.1, key.0)
                });
            }
        }
    }

    pub(crate) fn broken(&self) -> Vec<String> {
        self.forgotten.values().cloned().collect()
    }
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        let at = |percent: usize| waits.get((waits.len() * percent / 100).min(waits.len().max(1) - 1));
        let [half, most, all] = [50, 99, 100].map(|percent| at(percent).map_or(0, Duration::as_secs));
        write!(
            f,
            "dynos above their quota that were replaced: {}, after {half} s (median), {most} s (99 %), {all} s \
             (longest) of {} s allowed; left alone permanently, with the reason: {}",
            waits.len(),
            BOUND.as_secs(),
            self.refused_permanently.len()
        )
    }
}
