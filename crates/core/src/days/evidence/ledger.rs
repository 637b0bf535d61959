//! The counts of all windows of one app, from the store or from its log.

use std::collections::{BTreeMap, HashMap};

use crate::days::evidence::counts::{Counts, Endpoint, WindowCounts};
use crate::ident::DynoName;
use crate::limits;

#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// From number 1 on.
    endpoints: Vec<Endpoint>,
    numbers: HashMap<Endpoint, u16>,
    dynos: BTreeMap<DynoName, BTreeMap<i64, Counts>>,
}

// === impl Ledger ===

impl Ledger {
    /// Adds a record of a window, which may be one of several.
    pub fn add(&mut self, counts: &WindowCounts) {
        let numbers: Vec<u16> = counts.endpoints.iter().map(|endpoint| self.number(endpoint)).collect();
        for (dyno, of_dyno) in &counts.dynos {
            let has_room = self.dynos.len() < limits::EVIDENCE_DYNOS_MAX || self.dynos.contains_key(dyno);
            if !has_room {
                continue;
            }
            let windows = self.dynos.entry(dyno.clone()).or_default();
            let known = windows.entry(counts.window).or_default();
            for (number, count) in of_dyno {
                let number = usize::from(*number).checked_sub(1).and_then(|place| numbers.get(place));
                let number = number.copied().unwrap_or(0);
                match known.iter_mut().find(|(known, _)| *known == number) {
                    Some((_, sum)) => *sum = sum.saturating_add(*count),
                    None => known.push((number, *count)),
                }
            }
            while windows.len() > limits::EVIDENCE_WINDOWS_MAX {
                windows.pop_first();
            }
        }
    }

    /// The counts of a dyno in a window.
    pub fn counts(&self, dyno: &DynoName, window: i64) -> Option<&Counts> {
        self.dynos.get(dyno)?.get(&window)
    }

    /// The endpoint of a number; none for all others.
    pub fn endpoint(&self, number: u16) -> Option<&Endpoint> {
        self.endpoints.get(usize::from(number).checked_sub(1)?)
    }

    /// Forgets the windows before this one.
    pub fn forget_before(&mut self, window: i64) {
        for windows in self.dynos.values_mut() {
            *windows = windows.split_off(&window);
        }
        self.dynos.retain(|_, windows| !windows.is_empty());
    }

    pub fn is_empty(&self) -> bool {
        self.dynos.is_empty()
    }

    /// The number of an endpoint; 0 past the limit.
    fn number(&mut self, endpoint: &Endpoint) -> u16 {
        if let Some(number) = self.numbers.get(endpoint) {
            return *number;
        }
        if self.endpoints.len() >= limits::EVIDENCE_ENDPOINTS_MAX {
            return 0;
        }
        self.endpoints.push(endpoint.clone());
        let number = self.endpoints.len() as u16;
        self.numbers.insert(endpoint.clone(), number);
        number
    }
}
