//! Replay: runs a log through the engine.
//!
//! Detection and decisions are exactly those of the daemon: the same `detect`, the same [`Engine`]. Only
//! their surroundings differ. Time is the log's: before a line is handled, everything due by its time is
//! done, each at its own time. The log itself answers the engine's API calls at once ([`World`]). Each app
//! has its own engine, because apps appear as the log goes on. `dry_run` is ignored: nothing is sent anyway,
//! and the question is what would have been done.

pub mod archive;
pub mod order;
pub mod roster;
pub mod summary;
pub mod timeline;
pub mod world;

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::detect::{self, DetectError};
use crate::engine::{Effect, Engine, Input};
use crate::event::{Event, Fact};
use crate::ident::{AppId, AppName, DynoName, DynoRef};
use crate::limits;
use crate::policy::AppPlan;
use crate::record::Record;
use crate::replay::archive::Entry;
use crate::replay::roster::Roster;
use crate::replay::summary::Summary;
use crate::replay::world::World;
use crate::time::{Now, later, since};
use crate::wire::line::Line;
use crate::wire::logfmt;

pub struct Replay<'s> {
    apps: Vec<App>,
    clock: Option<Clock>,
    /// When any app next has something due.
    due: Option<Duration>,
    plan_for: Box<dyn Fn(&AppName) -> AppPlan + 's>,
    roster: Roster,
    summary: Summary,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReplayOutput {
    pub app: AppName,
    /// Without the API's view of a dyno, which a replay makes up.
    pub record: Record,
}

struct App {
    engine: Engine,
    plan: AppPlan,
    world: World,
}

/// The log's time: the latest that the platform wrote so far.
#[derive(Clone, Copy)]
struct Clock {
    first: Timestamp,
    now: Now,
}

// === impl Replay ===

impl<'s> Replay<'s> {
    /// A replay for the apps of `roster`; `plan_for` returns each app's rules and policy.
    pub fn new(roster: Roster, plan_for: impl Fn(&AppName) -> AppPlan + 's) -> Self {
        Self {
            apps: Vec::new(),
            clock: None,
            due: None,
            plan_for: Box::new(plan_for),
            roster,
            summary: Summary::default(),
        }
    }

    /// Notes the app of a line that is handled later. Knowing some apps beforehand helps to interpret system
    /// names.
    pub fn announce(&mut self, entry: &Entry<'_>) {
        if let Some(system) = entry.system {
            self.roster.announce(system);
        }
    }

    /// Handles the next line, and adds the engine's output up to it to `output`.
    ///
    /// # Errors
    /// A platform line that could not be understood. It counts for nothing, as in the daemon.
    pub fn read(&mut self, entry: &Entry<'_>, output: &mut Vec<ReplayOutput>) -> Result<(), DetectError> {
        self.summary.note_time(entry.at.ok());
        let Some(place) = self.place(entry.system) else { return Ok(()) };
        let fact = detect::fact(&entry.line)?;
        let at = match (entry.at, &fact) {
            (Ok(at), _) => at,
            (Err(error), Some(_)) => return Err(error.into()),
            (Err(_), None) => return Ok(()),
        };
        // Any other line is untrusted and may have any time.
        if entry.line.app == b"heroku" || fact.is_some() {
            self.advance(at, output);
        }
        let app = &mut self.apps[place];
        if let Some(dyno) = writer_or_served(&entry.line).and_then(|dyno| app.listed(&dyno)) {
            app.world.exists(&dyno, at);
        }
        if let Some(fact) = fact {
            self.take(place, fact, at, output);
        }
        Ok(())
    }

    /// Ends the log: attempts that still wait get their turn, within [`limits::REPLAY_TAIL`].
    pub fn end(&mut self, output: &mut Vec<ReplayOutput>) {
        if let Some(clock) = self.clock {
            self.run_until(clock.now.mono.saturating_add(limits::REPLAY_TAIL), output);
        }
    }

    pub fn summary(&self) -> Summary {
        let mut summary = self.summary.clone();
        summary.apps = self.apps.len();
        summary.dynos = self.apps.iter().map(|app| app.world.dynos()).sum();
        summary
    }

    /// The app of a line, with an engine.
    fn place(&mut self, system: Option<&[u8]>) -> Option<usize> {
        let Some(place) = self.roster.place(system) else {
            self.summary.lines_left_out += 1;
            return None;
        };
        if place == self.apps.len() {
            let plan = AppPlan { dry_run: false, ..(self.plan_for)(self.roster.app(place)) };
            self.apps.push(App {
                engine: Engine::new(vec![plan.clone()], SEED),
                plan,
                world: World::default(),
            });
        }
        Some(place)
    }

    fn take(&mut self, place: usize, fact: Fact<DynoRef<'_>>, at: Timestamp, output: &mut Vec<ReplayOutput>) {
        let app = &mut self.apps[place];
        let is_error = matches!(fact, Fact::Error { .. });
        let Some(fact) = fact.name_dyno(|dyno| app.listed(&dyno)) else {
            self.summary.errors_not_listed += u64::from(is_error);
            return;
        };
        if let Some(dyno) = fact.dyno() {
            app.world.exists(dyno, at);
        }
        app.world.learn(&fact, at);
        let now = self.clock.map_or(Now { mono: Duration::ZERO, wall: at }, |clock| clock.now);
        self.handle(place, Input::Events { app: ONLY, events: vec![Event { at, fact }] }, now, output);
    }

    /// Moves the clock to `at`, unless it is later already.
    fn advance(&mut self, at: Timestamp, output: &mut Vec<ReplayOutput>) {
        let clock =
            self.clock.get_or_insert(Clock { first: at, now: Now { mono: Duration::ZERO, wall: at } });
        let mono = since(clock.first, at);
        if mono > clock.now.mono {
            self.run_until(mono, output);
        }
    }

    /// Does everything due until `end`, each at its time, and leaves the clock there.
    fn run_until(&mut self, end: Duration, output: &mut Vec<ReplayOutput>) {
        let Some(Clock { first, .. }) = self.clock else { return };
        let reading = |mono| Now { mono, wall: later(first, mono) };
        let mut wakes = 0;
        while let Some(due) = self.due.filter(|due| *due <= end) {
            // Through a long silence it is enough to wake once more at its end.
            let mono = if wakes < limits::REPLAY_WAKES_MAX { due } else { end };
            wakes += 1;
            let is_due = |app: &App| app.engine.next_deadline().is_some_and(|deadline| deadline <= mono);
            let Some(place) = self.apps.iter().position(is_due) else { break };
            self.handle(place, Input::Wake, reading(mono), output);
            if wakes > limits::REPLAY_WAKES_MAX + self.apps.len() as u32 {
                break;
            }
        }
        self.clock = Some(Clock { first, now: reading(end) });
    }

    /// Passes an input to an app's engine, and carries out its effects until there are none.
    fn handle(&mut self, place: usize, input: Input, now: Now, output: &mut Vec<ReplayOutput>) {
        let app = &mut self.apps[place];
        let mut effects: VecDeque<Effect> = app.engine.handle(input, now).into();
        while let Some(effect) = effects.pop_front() {
            let answer = match effect {
                Effect::Record(mut record) => {
                    if let Record::Decision(decision) = &mut record {
                        decision.evidence.seen = None;
                    }
                    self.summary.count(&record);
                    output.push(ReplayOutput { app: app.plan.name.clone(), record });
                    continue;
                }
                Effect::Claim { attempt_id, .. } => Input::Claimed { attempt_id, answer: Ok(()) },
                Effect::Delete { attempt_id, dyno, .. } => {
                    Input::Deleted { attempt_id, answer: app.world.delete(&dyno, now.wall) }
                }
                Effect::Inspect { attempt_id, dyno, .. } => {
                    Input::Inspected { attempt_id, answer: Ok(app.world.look(dyno.as_ref(), now.wall)) }
                }
                Effect::Poll { attempt_id, dyno, .. } => {
                    Input::Polled { attempt_id, answer: Ok(app.world.poll(&dyno, now.wall)) }
                }
                // A replay has no operator orders and no other listeners.
                Effect::Answer { .. } | Effect::CountAcrossReplicas(_) => continue,
            };
            effects.extend(app.engine.handle(answer, now));
        }
        self.due = self.apps.iter().filter_map(|app| app.engine.next_deadline()).min();
    }
}

/// The dyno that a line proves to exist: its author, or the one that served the router's request.
fn writer_or_served<'b>(line: &Line<'b>) -> Option<DynoRef<'b>> {
    match (line.app, line.procid) {
        (b"heroku", b"router") => {
            let dyno = logfmt::pairs(line.msg).find(|pair| pair.key == b"dyno")?;
            DynoRef::parse(dyno.value)
        }
        (_, procid) => DynoRef::parse(procid),
    }
}

/// Any constant will do: a replay is repeatable.
const SEED: u64 = 14;

/// Each engine has one app.
const ONLY: AppId = AppId(0);

// === impl App ===

impl App {
    /// The dyno's name, if it is of a listed process type.
    fn listed(&self, dyno: &DynoRef<'_>) -> Option<DynoName> {
        let types = &self.plan.policy.process_types;
        let process_type = types.iter().find(|listed| listed.as_str() == dyno.process_type)?;
        Some(DynoName::new(process_type.clone(), dyno.index))
    }
}
