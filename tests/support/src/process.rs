//! A process from the outside: what Linux tells of it, and what it tells an admin.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::daemon::ADMIN_PASSWORD;

/// What a process holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// All of its memory, the pages of the program's file included that it happened to need so far.
    pub rss_kib: u64,
    /// What it asked for itself: heap and stacks.
    pub own_kib: u64,
    pub descriptors: u64,
    pub threads: u64,
}

/// What the process holds now; none once it is gone.
pub fn held(pid: u32) -> Option<Held> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Held {
        rss_kib: field("VmRSS:")?,
        own_kib: field("RssAnon:")?,
        descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64,
        threads: field("Threads:")?,
    })
}

/// Seconds of a core that the process has used.
pub fn cpu_seconds(pid: &str) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program stands in brackets and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

/// `USER_HZ`, which Linux shows to programs on every architecture that matters here.
const TICKS_PER_SECOND: f64 = 100.0;

/// What an admin reads at a path; none when there is no whole answer with status 200.
pub fn read_as_admin(url: &str, path: &str) -> Option<String> {
    use base64::Engine as _;
    let address = url.strip_prefix("http://")?;
    let mut stream = TcpStream::connect_timeout(&address.parse().ok()?, WAIT).ok()?;
    stream.set_read_timeout(Some(WAIT)).ok()?;
    stream.set_write_timeout(Some(WAIT)).ok()?;
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("admin:{ADMIN_PASSWORD}"));
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic {credentials}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200 ").then(|| body.to_owned())
}

/// How long an answer may take.
const WAIT: Duration = Duration::from_secs(10);

/// The sum of a metric over all its labels.
pub fn metric(page: &str, name: &str) -> Option<f64> {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with([' ', '{']).then(|| line.rsplit_once(' ')?.1.parse::<f64>().ok())?
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}
