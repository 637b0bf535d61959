//! What the Platform API would have shown, as far as the log shows it.
//!
//! - A dyno that writes a line, or that a platform line names, exists. Unless its start is in the log, it has
//!   been up for a day ([`ASSUMED_AGE`]).
//! - The lines about its life show the rest: when an instance began, came up and went away.
//! - A release is known from the first line with its number; before that, the previous release ran.
//! - A requested restart makes a new instance at once, which is up after [`ASSUMED_BOOT`], unless the log's
//!   own lines show otherwise. The log itself does not change: if that dyno was not restarted at the time,
//!   the following lines are those of the process that ran on.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::{DeleteResult, DynoInfo, FormationInfo};
use crate::event::{Change, DynoState, Fact};
use crate::ident::{DynoName, InstanceId};
use crate::limits;
use crate::time::{earlier, later};

#[derive(Debug, Default)]
pub struct World {
    dynos: BTreeMap<DynoName, Instance>,
    instances_made: u64,
    /// The last numbered release; 0, older than any, until there is one.
    release: u64,
}

#[derive(Debug)]
struct Instance {
    /// When it is up, if only our restart shows that it began.
    boots_at: Option<Timestamp>,
    created_at: Timestamp,
    id: InstanceId,
    release: u64,
    state: DynoState,
    /// The latest time in a line about its life.
    life_at: Option<Timestamp>,
    /// Whether the last such line told of the state that the one before it had left.
    is_chained: bool,
    /// The last such lines: the same may come again.
    lives: VecDeque<(Timestamp, Change)>,
    updated_at: Timestamp,
}

/// The platform cycles every dyno about once a day, so no dyno is much older, and no sensible `min_uptime` is
/// longer.
pub const ASSUMED_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// From a restart to the new process being up: between the three seconds of a small one (heroku.md §2.4) and
/// the sixty after which the platform gives up.
pub const ASSUMED_BOOT: Duration = Duration::from_secs(10);

/// Lines about a dyno's life that are remembered: a restart has three, and a file may repeat it.
const LIVES_MAX: usize = 8;

/// How much earlier than the line before it a line may be and still tell of what came after.
const SKEW: Duration = Duration::from_secs(5);

// === impl Instance ===

impl Instance {
    /// Whether a line about its life is news. Lines come out of order, and twice.
    ///
    /// A line of an earlier time counts if the lines so far leave no gap that it could fill, and it goes on
    /// from where they end: the platform's clocks differ.
    fn takes(&self, change: Change, goes_on: bool, at: Timestamp) -> bool {
        if self.lives.contains(&(at, change)) {
            return false;
        }
        match self.life_at {
            Some(life_at) if at <= life_at => goes_on && self.is_chained && at > earlier(life_at, SKEW),
            _ => true,
        }
    }
}

// === impl World ===

impl World {
    pub fn dynos(&self) -> usize {
        self.dynos.len()
    }

    /// Notes a line of this dyno, or about it, at `at`.
    pub fn exists(&mut self, dyno: &DynoName, at: Timestamp) {
        if self.dynos.contains_key(dyno) || self.dynos.len() >= limits::DYNOS_MAX {
            return;
        }
        let created_at = earlier(at, ASSUMED_AGE);
        let release = self.release;
        let instance = self.instance(created_at, release, DynoState::Up);
        self.dynos.insert(dyno.clone(), instance);
    }

    /// Notes that a dyno is starting, as a later line shows.
    pub fn is_starting(&mut self, dyno: &DynoName, at: Timestamp) {
        if let Some(instance) = self.dynos.get_mut(dyno)
            && instance.life_at.is_none()
            && instance.boots_at.is_none()
            && instance.state == DynoState::Up
        {
            instance.state = DynoState::Starting;
            // It began before its line, or the line would be of the process before it.
            instance.updated_at = earlier(at, Duration::from_secs(2));
        }
    }

    /// Takes in a fact.
    pub fn learn(&mut self, fact: &Fact, at: Timestamp) {
        match fact {
            Fact::Life { dyno, change } => self.live(dyno, *change, at),
            Fact::Release { version: Some(version) } => self.released(*version),
            _ => {}
        }
    }

    fn live(&mut self, dyno: &DynoName, change: Change, at: Timestamp) {
        let (before, state) = match change {
            Change::Starting => (None, DynoState::Starting),
            Change::State { from, to } => (from, to),
            // The old process's end, which the API does not show.
            Change::Exited | Change::Leaving => return,
        };
        let Some(instance) = self.dynos.get_mut(dyno) else { return };
        let is_chained = before.is_none_or(|before| before == instance.state);
        if !instance.takes(change, before.is_some() && is_chained, at) {
            return;
        }
        let is_under_way =
            instance.state == DynoState::Starting && instance.boots_at.is_none_or(|up| at < up);
        if state == DynoState::Starting && !is_under_way {
            let lives = mem::take(&mut instance.lives);
            let life_at = instance.life_at;
            let release = self.release;
            let instance = self.instance(at, release, state);
            self.dynos.insert(dyno.clone(), Instance { lives, life_at, ..instance });
        }
        if let Some(instance) = self.dynos.get_mut(dyno) {
            instance.boots_at = None;
            instance.state = state;
            instance.life_at = instance.life_at.max(Some(at));
            instance.is_chained = is_chained;
            instance.updated_at = at;
            instance.lives.truncate(LIVES_MAX - 1);
            instance.lives.push_front((at, change));
        }
    }

    fn released(&mut self, version: u64) {
        if self.release == 0 {
            for instance in self.dynos.values_mut() {
                instance.release = version.saturating_sub(1);
            }
        }
        self.release = version;
    }

    /// The dyno, as the API would show it.
    pub fn poll(&self, dyno: &DynoName, now: Timestamp) -> Option<DynoInfo> {
        let instance = self.dynos.get(dyno)?;
        let (state, updated_at) = match instance.boots_at {
            Some(up_at) if up_at <= now => (DynoState::Up, up_at),
            _ => (instance.state, instance.updated_at),
        };
        // A dyno that stays down was scaled away, and the API does not list it.
        (state != DynoState::Down).then(|| DynoInfo {
            name: dyno.clone(),
            is_one_off: false,
            process_type: dyno.process_type().clone(),
            id: instance.id,
            created_at: instance.created_at,
            updated_at,
            state,
            release: Some(instance.release),
        })
    }

    /// All dynos, and the requested one.
    pub fn look(&self, dyno: Option<&DynoName>, now: Timestamp) -> FormationInfo {
        FormationInfo {
            dyno: dyno.and_then(|dyno| self.poll(dyno, now)),
            formation: self.dynos.keys().filter_map(|dyno| self.poll(dyno, now)).collect(),
            ..FormationInfo::default()
        }
    }

    pub fn delete(&mut self, dyno: &DynoName, now: Timestamp) -> DeleteResult {
        if self.poll(dyno, now).is_none() {
            return DeleteResult::Gone;
        }
        let before = self.dynos.get_mut(dyno);
        let (life_at, lives) =
            before.map_or((None, VecDeque::new()), |before| (before.life_at, mem::take(&mut before.lives)));
        let release = self.release;
        let instance = self.instance(now, release, DynoState::Starting);
        let boots_at = Some(later(now, ASSUMED_BOOT));
        self.dynos.insert(dyno.clone(), Instance { boots_at, life_at, lives, ..instance });
        DeleteResult::Accepted
    }

    fn instance(&mut self, created_at: Timestamp, release: u64, state: DynoState) -> Instance {
        self.instances_made += 1;
        let id = format!("instance-{}", self.instances_made);
        Instance {
            boots_at: None,
            created_at,
            id: id.parse().expect("a word and a number of 20 digits at most are an id"),
            release,
            state,
            life_at: None,
            is_chained: false,
            lives: VecDeque::new(),
            updated_at: created_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::World;
    use crate::api::DeleteResult;
    use crate::event::{Change, DynoState, Fact};
    use crate::ident::DynoName;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_750_000_000 + secs).expect("a time")
    }

    fn web(index: u32) -> DynoName {
        DynoName::new("web".parse().expect("a type"), index)
    }

    fn apply(world: &mut World, changes: &[(Change, i64)]) {
        for (change, secs) in changes {
            world.exists(&web(1), at(*secs));
            world.learn(&Fact::Life { dyno: web(1), change: *change }, at(*secs));
        }
    }

    /// State, seconds since it was created and since it is in its state.
    #[track_caller]
    fn check(world: &World, secs: i64, expect: Option<(DynoState, i64, i64)>) {
        let seen = world.poll(&web(1), at(secs)).map(|seen| {
            let ago = |then: Timestamp| at(secs).duration_since(then).as_secs();
            (seen.state, ago(seen.created_at), ago(seen.in_state_since()))
        });
        assert_eq!(seen, expect);
    }

    const STARTING: Change = Change::to(DynoState::Starting);
    const UP: Change = Change::to(DynoState::Up);

    #[test]
    fn a_dyno_with_lines_has_been_up_for_a_day() {
        let mut world = World::default();
        check(&world, 0, None);
        world.exists(&web(1), at(0));
        world.exists(&web(1), at(60));
        check(&world, 60, Some((DynoState::Up, 86_460, 86_460)));
        assert_eq!(world.look(None, at(0)).formation.len(), 1);
    }

    #[test]
    fn life_cycle_lines_set_the_state() {
        let mut world = World::default();
        apply(
            &mut world,
            &[(Change::Leaving, 0), (STARTING, 1), (Change::Starting, 3), (Change::Leaving, 4)],
        );
        check(&world, 5, Some((DynoState::Starting, 4, 2)));
        apply(&mut world, &[(UP, 8), (Change::Exited, 9), (STARTING, 2)]);
        check(&world, 10, Some((DynoState::Up, 9, 2)));
        apply(&mut world, &[(Change::to(DynoState::Crashed), 20)]);
        check(&world, 21, Some((DynoState::Crashed, 20, 1)));
        apply(&mut world, &[(Change::to(DynoState::Down), 30)]);
        check(&world, 31, None);
        assert_eq!(world.look(None, at(31)).formation, []);
        // Its last lines may arrive after its end.
        world.exists(&web(1), at(32));
        check(&world, 32, None);
        apply(&mut world, &[(Change::Starting, 40)]);
        check(&world, 41, Some((DynoState::Starting, 1, 1)));
    }

    #[test]
    fn a_line_that_goes_on_from_the_last_counts_whatever_its_time() {
        let learn = |world: &mut World, before, state, secs| {
            world.exists(&web(1), at(secs));
            let change = Change::State { from: Some(before), to: state };
            world.learn(&Fact::Life { dyno: web(1), change }, at(secs));
        };
        let (up, starting) = (DynoState::Up, DynoState::Starting);
        let mut world = World::default();
        learn(&mut world, up, starting, 10);
        learn(&mut world, starting, up, 9);
        check(&world, 12, Some((up, 2, 2)));
        // The same lines again, from another file.
        learn(&mut world, up, starting, 10);
        check(&world, 12, Some((up, 2, 2)));
        // The first of two comes second.
        let mut world = World::default();
        learn(&mut world, starting, up, 10);
        learn(&mut world, up, starting, 9);
        assert_eq!(world.poll(&web(1), at(12)).map(|seen| seen.state), Some(up));
    }

    #[test]
    fn a_dyno_may_be_starting_before_its_first_line_about_that() {
        let mut world = World::default();
        world.exists(&web(1), at(0));
        world.is_starting(&web(1), at(0));
        assert_eq!(world.poll(&web(1), at(1)).map(|seen| seen.state), Some(DynoState::Starting));
        apply(&mut world, &[(UP, 8)]);
        check(&world, 10, Some((DynoState::Up, 86_410, 2)));
    }

    #[test]
    fn a_restart_makes_a_booting_instance() {
        let mut world = World::default();
        assert_eq!(world.delete(&web(1), at(0)), DeleteResult::Gone);
        world.exists(&web(1), at(0));
        let before = world.poll(&web(1), at(0)).expect("a dyno");
        assert_eq!(world.delete(&web(1), at(0)), DeleteResult::Accepted);
        check(&world, 9, Some((DynoState::Starting, 9, 9)));
        check(&world, 12, Some((DynoState::Up, 12, 2)));
        assert!(!world.poll(&web(1), at(12)).expect("a dyno").is_same_process(&before));
    }

    #[test]
    fn logged_restarts_override_assumed_ones() {
        let mut world = World::default();
        world.exists(&web(1), at(0));
        world.delete(&web(1), at(0));
        apply(&mut world, &[(STARTING, 2)]);
        // The same restart, not another one; and it takes as long as the log says.
        check(&world, 15, Some((DynoState::Starting, 15, 13)));
        apply(&mut world, &[(UP, 20)]);
        check(&world, 21, Some((DynoState::Up, 21, 1)));
        world.delete(&web(1), at(30));
        apply(&mut world, &[(STARTING, 50)]);
        check(&world, 51, Some((DynoState::Starting, 1, 1)));
    }

    #[test]
    fn releases_are_known_from_the_first_numbered_one() {
        let mut world = World::default();
        world.exists(&web(1), at(0));
        let release = |world: &World| world.poll(&web(1), at(100)).and_then(|seen| seen.release);
        world.learn(&Fact::Release { version: None }, at(1));
        assert_eq!(release(&world), Some(0));
        world.learn(&Fact::Release { version: Some(12) }, at(1));
        assert_eq!(release(&world), Some(11));
        apply(&mut world, &[(STARTING, 2)]);
        assert_eq!(release(&world), Some(12));
        world.learn(&Fact::Release { version: Some(13) }, at(3));
        assert_eq!(release(&world), Some(12));
    }
}
