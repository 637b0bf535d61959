//! What a dyno manager's line says about the end and the beginning of a process, for statistics over days.
//!
//! Finer than the facts that the engine acts on: those only need to know that a process leaves, while a life
//! is judged by why it ended. So this is read where lives are kept, and nothing acts on it.

use crate::event::DynoState;

/// A step in a dyno's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sign {
    /// The platform's daily restart.
    Cycling,
    /// A restart that was asked for: by a person, a program, or because of a release.
    Restarting,
    /// A new process begins.
    Starting,
    /// The platform ends the process at once, for example because of R15.
    Killed,
    State(DynoState),
}

/// Reads the sign in the text of a dyno's platform line, if there is one.
pub fn sign(msg: &[u8]) -> Option<Sign> {
    Some(match msg.trim_ascii() {
        b"Cycling" => Sign::Cycling,
        b"Restarting" => Sign::Restarting,
        b"Idling" => Sign::State(DynoState::Idle),
        b"Unidling" => Sign::State(DynoState::Starting),
        text if text.starts_with(b"Starting process with command") => Sign::Starting,
        text if text.starts_with(b"Stopping ") && text.ends_with(b" with SIGKILL") => Sign::Killed,
        text => {
            let states = str::from_utf8(text.strip_prefix(b"State changed from ")?).ok()?;
            let (_, new) = states.split_once(" to ")?;
            Sign::State(DynoState::from_word(new))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Sign, sign};
    use crate::event::DynoState;

    #[test]
    fn a_line_tells_why_a_process_ends() {
        for (text, expect) in [
            ("Cycling", Some(Sign::Cycling)),
            (" Restarting ", Some(Sign::Restarting)),
            ("Starting process with command `bin/start`", Some(Sign::Starting)),
            ("Stopping process with SIGKILL", Some(Sign::Killed)),
            ("Stopping all processes with SIGTERM", None),
            ("State changed from up to crashed", Some(Sign::State(DynoState::Crashed))),
            ("State changed from starting to up", Some(Sign::State(DynoState::Up))),
            ("State changed from up", None),
            ("Process exited with status 143", None),
            ("Cycling about", None),
        ] {
            assert_eq!(sign(text.as_bytes()), expect, "{text}");
        }
    }
}
