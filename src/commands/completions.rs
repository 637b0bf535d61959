//! `dynowarden completions SHELL`, and the man page of releases.

use std::io::{self, Write};

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::cli::Cli;

/// Prints the completions of one shell.
///
/// # Errors
/// The output cannot be written.
pub fn run(shell: Shell, out: &mut dyn Write) -> io::Result<()> {
    let mut text = Vec::new();
    generate(shell, &mut Cli::command(), "dynowarden", &mut text);
    out.write_all(&text)?;
    out.flush()
}

/// Prints the man page.
///
/// # Errors
/// The output cannot be written.
pub fn man(out: &mut dyn Write) -> io::Result<()> {
    clap_mangen::Man::new(Cli::command()).render(&mut &mut *out)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use clap_complete::Shell;

    use super::{man, run};

    #[test]
    fn every_shell_completes_every_command() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let mut out = Vec::new();
            run(shell, &mut out).expect("a vector takes everything");
            let text = String::from_utf8(out).expect("text");
            for word in ["serve", "demo", "replay", "check", "history", "config", "healthcheck", "register"] {
                assert!(text.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn the_man_page_has_every_command_and_variable() {
        let mut out = Vec::new();
        man(&mut out).expect("a vector takes everything");
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains(".TH dynowarden 1"), "{text}");
        for word in ["replay", "check", "healthcheck", "HEROKU_API_KEY", "SLACK_URL"] {
            assert!(text.contains(word), "{word} in {text}");
        }
    }
}
