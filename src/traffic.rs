//! The traffic of all dynos, written by every connection and read when a message is made.
//!
//! It bypasses the engine's queue: nearly every line is a request, and no decision depends on them.

use dashmap::DashMap;

use dynowarden_core::detect::request::Request;
use dynowarden_core::event::{Event, Fact};
use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::limits;
use dynowarden_core::record::MemoryReading;
use dynowarden_core::time::Now;
use dynowarden_core::traffic::{Figures, Readings, Span, Traffic};

/// The dynos' figures of the last minutes; shared behind an `Arc`.
#[derive(Debug)]
pub struct TrafficBook {
    dynos: DashMap<(AppId, DynoName), Traffic>,
    is_on: bool,
}

impl TrafficBook {
    /// An empty book, which stays empty unless `is_on`.
    pub fn new(is_on: bool) -> Self {
        Self { dynos: DashMap::new(), is_on }
    }

    /// Whether requests are counted; if not, their lines need not be read.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Counts a request to `dyno`, which shares the text of a listed process type.
    pub fn request(&self, app: AppId, dyno: DynoName, request: &Request<'_>, now: Now) {
        self.with(app, dyno, now, |traffic| traffic.request(request, now.mono));
    }

    /// Notes the memory events of a batch.
    pub fn record(&self, app: AppId, events: &[Event], now: Now) {
        if !self.is_on {
            return;
        }
        for Event { at, fact } in events {
            let (dyno, reading) = match fact {
                Fact::Memory { dyno, used, permille } => {
                    (dyno, MemoryReading { at: *at, used: *used, permille: *permille })
                }
                Fact::Sample { dyno, total, quota, .. } => {
                    let permille = u128::from(total.hundredths) * 1000 / u128::from(quota.hundredths.max(1));
                    let permille = u32::try_from(permille).unwrap_or(u32::MAX);
                    (dyno, MemoryReading { at: *at, used: *total, permille })
                }
                _ => continue,
            };
            self.with(app, dyno.clone(), now, |traffic| traffic.memory(reading, now.mono));
        }
    }

    /// The median service times of the dynos of an app in a whole minute, counted on the clock's `mono`.
    pub fn medians(&self, app: AppId, minute: u64) -> Vec<(DynoName, u64)> {
        let dynos = self.dynos.iter().filter(|entry| entry.key().0 == app);
        let medians =
            dynos.filter_map(|entry| Some((entry.key().1.clone(), entry.value().median_ms(minute)?)));
        let mut medians: Vec<_> = medians.collect();
        medians.sort_unstable();
        medians
    }

    /// Drops dynos without recent data.
    pub fn prune(&self, now: Now) {
        self.dynos.retain(|_, traffic| !traffic.is_over(now.mono));
    }

    pub fn dynos(&self) -> usize {
        self.dynos.len()
    }

    fn with(&self, app: AppId, dyno: DynoName, now: Now, count: impl FnOnce(&mut Traffic)) {
        let key = (app, dyno);
        if let Some(mut traffic) = self.dynos.get_mut(&key) {
            return count(&mut traffic);
        }
        if self.dynos.len() >= limits::TRAFFIC_DYNOS_MAX {
            self.prune(now);
        }
        // Statistics matter less than the daemon's memory: dynos beyond the limit are not counted.
        if self.dynos.len() < limits::TRAFFIC_DYNOS_MAX {
            count(&mut self.dynos.entry(key).or_default());
        }
    }
}

impl Readings for TrafficBook {
    fn read(&self, app: AppId, dyno: &DynoName, span: Span) -> Option<Figures> {
        self.is_on.then(|| {
            let traffic = self.dynos.get(&(app, dyno.clone()));
            traffic.map_or_else(Figures::default, |traffic| traffic.figures(span))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::TrafficBook;
    use dynowarden_core::detect::request::Request;
    use dynowarden_core::event::{Event, Fact, Megabytes};
    use dynowarden_core::ident::{AppId, DynoName, DynoRef};
    use dynowarden_core::limits;
    use dynowarden_core::time::Now;
    use dynowarden_core::traffic::{Readings, Span};

    const NOW: Now = Now { mono: Duration::from_secs(60), wall: Timestamp::UNIX_EPOCH };
    const ALL: Span = Span { from: Duration::ZERO, to: Duration::MAX };

    fn dyno(index: u32) -> DynoName {
        DynoName::new("web".parse().expect("a type"), index)
    }

    fn ask(book: &TrafficBook, index: u32) {
        let named = DynoRef { process_type: "web", index };
        let request = Request { dyno: named, status: Some(200), service_ms: Some(5), code: None };
        book.request(AppId(0), dyno(index), &request, NOW);
    }

    #[test]
    fn requests_and_memory_are_kept_by_app_and_dyno() {
        let book = TrafficBook::new(true);
        ask(&book, 1);
        ask(&book, 1);
        ask(&book, 2);
        let at = Timestamp::UNIX_EPOCH;
        let used = Megabytes { hundredths: 51_200 };
        book.record(
            AppId(0),
            &[Event { at, fact: Fact::Memory { dyno: dyno(1), used, permille: 1000 } }],
            NOW,
        );
        let of = |app, index| book.read(AppId(app), &dyno(index), ALL).expect("it is on");
        assert_eq!((of(0, 1).requests, of(0, 2).requests, of(1, 1).requests), (2, 1, 0));
        assert_eq!(of(0, 1).memory.map(|memory| memory.used), Some(used));
        book.prune(NOW.after(Duration::from_secs(limits::TRAFFIC_MINUTES * 60)));
        assert_eq!(book.dynos(), 0);
        assert_eq!(TrafficBook::new(false).read(AppId(0), &dyno(1), ALL), None);
    }

    #[test]
    fn the_number_of_dynos_is_limited() {
        let book = TrafficBook::new(true);
        let max = u32::try_from(limits::TRAFFIC_DYNOS_MAX).expect("a small number");
        (1..=max + 10).for_each(|index| ask(&book, index));
        assert_eq!(book.dynos(), limits::TRAFFIC_DYNOS_MAX);
    }
}
