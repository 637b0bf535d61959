//! Instructions per request in user space, counted by callgrind: the same on an idle and on a busy machine.
//!
//! Each server runs twice, with few requests and with many, all over one connection. The difference is what
//! the requests cost, without the start.

use std::path::Path;

use anyhow::Context as _;

use crate::beside::{self, SEED, SIZES};
use crate::client::{Batches, Sender};
use crate::platform::Platform;
use crate::server::Server;

const FEW: usize = 200;
const MANY: usize = 700;

/// Settings of the daemon, the bare server having none.
type Env = Option<Vec<(&'static str, String)>>;

/// Counts for each server and size of batches. Profiles stay in `callgrind.*` below `into`, if that is set.
pub async fn run(bare: &Path, daemon: &Path, into: Option<&Path>) -> anyhow::Result<()> {
    let platform = Platform::start(20).await?;
    println!("| batch | server | instructions a request |\n| --- | --- | ---: |");
    for (size, batch_frames) in SIZES {
        let batches = beside::batches(SEED, batch_frames);
        for (name, program, statistics) in [
            ("bare hyper", bare, None),
            ("dynowarden", daemon, Some(false)),
            ("with statistics", daemon, Some(true)),
        ] {
            let env = statistics.map(|on| beside::settings(&platform, on));
            let profile = |requests| {
                let file = format!("callgrind.{size}.{name}.{requests}").replace(' ', "-");
                into.map(|into| into.join(file).display().to_string())
            };
            let few = count(program, &env, &batches, FEW, profile(FEW)).await?;
            let many = count(program, &env, &batches, MANY, profile(MANY)).await?;
            let each = many.saturating_sub(few) / (MANY - FEW) as u64;
            println!("| {size} | {name} | {each} |");
        }
    }
    Ok(())
}

/// The instructions of a server that answers so many requests.
async fn count(
    program: &Path,
    env: &Env,
    batches: &Batches,
    requests: usize,
    profile: Option<String>,
) -> anyhow::Result<u64> {
    let scratch = tempfile::tempdir()?;
    let profile = profile.unwrap_or_else(|| scratch.path().join("callgrind").display().to_string());
    let out = format!("--callgrind-out-file={profile}");
    let under = ["valgrind", "--tool=callgrind", "--quiet", &out];
    let arguments: &[&str] = if env.is_some() { &["serve"] } else { &[] };
    let server = Server::start(program, arguments, env.as_deref().unwrap_or_default(), &under)?;
    let mut sender = Sender::connect(server.address, "acme").await?;
    for body in batches.bodies.iter().cycle().take(requests) {
        sender.post(body, batches.frames).await?;
    }
    server.stop()?;
    let text = std::fs::read_to_string(&profile).with_context(|| format!("no {profile}"))?;
    let totals = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    totals.and_then(|total| total.trim().parse().ok()).with_context(|| format!("no totals in {profile}"))
}
