//! `dynowarden replay --what-if`: the real binary on archives whose truth is known.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::Value;

use dynowarden::config::{self, Needs, Sources};
use dynowarden_core::what_if::policies::candidates;
use dynowarden_simulation::what_if::{self, Case};
use dynowarden_simulation::{measured, weeks};
use heroku_sim::rng::Chance;
use heroku_sim::weeks::{AppWeeks, Leak};
use support::daemon;

/// Four days of two dynos that leak, as `heroku logs` shows them.
static LEAK: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut chance = Chance::new(5);
    let app = AppWeeks::new(Leak::Hours { low: 6.0, high: 12.0 }, (5, 2, 0.05), &mut chance);
    let mut lines = Vec::new();
    weeks::run(&app, &measured::plan("acme"), (1, 7), &mut |line, at| {
        let (procid, msg) = (String::from_utf8_lossy(line.procid), String::from_utf8_lossy(line.msg));
        lines.push(format!("{at:.6} heroku[{procid}]: {msg}").replacen('Z', "+00:00", 1));
    });
    lines
});

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn rows(&self) -> Vec<Value> {
        assert_eq!(self.code, Some(0), "{}", self.err);
        let rows: Vec<Value> =
            self.out.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        check(&rows);
        rows
    }
}

/// What must be true of any output.
fn check(rows: &[Value]) {
    assert!((2..=24).contains(&rows.len()), "{rows:?}");
    let recommended: Vec<&Value> = rows.iter().filter(|row| row["recommended"] == true).collect();
    assert_eq!(recommended.len(), 1, "{rows:?}");
    assert!(recommended[0]["toml"].as_str().expect("settings").starts_with("[[rule]]"));
    for row in rows {
        let policy = row["policy"].as_str().expect("a name");
        assert!(policy == "none" || policy == "r14" || policy.starts_with("r14 + "), "{policy}");
        assert!(row["recommended"].is_boolean());
        assert_eq!(row.get("toml").is_some(), row["recommended"] == true);
        for key in ["restarts_per_week", "minutes_over_quota_per_day", "requests_hit_per_100k"] {
            let [value, low, high] = ["value", "low", "high"].map(|part| row[key][part].as_f64());
            let [value, low, high] = [value, low, high].map(|number| number.expect("a number"));
            assert!(0.0 <= low && low <= value && value <= high, "{policy} {key} {low} {value} {high}");
        }
    }
}

fn value(rows: &[Value], policy: &str, key: &str) -> f64 {
    let row = rows.iter().find(|row| row["policy"] == policy).expect(policy);
    row[key]["value"].as_f64().expect("a number")
}

fn run(dir: &Path, args: &[&str]) -> Ran {
    let mut command = daemon::command();
    let output = command.current_dir(dir).arg("replay").args(args).output().expect("it runs");
    let text = |octets| String::from_utf8(octets).expect("text");
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn file(dir: &Path, name: &str, lines: &[String]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, lines.join("\n") + "\n").expect("room on the disk");
    path
}

/// The lines of the first hours.
fn hours(hours: i64) -> Vec<String> {
    let time = |line: &String| line[..32].parse::<Timestamp>().expect("a time");
    let end = time(&LEAK[0]).as_second() + hours * 3600;
    LEAK.iter().take_while(|line| time(line).as_second() < end).cloned().collect()
}

#[test]
fn the_recommended_settings_can_be_used() {
    let dir = tempfile::tempdir().expect("a directory");
    file(dir.path(), "acme.log", &LEAK);
    let rows = run(dir.path(), &["--what-if", "--app", "acme", "--format", "json", "acme.log"]).rows();
    let of = |policy| value(&rows, policy, "minutes_over_quota_per_day");
    assert!(of("none") > 100.0 && of("r14") < 20.0, "{rows:?}");
    let hit = |policy| value(&rows, policy, "requests_hit_per_100k");
    assert!(hit("none") > 20.0 * hit("r14"), "{rows:?}");
    let restarts = |policy| value(&rows, policy, "restarts_per_week");
    assert!(restarts("none") < restarts("r14"), "{rows:?}");
    assert!(rows.iter().any(|row| row["policy"] == "r14 + quiet"));

    let best = rows.iter().find(|row| row["recommended"] == true).expect("one");
    let least = rows.iter().map(|row| row["requests_hit_per_100k"]["value"].as_f64().expect("a number"));
    let least = least.fold(f64::INFINITY, f64::min);
    assert!(best["requests_hit_per_100k"]["value"].as_f64().expect("a number") <= 1.05 * least, "{best}");

    let text = run(dir.path(), &["--what-if", "--app", "acme", "acme.log"]);
    assert_eq!(text.code, Some(0), "{}", text.err);
    let toml: Vec<&str> = text.out.lines().skip_while(|line| !line.starts_with('[')).collect();
    let toml = toml.join("\n") + "\n";
    assert_eq!(toml, best["toml"].as_str().expect("settings"));
    assert!(text.out.contains("estimate") && text.out.contains("Recommended: "), "{}", text.out);
    for row in &rows {
        assert!(text.out.contains(row["policy"].as_str().expect("a name")), "{}", text.out);
    }

    let settings = file(dir.path(), "best.toml", &[toml]);
    let settings = settings.to_str().expect("a path");
    let (code, err) = daemon::run(&["config", "--config", settings], &[]);
    assert_eq!(code, Some(0), "{err}");
    let replayed = run(dir.path(), &["--config", settings, "--app", "acme", "acme.log"]);
    assert_eq!(replayed.code, Some(0), "{}", replayed.err);
}

#[test]
fn every_policy_is_what_its_settings_say() {
    for candidate in candidates(true, true) {
        let toml = candidate.toml();
        let read_file = |_: &Path| Ok(toml.clone());
        let sources = Sources { config: Some(Path::new("t.toml")), env: &[], read_file: &read_file };
        let settings = config::load(&sources, Needs::Nothing).expect("settings");
        let plan = settings.plan_for(&"acme".parse().expect("a name"));
        assert_eq!(plan.rules, candidate.rules, "{}", candidate.name);
    }
}

#[test]
fn a_log_that_is_too_short_is_refused_with_what_is_missing() {
    let dir = tempfile::tempdir().expect("a directory");
    file(dir.path(), "short.log", &hours(60));
    for format in ["text", "json"] {
        let ran = run(dir.path(), &["--what-if", "--app", "acme", "--format", format, "short.log"]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
        assert!(ran.err.contains("12 h more") && !ran.err.contains("more,"), "{}", ran.err);
    }
    // One dyno that is cycled every day, without an error: three lives in three days.
    let mut calm = Vec::new();
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    for slot in 0..3 * 288 + 12 {
        let at = Timestamp::from_second(start.as_second() + slot * 300).expect("a time");
        let at = format!("{at:.6}").replacen('Z', "+00:00", 1);
        if slot % 400 == 100 {
            calm.push(format!("{at} heroku[web.1]: Cycling"));
            calm.push(format!("{at} heroku[web.1]: State changed from up to starting"));
            calm.push(format!("{at} heroku[web.1]: State changed from starting to up"));
        }
        let memory = "sample#memory_total=200.00MB sample#memory_quota=512.00MB";
        calm.push(format!("{at} heroku[web.1]: source=web.1 dyno=heroku.1.p{} {memory}", slot / 500));
    }
    file(dir.path(), "calm.log", &calm);
    let ran = run(dir.path(), &["--what-if", "calm.log"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains("1 life more") && !ran.err.contains("h more"), "{}", ran.err);
    file(dir.path(), "empty.log", &[]);
    assert_eq!(run(dir.path(), &["--what-if", "empty.log"]).code, Some(1));
    assert_eq!(run(dir.path(), &["--what-if", "missing.log"]).code, Some(1));
    assert_eq!(run(dir.path(), &["--what-if"]).code, Some(2));
}

#[test]
fn the_same_lines_give_the_same_answer_in_any_form() {
    let dir = tempfile::tempdir().expect("a directory");
    let args = ["--what-if", "--app", "acme", "--format", "json"];
    let ask = |files: &[&str]| run(dir.path(), &[&args, files].concat()).rows();
    file(dir.path(), "whole.log", &LEAK);
    let whole = ask(&["whole.log"]);

    let (early, late) = LEAK.split_at(LEAK.len() / 3);
    file(dir.path(), "early.log", early);
    file(dir.path(), "late.log", late);
    assert_eq!(ask(&["early.log", "late.log"]), whole);

    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all((LEAK.join("\n") + "\n").as_bytes()).expect("room");
    std::fs::write(dir.path().join("whole.log.gz"), packed.finish().expect("room"))
        .expect("room on the disk");
    assert_eq!(ask(&["whole.log.gz"]), whole);

    // A zone changes nothing where the lines name theirs, and neither does another app's log.
    let zoned = run(dir.path(), &[&args[..], &["--zone", "Europe/Berlin", "whole.log"]].concat());
    assert_eq!(zoned.rows(), whole);
    let newest_first: Vec<String> = LEAK.iter().rev().cloned().collect();
    file(dir.path(), "newest-first.log", &newest_first);
    let turned = ask(&["newest-first.log"]);
    let off = |policy: &str| {
        let key = "restarts_per_week";
        (value(&turned, policy, key) - value(&whole, policy, key)).abs() / value(&whole, policy, key)
    };
    // Lines of one second may change places.
    assert!(off("none") < 0.1 && off("r14") < 0.1, "{turned:?}");
}

#[test]
fn lines_that_are_broken_or_of_others_do_no_harm() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut lines = LEAK.clone();
    let middle = lines.len() / 2;
    lines.insert(middle, "2026-03-0 heroku[web.1]: Error R14 (Memory quota ex".to_owned());
    lines.insert(middle, lines[middle].replace("web.1", "web.99999999999").replace("web.2", "web.0"));
    lines.insert(middle, "2026-03-05T10:00:00+00:00 heroku[web.1]: Error R14".to_owned());
    lines.insert(middle, "2031-01-01T10:00:00+00:00 heroku[web.1]: State changed from up to starting".into());
    lines.insert(middle, "2026-03-05T10:00:00+00:00 app[web.1]: Error R14 (Memory quota exceeded)".into());
    lines.insert(
        middle,
        "2026-03-05T10:00:00+00:00 heroku[web.1]: source=web.1 dyno=heroku.1.px sample#memory_total=NaNMB \
         sample#memory_quota=0.00MB"
            .into(),
    );
    // The last line is cut.
    let cut = lines.pop().map(|line| line[..40].to_owned());
    lines.extend(cut);
    file(dir.path(), "broken.log", &lines);
    let ran = run(dir.path(), &["--what-if", "--app", "acme", "--format", "json", "broken.log"]);
    let rows = ran.rows();
    assert!(value(&rows, "r14", "restarts_per_week") > 0.0);
    assert!(!ran.out.contains("NaN") && !ran.out.contains("null"));
    assert!(ran.err.contains("not read") || ran.err.contains("not understood"), "{}", ran.err);
    assert!(ran.err.lines().all(|line| !line.contains("panic")), "{}", ran.err);
}

#[test]
fn without_router_lines_or_samples_it_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let without = |word: &str| LEAK.iter().filter(|line| !line.contains(word)).cloned().collect::<Vec<_>>();
    file(dir.path(), "no-router.log", &without("heroku[router]"));
    let args = ["--what-if", "--app", "acme", "--format", "json"];
    let ran = run(dir.path(), &[&args[..], &["no-router.log"]].concat());
    let rows = ran.rows();
    assert!(ran.err.contains("no router lines"), "{}", ran.err);
    assert!(rows.iter().all(|row| !row["policy"].as_str().expect("a name").contains("quiet")));
    assert!(value(&rows, "none", "minutes_over_quota_per_day") > 100.0);

    file(dir.path(), "no-samples.log", &without("sample#memory"));
    let ran = run(dir.path(), &[&args[..], &["no-samples.log"]].concat());
    let rows = ran.rows();
    assert!(ran.err.contains("log-runtime-metrics"), "{}", ran.err);
    assert!(rows.iter().all(|row| !row["policy"].as_str().expect("a name").contains('%')));
    assert!(
        value(&rows, "none", "minutes_over_quota_per_day")
            > value(&rows, "r14", "minutes_over_quota_per_day")
    );
    assert!(value(&rows, "r14", "restarts_per_week") > value(&rows, "none", "restarts_per_week"));
}

#[test]
fn several_apps_are_added_up_and_one_can_be_chosen() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut lines = String::new();
    for line in LEAK.iter() {
        let (at, rest) = line.split_once(" heroku[").expect("a platform line");
        let (procid, msg) = rest.split_once("]: ").expect("a message");
        let at: Timestamp = at.parse().expect("a time");
        for app in ["acme", "beta"] {
            writeln!(lines, "{} {app} heroku/{procid}: {msg}", at.strftime("%b %d %H:%M:%S"))
                .expect("a string has room");
        }
    }
    std::fs::write(dir.path().join("two.log"), lines).expect("room on the disk");
    let both = run(dir.path(), &["--what-if", "--format", "json", "two.log"]);
    assert!(both.err.contains("--zone"), "{}", both.err);
    let args = ["--what-if", "--app", "beta", "--zone", "UTC", "--format", "json", "two.log"];
    let one = run(dir.path(), &args);
    assert!(!one.err.contains("--zone"), "{}", one.err);
    let (both, one) = (both.rows(), one.rows());
    for policy in ["none", "r14"] {
        let of = |rows: &[Value]| value(rows, policy, "restarts_per_week");
        assert!((of(&both) / of(&one) - 2.0).abs() < 0.2, "{policy} {} {}", of(&both), of(&one));
    }
}

#[test]
fn settings_are_those_of_the_policy_that_is_compared() {
    let dir = tempfile::tempdir().expect("a directory");
    file(dir.path(), "acme.log", &LEAK);
    let args = ["--what-if", "--app", "acme", "--format", "json", "acme.log"];
    let rows = run(dir.path(), &args).rows();
    // A window of an hour a day leaves most of the excess.
    let window = ["--set", "policy.window=03:00-04:00 UTC"];
    let bound = run(dir.path(), &[&args[..], &window].concat()).rows();
    let of = |rows: &[Value], key| value(rows, "r14", key);
    assert!(
        of(&bound, "minutes_over_quota_per_day") > 10.0 * of(&rows, "minutes_over_quota_per_day"),
        "{bound:?}"
    );
    assert!(of(&bound, "restarts_per_week") < of(&rows, "restarts_per_week"));
    let other = ["--set", "policy.process_types=worker"];
    let ran = run(dir.path(), &[&args[..], &other].concat());
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains("4 lives more"), "{}", ran.err);
}

/// A small part of the table that `simulate --what-if` makes.
#[test]
fn the_live_engine_lands_where_what_if_said() {
    const CASE: Case = Case { days: 7, under: "r14", asked: &["none", "r14 + 95% for 3m"] };
    let (mut errors, mut bests) = (Vec::new(), Vec::new());
    for number in 0..3 {
        let app = what_if::app(CASE.days, number, 0.05);
        let asked = what_if::ask(&app, &CASE, number, 1).expect("a log that is long enough");
        errors.extend(asked.pairs.iter().map(|pair| pair.error().abs()));
        let (policy, pair) = asked.recommended;
        assert!(pair.minutes.1 < 30.0, "{policy}: {pair:?}");
        bests.push(pair.error().abs());
    }
    let median = |errors: &[f64]| what_if::quantile(errors.iter().copied(), 0.5);
    assert!(median(&errors) <= 0.1, "{errors:?}");
    assert!(median(&bests) <= 0.15, "{bests:?}");
}

/// Any events, as the fuzzer makes them.
mod fuzzed {
    use std::path::Path;

    use proptest::prelude::{ProptestConfig, any, prop, proptest};
    use support::what_if_oracle::check_what_if;

    #[test]
    fn regressions_agree_with_the_oracle() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions/what_if");
        let files = support::corpus::files(&folder);
        assert!(files.len() >= 3);
        files.iter().for_each(|path| check_what_if(&std::fs::read(path).expect("a regression can be read")));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2, ..ProptestConfig::default() })]

        #[test]
        fn any_octets_are_days(octets in prop::collection::vec(any::<u8>(), 0..1600)) {
            check_what_if(&octets);
        }
    }
}
