//! End to end: what an operator types before and beside the daemon, with the real binary.

use std::collections::BTreeMap;
use std::process::Command;

use dynowarden::config::settings::{ChannelSettings, Settings};
use dynowarden::config::{self, Needs, Sources};
use support::daemon::{Daemon, binary};
use support::fixtures::heroku;

/// Runs the binary in an empty directory; returns its exit code, standard output and standard error.
fn run(args: &[&str], env: &[(&str, &str)], file: &str) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().expect("a directory");
    if !file.is_empty() {
        std::fs::write(dir.path().join("dynowarden.toml"), file).expect("room on the disk");
    }
    let mut command = Command::new(binary());
    command.env_clear().current_dir(dir.path()).args(args).envs(env.iter().copied());
    let output = command.output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn settings(env: &[(&str, &str)], file: &str) -> Result<Settings, String> {
    let env: Vec<_> = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let read_file = |_: &std::path::Path| Ok(file.to_owned());
    let sources = Sources { config: None, env: &env, read_file: &read_file };
    config::load(&sources, Needs::Nothing).map_err(|problems| problems.to_string())
}

/// The line of the setting, without the spaces before its origin.
#[track_caller]
fn line<'t>(text: &'t str, begins: &str) -> (&'t str, &'t str) {
    let line = text.lines().find(|line| line.starts_with(begins));
    let line = line.unwrap_or_else(|| panic!("{begins} is not in {text}"));
    let (setting, origin) = line.rsplit_once(" # ").unwrap_or_else(|| panic!("no origin: {line}"));
    (setting.trim_end(), origin)
}

#[test]
fn config_shows_every_setting_with_its_origin_and_no_secret() {
    let file = "[policy]\nsettle = '1m'\nprocess_types = ['web', 'worker']\n\
                [[notify]]\ntype = 'webhook'\nurl = 'https://x.example.com/canary'\nsecret = 'canary'\n\
                [[rule]]\nname = 'slow'\non = ['H12']\ncount = 20\ndo = 'notify'\n\
                [[rule]]\nname = 'full'\non = ['memory']\nabove = '95%'\ndo = 'restart'\n\
                [[app]]\nname = 'shop'\n[app.policy]\nmax_concurrent = 2\n";
    let env = [
        ("HEROKU_API_KEY", "HRKU-canary"),
        ("DRAIN_PASSWORD", "canary"),
        ("HEROKU_APP", "acme"),
        ("PORT", "9000"),
        ("DYNOWARDEN_POLICY__COOLDOWN", "15m"),
        ("DYNOWARDEN_DRY_RUN", "true"),
        ("DYNOWARDEN_TRUSTED_PROXIES", "10.0.0.1, "),
        ("DATABASE_URL", "postgres://u:canary@db.example.com/x"),
        ("SLACK_URL", "https://hooks.slack.com/services/canary"),
    ];
    let (code, text, error) = run(&["config"], &env, file);
    assert_eq!((code, &*error), (Some(0), ""), "{text}");
    assert!(!text.contains("canary"), "{text}");
    for (begins, setting, origin) in [
        ("port ", "port = 9000", "environment variable PORT"),
        ("dry_run ", "dry_run = true", "environment variable DYNOWARDEN_DRY_RUN"),
        ("cooldown ", "cooldown = \"15m\"", "environment variable DYNOWARDEN_POLICY__COOLDOWN"),
        ("settle ", "settle = \"1m\"", "dynowarden.toml line 2"),
        ("process_types ", "process_types = [\"web\", \"worker\"]", "dynowarden.toml line 3"),
        ("boot_timeout ", "boot_timeout = \"3m\"", "default"),
        ("name = \"acme\"", "name = \"acme\"", "environment variable HEROKU_APP"),
        (
            "trusted_proxies ",
            "trusted_proxies = [\"10.0.0.1\"]",
            "environment variable DYNOWARDEN_TRUSTED_PROXIES",
        ),
        ("name = \"shop\"", "name = \"shop\"", "dynowarden.toml line 19"),
        ("max_concurrent = 2", "max_concurrent = 2", "dynowarden.toml line 21"),
        ("count ", "count = 20", "dynowarden.toml line 11"),
        ("within ", "within = \"5m\"", "default"),
        ("for ", "for = \"3m\"", "default"),
        ("# url: set", "# url: set, not shown", "environment variable DATABASE_URL"),
        ("# secret", "# secret: set, not shown", "dynowarden.toml line 7"),
        ("type = \"slack\"", "type = \"slack\"", "default"),
        ("# SLACK_URL", "# SLACK_URL: set, not shown", "environment variable SLACK_URL"),
    ] {
        assert_eq!(line(&text, begins), (setting, origin));
    }
    assert!(
        text.contains("# HEROKU_API_KEY: set, not shown (environment variable HEROKU_API_KEY)"),
        "{text}"
    );
    // What it prints is a valid file with the same meaning, as far as it is no secret.
    let (code, again, error) = run(
        &["config"],
        &[],
        &text
            .replace("type = \"webhook\"", "type = \"webhook\"\nurl = \"https://x.example.com/\"")
            .replace("type = \"slack\"", "type = \"slack\"\nurl = \"https://hooks.slack.com/services/x\""),
    );
    assert_eq!((code, &*error), (Some(0), ""), "{text}");
    assert_eq!(line(&again, "cooldown ").0, "cooldown = \"15m\"");
}

#[test]
fn config_needs_nothing_and_names_what_is_wrong() {
    let (code, text, _) = run(&["config"], &[], "");
    assert_eq!(code, Some(0));
    assert!(text.contains("# HEROKU_APP (not set): "), "{text}");
    assert_eq!(line(&text, "name = \"memory-quota-exceeded\"").1, "default");
    let (code, text, error) = run(&["config"], &[("DYNOWARDEN_POLICY__COOLDOWN", "soon")], "polcy = 1\n");
    assert_eq!((code, &*text), (Some(2), ""));
    assert!(error.contains("policy.cooldown") && error.contains("polcy"), "{error}");
    assert_eq!(run(&["config", "--config", "missing.toml"], &[], "").0, Some(2));
}

#[test]
fn a_setting_to_try_may_be_a_string_of_toml() {
    for value in ["30m", "\"30m\"", "'30m'"] {
        let set = format!("policy.cooldown={value}");
        assert_eq!(run(&["replay", "--set", &set, "/dev/null"], &[], "").0, Some(0), "{set}");
    }
    assert_eq!(run(&["replay", "--set", "policy.cooldown=\"30m", "/dev/null"], &[], "").0, Some(2));
}

#[test]
fn completions_man_page_and_version_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, text, error) = run(&["completions", shell], &[], "");
        assert_eq!((code, &*error), (Some(0), ""), "{shell}");
        assert!(text.contains("dynowarden") && text.contains("healthcheck"), "{shell}");
    }
    assert_eq!(run(&["completions", "cmd"], &[], "").0, Some(2));
    assert!(run(&["man"], &[], "").1.contains(".TH dynowarden 1"));
    let (code, text, _) = run(&["--version"], &[], "");
    assert_eq!(code, Some(0));
    let version = concat!("dynowarden ", env!("CARGO_PKG_VERSION"), " (commit ");
    assert!(text.starts_with(version), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_says_whether_the_daemon_answers() {
    let heroku = heroku(1).await;
    let daemon = Daemon::start(&heroku.api_url(), &[]);
    let port = daemon.url.rsplit(':').next().expect("a port").to_owned();
    let healthcheck = |port: &str| {
        tokio::task::block_in_place(|| {
            run(&["healthcheck"], &[("PORT", port), ("DYNOWARDEN_LISTEN", "127.0.0.1")], "")
        })
    };
    assert_eq!(healthcheck(&port), (Some(0), String::new(), String::new()));
    daemon.terminate();
    let (code, _, error) = healthcheck(&port);
    assert_eq!(code, Some(1));
    assert!(error.contains(&format!("no answer from 127.0.0.1:{port}")), "{error}");
    assert_eq!(healthcheck("0").0, Some(1));
    assert_eq!(healthcheck("x").0, Some(2));
}

#[test]
fn a_short_name_makes_a_notifier_with_every_default() {
    let key = "0123456789abcdef0123456789abcdef";
    let all = [
        ("SLACK_URL", "https://hooks.slack.com/services/a"),
        ("TEAMS_URL", "https://example.com/workflows/a"),
        ("DISCORD_URL", "https://discord.com/api/webhooks/0/a"),
        ("PAGERDUTY_KEY", key),
    ];
    let made = settings(&all, "").expect("settings").notifiers;
    let in_file = settings(&[], "[[notify]]\ntype = 'slack'\nurl = 'https://hooks.slack.com/services/a'\n");
    let in_file = in_file.expect("settings").notifiers.remove(0);
    let names: Vec<&str> = made.iter().map(|notifier| &*notifier.name).collect();
    assert_eq!(names, ["slack", "teams", "discord", "pagerduty"]);
    for notifier in &made {
        assert_eq!(
            (&notifier.on, notifier.group, notifier.repeat),
            (&in_file.on, in_file.group, in_file.repeat)
        );
        assert_eq!(notifier.channel.word(), &*notifier.name);
    }
    assert!(matches!(&made[0].channel, ChannelSettings::Slack { .. }));

    // A variable that a [[notify]] names belongs to it alone, and a taken name gets a number.
    let named = "[[notify]]\ntype = 'slack'\nurl_env = 'SLACK_URL'\non = ['give_up']\n";
    assert_eq!(settings(&all[..1], named).expect("settings").notifiers.len(), 1);
    let other = "[[notify]]\ntype = 'slack'\nurl = 'https://hooks.slack.com/services/b'\n";
    let both = settings(&all[..1], other).expect("settings").notifiers;
    assert_eq!((&*both[0].name, &*both[1].name), ("slack", "slack-2"));

    let wrong = settings(&[("SLACK_URL", "canary"), ("PAGERDUTY_KEY", "can ary")], "").expect_err("both");
    assert!(
        wrong.contains("SLACK_URL (environment variable SLACK_URL): the value (not shown) is not valid"),
        "{wrong}"
    );
    assert!(wrong.contains("PAGERDUTY_KEY") && !wrong.contains("canary"), "{wrong}");
}

#[test]
fn pagerduty_has_a_key_and_the_usual_address() {
    let file = "[[notify]]\ntype = 'pagerduty'\nsecret = '0123456789abcdef0123456789abcdef'\n";
    let made = settings(&[], file).expect("settings").notifiers;
    assert!(matches!(&made[0].channel, ChannelSettings::PagerDuty { .. }));
    let missing = settings(&[], "[[notify]]\ntype = 'pagerduty'\n").expect_err("no key");
    assert!(
        missing.starts_with("notify.secret (dynowarden.toml line 1): secret is missing; allowed: "),
        "{missing}"
    );
    for kind in ["teams", "discord"] {
        let missing = settings(&[], &format!("[[notify]]\ntype = '{kind}'\n")).expect_err("no URL");
        assert!(missing.starts_with("notify.url (dynowarden.toml line 1): url is missing"), "{missing}");
        let foreign = format!("[[notify]]\ntype = '{kind}'\nurl = 'https://h/a'\nsecret = 'x'\n");
        let foreign = settings(&[], &foreign).expect_err("a secret");
        assert!(foreign.contains("does not apply to type"), "{foreign}");
    }
}

#[test]
fn a_value_that_kept_its_quotes_is_refused() {
    let names = ["HEROKU_API_KEY", "DRAIN_PASSWORD", "ADMIN_PASSWORD", "HOOK_KEY", "SLACK_URL"];
    let quoted: BTreeMap<&str, &str> = names.iter().map(|name| (*name, "\"canary\"")).collect();
    let env: Vec<(&str, &str)> = quoted.into_iter().collect();
    let wrong = settings(&env, "").expect_err("quotes");
    for name in names {
        assert!(
            wrong.lines().any(|line| line.starts_with(name) && line.contains("is in quotes")),
            "{name}: {wrong}"
        );
    }
    assert!(!wrong.contains("canary"), "{wrong}");
}
