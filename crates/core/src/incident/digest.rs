//! `notify.digest`: what happened since yesterday, in one message.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::calendar;
use crate::days::verdict::Judgement;
use crate::days::words;
use crate::ident::{AppId, DynoName, ProcessType};
use crate::incident::kind::Kind;
use crate::incident::message::Message;
use crate::incident::{Incidents, text};
use crate::limits;
use crate::record::{Action, NoticeKind, Record, RestartResult};
use crate::time::{later, spoken};

/// A time of day in a zone, such as `09:00 Europe/Berlin`; UTC without a zone.
#[derive(Clone, Debug, PartialEq)]
pub struct DailyTime {
    minute: u16,
    zone: TimeZone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time of day and a time zone, such as \"09:00 Europe/Berlin\"")]
pub struct DailyTimeError;

/// Counts since the last digest.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    apps: BTreeMap<AppId, AppTally>,
}

#[derive(Clone, Debug, Default)]
struct AppTally {
    restarts: u64,
    back: u64,
    out_for: Duration,
    failed: u64,
    given_up: u64,
    no_help: u64,
    not_restarted: u64,
    holds: BTreeMap<&'static str, u64>,
    restarted: BTreeMap<DynoName, u64>,
}

// === impl DailyTime ===

impl DailyTime {
    /// The next time after `at` at which the clock shows this time; a skipped time comes later by as much.
    pub fn next_after(&self, at: Timestamp) -> Timestamp {
        let time = Time::midnight().wrapping_add(Duration::from_secs(u64::from(self.minute) * 60));
        let today = self.zone.to_datetime(at).date();
        today
            .series(jiff::Span::new().days(1))
            .take(DAYS)
            .filter_map(|day| self.zone.to_ambiguous_timestamp(day.to_datetime(time)).compatible().ok())
            .find(|next| *next > at)
            .unwrap_or_else(|| later(at, Duration::from_secs(86_400)))
    }
}

/// Today, tomorrow, and a day for a zone that skips one.
const DAYS: usize = 3;

impl FromStr for DailyTime {
    type Err = DailyTimeError;

    fn from_str(text: &str) -> Result<Self, DailyTimeError> {
        let mut parts = text.split_whitespace();
        let minute = parts.next().and_then(|time| calendar::minute(time).ok());
        let zone = parts.next().map_or(Some(TimeZone::UTC), |name| calendar::zone(name).ok());
        match (minute.filter(|minute| *minute < 24 * 60), zone, parts.next()) {
            (Some(minute), Some(zone), None) => Ok(Self { minute, zone }),
            _ => Err(DailyTimeError),
        }
    }
}

impl fmt::Display for DailyTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self.zone.iana_name().unwrap_or("UTC");
        write!(f, "{:02}:{:02} {zone}", self.minute / 60, self.minute % 60)
    }
}

// === impl Tally ===

impl Tally {
    pub(super) fn count(&mut self, record: &Record) {
        match record {
            Record::Decision(decision) => {
                let app = self.apps.entry(decision.app).or_default();

                match &decision.action {
                    Action::Hold(hold) => *app.holds.entry(hold.label()).or_default() += 1,
                    Action::Notify | Action::Restart { .. } => {}
                }
            }
            Record::Outcome(outcome) => {
                let app = self.apps.entry(outcome.app).or_default();
                match &outcome.result {
                    RestartResult::Accepted { .. } => {
                        app.restarts += 1;
                        let is_known = app.restarted.contains_key(&outcome.dyno);
                        if is_known || app.restarted.len() < limits::INCIDENT_DYNOS_MAX {
                            *app.restarted.entry(outcome.dyno.clone()).or_default() += 1;
                        }
                    }
                    RestartResult::Back { out_for, .. } => {
                        app.back += 1;
                        app.out_for += *out_for;
                    }
                    RestartResult::NotBack { .. }
                    | RestartResult::DownAgain { .. }
                    | RestartResult::Gone
                    | RestartResult::Ignored { .. }
                    | RestartResult::NoHelp { .. }
                    | RestartResult::Refused(_)
                    | RestartResult::Unanswered { .. }
                    | RestartResult::Withdrawn => {}
                }
            }
            Record::MemoryAfterRestart(_) => {}
            Record::Notice(notice) => {
                let Some(app) = notice.scope.app() else { return };
                let app = self.apps.entry(app).or_default();
                match &notice.what {
                    NoticeKind::GaveUp { .. } => app.given_up += 1,
                    NoticeKind::NoHelp { .. } => app.no_help += 1,
                    NoticeKind::RestartFailed(_) => app.failed += 1,
                    NoticeKind::NotRestarted { .. } => app.not_restarted += 1,
                    NoticeKind::ApiError(_)
                    | NoticeKind::Admin(_)
                    | NoticeKind::ApiRecovered
                    | NoticeKind::Broken { .. }
                    | NoticeKind::CallsLeft
                    | NoticeKind::ClockDisagrees { .. }
                    | NoticeKind::LinesCurrent
                    | NoticeKind::LinesLate { .. }
                    | NoticeKind::NoCallsLeft { .. }
                    | NoticeKind::Often { .. }
                    | NoticeKind::Health(_) => {}
                }
            }
        }
    }

    /// The apps with something to report, each with its paragraph: what was done, and what is known of its
    /// process types. An app that needs a person is there even if nothing was done.
    pub(super) fn paragraphs(
        &self,
        verdicts: &BTreeMap<AppId, Vec<(ProcessType, Judgement)>>,
        name: impl Fn(AppId) -> String,
    ) -> Vec<(AppId, String)> {
        let needs_person = |known: &[(ProcessType, Judgement)]| {
            known.iter().any(|(_, judgement)| words::needs_person(judgement.verdict))
        };
        let known = verdicts.iter().filter(|(_, known)| needs_person(known)).map(|(app, _)| *app);
        let apps: BTreeSet<AppId> = self.apps.keys().copied().chain(known).collect();
        let nothing = AppTally::default();
        let of = |app: AppId| {
            let tally = self.apps.get(&app).unwrap_or(&nothing);
            let known = verdicts.get(&app).map_or(&[][..], Vec::as_slice);
            (app, format!("{}: {}{}", name(app), tally.sentence(), told(known)))
        };
        apps.into_iter().map(of).collect()
    }

    pub(super) fn restarts(&self) -> u64 {
        self.apps.values().map(|app| app.restarts).sum()
    }
}

/// ` web leaks about 35% of its quota a day since v214.`
fn told(known: &[(ProcessType, Judgement)]) -> String {
    let said =
        known.iter().filter_map(|(of, judgement)| Some(format!("{of} {}", words::verdict(judgement)?)));
    let said: Vec<String> = said.take(limits::MESSAGE_NAMES_MAX).collect();
    if said.is_empty() { String::new() } else { format!(" {}.", said.join("; ")) }
}

impl AppTally {
    fn sentence(&self) -> String {
        let mut parts = vec![format!("{} {}", self.restarts, text::plural(self.restarts, "restart"))];
        if let Some(mean) = u32::try_from(self.back).ok().filter(|back| *back > 0) {
            parts.push(format!("out for {} on average", spoken(self.out_for / mean)));
        }
        if let Some((dyno, times)) = self.restarted.iter().max_by_key(|(_, times)| **times)
            && *times > 1
        {
            parts.push(format!("most often {dyno} ({times} times)"));
        }
        for (count, what) in [
            (self.failed, "failed"),
            (self.given_up, "given up"),
            (self.no_help, "did not help"),
            (self.not_restarted, "erred without a restart"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        let refused: u64 = self.holds.values().sum();
        if refused > 0 {
            let mut holds: Vec<_> = self.holds.iter().collect();
            holds.sort_by_key(|(label, count)| (std::cmp::Reverse(**count), **label));
            let most: Vec<String> = holds
                .iter()
                .take(3)
                .map(|(label, count)| format!("{} {count}", label.replace('_', " ")))
                .collect();
            parts.push(format!(
                "not restarted {refused} {} ({})",
                text::plural(refused, "time"),
                most.join(", ")
            ));
        }
        format!("{}.", parts.join(", "))
    }
}

impl Incidents {
    /// Sends the digest if it is due.
    pub(super) fn send_digest(&mut self) {
        let (Some(due), Some(daily)) = (self.digest_due, &self.plan.digest) else { return };
        if due > self.now.wall {
            return;
        }
        self.digest_due = Some(daily.next_after(self.now.wall));
        let tally = std::mem::take(&mut self.tally);
        let incident = self.incident_id("digest");
        let paragraphs = tally.paragraphs(&self.verdicts, |app| self.app_name(app).to_string());
        let apps = paragraphs.iter().map(|(app, _)| self.app_name(*app)).collect();
        let text = text::digest(tally.restarts(), paragraphs.into_iter().map(|(_, text)| text).collect());
        let message = Message::single(incident, Kind::Digest, text, self.now.wall);
        self.messages.push(Message { apps, ..message });
    }
}

/// `noun`, with an s for any count but one.
#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::DailyTime;

    #[track_caller]
    fn check(time: &str, at: &str, expect: &str) {
        let time: DailyTime = time.parse().expect(time);
        let at: Timestamp = at.parse().expect(at);
        assert_eq!(time.next_after(at).to_string(), expect);
    }

    #[test]
    fn a_daily_time_occurs_once_a_day() {
        check("09:00", "2026-01-02T08:59:59Z", "2026-01-02T09:00:00Z");
        check("09:00", "2026-01-02T09:00:00Z", "2026-01-03T09:00:00Z");
        check("09:00 Europe/Berlin", "2026-01-02T00:00:00Z", "2026-01-02T08:00:00Z");
        check("09:00 Europe/Berlin", "2026-07-02T00:00:00Z", "2026-07-02T07:00:00Z");
        // 02:30 is skipped on that night, and counts as 03:30.
        check("02:30 Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z");
        check("00:00 Pacific/Auckland", "2026-01-01T10:59:59Z", "2026-01-01T11:00:00Z");
    }

    #[test]
    fn an_invalid_time_of_day_is_rejected() {
        for text in ["", "9:00", "24:00", "09:60", "Europe/Berlin", "09:00 Berlin", "09:00 UTC x"] {
            assert!(text.parse::<DailyTime>().is_err(), "{text}");
        }
        let time: DailyTime = "09:05 Europe/Berlin".parse().expect("a time");
        assert_eq!(time.to_string(), "09:05 Europe/Berlin");
    }
}
