//! The requests of one app by dyno, half hour and endpoint, as its lines come.
//!
//! The present half hour is counted in fixed memory. When it is over it is passed on, and so are counts that
//! came too late for it. Several records of the same half hour add up.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::days::evidence::method::Method;
use crate::days::evidence::segments;
use crate::days::evidence::templates::{Place, Templates};
use crate::days::step::STEP_SECONDS;
use crate::detect::request::Request;
use crate::hash::Quick;
use crate::ident::DynoName;
use crate::limits;

/// Steps in a window.
pub const WINDOW_STEPS: i64 = 6;

/// Windows in an hour.
pub const WINDOWS_PER_HOUR: f64 = 3600.0 / (WINDOW_STEPS * STEP_SECONDS) as f64;

/// The window of a time, counted from the epoch.
pub fn window_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(WINDOW_STEPS * STEP_SECONDS)
}

/// An endpoint of an app.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    pub method: Method,
    /// Such as `/orders/:id/items`.
    pub template: Arc<str>,
}

/// Requests by the number of their endpoint. 0 is all endpoints that are not counted apart.
pub type Counts = Vec<(u16, u32)>;

/// The requests of half an hour, or of a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowCounts {
    /// Counted from the epoch.
    pub window: i64,
    /// From number 1 on.
    pub endpoints: Vec<Endpoint>,
    pub dynos: Vec<(DynoName, Counts)>,
}

/// The requests of one app.
#[derive(Clone, Debug, Default)]
pub struct AppCounts {
    templates: Templates,
    /// What each number stands for, from 1 on.
    slots: Vec<Slot>,
    /// The number of each place and method; 0 if it has none.
    numbers: Vec<[u8; Method::ALL.len()]>,
    /// The present window; none before the first line.
    window: Option<i64>,
    dynos: Vec<OfDyno>,
    /// Their places. A hundred at most: see [`Quick`].
    places: HashMap<DynoName, u8, Quick>,
    /// The place of the last dyno with a number, by the end of that number.
    last: [u8; LAST],
    /// What came too late: its window, dyno and endpoint.
    late: BTreeMap<(i64, DynoName, u8), u32>,
    done: Vec<WindowCounts>,
    /// Requests that were not counted.
    dropped: u64,
    /// Windows until half of what was learned is forgotten.
    age_in: i64,
}

/// A request, as far as it is counted.
#[derive(Clone, Copy)]
pub struct Asked<'p> {
    pub(super) method: Method,
    /// Without its query.
    pub(super) path: &'p [u8],
    /// Whether the app knows the path and the method.
    pub(super) is_known: bool,
}

// A path never reaches a log.
impl fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("method", &self.method).finish_non_exhaustive()
    }
}

/// The present window of a dyno.
#[derive(Clone, Debug)]
struct OfDyno {
    name: DynoName,
    /// By the number of the endpoint.
    counts: Box<[u32; limits::ENDPOINTS_MAX]>,
}

/// Numbers of dynos that do not share a place in `last`.
const LAST: usize = 32;

#[derive(Clone, Copy, Debug)]
struct Slot {
    place: Place,
    method: Method,
    /// Requests, forgotten slowly.
    requests: u32,
}

// === impl Asked ===

impl<'p> Asked<'p> {
    /// What of a request is counted.
    pub fn of(request: &Request<'p>) -> Self {
        let path = request.path.unwrap_or_default();
        let path = &path[..path.len().min(limits::EVIDENCE_PATH_BYTES_MAX)];
        Self {
            method: Method::of(request.method.unwrap_or_default()),
            path: segments::without_query(path),
            // An answer that the path or the method is unknown.
            is_known: !matches!(request.status, Some(400 | 404 | 405 | 410)),
        }
    }
}

// === impl AppCounts ===

impl AppCounts {
    /// Gives the endpoints of an earlier process their places.
    pub fn learn(&mut self, endpoints: &[Endpoint]) {
        endpoints.iter().for_each(|endpoint| self.templates.learn(&endpoint.template));
    }

    /// Counts a request, at the time in its line.
    pub fn add(&mut self, dyno: &DynoName, request: &Request<'_>, at: Timestamp) {
        self.count(dyno, &Asked::of(request), at);
    }

    /// Does the same for a request that was put aside.
    pub fn count(&mut self, dyno: &DynoName, asked: &Asked<'_>, at: Timestamp) {
        let window = window_of(at);
        let present = *self.window.get_or_insert(window);
        if window > present {
            self.close(window);
        }
        let place = self.templates.place_without_query(asked.path, asked.is_known);
        let number = self.number(place, asked.method);
        let Some(of_dyno) = self.of_dyno(dyno) else {
            self.dropped += 1;
            return;
        };
        if window < present {
            return self.add_late(window, dyno, number);
        }
        let count = &mut of_dyno.counts[usize::from(number)];
        *count = count.saturating_add(1);
    }

    /// What was passed on since the last time.
    pub fn take_done(&mut self) -> Vec<WindowCounts> {
        std::mem::take(&mut self.done)
    }

    /// The present window so far; none if nothing was counted in it.
    pub fn present(&self) -> Option<WindowCounts> {
        let mut dynos: Vec<(DynoName, Counts)> = Vec::new();
        for OfDyno { name, counts } in &self.dynos {
            let counts = (0..).zip(counts.iter()).filter(|(_, count)| **count > 0);
            let counts: Counts = counts.map(|(number, count)| (number, *count)).collect();
            if !counts.is_empty() {
                dynos.push((name.clone(), counts));
            }
        }
        dynos.sort_unstable();
        let window = self.window.filter(|_| !dynos.is_empty())?;
        Some(WindowCounts { window, endpoints: self.endpoints(), dynos })
    }

    /// Passes on what came late.
    pub fn close_late(&mut self) {
        let mut windows: BTreeMap<i64, WindowCounts> = BTreeMap::new();
        for ((window, dyno, number), count) in std::mem::take(&mut self.late) {
            let of_window = windows.entry(window).or_insert_with(|| WindowCounts {
                window,
                endpoints: self.endpoints(),
                dynos: Vec::new(),
            });
            match of_window.dynos.last_mut() {
                Some((known, counts)) if *known == dyno => counts.push((number.into(), count)),
                _ => of_window.dynos.push((dyno, vec![(number.into(), count)])),
            }
        }
        self.done.extend(windows.into_values());
    }

    /// Passes everything on.
    pub fn close_all(&mut self) {
        self.close_late();
        self.done.extend(self.present());
        // Growth is measured from one window to the next, so a dyno with requests keeps its place.
        self.dynos.retain(|of_dyno| of_dyno.counts.iter().any(|count| *count > 0));
        self.dynos.iter_mut().for_each(|of_dyno| of_dyno.counts.fill(0));
        self.places = self.dynos.iter().map(|of_dyno| of_dyno.name.clone()).zip(0..).collect();
    }

    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether counts of windows that are over wait.
    pub fn has_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// Bytes that it takes, without what waits to be passed on and without its dynos.
    pub fn bytes(&self) -> usize {
        self.templates.bytes()
            + self.slots.capacity() * size_of::<Slot>()
            + self.numbers.capacity() * size_of::<[u8; Method::ALL.len()]>()
    }

    /// The counts of a dyno; none if there is no room for it.
    #[inline]
    fn of_dyno(&mut self, dyno: &DynoName) -> Option<&mut OfDyno> {
        let last = dyno.index() as usize % LAST;
        let mut place = usize::from(self.last[last]);
        if self.dynos.get(place).is_none_or(|of_dyno| of_dyno.name != *dyno) {
            place = self.find_or_add(dyno)?;
            self.last[last] = place as u8;
        }
        self.dynos.get_mut(place)
    }

    fn find_or_add(&mut self, dyno: &DynoName) -> Option<usize> {
        if let Some(place) = self.places.get(dyno) {
            return Some(usize::from(*place));
        }
        let place = self.dynos.len();
        if place >= limits::EVIDENCE_DYNOS_MAX {
            return None;
        }
        self.places.insert(dyno.clone(), place as u8);
        self.dynos.push(OfDyno { name: dyno.clone(), counts: Box::new([0; limits::ENDPOINTS_MAX]) });
        Some(place)
    }

    fn add_late(&mut self, window: i64, dyno: &DynoName, number: u8) {
        let count = self.late.entry((window, dyno.clone(), number)).or_default();
        *count = count.saturating_add(1);
        if self.late.len() >= limits::EVIDENCE_LATE_MAX {
            self.close_late();
        }
    }

    /// The number of an endpoint. A new one gets a free number, or counts among all others for now.
    fn number(&mut self, place: Place, method: Method) -> u8 {
        let known = self.numbers.get(place.index()).map_or(0, |of_place| of_place[method as usize]);
        let number = match known {
            0 if self.slots.len() < limits::ENDPOINTS_MAX - 1 => {
                self.slots.push(Slot { place, method, requests: 0 });
                let number = self.slots.len() as u8;
                self.set_number(place, method, number);
                number
            }
            number => number,
        };
        if let Some(slot) = usize::from(number).checked_sub(1).and_then(|slot| self.slots.get_mut(slot)) {
            slot.requests = slot.requests.saturating_add(1);
        }
        number
    }

    /// Passes the present window on, and begins another.
    fn close(&mut self, window: i64) {
        let passed = window - self.window.unwrap_or(window);
        // Numbers change their meaning below.
        self.close_all();
        self.window = Some(window);
        self.age_in -= passed.min(limits::TEMPLATES_AGE_WINDOWS);
        if self.age_in <= 0 {
            self.age_in = limits::TEMPLATES_AGE_WINDOWS;
            self.templates.age();
            // A place that is free now may be another one's soon.
            self.slots.retain(|slot| self.templates.is_live(slot.place));
        }
        // Endpoints that are hardly used make room.
        self.slots.iter_mut().for_each(|slot| slot.requests /= 2);
        self.slots.sort_by_key(|slot| std::cmp::Reverse(slot.requests));
        self.slots.truncate(limits::ENDPOINTS_MAX - 1 - ENDPOINTS_SPARE);
        self.numbers.clear();
        for number in 1..=self.slots.len() {
            let Slot { place, method, .. } = self.slots[number - 1];
            self.set_number(place, method, number as u8);
        }
    }

    fn set_number(&mut self, place: Place, method: Method, number: u8) {
        if self.numbers.len() <= place.index() {
            self.numbers.resize(place.index() + 1, Default::default());
        }
        self.numbers[place.index()][method as usize] = number;
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        let endpoint = |slot: &Slot| Endpoint {
            method: slot.method,
            template: self.templates.template(slot.place).into(),
        };
        self.slots.iter().map(endpoint).collect()
    }
}

/// Numbers that are free at the start of a window, for endpoints that were not among the most used.
const ENDPOINTS_SPARE: usize = 8;

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{AppCounts, WindowCounts};
    use crate::days::evidence::ledger::Ledger;
    use crate::days::evidence::pack::{pack, unpack};
    use crate::detect::request::Request;
    use crate::ident::{DynoName, DynoRef};
    use crate::limits;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + second).expect("a time")
    }

    fn web(index: u32) -> DynoName {
        format!("web.{index}").parse().expect("a dyno")
    }

    fn request(path: &str) -> Request<'_> {
        let dyno = DynoRef { process_type: "web", index: 1 };
        let (method, path) = (Some(&b"GET"[..]), Some(path.as_bytes()));
        Request { dyno, method, path, status: Some(200), service_ms: None, code: None }
    }

    fn ledger(windows: &[WindowCounts]) -> Ledger {
        let mut ledger = Ledger::default();
        windows.iter().for_each(|window| ledger.add(window));
        ledger
    }

    /// All requests of a window of `web.1`, by their template.
    fn of(ledger: &Ledger, window: i64) -> Vec<(String, u32)> {
        let counts = ledger.counts(&web(1), window).cloned().unwrap_or_default();
        let name = |number| match ledger.endpoint(number) {
            Some(endpoint) => format!("{} {}", endpoint.method.word(), endpoint.template),
            None => "others".to_owned(),
        };
        let mut counts: Vec<_> = counts.into_iter().map(|(number, count)| (name(number), count)).collect();
        counts.sort();
        counts
    }

    #[test]
    fn lines_in_any_order_count_in_their_half_hour() {
        let lines: Vec<(i64, &str)> = (0..6 * 3600)
            .step_by(9)
            .map(|second| (second, ["/orders/5", "/", "/cart"][second as usize % 27 / 9]))
            .collect();
        let read = |lines: &[(i64, &str)]| {
            let mut counts = AppCounts::default();
            for template in ["/orders/:id", "/cart"] {
                counts.templates.learn(template);
            }
            let mut windows = Vec::new();
            for (second, path) in lines {
                counts.add(&web(1), &request(path), at(*second));
                windows.extend(counts.take_done());
            }
            counts.close_all();
            windows.extend(counts.take_done());
            ledger(&windows)
        };
        let in_order = read(&lines);
        let first = super::window_of(at(0));
        assert_eq!(
            of(&in_order, first + 3),
            [("GET /".to_owned(), 67), ("GET /cart".to_owned(), 66), ("GET /orders/:id".to_owned(), 67)]
        );
        let backwards: Vec<_> = lines.iter().rev().copied().collect();
        let mut mixed = lines.clone();
        mixed.chunks_mut(500).for_each(<[_]>::reverse);
        for other in [read(&backwards), read(&mixed)] {
            for window in first - 1..first + 13 {
                assert_eq!(of(&other, window), of(&in_order, window), "{window}");
            }
        }
    }

    #[test]
    fn endpoints_past_the_limit_count_among_all_others() {
        let mut counts = AppCounts::default();
        for number in 0..200_u32 {
            let letters = [
                b"bdfgklmnprst"[number as usize % 12],
                b'a',
                b"bdfgklmnprst"[number as usize / 12 % 12],
                b'e',
                b"lr"[number as usize / 144],
            ];
            let path = format!("/{}", letters.map(char::from).iter().collect::<String>());
            counts.templates.learn(&path);
            counts.add(&web(1), &request(&path), at(0));
        }
        let present = counts.present().expect("counts");
        assert!(present.endpoints.len() < limits::ENDPOINTS_MAX, "{}", present.endpoints.len());
        let sum: u32 = present.dynos[0].1.iter().map(|(_, count)| count).sum();
        assert_eq!((sum, present.dynos[0].1[0].0), (200, 0));
        assert!(counts.bytes() < 100 * 1024, "{}", counts.bytes());
    }

    #[test]
    fn dynos_past_the_limit_are_counted_as_dropped() {
        let mut counts = AppCounts::default();
        let max = u32::try_from(limits::EVIDENCE_DYNOS_MAX).expect("a small number");
        for index in 1..=max + 5 {
            counts.add(&web(index), &request("/"), at(0));
        }
        assert_eq!(
            (counts.dropped(), counts.present().map(|present| present.dynos.len())),
            (5, Some(max as usize))
        );
        // A dyno without requests makes room.
        counts.add(&web(1), &request("/"), at(1800));
        counts.add(&web(max + 5), &request("/"), at(1801));
        assert_eq!((counts.dropped(), counts.present().map(|present| present.dynos.len())), (6, Some(1)));
        counts.add(&web(max + 5), &request("/"), at(3600));
        assert_eq!((counts.dropped(), counts.present().map(|present| present.dynos.len())), (6, Some(1)));
    }

    /// Growth rests on pairs of windows, so a hundred other dynos in each would say nothing.
    #[test]
    fn the_same_dynos_are_counted_in_each_half_hour() {
        let mut counts = AppCounts::default();
        let max = i64::try_from(limits::EVIDENCE_DYNOS_MAX).expect("a small number");
        for window in 0..6 {
            for place in 0..3 * max {
                // Each half hour begins with another dyno.
                let index = (place + window * max / 2) % (3 * max) + 1;
                counts.add(&web(index as u32), &request("/"), at(window * 1800 + place));
            }
        }
        counts.close_all();
        let windows = counts.take_done();
        assert_eq!(windows.len(), 6);
        let dynos = |counts: &WindowCounts| -> Vec<DynoName> {
            counts.dynos.iter().map(|(dyno, _)| dyno.clone()).collect()
        };
        assert!(windows.iter().all(|window| dynos(window) == dynos(&windows[0])));
    }

    /// A record with more dynos than may be read back would be lost as a whole.
    #[test]
    fn late_lines_of_many_dynos_can_be_read_back() {
        let mut counts = AppCounts::default();
        counts.add(&web(1), &request("/"), at(1800));
        let max = u32::try_from(limits::EVIDENCE_DYNOS_MAX).expect("a small number");
        (1..=3 * max).for_each(|index| counts.add(&web(index), &request("/"), at(1799)));
        counts.close_all();
        for window in counts.take_done() {
            assert_eq!(unpack(window.window, &pack(&window)), Ok(window));
        }
        assert_eq!(counts.dropped(), u64::from(2 * max));
    }

    #[test]
    fn lines_that_are_late_by_days_are_few_records() {
        let mut counts = AppCounts::default();
        counts.add(&web(1), &request("/"), at(7 * 86_400));
        for number in 0..50_000_i64 {
            counts.add(&web(1), &request("/"), at(number * 7919 % (7 * 86_400)));
            assert!(counts.late.len() < limits::EVIDENCE_LATE_MAX);
        }
        counts.close_all();
        let windows = counts.take_done();
        let sum: u32 = windows
            .iter()
            .flat_map(|window| &window.dynos)
            .flat_map(|(_, counts)| counts)
            .map(|(_, count)| count)
            .sum();
        assert_eq!(sum, 50_001);
        assert!(windows.len() <= 7 * 48 + 1, "{}", windows.len());
    }
}
