//! The demo: the program as a newcomer starts it, and its output.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Longer than anything here takes on a loaded machine.
const LATE: Duration = Duration::from_secs(120);

/// A demo, and its lines as they come.
struct Demo {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(support::daemon::binary())
            .args(["demo", "--port", "0", "--api-port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok());
        });
        Self { child, lines }
    }

    /// The next line; fails if none comes.
    fn line(&self, what: &str) -> String {
        self.lines.recv_timeout(LATE).unwrap_or_else(|error| panic!("{error}, waiting for {what}"))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// The parts of a line after its time: app, dyno, word, text.
fn parts(line: &str) -> Option<(&str, &str, &str, &str)> {
    let mut columns = line.split("  ").map(str::trim).filter(|column| !column.is_empty()).skip(1);
    let (app, dyno, word) = (columns.next()?, columns.next()?, columns.next()?);
    let text = columns.next()?;
    Some((app, dyno, word, &line[line.find(text)?..]))
}

#[test]
fn demo_shows_every_kind_of_story_within_a_minute_at_speed_20() {
    // Three times as fast as the README's, so a third of a minute, plus time for a loaded machine.
    let demo = Demo::start(&["--speed", "60", "--seed", "1"]);
    let first = demo.line("the first line");
    assert!(first.starts_with("status page   http://admin:demo-admin@127.0.0.1:"), "{first}");
    let chapters: [(&str, &str, &str); 14] = [
        ("acme-shop", "heroku", "Error R14 (Memory quota exceeded)"),
        ("acme-shop", "restart", "R14 (Memory quota exceeded) at 51"),
        ("acme-shop", "hold", "waiting for its turn behind web."),
        ("acme-shop", "back", "up again after "),
        ("acme-shop", "message", ": the restart helped all 3 dynos"),
        ("acme-shop", "proof", "memory 51"),
        ("acme-search", "hold", "given up until "),
        ("acme-search", "message", "gave up: restarting does not help"),
        ("acme-pay", "hold", "up for only 15h 5"),
        ("acme-pay", "restart", "up for more than 16h"),
        ("acme-blog", "heroku", "State changed from up to crashed"),
        ("acme-pay", "heroku", "Release v2 created by "),
        ("acme-pay", "heroku", "Error R14 (Memory quota exceeded)"),
        ("acme-pay", "message", "started failing after release v2"),
    ];
    let mut missing = chapters.to_vec();
    let mut printed = Vec::new();
    while !missing.is_empty() {
        let line = demo.line(&format!("{missing:?}"));
        if let Some((app, _, who, text)) = parts(&line) {
            missing.retain(|chapter| (chapter.0, chapter.1) != (app, who) || !text.contains(chapter.2));
        }
        printed.push(line);
        assert!(printed.len() < 400, "{missing:?} did not come: {printed:#?}");
    }
    let restarted: Vec<_> =
        printed.iter().filter_map(|line| parts(line)).filter(|line| line.2 == "restart").collect();
    assert!(
        restarted.iter().all(|line| matches!(line.0, "acme-shop" | "acme-search" | "acme-pay")),
        "{restarted:?}"
    );
}

#[test]
fn demo_stops_after_its_time_and_prints_a_summary() {
    let mut demo = Demo::start(&["--speed", "60", "--for", "3s"]);
    let printed: Vec<String> = demo.lines.iter().collect();
    assert!(demo.child.wait().expect("it ran").success());
    let last = printed.last().expect("it says something");
    assert!(last.contains(" restarts, one dyno at a time, "), "{last}");
}
