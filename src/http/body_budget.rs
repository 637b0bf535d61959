//! The memory of bodies in flight: one budget for all of them, and a share for each app.
//!
//! A client can send a body slowly, or never finish it, and each may be megabytes long. At a limit, bodies
//! that have stopped moving are evicted; if that is not enough, the new one is rejected, and logplex sends
//! it again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::http::connection_state::ConnectionState;
use dynowarden_core::ident::AppId;
use dynowarden_core::limits;

#[derive(Debug)]
pub(super) struct BodyBudget {
    bytes_max: usize,
    bytes_of_app_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    bytes: usize,
    bytes_of: HashMap<Option<AppId>, usize>,
    bodies: HashMap<u64, InFlight>,
    next: u64,
}

#[derive(Debug)]
struct InFlight {
    app: Option<AppId>,
    bytes: usize,
    connection: Arc<ConnectionState>,
}

/// The room of one body, freed when this is dropped.
#[derive(Debug)]
pub(super) struct BodyRoom<'b> {
    budget: &'b BodyBudget,
    app: Option<AppId>,
    connection: Arc<ConnectionState>,
    /// None before it has taken any room, as a body that is read at once never does.
    number: Option<u64>,
}

/// The budget, or the app's share of it, is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

impl BodyBudget {
    /// A budget for bodies of at most `body_bytes_max` bytes.
    pub(super) fn new(body_bytes_max: usize) -> Self {
        let bytes_of_app_max = limits::BODIES_OF_APP_BYTES_MAX.max(2 * body_bytes_max);
        let bytes_max = limits::BODIES_BYTES_MAX.max(2 * bytes_of_app_max);
        Self { bytes_max, bytes_of_app_max, inner: Mutex::default() }
    }

    /// Room for a body of the app, or of an admin's request.
    pub(super) fn room(&self, app: Option<AppId>, connection: Arc<ConnectionState>) -> BodyRoom<'_> {
        BodyRoom { budget: self, app, connection, number: None }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every method leaves the sums consistent, and none can panic halfway.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BodyRoom<'_> {
    pub(super) fn connection(&self) -> Arc<ConnectionState> {
        self.connection.clone()
    }

    /// Takes room for `bytes` in all.
    ///
    /// # Errors
    /// There is not enough, or this body was evicted.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let BodyBudget { bytes_max, bytes_of_app_max, .. } = *self.budget;
        let mut inner = self.budget.lock();
        let number = match self.number {
            Some(number) => number,
            None => {
                inner.next += 1;
                let in_flight = InFlight { app: self.app, bytes: 0, connection: self.connection.clone() };
                let number = inner.next;
                inner.bodies.insert(number, in_flight);
                *self.number.insert(number)
            }
        };
        let Some(body) = inner.bodies.get(&number) else { return Err(NoRoom) };
        let (app, more) = (body.app, bytes.saturating_sub(body.bytes));
        while inner.bytes_of.get(&app).copied().unwrap_or_default() + more > bytes_of_app_max {
            inner.evict_stalled(Some(app), number)?;
        }
        while inner.bytes + more > bytes_max {
            let most = inner.bytes_of.iter().max_by_key(|(_, bytes)| **bytes).map(|(app, _)| *app);
            let of_most = inner.evict_stalled(most, number);
            of_most.or_else(|NoRoom| inner.evict_stalled(None, number))?;
        }
        inner.add(number, more);
        Ok(())
    }
}

impl Drop for BodyRoom<'_> {
    fn drop(&mut self) {
        self.number.inspect(|number| drop(self.budget.lock().remove(*number)));
    }
}

impl Inner {
    fn add(&mut self, number: u64, more: usize) {
        let Some(body) = self.bodies.get_mut(&number) else { return };
        body.bytes += more;
        self.bytes += more;
        *self.bytes_of.entry(body.app).or_default() += more;
    }

    fn remove(&mut self, number: u64) -> Option<InFlight> {
        let body = self.bodies.remove(&number)?;
        self.bytes = self.bytes.saturating_sub(body.bytes);
        if let Some(bytes) = self.bytes_of.get_mut(&body.app) {
            *bytes = bytes.saturating_sub(body.bytes);
        }
        Some(body)
    }

    /// Evicts the body, of the given app or of any, that has not moved for the longest time.
    fn evict_stalled(&mut self, of: Option<Option<AppId>>, except: u64) -> Result<(), NoRoom> {
        let now = Instant::now();
        let stalled = self.bodies.iter().filter_map(|(number, body)| {
            let moved = body.connection.body_moved_at()?;
            let is_stalled = now.saturating_duration_since(moved) > limits::BODY_STALL;
            let may_go = *number != except && body.bytes > 0 && of.is_none_or(|app| app == body.app);
            (is_stalled && may_go).then_some((moved, *number))
        });
        let (_, number) = stalled.min().ok_or(NoRoom)?;
        if let Some(body) = self.remove(number) {
            body.connection.evicted.cancel();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{BodyBudget, BodyRoom, NoRoom};
    use crate::http::connection_state::ConnectionState;
    use dynowarden_core::ident::AppId;
    use dynowarden_core::limits;

    const MIB: usize = 1024 * 1024;

    fn room(budget: &BodyBudget, app: u32) -> BodyRoom<'_> {
        let room = budget.room(Some(AppId(app)), Arc::new(ConnectionState::new()));
        room.connection().body_moves();
        room
    }

    #[tokio::test(start_paused = true)]
    async fn an_app_has_a_share_of_the_budget() {
        let budget = BodyBudget::new(8 * MIB);
        let mut held: Vec<BodyRoom<'_>> = (0..4).map(|_| room(&budget, 0)).collect();
        held.iter_mut().for_each(|room| room.grow_to(8 * MIB).expect("room"));
        assert_eq!(room(&budget, 0).grow_to(1), Err(NoRoom));
        let mut others: Vec<BodyRoom<'_>> = (0..4).map(|_| room(&budget, 1)).collect();
        others.iter_mut().for_each(|room| room.grow_to(8 * MIB).expect("another app's share"));
        assert_eq!(room(&budget, 2).grow_to(1), Err(NoRoom), "the whole budget is used up");
        held.pop();
        assert_eq!(room(&budget, 2).grow_to(8 * MIB), Ok(()));
        drop((held, others));
        let inner = budget.lock();
        assert_eq!((inner.bytes, inner.bodies.len()), (0, 0));
        assert!(inner.bytes_of.values().all(|bytes| *bytes == 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_has_stalled_makes_room() {
        let budget = BodyBudget::new(8 * MIB);
        let mut held: Vec<BodyRoom<'_>> = (0..8).map(|place| room(&budget, place / 4)).collect();
        held.iter_mut().for_each(|room| room.grow_to(8 * MIB).expect("room"));
        tokio::time::advance(limits::BODY_STALL + Duration::from_millis(1)).await;
        for (place, room) in held.iter().enumerate().filter(|(place, _)| *place != 5) {
            room.connection().read_clock();
            if place != 1 {
                room.connection().body_moves();
            }
        }
        let evicted = |held: &[BodyRoom<'_>]| -> Vec<usize> {
            let is_evicted = |room: &BodyRoom<'_>| room.connection.evicted.is_cancelled();
            (0..held.len()).filter(|place| is_evicted(&held[*place])).collect()
        };
        let mut same = room(&budget, 0);
        assert_eq!(same.grow_to(8 * MIB), Ok(()));
        assert_eq!(evicted(&held), [1], "one of its own app");
        assert_eq!(held[1].grow_to(9 * MIB), Err(NoRoom), "an evicted body gets no more");
        let mut other = room(&budget, 2);
        assert_eq!(other.grow_to(8 * MIB), Ok(()));
        assert_eq!(evicted(&held), [1, 5]);
        assert_eq!(room(&budget, 2).grow_to(1), Err(NoRoom), "all others move");
    }
}
