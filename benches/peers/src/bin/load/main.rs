//! The daemon under load, on loopback and with fixed resources: `scripts/load` builds the programs and calls
//! this.
//!
//! `load MODE BARE DAEMON`, the latter two being programs. The modes:
//!
//! - `beside`: requests per second at each server's maximum, compared with a bare one;
//! - `paced`: their times, at half of the bare server's rate;
//! - `restarts`: from POST to DELETE, while 5,000 batches a second arrive;
//! - `needles`: one error in a million frames;
//! - `memory`: start, memory at rest, under load and with 100,000 dynos; `dynos` is the last of these;
//! - `instructions`: instructions per request, counted by callgrind; `PROFILES=DIR` keeps the profiles.

mod beside;
mod client;
#[path = "../../../../corpus/mod.rs"]
mod corpus;
mod figures;
mod instructions;
mod memory;
mod platform;
mod restarts;
mod server;

use std::path::Path;

use anyhow::bail;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, bare, daemon] = &arguments[..] else { bail!("usage: load MODE BARE DAEMON") };
    let (bare, daemon) = (Path::new(bare), Path::new(daemon));
    // One thread: it has one processor, and the servers have the other one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match mode.as_str() {
            "beside" => beside::run(bare, daemon, false).await,
            "paced" => beside::run(bare, daemon, true).await,
            "restarts" => restarts::run(daemon).await,
            "needles" => restarts::needles(daemon).await,
            "memory" => memory::run(daemon).await,
            "dynos" => memory::dynos(daemon).await,
            "instructions" => {
                let into = std::env::var_os("PROFILES");
                instructions::run(bare, daemon, into.as_deref().map(Path::new)).await
            }
            _ => bail!("{mode} is no mode; see the head of this program"),
        }
    })
}
