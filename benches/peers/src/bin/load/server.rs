//! The measured servers: started here, observed from outside, and ended here.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// A server in its own process, with its own directory for files.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub ready_after: Duration,
    /// Removed with it.
    _dir: tempfile::TempDir,
}

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(120);

impl Server {
    /// Starts `program` under another program, such as `taskset`, or by itself.
    pub fn start(
        program: &Path,
        arguments: &[&str],
        env: &[(&str, String)],
        under: &[&str],
    ) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let log = dir.path().join("log");
        let program =
            fs::canonicalize(program).with_context(|| format!("{} is not there", program.display()))?;
        let mut command = match under {
            [other, options @ ..] => {
                let mut command = Command::new(other);
                command.args(options).arg(&program);
                command
            }
            [] => Command::new(&program),
        };
        let kept = std::env::var_os("PATH").unwrap_or_default();
        command
            .args(arguments)
            .env_clear()
            .env("PATH", kept)
            .envs(env.iter().map(|(key, value)| (key, value)));
        command.current_dir(dir.path()).stdout(File::create(&log)?).stderr(Stdio::inherit());
        let began = Instant::now();
        let mut child = command.spawn().with_context(|| format!("{} does not start", program.display()))?;
        loop {
            if let Some(address) = fs::read_to_string(&log).ok().as_deref().and_then(address) {
                return Ok(Self { child, address, ready_after: began.elapsed(), _dir: dir });
            }
            if let Some(status) = child.try_wait()? {
                bail!("{} ended: {status}: {}", program.display(), fs::read_to_string(&log)?);
            }
            if began.elapsed() > PATIENCE {
                child.kill()?;
                bail!("{} does not listen: {}", program.display(), fs::read_to_string(&log)?);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends it as Heroku would.
    pub fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        self.child.wait()?;
        Ok(())
    }

    /// CPU time so far, over all living threads.
    pub fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
        let nanos = tasks.filter_map(|task| {
            fs::read_to_string(task.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Resident memory, in MiB.
    pub fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib =
            line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// The address in `… listening on http://127.0.0.1:40123…`, once the line is whole.
fn address(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("listening on http://")?;
    let end = rest.find(|octet: char| !(octet.is_ascii_digit() || ".:".contains(octet)))?;
    rest[..end].parse().ok()
}
