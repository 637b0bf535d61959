//! What is remembered of an app over days: its series, its lives, and what they say.
//!
//! - `seen` reads a line; `step` adds it to five minutes of one dyno; `hour` collects the
//!   steps of the present hour, and `pack` makes an hour of them small.
//! - `history` holds the steps of one app, from the store or from files.
//! - `life` cuts a dyno's steps into lives, `growth` measures how fast each one grew, and `verdict` judges.
//! - `evidence` counts requests by endpoint, and finds those that explain the growth of memory.
//! - `peers` compares the service times of the dynos of one type.
//! - `proof` counts the lives that went over the quota, for rules that ask for it.
//! - `quiet` finds the hours with the fewest requests, `size` the dyno size that would do.
//! - `cycles` compares Heroku's daily restarts with the quiet hours.
//! - `report` puts it all together, and `words` has a verdict in words.
//!
//! Everything is computed from the steps alone, so that the daemon, its replicas and an archive give the same
//! answer, before and after any restart. Only platform lines count. Where the data does not show something,
//! the answer is that it is unknown.

pub mod cycles;
pub mod evidence;
pub mod growth;
pub mod history;
pub mod hour;
pub mod life;
pub mod pack;
pub mod peers;
pub mod proof;
pub mod quiet;
pub mod report;
pub mod seen;
pub mod size;
pub mod step;
pub mod verdict;
pub mod words;
