//! Wrong admin passwords and hook keys: an address that has sent too many is refused for the rest of a
//! minute.
//!
//! Unlike a drain's password, these come from people and monitors only, never from logplex. So an address may
//! be locked out: whatever it shows is not even compared.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::warn;

use crate::clock::Clock;
use crate::http::client_addr::ClientAddr;
use dynowarden_core::limits;

/// The wrong guesses of each client address, up to a limit. All further addresses share one count.
#[derive(Debug)]
pub(super) struct Guesses {
    clients: Mutex<Clients>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Clients {
    minutes: HashMap<ClientAddr, Minute>,
    /// When the minutes that are over were last dropped, in `mono` time.
    swept_at: Duration,
}

/// The minute that begins with a wrong guess, in `mono` time.
#[derive(Clone, Copy, Debug)]
struct Minute {
    began: Duration,
    count: u32,
}

impl Guesses {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clients: Mutex::default(), clock }
    }

    /// Whether the address may show a secret.
    ///
    /// # Errors
    /// It has sent too many wrong ones; it may show another after this time.
    pub(super) fn check(&self, client: ClientAddr) -> Result<(), Duration> {
        let now = self.clock.now().mono;
        let clients = self.lock();
        let Some(minute) = clients.minutes.get(&clients.counted(client)) else { return Ok(()) };
        let left = (minute.began + limits::GUESSES.1).saturating_sub(now);
        if minute.count < limits::GUESSES.0 || left.is_zero() { Ok(()) } else { Err(left) }
    }

    /// Counts a wrong secret; the first of a minute is logged with its address.
    pub(super) fn count(&self, client: ClientAddr) {
        let now = self.clock.now().mono;
        let mut clients = self.lock();
        clients.sweep(now);
        let client = clients.counted(client);
        let minute = clients.minutes.entry(client).or_insert(Minute { began: now, count: 0 });
        let before = minute.count;
        if minute.is_over(now) {
            *minute = Minute { began: now, count: 0 };
        }
        minute.count += 1;
        if minute.count == 1 {
            warn!(caller = %client, before, "wrong admin password or hook key");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Clients> {
        // Every statement leaves the map consistent, so a poisoned lock is safe to use.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clients {
    /// The address under which a client's guesses are counted.
    fn counted(&self, client: ClientAddr) -> ClientAddr {
        let has_room = self.minutes.len() < limits::WRONG_CALLERS_MAX || self.minutes.contains_key(&client);
        if has_room { client } else { ClientAddr::Overflow }
    }

    fn sweep(&mut self, now: Duration) {
        if now.saturating_sub(self.swept_at) >= limits::WRONG_PASSWORDS_SWEPT_EVERY {
            self.swept_at = now;
            self.minutes.retain(|_, minute| !minute.is_over(now));
        }
    }
}

impl Minute {
    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.began) >= limits::GUESSES.1
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::Guesses;
    use crate::clock::Clock;
    use crate::http::client_addr::ClientAddr;
    use dynowarden_core::limits;

    fn client(number: u32) -> ClientAddr {
        ClientAddr::V4(Ipv4Addr::from_bits(number))
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_refused_for_the_rest_of_its_minute() {
        let guesses = Guesses::new(Clock::system());
        let (max, span) = limits::GUESSES;
        for _ in 0..max {
            assert_eq!(guesses.check(client(1)), Ok(()));
            guesses.count(client(1));
            tokio::time::advance(Duration::from_millis(500)).await;
        }
        assert_eq!(guesses.check(client(1)), Err(span - Duration::from_millis(500) * max));
        assert_eq!(guesses.check(client(2)), Ok(()), "another address has its own");
        tokio::time::advance(span).await;
        assert_eq!(guesses.check(client(1)), Ok(()));
        guesses.count(client(1));
        assert_eq!(guesses.check(client(1)), Ok(()), "the next minute counts from one");
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_are_bounded_and_forgotten() {
        let guesses = Guesses::new(Clock::system());
        let most = u32::try_from(limits::WRONG_CALLERS_MAX).expect("a small number");
        (0..most + limits::GUESSES.0).for_each(|number| guesses.count(client(number)));
        assert!(guesses.check(client(most + 1000)).is_err(), "further addresses share one count");
        assert_eq!(guesses.check(client(0)), Ok(()), "a known address keeps its own");
        assert_eq!(guesses.lock().minutes.len(), limits::WRONG_CALLERS_MAX + 1);
        tokio::time::advance(limits::GUESSES.1).await;
        guesses.count(client(0));
        assert_eq!(guesses.lock().minutes.len(), 1);
    }
}
