//! State that survives the daemon: claims before their DELETE, and their outcomes a little later.

use std::sync::Arc;

use jiff::Timestamp;

use dynowarden_core::api::DynoInfo;
use dynowarden_core::engine::restore::{
    OpenClaim, PendingRestart, RestoredGiveUp, RestoredPause, RestoredRestart, RestoredState,
};
use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::record::usefulness::Usefulness;
use dynowarden_core::record::{AttemptId, MANUAL};

/// The part of the store that the next process needs.
#[derive(Clone, Debug, Default)]
pub struct Store {
    pub rows: Vec<Row>,
    pub given_up: Vec<RestoredGiveUp>,
    pub pauses: Vec<RestoredPause>,
    /// What an orderly stop left to the next process.
    pub pending: Vec<PendingRestart>,
    /// It does not answer.
    pub is_away: bool,
}

#[derive(Clone, Debug)]
pub struct Row {
    /// Process and attempt id.
    pub holder: (u32, AttemptId),
    pub app: AppId,
    pub target: DynoInfo,
    /// The rule of the decision; none if the decision was written before.
    pub rule: Option<Arc<str>>,
    /// A person's word passed the limits.
    pub is_forced: bool,
    pub accepted_at: Option<Timestamp>,
    /// When the new instance was seen up.
    pub back_at: Option<Timestamp>,
    pub usefulness: Usefulness,
    pub has_ended: bool,
}

/// A write that takes effect with a delay.
#[derive(Clone, Debug)]
pub enum Write {
    Accepted {
        holder: (u32, AttemptId),
        at: Timestamp,
    },
    Back {
        holder: (u32, AttemptId),
        release: Option<u64>,
        at: Timestamp,
    },
    Ended {
        holder: (u32, AttemptId),
    },
    /// The API accepted the restart and did not carry it out.
    Ignored {
        holder: (u32, AttemptId),
    },
    /// The process that learns it need not be the one that restarted the dyno.
    NoHelp {
        app: AppId,
        dyno: DynoName,
    },
    GivenUp(RestoredGiveUp),
}

impl Store {
    /// Writes the claim of an attempt; a repeated claim reuses its row.
    pub fn claim(&mut self, row: Row) -> u64 {
        match self.rows.iter().position(|known| known.holder == row.holder) {
            Some(place) => {
                let rule = row.rule.clone().or_else(|| self.rows[place].rule.clone());
                self.rows[place] = Row { rule, ..row };
                place as u64
            }
            None => {
                self.rows.push(row);
                self.rows.len() as u64 - 1
            }
        }
    }

    pub fn write(&mut self, write: Write) {
        match write {
            Write::Accepted { holder, at } => {
                if let Some(row) = self.row(holder) {
                    row.accepted_at.get_or_insert(at);
                    let (app, dyno) = (row.app, row.target.name.clone());
                    // One that is over stays: the next one lasts longer.
                    self.given_up.retain(|old| old.app != app || old.dyno != dyno || old.until <= at);
                }
            }
            Write::Back { holder, release, at } => {
                if let Some(row) = self.row(holder) {
                    row.target.release = release.or(row.target.release);
                    (row.back_at, row.has_ended) = (Some(at), true);
                }
            }
            Write::NoHelp { app, dyno } => {
                let of_dyno = |row: &&mut Row| row.app == app && row.target.name == dyno;
                let mut accepted =
                    self.rows.iter_mut().filter(of_dyno).filter(|row| row.accepted_at.is_some());
                if let Some(last) = accepted.next_back() {
                    last.usefulness = Usefulness::Useless;
                }
            }
            Write::Ignored { holder } => {
                if let Some(row) = self.row(holder) {
                    (row.usefulness, row.has_ended) = (Usefulness::NeverHappened, true);
                }
            }
            Write::Ended { holder } => {
                if let Some(row) = self.row(holder) {
                    row.has_ended = true;
                }
            }
            Write::GivenUp(given_up) => {
                self.given_up.retain(|old| (old.app, &old.dyno) != (given_up.app, &given_up.dyno));
                self.given_up.push(given_up);
            }
        }
    }

    pub fn pause(&mut self, pause: RestoredPause) {
        self.pauses.retain(|old| old.app != pause.app);
        self.pauses.push(pause);
    }

    /// The longest pause of an app by a clock.
    pub fn pause_of(&self, app: AppId, wall: Timestamp) -> Option<&RestoredPause> {
        let is_of = |pause: &&RestoredPause| pause.app.is_none_or(|of| of == app) && pause.until > wall;
        self.pauses.iter().filter(is_of).max_by_key(|pause| pause.until)
    }

    pub fn resume(&mut self, app: Option<AppId>) {
        self.pauses.retain(|pause| app.is_some() && pause.app != app);
    }

    /// The state for the next process's engine, which takes over the open claims.
    pub fn past(&mut self, life: u32) -> RestoredState {
        let mut restarts: Vec<RestoredRestart> = Vec::new();
        let mut claims = Vec::new();
        for row in &mut self.rows {
            let dyno: DynoName = row.target.name.clone();
            if let Some(accepted_at) = row.accepted_at {
                restarts.push(RestoredRestart {
                    app: row.app,
                    dyno,
                    accepted_at,
                    back_at: row.back_at,
                    rule: row.rule.clone().filter(|rule| &**rule != MANUAL),
                    is_forced: row.is_forced,
                    usefulness: row.usefulness,
                    release: row.target.release,
                });
            }
            if !row.has_ended {
                let attempt_id = AttemptId(claims.len() as u64 + 1);
                row.holder = (life, attempt_id);
                let (target, rule) = (row.target.clone(), row.rule.clone().unwrap_or_else(|| MANUAL.into()));
                claims.push(OpenClaim {
                    attempt_id,
                    app: row.app,
                    target,
                    rule,
                    is_forced: row.is_forced,
                    accepted_at: row.accepted_at,
                });
            }
        }
        RestoredState {
            claims,
            given_up: self.given_up.clone(),
            pauses: self.pauses.clone(),
            pending: std::mem::take(&mut self.pending),
            restarts,
        }
    }

    pub fn open_claims(&self) -> usize {
        self.rows.iter().filter(|row| !row.has_ended).count()
    }

    fn row(&mut self, holder: (u32, AttemptId)) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.holder == holder)
    }
}
