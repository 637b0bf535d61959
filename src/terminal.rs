//! Colour on terminals, for people who want it: <https://no-color.org> and <https://bixense.com/clicolors>.

use std::ffi::OsString;
use std::fmt;
use std::io::IsTerminal;

/// Whether output on a stream has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(bool);

/// Colours by their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Accent,
    Bad,
    Dim,
    Good,
    Strong,
    Warning,
}

impl Colour {
    pub const OFF: Self = Self(false);

    /// `NO_COLOR` switches colours off, else `CLICOLOR_FORCE` on; otherwise a terminal has them.
    pub fn on(stream: &impl IsTerminal) -> Self {
        Self::decide(&|name| std::env::var_os(name), stream.is_terminal())
    }

    fn decide(variable: &dyn Fn(&str) -> Option<OsString>, is_terminal: bool) -> Self {
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let is_on = |name: &str| is_set(name) && variable(name).is_none_or(|value| value != "0");
        let is_dumb = variable("TERM").is_some_and(|value| value == "dumb");
        Self(!is_set("NO_COLOR") && (is_on("CLICOLOR_FORCE") || (is_terminal && !is_dumb)))
    }

    pub fn is_on(self) -> bool {
        self.0
    }

    /// The text in a colour, or as it is.
    pub fn paint(self, paint: Paint, text: impl fmt::Display) -> String {
        let code = match paint {
            Paint::Accent => "36",
            Paint::Bad => "31",
            Paint::Dim => "2",
            Paint::Good => "32",
            Paint::Strong => "1",
            Paint::Warning => "33",
        };
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Colour, Paint};

    #[test]
    fn colours_follow_the_variables_and_the_terminal() {
        for (variables, is_terminal, expect) in [
            (&[][..], true, true),
            (&[], false, false),
            (&[("NO_COLOR", "1")], true, false),
            (&[("NO_COLOR", "")], true, true),
            (&[("CLICOLOR_FORCE", "1")], false, true),
            (&[("CLICOLOR_FORCE", "0")], false, false),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], true, false),
            (&[("TERM", "dumb")], true, false),
        ] {
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
            };
            assert_eq!(Colour::decide(&variable, is_terminal).is_on(), expect, "{variables:?}");
        }
        assert_eq!(Colour(true).paint(Paint::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(Colour::OFF.paint(Paint::Bad, "x"), "x");
    }
}
