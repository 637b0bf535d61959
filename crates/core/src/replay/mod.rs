//! Replay: runs a log through the engine.
//!
//! Detection and decisions are exactly those of the daemon: the same `detect`, the same [`Engine`]. Only
//! their surroundings differ. Time is the log's: before a line is handled, everything due by its time is
//! done, each at its own time. The log itself answers the engine's API calls at once ([`World`]). Each app
//! has its own engine, because apps appear as the log goes on. `dry_run` is ignored: nothing is sent anyway,
//! and the question is what would have been done.

pub mod archive;
mod days;
pub mod order;
mod outlook;
pub mod roster;
pub mod summary;
pub mod timeline;
pub mod world;
pub mod worth;

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::codes::Code;
use crate::detect::{self, DetectError};
use crate::engine::{Effect, Engine, Input};
use crate::event::{Change, DynoState, Event, Fact};
use crate::ident::{AppId, AppName, DynoName, DynoRef, ProcessType};
use crate::limits;
use crate::policy::{Act, AppPlan, Trigger};
use crate::record::{Action, Record};
use crate::replay::archive::Entry;
use crate::replay::days::Days;
use crate::replay::outlook::{Outlook, is_of_formation, writer_or_served};
use crate::replay::roster::Roster;
use crate::replay::summary::{NotActedOn, Summary};
use crate::replay::world::World;
use crate::replay::worth::Ledger;
use crate::time::{Now, later, since};

pub struct Replay<'s> {
    apps: Vec<App>,
    clock: Option<Clock>,
    /// When any app next has something due.
    due: Option<Duration>,
    is_partial: bool,
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
    days: Days,
    engine: Engine,
    ledger: Ledger,
    outlook: Outlook,
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
            is_partial: false,
            plan_for: Box::new(plan_for),
            roster,
            summary: Summary::default(),
        }
    }

    /// Notes a line as it is read, before the lines are in order. Knowing some apps beforehand helps to
    /// interpret system names.
    pub fn announce(&mut self, entry: &Entry<'_>) {
        if let Some(system) = entry.system {
            self.roster.announce(system);
        }
        self.summary.zone_unknown |= entry.is_zone_unknown;
        if entry.line.app == b"app" && is_mention(entry.line.msg) {
            self.summary.mentions += 1;
        }
    }

    /// Notes what a line shows about what comes before it.
    pub fn foresee(&mut self, entry: &Entry<'_>) {
        if let Some(place) = self.place(entry.system) {
            self.apps[place].outlook.note(&entry.line, entry.at.ok());
        }
    }

    /// Notes that lines are handled before all others are known.
    pub fn set_partial(&mut self) {
        self.is_partial = true;
        for app in &mut self.apps {
            app.outlook.set_partial();
        }
    }

    /// Handles the next line, and adds the engine's output up to it to `output`.
    ///
    /// # Errors
    /// A platform line that could not be understood. It counts for nothing, as in the daemon.
    pub fn read(&mut self, entry: &Entry<'_>, output: &mut Vec<ReplayOutput>) -> Result<(), DetectError> {
        self.summary.note_time(entry.at.ok());
        let Some(place) = self.place(entry.system) else {
            self.summary.lines_left_out += 1;
            return Ok(());
        };
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
        self.tell_days(place, output);
        let app = &mut self.apps[place];
        let types = &app.plan.policy.process_types;
        app.days.note(&entry.line, |dyno| listed(types, dyno), at);
        if let Some(dyno) = writer_or_served(&entry.line).filter(is_of_formation) {
            app.ledger.heard(dyno.process_type, dyno.index, at);
            if let Some(name) = app.listed(&dyno) {
                app.world.exists(&name, at);
                if app.outlook.is_starting(dyno, at) {
                    app.world.is_starting(&name, at);
                }
            }
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

    /// Whether some times are in a zone that the log does not name.
    pub fn is_zone_unknown(&self) -> bool {
        self.summary.zone_unknown
    }

    pub fn summary(&self) -> Summary {
        let mut summary = self.summary.clone();
        summary.apps = self.apps.len();
        summary.dynos = self.apps.iter().map(|app| app.world.dynos()).sum();
        for app in &self.apps {
            summary.worth.add(app.ledger.worth);
            summary.has_window |= !app.plan.policy.window.is_empty();
        }
        summary
    }

    /// The app of a line, with an engine.
    fn place(&mut self, system: Option<&[u8]>) -> Option<usize> {
        let place = self.roster.place(system)?;
        if place == self.apps.len() {
            let plan = AppPlan { dry_run: false, ..(self.plan_for)(self.roster.app(place)) };
            let mut outlook = Outlook::default();
            if self.is_partial {
                outlook.set_partial();
            }
            self.apps.push(App {
                days: Days::new(&plan),
                engine: Engine::new(vec![plan.clone()], SEED),
                ledger: Ledger::default(),
                outlook,
                plan,
                world: World::default(),
            });
        }
        Some(place)
    }

    fn take(&mut self, place: usize, fact: Fact<DynoRef<'_>>, at: Timestamp, output: &mut Vec<ReplayOutput>) {
        let app = &mut self.apps[place];
        app.weigh(&fact, at);
        if let Fact::Error { code, dyno: Some(dyno) } = &fact
            && let Some(why) = app.not_acted_on(*code, dyno)
        {
            self.summary.note_error(dyno.process_type, why, *code);
        }
        let Some(fact) = fact.name_dyno(|dyno| app.listed(&dyno)) else { return };
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

    /// Tells an app's engine what the log has shown of its days so far.
    fn tell_days(&mut self, place: usize, output: &mut Vec<ReplayOutput>) {
        let Some(Clock { now, .. }) = self.clock else { return };
        let App { days, plan, .. } = &mut self.apps[place];
        for input in days.inputs(plan, now.wall) {
            self.handle(place, input, now, output);
        }
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
                        app.settle(&mut decision.action, decision.dyno.as_ref(), decision.at);
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

/// Whether an app's text names a code that only the platform's own lines count for.
fn is_mention(msg: &[u8]) -> bool {
    let is_apart = |octet: Option<&u8>| octet.is_none_or(|octet| !octet.is_ascii_alphanumeric());
    memchr::memmem::find_iter(msg, b"R14")
        .any(|at| is_apart(at.checked_sub(1).and_then(|before| msg.get(before))) && is_apart(msg.get(at + 3)))
}

/// Any constant will do: a replay is repeatable.
const SEED: u64 = 14;

/// Each engine has one app.
const ONLY: AppId = AppId(0);

// === impl App ===

impl App {
    /// The dyno's name, if it has a place in a formation of a listed process type.
    fn listed(&self, dyno: &DynoRef<'_>) -> Option<DynoName> {
        listed(&self.plan.policy.process_types, dyno)
    }

    /// Why no rule acts on an error; none if a rule does.
    fn not_acted_on(&self, code: Code, dyno: &DynoRef<'_>) -> Option<NotActedOn> {
        if !is_of_formation(dyno) {
            return Some(NotActedOn::OneOff);
        }
        if self.listed(dyno).is_none() {
            let types = self.plan.policy.process_types.iter().map(|listed| listed.as_str().into());
            return Some(NotActedOn::NotListed { listed: types.collect() });
        }
        let on_code =
            |trigger: &Trigger| matches!(trigger, Trigger::Errors { codes, .. } if codes.contains(&code));
        let mut rules = self.plan.rules.iter().filter(|rule| on_code(&rule.trigger)).peekable();
        if rules.peek().is_none() {
            return Some(NotActedOn::NoRule);
        }
        rules.all(|rule| rule.act == Act::Notify).then_some(NotActedOn::NotifyOnly)
    }

    /// Counts the time over quota.
    fn weigh(&mut self, fact: &Fact<DynoRef<'_>>, at: Timestamp) {
        let dyno = fact.dyno().copied().filter(is_of_formation);
        let Some(DynoRef { process_type, index }) = dyno else { return };
        match fact {
            Fact::Error { code: Code::R14 | Code::R15, .. } => self.ledger.over(process_type, index, at),
            Fact::Memory { permille, .. } if *permille > 1000 => self.ledger.over(process_type, index, at),
            Fact::Sample { total, quota, .. } if total > quota => self.ledger.over(process_type, index, at),
            Fact::Life {
                change: Change::Starting | Change::State { to: DynoState::Starting, .. }, ..
            } => {
                self.ledger.started(process_type, index, at);
            }
            _ => {}
        }
    }

    /// Leaves out of a decision what the log does not show, and counts it.
    fn settle(&mut self, action: &mut Action, dyno: Option<&DynoName>, at: Timestamp) {
        let (Action::Restart { formation, .. }, Some(dyno)) = (action, dyno) else { return };
        let process_type = dyno.process_type().as_str();
        if *formation == 1 && !self.outlook.has_one(process_type, at) {
            *formation = UNKNOWN;
        }
        self.ledger.restarted(process_type, dyno.index(), at);
    }
}

/// The dyno's name, if it has a place in a formation of one of these types.
fn listed(types: &[ProcessType], dyno: &DynoRef<'_>) -> Option<DynoName> {
    let process_type = types.iter().find(|listed| listed.as_str() == dyno.process_type)?;
    is_of_formation(dyno).then(|| DynoName::new(process_type.clone(), dyno.index))
}

/// The size of a formation that the log does not show.
const UNKNOWN: usize = 0;
