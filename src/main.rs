//! The program: arguments in, exit code out.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use dynowarden::cli::{Cli, Command, ReplayArgs, ReportArgs};
use dynowarden::clock::Clock;
use dynowarden::commands::history::Asides;
use dynowarden::commands::{self, replay, report};
use dynowarden::config::Needs;
use dynowarden::config::problem::Problems;
use dynowarden::terminal::Colour;

fn main() -> ExitCode {
    match run(Cli::parse().into_command()) {
        Ok(true) => ExitCode::SUCCESS,
        // The findings have been printed.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("dynowarden: {error:#}");
            // The user can fix wrong settings before a second try; other errors happened on the way.
            ExitCode::from(if error.is::<Problems>() { 2 } else { 1 })
        }
    }
}

/// Runs a command; returns whether all is well.
fn run(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Check(args) => {
            let settings = args.config.load(Needs::Nothing)?;
            return commands::check::run(
                &args,
                &settings,
                Colour::on(&io::stdout()),
                &mut io::stdout().lock(),
            );
        }
        Command::Demo(args) => commands::demo::run(&args)?,
        Command::Replay(args) => replay(&args)?,
        Command::Report(args) => report(&args)?,
        Command::Serve(args) => commands::serve::run(args.config.load(Needs::Serving)?)?,
        Command::Completions(args) => commands::completions::run(args.shell, &mut io::stdout().lock())?,
        Command::Config(args) => print(&args.config.in_force()?)?,
        Command::Healthcheck(args) => commands::healthcheck::run(&args.config.load(Needs::Nothing)?)?,
        Command::Man => commands::completions::man(&mut io::stdout().lock())?,
        Command::History(args) => {
            let settings = args.config.load(Needs::Nothing)?;
            let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
            let asides = Asides { is_terminal: err.is_terminal(), to: &mut err };
            commands::history::run(&args, &settings, Colour::on(&io::stdout()), &mut out, asides)?;
        }
    }
    Ok(true)
}

/// The reader may be gone, as under `| head`: that is the end, not a failure.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn report(args: &ReportArgs) -> anyhow::Result<()> {
    let settings = args.config.load(Needs::Nothing)?;
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(std::env::var_os);
    let locale = locale.map(|locale| locale.to_string_lossy().to_lowercase()).unwrap_or_default();
    let streams = report::Streams {
        stdin: &mut io::stdin().lock(),
        out: &mut io::stdout().lock(),
        err: &mut io::stderr().lock(),
        is_terminal: io::stderr().is_terminal(),
        is_unicode: locale.contains("utf-8") || locale.contains("utf8"),
    };
    Ok(report::run(args, &settings, streams, Clock::system().now().wall)?)
}

fn replay(args: &ReplayArgs) -> anyhow::Result<()> {
    let settings = args.config.load_with(&args.set, Needs::Nothing)?;
    let is_terminal = io::stderr().is_terminal();
    let streams = replay::Streams {
        stdin: &mut io::stdin().lock(),
        out: &mut io::stdout().lock(),
        err: &mut io::stderr().lock(),
        is_terminal,
    };
    let colour = Colour::on(&io::stdout());
    Ok(replay::run_with(colour, args, &settings, streams, Clock::system().now().wall)?)
}
