//! The serialised form of a decision, the same for `replay`, `history`, the store, the JSON API, the page
//! and the hook.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::DynoInfo;
use crate::ident::AppName;
use crate::record::{Action, Decision, Evidence, MANUAL, MemoryReading, Outcome, RestartResult};

/// One decision as a JSON object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionView {
    /// RFC 3339.
    pub at: Timestamp,
    pub app: String,
    /// Null for a rule about an app or a drain.
    pub dyno: Option<String>,
    pub rule: String,
    pub decision: Word,
    /// As a sentence.
    pub reason: String,
    /// The reason as a word, the same for all decisions of one kind.
    pub code: String,
    /// Whether nothing was sent because of `dry_run`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    #[serde(default)]
    pub evidence: EvidenceView,
    /// The number of decisions of this kind in a row; `at` is the time of the first.
    #[serde(default = "one")]
    pub count: u64,
    /// The time of the last of them.
    pub last_at: Timestamp,
    /// Null for other decisions, and until something is known.
    #[serde(default)]
    pub outcome: Option<OutcomeView>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutcomeView {
    /// `accepted`, `back`, `back_late`, `not_back`, `gone`, `refused`, `unanswered`, `withdrawn`,
    /// `not_sent`, or, for a restart whose process died, `presumed` (it was carried out) and `lapsed` (it
    /// was not).
    pub result: Cow<'static, str>,
    /// The result as a sentence.
    pub text: String,
    /// Seconds from the acceptance until the new instance was seen up; null while that is unknown.
    #[serde(default)]
    pub out_for_seconds: Option<f64>,
    /// The id of the instance that was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The id of the instance that came up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_instance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryView>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    Hold,
    Notify,
    Restart,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvidenceView {
    /// Such as `R14`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The time in the line that fired the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_at: Option<Timestamp>,
    #[serde(default)]
    pub lines: u32,
    /// The last report before the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryView>,
    /// The dyno as the API showed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<InstanceView>,
    /// Who requested a manual restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryView {
    /// The time in the line.
    pub at: Timestamp,
    /// In the platform's megabytes.
    pub used_mb: f64,
    /// Of its quota.
    pub percent: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceView {
    pub id: String,
    pub state: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<u64>,
}

// === impl DecisionView ===

impl DecisionView {
    /// The public form of a decision about `app`.
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
            evidence: EvidenceView::new(&decision.evidence),
            count: 1,
            last_at: decision.at,
            outcome: None,
        }
    }

    /// Whether it is about memory, which a larger dyno has more of.
    pub fn is_about_memory(&self) -> bool {
        match self.evidence.error.as_deref() {
            Some(code) => matches!(code, "R14" | "R15"),
            None => self.evidence.memory.is_some(),
        }
    }

    /// The label of a refusal because restarts of the dyno did not help.
    pub const GIVEN_UP: &'static str = "given_up";

    /// Whether it is news: not one more refusal, unless a dyno was given up or a person had asked.
    pub fn is_news(&self) -> bool {
        self.decision != Word::Hold || self.code == Self::GIVEN_UP || self.rule == MANUAL
    }

    /// Whether `later`, the next decision about the same dyno, repeats this refusal and can be folded into
    /// it.
    pub fn repeats(&self, later: &Self) -> bool {
        self.decision == Word::Hold
            && later.decision == Word::Hold
            && (&self.app, &self.dyno, &self.code) == (&later.app, &later.dyno, &later.code)
    }
}

fn one() -> u64 {
    1
}

impl OutcomeView {
    pub fn new(outcome: &Outcome) -> Self {
        let (new_instance, out_for) = match &outcome.result {
            RestartResult::Back { id, out_for, .. } => (Some(id.to_string()), Some(*out_for)),
            _ => (None, None),
        };
        Self {
            result: outcome.result.label().into(),
            text: outcome.result.to_string(),
            out_for_seconds: out_for.map(|out_for| (out_for.as_secs_f64() * 1000.0).round() / 1000.0),
            new_instance,
            ..Self::default()
        }
    }
}

impl fmt::Display for DecisionView {
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
        )?;
        if self.count > 1 {
            write!(f, " (× {}, last {})", self.count, self.last_at.strftime("%Y-%m-%d %H:%M:%SZ"))?;
        }
        let Some(outcome) = &self.outcome else { return Ok(()) };
        write!(f, " -> {}", if outcome.text.is_empty() { &outcome.result } else { outcome.text.as_str() })?;
        match &outcome.memory {
            Some(memory) => write!(f, ", now at {memory}"),
            None => Ok(()),
        }
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

impl EvidenceView {
    fn new(evidence: &Evidence) -> Self {
        Self {
            error: evidence.code.as_ref().map(ToString::to_string),
            line_at: evidence.line_at,
            lines: evidence.lines,
            memory: evidence.memory.as_ref().map(MemoryView::new),
            seen: evidence.seen.as_ref().map(InstanceView::new),
            asked_by: evidence.asked_by.as_deref().map(str::to_owned),
        }
    }
}

impl MemoryView {
    pub fn new(reading: &MemoryReading) -> Self {
        Self {
            at: reading.at,
            used_mb: reading.used.hundredths as f64 / 100.0,
            percent: f64::from(reading.permille) / 10.0,
        }
    }
}

impl fmt::Display for MemoryView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded like `MemoryReading`.
        write!(f, "{} MB ({:.1}% of its quota)", (self.used_mb + 0.5).floor(), self.percent)
    }
}

impl InstanceView {
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::DecisionView;
    use crate::codes::Code;
    use crate::event::Megabytes;
    use crate::ident::AppId;
    use crate::record::hold::Hold;
    use crate::record::{Action, Decision, Evidence, Measure, MemoryReading};

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
                measure: Measure::Memory,
                code: Some(Code::R14),
                line_at: Some(at),
                lines: 1,
                memory: Some(memory),
                seen: None,
                asked_by: None,
            },
            attempt_id: None,
        }
    }

    #[track_caller]
    fn check(action: Action, json: &str, text: &str) {
        let app = "acme".parse().expect("an app");
        let shown = DecisionView::new(&decision(action), &app);
        let written = serde_json::to_string(&shown).expect("JSON");
        assert_eq!(written, json);
        assert_eq!(serde_json::from_str::<DecisionView>(&written).expect("read again"), shown);
        assert_eq!(shown.to_string(), text);
    }

    #[test]
    fn a_decision_survives_serialisation() {
        let memory = r#""memory":{"at":"2026-01-02T03:04:05Z","used_mb":646.0,"percent":126.2}"#;
        let line = r#""error":"R14","line_at":"2026-01-02T03:04:05Z","lines":1"#;
        let evidence = format!(r#""evidence":{{{line},{memory}}}"#);
        let tail = r#""count":1,"last_at":"2026-01-02T03:04:05Z","outcome":null"#;
        let dry = "R14 (Memory quota exceeded) at 646 MB (126.2% of its quota) (dry run: nothing is sent)";
        let hold = "this dyno is already being restarted";
        let shown = "2026-01-02 03:04:05Z acme web.2";
        let head =
            r#"{"at":"2026-01-02T03:04:05Z","app":"acme","dyno":"web.2","rule":"memory-quota-exceeded""#;
        check(
            Action::Restart { dry_run: true, formation: 2 },
            &format!(
                r#"{head},"decision":"restart","reason":"{dry}","code":"dry_run","dry_run":true,{evidence},{tail}}}"#
            ),
            &format!("{shown} restart (memory-quota-exceeded): {dry}"),
        );
        check(
            Action::Hold(Hold::UnderWay),
            &format!(r#"{head},"decision":"hold","reason":"{hold}","code":"under_way",{evidence},{tail}}}"#),
            &format!("{shown} hold (memory-quota-exceeded): {hold}"),
        );
    }
}
