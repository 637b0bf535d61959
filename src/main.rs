//! The program: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser as _;

use dynowarden::cli::{Cli, Command};
use dynowarden::commands;
use dynowarden::config::Needs;
use dynowarden::config::problem::Problems;

fn main() -> ExitCode {
    match run(Cli::parse().into_command()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dynowarden: {error:#}");
            // Wrong settings are the user's to mend before a second try; anything else happened on the way.
            ExitCode::from(if error.is::<Problems>() { 2 } else { 1 })
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => commands::serve::run(args.config.load(Needs::Serving)?)?,
        Command::Demo(args) => commands::demo::run(&args)?,
        _ => unreachable!("wired as they are merged"),
    }
    Ok(ExitCode::SUCCESS)
}
