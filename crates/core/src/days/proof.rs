//! Whether former lives prove that a process type goes over its quota.
//!
//! A threshold below the quota restarts healthy dynos that merely level out near it. So a rule may ask that
//! some of the last lives really went over.

use crate::days::history::Release;
use crate::days::life::{Ended, Life};
use crate::policy::{MemoryBound, Proof};

/// How many of the last lives went over the quota, by what a rule with this `above` asks for.
///
/// `lives` are those of one process type, in the order of their ends. A life that ended without a breach
/// counts against, except one that the rule itself ended early, which changes nothing. A release leaves one
/// breach to be seen, however many there were before.
pub fn breached(lives: &[Life], releases: &[Release], proof: Proof, above: MemoryBound) -> u32 {
    let mut last: Vec<bool> = Vec::new();
    let mut releases = releases.iter().peekable();
    for life in lives {
        let Some(breached) = outcome(life, above) else { continue };
        let at = life.breached_at.filter(|_| breached).unwrap_or(life.end);
        while releases.next_if(|release| release.at <= at).is_some() {
            keep_all_but_one(&mut last, proof);
        }
        last.push(breached);
        let surplus = last.len().saturating_sub(proof.of as usize);
        last.drain(..surplus);
    }
    if releases.next().is_some() {
        keep_all_but_one(&mut last, proof);
    }
    count(&last)
}

/// Whether the life went over its quota; none for one that says nothing.
pub(crate) fn outcome(life: &Life, above: MemoryBound) -> Option<bool> {
    if life.breached_at.is_some() {
        return Some(true);
    }
    match life.ended {
        // Not over yet, or cut short by a release, which changes the count itself.
        Ended::Open | Ended::Lost | Ended::Release => None,
        Ended::Restart if is_above(life, above) => None,
        Ended::Crash | Ended::Cycle | Ended::Down | Ended::Kill | Ended::Restart => Some(false),
    }
}

/// Whether it was above the rule's limit when it ended, so that the rule may have ended it.
fn is_above(life: &Life, above: MemoryBound) -> bool {
    let Some(last) = life.last_reading.filter(|_| life.quota > 0) else { return false };
    match above {
        MemoryBound::OfQuota { permille } => {
            u64::from(last) * 1000 >= u64::from(life.quota) * u64::from(permille)
        }
        MemoryBound::Size(size) => u64::from(last) * 10 >= size.hundredths,
    }
}

/// One more breach is then needed.
fn keep_all_but_one(last: &mut Vec<bool>, proof: Proof) {
    let kept = count(last).min(proof.breached.saturating_sub(1));
    *last = vec![true; kept as usize];
}

fn count(last: &[bool]) -> u32 {
    last.iter().filter(|breached| **breached).count() as u32
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::breached;
    use crate::days::history::Release;
    use crate::days::life::{Ended, Excess, Life};
    use crate::policy::{MemoryBound, Proof};
    use crate::time::later;

    fn at(hours: u64) -> Timestamp {
        later(Timestamp::UNIX_EPOCH, Duration::from_secs(hours * 3600))
    }

    /// Lives of two hours each: `B` breached, `C` cycled, `E` restarted above the limit, `M` restarted below
    /// it, `O` open. `R` is a release.
    fn count(lives: &str) -> u32 {
        let (mut all, mut releases) = (Vec::new(), Vec::new());
        for (hour, kind) in (0_u64..).step_by(2).zip(lives.chars()) {
            if kind == 'R' {
                releases.push(Release { at: at(hour + 1), version: 7 });
                continue;
            }
            let (ended, last) = match kind {
                'B' => (Ended::Restart, 5200),
                'C' => (Ended::Cycle, 4000),
                'E' => (Ended::Restart, 4900),
                'O' => (Ended::Open, 4900),
                _ => (Ended::Restart, 4000),
            };
            all.push(Life {
                dyno: "web.1".parse().expect("a dyno"),
                start: at(hour),
                is_start_known: true,
                end: at(hour + 2),
                ended,
                release: 0,
                quota: 5120,
                breached_at: (kind == 'B').then_some(at(hour + 1)),
                excess: Excess::None,
                highest: last,
                last_reading: Some(last),
                growth: None,
                is_muddled: false,
                helped: None,
            });
        }
        let above = MemoryBound::OfQuota { permille: 950 };
        breached(&all, &releases, Proof { breached: 2, of: 3 }, above)
    }

    #[test]
    fn two_of_three_lives_must_have_breached() {
        for (lives, expect) in [
            ("", 0),
            ("B", 1),
            ("BB", 2),
            ("BBB", 3),
            ("BBC", 2),
            ("BBCC", 1),
            ("BBM", 2),
            ("BBMM", 1),
            // Ended early, or not over yet: nothing is known of them.
            ("BBEEEE", 2),
            ("BBO", 2),
            ("BEB", 2),
        ] {
            assert_eq!(count(lives), expect, "{lives}");
        }
    }

    #[test]
    fn a_release_leaves_one_breach_to_be_seen() {
        for (lives, expect) in [
            ("BBR", 1),
            ("BBBR", 1),
            ("BBRB", 2),
            ("BRB", 2),
            ("RB", 1),
            ("BBRC", 1),
            ("BBRCC", 1),
            ("BBRCCC", 0),
        ] {
            assert_eq!(count(lives), expect, "{lives}");
        }
    }
}
