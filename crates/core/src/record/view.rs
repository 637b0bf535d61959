//! A decision as other programs and people read it: `replay`, `history`, the JSON API and the hook all
//! show this one form.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::DynoInfo;
use crate::ident::AppName;
use crate::record::{Action, Decision, Evidence, MemoryReading};

/// One decision as a JSON object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionJson {
    /// When it was made, in RFC 3339.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    /// The app's name.
    pub app: String,
    /// The dyno; null for a rule about an app or a drain.
    pub dyno: Option<String>,
    /// The rule that asked.
    pub rule: String,
    /// `restart`, `hold` or `notify`.
    pub decision: Word,
    /// Why, as a sentence.
    pub reason: String,
    /// Why, as a word: the same for all decisions of one kind.
    pub code: String,
    /// Whether nothing was sent, because of `dry_run`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// The facts behind it.
    #[serde(default)]
    pub evidence: EvidenceJson,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// The dyno is left as it is.
    Hold,
    /// People are told.
    Notify,
    /// The dyno is restarted.
    Restart,
}

/// The facts behind a decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvidenceJson {
    /// The platform's code, such as `R14`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The time in the line that fired the rule.
    #[serde(default, with = "rfc3339_option", skip_serializing_if = "Option::is_none")]
    pub line_at: Option<Timestamp>,
    /// How many lines counted.
    #[serde(default)]
    pub lines: u32,
    /// The dyno's memory when it was last told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryJson>,
    /// The dyno as the API showed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<SeenJson>,
}

/// A dyno's memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryJson {
    /// The time in the line.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    /// What it used, in the platform's megabytes.
    pub used_mb: f64,
    /// Per cent of its quota.
    pub percent: f64,
}

/// One instance of a dyno.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeenJson {
    /// Its `id`.
    pub id: String,
    /// Its `state`.
    pub state: String,
    /// Its `created_at`.
    #[serde(with = "rfc3339")]
    pub created_at: Timestamp,
    /// Its `updated_at`.
    #[serde(with = "rfc3339")]
    pub updated_at: Timestamp,
    /// Its release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<u64>,
}

// === impl DecisionJson ===

impl DecisionJson {
    /// The public form of a decision about the app of that name.
    pub fn new(decision: &Decision, app: &AppName) -> Self {
        let (word, dry_run) = match decision.action {
            Action::Hold(_) => (Word::Hold, false),
            Action::Notify => (Word::Notify, false),
            Action::Restart { dry_run, .. } => (Word::Restart, dry_run),
        };
        Self {
            at: decision.at,
            app: app.to_string(),
            dyno: decision.dyno.as_ref().map(ToString::to_string),
            rule: decision.rule.to_string(),
            decision: word,
            reason: decision.reason(),
            code: decision.reason_label().to_owned(),
            dry_run,
            evidence: EvidenceJson::new(&decision.evidence),
        }
    }
}

impl fmt::Display for DecisionJson {
    /// One line for people: `2026-01-02 03:04:05Z acme web.2 restart (rule): R14 (Memory quota exceeded)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dyno = self.dyno.as_deref().unwrap_or("-");
        write!(
            f,
            "{} {} {dyno} {} ({}): {}",
            self.at.strftime("%Y-%m-%d %H:%M:%SZ"),
            self.app,
            self.decision,
            self.rule,
            self.reason
        )
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hold => "hold",
            Self::Notify => "notify",
            Self::Restart => "restart",
        })
    }
}

impl EvidenceJson {
    fn new(evidence: &Evidence) -> Self {
        Self {
            error: evidence.code.as_ref().map(ToString::to_string),
            line_at: evidence.line_at,
            lines: evidence.lines,
            memory: evidence.memory.as_ref().map(MemoryJson::new),
            seen: evidence.seen.as_ref().map(SeenJson::new),
        }
    }
}

impl MemoryJson {
    /// The public form of a reading.
    pub fn new(reading: &MemoryReading) -> Self {
        Self {
            at: reading.at,
            used_mb: reading.used.hundredths as f64 / 100.0,
            percent: f64::from(reading.permille) / 10.0,
        }
    }
}

impl fmt::Display for MemoryJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}MB ({:.1}% of its quota)", self.used_mb, self.percent)
    }
}

impl SeenJson {
    fn new(seen: &DynoInfo) -> Self {
        Self {
            id: seen.id.to_string(),
            state: seen.state.word().to_owned(),
            created_at: seen.created_at,
            updated_at: seen.updated_at,
            release: seen.release,
        }
    }
}

mod rfc3339 {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

mod rfc3339_option {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => to.collect_str(at),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::DecisionJson;
    use crate::codes::Code;
    use crate::event::Megabytes;
    use crate::ident::AppId;
    use crate::record::{Action, Decision, Evidence, Hold, MemoryReading};

    fn decision(action: Action) -> Decision {
        let at: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        let memory = MemoryReading { at, used: Megabytes { hundredths: 64_600 }, permille: 1262 };
        Decision {
            at,
            app: AppId(0),
            dyno: Some("web.2".parse().expect("a dyno")),
            rule: "memory-quota-exceeded".into(),
            action,
            evidence: Evidence {
                code: Some(Code::R14),
                line_at: Some(at),
                lines: 1,
                memory: Some(memory),
                seen: None,
            },
            attempt_id: None,
        }
    }

    #[track_caller]
    fn check(action: Action, json: &str, text: &str) {
        let app = "acme".parse().expect("an app");
        let shown = DecisionJson::new(&decision(action), &app);
        let written = serde_json::to_string(&shown).expect("JSON");
        assert_eq!(written, json);
        assert_eq!(serde_json::from_str::<DecisionJson>(&written).expect("read again"), shown);
        assert_eq!(shown.to_string(), text);
    }

    #[test]
    fn a_decision_reads_the_same_everywhere() {
        let memory = r#""memory":{"at":"2026-01-02T03:04:05Z","used_mb":646.0,"percent":126.2}"#;
        let line = r#""error":"R14","line_at":"2026-01-02T03:04:05Z","lines":1"#;
        let evidence = format!(r#""evidence":{{{line},{memory}}}"#);
        let dry = "R14 (Memory quota exceeded) at 646MB (126.2% of its quota) (dry run: nothing is sent)";
        let hold = "a restart of this dyno is under way";
        let shown = "2026-01-02 03:04:05Z acme web.2";
        let head =
            r#"{"at":"2026-01-02T03:04:05Z","app":"acme","dyno":"web.2","rule":"memory-quota-exceeded""#;
        check(
            Action::Restart { dry_run: true, formation: 2 },
            &format!(
                r#"{head},"decision":"restart","reason":"{dry}","code":"dry_run","dry_run":true,{evidence}}}"#
            ),
            &format!("{shown} restart (memory-quota-exceeded): {dry}"),
        );
        check(
            Action::Hold(Hold::UnderWay),
            &format!(r#"{head},"decision":"hold","reason":"{hold}","code":"under_way",{evidence}}}"#),
            &format!("{shown} hold (memory-quota-exceeded): {hold}"),
        );
    }
}
