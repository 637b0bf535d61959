//! The traffic of all dynos, written by every connection and read when a message is made.
//!
//! It bypasses the engine's queue: nearly every line is a request, and no decision depends on them.

use dashmap::DashMap;

use dynowarden_core::days::evidence::suspects::capitalised;
use dynowarden_core::detect::request::Request;
use dynowarden_core::event::{Event, Fact};
use dynowarden_core::ident::{AppId, DynoName, ProcessType};
use dynowarden_core::limits;
use dynowarden_core::record::MemoryReading;
use dynowarden_core::shares::{self, Share};
use dynowarden_core::time::Now;
use dynowarden_core::traffic::{Figures, Readings, Span, Traffic};

/// The dynos' figures of the last minutes; shared behind an `Arc`.
#[derive(Debug)]
pub struct TrafficBook {
    apps: DashMap<AppId, Dynos>,
    dynos_of_app_max: usize,
    is_on: bool,
    /// The requests that make memory grow, as a sentence for messages.
    suspects: DashMap<(AppId, ProcessType), String>,
}

type Dynos = Share<DynoName, Traffic>;

impl TrafficBook {
    /// An empty book for this number of apps, which stays empty unless `is_on`.
    pub fn new(is_on: bool, apps: usize) -> Self {
        Self {
            apps: DashMap::new(),
            dynos_of_app_max: shares::of_app(limits::TRAFFIC_DYNOS_MAX, apps),
            is_on,
            suspects: DashMap::new(),
        }
    }

    /// Notes the requests that make the memory of an app's process types grow.
    pub fn set_suspects(&self, app: AppId, suspects: Vec<(ProcessType, String)>) {
        self.suspects.retain(|(of, _), _| *of != app);
        suspects.into_iter().for_each(|(process_type, sentence)| {
            self.suspects.insert((app, process_type), sentence);
        });
    }

    /// Whether requests are counted.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Counts the requests of a batch, by dyno.
    pub fn requests<'r, Requests>(
        &self,
        app: AppId,
        requests: impl IntoIterator<Item = (&'r DynoName, Requests)>,
        now: Now,
    ) where
        Requests: IntoIterator<Item = &'r Request<'static>>,
    {
        let mut requests = requests.into_iter().peekable();
        if !self.is_on || requests.peek().is_none() {
            return;
        }
        self.with(app, |dynos| {
            for (dyno, requests) in requests {
                count(dynos, dyno, now, |traffic| traffic.requests(requests, now.mono));
            }
        });
    }

    /// Notes the memory events of a batch.
    pub fn record(&self, app: AppId, events: &[Event], now: Now) {
        if !self.is_on || events.is_empty() {
            return;
        }
        self.with(app, |dynos| {
            for (dyno, reading) in events.iter().filter_map(memory) {
                count(dynos, dyno, now, |traffic| traffic.memory(reading, now.mono));
            }
        });
    }

    /// The median service times of the dynos of an app in a whole minute, counted on the clock's `mono`.
    pub fn medians(&self, app: AppId, minute: u64) -> Vec<(DynoName, u64)> {
        let Some(dynos) = self.apps.get(&app) else { return Vec::new() };
        let medians =
            dynos.iter().filter_map(|(dyno, traffic)| Some((dyno.clone(), traffic.median_ms(minute)?)));
        let mut medians: Vec<_> = medians.collect();
        medians.sort_unstable();
        medians
    }

    /// Drops dynos without recent data.
    pub fn prune(&self, now: Now) {
        self.apps.iter_mut().for_each(|mut dynos| dynos.prune(|traffic| traffic.is_over(now.mono)));
    }

    pub fn dynos(&self) -> usize {
        self.apps.iter().map(|dynos| dynos.len()).sum()
    }

    /// Each app has a lock of its own, which a batch takes once.
    fn with(&self, app: AppId, work: impl FnOnce(&mut Dynos)) {
        work(&mut self.apps.entry(app).or_insert_with(|| Share::new(self.dynos_of_app_max)));
    }
}

/// Statistics matter less than the daemon's memory: dynos beyond the app's share are not counted.
fn count(dynos: &mut Dynos, dyno: &DynoName, now: Now, count: impl FnOnce(&mut Traffic)) {
    if let Some(traffic) = dynos.entry(dyno, |traffic| traffic.is_over(now.mono), now.mono) {
        count(traffic);
    }
}

fn memory(event: &Event) -> Option<(&DynoName, MemoryReading)> {
    let at = event.at;
    match &event.fact {
        Fact::Memory { dyno, used, permille } => {
            Some((dyno, MemoryReading { at, used: *used, permille: *permille }))
        }
        Fact::Sample { dyno, total, quota, .. } => {
            let permille = u128::from(total.hundredths) * 1000 / u128::from(quota.hundredths.max(1));
            let permille = u32::try_from(permille).unwrap_or(u32::MAX);
            Some((dyno, MemoryReading { at, used: *total, permille }))
        }
        _ => None,
    }
}

impl Readings for TrafficBook {
    fn read(&self, app: AppId, dyno: &DynoName, span: Span) -> Option<Figures> {
        self.is_on.then(|| {
            let dynos = self.apps.get(&app);
            let traffic = dynos.as_ref().and_then(|dynos| dynos.get(dyno));
            traffic.map_or_else(Figures::default, |traffic| traffic.figures(span))
        })
    }

    fn suspects(&self, app: AppId, process_type: &ProcessType) -> Option<String> {
        let sentence = self.suspects.get(&(app, process_type.clone()))?;
        Some(format!("{}.", capitalised(&sentence)))
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

    fn request() -> Request<'static> {
        let dyno = DynoRef { process_type: "web", index: 1 };
        Request { dyno, status: Some(200), service_ms: Some(5), code: None, method: None, path: None }
    }

    fn ask(book: &TrafficBook, index: u32) {
        book.requests(AppId(0), [(&dyno(index), [&request()])], NOW);
    }

    #[test]
    fn requests_and_memory_are_kept_by_app_and_dyno() {
        let book = TrafficBook::new(true, 1);
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
        assert_eq!(TrafficBook::new(false, 1).read(AppId(0), &dyno(1), ALL), None);
    }

    #[test]
    fn an_app_has_figures_of_its_share_of_dynos_only() {
        let book = TrafficBook::new(true, 1);
        let max = u32::try_from(limits::DYNOS_OF_APP_MAX).expect("a small number");
        (1..=max + 10).for_each(|index| ask(&book, index));
        assert_eq!(book.dynos(), limits::DYNOS_OF_APP_MAX);
        book.requests(AppId(1), [(&dyno(1), [&request()])], NOW);
        let of_other = book.read(AppId(1), &dyno(1), ALL).expect("it is on");
        assert_eq!(of_other.requests, 1, "another app has its own share");
    }
}
