//! A simulated Heroku: dynos that live, leak and die in simulated time, the Platform API that restarts them,
//! and the logplex that carries their lines.
//!
//! `world`, `platform` and `logplex` are pure: time is an argument, chance is seeded, and the same seed with
//! the same calls gives the same bytes. A whole-system simulation can drive them through a day in a second.
//! `server`, with `clock`, `delivery` and `listener`, puts real sockets and real time around the same three,
//! for tests of the real program and for the demo.
//!
//! Behaviour follows the documentation, public sources and published logs. Where they are silent, it takes
//! the harder case for a restarter, and a comment says so.

#![forbid(unsafe_code)]

pub mod app;
mod authorization;
pub mod bucket;
#[cfg(feature = "server")]
pub mod clock;
pub mod curve;
#[cfg(feature = "server")]
mod delivery;
pub mod dyno;
pub mod endpoint_paths;
pub mod endpoints;
pub mod fault;
mod lifecycle;
pub mod line;
#[cfg(feature = "server")]
mod listener;
pub mod logplex;
pub mod names;
pub mod one_off;
pub mod operations;
pub mod paging;
pub mod platform;
mod platform_lines;
pub mod resource;
pub mod rng;
mod routes;
pub mod sender;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod state;
pub mod status_page;
pub mod target;
pub mod weeks;
pub mod world;
