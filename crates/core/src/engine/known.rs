//! What rules need to know of an app's days, as the engine takes it.

use std::sync::Arc;

use crate::days::history::AppHistory;
use crate::days::verdict::Judgement;
use crate::days::{proof, report};
use crate::engine::days::{AppDays, Breaches};
use crate::ident::ProcessType;
use crate::policy::{AppPlan, MemoryBound, Proof, Rule, Trigger};

/// What an app's history says to its rules, and what it says of each process type.
pub fn known(history: &AppHistory, plan: &AppPlan) -> (AppDays, Vec<(ProcessType, Judgement)>) {
    let judgements = report::judgements(history);
    let days = AppDays {
        quiet: report::quiet_hours(history, &report::zone_of(plan)),
        breaches: breaches(history, plan),
        verdicts: judgements.iter().map(|(of, judgement)| (of.clone(), judgement.verdict)).collect(),
    };
    (days, judgements)
}

/// How many former lives went over the quota, for each rule with a `proof` and each process type.
fn breaches(history: &AppHistory, plan: &AppPlan) -> Vec<Breaches> {
    if plan.rules.iter().all(|rule| rule.proof.is_none()) {
        return Vec::new();
    }
    let releases = history.releases();
    let mut all = Vec::new();
    for process_type in &plan.policy.process_types {
        let lives = report::lives_of(history, process_type);
        for rule in &plan.rules {
            let Some((proof, above)) = proof_of(rule) else { continue };
            let breached = proof::breached(&lives, &releases, proof, above);
            all.push(Breaches { process_type: process_type.clone(), rule: Arc::clone(&rule.name), breached });
        }
    }
    all
}

fn proof_of(rule: &Rule) -> Option<(Proof, MemoryBound)> {
    match rule.trigger {
        Trigger::Memory { above, .. } => Some((rule.proof?, above)),
        // Swap is used near the quota, so a life that the rule ended early was about there.
        Trigger::Swap { .. } => Some((rule.proof?, MemoryBound::OfQuota { permille: SWAPPING_PERMILLE })),
        _ => None,
    }
}

/// A dyno that swaps is hardly below this share of its quota, in thousandths.
const SWAPPING_PERMILLE: u32 = 900;
