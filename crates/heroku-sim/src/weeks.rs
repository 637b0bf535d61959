//! An app over weeks: all of its processes have the same leak, each with its own chances.
//!
//! The curves are those of [`crate::curve`], made step by step: what a process needs depends on the requests
//! that it gets, and those depend on when others are restarted.

use crate::curve::{SAMPLE_SECONDS, poisson, uniform};
use crate::rng::Chance;

/// Samples in a day.
pub const SAMPLES_PER_DAY: usize = 86_400 / SAMPLE_SECONDS as usize;

/// What the memory of its processes does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Leak {
    None,
    /// Over the quota after so many hours, as a rule.
    Hours {
        low: f64,
        high: f64,
    },
    /// No leak, but minutes above the quota.
    Spikes,
}

#[derive(Clone, Debug)]
pub struct AppWeeks {
    pub dynos: u32,
    /// From a restart to being up.
    pub boot_seconds: u32,
    /// Requests to all dynos, expected in each sample's 20 s, from midnight on.
    pub rates: Vec<f32>,
    base: f64,
    warm_share: f64,
    warm_requests: f64,
    log_share: f64,
    log_requests: f64,
    saw_height: f64,
    saw_requests: f64,
    noise: f64,
    leak_per_second: f64,
    leak_per_request: f64,
    /// Requests that leak much, as steps, instead of all.
    step_requests: Option<f64>,
    spikes_a_day: f64,
}

/// One process.
#[derive(Clone, Debug)]
pub struct Process {
    base: f64,
    /// How much faster than the others it leaks.
    pace: f64,
    samples: u32,
    requests: f64,
    leaked: f64,
    saw: f64,
    saw_limit: f64,
    noise: f64,
    spike: (u32, f64),
    chance: Chance,
}

// === impl AppWeeks ===

impl AppWeeks {
    /// An app with this leak for some days, with `rate` requests a second to each dyno at most.
    pub fn new(leak: Leak, (days, dynos, rate): (usize, u32, f64), chance: &mut Chance) -> Self {
        let rates = rates(days, f64::from(dynos) * rate, chance);
        let each = f64::from(rates.iter().sum::<f32>()) / days as f64 / f64::from(dynos);
        let base = uniform(chance, 0.25, 0.55);
        let warm_share = uniform(chance, 0.05, 0.25);
        let mut app = Self {
            dynos,
            boot_seconds: 15 + chance.below(45) as u32,
            rates,
            base,
            warm_share,
            warm_requests: uniform(chance, 0.01, 0.08) * each,
            log_share: uniform(chance, 0.0, 0.02),
            log_requests: 0.002 * each + 1.0,
            saw_height: uniform(chance, 0.005_f64.ln(), 0.06_f64.ln()).exp(),
            saw_requests: uniform(chance, 60_f64.ln(), 1500_f64.ln()).exp() * each / 86_400.0 + 1.0,
            noise: uniform(chance, 0.001, 0.006),
            leak_per_second: 0.0,
            leak_per_request: 0.0,
            step_requests: None,
            spikes_a_day: 0.0,
        };
        match leak {
            Leak::None => {}
            Leak::Spikes => app.spikes_a_day = 8.0,
            Leak::Hours { low, high } => {
                let seconds = uniform(chance, low, high) * 3600.0;
                app.leaks((1.0 - base - warm_share - app.saw_height).max(0.08), seconds, each, chance);
            }
        }
        app
    }

    /// Makes it leak `gap` of the quota in so many seconds, in one of several ways.
    fn leaks(&mut self, gap: f64, seconds: f64, requests_a_day: f64, chance: &mut Chance) {
        let (by_time, by_requests) = (gap / seconds, gap / (seconds / 86_400.0 * requests_a_day).max(1.0));
        match chance.below(5) {
            0 => self.leak_per_second = by_time,
            1 => self.leak_per_request = by_requests,
            2 => {
                self.leak_per_request = by_requests;
                self.step_requests = Some(gap / by_requests / uniform(chance, 12.0, 40.0));
            }
            3 => {
                self.leak_per_second = by_time;
                self.saw_height = uniform(chance, 0.05, 0.15);
            }
            _ => {
                self.leak_per_second = by_time / 2.0;
                self.leak_per_request = by_requests / 2.0;
                self.spikes_a_day = 2.0;
            }
        }
    }

    /// A process at its start.
    pub fn process(&self, chance: &mut Chance) -> Process {
        let mut chance = chance.split();
        Process {
            base: self.base * uniform(&mut chance, 0.97, 1.03),
            pace: uniform(&mut chance, 0.85, 1.15),
            samples: 0,
            requests: 0.0,
            leaked: 0.0,
            saw: 0.0,
            saw_limit: uniform(&mut chance, 0.6, 1.3),
            noise: 0.0,
            spike: (0, 0.0),
            chance,
        }
    }

    /// The share of its quota that a process uses after 20 s more with these requests.
    pub fn step(&self, process: &mut Process, requests: u32) -> f64 {
        let chance = &mut process.chance;
        let count = f64::from(requests);
        process.samples += 1;
        process.requests += count;
        process.leaked += process.pace * self.leak_per_second * f64::from(SAMPLE_SECONDS);
        process.leaked += process.pace
            * match self.step_requests {
                Some(each) => {
                    f64::from(poisson(chance, count / each))
                        * each
                        * uniform(chance, 0.3, 1.7)
                        * self.leak_per_request
                }
                None => count * self.leak_per_request,
            };
        process.saw += (count + 0.05) / self.saw_requests;
        if process.saw >= process.saw_limit {
            process.saw = 0.0;
            process.saw_limit = uniform(chance, 0.6, 1.3);
        }
        process.noise = 0.8 * process.noise + uniform(chance, -1.0, 1.0) * self.noise;
        if process.spike.0 > 0 {
            process.spike.0 -= 1;
        } else if uniform(chance, 0.0, 1.0) < self.spikes_a_day / SAMPLES_PER_DAY as f64 {
            process.spike = (2 + chance.below(10) as u32, uniform(chance, 0.03, self.spike_height()));
        }
        let spike = if process.spike.0 > 0 { process.spike.1 } else { 0.0 };
        let warm = self.warm_share * (1.0 - (-process.requests / self.warm_requests).exp());
        let log = self.log_share * (process.requests / self.log_requests).ln_1p();
        let boot = if process.samples == 1 { 0.5 } else { 1.0 };
        let share = process.base + warm + log + process.leaked + process.saw * self.saw_height;
        ((share + spike + process.noise) * boot).max(0.01)
    }

    /// Spikes of an app that does not leak reach over its quota.
    fn spike_height(&self) -> f64 {
        if self.leak_per_second > 0.0 { 0.12 } else { 1.15 - self.base - self.warm_share }
    }
}

/// Requests in each 20 s by the hour of the week: a trough in the night, quiet weekends, and noise over ten
/// minutes.
fn rates(days: usize, peak: f64, chance: &mut Chance) -> Vec<f32> {
    let depth = uniform(chance, 0.6, 0.95);
    let peak_hour = uniform(chance, 0.0, 24.0);
    let sharpness = uniform(chance, 0.8, 2.0);
    let weekend = uniform(chance, 0.3, 0.9);
    let keep = (-f64::from(SAMPLE_SECONDS) / 600.0).exp();
    let mut noise = 0.0;
    let rate = |sample: usize| {
        noise = keep * noise + (1.0 - keep * keep).sqrt() * uniform(chance, -1.7, 1.7);
        let hour = (sample % SAMPLES_PER_DAY) as f64 * 24.0 / SAMPLES_PER_DAY as f64;
        let daily = 0.5 * (1.0 + ((hour - peak_hour) / 24.0 * std::f64::consts::TAU).cos());
        let day = if sample / SAMPLES_PER_DAY % 7 < 5 { 1.0 } else { weekend };
        let shape = (1.0 - depth) + depth * daily.powf(sharpness);
        (peak * f64::from(SAMPLE_SECONDS) * shape * day * (0.25 * noise - 0.03_f64).exp()) as f32
    };
    (0..days * SAMPLES_PER_DAY).map(rate).collect()
}

#[cfg(test)]
mod tests {
    use super::{AppWeeks, Leak};
    use crate::rng::Chance;

    /// Hours until a process is over its quota for a minute, two days at most.
    fn breach(app: &AppWeeks, chance: &mut Chance) -> Option<f64> {
        let mut process = app.process(chance);
        let mut over = 0;
        for (sample, rate) in app.rates.iter().enumerate().take(2 * super::SAMPLES_PER_DAY) {
            let share = app.step(&mut process, (rate / app.dynos as f32) as u32);
            over = if share > 1.0 { over + 1 } else { 0 };
            if over == 3 {
                return Some(sample as f64 / 180.0);
            }
        }
        None
    }

    #[test]
    fn leaks_go_over_the_quota_when_they_should() {
        let mut chance = Chance::new(3);
        for _ in 0..20 {
            let leak = Leak::Hours { low: 6.0, high: 12.0 };
            let app = AppWeeks::new(leak, (3, 2, 1.0), &mut chance);
            let hours = breach(&app, &mut chance).expect("it leaks");
            assert!((2.0..30.0).contains(&hours), "{hours}");
        }
        for _ in 0..20 {
            let app = AppWeeks::new(Leak::None, (3, 2, 1.0), &mut chance);
            assert_eq!(breach(&app, &mut chance), None);
        }
    }
}
