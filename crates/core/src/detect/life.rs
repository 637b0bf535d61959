//! What the dyno manager says about a dyno's life.

use crate::event::{Change, DynoState};

/// A change of states that is not written as `from up to down`.
#[derive(Debug)]
pub(super) struct UnknownState;

/// Sentences about a dyno's life (heroku.md §2.3 and §2.4).
pub(super) fn change(msg: &[u8]) -> Result<Option<Change>, UnknownState> {
    Ok(Some(match msg {
        b"Cycling" | b"Restarting" | b"Relocating dyno to a new server" => Change::Leaving,
        // The state lines follow within milliseconds and repeat it.
        b"Idling" => Change::to(DynoState::Idle),
        b"Unidling" => Change::to(DynoState::Starting),
        // All processes, the process, the remaining processes: worded differently over the years.
        _ if msg.starts_with(b"Stopping ")
            && (msg.ends_with(b" with SIGTERM") || msg.ends_with(b" with SIGKILL")) =>
        {
            Change::Leaving
        }
        _ if msg.starts_with(b"Starting process with command") => Change::Starting,
        _ if msg.starts_with(b"Process exited with status ") => Change::Exited,
        _ => match msg.strip_prefix(b"State changed from ") {
            Some(text) => states(text).ok_or(UnknownState)?,
            None => return Ok(None),
        },
    }))
}

/// Whether a dyno manager's text is about its dyno's life.
pub(crate) fn is_life(msg: &[u8]) -> bool {
    !matches!(change(msg), Ok(None))
}

/// `up to down`.
fn states(text: &[u8]) -> Option<Change> {
    let mut words = text.split(|octet| *octet == b' ');
    // A word that is not UTF-8 is some other state, like every unknown word.
    let state = |word: &[u8]| str::from_utf8(word).map_or(DynoState::Other, DynoState::from_word);
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(from), Some(b"to"), Some(to @ [_, ..]), None) => {
            Some(Change::State { from: Some(state(from)), to: state(to) })
        }
        _ => None,
    }
}
