//! Lives cut from logs that are written minute by minute.

use jiff::Timestamp;

use super::{Ended, Excess, Life, lives};
use crate::codes::Code;
use crate::days::history::AppHistory;
use crate::days::seen::Seen;
use crate::detect::sign::Sign;
use crate::event::{DynoState, Megabytes};
use crate::ident::{DynoRef, InstanceId};

const WEB_1: DynoRef<'static> = DynoRef { process_type: "web", index: 1 };

/// A log that is written minute by minute.
#[derive(Default)]
struct Log {
    history: AppHistory,
    second: i64,
    instance: u32,
    megabytes: f64,
}

impl Log {
    fn at(&self) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + self.second).expect("a time")
    }

    fn say(&mut self, seen: &Seen<'_>) {
        self.history.add(Some(WEB_1), seen, self.at());
    }

    fn sample(&mut self, instance: u32) {
        let instance: InstanceId = format!("i{instance}").parse().expect("an id");
        let total = Megabytes { hundredths: (self.megabytes * 100.0) as u64 };
        self.say(&Seen::Sample { instance, total, quota: Megabytes { hundredths: 51_200 } });
    }

    /// A new process, after `why`.
    fn restart(&mut self, why: &[Sign], megabytes: f64) {
        for sign in why {
            self.say(&Seen::Sign(*sign));
        }
        self.say(&Seen::Sign(Sign::State(DynoState::Starting)));
        self.second += 3;
        self.say(&Seen::Sign(Sign::Starting));
        self.second += 7;
        self.say(&Seen::Sign(Sign::State(DynoState::Up)));
        self.instance += 1;
        self.megabytes = megabytes;
    }

    /// Samples for some minutes, with R14 above the quota.
    fn run(&mut self, minutes: i64, megabytes_a_minute: f64) {
        for _ in 0..minutes * 3 {
            self.second += 20;
            self.megabytes += megabytes_a_minute / 3.0;
            self.sample(self.instance);
            if self.megabytes > 512.0 {
                self.say(&Seen::Error(Code::R14));
            }
        }
    }

    fn lives(&self) -> Vec<Life> {
        let name = "web.1".parse().expect("a dyno");
        lives(&name, self.history.dyno(&name).expect("steps"), &self.history.releases())
    }
}

fn shown(lives: &[Life]) -> Vec<(Ended, Excess, bool, Option<bool>)> {
    lives.iter().map(|life| (life.ended, life.excess, life.is_start_known, life.helped)).collect()
}

#[test]
fn a_life_ends_for_a_reason() {
    let mut log = Log::default();
    log.restart(&[], 300.0);
    log.run(300, 0.0);
    log.restart(&[Sign::Cycling], 300.0);
    log.run(300, 0.0);
    log.restart(&[Sign::Restarting], 300.0);
    log.run(300, 0.0);
    log.history.add(None, &Seen::Release(Some(7)), log.at());
    log.second += 20;
    log.restart(&[Sign::Restarting], 300.0);
    log.run(300, 0.0);
    log.say(&Seen::Sign(Sign::State(DynoState::Crashed)));
    log.second += 20;
    log.restart(&[], 300.0);
    log.run(300, 0.0);
    let lives = log.lives();
    let none = Excess::None;
    assert_eq!(
        shown(&lives),
        [
            (Ended::Cycle, none, true, None),
            (Ended::Restart, none, true, None),
            (Ended::Release, none, true, None),
            (Ended::Crash, none, true, None),
            (Ended::Open, none, true, None),
        ]
    );
    assert_eq!(lives.iter().map(|life| life.release).collect::<Vec<_>>(), [6, 6, 6, 7, 7]);
    assert!((lives[0].hours() - 5.0).abs() < 0.1);
}

#[test]
fn a_leak_rises_and_its_restart_helps() {
    let mut log = Log::default();
    log.restart(&[], 300.0);
    // Over the quota after 212 minutes.
    log.run(214, 1.0);
    log.restart(&[Sign::Restarting], 300.0);
    log.run(30, 1.0);
    let lives = log.lives();
    assert_eq!(
        shown(&lives),
        [(Ended::Restart, Excess::Rising, true, Some(true)), (Ended::Open, Excess::None, true, None)]
    );
    let growth = lives[0].growth_per_day().expect("growth");
    assert!((growth - 1440.0 / 512.0).abs() < 0.2, "{growth}");
    assert!(lives[0].breached_at.is_some());
}

#[test]
fn a_level_above_the_quota_is_flat_and_its_restart_does_not_help() {
    let mut log = Log::default();
    log.restart(&[], 560.0);
    log.run(20, 0.01);
    log.restart(&[Sign::Restarting], 560.0);
    log.run(20, 0.01);
    assert_eq!(
        shown(&log.lives()),
        [(Ended::Restart, Excess::Flat, true, Some(false)), (Ended::Open, Excess::Flat, true, None)]
    );
}

#[test]
fn spikes_are_short_and_below_in_between() {
    let mut log = Log::default();
    log.restart(&[], 300.0);
    for _ in 0..4 {
        log.run(60, 0.0);
        log.megabytes = 600.0;
        log.run(2, 0.0);
        log.megabytes = 300.0;
    }
    log.run(60, 0.0);
    assert_eq!(shown(&log.lives()), [(Ended::Open, Excess::Spikes, true, None)]);
}

#[test]
fn what_is_not_seen_is_lost() {
    let mut log = Log::default();
    log.run(120, 0.1);
    log.second += 2 * 3600;
    log.run(120, 0.1);
    // Another process without a word.
    log.instance += 1;
    log.run(120, 0.1);
    let lives = log.lives();
    assert_eq!(
        shown(&lives),
        [
            (Ended::Lost, Excess::None, false, None),
            (Ended::Lost, Excess::None, false, None),
            (Ended::Open, Excess::None, true, None),
        ]
    );
}

#[test]
fn two_processes_under_one_name_say_nothing() {
    let mut log = Log::default();
    log.restart(&[], 300.0);
    log.run(60, 0.0);
    for turn in 0..600 {
        log.second += 20;
        log.megabytes = if turn % 2 == 0 { 100.0 } else { 400.0 };
        log.sample(turn % 2);
    }
    let lives = log.lives();
    assert!(lives.iter().any(|life| life.is_muddled), "{lives:?}");
    assert!(lives.iter().filter(|life| life.is_muddled).all(|life| life.growth_per_day().is_none()));
    assert!(lives.len() < 5, "{}", lives.len());
}

#[test]
fn the_old_process_may_write_after_the_new_one() {
    let mut log = Log::default();
    log.restart(&[], 300.0);
    log.run(300, 0.0);
    log.restart(&[Sign::Restarting], 300.0);
    log.sample(log.instance - 1);
    log.run(1, 0.0);
    log.sample(log.instance - 1);
    log.run(300, 0.0);
    assert_eq!(shown(&log.lives()).len(), 2);
}

#[test]
fn another_size_is_another_life() {
    let mut log = Log::default();
    log.restart(&[], 300.0);
    log.run(120, 0.0);
    for _ in 0..100 {
        log.second += 20;
        let instance = "i1".parse().expect("an id");
        let megabytes = |megabytes: u64| Megabytes { hundredths: megabytes * 100 };
        log.say(&Seen::Sample { instance, total: megabytes(300), quota: megabytes(1024) });
    }
    let lives = log.lives();
    assert_eq!(
        lives.iter().map(|life| (life.ended, life.quota)).collect::<Vec<_>>(),
        [(Ended::Lost, 5120), (Ended::Open, 10_240)]
    );
}
