//! The status page: facts in, HTML and JSON out.
//!
//! ```text
//! series            what is remembered for the charts
//! facts             what the pages are made of
//! words             the words, colours and spans that all of them share
//! chart             memory over time, as SVG
//! document          what stands around every page
//! overview          `/`
//! dynos             the table of dynos, and a page of a large app
//! dyno              one dyno, and the question before its restart
//! ledger, rulings   the last decisions, and how they are shown
//! parts             a page in pieces, and which of them have changed
//! json              the same facts for programs
//! assets            style and script, named by their content
//! ```
//!
//! Everything here is pure, so that a page of two thousand dynos in any state can be made in a test. Text
//! from outside passes through maud or serde_json, which escape it; nothing is pasted into markup.

pub mod assets;
mod chart;
pub mod decisions;
pub mod dyno;
mod dynos;
pub mod facts;
pub mod json;
pub mod layout;
pub mod overview;
pub mod parts;
pub mod recent_decisions;
pub mod series;
mod words;
