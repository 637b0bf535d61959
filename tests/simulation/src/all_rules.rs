//! Days with every kind of rule: besides R14, memory with proof, swap, uptime in the quiet hours, and slow
//! dynos.
//!
//! What the daemon learns over days is drawn, and changes as if it were learned again: rules must keep the
//! promises whatever they are told.

use std::sync::Arc;
use std::time::Duration;

use dynowarden_core::calendar::QuietHours;
use dynowarden_core::days::verdict::Verdict;
use dynowarden_core::engine::Input;
use dynowarden_core::engine::days::{AppDays, Breaches};
use dynowarden_core::event::Megabytes;
use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::policy::{Act, Factor, MemoryBound, Proof, Rule, Trigger};
use dynowarden_core::time::since;
use heroku_sim::rng::Chance;
use jiff::tz::TimeZone;

use crate::scenario::{Event, Scenario, secs};
use crate::{Simulation, Wrong, app_id};

/// How often the daemon looks at the ages of dynos.
const EVERY: Duration = Duration::from_secs(60);

/// Adds the rules to each app of a day, and the times at which the daemon is told what they rest on.
pub(crate) fn add(scenario: &mut Scenario, seed: u64) {
    let mut chance = Chance::new(seed ^ 0x0061_6c6c_2072_756c);
    for app in &mut scenario.apps {
        app.spec.metrics = true;
        app.plan.rules.retain(|rule| &*rule.name != "memory");
        app.plan.rules.extend(rules(&mut chance));
    }
    let mut at = scenario.start;
    while at < scenario.end {
        scenario.events.push((at, Event::DaysTold));
        at = dynowarden_core::time::later(at, EVERY);
    }
}

fn rules(chance: &mut Chance) -> [Rule; 4] {
    let rule = |name: &str, trigger| Rule {
        name: name.into(),
        trigger,
        act: Act::Restart,
        window: Vec::new(),
        proof: None,
    };
    let above = MemoryBound::OfQuota { permille: 850 + chance.below(150) as u32 };
    let memory = Trigger::Memory { above, lasting: chance.span(secs(60), secs(300)) };
    let above = MemoryBound::Size(Megabytes { hundredths: 100 * (10 + chance.below(90)) });
    let swap = Trigger::Swap { above, lasting: chance.span(secs(60), secs(300)) };
    let quiet = vec!["quiet".parse().expect("a window")];
    let above = chance.span(secs(3600), secs(20 * 3600));
    [
        Rule { proof: Some(Proof { breached: 2, of: 3 }), ..rule("memory", memory) },
        rule("swap", swap),
        Rule { window: quiet, ..rule("uptime", Trigger::Uptime { above }) },
        rule("slow", Trigger::SlowerThanPeers { above: Factor { permille: 1500 } }),
    ]
}

/// The longest time that restarts of all dynos take, one after the other.
const ENDING: Duration = Duration::from_secs(30 * 60);

impl Simulation {
    /// The daemon is told the ages of dynos, sometimes what it has learned, and that a dyno is slow.
    pub(super) fn tell_days(&mut self) -> Result<(), Wrong> {
        // The last restart has to settle before the day ends.
        let is_ending = since(self.now, self.scenario.end) < ENDING;
        if self.daemon.is_none() || is_ending {
            return Ok(());
        }
        for app in 0..self.scenario.apps.len() {
            // At the first look of a process, and as it learns.
            if self.chance.hits(30) || self.daemon.as_ref().is_some_and(|daemon| daemon.is_new(self.now)) {
                let days = self.learned(app);
                self.invariants.quiet.insert(app, (self.now, days.quiet.clone()));
                self.input(Input::Days { app: app_id(app), days })?;
            }
            let name = self.app_name(app);
            let dynos: Vec<_> = self.platform.world.dynos(&name).filter(|dyno| !dyno.is_one_off).collect();
            let names: Vec<DynoName> = dynos.iter().map(|dyno| dyno.name.clone()).collect();
            // The start of a process whose lines were lost is not known.
            let ages = dynos.iter().map(|dyno| (dyno.name.clone(), Some(dyno.created_at)));
            let mut ages: Vec<_> = ages.collect();
            for (_, started) in &mut ages {
                *started = started.filter(|_| !self.chance.hits(200));
            }
            ages.sort_unstable();
            self.figures.did("ages_told", 1);
            self.input(Input::Ages { app: app_id(app), dynos: ages })?;
            if self.chance.hits(5)
                && let Some(dyno) = self.chance.pick(&names).cloned()
            {
                self.slow(app_id(app), dyno)?;
            }
        }
        Ok(())
    }

    fn slow(&mut self, app: AppId, dyno: DynoName) -> Result<(), Wrong> {
        let at = self.clock().wall();
        self.figures.did("slow_told", 1);
        self.invariants.promises.slow(app.0 as usize, &dyno, self.now);
        self.input(Input::Slow { app, dyno, rule: Arc::from("slow"), at })
    }

    /// Something that an app's last days may have shown.
    fn learned(&mut self, app: usize) -> AppDays {
        let plan = &self.scenario.apps[app].plan;
        let chance = &mut self.chance;
        let quiet =
            chance.hits(850).then(|| QuietHours { from: chance.below(24) as u8, zone: TimeZone::UTC });
        let types = plan.policy.process_types.iter();
        let breaches = types.clone().map(|process_type| Breaches {
            process_type: process_type.clone(),
            rule: Arc::from("memory"),
            breached: chance.below(4) as u32,
        });
        let breaches = breaches.collect();
        // One that levels out above its quota is given up sooner, which the judge does not expect.
        let verdicts = [Verdict::Leaks, Verdict::LevelsOutBelow, Verdict::Spikes, Verdict::Unknown];
        let verdicts = types
            .map(|process_type| (process_type.clone(), *chance.pick(&verdicts).expect("there are some")));
        AppDays { quiet, breaches, verdicts: verdicts.collect() }
    }
}
