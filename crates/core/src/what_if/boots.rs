//! How long dynos boot, from the marks of their starts.

use jiff::Timestamp;

use crate::days::growth;
use crate::days::history::{self, AppHistory, Steps};
use crate::days::step::MarkKind;
use crate::time::since;

/// The boots that are believed.
const BOOT_MS_MIN: i64 = 1000;
const BOOT_MS_MAX: i64 = 180_000;

/// How long dynos are out when they are restarted, as a rule.
pub(super) fn usual_ms(history: &AppHistory) -> i64 {
    let mut boots: Vec<f64> = Vec::new();
    for process_type in history.process_types() {
        for (_, steps) in history.dynos_of(process_type) {
            boots.extend(boots_of(steps));
        }
    }
    let assumed = crate::replay::world::ASSUMED_BOOT.as_millis() as f64;
    let boot = growth::median(&mut boots).unwrap_or(assumed);
    (boot as i64).clamp(BOOT_MS_MIN, BOOT_MS_MAX)
}

fn boots_of(steps: &Steps) -> Vec<f64> {
    let (mut began, mut boots): (Option<Timestamp>, Vec<f64>) = (None, Vec::new());
    for (index, step) in steps {
        for mark in step.marks() {
            let at = history::mark_time(*index, mark.second);
            match mark.kind {
                MarkKind::Cycling | MarkKind::Restarting | MarkKind::Killed | MarkKind::Starting => {
                    began.get_or_insert(at);
                }
                MarkKind::Up => {
                    let boot = began.take().map(|began| since(began, at).as_millis() as f64);
                    boots.extend(boot.filter(|boot| *boot <= BOOT_MS_MAX as f64));
                }
                _ => {}
            }
        }
    }
    boots
}
