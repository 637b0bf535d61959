//! `[[rule]]` and `[[app.rule]]`.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use crate::config::field::{FieldType as _, Found};
use crate::config::keys;
use crate::config::policy;
use crate::config::problem::quoted;
use crate::config::reader::{Reader, at_commas};
use crate::config::types::{self, Span, ms};
use dynowarden_core::calendar;
use dynowarden_core::codes::{self, Code, Scope};
use dynowarden_core::limits;
use dynowarden_core::policy::{Act, Factor, MemoryBound, Rule, Trigger};
use dynowarden_core::units::UnitError;

/// The rule that applies where the settings have none.
pub(super) fn defaults() -> Vec<Rule> {
    let trigger = Trigger::Errors { codes: vec![Code::R14], count: NonZeroU32::MIN, within: WITHIN };
    vec![Rule {
        name: "memory-quota-exceeded".into(),
        trigger,
        act: Act::Restart,
        window: Vec::new(),
        proof: None,
    }]
}

const WITHIN: Duration = Duration::from_secs(300);
const LASTING: Duration = Duration::from_secs(180);

/// The rules of the section `name`; none where it has none, so that those of the level above apply.
pub(super) fn read(
    reader: &mut Reader<'_>,
    sections: &[Spanned<keys::Rule>],
    name: &'static str,
) -> Option<Vec<Rule>> {
    if sections.is_empty() {
        return None;
    }
    if let Some(first_over) = sections.get(limits::RULES_MAX) {
        let text = format!("read {} rules; allowed: at most {}", sections.len(), limits::RULES_MAX);
        reader.problem_with(name, first_over.span().start, text);
    }
    let (mut rules, mut names) = (Vec::new(), Vec::<Arc<str>>::new());
    for section in sections.iter().take(limits::RULES_MAX) {
        let at = section.span().start;
        let section = section.get_ref();
        if let Some((_, Ok(of))) = section.name.read() {
            if names.contains(of) {
                let read = format!("read {} a second time", quoted(of));
                let text = format!("{read}; allowed: a name that no other rule has");
                reader.problem_with(format!("{name}.name"), at, text);
            }
            names.push(of.clone());
        }
        rules.extend(read_one(reader, section, name, at));
    }
    Some(rules)
}

/// Reads every key before it gives up, so that every problem is found.
fn read_one(reader: &mut Reader<'_>, section: &keys::Rule, name: &str, at: usize) -> Option<Rule> {
    let of = section.name.found().and_then(|found| found.value.text());
    let of = of.map(|of| format!(" from the rule {}", quoted(of))).unwrap_or_default();
    let mut lacks = |key: &str, allowed: &str| {
        reader.problem_with(format!("{name}.{key}"), at, format!("{key} is missing{of}; allowed: {allowed}"));
    };
    if !section.name.is_set() {
        lacks("name", types::RULE_NAME_ALLOWED);
    }
    if !section.act.is_set() {
        lacks("do", types::ACT_ALLOWED);
    }
    if !section.on.is_set() {
        lacks("on", ON_ALLOWED);
    }
    let (rule_name, act) = (reader.get(&section.name), reader.get(&section.act));
    let on = section.on.found().and_then(|found| read_on(reader, found));
    let window =
        reader.list(&section.window, policy::WINDOW_ALLOWED, calendar::split_list).unwrap_or_default();
    let proof = reader.get(&section.proof);
    let (count, within) = (reader.get(&section.count), reader.get(&section.within));
    let lasting = reader.get(&section.lasting).unwrap_or(LASTING);
    let Some(on) = on else {
        check_above(reader, section);
        return None;
    };
    if !matches!(on, On::Memory | On::Swap) {
        foreign(reader, [section.proof.found(), None], "this kind of rule; only memory and swap use it");
    }
    let trigger = match on {
        On::Codes(codes) => {
            let kind = "a rule on codes, which uses count and within";
            foreign(reader, [section.above.found(), section.lasting.found()], kind);
            if act == Some(Act::Restart) {
                check_restart_on(reader, at, &codes);
            }
            let codes = codes.into_iter().map(|(code, _)| code).collect();
            let count = count.unwrap_or(NonZeroU32::MIN);
            Some(Trigger::Errors { codes, count, within: within.unwrap_or(WITHIN) })
        }
        other => measured(reader, section, (&other, lasting), name, at),
    };
    Some(Rule { name: rule_name?, trigger: trigger?, act: act?, window, proof })
}

/// A rule on something that is measured and compared with `above`.
fn measured(
    reader: &mut Reader<'_>,
    section: &keys::Rule,
    (on, lasting): (&On, Duration),
    name: &str,
    at: usize,
) -> Option<Trigger> {
    let (of_counts, of_for) = ([section.count.found(), section.within.found()], section.lasting.found());
    let kind = match on {
        On::Memory => "a rule on memory, which uses above and for",
        On::Swap => "a rule on swap, which uses above and for",
        On::Uptime => "a rule on uptime, which uses above",
        On::SlowerThanPeers | On::Codes(_) => "a rule on slower_than_peers, which uses above",
    };
    foreign(reader, of_counts, kind);
    if matches!(on, On::Uptime | On::SlowerThanPeers) {
        foreign(reader, [of_for, None], kind);
    }
    if !section.above.is_set() {
        let allowed = match on {
            On::Uptime => UnitError::Duration,
            On::SlowerThanPeers => UnitError::Factor,
            On::Codes(_) | On::Memory | On::Swap => UnitError::Memory,
        };
        reader.missing(&format!("{name}.above"), at, allowed);
        return None;
    }
    Some(match on {
        On::Uptime => Trigger::Uptime { above: reader.get(&section.above.as_type::<Uptime>())? },
        On::SlowerThanPeers => {
            Trigger::SlowerThanPeers { above: reader.get(&section.above.as_type::<Factor>())? }
        }
        On::Swap => Trigger::Swap { above: reader.get(&section.above.as_type::<MemoryBound>())?, lasting },
        On::Codes(_) | On::Memory => {
            Trigger::Memory { above: reader.get(&section.above.as_type::<MemoryBound>())?, lasting }
        }
    })
}

/// Refuses a limit that no kind of rule could have.
fn check_above(reader: &mut Reader<'_>, section: &keys::Rule) {
    let Some(found) = section.above.found() else { return };
    let fits = MemoryBound::read(&found.value).is_ok()
        || Uptime::read(&found.value).is_ok()
        || Factor::read(&found.value).is_ok();
    if !fits {
        let (memory, factor) = (UnitError::Memory, UnitError::Factor);
        reader.refuse(found, format!("{memory}; {}; or {factor}", UnitError::Duration));
    }
}

/// Beyond a month no process is that old: Heroku restarts every one daily.
type Uptime = Span<{ ms(limits::SPAN_MIN) }, { ms(limits::POLICY_SPAN_MAX) }>;

/// What a rule watches.
enum On {
    Codes(Vec<(Code, Found)>),
    Memory,
    SlowerThanPeers,
    Swap,
    Uptime,
}

const ON_ALLOWED: &str = "platform codes such as \"R14\" or \"H12\" (R10 to R17, H10 to H99, L10 to L15), or \
                          one of \"memory\", \"swap\", \"uptime\" and \"slower_than_peers\" alone";

fn read_on(reader: &mut Reader<'_>, found: &Found) -> Option<On> {
    let items = reader.items(found, ON_ALLOWED, at_commas)?;
    if let [only] = items.as_slice() {
        match only.value.text() {
            Some("memory") => return Some(On::Memory),
            Some("slower_than_peers") => return Some(On::SlowerThanPeers),
            Some("swap") => return Some(On::Swap),
            Some("uptime") => return Some(On::Uptime),
            _ => {}
        }
    }
    if items.is_empty() {
        reader.refuse_as(found, "an empty list", ON_ALLOWED);
        return None;
    }
    let mut codes: Vec<(Code, Found)> = Vec::new();
    let mut is_whole = true;
    for item in items {
        let code = item.value.text().and_then(|text| text.parse::<Code>().ok());
        match code.filter(|code| codes::entry(*code).is_some()) {
            Some(code) if codes.iter().any(|(other, _)| *other == code) => {}
            Some(code) => codes.push((code, item)),
            None => {
                is_whole = false;
                reader.refuse(&item, ON_ALLOWED);
            }
        }
    }
    is_whole.then_some(On::Codes(codes))
}

/// Refuses to restart for a code that names no dyno, and warns where restarting does not help.
fn check_restart_on(reader: &mut Reader<'_>, at: usize, codes: &[(Code, Found)]) {
    for (code, item) in codes {
        let Some(entry) = codes::entry(*code) else { continue };
        let about = match entry.scope {
            Scope::App => "the app as a whole",
            Scope::Drain => "a log drain",
            Scope::Dyno => {
                if !entry.restart_helps {
                    let (setting, origin) = (reader.places.name(item.at), reader.places.origin(at));
                    let warning = format!(
                        "{setting} ({origin}): {code} ({}) is restarted for, but restarting does not help \
                         against it",
                        entry.title
                    );
                    reader.warnings.push(warning);
                }
                continue;
            }
        };
        let read = format!("{} with do = \"restart\"", item.value.shown());
        let allowed = format!(
            "do = \"notify\", since {code} ({}) is about {about} and names no dyno to restart",
            entry.title
        );
        reader.refuse_as(item, read, allowed);
    }
}

/// Refuses keys of the other kind of rule, which would have no effect.
fn foreign(reader: &mut Reader<'_>, others: [Option<&Found>; 2], kind: &str) {
    for found in others.into_iter().flatten() {
        reader.problem(found.at, format!("read {}; not allowed in {kind}", found.value.shown()));
    }
}
