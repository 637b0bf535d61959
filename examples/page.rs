//! Measures the status page: `cargo run --release --example page [directory]`.
//!
//! Prints the size of a page and the time to render it, with twenty and with two thousand dynos, and writes
//! the pages to the directory if there is one.

use support::story;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use dynowarden::ui::assets::Assets;
use dynowarden::ui::facts::Facts;
use dynowarden::ui::layout::Layout;
use dynowarden::ui::overview::Overview;
use flate2::Compression;
use flate2::write::GzEncoder;

fn main() -> io::Result<()> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from);
    let assets = Assets::embedded();
    let frame = Layout {
        assets: &assets,
        seen: "7-1",
        token: "",
        version: env!("CARGO_PKG_VERSION"),
        told: None,
        public_url: None,
    };
    for asset in [&assets.style, &assets.script, &assets.icon] {
        println!("{:28} {:>7} bytes, {:>6} packed", asset.path, asset.content.len(), packed(asset.content)?);
    }
    let worlds = [
        ("shop", story::shop()),
        ("dynos-20", story::crowd(20)),
        ("dynos-2000", story::crowd(2000)),
        ("apps-200", story::many_apps(200)),
    ];
    for (name, facts) in worlds {
        let page = render(&frame, &facts);
        let took = fastest(|| drop(render(&frame, &facts)));
        let parts = fastest(|| drop(Overview::new(&frame, &facts).parts()));
        println!(
            "{name:28} {:>7} bytes, {:>6} packed, made in {took:?}, its parts in {parts:?}",
            page.len(),
            packed(&page)?
        );
        if let Some(directory) = &directory {
            std::fs::write(directory.join(format!("{name}.html")), page)?;
        }
    }
    Ok(())
}

fn render(frame: &Layout<'_>, facts: &Facts) -> String {
    Overview::new(frame, facts).page(frame, facts).into_string()
}

fn fastest(mut act: impl FnMut()) -> Duration {
    let once = |_| {
        #[expect(clippy::disallowed_methods, reason = "a stopwatch, not a decision")]
        let began = Instant::now();
        act();
        began.elapsed()
    };
    (0..50).map(once).min().unwrap_or_default()
}

fn packed(text: &str) -> io::Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(4));
    encoder.write_all(text.as_bytes())?;
    Ok(encoder.finish()?.len())
}
