//! The daily restarts that Heroku made, and what the same restarts in the quiet hours would have met.

use jiff::tz::TimeZone;

use crate::calendar::{QUIET_HOURS, QuietHours};
use crate::days::history::AppHistory;
use crate::days::life::Ended;
use crate::days::quiet;
use crate::days::report;
use crate::days::step::STEPS_PER_DAY;
use crate::ident::ProcessType;

/// The daily restarts of an app's listed process types.
#[derive(Clone, Debug, PartialEq)]
pub struct Cycles {
    pub count: usize,
    /// Those in the third of the day with the most requests.
    pub busy: usize,
    /// Days with lines, rounded up.
    pub days: u64,
    pub quiet: QuietHours,
    /// How many requests fewer the quiet hours have than the hours of the restarts, in per cent.
    pub fewer_percent: u32,
}

/// Hours of the day that count as its busiest.
pub const BUSY_HOURS: usize = 8;

/// The daily restarts of the days that `history` has. None while the quiet hours are unknown, and without a
/// daily restart: nothing is known of what one costs.
pub fn cycles(history: &AppHistory, process_types: &[ProcessType], zone: &TimeZone) -> Option<Cycles> {
    let histogram = report::histogram(history, zone);
    let quiet = histogram.quiet_hours(zone)?;
    let rates: Vec<f64> = histogram.rates.iter().copied().collect::<Option<_>>()?;
    let mut order: Vec<usize> = (0..rates.len()).collect();
    order.sort_by(|left, right| rates[*right].total_cmp(&rates[*left]));
    let busiest = &order[..BUSY_HOURS];
    let lives = process_types.iter().flat_map(|process_type| report::lives_of(history, process_type));
    let hours: Vec<usize> = lives
        .filter(|life| life.ended == Ended::Cycle)
        .map(|life| usize::try_from(zone.to_datetime(life.end).hour()).unwrap_or_default() % rates.len())
        .collect();
    let met = hours.iter().map(|hour| rates[*hour]).sum::<f64>() / hours.len().max(1) as f64;
    if met <= 0.0 {
        return None;
    }
    let quiet_rate = (0..QUIET_HOURS).map(|hour| rates[usize::from((quiet.from + hour) % 24)]).sum::<f64>()
        / f64::from(QUIET_HOURS);
    let heard = quiet::covered(&history.heard()).count() as u64;
    Some(Cycles {
        count: hours.len(),
        busy: hours.iter().filter(|hour| busiest.contains(hour)).count(),
        days: heard.div_ceil(STEPS_PER_DAY.unsigned_abs()),
        quiet,
        fewer_percent: ((1.0 - quiet_rate / met).max(0.0) * 100.0).round() as u32,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::cycles;
    use crate::days::history::AppHistory;
    use crate::days::seen::Seen;
    use crate::detect::request::Request;
    use crate::detect::sign::Sign;
    use crate::event::DynoState;
    use crate::ident::{DynoRef, ProcessType};

    const WEB_1: DynoRef<'static> = DynoRef { process_type: "web", index: 1 };

    /// Three days with a tenth of the requests from 03:00 to 06:00, and one daily restart at an hour.
    fn history(cycled_at: Option<i64>, silent_from: i64) -> AppHistory {
        let mut history = AppHistory::default();
        for minute in (0..3 * 1440).step_by(5) {
            let at = Timestamp::from_second(1_767_225_600 + minute * 60).expect("a time");
            let hour = minute / 60 % 24;
            if hour >= silent_from {
                continue;
            }
            for _ in 0..if (3..6).contains(&hour) { 1 } else { 10 } {
                let request = Request {
                    dyno: WEB_1,
                    status: Some(200),
                    service_ms: Some(9),
                    code: None,
                    method: Some(b"GET"),
                    path: Some(b"/"),
                };
                history.add(Some(WEB_1), &Seen::Request(request), at);
            }
            if minute % 1440 == 0 && cycled_at.is_some() {
                history.add(Some(WEB_1), &Seen::Sign(Sign::State(DynoState::Up)), at);
            }
            if cycled_at.is_some_and(|hour| minute % 1440 == hour * 60) {
                history.add(Some(WEB_1), &Seen::Sign(Sign::Cycling), at);
                history.add(Some(WEB_1), &Seen::Sign(Sign::Starting), at);
            }
        }
        history
    }

    #[test]
    fn daily_restarts_are_compared_with_the_quiet_hours() {
        let web: ProcessType = "web".parse().expect("a type");
        let of = |history: &AppHistory| cycles(history, std::slice::from_ref(&web), &TimeZone::UTC);
        let at_noon = of(&history(Some(0), 24)).expect("restarts");
        assert_eq!((at_noon.count, at_noon.days, at_noon.quiet.from, at_noon.fewer_percent), (3, 3, 3, 90));
        let at_night = of(&history(Some(4), 24)).expect("restarts");
        assert_eq!((at_night.count, at_night.busy, at_night.fewer_percent), (3, 0, 0));
        assert_eq!(of(&history(None, 24)), None);
        assert_eq!(of(&history(Some(0), 20)), None);
        let worker: ProcessType = "worker".parse().expect("a type");
        assert_eq!(cycles(&history(Some(0), 24), &[worker], &TimeZone::UTC), None);
    }
}
