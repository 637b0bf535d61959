//! What the platform lines of a batch show, by dyno: each dyno is looked up once for all of its lines.

use std::collections::HashMap;

use jiff::Timestamp;

use dynowarden_core::days::seen::Seen;
use dynowarden_core::detect::request::Request;
use dynowarden_core::detect::sign::Sign;
use dynowarden_core::ident::{DynoName, DynoRef};
use dynowarden_core::ingest::ProcessTypeFilter;

#[derive(Debug, Default)]
pub(super) struct Observed {
    /// In the order of their first lines.
    dynos: Vec<OfDyno>,
    /// The place in `dynos`, and one more, of the last dyno with each number; 0 if there was none.
    last: Last,
    /// The places in `dynos`, once there are too many to compare with each.
    places: HashMap<Option<DynoName>, usize>,
    lines: Vec<Line>,
    /// The lines that say why a process ends.
    ends: Vec<(usize, Sign, Timestamp)>,
}

/// The lines of one dyno, or of the app as a whole.
#[derive(Debug)]
struct OfDyno {
    name: Option<DynoName>,
    is_listed: bool,
    requests: usize,
    first: usize,
    last: usize,
}

#[derive(Debug)]
struct Line {
    /// A request in it names no dyno: that is beside it.
    seen: Seen<'static>,
    /// The time in the line, if it can be read.
    at: Option<Timestamp>,
    /// The dyno's next line; 0 for its last.
    next: usize,
}

/// Dynos that are compared one by one; a formation rarely has more.
const COMPARED_MAX: usize = 64;

/// Places by a part of a dyno's name. A name whose place another one has taken is searched for.
#[derive(Debug)]
struct Last([u32; COMPARED_MAX]);

impl Default for Last {
    fn default() -> Self {
        Self([0; COMPARED_MAX])
    }
}

impl Last {
    /// `worker.1` has another place than `web.1`.
    fn place(dyno: Option<DynoRef<'_>>) -> usize {
        let number = |dyno: DynoRef<'_>| (dyno.index as usize).wrapping_add(3 * dyno.process_type.len());
        dyno.map_or(0, number) % COMPARED_MAX
    }
}

impl Observed {
    /// Space for about so many lines.
    pub(super) fn with_capacity(lines: usize) -> Self {
        Self { lines: Vec::with_capacity(lines), ..Self::default() }
    }

    /// Returns the dyno's number in the batch, and its name.
    pub(super) fn add(
        &mut self,
        dyno: Option<DynoRef<'_>>,
        seen: Seen<'_>,
        at: Option<Timestamp>,
        types: &ProcessTypeFilter,
    ) -> Option<(u32, &DynoName)> {
        let place = self.lines.len();
        let found = self.find_or_add(dyno, types)?;
        let of_dyno = &mut self.dynos[found];
        if of_dyno.first == usize::MAX {
            of_dyno.first = place;
        } else {
            self.lines[of_dyno.last].next = place;
        }
        of_dyno.last = place;
        of_dyno.requests += usize::from(matches!(seen, Seen::Request(_)));
        if let (Seen::Sign(sign @ (Sign::Cycling | Sign::Restarting)), Some(at)) = (seen, at)
            && of_dyno.is_listed
        {
            self.ends.push((found, sign, at));
        }
        self.lines.push(Line { seen: without_text(seen), at, next: 0 });
        Some((found as u32, self.dynos[found].name.as_ref()?))
    }

    /// The lines of each dyno whose time could be read, with that time; without a name, those of the app.
    pub(super) fn lines(
        &self,
    ) -> impl Iterator<Item = (Option<&DynoName>, impl Iterator<Item = (&Seen<'static>, Timestamp)>)> {
        self.dynos.iter().map(|dyno| {
            let timed = self.of(dyno).filter_map(|line| Some((&line.seen, line.at?)));
            (dyno.name.as_ref(), timed)
        })
    }

    /// The requests of each dyno of a listed type.
    pub(super) fn requests(
        &self,
    ) -> impl Iterator<Item = (&DynoName, impl Iterator<Item = &Request<'static>>)> {
        self.dynos.iter().filter(|dyno| dyno.is_listed && dyno.requests > 0).filter_map(|dyno| {
            let requests = self.of(dyno).filter_map(|line| match &line.seen {
                Seen::Request(request) => Some(request),
                _ => None,
            });
            Some((dyno.name.as_ref()?, requests))
        })
    }

    /// Why processes of listed types end.
    pub(super) fn ends(&self) -> impl Iterator<Item = (&DynoName, Sign, Timestamp)> {
        self.ends.iter().filter_map(|(found, sign, at)| Some((self.dynos[*found].name.as_ref()?, *sign, *at)))
    }

    fn of(&self, dyno: &OfDyno) -> impl Iterator<Item = &Line> {
        let following = |line: &&Line| if line.next > 0 { self.lines.get(line.next) } else { None };
        std::iter::successors(self.lines.get(dyno.first), following)
    }

    /// The place of a dyno; none if it cannot have a name.
    fn find_or_add(&mut self, dyno: Option<DynoRef<'_>>, types: &ProcessTypeFilter) -> Option<usize> {
        let last = Last::place(dyno);
        if let Some(found) = (self.last.0[last] as usize).checked_sub(1)
            && is(self.dynos[found].name.as_ref(), dyno)
        {
            return Some(found);
        }
        let found = self.search_or_add(dyno, types)?;
        self.last.0[last] = found as u32 + 1;
        Some(found)
    }

    fn search_or_add(&mut self, dyno: Option<DynoRef<'_>>, types: &ProcessTypeFilter) -> Option<usize> {
        let compared = &self.dynos[..self.dynos.len().min(COMPARED_MAX)];
        if let Some(found) = compared.iter().position(|known| is(known.name.as_ref(), dyno)) {
            return Some(found);
        }
        let listed = dyno.and_then(|dyno| types.listed(dyno));
        let is_listed = listed.is_some();
        let name = match dyno {
            Some(dyno) => Some(listed.or_else(|| unlisted(dyno))?),
            None => None,
        };
        let place = self.dynos.len();
        if place >= COMPARED_MAX {
            let found = *self.places.entry(name.clone()).or_insert(place);
            if found < place {
                return Some(found);
            }
        }
        self.dynos.push(OfDyno { name, is_listed, requests: 0, first: usize::MAX, last: 0 });
        Some(place)
    }
}

fn is(known: Option<&DynoName>, dyno: Option<DynoRef<'_>>) -> bool {
    match (known, dyno) {
        (Some(known), Some(dyno)) => {
            known.index() == dyno.index && known.process_type().as_str() == dyno.process_type
        }
        (None, None) => true,
        _ => false,
    }
}

/// The name of a dyno of another process type, whose text is not shared.
fn unlisted(dyno: DynoRef<'_>) -> Option<DynoName> {
    Some(DynoName::new(dyno.process_type.parse().ok()?, dyno.index))
}

/// The same without what borrows from the batch.
fn without_text(seen: Seen<'_>) -> Seen<'static> {
    let nameless = DynoRef { process_type: "", index: 0 };
    match seen {
        Seen::Request(Request { status, service_ms, code, .. }) => {
            Seen::Request(Request { dyno: nameless, status, service_ms, code, method: None, path: None })
        }
        Seen::Error(code) => Seen::Error(code),
        Seen::Heard => Seen::Heard,
        Seen::Memory { used, permille } => Seen::Memory { used, permille },
        Seen::Release(version) => Seen::Release(version),
        Seen::Sample { instance, total, quota } => Seen::Sample { instance, total, quota },
        Seen::Sign(sign) => Seen::Sign(sign),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{COMPARED_MAX, Observed};
    use dynowarden_core::days::seen::Seen;
    use dynowarden_core::detect::request::Request;
    use dynowarden_core::ident::DynoRef;
    use dynowarden_core::ingest::ProcessTypeFilter;

    fn types() -> ProcessTypeFilter {
        ProcessTypeFilter { process_types: vec!["web".parse().expect("a type")] }
    }

    fn request(dyno: DynoRef<'_>, service_ms: u32) -> Seen<'_> {
        let service_ms = Some(service_ms);
        Seen::Request(Request { dyno, status: Some(200), service_ms, code: None, method: None, path: None })
    }

    /// The service times of each dyno, in order.
    fn shown(observed: &Observed) -> Vec<(String, Vec<u32>)> {
        let times = observed.requests().map(|(dyno, requests)| {
            (dyno.to_string(), requests.filter_map(|request| request.service_ms).collect())
        });
        times.collect()
    }

    #[test]
    fn lines_are_grouped_by_dyno_in_their_order() {
        let web = |index| DynoRef { process_type: "web", index };
        let worker = DynoRef { process_type: "worker", index: 1 };
        let at = |second| Some(Timestamp::from_second(second).expect("a time"));
        let mut observed = Observed::default();
        for (dyno, service_ms) in [(web(2), 1), (web(1), 2), (web(2), 3), (worker, 4)] {
            observed.add(Some(dyno), request(dyno, service_ms), at(service_ms.into()), &types());
        }
        observed.add(None, Seen::Heard, at(5), &types());
        observed.add(Some(web(2)), request(web(2), 6), None, &types());
        assert_eq!(shown(&observed), [("web.2".to_owned(), vec![1, 3, 6]), ("web.1".to_owned(), vec![2])]);
        let timed = observed.lines().map(|(dyno, lines)| (dyno.map(ToString::to_string), lines.count()));
        let expect =
            [("web.2", 2), ("web.1", 1), ("worker.1", 1)].map(|(dyno, lines)| (Some(dyno.into()), lines));
        assert_eq!(timed.collect::<Vec<_>>(), [&expect[..], &[(None, 1)]].concat());
    }

    #[test]
    fn many_dynos_are_told_apart() {
        let mut observed = Observed::default();
        let count = 3 * u32::try_from(COMPARED_MAX).expect("small");
        for round in 0..2 {
            for index in 1..=count {
                let dyno = DynoRef { process_type: "web", index };
                observed.add(Some(dyno), request(dyno, 2 * index + round), None, &types());
            }
        }
        let expect: Vec<_> =
            (1..=count).map(|index| (format!("web.{index}"), vec![2 * index, 2 * index + 1])).collect();
        assert_eq!(shown(&observed), expect);
        assert!(observed.lines().all(|(_, mut lines)| lines.next().is_none()), "no line had a time");
    }
}
