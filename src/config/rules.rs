//! `[[rule]]` and `[[app.rule]]`.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::config::policy::count;
use crate::config::problem::{Problem, quoted};
use crate::config::reader::{Found, Reader, Section, at_commas};
use dynowarden_core::codes::{self, Code, Scope};
use dynowarden_core::limits;
use dynowarden_core::policy::{Act, MemoryBound, Rule, Trigger};
use dynowarden_core::units::UnitError;

/// The rule that applies where there is none in the file.
pub(super) fn defaults() -> Vec<Rule> {
    let trigger = Trigger::Errors { codes: vec![Code::R14], count: NonZeroU32::MIN, within: WITHIN };
    vec![Rule { name: "memory-quota-exceeded".into(), trigger, act: Act::Restart }]
}

const WITHIN: Duration = Duration::from_secs(300);
const LASTING: Duration = Duration::from_secs(180);

/// The rules of `parent`; none where it has none, which means those of the level above.
pub(super) fn read(reader: &mut Reader<'_>, parent: &Section, name: &'static str) -> Option<Vec<Rule>> {
    let sections = reader.sections(parent, "rule", name);
    let mut rules: Vec<Rule> = Vec::new();
    for (place, section) in sections.iter().enumerate() {
        if place >= limits::RULES_MAX {
            let text = format!("read {} rules; allowed: at most {}", sections.len(), limits::RULES_MAX);
            reader.problems.push(Problem::new(name, section.origin.clone(), text));
            break;
        }
        let Some(rule) = read_one(reader, section) else { continue };
        if rules.iter().any(|other| other.name == rule.name) {
            reader.problems.push(Problem::value(
                format!("{name}.name"),
                section.origin.clone(),
                format!("{} a second time", quoted(&rule.name)),
                "a name that no other rule has",
            ));
        }
        rules.push(rule);
    }
    (!sections.is_empty()).then_some(rules)
}

/// Reads every key before anything is given up, so that every problem is found.
fn read_one(reader: &mut Reader<'_>, section: &Section) -> Option<Rule> {
    let name = required(reader, section, "name", NAME_ALLOWED, read_name);
    let act = required(reader, section, "do", "restart or notify", |text| match text {
        "notify" => Some(Act::Notify),
        "restart" => Some(Act::Restart),
        _ => None,
    });
    let on = read_on(reader, section);
    let count = count(reader, section, "count", limits::COUNT_MAX);
    let spans = limits::SPAN_MIN..=limits::INSTANCE_SPAN_MAX;
    let within = reader.duration(section, "within", spans.clone());
    let lasting = reader.duration(section, "for", spans);
    let above = read_above(reader, section);
    let trigger = match on? {
        On::Codes(codes) => {
            foreign(reader, section, &["above", "for"], "a rule on codes; it has count and within");
            if act == Some(Act::Restart) {
                codes_restart(reader, section, &codes);
            }
            let codes = codes.into_iter().map(|(code, _)| code).collect();
            Trigger::Errors {
                codes,
                count: count.unwrap_or(NonZeroU32::MIN),
                within: within.unwrap_or(WITHIN),
            }
        }
        On::Memory => {
            foreign(reader, section, &["count", "within"], "a rule on memory; it has above and for");
            if above.is_none() && reader.find(section, "above").is_none() {
                reader.missing(section, "above", UnitError::Memory);
            }
            Trigger::Memory { above: above?, lasting: lasting.unwrap_or(LASTING) }
        }
    };
    Some(Rule { name: name?, trigger, act: act? })
}

fn required<T>(
    reader: &mut Reader<'_>,
    section: &Section,
    key: &str,
    allowed: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    if reader.find(section, key).is_none() {
        reader.missing(section, key, allowed);
        return None;
    }
    reader.value(section, key, allowed, |value| read(value.text()?))
}

const NAME_ALLOWED: &str = "a name of 1 to 64 characters on one line";
const _: () = assert!(limits::RULE_NAME_CHARS_MAX == 64);

fn read_name(text: &str) -> Option<Arc<str>> {
    let chars = text.chars().count();
    let fits = (1..=limits::RULE_NAME_CHARS_MAX).contains(&chars)
        && text.trim() == text
        && !text.chars().any(char::is_control);
    fits.then(|| text.into())
}

/// What a rule looks for.
enum On {
    Codes(Vec<(Code, Found)>),
    Memory,
}

const ON_ALLOWED: &str = "platform codes such as \"R14\" or \"H12\" (R10 to R17, H10 to H99, L10 to L15), or \
                          \"memory\" alone";

fn read_on(reader: &mut Reader<'_>, section: &Section) -> Option<On> {
    let Some(found) = reader.find(section, "on") else {
        reader.missing(section, "on", ON_ALLOWED);
        return None;
    };
    let items = reader.items(&found, ON_ALLOWED, at_commas)?;
    if matches!(items.as_slice(), [only] if only.value.text() == Some("memory")) {
        return Some(On::Memory);
    }
    if items.is_empty() {
        let origin = found.origin.clone();
        reader.problems.push(Problem::value(&found.setting, origin, "an empty list", ON_ALLOWED));
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

/// Refuses to restart for a code that names no dyno; warns where no restart helps.
fn codes_restart(reader: &mut Reader<'_>, section: &Section, codes: &[(Code, Found)]) {
    for (code, item) in codes {
        let Some(entry) = codes::entry(*code) else { continue };
        let about = match entry.scope {
            Scope::App => "the app as a whole",
            Scope::Drain => "a log drain",
            Scope::Dyno => {
                if !entry.restart_helps {
                    let warning = format!(
                        "{} ({}): {code} ({}) is restarted for, but a restart does not help against it",
                        item.setting, section.origin, entry.title
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
        reader.problems.push(Problem::value(&item.setting, item.origin.clone(), read, allowed));
    }
}

/// Refuses keys of the other kind of rule: they would be without effect.
fn foreign(reader: &mut Reader<'_>, section: &Section, others: &[&str], kind: &str) {
    for key in others {
        if let Some(found) = reader.find(section, key) {
            let text = format!("read {}; not allowed in {kind}", found.value.shown());
            reader.problems.push(Problem::new(found.setting, found.origin, text));
        }
    }
}

/// One per cent to ten times the quota; dynos are killed well below that.
const PERMILLE: std::ops::RangeInclusive<u32> = 10..=10_000;
/// One megabyte to a terabyte; the largest dyno has 128 GB.
const HUNDREDTHS: std::ops::RangeInclusive<u64> = 100..=100 * 1024 * 1024;

fn read_above(reader: &mut Reader<'_>, section: &Section) -> Option<MemoryBound> {
    let allowed = format!("{}, from 1% to 1000% or 1MB to 1024GB", UnitError::Memory);
    reader.value(section, "above", allowed, |value| {
        let bound: MemoryBound = value.text()?.parse().ok()?;
        let fits = match bound {
            MemoryBound::OfQuota { permille } => PERMILLE.contains(&permille),
            MemoryBound::Size(size) => HUNDREDTHS.contains(&size.hundredths),
        };
        fits.then_some(bound)
    })
}
