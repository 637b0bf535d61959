//! Whether one dyno is much slower than the others of its type.
//!
//! Each minute, a dyno's median service time is compared with the median of its peers' medians, so that a
//! slow database, which slows all of them, shows nothing. A dyno is slow when it was above the rule's
//! multiple in 8 of 10 minutes. If more than a third of a formation is slow at once, it is not these dynos.

use std::collections::BTreeMap;

use crate::ident::DynoName;
use crate::limits;
use crate::policy::Factor;

/// The last minutes of the dynos of one app, for one rule.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    minutes: BTreeMap<DynoName, Minutes>,
}

/// One bit a minute, the newest lowest.
#[derive(Clone, Copy, Debug, Default)]
struct Minutes(u16);

/// A dyno's minute: its median service time in milliseconds, with at least
/// [`limits::TRAFFIC_REQUESTS_LEAST`] requests.
pub type Median = (DynoName, u64);

const WINDOW: u32 = 10;
const SLOW_LEAST: u32 = 8;

impl Peers {
    /// Takes the medians of one minute; returns the dynos that are slow now. They start over.
    pub fn minute(&mut self, medians: &[Median], above: Factor) -> Vec<DynoName> {
        let names: Vec<&DynoName> = medians.iter().map(|(name, _)| name).collect();
        // A dyno without enough requests in a minute was not slow in it.
        self.minutes.retain(|name, minutes| {
            if !names.contains(&name) {
                minutes.note(false);
            }
            minutes.0 != 0
        });
        let mut slow = Vec::new();
        for (name, median) in medians {
            let peers: Vec<u64> = medians
                .iter()
                .filter(|(other, _)| other != name && other.process_type() == name.process_type())
                .map(|(_, median)| *median)
                .collect();
            let formation = peers.len() + 1;
            let is_over = formation >= limits::PEERS_LEAST && exceeds(*median, peers, above);
            if !self.minutes.contains_key(name)
                && (!is_over || self.minutes.len() >= limits::TRAFFIC_DYNOS_MAX)
            {
                continue;
            }
            let minutes = self.minutes.entry(name.clone()).or_default();
            minutes.note(is_over);
            if is_over && minutes.over() >= SLOW_LEAST {
                slow.push((name.clone(), formation));
            }
        }
        let count = slow.len();
        slow.retain(|(_, formation)| count * 3 <= *formation);
        for (name, _) in &slow {
            self.minutes.remove(name);
        }
        slow.into_iter().map(|(name, _)| name).collect()
    }
}

fn exceeds(median: u64, mut peers: Vec<u64>, above: Factor) -> bool {
    peers.sort_unstable();
    let middle = peers.len() / 2;
    let usual = if peers.len().is_multiple_of(2) {
        u64::midpoint(peers[middle - 1], peers[middle])
    } else {
        peers[middle]
    };
    u128::from(median) * 1000 > u128::from(usual.max(1)) * u128::from(above.permille)
}

impl Minutes {
    fn note(&mut self, is_over: bool) {
        self.0 = (self.0 << 1 | u16::from(is_over)) & ((1 << WINDOW) - 1);
    }

    fn over(self) -> u32 {
        self.0.count_ones()
    }
}

#[cfg(test)]
mod tests {
    use super::{Median, Peers};
    use crate::ident::DynoName;
    use crate::policy::Factor;

    const ABOVE: Factor = Factor { permille: 1500 };

    fn medians(all: &[u64]) -> Vec<Median> {
        (1_u32..)
            .zip(all)
            .map(|(index, median)| (format!("web.{index}").parse().expect("a dyno"), *median))
            .collect()
    }

    /// The minute, from 1, in which a dyno is found slow; `of` gives the medians of a minute.
    fn found(of: impl Fn(u32) -> Vec<u64>) -> Option<(u32, Vec<String>)> {
        let mut peers = Peers::default();
        (1..=30).find_map(|minute| {
            let slow = peers.minute(&medians(&of(minute)), ABOVE);
            (!slow.is_empty()).then(|| (minute, slow.iter().map(DynoName::to_string).collect()))
        })
    }

    #[test]
    fn eight_of_ten_slow_minutes_are_needed() {
        assert_eq!(found(|_| vec![100, 240, 100, 110]), Some((8, vec!["web.2".to_owned()])));
        let twice_usual = |minute: u32| if matches!(minute, 3 | 6) { 100 } else { 200 };
        assert_eq!(found(|minute| vec![100, twice_usual(minute), 100]), Some((10, vec!["web.2".to_owned()])));
        assert_eq!(found(|minute| vec![100, if minute % 2 == 0 { 300 } else { 100 }, 100]), None);
        assert_eq!(found(|_| vec![100, 150, 100]), None);
    }

    #[test]
    fn a_slow_app_and_small_formations_show_nothing() {
        assert_eq!(found(|minute| vec![100 * u64::from(minute); 4]), None);
        assert_eq!(found(|_| vec![100, 900]), None);
        // Half of them.
        assert_eq!(found(|_| vec![100, 100, 100, 300, 300, 300]), None);
        assert_eq!(found(|_| vec![100, 100, 300, 300, 100]), None);
    }

    #[test]
    fn a_found_dyno_starts_over() {
        let mut peers = Peers::default();
        let times = (0..40).filter(|_| !peers.minute(&medians(&[100, 300, 100]), ABOVE).is_empty()).count();
        assert_eq!(times, 5);
    }
}
