//! The places of open connections: who has how many, and which of them is closed when there are too many.
//!
//! Until a client has shown a password, it is a stranger, and strangers share a quarter of all places. Each
//! address and each app has a bound of its own, at which one of its own connections is closed for the new
//! one. So nothing that one of them does takes a place from another, and a batch with the right password is
//! never rejected for want of a place.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::http::client_addr::ClientAddr;
use crate::http::connection_state::{ConnectionState, Phase};
use dynowarden_core::ident::AppId;
use dynowarden_core::limits;

#[derive(Debug)]
pub struct Places {
    bounds: Bounds,
    inner: Mutex<Inner>,
}

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    all: usize,
    /// Of one app's drains.
    app: usize,
    strangers: usize,
    /// Of strangers with one address.
    strangers_of_address: usize,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    open: HashMap<u64, Open>,
    of_app: HashMap<AppId, usize>,
    strangers: usize,
    strangers_of: HashMap<ClientAddr, usize>,
}

/// An open connection.
#[derive(Debug)]
struct Open {
    owner: Owner,
    state: Arc<ConnectionState>,
}

/// Who has shown what on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The admin password or the hook key.
    Admin,
    /// The drain password of an app.
    App(AppId),
    /// Nothing; the address is unknown as long as only a trusted proxy knows it.
    Stranger(Option<ClientAddr>),
}

/// The place of an open connection; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    places: Arc<Places>,
    pub(super) state: Arc<ConnectionState>,
}

impl Owner {
    /// A number for it; 0 for a stranger, which a connection does not become again.
    fn code(self) -> u64 {
        match self {
            Self::Stranger(_) => 0,
            Self::Admin => 1,
            Self::App(AppId(app)) => u64::from(app) + 2,
        }
    }
}

// === impl Places ===

impl Places {
    /// Places for `max` connections, and a few more that are kept for health checks and admins.
    pub(super) fn new(max: usize) -> Self {
        let all = max.max(1);
        let bounds = Bounds {
            all,
            app: limits::CONNECTIONS_OF_APP_MAX.min(all.div_ceil(2)),
            strangers: all.div_ceil(4).max(limits::STRANGERS_LEAST).min(all),
            strangers_of_address: limits::STRANGERS_OF_ADDRESS_MAX,
        };
        Self { bounds, inner: Mutex::default() }
    }

    /// A place for a new connection from this address, if it is known. It may close another connection;
    /// none if every connection is busy.
    pub(super) fn open(self: &Arc<Self>, client: Option<ClientAddr>) -> Option<Place> {
        let mut inner = self.lock();
        inner.bound_strangers(client, self.bounds);
        let is_full = inner.open.len() >= self.bounds.all;
        if is_full
            && !inner.evict_one(|_| true)
            && inner.open.len() >= self.bounds.all + limits::CONNECTIONS_RESERVED
        {
            return None;
        }
        inner.next += 1;
        let number = inner.next;
        let state = Arc::new(ConnectionState::numbered(number));
        let owner = Owner::Stranger(client);
        inner.count(owner);
        inner.open.insert(number, Open { owner, state: state.clone() });
        drop(inner);
        Some(Place { number, places: self.clone(), state })
    }

    /// Notes what the client of a connection has shown. At the app's bound, another of its connections is
    /// closed.
    pub(super) fn own(&self, state: &ConnectionState, owner: Owner) {
        state.know();
        // A connection nearly always belongs to the one that it belonged to.
        if state.owner().load(Ordering::Relaxed) == owner.code() {
            return;
        }
        let mut inner = self.lock();
        let Some(open) = inner.open.get(&state.number()) else { return };
        state.owner().store(owner.code(), Ordering::Relaxed);
        if open.owner == owner {
            return;
        }
        if let Owner::App(app) = owner
            && inner.of_app.get(&app).is_some_and(|count| *count >= self.bounds.app)
        {
            inner.evict_of_app(app);
        }
        inner.change(state.number(), owner);
    }

    /// Notes the address of a stranger, which a trusted proxy has forwarded.
    pub(super) fn forwarded(&self, state: &ConnectionState, client: ClientAddr) {
        let mut inner = self.lock();
        let owner = inner.open.get(&state.number()).map(|open| open.owner);
        if let Some(Owner::Stranger(known)) = owner
            && known != Some(client)
        {
            inner.bound_strangers(Some(client), self.bounds);
            inner.change(state.number(), Owner::Stranger(Some(client)));
        }
    }

    /// Closes the least valuable connection (see `eviction_rank`), which frees its place at once.
    pub(super) fn evict_one(&self) -> bool {
        self.lock().evict_one(|_| true)
    }

    pub(super) fn count(&self) -> usize {
        self.lock().open.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every method leaves the counts consistent, and none can panic halfway.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().remove(self.number);
    }
}

// === impl Inner ===

impl Inner {
    /// Makes room for one more stranger with this address.
    fn bound_strangers(&mut self, client: Option<ClientAddr>, bounds: Bounds) {
        if let Some(client) = client
            && self.strangers_of.get(&client).is_some_and(|count| *count >= bounds.strangers_of_address)
        {
            self.evict_stranger(|owner| owner == Owner::Stranger(Some(client)));
        }
        if self.strangers >= bounds.strangers {
            self.evict_stranger(|owner| matches!(owner, Owner::Stranger(_)));
        }
    }

    /// Closes the least valuable of some strangers, whatever it is doing.
    fn evict_stranger(&mut self, is_one: impl Fn(Owner) -> bool) {
        if self.evict_one(&is_one) {
            return;
        }
        let busy = self.open.iter().filter(|(_, open)| is_one(open.owner)).map(|(number, _)| *number).min();
        busy.inspect(|number| self.evict(*number));
    }

    /// Closes one of the app's connections: an idle one, or the one whose body has not moved for the longest.
    /// One whose batch has arrived is left alone, because it is done in a moment.
    fn evict_of_app(&mut self, app: AppId) {
        if self.evict_one(|owner| owner == Owner::App(app)) {
            return;
        }
        let of_app = self.open.iter().filter(|(_, open)| open.owner == Owner::App(app));
        let reading = of_app.filter_map(|(number, open)| Some((open.state.body_moved_at()?, *number)));
        let slowest = reading.min().map(|(_, number)| number);
        slowest.inspect(|number| self.evict(*number));
    }

    /// Closes the least valuable connection of some owners; false if all of them are busy.
    fn evict_one(&mut self, is_one: impl Fn(Owner) -> bool) -> bool {
        let now = Instant::now();
        let of_app = |owner| match owner {
            Owner::App(app) => self.of_app.get(&app).copied().unwrap_or_default(),
            Owner::Admin | Owner::Stranger(_) => 0,
        };
        let ranked = self.open.iter().filter(|(_, open)| is_one(open.owner)).filter_map(|(number, open)| {
            let (class, since) = eviction_rank(open.state.phase(), open.state.body_moved_at(), now)?;
            // Of bodies that have stalled, one of the app that has most connections; of two equal ones the
            // older.
            let most = if class == STALLED_BODY { usize::MAX - of_app(open.owner) } else { 0 };
            Some((class, most, since, *number))
        });
        let least = ranked.min().map(|(.., number)| number);
        least.inspect(|number| self.evict(*number)).is_some()
    }

    fn evict(&mut self, number: u64) {
        if let Some(open) = self.remove(number) {
            open.state.evicted.cancel();
        }
    }

    fn remove(&mut self, number: u64) -> Option<Open> {
        let open = self.open.remove(&number)?;
        self.discount(open.owner);
        Some(open)
    }

    fn change(&mut self, number: u64, owner: Owner) {
        let Some(open) = self.open.get_mut(&number) else { return };
        let before = std::mem::replace(&mut open.owner, owner);
        self.discount(before);
        self.count(owner);
    }

    fn count(&mut self, owner: Owner) {
        match owner {
            Owner::Admin => {}
            Owner::App(app) => *self.of_app.entry(app).or_default() += 1,
            Owner::Stranger(client) => {
                self.strangers += 1;
                client.into_iter().for_each(|client| *self.strangers_of.entry(client).or_default() += 1);
            }
        }
    }

    fn discount(&mut self, owner: Owner) {
        match owner {
            Owner::Admin => {}
            Owner::App(app) => {
                self.of_app.entry(app).and_modify(|count| *count = count.saturating_sub(1));
            }
            Owner::Stranger(client) => {
                self.strangers = self.strangers.saturating_sub(1);
                let Some(client) = client else { return };
                if let Some(count) = self.strangers_of.get_mut(&client) {
                    *count -= 1;
                    if *count == 0 {
                        self.strangers_of.remove(&client);
                    }
                }
            }
        }
    }
}

/// The order of eviction, lowest first; `None` with a request in flight.
///
/// A slow head and many wrong passwords indicate an attack or a broken client. An idle client opens another
/// connection when it needs one. A body that has stopped moving may never end. New connections are evicted
/// last.
fn eviction_rank(
    (phase, since): (Phase, Instant),
    body_moved_at: Option<Instant>,
    now: Instant,
) -> Option<(u8, Instant)> {
    let lasts = |since: Instant, span| now.saturating_duration_since(since) > span;
    match phase {
        Phase::Delayed => Some((0, since)),
        Phase::Head if lasts(since, limits::HEAD_EXPECTED) => Some((0, since)),
        Phase::Idle => Some((1, since)),
        Phase::Head => Some((3, since)),
        Phase::Busy => {
            let moved = body_moved_at.filter(|moved| lasts(*moved, limits::BODY_STALL))?;
            Some((STALLED_BODY, moved))
        }
    }
}

const STALLED_BODY: u8 = 2;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Owner, Place, Places, eviction_rank};
    use crate::http::client_addr::ClientAddr;
    use crate::http::connection_state::{ConnectionState, Phase};
    use dynowarden_core::ident::AppId;
    use dynowarden_core::limits;

    fn client(number: u32) -> ClientAddr {
        ClientAddr::V4(Ipv4Addr::from_bits(number))
    }

    fn open(places: &Arc<Places>, number: u32) -> Place {
        places.open(Some(client(number))).expect("a place")
    }

    /// A connection that sends a body, as `app`'s drain.
    fn upload(places: &Arc<Places>, app: u32) -> Place {
        let place = open(places, 1);
        place.state.enter(Phase::Busy);
        place.state.body_moves();
        places.own(&place.state, Owner::App(AppId(app)));
        place
    }

    fn evicted(places: &[Place]) -> Vec<usize> {
        let evicted = |state: &ConnectionState| state.evicted.is_cancelled();
        (0..places.len()).filter(|index| evicted(&places[*index].state)).collect()
    }

    #[test]
    fn slow_heads_are_evicted_first_and_busy_connections_never() {
        let now = Instant::now() + Duration::from_secs(60);
        let (short, long) = (now - Duration::from_millis(10), now - Duration::from_secs(20));
        let in_order = [
            (Phase::Head, long, None),
            (Phase::Head, now - Duration::from_secs(2), None),
            (Phase::Delayed, short, None),
            (Phase::Idle, long, None),
            (Phase::Idle, short, None),
            (Phase::Busy, long, Some(now - Duration::from_secs(3))),
            (Phase::Head, short, None),
        ];
        let rank = |(phase, since, moved)| eviction_rank((phase, since), moved, now);
        let ranks: Vec<_> = in_order.into_iter().map(rank).collect();
        assert!(ranks.is_sorted() && ranks.iter().all(Option::is_some), "{ranks:?}");
        for moved in [None, Some(short)] {
            assert_eq!(rank((Phase::Busy, long, moved)), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_least_valuable_is_evicted_at_the_limit() {
        let places = Arc::new(Places::new(4));
        let held: Vec<Place> = (0..4).map(|number| open(&places, number)).collect();
        let [head, busy, idle, delayed] = &*held else { panic!("four") };
        for (place, phase) in [(busy, Phase::Busy), (idle, Phase::Idle), (delayed, Phase::Delayed)] {
            place.state.enter(phase);
            places.own(&place.state, Owner::Admin);
        }
        places.own(&head.state, Owner::Admin);
        let mut later = Vec::new();
        for expect in [vec![3], vec![2, 3], vec![0, 2, 3]] {
            later.push(open(&places, 9));
            later.iter().for_each(|place| place.state.enter(Phase::Busy));
            assert_eq!(evicted(&held), expect);
            assert!(places.count() <= 4);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_places_are_kept_when_all_others_are_busy() {
        let places = Arc::new(Places::new(4));
        let busy = || {
            let place = places.open(None)?;
            places.own(&place.state, Owner::Admin);
            place.state.enter(Phase::Busy);
            Some(place)
        };
        let held: Vec<Place> = std::iter::from_fn(busy).take(100).collect();
        assert_eq!(held.len(), 4 + limits::CONNECTIONS_RESERVED);
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_of_one_address_take_places_from_each_other_only() {
        let places = Arc::new(Places::new(4096));
        let other = open(&places, 2);
        let held: Vec<Place> = (0..200).map(|_| open(&places, 1)).collect();
        assert_eq!(evicted(&held).len(), 200 - limits::STRANGERS_OF_ADDRESS_MAX);
        assert!(!other.state.evicted.is_cancelled());
        // Once it has shown a password, it is no stranger.
        let known = held.last().expect("some");
        places.own(&known.state, Owner::App(AppId(0)));
        let more: Vec<Place> = (0..200).map(|_| open(&places, 1)).collect();
        assert!(!known.state.evicted.is_cancelled() && evicted(&more).len() > 100);
        // From many addresses, they share a quarter of the places.
        let many: Vec<Place> = (10..4000).map(|number| open(&places, number)).collect();
        assert_eq!(many.len() - evicted(&many).len(), 4096 / 4);
        drop((many, more, held, other));
        assert_eq!(places.count(), 0);
        assert!(places.lock().strangers_of.is_empty() && places.lock().strangers == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn half_sent_bodies_of_one_drain_leave_places_for_others() {
        let places = Arc::new(Places::new(256));
        let mut held = Vec::new();
        for _ in 0..300 {
            held.push(upload(&places, 0));
            tokio::time::advance(Duration::from_millis(1)).await;
            held.iter().for_each(|place| place.state.read_clock());
        }
        assert_eq!(held.len() - evicted(&held).len(), 128, "half of all places");
        assert!(!evicted(&held).contains(&299), "the newest batch is served");
        let other = upload(&places, 1);
        let health = open(&places, 9);
        assert!(![&other, &health].iter().any(|place| place.state.evicted.is_cancelled()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_forwarded_address_is_bound_like_a_direct_one() {
        let places = Arc::new(Places::new(4096));
        let held: Vec<Place> = (0..100).map(|_| places.open(None).expect("a place")).collect();
        assert!(evicted(&held).is_empty(), "a proxy is not a client");
        held.iter().for_each(|place| places.forwarded(&place.state, client(7)));
        assert_eq!(evicted(&held).len(), 100 - limits::STRANGERS_OF_ADDRESS_MAX);
    }
}
