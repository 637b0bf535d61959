//! Memory curves of whole lives: one sample every 20 s, as shares of the quota.
//!
//! Synthetic, from what published graphs and issue reports describe: a process that warms up with its
//! requests, a heap that grows like a saw and is collected, noise, a boot ramp, and traffic with a daily
//! pattern. A leak goes over the quota after 2 to 40 hours; the other kinds never do for long.

use crate::rng::Chance;

/// Seconds between two samples.
pub const SAMPLE_SECONDS: u32 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Grows with time.
    Linear,
    /// Grows with requests.
    PerRequest,
    /// Grows in steps, each by a request.
    Step,
    /// Warms up, and grows with time.
    WarmLinear,
    /// The same with a large saw.
    SawLinear,
    /// With time and with requests, and with spikes.
    Mixed,
    PlateauLow,
    /// A level at 86 to 97 % of the quota.
    PlateauHigh,
    LogSlow,
    /// Grows to what its busiest moment needed, and gives nothing back.
    HighWater,
    /// Follows the traffic up and down.
    DailyLive,
    /// One to six hours, as between releases.
    ShortLives,
    Spikes,
}

/// The kinds that leak.
pub const LEAKS: [Kind; 6] =
    [Kind::Linear, Kind::PerRequest, Kind::Step, Kind::WarmLinear, Kind::SawLinear, Kind::Mixed];

/// The kinds that do not.
pub const SOUND: [Kind; 7] = [
    Kind::PlateauLow,
    Kind::PlateauHigh,
    Kind::LogSlow,
    Kind::HighWater,
    Kind::DailyLive,
    Kind::ShortLives,
    Kind::Spikes,
];

/// One life.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Shares of the quota.
    pub memory: Vec<f64>,
    /// Requests in each sample's 20 s.
    pub requests: Vec<u32>,
}

/// What all lives of one app have in common.
#[derive(Clone, Debug)]
pub struct Shape {
    kind: Kind,
    base: f64,
    warm_share: f64,
    /// As a part of a day's requests.
    warm_days: f64,
    log_share: f64,
    saw_height: f64,
    saw_seconds: f64,
    noise: f64,
    /// From the start to the quota, of a leak.
    breach_hours: f64,
    /// The height of the saw of [`Kind::SawLinear`].
    saw_leak_height: f64,
    /// The steps to the quota of [`Kind::Step`].
    steps: f64,
    /// The highest reading of an app that does not leak.
    top: f64,
}

/// What a life is made of.
struct Parts<'s> {
    shape: &'s Shape,
    warm: Vec<f64>,
    log: Vec<f64>,
    saw: Vec<f64>,
    /// Requests from the start.
    cumulated: Vec<f64>,
    /// Requests a second.
    rate: Vec<f64>,
    mean_rate: f64,
    hours: f64,
}

/// A life of `kind` that starts at an hour of the day; 24 to 27.6 hours long unless `hours` says otherwise.
pub fn life(kind: Kind, chance: &mut Chance, start_hour: f64, hours: Option<f64>) -> Curve {
    let hours = match kind {
        Kind::ShortLives => uniform(chance, 1.0, 6.0),
        _ => hours.unwrap_or_else(|| 24.0 + uniform(chance, 0.0, 3.6)),
    };
    let length = (hours * 3600.0 / f64::from(SAMPLE_SECONDS)) as usize;
    let rate = traffic(chance, length, start_hour);
    Shape::draw(kind, BREACH_HOURS, chance).live(rate, chance)
}

/// When leaks go over the quota, in hours from the start.
const BREACH_HOURS: (f64, f64) = (2.0, 40.0);

// === impl Shape ===

impl Shape {
    /// An app of this kind. A leak goes over the quota after this many hours, from and to, or about that.
    pub fn draw(kind: Kind, breach_hours: (f64, f64), chance: &mut Chance) -> Self {
        Self {
            kind,
            base: uniform(chance, 0.25, 0.55),
            warm_share: uniform(chance, 0.05, 0.25),
            warm_days: uniform(chance, 0.01, 0.08),
            log_share: uniform(chance, 0.0, 0.03),
            saw_height: log_uniform(chance, 0.005, 0.06),
            saw_seconds: log_uniform(chance, 60.0, 1500.0),
            noise: uniform(chance, 0.001, 0.006),
            breach_hours: log_uniform(chance, breach_hours.0, breach_hours.1),
            saw_leak_height: uniform(chance, 0.05, 0.15),
            steps: 6.0 + chance.below(19) as f64,
            top: match kind {
                Kind::PlateauLow => uniform(chance, 0.5, 0.85),
                Kind::PlateauHigh => uniform(chance, 0.86, 0.97),
                Kind::Spikes => uniform(chance, 0.6, 0.85),
                _ => uniform(chance, 0.6, 0.95),
            },
        }
    }

    /// A life under requests a second, one for each sample.
    pub fn live(&self, rate: Vec<f64>, chance: &mut Chance) -> Curve {
        let length = rate.len();
        let requests: Vec<u32> =
            rate.iter().map(|rate| poisson(chance, rate * f64::from(SAMPLE_SECONDS))).collect();
        let parts = Parts::new(self, chance, &requests, rate);
        let memory = if LEAKS.contains(&self.kind) {
            leaking(&parts, &requests, chance)
        } else {
            sound(&parts, chance)
        };
        let noise = wander(chance, length, 0.8, 0.6);
        let mut memory: Vec<f64> =
            memory.iter().zip(noise).map(|(memory, noise)| (memory + noise * self.noise).max(0.01)).collect();
        for (memory, share) in memory.iter_mut().zip([0.5, 0.85]) {
            *memory *= share;
        }
        Curve { memory, requests }
    }
}

/// Requests a second with a daily pattern: a trough of 3 to 50 % of the peak, and noise over ten minutes.
pub fn traffic(chance: &mut Chance, length: usize, start_hour: f64) -> Vec<f64> {
    traffic_with((0.5, 0.97), chance, length, start_hour)
}

/// The same with a trough that is lower than the peak by a share of it, from and to.
pub fn traffic_with(depth: (f64, f64), chance: &mut Chance, length: usize, start_hour: f64) -> Vec<f64> {
    let peak = log_uniform(chance, 0.3, 30.0);
    let depth = uniform(chance, depth.0, depth.1);
    let peak_hour = uniform(chance, 13.0, 17.0);
    let sharpness = uniform(chance, 0.8, 2.0);
    let keep = (-f64::from(SAMPLE_SECONDS) / 600.0).exp();
    let noise = wander(chance, length, keep, (1.0 - keep * keep).sqrt());
    let rate = noise.iter().enumerate().map(|(place, noise)| {
        let hour = start_hour + place as f64 * f64::from(SAMPLE_SECONDS) / 3600.0;
        let daily = 0.5 * (1.0 + ((hour - peak_hour) / 24.0 * std::f64::consts::TAU).cos());
        let base = (1.0 - depth) + depth * daily.powf(sharpness);
        peak * base * (0.25 * noise - 0.03).exp()
    });
    rate.collect()
}

// === impl Parts ===

impl<'s> Parts<'s> {
    fn new(shape: &'s Shape, chance: &mut Chance, requests: &[u32], rate: Vec<f64>) -> Self {
        let mut sum = 0.0;
        let cumulated: Vec<f64> = requests
            .iter()
            .map(|count| {
                sum += f64::from(*count);
                sum
            })
            .collect();
        let mean_rate = rate.iter().sum::<f64>() / rate.len().max(1) as f64;
        let of_day = mean_rate * 86_400.0;
        let warm_requests = shape.warm_days * of_day;
        let saw_requests = shape.saw_seconds * mean_rate + 1.0;
        let warm = |sum: &f64| shape.warm_share * (1.0 - (-sum / warm_requests).exp());
        Self {
            shape,
            warm: cumulated.iter().map(warm).collect(),
            log: cumulated
                .iter()
                .map(|sum| shape.log_share * (sum / (0.002 * of_day + 1.0)).ln_1p())
                .collect(),
            saw: saw(chance, requests, mean_rate, saw_requests),
            cumulated,
            hours: Self::hour(rate.len()),
            rate,
            mean_rate,
        }
    }

    fn hour(place: usize) -> f64 {
        place as f64 * f64::from(SAMPLE_SECONDS) / 3600.0
    }

    fn map(&self, memory: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..self.rate.len()).map(memory).collect()
    }
}

fn leaking(parts: &Parts<'_>, requests: &[u32], chance: &mut Chance) -> Vec<f64> {
    let Shape { breach_hours, base, warm_share, saw_height, .. } = *parts.shape;
    let gap = (1.0 - (base + warm_share + 0.05)).max(0.08);
    let per_hour = gap / breach_hours;
    let by_requests = |place: usize| per_hour * parts.cumulated[place] / (parts.mean_rate * 3600.0);
    let by_time = |place: usize| per_hour * Parts::hour(place);
    let saw = |place: usize| parts.saw[place] * saw_height;
    let (warm, log) = (&parts.warm, &parts.log);
    match parts.shape.kind {
        Kind::PerRequest => parts.map(|place| base + warm[place] + by_requests(place) + saw(place)),
        Kind::Step => {
            let steps = parts.shape.steps;
            let expected = parts.mean_rate * 3600.0 * breach_hours;
            let mut leaked = 0.0;
            let leaks: Vec<f64> = requests
                .iter()
                .map(|count| {
                    let hits = poisson(chance, f64::from(*count) * steps / expected);
                    leaked += gap / steps * f64::from(hits) * uniform(chance, 0.3, 1.7);
                    leaked
                })
                .collect();
            parts.map(|place| base + warm[place] + leaks[place] + saw(place))
        }
        Kind::WarmLinear => parts.map(|place| base + warm[place] + log[place] + by_time(place) + saw(place)),
        Kind::SawLinear => {
            let height = parts.shape.saw_leak_height;
            parts.map(|place| base + warm[place] + by_time(place) + (parts.saw[place] - 0.5) * height)
        }
        Kind::Mixed => {
            let spikes = spikes(chance, parts, 4.0, 0.12, 0.05);
            parts.map(|place| {
                let leak = f64::midpoint(by_time(place), by_requests(place));
                base + warm[place] + log[place] + leak + spikes[place] + saw(place)
            })
        }
        _ => parts.map(|place| base + 0.3 * warm[place] + by_time(place) + 0.3 * saw(place)),
    }
}

fn sound(parts: &Parts<'_>, chance: &mut Chance) -> Vec<f64> {
    let Shape { kind, base, top, .. } = *parts.shape;
    let peak = parts.rate.iter().fold(0.0_f64, |peak, rate| peak.max(*rate)).max(f64::MIN_POSITIVE);
    let warm = &parts.warm;
    let memory = match kind {
        Kind::LogSlow => parts.map(|place| {
            let requests = parts.cumulated[place] / (0.01 * parts.mean_rate * 86_400.0);
            base + warm[place] + 0.08 * requests.ln_1p()
        }),
        Kind::HighWater => {
            let mut highest = 0.0_f64;
            let marks: Vec<f64> = parts
                .rate
                .iter()
                .map(|rate| {
                    highest = highest.max(rate / peak);
                    highest
                })
                .collect();
            parts.map(|place| base + 0.5 * warm[place] + 0.35 * marks[place])
        }
        Kind::DailyLive => {
            let mut level = parts.rate.first().map_or(0.0, |rate| rate / peak);
            let levels: Vec<f64> = parts
                .rate
                .iter()
                .map(|rate| {
                    let way = rate / peak - level;
                    level += way * if way > 0.0 { 0.05 } else { 0.01 };
                    level
                })
                .collect();
            parts.map(|place| base + 0.5 * warm[place] + 0.35 * levels[place])
        }
        Kind::Spikes => {
            let spikes = spikes(chance, parts, 8.0, 0.25, 0.0);
            parts.map(|place| base + warm[place] + parts.log[place] + spikes[place])
        }
        _ => parts.map(|place| base + warm[place] + parts.log[place]),
    };
    let saw_height = parts.shape.saw_height * if kind == Kind::PlateauHigh { 0.5 } else { 1.0 };
    fit(memory, &parts.saw, saw_height, top)
}

/// Scales what grows, so that the highest reading is `top` and none is above the quota.
fn fit(memory: Vec<f64>, saw: &[f64], saw_height: f64, top: f64) -> Vec<f64> {
    let highest = |memory: &[f64], height: f64| {
        memory.iter().zip(saw).fold(0.0_f64, |high, (memory, saw)| high.max(memory + saw * height))
    };
    let first = memory.first().copied().unwrap_or_default();
    let peak = highest(&memory, saw_height);
    let scale = (top - first).max(0.05) / (peak - first).max(1e-6);
    let scaled: Vec<f64> = memory.iter().map(|memory| first + (memory - first) * scale).collect();
    let height = saw_height * 0.9;
    let peak = highest(&scaled, height);
    let shrink = if peak > 0.985 { 0.985 / peak } else { 1.0 };
    scaled.iter().zip(saw).map(|(memory, saw)| memory * shrink + saw * height).collect()
}

/// Garbage that grows with work and is collected at a random fill level, as shares of its height.
fn saw(chance: &mut Chance, requests: &[u32], mean_rate: f64, requests_each: f64) -> Vec<f64> {
    let (mut garbage, mut limit) = (0.0, 1.0);
    let teeth = requests.iter().map(|count| {
        garbage += (f64::from(*count) + 0.05 * mean_rate * f64::from(SAMPLE_SECONDS)) / requests_each;
        if garbage >= limit {
            garbage = 0.0;
            limit = uniform(chance, 0.6, 1.3);
        }
        garbage
    });
    teeth.collect()
}

/// Short excesses; `keep` is the part of each that stays.
fn spikes(chance: &mut Chance, parts: &Parts<'_>, a_day: f64, height_max: f64, keep: f64) -> Vec<f64> {
    let length = parts.rate.len();
    let mut memory = vec![0.0; length];
    for _ in 0..poisson(chance, a_day * parts.hours / 24.0) {
        let from = chance.below(length as u64) as usize;
        let to = (from + 2 + chance.below(10) as usize).min(length);
        let height = uniform(chance, 0.03, height_max);
        memory[from..to].iter_mut().for_each(|memory| *memory += height);
        memory[to..].iter_mut().for_each(|memory| *memory += height * keep);
    }
    memory
}

// === Distributions ===

/// A number from `low` up to but not including `high`.
pub fn uniform(chance: &mut Chance, low: f64, high: f64) -> f64 {
    // 53 bits are what a float keeps.
    low + (high - low) * (chance.draw() >> 11) as f64 / (1_u64 << 53) as f64
}

pub(crate) fn log_uniform(chance: &mut Chance, low: f64, high: f64) -> f64 {
    uniform(chance, low.ln(), high.ln()).exp()
}

/// The standard normal distribution (Box and Muller).
pub fn normal(chance: &mut Chance) -> f64 {
    let (radius, angle) = (uniform(chance, f64::MIN_POSITIVE, 1.0), uniform(chance, 0.0, 1.0));
    (-2.0 * radius.ln()).sqrt() * (angle * std::f64::consts::TAU).cos()
}

/// The Poisson distribution: exact for small means (Knuth), by the normal one for others.
pub fn poisson(chance: &mut Chance, mean: f64) -> u32 {
    if mean > 30.0 {
        return (mean + normal(chance) * mean.sqrt() + 0.5).max(0.0) as u32;
    }
    let floor = (-mean).exp();
    let (mut count, mut product) = (0, uniform(chance, 0.0, 1.0));
    while product > floor {
        count += 1;
        product *= uniform(chance, 0.0, 1.0);
    }
    count
}

/// An autoregressive sequence.
fn wander(chance: &mut Chance, length: usize, keep: f64, add: f64) -> Vec<f64> {
    let mut level =
        normal(chance) * if add < 1.0 && keep < 1.0 { add / (1.0 - keep * keep).sqrt() } else { 1.0 };
    (0..length)
        .map(|_| {
            level = keep * level + add * normal(chance);
            level
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Kind, LEAKS, SOUND, life};
    use crate::rng::Chance;

    fn longest_excess(memory: &[f64]) -> usize {
        memory.split(|share| *share <= 1.0).map(<[f64]>::len).max().unwrap_or(0)
    }

    #[test]
    fn leaks_go_over_and_the_others_do_not() {
        let mut chance = Chance::new(7);
        for kind in LEAKS {
            let over =
                (0..40).filter(|_| longest_excess(&life(kind, &mut chance, 3.0, Some(48.0)).memory) > 3);
            assert!(over.count() >= 34, "{kind:?}");
        }
        for kind in SOUND {
            for _ in 0..40 {
                let curve = life(kind, &mut chance, 3.0, None);
                assert!(longest_excess(&curve.memory) < 15, "{kind:?}");
                assert!(curve.memory.iter().all(|share| *share > 0.0 && *share < 2.0), "{kind:?}");
                assert_eq!(curve.memory.len(), curve.requests.len());
            }
        }
    }

    #[test]
    fn a_seed_gives_the_same_life() {
        let curve = |seed| life(Kind::Mixed, &mut Chance::new(seed), 9.0, None);
        assert_eq!(curve(3).memory, curve(3).memory);
        assert_ne!(curve(3).memory, curve(4).memory);
    }
}
