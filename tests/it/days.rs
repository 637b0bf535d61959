//! Verdicts and quiet hours on synthetic lives, whose truth is known.

use jiff::Timestamp;

use dynowarden_core::codes::Code;
use dynowarden_core::days::history::AppHistory;
use dynowarden_core::days::life::{self, Life};
use dynowarden_core::days::seen::Seen;
use dynowarden_core::days::verdict::{self, Verdict};
use dynowarden_core::detect::request::Request;
use dynowarden_core::detect::sign::Sign;
use dynowarden_core::event::{DynoState, Megabytes};
use dynowarden_core::ident::{DynoRef, InstanceId};
use heroku_sim::curve::{self, Curve, Kind, LEAKS, SAMPLE_SECONDS, SOUND};
use heroku_sim::rng::Chance;

const WEB_1: DynoRef<'static> = DynoRef { process_type: "web", index: 1 };
const QUOTA: Megabytes = Megabytes { hundredths: 51_200 };

/// A dyno's log, one life after the other.
struct Log {
    history: AppHistory,
    at: i64,
    lives: u32,
}

impl Log {
    fn new() -> Self {
        Self { history: AppHistory::default(), at: 1_767_225_600, lives: 0 }
    }

    fn hour(&self) -> f64 {
        self.at.rem_euclid(86_400) as f64 / 3600.0
    }

    fn say(&mut self, seen: &Seen<'_>) {
        let at = Timestamp::from_second(self.at).expect("a time");
        self.history.add(Some(WEB_1), seen, at);
    }

    /// Writes a life, which ends with the curve, after `hours`, or soon after the breach, if it `restarts`.
    fn live(&mut self, curve: &Curve, hours: f64, restarts: bool) {
        for sign in [Sign::Starting, Sign::State(DynoState::Up)] {
            self.say(&Seen::Sign(sign));
            self.at += 5;
        }
        self.lives += 1;
        let instance: InstanceId = format!("i{}", self.lives).parse().expect("an id");
        let samples = (hours * 3600.0 / f64::from(SAMPLE_SECONDS)) as usize;
        let (mut over, mut owed) = (0, 0);
        for (share, requests) in curve.memory.iter().zip(&curve.requests).take(samples) {
            self.at += i64::from(SAMPLE_SECONDS);
            let total = Megabytes { hundredths: (share * QUOTA.hundredths as f64) as u64 };
            self.say(&Seen::Sample { instance, total, quota: QUOTA });
            let request = Request {
                dyno: WEB_1,
                status: Some(200),
                service_ms: Some(80),
                code: None,
                method: None,
                path: None,
            };
            // One in fifty keeps the pattern, in a fiftieth of the time.
            owed += requests;
            (0..owed / 50).for_each(|_| self.say(&Seen::Request(request)));
            owed %= 50;
            over = if *share > 1.0 { over + 1 } else { 0 };
            if over > 0 {
                self.say(&Seen::Error(Code::R14));
            }
            if restarts && over >= 3 {
                break;
            }
        }
        self.say(&Seen::Sign(Sign::Restarting));
        self.at += 1;
    }

    fn lives(&self) -> Vec<Life> {
        let name = "web.1".parse().expect("a dyno");
        life::lives(&name, self.history.dyno(&name).expect("steps"), &[])
    }
}

/// The share of lives that are called leaking: of single ones, and by two of three.
fn called_leaking(kinds: &[Kind], restarts: bool, chance: &mut Chance) -> (f64, f64) {
    const RUNS: usize = 25;
    let (mut of_one, mut of_three) = (0, 0);
    for &kind in kinds {
        for _ in 0..RUNS {
            let mut log = Log::new();
            log.at += (curve::uniform(chance, 0.0, 24.0) * 3600.0) as i64;
            for _ in 0..3 {
                let curve = curve::life(kind, chance, log.hour(), None);
                log.live(&curve, 24.0, restarts);
            }
            let lives = log.lives();
            of_one += usize::from(verdict::of_life(&lives[0]) == Some(Verdict::Leaks));
            of_three += usize::from(verdict::judge(&lives, 72.0).verdict == Verdict::Leaks);
        }
    }
    let all = (kinds.len() * RUNS) as f64;
    (of_one as f64 / all, of_three as f64 / all)
}

#[test]
fn leaks_are_found_within_a_day() {
    let mut chance = Chance::new(22);
    for restarts in [true, false] {
        let (found, found_by_three) = called_leaking(&LEAKS, restarts, &mut chance);
        let (wrong, wrong_by_three) = called_leaking(&SOUND, restarts, &mut chance);
        let figures = format!(
            "restarts: {restarts}; one life: {found:.3} found, {wrong:.3} wrong; two of three: \
             {found_by_three:.3}, {wrong_by_three:.3}"
        );
        eprintln!("{figures}");
        assert!(found >= 0.90 && wrong <= 0.12, "{figures}");
        assert!(found_by_three >= 0.90 && wrong_by_three <= 0.05, "{figures}");
    }
}
