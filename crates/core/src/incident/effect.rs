//! Whether restarts helped, in words.

use std::time::Duration;

use crate::incident::message::{DynoReport, Improved, RestartEffect, quota_megabytes};
use crate::record::{MANUAL, Measure, MemoryReading};
use crate::time::spoken;
use crate::traffic::Figures;

pub(super) fn ended(dynos: &[DynoReport], open_for: Duration) -> String {
    let erred = dynos.iter().filter(|dyno| has_error(dyno));
    let proofs: Vec<&RestartEffect> = erred.filter_map(|dyno| dyno.proof.as_ref()).collect();
    if let ([dyno], [proof]) = (dynos, proofs.as_slice()) {
        let back = match dyno.out_for {
            Some(out_for) => format!("back after {}", spoken(out_for)),
            None => "back".to_owned(),
        };
        return match proof.helped {
            Improved::Yes => match proof.back_after {
                Some(after) => format!("{back}, and it helped for {}", spoken(after)),
                None => format!("{back}, and it helped"),
            },
            Improved::No => format!("{back}, but it did not help"),
            Improved::Unknown => back,
        };
    }
    let helped = proofs.iter().filter(|proof| proof.helped == Improved::Yes).count();
    if dynos.iter().any(|dyno| dyno.state == "given_up") {
        return format!("no longer given up after {}: restarted again if it errs", spoken(open_for));
    }
    // Nothing is resolved while an error is back.
    let again = proofs.iter().filter_map(|proof| proof.back_after).min();
    match (again, proofs.len()) {
        (Some(_), _) if helped == 0 => return "restarted, but that did not help".to_owned(),
        (Some(after), all) if helped == all => {
            return format!("the restarts helped for {}, then the error came back", spoken(after));
        }
        (Some(_), all) => return format!("the restart helped {helped} of {all} dynos"),
        (None, _) => {}
    }
    match proofs.len() {
        0 if dynos.iter().all(|dyno| dyno.state == "back" && !has_error(dyno)) => match dynos {
            [DynoReport { out_for: Some(out_for), .. }] => format!("back after {}", spoken(*out_for)),
            _ => {
                let longest = dynos.iter().filter_map(|dyno| dyno.out_for).max().unwrap_or_default();
                format!("restarted, each up again within {}", spoken(longest))
            }
        },
        0 => format!("resolved after {}", spoken(open_for)),
        1 if helped == 1 => format!("resolved after {}: the restart helped", spoken(open_for)),
        2 if helped == 2 => format!("resolved after {}: both restarts helped", spoken(open_for)),
        all if helped == all => {
            format!("resolved after {}: the restart helped all {all} dynos", spoken(open_for))
        }
        some => format!("resolved after {}: the restart helped {helped} of {some} dynos", spoken(open_for)),
    }
}

pub(super) fn proven(proof: &RestartEffect, dyno: &DynoReport) -> Vec<String> {
    let helped = match (proof.helped, proof.back_after) {
        (Improved::Yes, Some(after)) => format!("It helped for {}: then the error came back.", spoken(after)),
        (Improved::Yes, None) => {
            format!("It helped: the error did not come back within {}.", spoken(proof.watched_for))
        }
        (Improved::No, Some(after)) => {
            format!("It did not help: the error came back after {}.", spoken(after))
        }
        (Improved::No, None) => "It did not help.".to_owned(),
        (Improved::Unknown, _) => "No data since the restart; unknown whether it helped.".to_owned(),
    };
    let mut sentences: Vec<String> = Some(helped).filter(|_| has_error(dyno)).into_iter().collect();
    let (before, after) = (proof.before.unwrap_or_default(), proof.after.unwrap_or_default());
    match (before.memory.or(dyno.memory), after.memory) {
        (Some(before), Some(after)) => {
            sentences.push(format!("Memory: {} → {}.", of_quota(before), of_quota(after)));
        }
        (Some(before), None) => {
            sentences.push(format!("Memory: {} before, not reported since.", of_quota(before)));
        }
        (None, _) => {}
    }
    if before.requests > 0 && after.requests > 0 {
        let rates = |what: &str, of: fn(&Figures) -> u64| {
            let share = |figures: &Figures| percent(of(figures), figures.requests);
            format!("{what}: {} → {}.", share(&before), share(&after))
        };
        sentences.push(rates("5xx responses", |figures| figures.errors));
        sentences.push(rates("H12 timeouts", |figures| figures.timeouts));
    }
    if let (Some(before), Some(after)) = (before.p95, after.p95) {
        sentences.push(format!("Service time (p95): {} → {}.", short(before), short(after)));
    }
    sentences
}

/// Whether its restart answered an error, so that it can have helped. A person's restart and one before the
/// daily restart answer none.
fn has_error(dyno: &DynoReport) -> bool {
    let is_wish = matches!(dyno.measure, Measure::Uptime { .. }) || &*dyno.rule == MANUAL;
    dyno.code.is_some() || !is_wish
}

/// A share, to a tenth of a per cent.
fn percent(count: u64, of: u64) -> String {
    let permille = count * 1000 / of.max(1);
    format!("{}.{}%", permille / 10, permille % 10)
}

/// `180ms`, `4.2s`.
fn short(span: Duration) -> String {
    let ms = span.as_millis();
    if ms < 1000 { format!("{ms}ms") } else { format!("{}.{}s", ms / 1000, ms % 1000 / 100) }
}

/// `646 MB of 512 MB (126%)`.
pub(super) fn of_quota(memory: MemoryReading) -> String {
    let quota = quota_megabytes(memory).map_or_else(String::new, |quota| format!(" of {quota} MB"));
    let (used, percent) = ((memory.used.hundredths + 50) / 100, (memory.permille + 5) / 10);
    format!("{used} MB{quota} ({percent}%)")
}
