//! The engine's state for people: every watched dyno.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::DynoInfo;
use crate::engine::Engine;
use crate::engine::attempt::Attempt;
use crate::engine::dyno::{Dyno, DynoKey};
use crate::engine::judge;
use crate::ident::{AppId, DynoName};
use crate::record::MemoryReading;
use crate::record::hold::Hold;
use crate::time::later;

/// One app and its watched dynos, sorted by name.
#[derive(Clone, Debug, PartialEq)]
pub struct AppStatus {
    pub app: AppId,
    pub dynos: Vec<DynoStatus>,
    pub paused: Option<PauseStatus>,
}

/// A pause in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PauseStatus {
    pub until: Timestamp,
    pub reason: Arc<str>,
    /// Who asked for it, if that is known.
    pub by: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DynoStatus {
    /// Whether it has been down for longer than `boot_timeout`, and not for a restart of ours.
    pub is_broken: bool,
    pub cooling_until: Option<Timestamp>,
    pub given_up_until: Option<Timestamp>,
    /// When the API last accepted its restart.
    pub last_restart_at: Option<Timestamp>,
    /// The last report.
    pub memory: Option<MemoryReading>,
    pub name: DynoName,
    /// The time since its last activity.
    pub quiet_for: Duration,
    pub seen: Option<DynoInfo>,
    pub stage: Stage,
    pub waiting_for: Option<Hold>,
}

/// A dyno's state: those of an attempt, and those between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Watched,
    /// In the queue of its formation.
    Queued,
    /// Being inspected, or waiting for something else.
    Waiting,
    Restarting,
    /// Restarted, not up yet.
    Booting,
    /// Up again, not settled yet.
    Settling,
    /// Restarted, not up in time.
    Failed,
    CoolingDown,
    GivenUp,
}

impl Stage {
    pub fn word(self) -> &'static str {
        match self {
            Self::Watched => "watched",
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Restarting => "restarting",
            Self::Booting => "booting",
            Self::Settling => "settling",
            Self::Failed => "failed",
            Self::CoolingDown => "cooling_down",
            Self::GivenUp => "given_up",
        }
    }
}

impl Engine {
    /// The state of every watched dyno and of the pauses, by app.
    pub fn status(&self) -> Vec<AppStatus> {
        let mut apps: Vec<AppStatus> = (0..)
            .zip(&self.apps)
            .map(|(app, _)| AppStatus {
                app: AppId(app),
                dynos: Vec::new(),
                paused: self.pause_of(AppId(app)).map(|pause| PauseStatus {
                    until: pause.until,
                    reason: Arc::clone(&pause.reason),
                    by: pause.by.clone(),
                }),
            })
            .collect();
        for (key, dyno) in &self.dynos {
            apps[key.app.0 as usize].dynos.push(self.dyno_status(*key, dyno));
        }
        for app in &mut apps {
            app.dynos.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        }
        apps
    }

    /// The number of dynos with state, by app.
    pub fn dynos_by_app(&self) -> Vec<usize> {
        let mut counts = vec![0; self.apps.len()];
        for key in self.dynos.keys() {
            counts[key.app.0 as usize] += 1;
        }
        counts
    }

    fn dyno_status(&self, key: DynoKey, dyno: &Dyno) -> DynoStatus {
        let now = self.now;
        let cooling = judge::cool_down_left(dyno, self.policy(key), now.mono);
        let given_up =
            dyno.restarts.given_up.as_ref().filter(|given_up| given_up.is_in_force(self.cautious_now()));
        let stage = match dyno.attempt.as_deref() {
            Some(Attempt::Queued(_)) => Stage::Queued,
            Some(Attempt::Inspecting(_) | Attempt::Waiting(_) | Attempt::Claiming(_)) => Stage::Waiting,
            Some(Attempt::Restarting(_) | Attempt::Unconfirmed(_)) => Stage::Restarting,
            Some(Attempt::Booting(_)) => Stage::Booting,
            Some(Attempt::Settling(_)) => Stage::Settling,
            Some(Attempt::Failed(_)) => Stage::Failed,
            None if given_up.is_some() => Stage::GivenUp,
            None if cooling.is_some() => Stage::CoolingDown,
            None => Stage::Watched,
        };
        DynoStatus {
            is_broken: dyno.down.is_some_and(|down| down.is_reported && !down.is_stopped),
            cooling_until: cooling.map(|left| later(now.wall, left)),
            given_up_until: given_up.map(|given_up| given_up.until_at),
            last_restart_at: dyno.restarts.last.as_ref().map(|last| last.accepted_at),
            memory: dyno.memory,
            name: self.name(key),
            quiet_for: now.mono.saturating_sub(dyno.touched),
            seen: dyno.seen.as_deref().cloned(),
            stage,
            waiting_for: dyno.attempt.as_ref().and_then(|attempt| attempt.request().waiting_for.clone()),
        }
    }
}
