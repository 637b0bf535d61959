//! The samples, and whether they grow.

use std::fmt::Write as _;
use std::time::Duration;

use support::process::Usage;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub at: Duration,
    pub usage: Usage,
    pub cpu_seconds: f64,
    /// Of the simulated Heroku.
    pub own_cpu_seconds: f64,
    pub frames: f64,
    pub batches: f64,
    pub dynos: f64,
    pub connections: f64,
    pub tasks: f64,
    pub decisions: i64,
    pub restarts: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Sample>);

/// A name, and where to read it.
type Column = (&'static str, fn(&Sample) -> f64);

/// A straight line through points: its slope, and the slope's standard error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slope {
    pub per_hour: f64,
    pub error: f64,
}

impl Samples {
    pub(crate) fn add(&mut self, sample: Sample) {
        self.0.push(sample);
    }

    /// All samples as a table, for a spreadsheet.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "seconds\trss_kib\town_kib\tthreads\tdescriptors\tdynos\tconnections\ttasks\tdecisions\trestarts\tframes\tbatches\tcpu\n",
        );
        for s in &self.0 {
            let Usage { rss_kib, own_kib, descriptors, threads } = s.usage;
            let _infallible = writeln!(
                table,
                "{}\t{rss_kib}\t{own_kib}\t{threads}\t{descriptors}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{:.2}",
                s.at.as_secs(),
                s.dynos,
                s.connections,
                s.tasks,
                s.decisions,
                s.restarts,
                s.frames,
                s.batches,
                s.cpu_seconds,
            );
        }
        table
    }

    /// Prints the figures, and returns what grew; `names` is the number of dyno names that ever existed.
    pub(crate) fn conclude(&self, duration: Duration, names: u32) -> Vec<String> {
        let (from, allowed_kib) =
            if duration >= FILLED_BY * 3 / 2 { (FILLED_BY, FLAT_KIB) } else { (duration / 4, FILLED_KIB) };
        let warm: Vec<Sample> = self.0.iter().filter(|sample| sample.at >= from).copied().collect();
        let (Some(first), Some(last)) = (warm.first(), warm.last()) else {
            return vec!["too short for a sample".to_owned()];
        };
        let mut grown = Vec::new();
        let span = (last.at - first.at).as_secs_f64();
        let frames = (last.frames - first.frames) / span;
        println!("after the first {} s, in {span:.0} s:", from.as_secs());
        println!(
            "  {:.0} lines/s in {:.0} batches/s, {:.1} % of a core, and {:.1} % for the simulated Heroku",
            frames,
            (last.batches - first.batches) / span,
            (last.cpu_seconds - first.cpu_seconds) / span * 100.0,
            (last.own_cpu_seconds - first.own_cpu_seconds) / span * 100.0,
        );
        if let Some(all) = trend("RSS", &warm, |s| s.usage.rss_kib as f64)
            && let Some(own) = trend("of which heap and stacks", &warm, |s| s.usage.own_kib as f64)
        {
            println!("  (a leak of one octet a line would be {:+.0} KiB/h)", frames * 3600.0 / 1024.0);
            // The rest of the RSS is pages of the program's own file, loaded on demand.
            if (own.per_hour - 2.0 * own.error) * span / 3600.0 > allowed_kib {
                grown.push(format!("memory grows by {:.0} KiB/h, RSS by {:.0}", own.per_hour, all.per_hour));
            }
        } else {
            grown.push("too few samples for a slope".to_owned());
        }
        let columns: [Column; 4] = [
            ("threads", |s| s.usage.threads as f64),
            ("descriptors", |s| s.usage.descriptors as f64),
            ("connections", |s| s.connections),
            ("tasks", |s| s.tasks),
        ];
        let (head, tail) = warm.split_at(warm.len() / 2);
        for (name, of) in columns {
            let (before, after) = (bounds(head.iter().map(of)), bounds(tail.iter().map(of)));
            println!("  {name}: {} to {}, then {} to {}", before.0, before.1, after.0, after.1);
            // Short-lived resources, such as a connection to the API, appear in some samples and not in
            // others.
            if after.0 > before.0 && after.1 > before.1 + 2.0 {
                grown.push(format!("{name} grow"));
            }
        }
        if last.dynos > names as f64 {
            grown.push(format!("state is kept for {} dynos, and only {names} names ever were", last.dynos));
        }
        println!(
            "  dynos that state is kept for: {} at the end, of {names} names that ever were",
            last.dynos
        );
        println!("  record: {} decisions and {} restarts at the end", last.decisions, last.restarts);
        grown
    }
}

/// Prints the trend of the memory samples.
fn trend(name: &str, samples: &[Sample], of: fn(&Sample) -> f64) -> Option<Slope> {
    let points: Vec<(f64, f64)> = samples.iter().map(|s| (s.at.as_secs_f64(), of(s))).collect();
    let (least, most) = bounds(points.iter().map(|point| point.1));
    let (plain, of_means) = (slope(&points)?, slope(&means(&points, MEANS))?);
    println!(
        "  {name}: {least:.0} to {most:.0} KiB, slope {:+.0} ± {:.0} KiB/h; of the means of {MEANS} parts {:+.0} ± {:.0}",
        plain.per_hour, plain.error, of_means.per_hour, of_means.error
    );
    Some(of_means)
}

/// The means of `parts` spans of equal length: neighbouring samples of a process's memory are nearly the
/// same, so their scatter says little about the certainty of the slope.
fn means(points: &[(f64, f64)], parts: usize) -> Vec<(f64, f64)> {
    let size = (points.len() / parts).max(1);
    let mean = |part: &[(f64, f64)]| {
        let count = part.len() as f64;
        (part.iter().map(|p| p.0).sum::<f64>() / count, part.iter().map(|p| p.1).sum::<f64>() / count)
    };
    points.chunks_exact(size).map(mean).collect()
}

/// The line of least squares.
fn slope(points: &[(f64, f64)]) -> Option<Slope> {
    let count = points.len() as f64;
    if points.len() < 4 {
        return None;
    }
    let (mean_x, mean_y) =
        (points.iter().map(|p| p.0).sum::<f64>() / count, points.iter().map(|p| p.1).sum::<f64>() / count);
    let spread: f64 = points.iter().map(|p| (p.0 - mean_x).powi(2)).sum();
    let slope = points.iter().map(|p| (p.0 - mean_x) * (p.1 - mean_y)).sum::<f64>() / spread;
    let residues: f64 = points.iter().map(|p| (p.1 - mean_y - slope * (p.0 - mean_x)).powi(2)).sum();
    let error = (residues / (count - 2.0) / spread).sqrt();
    Some(Slope { per_hour: slope * 3600.0, error: error * 3600.0 })
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)))
}

const MEANS: usize = 9;

/// When everything bounded is full: the 45 minutes of traffic for each dyno, and the page's thousand
/// decisions.
const FILLED_BY: Duration = Duration::from_secs(3600);

/// Allowed growth before that, after the first quarter of a run, including the allocator's unusable
/// remainders.
const FILLED_KIB: f64 = 5.0 * 1024.0;

/// Allowed growth after that; only a run of more than an hour and a half can measure it.
const FLAT_KIB: f64 = 1024.0;
