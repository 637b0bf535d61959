//! An app's requests by endpoint, and the memory that they leave in its dynos.
//!
//! Synthetic: forty endpoints with Zipf's popularity, each with hours and bursts of its own; dynos that are
//! chosen at random; three processes a dyno, each with a heap that grows like a saw; warming up and noise.
//! One endpoint may leak, or a job, or every request, or nothing.

use crate::curve::{log_uniform, normal, poisson, uniform};
use crate::endpoint_paths::{ENDPOINTS, path, stranger, without_query};
use crate::rng::Chance;

/// Seconds of one tick.
pub const TICK_SECONDS: i64 = 20;

/// What makes memory grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Nothing,
    /// One endpoint.
    Endpoint,
    /// One endpoint, and a second one that leaks as much.
    TwoEndpoints,
    /// One endpoint, which calls another one each time.
    Twins,
    /// Every request.
    EveryRequest,
    /// A job that runs all the time.
    SteadyJob,
    /// A job that follows the traffic of the day.
    DailyJob,
}

/// An app.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    pub cause: Cause,
    pub dynos: u32,
    /// Of one dyno, in the mean of a day.
    pub requests_a_minute: f64,
    /// The part of the requests that leaks.
    pub share: f64,
    /// What each of them leaks.
    pub kilobytes: f64,
    /// The height of each process's saw.
    pub saw_megabytes: f64,
    /// Whether the heaps also wander.
    pub wanders: bool,
    /// From one restart to the next.
    pub life_hours: f64,
    /// Whether a user stays on a dyno.
    pub has_affinity: bool,
    /// The part of the requests that are strangers' attempts at names.
    pub strangers: f64,
}

/// What happens, in the order of time.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// A process of a dyno begins.
    Started {
        dyno: u32,
    },
    Request {
        dyno: u32,
        method: &'static str,
        path: String,
        endpoint: Option<usize>,
    },
    Sample {
        dyno: u32,
        instance: u64,
        megabytes: f64,
    },
}

impl Scene {
    /// Four dynos, of which one endpoint in 3 % of the requests leaks 100 KB each.
    pub const USUAL: Self = Self {
        cause: Cause::Endpoint,
        dynos: 4,
        requests_a_minute: 120.0,
        share: 0.03,
        kilobytes: 100.0,
        saw_megabytes: 12.0,
        wanders: false,
        life_hours: 12.0,
        has_affinity: false,
        strangers: 0.0,
    };

    /// An app of this kind, from midnight on.
    pub fn start(self, mut chance: Chance) -> App {
        let order = shuffled(&mut chance);
        let culprit = order[4 + chance.below(16) as usize];
        let second = order.iter().copied().find(|endpoint| *endpoint != culprit && *endpoint % 3 == 2);
        let second = second.unwrap_or((culprit + 1) % ENDPOINTS.len());
        let mut weights = [0.0; ENDPOINTS.len()];
        for (rank, endpoint) in order.iter().enumerate() {
            weights[*endpoint] = 1.0 / (rank as f64 + 1.0);
        }
        let given: &[usize] = match self.cause {
            Cause::TwoEndpoints => &[culprit, second],
            _ => &[culprit],
        };
        if self.cause == Cause::Twins {
            // It is called by the other one, and by nobody else.
            weights[second] = 0.0;
        }
        let other: f64 =
            (0..weights.len()).filter(|endpoint| !given.contains(endpoint)).map(|place| weights[place]).sum();
        let left = 1.0 - self.share * given.len() as f64;
        for (endpoint, weight) in weights.iter_mut().enumerate() {
            *weight = if given.contains(&endpoint) { self.share } else { *weight / other * left };
        }
        let endpoints = weights.map(|weight| Endpoint::new(weight, &mut chance));
        let day = Day::new(&mut chance);
        let dynos = (1..=self.dynos).map(|number| Dyno::new(number, &self, &mut chance)).collect();
        App { scene: self, chance, culprit, second, endpoints, day, dynos, second_of: 0 }
    }
}

/// A running app.
#[derive(Clone, Debug)]
pub struct App {
    scene: Scene,
    chance: Chance,
    culprit: usize,
    second: usize,
    endpoints: [Endpoint; ENDPOINTS.len()],
    day: Day,
    dynos: Vec<Dyno>,
    /// Seconds since the start.
    second_of: i64,
}

/// The traffic of a day, with a mean of 1.
#[derive(Clone, Debug)]
struct Day {
    depth: f64,
    peak_hour: f64,
    noise: f64,
}

#[derive(Clone, Debug)]
struct Endpoint {
    weight: f64,
    day: Day,
    burst: f64,
}

#[derive(Clone, Debug)]
struct Dyno {
    number: u32,
    instance: u64,
    /// Seconds until its process is replaced.
    ends_in: i64,
    base: f64,
    warm: (f64, f64),
    slow: f64,
    served: f64,
    leaked: f64,
    heaps: [Heap; 3],
    noise: f64,
    noise_width: f64,
    wander: f64,
    /// How many of each endpoint's users are on it.
    affinity: Vec<f64>,
}

#[derive(Clone, Debug)]
struct Heap {
    filled: f64,
    limit: f64,
    requests_each: f64,
}

// === impl App ===

impl App {
    /// The endpoints that leak.
    pub fn culprits(&self) -> Vec<usize> {
        match self.scene.cause {
            Cause::Endpoint | Cause::Twins => vec![self.culprit],
            Cause::TwoEndpoints => vec![self.culprit, self.second],
            _ => Vec::new(),
        }
    }

    /// The endpoint that is called with the culprit each time.
    pub fn twin(&self) -> Option<usize> {
        (self.scene.cause == Cause::Twins).then_some(self.second)
    }

    /// Passes one tick, and shows what happens at which second.
    pub fn tick(&mut self, mut show: impl FnMut(i64, Happening)) {
        let from = self.second_of;
        let hour = from as f64 / 3600.0;
        self.second_of += TICK_SECONDS;
        for dyno in &mut self.dynos {
            dyno.ends_in -= TICK_SECONDS;
            if dyno.ends_in <= 0 {
                *dyno = Dyno {
                    ends_in: (self.scene.life_hours * 3600.0) as i64,
                    ..Dyno::new(dyno.number, &self.scene, &mut self.chance)
                };
                show(from, Happening::Started { dyno: dyno.number });
            }
        }
        let day = self.day.at(hour, &mut self.chance);
        let requests = self.scene.requests_a_minute / 60.0 * TICK_SECONDS as f64;
        for endpoint in 0..self.endpoints.len() {
            let own = self.endpoints[endpoint].at(hour, &mut self.chance);
            for dyno in 0..self.dynos.len() {
                let mean = requests * day * own * self.dynos[dyno].affinity[endpoint];
                for _ in 0..poisson(&mut self.chance, mean) {
                    self.request((endpoint, dyno), from, &mut show);
                }
            }
        }
        let strangers = requests * self.scene.strangers * self.dynos.len() as f64;
        for _ in 0..poisson(&mut self.chance, strangers) {
            let dyno = self.chance.below(self.dynos.len() as u64) as usize;
            let path = stranger(&mut self.chance);
            let at = from + self.chance.below(TICK_SECONDS as u64) as i64;
            show(at, Happening::Request { dyno: dyno as u32 + 1, method: "GET", path, endpoint: None });
        }
        let job = match self.scene.cause {
            Cause::SteadyJob => 1.0,
            Cause::DailyJob => day,
            _ => 0.0,
        };
        // As much as the leaking requests would.
        let job = job * requests * self.scene.share * self.scene.kilobytes / 1000.0;
        for dyno in &mut self.dynos {
            dyno.leaked += job;
            let megabytes = dyno.megabytes(&self.scene, &mut self.chance);
            let sample = Happening::Sample { dyno: dyno.number, instance: dyno.instance, megabytes };
            show(from + TICK_SECONDS - 1, sample);
        }
    }

    fn request(
        &mut self,
        (endpoint, dyno): (usize, usize),
        from: i64,
        show: &mut impl FnMut(i64, Happening),
    ) {
        let Scene { cause, kilobytes, share, .. } = self.scene;
        let leaks = match cause {
            Cause::Endpoint | Cause::Twins if endpoint == self.culprit => kilobytes,
            Cause::TwoEndpoints if endpoint == self.culprit || endpoint == self.second => kilobytes,
            Cause::EveryRequest => kilobytes * share,
            _ => 0.0,
        };
        self.dynos[dyno].serve(leaks / 1000.0, &mut self.chance);
        let at = from + self.chance.below(TICK_SECONDS as u64) as i64;
        let number = self.dynos[dyno].number;
        let (method, path) = (ENDPOINTS[endpoint].0, path(ENDPOINTS[endpoint].1, &mut self.chance));
        show(at, Happening::Request { dyno: number, method, path, endpoint: Some(endpoint) });
        if cause == Cause::Twins && endpoint == self.culprit {
            let other = self.chance.below(self.dynos.len() as u64) as usize;
            self.dynos[other].serve(0.0, &mut self.chance);
            let (method, pattern) = ENDPOINTS[self.second];
            let path = without_query(pattern, &mut self.chance);
            show(
                at,
                Happening::Request { dyno: other as u32 + 1, method, path, endpoint: Some(self.second) },
            );
        }
    }
}

// === impl Day ===

impl Day {
    fn new(chance: &mut Chance) -> Self {
        Self { depth: uniform(chance, 0.5, 0.9), peak_hour: uniform(chance, 13.0, 17.0), noise: 0.0 }
    }

    fn at(&mut self, hour: f64, chance: &mut Chance) -> f64 {
        let keep = (-(TICK_SECONDS as f64) / 600.0).exp();
        self.noise = keep * self.noise + (1.0 - keep * keep).sqrt() * normal(chance);
        self.curve(hour) * (0.25 * self.noise - 0.03).exp()
    }

    /// With a mean of 1.
    fn curve(&self, hour: f64) -> f64 {
        let daily = 0.5 * (1.0 + ((hour - self.peak_hour) / 24.0 * std::f64::consts::TAU).cos());
        ((1.0 - self.depth) + self.depth * daily) / (1.0 - self.depth / 2.0)
    }
}

// === impl Endpoint ===

impl Endpoint {
    fn new(weight: f64, chance: &mut Chance) -> Self {
        let day = Day { depth: uniform(chance, 0.0, 0.6), peak_hour: uniform(chance, 0.0, 24.0), noise: 0.0 };
        Self { weight, day, burst: normal(chance) }
    }

    /// Its part of the requests: by its own hours, and in bursts of half an hour.
    fn at(&mut self, hour: f64, chance: &mut Chance) -> f64 {
        const WIDTH: f64 = 0.5;
        let keep = (-(TICK_SECONDS as f64) / 1800.0).exp();
        self.burst = keep * self.burst + (1.0 - keep * keep).sqrt() * normal(chance);
        self.weight * self.day.curve(hour) * (WIDTH * self.burst - WIDTH * WIDTH / 2.0).exp()
    }
}

// === impl Dyno ===

impl Dyno {
    fn new(number: u32, scene: &Scene, chance: &mut Chance) -> Self {
        let of_day = scene.requests_a_minute * 1440.0;
        let heap = |chance: &mut Chance| Heap {
            filled: 0.0,
            limit: uniform(chance, 0.6, 1.3),
            requests_each: log_uniform(chance, 60.0, 1500.0) / 60.0 * scene.requests_a_minute / 3.0,
        };
        let affinity = |chance: &mut Chance| match scene.has_affinity {
            true => (0.6 * normal(chance) - 0.18).exp(),
            false => 1.0,
        };
        Self {
            number,
            instance: chance.draw(),
            // The dynos of a formation do not start at the same time.
            ends_in: (uniform(chance, 0.0, scene.life_hours) * 3600.0) as i64,
            base: uniform(chance, 130.0, 230.0),
            warm: (uniform(chance, 25.0, 128.0), uniform(chance, 0.01, 0.08) * of_day),
            slow: uniform(chance, 0.0, 15.0),
            served: 0.0,
            leaked: 0.0,
            heaps: std::array::from_fn(|_| heap(chance)),
            noise: 0.0,
            noise_width: uniform(chance, 0.5, 3.0),
            wander: 0.0,
            affinity: ENDPOINTS.iter().map(|_| affinity(chance)).collect(),
        }
    }

    fn serve(&mut self, leaks: f64, chance: &mut Chance) {
        self.served += 1.0;
        self.leaked += leaks;
        let heap = &mut self.heaps[chance.below(3) as usize];
        heap.filled += 1.0 / heap.requests_each;
        if heap.filled >= heap.limit {
            heap.filled = 0.0;
            heap.limit = uniform(chance, 0.6, 1.3);
        }
    }

    fn megabytes(&mut self, scene: &Scene, chance: &mut Chance) -> f64 {
        self.noise = 0.8 * self.noise + 0.6 * normal(chance);
        if scene.wanders {
            // Six megabytes in an hour.
            self.wander += normal(chance) * 6.0 / (3600.0 / TICK_SECONDS as f64).sqrt();
        }
        let warm = self.warm.0 * (1.0 - (-self.served / self.warm.1).exp());
        let slow = self.slow * (self.served / (0.002 * scene.requests_a_minute * 1440.0 + 1.0)).ln_1p();
        let saw: f64 = self.heaps.iter().map(|heap| heap.filled * scene.saw_megabytes).sum();
        let all = self.base + warm + slow + saw + self.leaked + self.wander + self.noise * self.noise_width;
        all.max(20.0)
    }
}

fn shuffled(chance: &mut Chance) -> Vec<usize> {
    let mut order: Vec<usize> = (0..ENDPOINTS.len()).collect();
    for place in (1..order.len()).rev() {
        order.swap(place, chance.below(place as u64 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::{Cause, Happening, Scene, TICK_SECONDS};
    use crate::rng::Chance;

    /// A day: requests of the endpoint that leaks, all requests, and the memory at the end.
    fn day(scene: Scene) -> (u32, u32, f64) {
        let mut app = Scene { dynos: 1, life_hours: 1000.0, ..scene }.start(Chance::new(3));
        let (mut own, mut all, mut last) = (0, 0, 0.0);
        for _ in 0..86_400 / TICK_SECONDS {
            let culprits = app.culprits();
            app.tick(|_, happening| match happening {
                Happening::Request { endpoint, .. } => {
                    all += 1;
                    own += u32::from(endpoint.is_some_and(|endpoint| culprits.contains(&endpoint)));
                }
                Happening::Sample { megabytes, .. } => last = megabytes,
                Happening::Started { .. } => {}
            });
        }
        (own, all, last)
    }

    #[test]
    fn the_endpoint_that_leaks_has_its_share_and_leaks() {
        let (own, all, leaked) = day(Scene::USUAL);
        let share = f64::from(own) / f64::from(all);
        assert!((0.02..0.04).contains(&share) && (120_000..220_000).contains(&all), "{share} of {all}");
        let (none, _, sound) = day(Scene { cause: Cause::Nothing, ..Scene::USUAL });
        assert_eq!(none, 0);
        assert!(leaked - sound > 0.07 * f64::from(own), "{leaked} {sound}");
    }
}
