//! Dyno events: the lines, their order and their intervals are those of heroku.md §2.3, §2.4 and §3.
//!
//! A restart gives the place a new instance at once. The old process runs on, unlisted and under the same
//! name, until it ends: it may write its last lines after the new one is up.

use std::time::Duration;

use jiff::Timestamp;

use crate::line::LogLine;
use crate::world::{Cause, Event, World};
use dynowarden_core::event::DynoState;
use dynowarden_core::ident::{AppName, DynoName};
use dynowarden_core::time::{later, since};

impl World {
    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::BootTimeout(key) => self.fail_boot(key),
            Event::Chat(app) => self.chat(&app),
            Event::Crash(key) => self.crash_dyno(key),
            Event::Cycle(key) => self.replace_in(key, DynoState::Up, Cause::Cycle),
            Event::Exit(key, status) => self.exit(key, status),
            Event::Line(line) => self.lines.push(line),
            Event::Replace(app, name, cause) => {
                if self.current_key(&app, &name).is_ok() {
                    self.replace(&app, &name, cause);
                }
            }
            Event::Retire(key) => self.retire(key),
            Event::Revive(key) => self.replace_in(key, DynoState::Crashed, Cause::Crash),
            Event::Route(app) => self.route(&app),
            Event::Sample(key) => self.sample(key),
            Event::Start(key) => self.start(key),
            Event::Terminate(key) => self.terminate(key),
            Event::Up(key) => self.up(key),
        }
    }

    /// Puts a new instance in a place and starts the old one's end.
    pub(super) fn replace(&mut self, app: &AppName, name: &DynoName, cause: Cause) {
        let Ok(old_key) = self.current_key(app, name) else { return };
        let Some(old) = self.dynos.get(&old_key) else { return };
        if old.is_one_off {
            return self.remove(app, name);
        }
        let (old_state, old_running) = (old.state, old.running);
        let state = self.apps.get_mut(app).expect("a place belongs to an app");
        let preboot = state.spec.preboot && old_running && old_state == DynoState::Up;
        let overlap = preboot && matches!(cause, Cause::Person | Cause::Release);
        if matches!(cause, Cause::Person | Cause::Release) {
            state.crashes.remove(name);
        }

        match cause {
            Cause::Cycle => self.say(old_key, Duration::ZERO, "Cycling"),
            Cause::Person => self.say(old_key, Duration::ZERO, "Restarting"),
            Cause::Crash | Cause::Killed | Cause::Release => {}
        }
        let new_key = self.add_instance(app, name, self.now);
        if !overlap {
            self.say(new_key, MS * 50, format!("State changed from {} to starting", old_state.word()));
        }
        let start_in = self.chance.span(MS * 1500, MS * 2500);
        self.plan_in(start_in, Event::Start(new_key));
        if overlap {
            // Whether preboot also covers the restart of a single dyno is not documented; this is the harder
            // case.
            let old = self.dynos.get_mut(&old_key).expect("looked up above");
            old.listed = cause == Cause::Release;
            self.plan_in(BOOT_TIMEOUT + PREBOOT_GRACE, Event::Retire(old_key));
        } else if old_running {
            self.unlist(old_key);
            self.plan_in(start_in + MS * 17, Event::Terminate(old_key));
        } else {
            self.dynos.remove(&old_key);
        }
    }

    /// Takes a place out of its formation, or ends a one-off dyno.
    pub(super) fn remove(&mut self, app: &AppName, name: &DynoName) {
        let state = self.apps.get_mut(app).expect("scaled by its name");
        let Some(key) = state.current.remove(name) else { return };
        state.crashes.remove(name);
        self.unlist(key);
        if self.dynos.get(&key).is_some_and(|dyno| dyno.running) {
            self.say(key, MS * 400, "State changed from up to down");
            self.plan_in(MS * 450, Event::Terminate(key));
        } else {
            self.dynos.remove(&key);
        }
    }

    pub(super) fn crash_dyno(&mut self, key: u64) {
        if self.dynos.get(&key).is_some_and(|dyno| dyno.running && self.is_current(key)) {
            self.say(key, Duration::ZERO, "Process exited with status 1");
            self.fall(key, MS * 40);
        }
    }

    pub(super) fn idle_dyno(&mut self, key: u64) {
        let Some(dyno) = self.dynos.get_mut(&key).filter(|dyno| dyno.running) else { return };
        (dyno.state, dyno.running, dyno.updated_at) = (DynoState::Idle, false, self.now);
        self.say(key, Duration::ZERO, "Idling");
        self.say(key, MS * 20, "State changed from up to down");
        self.say(key, MS * 900, "Stopping all processes with SIGTERM");
        self.say(key, MS * 1300, "Process exited with status 143");
    }

    /// Brings the instance up at once, without a line, as for the dynos of a new app.
    pub(super) fn come_up(&mut self, key: u64, since_at: Timestamp, warm_since: Timestamp) {
        let Some(dyno) = self.dynos.get_mut(&key) else { return };
        dyno.running = true;
        dyno.state = DynoState::Up;
        dyno.updated_at = since_at;
        dyno.warm_since = warm_since;
        let crash_after = self.apps[&dyno.app].plan(&dyno.name).crash_after;
        let cycle_at = later(dyno.created_at, CYCLE_AFTER + self.chance.span(Duration::ZERO, CYCLE_SPREAD));
        self.plan_at(cycle_at.max(self.now), Event::Cycle(key));
        if let Some(span) = crash_after {
            self.plan_in(span, Event::Crash(key));
        }
        let first = self.chance.span(MS * 16_500, MS * 17_500);
        self.plan_sample(key, first);
    }

    fn start(&mut self, key: u64) {
        let Some(dyno) = self.dynos.get_mut(&key) else { return };
        dyno.running = true;
        dyno.warm_since = self.now;
        let (app, name, command) = (dyno.app.clone(), dyno.name.clone(), dyno.command.clone());
        self.say(key, Duration::ZERO, format!("Starting process with command `{command}`"));
        let app = self.apps.get_mut(&app).expect("a dyno belongs to an app");
        let mut plan = app.plan(&name);
        if plan.boot_failures == 0 {
            self.plan_in(plan.boot, Event::Up(key));
            return;
        }
        if plan.boot_failures < u32::MAX {
            plan.boot_failures -= 1;
        }
        app.plans.insert(name, plan);
        self.plan_in(BOOT_TIMEOUT, Event::BootTimeout(key));
    }

    fn up(&mut self, key: u64) {
        if self.dynos.get(&key).is_some_and(|dyno| dyno.running && self.is_current(key)) {
            self.say(key, Duration::ZERO, "State changed from starting to up");
            self.come_up(key, self.now, self.now);
        }
    }

    fn fail_boot(&mut self, key: u64) {
        if !self.dynos.get(&key).is_some_and(|dyno| dyno.running && self.is_current(key)) {
            return;
        }
        self.say(key, Duration::ZERO, BOOT_TIMEOUT_TEXT);
        self.say(key, MS, "Stopping process with SIGKILL");
        self.say(key, MS * 90, "Process exited with status 137");
        self.fall(key, MS * 130);
    }

    /// Sets the state to `crashed`; the platform retries after a growing pause.
    fn fall(&mut self, key: u64, line_in: Duration) {
        let Some(dyno) = self.dynos.get_mut(&key) else { return };
        if dyno.is_one_off {
            dyno.running = false;
            let (app, name) = (dyno.app.clone(), dyno.name.clone());
            return self.remove(&app, &name);
        }
        let was = dyno.state;
        let good_start = was == DynoState::Up && since(dyno.updated_at, self.now) >= GOOD_START;
        (dyno.state, dyno.running, dyno.updated_at) = (DynoState::Crashed, false, self.now);
        let (app, name) = (dyno.app.clone(), dyno.name.clone());
        self.say(key, line_in, format!("State changed from {} to crashed", was.word()));
        let app = self.apps.get_mut(&app).expect("a dyno belongs to an app");
        let in_space = app.spec.space.is_some();
        let crashes = app.crashes.entry(name).or_default();
        *crashes = if good_start { 1 } else { *crashes + 1 };
        let row = usize::try_from(*crashes - 1).unwrap_or(usize::MAX).min(COOL_OFF_MINUTES.len() - 1);
        let longest = if in_space { Duration::ZERO } else { Duration::from_secs(60 * COOL_OFF_MINUTES[row]) };
        let pause = self.chance.span(longest / 2, longest);
        self.plan_in(pause + line_in + MS * 30, Event::Revive(key));
    }

    fn terminate(&mut self, key: u64) {
        let Some(dyno) = self.dynos.get(&key).filter(|dyno| dyno.running) else { return };
        let linger = self.apps[&dyno.app].plan(&dyno.name).linger;
        self.say(key, Duration::ZERO, "Stopping all processes with SIGTERM");
        if linger < EXIT_TIMEOUT {
            self.plan_in(linger, Event::Exit(key, 143));
        } else {
            self.say(key, EXIT_TIMEOUT, EXIT_TIMEOUT_TEXT);
            self.say(key, EXIT_TIMEOUT + MS, "Stopping remaining processes with SIGKILL");
            self.plan_in(EXIT_TIMEOUT + MS * 80, Event::Exit(key, 137));
        }
    }

    fn exit(&mut self, key: u64, status: u8) {
        if self.dynos.get(&key).is_some_and(|dyno| dyno.running) {
            self.say(key, Duration::ZERO, format!("Process exited with status {status}"));
            self.dynos.remove(&key);
        }
    }

    /// Ends preboot: the old instance goes.
    fn retire(&mut self, key: u64) {
        self.unlist(key);
        self.terminate(key);
    }

    /// Writes a line of the dyno manager about one instance.
    pub(super) fn say(&mut self, key: u64, span: Duration, text: impl Into<Vec<u8>>) {
        let Some(dyno) = self.dynos.get(&key) else { return };
        let at = later(self.now, span);
        let mut line = LogLine::heroku(dyno.app.clone(), dyno.name.to_string(), text, at);
        line.instance = Some(dyno.id);
        self.plan_at(at, Event::Line(line));
    }

    /// Writes a line of the API's events.
    pub(super) fn say_api(&mut self, app: &AppName, span: Duration, text: String) {
        let at = later(self.now, span);
        self.plan_at(at, Event::Line(LogLine::app(app.clone(), "api", text, at)));
    }

    pub(super) fn is_current(&self, key: u64) -> bool {
        self.dynos.get(&key).is_some_and(|dyno| self.current_key(&dyno.app, &dyno.name) == Ok(key))
    }

    /// Replaces an instance that is still current and still in `state`.
    fn replace_in(&mut self, key: u64, state: DynoState, cause: Cause) {
        if let Some(dyno) = self.dynos.get(&key)
            && dyno.state == state
            && self.is_current(key)
        {
            let (app, name) = (dyno.app.clone(), dyno.name.clone());
            self.replace(&app, &name, cause);
        }
    }

    fn unlist(&mut self, key: u64) {
        if let Some(dyno) = self.dynos.get_mut(&key) {
            dyno.listed = false;
        }
    }
}

const MS: Duration = Duration::from_millis(1);

/// heroku.md §2.5, R10.
const BOOT_TIMEOUT: Duration = Duration::from_secs(60);
const BOOT_TIMEOUT_TEXT: &str =
    "Error R10 (Boot timeout) -> Web process failed to bind to $PORT within 60 seconds of launch";

/// heroku.md §2.5, R12.
const EXIT_TIMEOUT: Duration = Duration::from_secs(30);
const EXIT_TIMEOUT_TEXT: &str =
    "Error R12 (Exit timeout) -> Process failed to exit within 30 seconds of SIGTERM";

/// How long preboot keeps the old dynos beyond the boot timeout (heroku.md §2.4).
const PREBOOT_GRACE: Duration = Duration::from_secs(120);

/// The daily restart and its spread (heroku.md §3).
const CYCLE_AFTER: Duration = Duration::from_secs(24 * 3600);
const CYCLE_SPREAD: Duration = Duration::from_secs(216 * 60);

/// The longest pause before the first, second … restart after consecutive crashes (heroku.md §3).
const COOL_OFF_MINUTES: [u64; 6] = [0, 20, 40, 60, 180, 320];

/// A process that was up this long started well. The documentation gives no figure.
const GOOD_START: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use crate::app::AppSpec;
    use crate::dyno::{Behaviour, DynoPlan};
    use crate::operations::Rollout;
    use crate::world::World;
    use dynowarden_core::event::DynoState;
    use dynowarden_core::ident::{AppName, DynoName};
    use dynowarden_core::time::{later, since};

    fn at(seconds: u64) -> Timestamp {
        let start = Timestamp::from_second(1_767_225_600).expect("2026 is a time");
        later(start, Duration::from_secs(seconds))
    }

    fn acme() -> AppName {
        "acme".parse().expect("a name")
    }

    fn web(index: u32) -> DynoName {
        DynoName::new("web".parse().expect("a type"), index)
    }

    /// A world of one app with two web dynos that follow `plan`.
    fn world(plan: DynoPlan, change: impl FnOnce(&mut AppSpec)) -> World {
        let mut spec = AppSpec::new(acme(), 2);
        spec.formations[0].plan = plan;
        change(&mut spec);
        let mut world = World::new(42, at(0));
        world.add_app(spec, at(0));
        world
    }

    /// The lines until `seconds`, as `heroku logs` shows them, with the time since the start instead.
    fn timeline(world: &mut World, seconds: u64) -> Vec<String> {
        let lines = world.advance(at(seconds));
        assert!(lines.is_sorted_by_key(|line| line.at));
        let show = |line: &crate::line::LogLine| {
            let (span, text) = (since(at(0), line.at), String::from_utf8_lossy(&line.text));
            format!("{:.1} {}[{}]: {text}", span.as_secs_f64(), line.source, line.procid)
        };
        lines.iter().map(show).collect()
    }

    /// The timeline without its times.
    fn logged(world: &mut World, seconds: u64) -> Vec<String> {
        let strip = |line: String| line.split_once(' ').map(|(_, text)| text.to_owned()).unwrap_or_default();
        timeline(world, seconds).into_iter().map(strip).collect()
    }

    fn state(world: &World, index: u32) -> DynoState {
        world.dyno(&acme(), &web(index).to_string()).expect("it is there").state
    }

    #[test]
    fn a_restart_gives_a_new_instance_at_once_and_the_old_process_ends_last() {
        let mut world = world(DynoPlan::default(), |_| {});
        let old = world.dyno(&acme(), "web.2").expect("it is up").clone();
        world.restart(&acme(), &web(2), at(100)).expect("it is there");
        let new = world.dyno(&acme(), "web.2").expect("it is there").clone();
        assert_ne!(new.id, old.id);
        assert_eq!(
            (old.created_at, new.created_at),
            (dynowarden_core::time::earlier(at(0), Duration::from_secs(3600)), at(100))
        );
        assert_eq!((old.state, new.state), (DynoState::Up, DynoState::Starting));
        assert_eq!(world.dynos(&acme()).count(), 2);
        assert_eq!(
            logged(&mut world, 200),
            [
                "heroku[web.2]: Restarting",
                "heroku[web.2]: State changed from up to starting",
                "heroku[web.2]: Starting process with command `bin/web --port $PORT`",
                "heroku[web.2]: Stopping all processes with SIGTERM",
                "heroku[web.2]: State changed from starting to up",
                "heroku[web.2]: Process exited with status 143",
            ]
        );
        let up = world.dyno(&acme(), "web.2").expect("it is up");
        assert_eq!((up.state, &up.id), (DynoState::Up, &new.id));
        assert!((106..109).contains(&since(at(0), up.updated_at).as_secs()), "{}", up.updated_at);
    }

    #[test]
    fn a_leak_logs_r14_every_21_s_and_is_killed_at_twice_the_quota() {
        let leak =
            DynoPlan { behaviour: Behaviour::Leak { from_mb: 500, mb_per_min: 60 }, ..DynoPlan::default() };
        let mut world = world(leak, |spec| spec.formations[0].quantity = 1);
        let lines = world.advance(at(520));
        let text = |index: usize| String::from_utf8_lossy(&lines[index].text).into_owned();
        assert_eq!(
            (text(0), text(1)),
            ("Process running mem=516M(100.9%)".into(), "Error R14 (Memory quota exceeded)".into())
        );
        let errors: Vec<_> = lines.iter().filter(|line| line.text.starts_with(b"Error R14")).collect();
        assert!(errors.len() >= 23, "{}", errors.len());
        for pair in errors.windows(2) {
            let gap = since(pair[0].at, pair[1].at);
            assert!((20_300..22_100).contains(&gap.as_millis()), "{gap:?}");
            assert_eq!(pair[0].instance, pair[1].instance);
        }
        let end = logged(&mut world, 560);
        let kill = end.iter().position(|line| line.contains("R15")).expect("it is killed");
        assert_eq!(
            end[kill..kill + 6],
            [
                "heroku[web.1]: Error R15 (Memory quota vastly exceeded)",
                "heroku[web.1]: Stopping process with SIGKILL",
                "heroku[web.1]: Process exited with status 137",
                "heroku[web.1]: State changed from up to starting",
                "heroku[web.1]: Starting process with command `bin/web --port $PORT`",
                "heroku[web.1]: State changed from starting to up",
            ]
        );
    }

    #[test]
    fn the_old_process_still_logs_r14_under_the_same_name() {
        let plateau = DynoPlan {
            behaviour: Behaviour::Plateau { permille: 1782 },
            linger: Duration::from_secs(29),
            ..DynoPlan::default()
        };
        let mut world = world(plateau, |_| {});
        world.advance(at(99));
        world.restart(&acme(), &web(1), at(100)).expect("it is there");
        let new = world.dyno(&acme(), "web.1").expect("it is there").id;
        let lines = world.advance(at(130));
        let old_errors = lines.iter().filter(|line| {
            line.procid == "web.1"
                && line.text.starts_with(b"Error R14")
                && line.instance.as_ref() != Some(&new)
        });
        assert!(old_errors.count() >= 1);
    }

    #[test]
    fn preboot_runs_two_releases_at_once_for_three_minutes() {
        let plateau = DynoPlan { behaviour: Behaviour::Plateau { permille: 1100 }, ..DynoPlan::default() };
        let mut world = world(plateau, |spec| spec.preboot = true);
        assert_eq!(world.deploy(&acme(), Rollout::AtOnce, at(100)), Ok(2));
        world.advance(at(150));
        let mut releases: Vec<_> =
            world.dynos(&acme()).map(|dyno| (dyno.name.index(), dyno.release)).collect();
        releases.sort_unstable();
        assert_eq!(releases, [(1, 1), (1, 2), (2, 1), (2, 2)]);
        assert_eq!(world.dyno(&acme(), "web.1").map(|dyno| dyno.release), Some(2));
        let writers: std::collections::BTreeSet<_> = world
            .advance(at(250))
            .into_iter()
            .filter(|line| line.procid == "web.1")
            .map(|line| line.instance)
            .collect();
        assert_eq!(writers.len(), 2, "both generations log as web.1");
        world.advance(at(300));
        assert!(world.dynos(&acme()).all(|dyno| dyno.release == 2) && world.dynos(&acme()).count() == 2);
    }

    #[test]
    fn a_rolling_release_takes_one_dyno_after_the_other() {
        let mut world = world(DynoPlan::default(), |_| {});
        world.deploy(&acme(), Rollout::Rolling(Duration::from_secs(30)), at(10)).expect("acme is there");
        let first = logged(&mut world, 20);
        assert!(
            first[0].starts_with("app[api]: Deploy ")
                && first[1].starts_with("app[api]: Release v2 created by user ")
        );
        assert_eq!((state(&world, 1), state(&world, 2)), (DynoState::Up, DynoState::Up));
        assert_eq!(world.dynos(&acme()).map(|dyno| dyno.release).sum::<u64>(), 3);
        world.advance(at(60));
        assert!(world.dynos(&acme()).all(|dyno| dyno.release == 2));
    }

    #[test]
    fn crashes_are_restarted_with_growing_pauses_until_a_manual_restart() {
        let failing = DynoPlan { boot_failures: u32::MAX, ..DynoPlan::default() };
        let mut world = world(DynoPlan::default(), |_| {});
        world.set_plan(&acme(), web(1), failing).expect("acme is there");
        world.crash(&acme(), &web(1), at(100)).expect("it is up");
        assert_eq!(state(&world, 1), DynoState::Crashed);
        let lines = logged(&mut world, 163);
        assert_eq!(
            lines,
            [
                "heroku[web.1]: Process exited with status 1",
                "heroku[web.1]: State changed from up to crashed",
                "heroku[web.1]: State changed from crashed to starting",
                "heroku[web.1]: Starting process with command `bin/web --port $PORT`",
                "heroku[web.1]: Error R10 (Boot timeout) -> Web process failed to bind to $PORT within \
                 60 seconds of launch",
                "heroku[web.1]: Stopping process with SIGKILL",
                "heroku[web.1]: Process exited with status 137",
                "heroku[web.1]: State changed from starting to crashed",
            ]
        );
        assert_eq!(logged(&mut world, 163 + 540), [""; 0], "the cool-off is ten to twenty minutes");
        assert!(!logged(&mut world, 163 + 1300).is_empty());
        assert_eq!(state(&world, 1), DynoState::Crashed);
        world.set_plan(&acme(), web(1), DynoPlan::default()).expect("acme is there");
        world.restart(&acme(), &web(1), at(1500)).expect("it is there");
        world.advance(at(1510));
        assert_eq!(state(&world, 1), DynoState::Up);
    }

    #[test]
    fn boots_fail_as_often_as_planned() {
        let plan = DynoPlan { boot_failures: 1, ..DynoPlan::default() };
        let mut world = world(plan, |spec| spec.space = Some("den".into()));
        world.restart(&acme(), &web(1), at(0)).expect("it is there");
        assert!(
            logged(&mut world, 65).contains(&"heroku[web.1]: State changed from starting to crashed".into())
        );
        world.advance(at(80));
        assert_eq!(state(&world, 1), DynoState::Up, "a space has no cool-off");
    }

    #[test]
    fn a_process_that_does_not_end_is_killed_after_30_s() {
        let plan = DynoPlan { linger: Duration::from_secs(90), ..DynoPlan::default() };
        let mut world = world(plan, |_| {});
        world.restart(&acme(), &web(1), at(0)).expect("it is there");
        assert_eq!(
            logged(&mut world, 40).split_off(5),
            [
                "heroku[web.1]: Error R12 (Exit timeout) -> Process failed to exit within 30 seconds of \
                 SIGTERM",
                "heroku[web.1]: Stopping remaining processes with SIGKILL",
                "heroku[web.1]: Process exited with status 137",
            ]
        );
    }

    #[test]
    fn scaling_adds_and_removes_the_highest_dynos() {
        let mut world = world(DynoPlan::default(), |_| {});
        world.scale(&acme(), web(1).process_type(), 3, at(10)).expect("web is there");
        assert_eq!(state(&world, 3), DynoState::Starting);
        assert_eq!(
            logged(&mut world, 30)[0],
            "app[api]: Scaled to web@3:Standard-1X by user owner@example.com"
        );
        world.scale(&acme(), web(1).process_type(), 1, at(40)).expect("web is there");
        assert_eq!(world.dynos(&acme()).count(), 1);
        assert_eq!(logged(&mut world, 60).iter().filter(|line| line.ends_with("status 143")).count(), 2);
        assert!(world.restart(&acme(), &web(2), at(61)).is_err());
    }

    #[test]
    fn each_dyno_is_cycled_within_its_28th_hour_and_a_restart_resets_that() {
        let mut world = world(DynoPlan::default(), |_| {});
        world.restart(&acme(), &web(1), at(20 * 3600)).expect("it is there");
        let cycled = timeline(&mut world, 28 * 3600).into_iter().filter(|line| line.ends_with("Cycling"));
        let names: Vec<_> = cycled.filter_map(|line| line.split(' ').nth(1).map(str::to_owned)).collect();
        assert_eq!(names, ["heroku[web.2]:"]);
    }

    #[test]
    fn metrics_name_the_instance() {
        let mut world = world(DynoPlan::default(), |spec| spec.metrics = true);
        let id = world.dyno(&acme(), "web.1").expect("it is up").id;
        let lines = logged(&mut world, 18);
        let memory = lines.iter().find(|line| line.contains("memory_total") && line.contains("source=web.1"));
        let memory = memory.expect("a line of metrics");
        assert!(
            memory.contains(&format!(".{id} sample#memory_total=200.00MB sample#memory_rss=196.30MB ")),
            "{memory}"
        );
        assert!(memory.ends_with("sample#memory_quota=512.00MB"), "{memory}");
    }
}
