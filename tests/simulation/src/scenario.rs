//! The meaning of a seed: the apps, their settings, and the events of a day.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use dynowarden_core::codes::Code;
use dynowarden_core::ident::{AppName, DynoName, ProcessType};
use dynowarden_core::policy::{Act, AppPlan, MemoryBound, Policy, Rate, Rule, Trigger};
use dynowarden_core::time::later;
use heroku_sim::app::{AppSpec, Chatter, Formation};
use heroku_sim::dyno::{Behaviour, DynoPlan};
use heroku_sim::one_off::OneOff;
use heroku_sim::operations::Rollout;
use heroku_sim::rng::Chance;
use heroku_sim::sender::{Chaos, DrainPolicy, Wording};
use heroku_sim::status_page::Light;

use crate::Days;
use crate::drains::DrainKind;
use crate::figures::Figures;
use crate::hostile::{self, Mishaps};

#[derive(Clone, Debug)]
pub struct ScenarioApp {
    pub spec: AppSpec,
    pub plan: AppPlan,
    pub drains: DrainKind,
    /// Dynos that behave differently from their formation.
    pub dynos: Vec<(DynoName, DynoPlan)>,
}

/// An event from outside the system.
#[derive(Clone, Debug)]
pub enum Event {
    Clock(SignedDuration),
    Crash {
        app: usize,
        dyno: DynoName,
    },
    Deploy {
        app: usize,
        rollout: Rollout,
    },
    /// A release that fixes every leak of the app.
    Fix {
        app: usize,
    },
    /// A watched app gets a drain with the URL of another one.
    CrossDrain {
        from: usize,
        to: usize,
    },
    CrossDrainEnds {
        from: usize,
        to: usize,
    },
    FirstDrainEnds {
        app: usize,
    },
    /// Another app gets a drain with the URL of this one.
    ForeignDrain {
        stranger: usize,
        app: usize,
    },
    ForeignDrainEnds {
        stranger: usize,
    },
    /// The daemon learns from the last days.
    DaysTold,
    Heal,
    /// Other users of the account leave at most this many calls.
    Hungry {
        calls_left: u32,
    },
    Idle {
        app: usize,
        dyno: DynoName,
    },
    Kill,
    Order {
        app: usize,
        dyno: Option<DynoName>,
    },
    /// Heroku's status page does not answer.
    PageAway(bool),
    OtherUsers {
        tokens_left: u32,
    },
    Pause {
        app: Option<usize>,
        span: Duration,
    },
    Plan {
        app: usize,
        dyno: DynoName,
        plan: DynoPlan,
    },
    Rename {
        app: usize,
        to: AppName,
        is_taken_over: bool,
    },
    Resume {
        app: Option<usize>,
    },
    Run {
        app: usize,
        one_off: OneOff,
    },
    RestartByPerson {
        app: usize,
        dyno: DynoName,
    },
    Scale {
        app: usize,
        process_type: ProcessType,
        quantity: u32,
    },
    /// The app gets another drain with its own URL.
    SecondDrain {
        app: usize,
    },
    Start,
    StatusPage(Light),
    /// SIGTERM.
    Stop,
    /// The process has ended in order.
    Stopped {
        life: u32,
    },
    StoreAway(bool),
    ApiCondition(ApiCondition),
}

#[derive(Clone, Debug)]
pub struct Stranger {
    pub spec: AppSpec,
}

/// A lasting condition of the Platform API, besides single faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiCondition {
    Fair,
    Down,
    Forbidden,
    Garbled,
    Slow,
    Throttled { retry_after: bool },
    Unauthorized,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub apps: Vec<ScenarioApp>,
    /// How many of a thousand dynos that we restart die once while they settle.
    pub dies_settling: u32,
    pub drain: DrainPolicy,
    pub events: Vec<(Timestamp, Event)>,
    /// Only the events occur: calls meet no chance mishaps, and the daemon is not disturbed at its work.
    pub is_calm: bool,
    /// The kinds of hostility that occur.
    pub kinds: Vec<&'static str>,
    pub mishaps: Mishaps,
    /// Whether the daemon reads Heroku's status page.
    pub reads_page: bool,
    /// How many of a thousand claims and DELETEs are followed by a SIGTERM.
    pub stops_at_work: u32,
    /// Apps that are not watched.
    pub strangers: Vec<Stranger>,
    pub start: Timestamp,
    pub heals_at: Timestamp,
    pub end: Timestamp,
}

/// The simulated time after that, in which everything must come to rest.
pub const REST: Duration = Duration::from_secs(100 * 60);

/// The longest downtime of the daemon.
pub const DOWN_MAX: Duration = Duration::from_secs(20 * 60);

impl Scenario {
    /// A day, on which the kind of hostility of this name occurs in any case.
    pub fn draw(chance: &mut Chance, Days { length: day, kind, .. }: Days<'_>) -> Self {
        // A Thursday, so that windows of weekdays open and close.
        let start: Timestamp = "2026-03-05T00:00:00Z".parse().expect("a time");
        let heals_at = later(start, day);
        let count = 1 + usize::from(chance.hits(450)) + usize::from(chance.hits(150));
        let apps: Vec<ScenarioApp> = (0..count).map(|index| app(chance, index)).collect();
        let mut scenario = Self {
            drain: drain(chance),
            heals_at,
            end: later(heals_at, REST),
            is_calm: false,
            ..Self::calm(apps, start, day)
        };
        scenario.draw_world(chance, day);
        scenario.draw_daemon(chance, day);
        scenario.draw_api_conditions(chance, day);
        hostile::draw(&mut scenario, chance, (day, kind));
        scenario.events.push((heals_at, Event::Heal));
        scenario
    }

    /// A day on which nothing happens to these apps.
    pub fn calm(apps: Vec<ScenarioApp>, start: Timestamp, day: Duration) -> Self {
        let end = later(start, day);
        Self {
            apps,
            dies_settling: 0,
            drain: DrainPolicy::default(),
            events: Vec::new(),
            is_calm: true,
            kinds: Vec::new(),
            mishaps: Mishaps::default(),
            reads_page: false,
            stops_at_work: 0,
            strangers: Vec::new(),
            start,
            heals_at: end,
            end,
        }
    }

    /// Counts the day's lasting conditions.
    pub fn count(&self, figures: &mut Figures) {
        self.kinds.iter().for_each(|kind| figures.fault(kind));
        let chaos = self.drain.chaos;
        for (kind, is_there) in [
            ("lines_delayed", chaos.delay_permille > 0),
            ("lines_out_of_order", chaos.reorder_permille > 0),
            ("lines_twice", chaos.duplicate_permille > 0),
            ("preboot", self.apps.iter().any(|app| app.spec.preboot)),
            ("two_nodes", self.drain.nodes > 1),
        ] {
            if is_there {
                figures.fault(kind);
            }
        }
    }

    fn draw_world(&mut self, chance: &mut Chance, day: Duration) {
        for app in 0..self.apps.len() {
            for _ in 0..chance.below(4) {
                let rollout = match chance.below(3) {
                    0 => Rollout::Rolling(chance.span(secs(10), secs(60))),
                    _ => Rollout::AtOnce,
                };
                self.at_random(chance, day, Event::Deploy { app, rollout });
            }
            for _ in 0..chance.below(3) {
                let process_type = web();
                let quantity = 1 + chance.below(9) as u32;
                self.at_random(chance, day, Event::Scale { app, process_type, quantity });
            }
            for _ in 0..chance.below(5) {
                let dyno = self.any_dyno(chance, app);
                self.at_random(chance, day, Event::Crash { app, dyno });
            }
            for _ in 0..chance.below(3) {
                let dyno = self.any_dyno(chance, app);
                self.at_random(chance, day, Event::RestartByPerson { app, dyno });
            }
            if chance.hits(100) {
                let dyno = self.any_dyno(chance, app);
                self.at_random(chance, day, Event::Idle { app, dyno });
            }
            for _ in 0..chance.below(4) {
                let dyno = self.any_dyno(chance, app);
                let plan = dyno_plan(chance);
                self.at_random(chance, day, Event::Plan { app, dyno, plan });
            }
        }
    }

    fn draw_daemon(&mut self, chance: &mut Chance, day: Duration) {
        for _ in 0..chance.below(6) {
            let at = self.time(chance, day);
            self.events.push((at, Event::Kill));
        }
        for _ in 0..chance.below(5) {
            let app = chance.below(self.apps.len() as u64) as usize;
            let dyno = chance.hits(700).then(|| self.any_dyno(chance, app));
            self.at_random(chance, day, Event::Order { app, dyno });
        }
        for _ in 0..chance.below(3) {
            let app = chance.hits(700).then(|| chance.below(self.apps.len() as u64) as usize);
            let span = chance.span(secs(60), secs(3 * 3600));
            self.at_random(chance, day, Event::Pause { app, span });
            if chance.hits(500) {
                let app = chance.hits(600).then(|| chance.below(self.apps.len() as u64) as usize);
                self.at_random(chance, day, Event::Resume { app });
            }
        }
        if chance.hits(400) {
            let at = self.time(chance, day);
            let skew = SignedDuration::from_millis(chance.below(600_000) as i64 - 300_000);
            self.events.push((at, Event::Clock(skew)));
            let back = later(at, chance.span(secs(60), secs(2 * 3600))).min(self.heals_at);
            self.events.push((back, Event::Clock(SignedDuration::ZERO)));
        }
        if chance.hits(200) {
            let at = self.time(chance, day);
            self.events.push((at, Event::StoreAway(true)));
            let back = later(at, chance.span(secs(5), secs(1200))).min(self.heals_at);
            self.events.push((back, Event::StoreAway(false)));
        }
    }

    fn draw_api_conditions(&mut self, chance: &mut Chance, day: Duration) {
        const CONDITIONS: [ApiCondition; 7] = [
            ApiCondition::Down,
            ApiCondition::Forbidden,
            ApiCondition::Garbled,
            ApiCondition::Slow,
            ApiCondition::Throttled { retry_after: false },
            ApiCondition::Throttled { retry_after: true },
            ApiCondition::Unauthorized,
        ];
        for _ in 0..chance.below(5) {
            let at = self.time(chance, day);
            let api_condition = *chance.pick(&CONDITIONS).expect("there are some");
            self.events.push((at, Event::ApiCondition(api_condition)));
            let longest = if chance.hits(300) { secs(3600) } else { secs(300) };
            let back = later(at, chance.span(secs(5), longest)).min(self.heals_at);
            self.events.push((back, Event::ApiCondition(ApiCondition::Fair)));
        }
        for _ in 0..chance.below(3) {
            let tokens_left = chance.below(1500) as u32;
            self.at_random(chance, day, Event::OtherUsers { tokens_left });
        }
    }

    pub(crate) fn at_random(&mut self, chance: &mut Chance, day: Duration, event: Event) {
        let at = self.time(chance, day);
        self.events.push((at, event));
    }

    pub(crate) fn time(&self, chance: &mut Chance, day: Duration) -> Timestamp {
        later(self.start, chance.span(Duration::ZERO, day))
    }

    fn any_dyno(&self, chance: &mut Chance, app: usize) -> DynoName {
        let formation = chance.pick(&self.apps[app].spec.formations).expect("an app has formations");
        let index = 1 + chance.below(u64::from(formation.quantity).max(1)) as u32;
        DynoName::new(formation.process_type.clone(), index)
    }
}

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn web() -> ProcessType {
    "web".parse().expect("a type")
}

fn app(chance: &mut Chance, index: usize) -> ScenarioApp {
    let name = format!("app-{index}").parse().expect("a name");
    let webs = 1 + chance.below(7).min(chance.below(9)) as u32;
    let mut spec = AppSpec::new(name, webs);
    spec.formations[0].plan = dyno_plan(chance);
    if chance.hits(500) {
        let worker: ProcessType = "worker".parse().expect("a type");
        let mut formation = Formation::new(worker, 1 + chance.below(3) as u32);
        formation.plan = dyno_plan(chance);
        spec.formations.push(formation);
    }
    spec.preboot = chance.hits(250);
    spec.metrics = chance.hits(60);
    spec.uptime = chance.span(secs(600), secs(23 * 3600));
    if chance.hits(300) {
        spec.chatter = Some(Chatter { every: chance.span(secs(120), secs(900)), forging: true });
    }
    if chance.hits(200) {
        spec.router_every = Some(chance.span(secs(120), secs(900)));
    }
    let mut dynos = Vec::new();
    for formation in &spec.formations {
        for place in 1..=formation.quantity + 2 {
            if chance.hits(350) {
                let name = DynoName::new(formation.process_type.clone(), place);
                dynos.push((name, dyno_plan(chance)));
            }
        }
    }
    let plan = AppPlan {
        name: spec.name.clone(),
        dry_run: chance.hits(60),
        policy: policy(chance),
        rules: rules(chance, spec.metrics),
    };
    ScenarioApp { spec, plan, drains: DrainKind::default(), dynos }
}

fn dyno_plan(chance: &mut Chance) -> DynoPlan {
    let behaviour = match chance.below(100) {
        0..32 => {
            // From the start to the quota in a quarter of an hour to two hours, and on to the kill.
            let mb_per_min = 3 + chance.below(20) as u32;
            Behaviour::Leak { from_mb: 180 + chance.below(120) as u32, mb_per_min }
        }
        32..34 => Behaviour::Plateau { permille: 1050 + chance.below(700) as u32 },
        34..54 => {
            let every = chance.span(secs(3600), secs(6 * 3600));
            let lasting = chance.span(secs(30), secs(900));
            let permille = 1050 + chance.below(400) as u32;
            Behaviour::Spike { permille, every, lasting }
        }
        54..58 => Behaviour::Leak { from_mb: 300, mb_per_min: 100 + chance.below(200) as u32 },
        _ => Behaviour::Steady { mb: 150 + chance.below(300) as u32 },
    };
    DynoPlan {
        behaviour,
        boot: match chance.below(20) {
            0 => chance.span(secs(60), secs(400)),
            1..5 => chance.span(secs(10), secs(59)),
            _ => chance.span(secs(1), secs(10)),
        },
        boot_failures: if chance.hits(60) { 1 + chance.below(3) as u32 } else { 0 },
        crash_after: chance.hits(60).then(|| chance.span(secs(5), secs(4 * 3600))),
        linger: if chance.hits(150) { chance.span(secs(10), secs(40)) } else { secs(6) },
    }
}

fn policy(chance: &mut Chance) -> Policy {
    let web = web();
    let mut process_types = vec![web];
    if chance.hits(300) {
        process_types.push("worker".parse().expect("a type"));
    }
    let min_uptime = match chance.below(10) {
        // With less, the operator says that lines of the old process, which lives on for half a minute,
        // count.
        0 => chance.span(secs(36), secs(60)),
        1 | 2 => chance.span(secs(60), secs(180)),
        3 | 4 => chance.span(secs(180), secs(600)),
        _ => secs(180),
    };
    let window = if chance.hits(80) {
        let from = chance.below(24);
        let text = format!("{from:02}:00-{:02}:30 America/New_York", (from + 6) % 24);
        vec![text.parse().expect("a window")]
    } else {
        Vec::new()
    };
    Policy {
        process_types,
        cooldown: chance.span(secs(180), secs(1500)),
        max_restarts: Rate {
            count: number(1 + chance.below(4)),
            per: chance.span(secs(1800), secs(4 * 3600)),
        },
        give_up_after: NonZeroU32::MIN.saturating_add(2),
        give_up_for: chance.span(secs(900), secs(6 * 3600)),
        max_concurrent: number(1 + chance.below(6).saturating_sub(3)),
        settle: chance.span(secs(5), secs(90)),
        min_uptime,
        boot_timeout: chance.span(secs(45), secs(240)),
        window,
    }
}

fn rules(chance: &mut Chance, metrics: bool) -> Vec<Rule> {
    let mut rules = vec![Rule {
        name: "r14".into(),
        trigger: Trigger::Errors {
            codes: vec![Code::R14],
            count: number(1 + chance.below(5).saturating_sub(2)),
            within: chance.span(secs(120), secs(300)),
        },
        act: Act::Restart,
        window: Vec::new(),
        proof: None,
    }];
    if metrics && chance.hits(700) {
        rules.push(Rule {
            name: "memory".into(),
            trigger: Trigger::Memory {
                above: MemoryBound::OfQuota { permille: 800 + chance.below(250) as u32 },
                lasting: chance.span(secs(60), secs(300)),
            },
            act: Act::Restart,
            window: Vec::new(),
            proof: None,
        });
    }
    if chance.hits(200) {
        rules.push(Rule {
            name: "tell".into(),
            trigger: Trigger::Errors { codes: vec![Code::R14], count: number(2), within: secs(60) },
            act: Act::Notify,
            window: Vec::new(),
            proof: None,
        });
    }
    rules
}

fn number(count: u64) -> NonZeroU32 {
    NonZeroU32::new(count as u32).expect("not none")
}

fn drain(chance: &mut Chance) -> DrainPolicy {
    let rough = chance.hits(600);
    let permille = |chance: &mut Chance, most: u64| if rough { chance.below(most) as u32 } else { 0 };
    DrainPolicy {
        nodes: 1 + chance.below(2) as u32,
        chaos: Chaos {
            delay_permille: permille(chance, 60),
            delay_max: chance.span(secs(1), secs(60)),
            duplicate_permille: permille(chance, 60),
            lose_permille: permille(chance, 80),
            reorder_permille: permille(chance, 60),
        },
        wording: match chance.below(3) {
            0 => Wording::Own,
            1 => Wording::OwnWithNewline,
            _ => Wording::Shared,
        },
        ..DrainPolicy::default()
    }
}
