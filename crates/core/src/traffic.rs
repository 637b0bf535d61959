//! A dyno's last minutes: requests, errors, service times and memory, in minute buckets.
//!
//! It answers one question, whether a restart helped, so it keeps only two spans of some minutes and the time
//! between them. Nothing is kept per request: a service time adds one to a bucket of a logarithmic histogram,
//! whose buckets are a quarter of a doubling wide. A percentile read from it is off by at most an eighth,
//! much less than the difference that a restart makes.

use std::time::Duration;

use jiff::Timestamp;

use crate::codes::Code;
use crate::detect::request::Request;
use crate::event::Megabytes;
use crate::ident::{AppId, DynoName, ProcessType};
use crate::limits;
use crate::record::MemoryReading;

/// One dyno's last minutes, oldest first; minutes without data are not kept.
///
/// Memory is kept apart from requests: most dynos of a hundred thousand report only the former.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// The minute of the last line.
    newest: u32,
    /// Minutes with requests.
    minutes: Vec<Minute>,
    /// The last reading of each minute with one.
    memory: Vec<MinuteMemory>,
}

/// A span of `mono` time, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: Duration,
    pub to: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub requests: u64,
    /// Those answered with 5xx, by the dyno or for it.
    pub errors: u64,
    /// Those that the router gave up after 30 s (H12).
    pub timeouts: u64,
    /// The 95th percentile of the service time; none if there were too few requests.
    pub p95: Option<Duration>,
    pub memory: Option<MemoryReading>,
}

pub trait Readings {
    /// The figures of `dyno` in `span`; none if nothing is kept of it.
    fn read(&self, app: AppId, dyno: &DynoName, span: Span) -> Option<Figures>;

    /// The requests that make the memory of a process type grow, as a sentence; none if that is not known.
    fn suspects(&self, _app: AppId, _process_type: &ProcessType) -> Option<String> {
        None
    }
}

#[derive(Clone, Debug)]
struct Minute {
    index: u32,
    requests: u32,
    errors: u32,
    timeouts: u32,
    services: Histogram,
}

// === impl Traffic ===

impl Traffic {
    pub fn request(&mut self, request: &Request<'_>, now: Duration) {
        self.requests([request], now);
    }

    /// Counts the requests of a batch.
    pub fn requests<'r, 'b: 'r>(
        &mut self,
        requests: impl IntoIterator<Item = &'r Request<'b>>,
        now: Duration,
    ) {
        let mut requests = requests.into_iter().peekable();
        if requests.peek().is_none() {
            return;
        }
        let index = self.advance(now);
        if self.minutes.last().is_none_or(|last| last.index < index) {
            make_room(&mut self.minutes);
            self.minutes.push(Minute::new(index));
        }
        let minute = self.minutes.last_mut().expect("one was pushed if there was none");
        requests.for_each(|request| minute.request(request));
    }

    pub fn memory(&mut self, reading: MemoryReading, now: Duration) {
        let index = self.advance(now);
        match self.memory.last_mut() {
            Some(last) if last.index == index => {
                if last.reading().at <= reading.at {
                    *last = MinuteMemory::new(index, reading);
                }
            }
            _ => {
                make_room(&mut self.memory);
                self.memory.push(MinuteMemory::new(index, reading));
            }
        }
    }

    /// The figures of the minutes that begin in `span`.
    pub fn figures(&self, span: Span) -> Figures {
        let first = span.from.as_nanos().div_ceil(MINUTE.as_nanos());
        let last = span.to.as_nanos() / MINUTE.as_nanos();
        let mut figures = Figures::default();
        let mut services = [0_u64; Histogram::BUCKETS];
        let is_within = |index: u32| (first..=last).contains(&u128::from(index));
        let memory = self.memory.iter().rfind(|memory| is_within(memory.index));
        figures.memory = memory.map(MinuteMemory::reading);
        for minute in self.minutes.iter().filter(|minute| is_within(minute.index)) {
            figures.requests += u64::from(minute.requests);
            figures.errors += u64::from(minute.errors);
            figures.timeouts += u64::from(minute.timeouts);
            for (sum, count) in services.iter_mut().zip(&minute.services.counts) {
                *sum += u64::from(*count);
            }
        }
        figures.p95 = percentile_95(&services);
        figures
    }

    /// The median service time of a whole minute in milliseconds; none with too few requests.
    pub fn median_ms(&self, minute: u64) -> Option<u64> {
        let minute = self.minutes.iter().find(|known| u64::from(known.index) == minute)?;
        let counts: [u64; Histogram::BUCKETS] = minute.services.counts.map(u64::from);
        percentile(&counts, 50).map(|median| median.as_millis() as u64)
    }

    /// Whether the data is too old to keep.
    pub fn is_over(&self, now: Duration) -> bool {
        let is_empty = self.minutes.is_empty() && self.memory.is_empty();
        is_empty || is_past(self.newest, minute_of(now))
    }

    /// The minute of a line that comes at `now`; drops what is too old beside it. Two connections may read
    /// the clock in one order and arrive in the other, so a time slightly in the past counts as now.
    fn advance(&mut self, now: Duration) -> u32 {
        let index = minute_of(now);
        if index > self.newest {
            self.newest = index;
            let over = self.minutes.iter().take_while(|minute| is_past(minute.index, index)).count();
            self.minutes.drain(..over);
            let over = self.memory.iter().take_while(|memory| is_past(memory.index, index)).count();
            self.memory.drain(..over);
        }
        self.newest
    }
}

/// Makes room for one more, without much that may stay unused.
fn make_room<T>(minutes: &mut Vec<T>) {
    if minutes.len() == minutes.capacity() {
        minutes.reserve_exact(1 + minutes.len() / 4);
    }
}

fn is_past(index: u32, now: u32) -> bool {
    u64::from(index) + limits::TRAFFIC_MINUTES <= u64::from(now)
}

const MINUTE: Duration = Duration::from_secs(60);

fn minute_of(now: Duration) -> u32 {
    u32::try_from(now.as_secs() / MINUTE.as_secs()).unwrap_or(u32::MAX)
}

impl Minute {
    #[inline]
    fn request(&mut self, request: &Request<'_>) {
        self.requests = self.requests.saturating_add(1);
        if request.status.is_some_and(|status| (500..600).contains(&status)) {
            self.errors = self.errors.saturating_add(1);
        }
        if request.code == Some(Code::H12) {
            self.timeouts = self.timeouts.saturating_add(1);
        }
        if let Some(service_ms) = request.service_ms {
            self.services.add(service_ms);
        }
    }

    fn new(index: u32) -> Self {
        Self { index, requests: 0, errors: 0, timeouts: 0, services: Histogram::default() }
    }
}

/// The last reading of a minute, in half of the space: there are up to 45 of these for each dyno.
#[derive(Clone, Copy, Debug)]
struct MinuteMemory {
    index: u32,
    permille: u32,
    second: i64,
    nanosecond: i32,
    /// In hundredths of a megabyte; 40 TB and more are the same.
    used: u32,
}

impl MinuteMemory {
    fn new(index: u32, reading: MemoryReading) -> Self {
        let MemoryReading { at, used, permille } = reading;
        let used = u32::try_from(used.hundredths).unwrap_or(u32::MAX);
        Self { index, permille, second: at.as_second(), nanosecond: at.subsec_nanosecond(), used }
    }

    fn reading(&self) -> MemoryReading {
        let at = Timestamp::new(self.second, self.nanosecond);
        MemoryReading {
            at: at.expect("it was taken apart from one"),
            used: Megabytes { hundredths: self.used.into() },
            permille: self.permille,
        }
    }
}

// === Service times ===

/// Counts of service times: four buckets for every doubling, from one millisecond to 65 s, which no request
/// exceeds (H12 ends it after 30 s, H15 after 55 s of silence).
#[derive(Clone, Debug)]
struct Histogram {
    counts: [u16; Histogram::BUCKETS],
}

impl Histogram {
    const BUCKETS: usize = 60;

    fn add(&mut self, service_ms: u32) {
        let count = &mut self.counts[bucket(service_ms)];
        *count = count.saturating_add(1);
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; Self::BUCKETS] }
    }
}

/// 0, 1, 2 and 3 have one bucket each; above, the two bits after the highest one choose among four.
fn bucket(service_ms: u32) -> usize {
    let value = service_ms.min(u32::from(u16::MAX));
    if value < 4 {
        return value as usize;
    }
    let doubling = value.ilog2();
    let quarter = (value >> (doubling - 2)) & 3;
    ((doubling - 1) * 4 + quarter) as usize
}

/// The start of a bucket in milliseconds; the start after the last one is the last one's end.
fn bucket_start(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let (doubling, quarter) = (bucket / 4 + 1, bucket % 4);
    (4 + quarter as u64) << (doubling - 2)
}

/// The 95th percentile, assuming an even spread over its bucket.
fn percentile_95(counts: &[u64; Histogram::BUCKETS]) -> Option<Duration> {
    percentile(counts, 95)
}

fn percentile(counts: &[u64; Histogram::BUCKETS], percent: u64) -> Option<Duration> {
    let total: u64 = counts.iter().sum();
    if total < limits::TRAFFIC_REQUESTS_LEAST {
        return None;
    }
    let rank = (total * percent).div_ceil(100);
    let mut below = 0;
    for (bucket, count) in counts.iter().enumerate() {
        if below + count >= rank {
            let (start, end) = (bucket_start(bucket), bucket_start(bucket + 1));
            return Some(Duration::from_millis(start + (end - start) * (rank - below) / (count + 1)));
        }
        below += count;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{any, prop, proptest};

    use super::{Histogram, Span, Traffic, bucket, bucket_start};
    use crate::detect::request::Request;
    use crate::event::Megabytes;
    use crate::ident::DynoRef;
    use crate::limits;
    use crate::record::MemoryReading;

    fn request(status: u16, service_ms: u32, code: Option<&str>) -> Request<'static> {
        Request {
            dyno: DynoRef { process_type: "web", index: 1 },
            status: Some(status),
            service_ms: Some(service_ms),
            code: code.map(|code| code.parse().expect(code)),
            method: None,
            path: None,
        }
    }

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(count * 60)
    }

    fn span(from: u64, to: u64) -> Span {
        Span { from: minutes(from), to: minutes(to) }
    }

    #[test]
    fn a_span_covers_the_minutes_that_begin_in_it() {
        let mut traffic = Traffic::default();
        for minute in 0..20 {
            let (status, code) = if minute < 10 { (503, Some("H12")) } else { (200, None) };
            for _ in 0..10 {
                traffic.request(&request(status, 100 * (20 - minute), code), minutes(minute.into()));
            }
        }
        let before = traffic.figures(span(0, 9));
        assert_eq!((before.requests, before.errors, before.timeouts), (100, 100, 100));
        let after = traffic.figures(span(10, 19));
        assert_eq!((after.requests, after.errors, after.timeouts), (100, 0, 0));
        assert!(after.p95 < before.p95, "{:?} {:?}", after.p95, before.p95);
        let from_within = Span { from: Duration::from_secs(61), to: minutes(3) };
        assert_eq!(traffic.figures(from_within).requests, 20);
        assert_eq!(traffic.figures(span(50, 60)), super::Figures::default());
    }

    #[test]
    fn few_requests_have_no_percentile() {
        let mut traffic = Traffic::default();
        for _ in 1..limits::TRAFFIC_REQUESTS_LEAST {
            traffic.request(&request(200, 5, None), Duration::ZERO);
        }
        assert_eq!(traffic.figures(span(0, 0)).p95, None);
        traffic.request(&request(200, 5, None), Duration::ZERO);
        assert_eq!(traffic.figures(span(0, 0)).p95, Some(Duration::from_millis(5)));
    }

    #[test]
    fn the_last_memory_reading_counts() {
        let mut traffic = Traffic::default();
        let reading = |second: i64, permille| MemoryReading {
            at: jiff::Timestamp::from_second(second).expect("a time"),
            used: Megabytes { hundredths: 51_200 },
            permille,
        };
        traffic.memory(reading(100, 1100), minutes(1));
        traffic.memory(reading(90, 1000), minutes(1));
        assert_eq!(traffic.figures(span(0, 9)).memory, Some(reading(100, 1100)));
        traffic.memory(reading(200, 400), minutes(3));
        assert_eq!(traffic.figures(span(0, 9)).memory, Some(reading(200, 400)));
        assert_eq!(traffic.figures(span(0, 2)).memory, Some(reading(100, 1100)));
    }

    #[test]
    fn data_outside_the_window_is_dropped() {
        let mut traffic = Traffic::default();
        assert!(traffic.is_over(Duration::ZERO));
        for minute in 0..1000 {
            traffic.request(&request(200, 1, None), minutes(minute));
        }
        assert_eq!(traffic.minutes.len() as u64, limits::TRAFFIC_MINUTES);
        assert!(!traffic.is_over(minutes(1000)));
        assert!(traffic.is_over(minutes(999 + limits::TRAFFIC_MINUTES)));
    }

    proptest! {
        #[test]
        fn every_time_is_in_its_bucket(value in any::<u32>()) {
            let bucket = bucket(value);
            let value = u64::from(value.min(u32::from(u16::MAX)));
            assert!(bucket < Histogram::BUCKETS);
            assert!((bucket_start(bucket)..bucket_start(bucket + 1)).contains(&value));
        }

        #[test]
        fn a_percentile_is_off_by_at_most_a_bucket(
            mut times in prop::collection::vec(1_u32..60_000, 20..200),
        ) {
            let mut traffic = Traffic::default();
            times.iter().for_each(|time| traffic.request(&request(200, *time, None), Duration::ZERO));
            times.sort_unstable();
            let exact = times[(times.len() * 95).div_ceil(100) - 1];
            let read = traffic.figures(span(0, 0)).p95.expect("enough of them").as_millis() as u32;
            assert_eq!(bucket(exact), bucket(read), "{exact} {read}");
        }
    }
}
