//! Suspect releases: several dynos of one type start failing soon after a release.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::ident::{DynoName, ProcessType};
use crate::incident::Incidents;
use crate::incident::kind::Kind;
use crate::incident::message::Message;
use crate::incident::{next_step, text};
use crate::limits;
use crate::record::hold::Hold;
use crate::record::{Action, Decision};
use crate::time::since;

/// An app's last release, and the dynos that erred since.
#[derive(Debug, Default)]
pub(super) struct Releases {
    version: Option<u64>,
    /// None while only its number is known.
    at: Option<Duration>,
    /// Dynos that also erred shortly before it, which are no evidence against it.
    ill: BTreeSet<DynoName>,
    suspects: BTreeMap<ProcessType, BTreeSet<DynoName>>,
    reported: BTreeSet<ProcessType>,
    erred: HashMap<DynoName, Duration>,
}

impl Releases {
    /// Notes an announced release. A deploy is announced twice: by what was deployed and by its number.
    pub(super) fn announced(&mut self, version: Option<u64>, now: Duration) {
        let is_same = match (self.version, version) {
            (Some(known), Some(version)) => known == version,
            _ => self.at.is_some_and(|at| now.saturating_sub(at) <= ONE_DEPLOY),
        };
        if is_same && self.at.is_some() {
            self.version = self.version.or(version);
        } else {
            self.begin(version, now);
        }
    }

    /// The API showed a dyno of this release, which is at least as old as the dyno.
    fn seen(&mut self, version: u64, created: Duration) {
        match self.version {
            Some(known) if version > known => self.begin(Some(version), created),
            Some(_) => {}
            None => self.version = Some(version),
        }
    }

    fn begin(&mut self, version: Option<u64>, at: Duration) {
        let clean = at.saturating_sub(limits::SUSPECT_CLEAN);
        self.erred.retain(|_, erred| *erred >= clean);
        self.ill =
            self.erred.iter().filter(|(_, erred)| **erred < at).map(|(dyno, _)| dyno.clone()).collect();
        self.at = Some(at);
        self.version = version;
        self.suspects.clear();
        self.reported.clear();
    }

    /// Notes an erring dyno; returns the dynos that make the release suspect, the first time that they do.
    fn err(&mut self, dyno: &DynoName, now: Duration) -> Option<Vec<DynoName>> {
        if self.erred.len() >= limits::RETURNS_MAX {
            self.erred.clear();
        }
        self.erred.insert(dyno.clone(), now);
        self.at.filter(|at| now.saturating_sub(*at) <= limits::SUSPECT_WITHIN && *at <= now)?;
        if self.ill.contains(dyno) || self.reported.contains(dyno.process_type()) {
            return None;
        }
        let suspects = self.suspects.entry(dyno.process_type().clone()).or_default();
        suspects.insert(dyno.clone());
        if suspects.len() < limits::SUSPECT_DYNOS {
            return None;
        }
        self.reported.insert(dyno.process_type().clone());
        Some(suspects.iter().cloned().collect())
    }
}

/// The longest time between the two announcements of one deploy: the build comes before both.
const ONE_DEPLOY: Duration = Duration::from_secs(5 * 60);

impl Incidents {
    /// Counts an erring dyno against the release, if it came soon after one.
    pub(super) fn suspect(&mut self, decision: &Decision) {
        let (Some(dyno), Some(code)) = (&decision.dyno, decision.evidence.code) else { return };
        let is_history = matches!(
            &decision.action,
            Action::Hold(Hold::Stale { .. } | Hold::Superseded { .. } | Hold::ClockAhead { .. } | Hold::Gone)
        );
        if is_history {
            return;
        }
        let now = self.now;
        let releases = self.releases.entry(decision.app).or_default();
        if let Some(seen) = &decision.evidence.seen
            && let Some(version) = seen.release
        {
            releases.seen(version, now.mono.saturating_sub(since(seen.created_at, now.wall)));
        }
        let Some(suspects) = releases.err(dyno, now.mono) else { return };
        if !self.plan.on.contains(&Kind::SuspectRelease) {
            return;
        }
        let (version, age) = (releases.version, now.mono.saturating_sub(releases.at.unwrap_or(now.mono)));
        let app = self.app_name(decision.app);
        let incident = self.incident_id(&format!("{app}-release"));
        let text = text::suspect(&app, version, &suspects, code, age);
        let message = Message::single(incident, Kind::SuspectRelease, text, now.wall);
        let next_step = Some(next_step::of_release(&app));
        self.messages.push(Message { apps: vec![app], next_step, ..message });
    }
}
