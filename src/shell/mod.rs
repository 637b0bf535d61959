//! The shell: everything that touches a clock, a socket, a file or the runtime. Thin, around the pure half.

pub mod clock;
pub mod driver;
pub mod notify;
pub mod traffic;
