//! A process from the outside: what Linux reports.

/// A process's resources.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// All of its memory, including the loaded pages of the program's file.
    pub rss_kib: u64,
    /// Its own allocations: heap and stacks.
    pub own_kib: u64,
    pub descriptors: u64,
    pub threads: u64,
}

/// The process's present resources; none once it is gone.
pub fn usage(pid: u32) -> Option<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Usage {
        rss_kib: field("VmRSS:")?,
        own_kib: field("RssAnon:")?,
        descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64,
        threads: field("Threads:")?,
    })
}

/// Seconds of CPU time that the process has used.
pub fn cpu_seconds(pid: &str) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program is in brackets and may contain anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

/// `USER_HZ`, which is the same on all relevant architectures.
const TICKS_PER_SECOND: f64 = 100.0;
