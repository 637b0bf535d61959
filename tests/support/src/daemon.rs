//! The real binary, started for one test and stopped with it.

#![expect(clippy::disallowed_methods, reason = "a test that waits for a process has no other clock")]
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

pub struct Daemon {
    child: Child,
    log: Arc<Log>,
    /// Such as `http://127.0.0.1:40123`.
    pub url: String,
}

/// The binary that cargo built for these tests.
pub fn binary() -> PathBuf {
    let tests = std::env::current_exe().expect("the path of this test");
    let target = tests.ancestors().nth(2).expect("cargo puts tests below the binary");
    target.join("dynowarden")
}

/// The password of every drain in these tests.
pub const DRAIN_PASSWORD: &str = "drain-secret";
pub const ADMIN_PASSWORD: &str = "admin-secret";
pub const HOOK_KEY: &str = "hook-secret";

#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<Value>, bool)>,
    changed: Condvar,
}

impl Daemon {
    /// Starts it against the API at `api_url`, watching `acme`, with these variables in addition to the usual
    /// ones.
    pub fn start(api_url: &str, env: &[(&str, &str)]) -> Self {
        Self::start_by(command(), api_url, env)
    }

    /// The same with a command that is the binary, or that becomes it.
    pub fn start_by(mut command: Command, api_url: &str, env: &[(&str, &str)]) -> Self {
        command
            .arg("serve")
            .env("HEROKU_API_URL", api_url)
            .env("HEROKU_API_KEY", "token-of-the-tests")
            .env("HEROKU_APP", "acme")
            .env("DRAIN_PASSWORD", DRAIN_PASSWORD)
            .env("ADMIN_PASSWORD", ADMIN_PASSWORD)
            .env("HOOK_KEY", HOOK_KEY)
            .env("DATABASE_URL", "memory")
            .env("DYNOWARDEN_LISTEN", "127.0.0.1")
            .env("DYNOWARDEN_POLICY__SETTLE", "1s")
            .env("PORT", "0")
            .env("LOG_FORMAT", "json")
            .envs(env.iter().copied())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let log = Arc::new(Log::default());
        let (reader, writer) = (BufReader::new(child.stdout.take().expect("piped")), log.clone());
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                writer.add(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
            writer.end();
        });
        let mut daemon = Self { child, log, url: String::new() };
        let listening = daemon.await_line(|line| line["address"].is_string());
        daemon.url = format!("http://{}", listening["address"].as_str().expect("an address"));
        daemon
    }

    /// Waits for a log line, from the first on.
    pub fn await_line(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.log.await_line(&wanted).unwrap_or_else(|| panic!("no such line: {:#?}", self.lines()))
    }

    /// Waits for a decision about a dyno with this reason code.
    pub fn await_decision(&self, dyno: &str, decision: &str, code: &str) -> Value {
        self.await_line(|line| line["dyno"] == dyno && line["decision"] == decision && line["code"] == code)
    }

    /// Its log so far.
    pub fn lines(&self) -> Vec<Value> {
        self.log.lock().0.clone()
    }

    /// Its log after the first `index` lines.
    pub fn lines_from(&self, index: usize) -> Vec<Value> {
        self.log.lock().0.get(index..).unwrap_or_default().to_vec()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The decisions in its log so far.
    pub fn decisions(&self) -> Vec<String> {
        let decisions = self.lines().into_iter().filter(|line| line["decision"].is_string());
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        decisions
            .map(|line| {
                format!("{} {} {}", text(&line["dyno"]), text(&line["decision"]), text(&line["code"]))
            })
            .collect()
    }

    /// Sends SIGKILL, as a crash of the machine would.
    pub fn kill(mut self) {
        self.signal("-KILL");
        let _ended = self.child.wait();
    }

    /// Sends SIGTERM, and returns the exit status and the time that it took.
    pub fn terminate(mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        self.signal("-TERM");
        (self.child.wait().expect("a child"), began.elapsed())
    }

    /// Sends a signal, such as `-HUP`.
    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill runs").success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, (Vec<Value>, bool)> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: Value) {
        self.lock().0.push(line);
        self.changed.notify_all();
    }

    fn end(&self) {
        self.lock().1 = true;
        self.changed.notify_all();
    }

    fn await_line(&self, wanted: &dyn Fn(&Value) -> bool) -> Option<Value> {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.lock();
        loop {
            if let Some(line) = lines.0.iter().find(|line| wanted(line)) {
                return Some(line.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if lines.1 || left.is_zero() {
                return None;
            }
            lines = self.changed.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Polls until there is a result; some effects show a moment after they are reported.
#[track_caller]
pub fn eventually<T>(what: &str, ask: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

/// The binary without the variables of this process that it would read.
pub fn command() -> Command {
    command_by(&[])
}

/// Runs the binary with these arguments and variables until it exits; returns its exit code and stderr.
pub fn run(args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = command().args(args).envs(env.iter().copied()).output().expect("the binary runs");
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

/// Runs `report` and returns its output.
///
/// # Panics
/// It fails.
pub fn report(args: &[&str], env: &[(&str, &str)]) -> String {
    let env = [env, &[("DYNOWARDEN_LISTEN", "127.0.0.1")]].concat();
    let output = command().arg("report").args(args).envs(env).output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The settings without which it does not start, with a port of its own.
pub const REQUIRED: [(&str, &str); 6] = [
    ("DATABASE_URL", "memory"),
    ("DRAIN_PASSWORD", "p"),
    ("DYNOWARDEN_LISTEN", "127.0.0.1"),
    ("HEROKU_API_KEY", "k"),
    ("HEROKU_APP", "acme"),
    ("PORT", "0"),
];

/// The binary after the words of a launcher, which replaces itself by it.
pub fn command_by(launcher: &[&str]) -> Command {
    let binary = binary();
    let words = [launcher, &[binary.to_str().expect("a path in UTF-8")]].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command.env_clear();
    // A directory without a settings file.
    command.current_dir(std::env::temp_dir());
    command
}

/// For things that must happen; generous, because a loaded machine is slow, and longer than the minute after
/// which the drains of an app may be listed again.
pub const PATIENCE: Duration = Duration::from_secs(100);
