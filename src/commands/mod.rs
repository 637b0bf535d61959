//! The commands, one file each.

mod attention;
pub mod check;
pub mod completions;
pub mod demo;
mod gzipped;
pub mod healthcheck;
pub mod history;
mod prelude;
pub mod replay;
mod replay_output;
pub mod report;
pub mod serve;
mod way_in;
mod what_if_output;

use crate::terminal::Colour;
use dynowarden_core::columns::Columns;

/// The columns of decisions on a stream with or without colours.
fn columns(colour: Colour) -> Columns {
    if colour.is_on() { Columns::painted(painted) } else { Columns::default() }
}

/// What surrounds a decision's word on a terminal. The words are those of decisions and outcomes.
fn painted(word: &str) -> (&'static str, &'static str) {
    let code = match word {
        "restart" | "accepted" => "\u{1b}[36m",
        "back" | "memory" => "\u{1b}[32m",
        "hold" | "heroku" => "\u{1b}[2m",
        "message" | "proof" => "\u{1b}[1m",
        "notify" => "\u{1b}[33m",
        _ => "\u{1b}[31m",
    };
    (code, "\u{1b}[0m")
}
