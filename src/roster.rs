//! The names of each app's dynos: events about more names than an app can have go no further.
//!
//! Whoever knows the password of a drain can invent names. The engine forgets the longest quiet dyno when
//! it has too many, so without this, invented ones would push out those of other apps.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dynowarden_core::event::Event;
use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::limits;
use dynowarden_core::shares::{self, Share};
use dynowarden_core::time::Now;

/// The dynos of all apps, and when an event last named each of them.
#[derive(Debug)]
pub(crate) struct Rosters(Vec<Mutex<Share<DynoName, Duration>>>);

impl Rosters {
    pub(crate) fn new(apps: usize) -> Self {
        let max = shares::of_app(limits::DYNOS_MAX, apps);
        Self((0..apps).map(|_| Mutex::new(Share::new(max))).collect())
    }

    /// Removes events about dynos beyond the app's share, and returns their number.
    pub(crate) fn admit(&self, app: AppId, events: &mut Vec<Event>, now: Now) -> u64 {
        let Some(roster) = self.0.get(app.0 as usize) else { return 0 };
        // Each entry is whole at any time.
        let mut roster = roster.lock().unwrap_or_else(PoisonError::into_inner);
        let before = events.len();
        let is_over = |last: &Duration| now.mono.saturating_sub(*last) >= limits::DYNO_SILENT;
        events.retain(|event| match event.fact.dyno() {
            None => true,
            Some(dyno) => roster.entry(dyno, is_over, now.mono).map(|last| *last = now.mono).is_some(),
        });
        (before - events.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::Rosters;
    use dynowarden_core::event::{Change, Event, Fact};
    use dynowarden_core::ident::AppId;
    use dynowarden_core::limits;
    use dynowarden_core::time::Now;

    const NOW: Now = Now { mono: Duration::from_secs(60), wall: Timestamp::UNIX_EPOCH };

    fn starting(index: usize) -> Event {
        let dyno = format!("web.{index}").parse().expect("a dyno");
        Event { at: NOW.wall, fact: Fact::Life { dyno, change: Change::Starting } }
    }

    #[test]
    fn an_app_has_a_share_of_names_and_keeps_those_it_has() {
        let rosters = Rosters::new(2);
        let mut real = vec![starting(1)];
        assert_eq!(rosters.admit(AppId(0), &mut real, NOW), 0);
        let mut invented: Vec<_> = (1000..1000 + limits::DYNOS_OF_APP_MAX + 9).map(starting).collect();
        invented.push(Event { at: NOW.wall, fact: Fact::Release { version: None } });
        assert_eq!(rosters.admit(AppId(0), &mut invented, NOW), 10);
        assert_eq!(invented.len(), limits::DYNOS_OF_APP_MAX, "those that fit, and what names no dyno");
        for (app, index, refused) in [(0, 1, 0), (0, 2, 1), (1, 2, 0)] {
            assert_eq!(rosters.admit(AppId(app), &mut vec![starting(index)], NOW), refused, "{app} {index}");
        }
        let later = NOW.after(limits::DYNO_SILENT);
        assert_eq!(rosters.admit(AppId(0), &mut vec![starting(2)], later), 0, "the silent make room");
    }
}
