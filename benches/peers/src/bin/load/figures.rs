//! Numbers for people: spreads over rounds, percentiles, a histogram.

use std::fmt;

/// The minimum, the median and the maximum of several rounds.
#[derive(Clone, Debug)]
pub struct Spread(Vec<f64>);

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    pub fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len() % 2 == 1 { self.0[middle] } else { f64::midpoint(self.0[middle - 1], self.0[middle]) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(0);
        let (Some(least), Some(most)) = (self.0.first(), self.0.last()) else { return f.write_str("none") };
        write!(f, "{least:.places$} – {:.places$} – {most:.places$}", self.median())
    }
}

/// The value that a `share` of all values does not exceed; sorts them.
pub fn percentile(values: &mut [u32], share: f64) -> u32 {
    values.sort_unstable();
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// Prints a histogram of these nanoseconds.
pub fn histogram(nanos: &[u32]) {
    const BOUNDS: [u32; 12] = [250, 500, 750, 1000, 1500, 2000, 3000, 5000, 10_000, 20_000, 50_000, 100_000];
    let mut below = 0;
    for bound in BOUNDS.into_iter().chain([u32::MAX / 1000]) {
        let here = nanos.iter().filter(|nanos| (below..bound).contains(&(**nanos / 1000))).count();
        if here > 0 {
            let bar = "#".repeat((here * 50).div_ceil(nanos.len()));
            let span =
                if bound > 100_000 { "more".into() } else { format!("{:.2} ms", f64::from(bound) / 1000.0) };
            println!("    < {span:>9}  {here:>6}  {bar}");
        }
        below = bound;
    }
}
