//! The shell: everything that touches a clock, a socket, a file or the runtime. Thin, around the pure half.

pub mod board;
pub mod clock;
pub mod driver;
pub mod exposition;
pub mod frame_ids;
pub mod heroku;
pub mod home;
pub mod http;
pub mod metrics;
pub mod notify;
mod pauses;
pub mod rounds;
mod shares;
pub mod status_page;
pub mod store;
pub mod telemetry;
pub mod traffic;
