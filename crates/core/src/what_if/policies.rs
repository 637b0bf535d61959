//! The policies that are compared: what the settings could be, from nothing to all that is offered.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::calendar::Window;
use crate::codes::Code;
use crate::limits;
use crate::policy::{Act, MemoryBound, Proof, Rule, Trigger};
use crate::units::spell_duration;

/// One policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// `none`, `r14`, or `r14` and what is added.
    pub name: String,
    pub rules: Vec<Rule>,
}

/// An early restart: above so many per cent, for so long, and whether former lives must prove a leak.
const EARLY: [(u32, u64, bool); 8] = [
    (85, 180, true),
    (90, 180, true),
    (95, 60, true),
    (95, 180, true),
    (95, 300, true),
    (98, 60, true),
    (90, 180, false),
    (95, 180, false),
];

/// Ages at which a dyno is restarted in the quiet hours.
const QUIET_HOURS: [u64; 2] = [16, 12];

const PROOF: Proof = Proof { breached: 2, of: 3 };

/// All policies, the simplest first. Without `has_samples` no rule can be on memory; without `has_quiet` the
/// quiet hours are unknown, and a rule that waits for them does nothing.
pub fn candidates(has_samples: bool, has_quiet: bool) -> Vec<Candidate> {
    let none = Rule { act: Act::Notify, ..on_r14() };
    let mut all = vec![Candidate { name: "none".to_owned(), rules: vec![none] }];
    let early = EARLY
        .iter()
        .filter(|_| has_samples)
        .map(|(above, seconds, is_proven)| Some(early(*above, Duration::from_secs(*seconds), *is_proven)));
    let early: Vec<Option<Rule>> = [None].into_iter().chain(early).collect();
    let quiet = QUIET_HOURS.iter().filter(|_| has_quiet).map(|hours| Some(quiet(*hours)));
    for quiet in [None].into_iter().chain(quiet) {
        // The second age is tried alone, and with what most leaks need.
        let is_second = quiet.as_ref().is_some_and(|(hours, _)| *hours != QUIET_HOURS[0]);
        let early = early.iter().enumerate().filter(|(place, _)| !is_second || [0, 4].contains(place));
        all.extend(early.map(|(_, early)| {
            let rules = [Some(on_r14()), early.clone(), quiet.as_ref().map(|(_, rule)| rule.clone())];
            let rules: Vec<Rule> = rules.into_iter().flatten().collect();
            Candidate { name: name(&rules), rules }
        }));
    }
    all.truncate(limits::WHAT_IF_POLICIES_MAX);
    all
}

fn on_r14() -> Rule {
    let within = Duration::from_secs(300);
    Rule {
        name: "memory-quota-exceeded".into(),
        trigger: Trigger::Errors { codes: vec![Code::R14], count: NonZeroU32::MIN, within },
        act: Act::Restart,
        window: Vec::new(),
        proof: None,
    }
}

fn early(percent: u32, lasting: Duration, is_proven: bool) -> Rule {
    let above = MemoryBound::OfQuota { permille: percent * 10 };
    Rule {
        name: "memory-high".into(),
        trigger: Trigger::Memory { above, lasting },
        act: Act::Restart,
        window: Vec::new(),
        proof: is_proven.then_some(PROOF),
    }
}

fn quiet(hours: u64) -> (u64, Rule) {
    let rule = Rule {
        name: "quiet-cycle".into(),
        trigger: Trigger::Uptime { above: Duration::from_secs(hours * 3600) },
        act: Act::Restart,
        window: vec![Window::Quiet],
        proof: None,
    };
    (hours, rule)
}

fn name(rules: &[Rule]) -> String {
    let mut name = "r14".to_owned();
    for rule in rules {
        if let Trigger::Uptime { above } = rule.trigger {
            name.push_str(" + quiet");
            if above.as_secs() != QUIET_HOURS[0] * 3600 {
                write!(name, " from {}", spell_duration(above)).expect("a string takes everything");
            }
        }
    }
    for rule in rules {
        if let Trigger::Memory { above: MemoryBound::OfQuota { permille }, lasting } = rule.trigger {
            let lasting = spell_duration(lasting);
            write!(name, " + {}% for {lasting}", permille / 10).expect("a string takes everything");
            if let Some(proof) = rule.proof {
                write!(name, ", proof {} of {}", proof.breached, proof.of)
                    .expect("a string takes everything");
            }
        }
    }
    name
}

impl Candidate {
    /// Whether it restarts nothing.
    pub fn is_none(&self) -> bool {
        self.rules.iter().all(|rule| rule.act == Act::Notify)
    }

    /// Its rules as settings, without a blank line at the end.
    pub fn toml(&self) -> String {
        let rules: Vec<String> = self.rules.iter().map(rule_toml).collect();
        rules.join("\n")
    }
}

fn rule_toml(rule: &Rule) -> String {
    let mut text = format!("[[rule]]\nname = \"{}\"\n", rule.name);
    let mut line = |key: &str, value: String| writeln!(text, "{key} = {value}").expect("a string has room");
    match &rule.trigger {
        Trigger::Memory { above: MemoryBound::OfQuota { permille }, lasting } => {
            line("on", "[\"memory\"]".to_owned());
            line("above", format!("\"{}%\"", permille / 10));
            line("for", format!("\"{}\"", spell_duration(*lasting)));
        }
        Trigger::Uptime { above } => {
            line("on", "[\"uptime\"]".to_owned());
            line("above", format!("\"{}\"", spell_duration(*above)));
        }
        // The candidates have no others.
        _ => line("on", "[\"R14\"]".to_owned()),
    }
    if let Some(proof) = rule.proof {
        line("proof", format!("\"{} of {}\"", proof.breached, proof.of));
    }
    if rule.window.contains(&Window::Quiet) {
        line("window", "[\"quiet\"]".to_owned());
    }
    let act = if rule.act == Act::Notify { "notify" } else { "restart" };
    line("do", format!("\"{act}\""));
    text
}

#[cfg(test)]
mod tests {
    use super::candidates;
    use crate::limits;

    #[test]
    fn there_are_at_most_two_dozen_and_each_has_its_name() {
        for (has_samples, has_quiet, expect) in
            [(true, true, 21), (true, false, 10), (false, true, 4), (false, false, 2)]
        {
            let all = candidates(has_samples, has_quiet);
            assert_eq!(all.len(), expect);
            assert!(all.len() <= limits::WHAT_IF_POLICIES_MAX);
            let names: std::collections::BTreeSet<&str> = all.iter().map(|one| &*one.name).collect();
            assert_eq!(names.len(), all.len());
            assert_eq!([&*all[0].name, &*all[1].name], ["none", "r14"]);
        }
        let all = candidates(true, true);
        let has = |name: &str| all.iter().any(|one| one.name == name);
        assert!(has("r14 + quiet"));
        assert!(has("r14 + quiet from 12h"));
        assert!(has("r14 + 95% for 3m, proof 2 of 3"));
        assert!(has("r14 + quiet + 90% for 3m"));
    }
}
