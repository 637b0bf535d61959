//! The labels of the metrics: names from the settings and closed sets of words, never text from a peer.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use dynowarden_core::ident::{AppName, ProcessType};
use dynowarden_core::ingest::EventKind;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct AppLabel(pub(super) AppName);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TypeLabel(pub(super) ProcessType);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct EventKindLabel(pub(super) EventKind);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct AppLabels {
    pub(super) app: AppLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct KindLabels {
    pub(super) app: AppLabel,
    pub(super) kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct EventLabels {
    pub(super) app: AppLabel,
    pub(super) kind: EventKindLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DecisionLabels {
    pub(super) app: AppLabel,
    pub(super) decision: &'static str,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RestartLabels {
    pub(super) app: AppLabel,
    pub(super) process_type: TypeLabel,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ApiLabels {
    pub(super) call: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct NotifierLabels {
    pub(super) notifier: String,
    pub(super) outcome: &'static str,
}

/// The names of watched dynos; [`limits::DYNOS_MAX`](dynowarden_core::limits) bounds them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DynoLabels {
    pub(super) app: AppLabel,
    pub(super) dyno: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReadLabels {
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RefusalLabels {
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct BuildLabels {
    pub(super) version: &'static str,
}

impl EncodeLabelValue for AppLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        EncodeLabelValue::encode(&self.0.as_str(), encoder)
    }
}

impl EncodeLabelValue for TypeLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        EncodeLabelValue::encode(&self.0.as_str(), encoder)
    }
}

impl EncodeLabelValue for EventKindLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        write!(encoder, "{}", self.0)
    }
}
