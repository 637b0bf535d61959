//! The closed sets of label values. Every series of a counter exists from the start, so that `increase()`
//! sees the first event.

use crate::metrics::labels::{ApiLabels, AppLabel, DecisionLabels, KindLabels, ReadLabels, RefusalLabels};
use crate::metrics::{Families, begin};
use dynowarden_core::incident::kind::Kind;

/// The codes of refusals; see [`Hold::label`](dynowarden_core::record::hold::Hold::label).
const HOLD_CODES: &[&str] = &[
    "api_reserve",
    "claimed_elsewhere",
    "clock_ahead",
    "cooling_down",
    "deploying",
    "foreign_drain",
    "formation_failed",
    "formation_out",
    "given_up",
    "gone",
    "max_restarts",
    "not_listed",
    "not_up",
    "one_off",
    "other_app",
    "outside_window",
    "paused",
    "platform_acts",
    "platform_red",
    "queue_full",
    "queued",
    "quiet_unknown",
    "recovered",
    "releasing",
    "stale",
    "store_away",
    "superseded",
    "too_many_dynos",
    "too_young",
    "under_way",
    "unproven",
    "wrong_type",
];

/// The labels of [`ApiError`](dynowarden_core::api::ApiError).
const API_ERRORS: &[&str] = &[
    "forbidden",
    "garbled",
    "no_such_app",
    "other_app",
    "refused",
    "throttled",
    "unauthorized",
    "unreachable",
];

const API_CALLS: &[&str] = &[
    "account",
    "app",
    "create_drain",
    "delete_dyno",
    "dyno",
    "dyno_sizes",
    "formation",
    "list_drains",
    "list_dynos",
    "list_features",
    "rate_limits",
];

const REFUSALS: &[&str] = &[
    "bodies_full",
    "body_slow",
    "drains_unlisted",
    "evicted",
    "handshake_failed",
    "handshake_slow",
    "head_broken",
    "head_slow",
    "head_too_large",
    "large_body",
    "no_room",
    "queue_full",
    "throttled",
    "too_large",
    "unauthorized",
    "unknown_app",
    "unknown_encoding",
    "unknown_path",
];

impl Families {
    /// The series of an app whose labels are words.
    pub(super) fn begin_words(&self, app: &AppLabel) {
        let decisions = [("restart", "rule"), ("restart", "dry_run"), ("notify", "rule")];
        let holds = HOLD_CODES.iter().chain(API_ERRORS).map(|code| ("hold", *code));
        for (decision, reason) in decisions.into_iter().chain(holds) {
            begin(&self.decisions, &DecisionLabels { app: app.clone(), decision, reason });
        }
        for kind in Kind::CHOICES.map(Kind::word) {
            begin(&self.notices, &KindLabels { app: app.clone(), kind });
        }
        for kind in ["count", "cut", "header", "packing", "too_many"] {
            begin(&self.bad_frames, &KindLabels { app: app.clone(), kind });
        }
    }

    /// The series that belong to no app.
    pub(super) fn begin_common(&self) {
        for call in API_CALLS {
            for outcome in API_ERRORS.iter().chain(&["not_found", "ok"]) {
                begin(&self.api_requests, &ApiLabels { call, outcome });
            }
        }
        begin(&self.api_requests, &ApiLabels { call: "delete_dyno", outcome: "lost" });
        for reason in REFUSALS {
            begin(&self.refusals, &RefusalLabels { reason });
        }
        for outcome in ["replaced", "failed"] {
            begin(&self.certificate_reads, &ReadLabels { outcome });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{API_CALLS, API_ERRORS, HOLD_CODES, REFUSALS};

    /// The words of the arms `… => "word",` of a source.
    fn words(source: &str) -> Vec<&str> {
        let arms = source
            .lines()
            .map(str::trim)
            .filter(|line| line.contains("Self::") || line.contains("Refusal::"));
        let words = arms.filter_map(|line| line.split_once(" => \"")?.1.strip_suffix("\","));
        words.filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')).collect()
    }

    #[test]
    fn every_word_is_a_series_from_the_start() {
        for (source, known) in [
            (include_str!("../../crates/core/src/record/hold.rs"), HOLD_CODES),
            (include_str!("../../crates/core/src/api.rs"), API_ERRORS),
            (include_str!("../heroku/call.rs"), API_CALLS),
            (include_str!("../http/refusal.rs"), REFUSALS),
        ] {
            let words = words(source);
            assert!(words.len() >= 7, "{words:?}");
            let missing: Vec<_> = words.iter().filter(|word| !known.contains(word)).collect();
            assert!(missing.is_empty(), "add these to {}: {missing:?}", file!());
        }
    }
}
