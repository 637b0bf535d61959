//! The command line and its help, and the one place that reads settings from the environment and from files.

mod help;

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::tz::{Offset, TimeZone};

use crate::cli::help::{
    AFTER_HELP, CHECK_HELP, COMPLETIONS_HELP, CONFIG_HELP, DEMO_HELP, HEALTHCHECK_HELP, HISTORY_HELP,
    REPLAY_HELP, REPORT_HELP, SERVE_HELP,
};
use crate::config::problem::Problems;
use crate::config::settings::Settings;
use crate::config::{self, Needs, Sources};
use dynowarden_core::calendar;
use dynowarden_core::ident::AppName;
use dynowarden_core::limits;
use dynowarden_core::units::{self, UnitError};

/// A Heroku log drain that restarts the one web dyno that exceeds its memory quota, and says why.
#[derive(Debug, Parser)]
#[command(
    name = "dynowarden",
    bin_name = "dynowarden",
    version = env!("DYNOWARDEN_VERSION"),
    args_conflicts_with_subcommands = true,
    after_help = AFTER_HELP
)]
pub struct Cli {
    #[command(flatten)]
    serve: ServeArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon: receive logs and restart dynos (the default command)
    Serve(ServeArgs),
    /// Run the daemon against a simulated Heroku on this machine
    Demo(DemoArgs),
    /// Read archived logs and print what dynowarden would have done, and why; makes no API calls
    Replay(ReplayArgs),
    /// Check the settings, the token, the apps and their drains, and print a fix for every problem
    Check(CheckArgs),
    /// Print what is known of each app over days: verdict, lives, quiet hours, right size
    Report(ReportArgs),
    /// Print past decisions with their reasons
    History(HistoryArgs),
    /// Print the settings in force with the origin of each, and check that they are valid
    Config(ConfigCommandArgs),
    /// Print the completions of a shell
    Completions(CompletionsArgs),
    /// Ask the daemon on this machine whether it is alive
    Healthcheck(HealthcheckArgs),
    /// Print the man page
    #[command(hide = true)]
    Man,
}

/// `config`.
#[derive(Args, Debug)]
#[command(after_help = CONFIG_HELP)]
pub struct ConfigCommandArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `completions`.
#[derive(Args, Debug)]
#[command(after_help = COMPLETIONS_HELP)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// `healthcheck`.
#[derive(Args, Debug)]
#[command(after_help = HEALTHCHECK_HELP)]
pub struct HealthcheckArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `serve`.
#[derive(Args, Debug)]
#[command(after_help = SERVE_HELP)]
pub struct ServeArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `demo`.
#[derive(Args, Debug)]
#[command(after_help = DEMO_HELP)]
pub struct DemoArgs {
    /// Port of the daemon on 127.0.0.1; 0 picks a free port
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub port: u16,
    /// Port of the simulated Platform API on 127.0.0.1; 0 picks a free port
    #[arg(long, value_name = "N", default_value_t = 8081)]
    pub api_port: u16,
    /// Speed-up factor for simulated time
    #[arg(long, value_name = "X", default_value_t = 30.0, value_parser = parse_speed)]
    pub speed: f64,
    /// Random seed: the same seed gives the same leaks
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Stop after this time with exit code 0
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub duration: Option<Duration>,
}

/// `replay`.
#[derive(Args, Debug)]
#[command(after_help = REPLAY_HELP)]
pub struct ReplayArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The app whose rules, policy and name are used
    #[arg(long, value_name = "NAME")]
    pub app: Option<AppName>,
    /// Zone of times that name none, such as Europe/Berlin or +02:00
    #[arg(long, value_name = "ZONE", value_parser = parse_zone, allow_hyphen_values = true)]
    pub zone: Option<TimeZone>,
    /// A setting to try, such as policy.cooldown=30m; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    pub set: Vec<(String, String)>,
    /// Compare policies on the logs and recommend one, instead of printing decisions
    #[arg(long)]
    pub what_if: bool,
    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    /// Logs to read, plain or .gz; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

/// `check`.
#[derive(Args, Debug)]
#[command(after_help = CHECK_HELP)]
pub struct CheckArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Add missing drains that deliver to this address
    #[arg(long, value_name = "URL")]
    pub register: Option<String>,
    /// Send a test message through each notifier
    #[arg(long)]
    pub notify: bool,
    /// Print only what is wrong
    #[arg(long, short)]
    pub quiet: bool,
    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// `report`.
#[derive(Args, Debug)]
#[command(after_help = REPORT_HELP)]
pub struct ReportArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Only this app; with files, the app of lines that name none
    #[arg(long, value_name = "NAME")]
    pub app: Option<AppName>,
    /// Only this long before the end of the data
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub since: Option<Duration>,
    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    /// Logs to read instead of the store, plain or .gz; `-` is standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// `history`.
#[derive(Args, Debug)]
#[command(after_help = HISTORY_HELP)]
pub struct HistoryArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Only decisions about this app
    #[arg(long, value_name = "NAME")]
    pub app: Option<AppName>,
    /// Maximum number of decisions, newest first
    #[arg(long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::HISTORY_ROWS_MAX)))]
    pub limit: u32,
    /// Only decisions of this last span of time, such as 2h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub since: Option<Duration>,
    /// Wait for new decisions and print them, until interrupted
    #[arg(long, short)]
    pub follow: bool,
    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

#[derive(Args, Debug)]
pub struct ConfigArgs {
    /// Settings file (default: dynowarden.toml in the working directory, if present)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// How output is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    /// One JSON object per line.
    Json,
}

impl Cli {
    /// Returns the command, by default `serve`.
    pub fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}

impl ConfigArgs {
    /// Reads the settings from the process's environment and from the file.
    ///
    /// # Errors
    /// All problems, and everything missing that `needs` requires.
    pub fn load(&self, needs: Needs) -> Result<Settings, Problems> {
        self.load_with(&[], needs)
    }

    /// The settings in force, as text.
    ///
    /// # Errors
    /// All problems; nothing is required to be set.
    pub fn in_force(&self) -> Result<String, Problems> {
        let env: Vec<_> = std::env::vars_os().collect();
        config::in_force::text(&self.sources(&env, &read_file))
    }

    fn sources<'s>(
        &'s self,
        env: &'s [(OsString, OsString)],
        read_file: &'s dyn Fn(&Path) -> io::Result<String>,
    ) -> Sources<'s> {
        Sources { config: self.config.as_deref(), env, read_file }
    }

    /// Loads them with the settings of `--set`, which precede all others.
    ///
    /// # Errors
    /// All problems, and everything missing that `needs` requires.
    pub fn load_with(&self, set: &[(String, String)], needs: Needs) -> Result<Settings, Problems> {
        let mut env: Vec<_> = std::env::vars_os().collect();
        env.extend(config::arguments(set));
        let read = RefCell::new(Vec::new());
        let read_file = |path: &Path| {
            let text = read_file(path)?;
            read.borrow_mut().push(path.to_owned());
            Ok(text)
        };
        let mut settings = config::load(&self.sources(&env, &read_file), needs)?;
        let settings_file = self.config.as_deref().unwrap_or(Path::new(config::DEFAULT_FILE));
        let is_public = |path: &Path| settings.tls.as_ref().is_some_and(|tls| tls.cert == path);
        let secret_files = read.take().into_iter().filter(|path| path != settings_file && !is_public(path));
        let warnings: Vec<String> = secret_files.filter_map(|path| warn_if_readable(&path)).collect();
        settings.warnings.extend(warnings);
        Ok(settings)
    }
}

/// A warning of a file with a secret that every user of this machine can read.
fn warn_if_readable(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o004 != 0).then(|| {
        let path = path.display();
        format!("every user of this machine can read the secret in {path}: chmod o-r {path}")
    })
}

/// Reads a settings file. Its reported size is not trusted, because it may be a device or a pipe.
fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(limits::SETTINGS_FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > limits::SETTINGS_FILE_BYTES_MAX {
        let size = units::spell_bytes(limits::SETTINGS_FILE_BYTES_MAX);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {size}")));
    }
    Ok(text)
}

/// Parses a zone by its name or by its distance from UTC.
fn parse_zone(text: &str) -> Result<TimeZone, String> {
    let named = calendar::zone(text);
    let fixed = || {
        let digits = text.strip_prefix("UTC").unwrap_or(text);
        let sign = match digits.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let (hours, minutes) = match digits[1..].split_once(':') {
            Some(parts) => parts,
            None if digits.len() == 5 => digits[1..].split_at_checked(2)?,
            None => (&digits[1..], "0"),
        };
        let part = |text: &str, max| text.parse::<i32>().ok().filter(|part| (0..=max).contains(part));
        Offset::from_seconds(sign * (part(hours, 23)? * 3600 + part(minutes, 59)? * 60)).ok()
    };
    named.ok().or_else(|| fixed().map(TimeZone::fixed)).ok_or_else(|| {
        "no such time zone; allowed: a name such as Europe/Berlin, UTC, or an offset such as +02:00"
            .to_owned()
    })
}

/// Parses `policy.cooldown=30m`.
fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("allowed: KEY=VALUE, such as policy.cooldown=30m")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    units::duration(text).map_err(|allowed: UnitError| format!("allowed: {allowed}"))
}

fn parse_speed(text: &str) -> Result<f64, String> {
    let (slowest, fastest) = limits::DEMO_SPEEDS;
    match text.parse() {
        Ok(speed) if (slowest..=fastest).contains(&speed) => Ok(speed),
        _ => Err(format!("allowed: a number from {slowest} to {fastest}")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use clap::{CommandFactory as _, Parser as _};

    use super::{Cli, Command, Format, read_file};
    use dynowarden_core::limits;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split_whitespace()).map(Cli::into_command)
    }

    #[test]
    fn the_command_definition_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves() {
        for line in ["dynowarden", "dynowarden serve"] {
            let Ok(Command::Serve(args)) = parse(line) else { panic!("{line} serves") };
            assert_eq!(args.config.config, None);
        }
        for line in ["dynowarden --config a.toml", "dynowarden serve --config a.toml"] {
            let Ok(Command::Serve(args)) = parse(line) else { panic!("{line} serves") };
            assert_eq!(args.config.config.as_deref(), Some(Path::new("a.toml")));
        }
    }

    #[test]
    fn every_command_accepts_its_documented_options() {
        let Ok(Command::Demo(demo)) =
            parse("dynowarden demo --port 0 --api-port 1 --speed 20 --seed 7 --for 1m30s")
        else {
            panic!("a demo")
        };
        assert_eq!((demo.port, demo.api_port, demo.speed, demo.seed), (0, 1, 20.0, 7));
        assert_eq!(demo.duration, Some(Duration::from_secs(90)));

        let Ok(Command::Replay(replay)) = parse("dynowarden replay --app acme --format json a.log b.gz -")
        else {
            panic!("a replay")
        };
        assert_eq!(replay.app.expect("an app").as_str(), "acme");
        assert_eq!((replay.format, replay.files.len()), (Format::Json, 3));

        let Ok(Command::Check(check)) = parse("dynowarden check --register https://w.example.com --notify")
        else {
            panic!("a check")
        };
        assert_eq!(check.register.as_deref(), Some("https://w.example.com"));
        assert!(check.notify);

        let Ok(Command::History(history)) = parse("dynowarden history --app acme --limit 5") else {
            panic!("a history")
        };
        assert_eq!((history.limit, history.format), (5, Format::Text));
    }

    #[test]
    fn a_zone_is_a_name_or_an_offset() {
        for (zone, expect) in [
            ("Europe/Berlin", Some("2026-06-09T02:00:00+02:00[Europe/Berlin]")),
            ("+02:00", Some("2026-06-09T02:00:00+02:00[+02:00]")),
            ("+0200", Some("2026-06-09T02:00:00+02:00[+02:00]")),
            ("-03", Some("2026-06-08T21:00:00-03:00[-03:00]")),
            ("UTC+5", Some("2026-06-09T05:00:00+05:00[+05:00]")),
            ("Mars", None),
            ("+2400", None),
            ("+02000", None),
            ("+é12", None),
        ] {
            let at: jiff::Timestamp = "2026-06-09T00:00:00Z".parse().expect("a time");
            let shown = super::parse_zone(zone).ok().map(|zone| at.to_zoned(zone).to_string());
            assert_eq!(shown.as_deref(), expect, "{zone}");
        }
    }

    #[test]
    fn wrong_usage_is_exit_code_2() {
        for line in [
            "dynowarden replay",
            "dynowarden replay --app A/B x.log",
            "dynowarden replay --format xml x.log",
            "dynowarden history --limit 0",
            "dynowarden demo --speed nan",
            "dynowarden demo --speed -1",
            "dynowarden demo --for 5",
            "dynowarden demo --port 70000",
            "dynowarden --config",
            "dynowarden serv",
            "dynowarden --config a.toml serve",
            "dynowarden --nonsense",
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
        for line in ["dynowarden --help", "dynowarden --version", "dynowarden help replay"] {
            assert_eq!(parse(line).expect_err(line).exit_code(), 0, "{line}");
        }
    }

    #[test]
    fn help_names_every_variable_and_every_command() {
        let help = Cli::command().render_help().to_string();
        for word in crate::config::env::VARIABLES
            .iter()
            .chain(&["serve", "demo", "replay", "check", "history", "report"])
        {
            assert!(help.contains(word), "{word} in {help}");
        }
    }

    #[test]
    fn a_settings_file_is_limited_in_size() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x");
        let bound = usize::try_from(limits::SETTINGS_FILE_BYTES_MAX).expect("it is small");
        std::fs::write(&path, "x".repeat(bound)).expect("room on the disk");
        assert_eq!(read_file(&path).expect("a file at the bound").len(), bound);
        std::fs::write(&path, "x".repeat(bound + 1)).expect("room on the disk");
        assert!(read_file(&path).is_err());
        std::fs::write(&path, [0xff]).expect("room on the disk");
        assert!(read_file(&path).is_err());
        assert!(read_file(dir.path()).is_err());
    }
}
