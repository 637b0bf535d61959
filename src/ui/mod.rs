//! The status page: facts in, HTML and JSON out.
//!
//! ```text
//! facts              the data of all pages
//! series             memory and restarts of each dyno, for the charts
//! recent_decisions   the last decisions with their outcomes
//! restarts_off       why nothing of an app is restarted
//! not_restarted      dynos that err for long without a restart
//! overview           `/`
//! verdict            its first lines: the worst problem, and what to do
//! dynos              the table of dynos, and its pages for a large app
//! dyno               the pages of one app and of one dyno
//! decisions          a list of decisions
//! chart              memory over time, as SVG
//! layout             the frame of every page
//! words              words, colours and time spans that all pages share
//! parts              the parts of a page, and which of them have changed
//! json               the same data as JSON
//! assets             style sheet, script and icon
//! ```
//!
//! Everything here is pure, so a test can render two thousand dynos in any state. Text from outside passes
//! through maud or serde_json, which escape it.

pub mod assets;
mod chart;
pub mod days;
pub mod decisions;
pub mod decisions_page;
pub mod dyno;
mod dynos;
pub mod facts;
pub mod json;
pub mod layout;
pub mod marks;
pub mod not_restarted;
pub mod overview;
pub mod parts;
pub mod plot;
pub mod recent_decisions;
pub mod restarts_off;
pub mod series;
mod verdict;
mod words;
