//! Integration tests that need nothing but this machine: one binary, one module for each subject.

mod check;
mod codes;
mod config;
mod contrib;
mod daemon;
mod demo;
mod engine_ops;
mod fixtures;
mod hostile;
mod http_server;
mod identity;
mod net;
mod notify;
mod openapi;
mod page;
mod record;
mod replay;
mod rounds;
mod samples;
mod setup;
mod simulation;
mod store;
mod wire;
