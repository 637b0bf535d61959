//! What counting by endpoint costs a router line: on the way of its batch, and afterwards.
//!
//! - `read`: the request of a router line is read, without its path;
//! - `read_and_keep`: the same, and its path is put aside to be counted;
//! - `count`: it is counted, by a task of its own.
//!
//! `cargo bench -p dynowarden-simulation`.

use std::hint::black_box;

use divan::Bencher;
use divan::counter::ItemsCount;
use dynowarden_core::days::evidence::counts::AppCounts;
use dynowarden_core::days::evidence::paths::Paths;
use dynowarden_core::detect::request;
use dynowarden_core::ident::DynoName;
use dynowarden_core::wire::line::Line;
use heroku_sim::endpoints::{Happening, Scene};
use heroku_sim::rng::Chance;
use jiff::Timestamp;

fn main() {
    divan::main();
}

/// The router's texts of a few hours, with a fifth of strangers.
fn texts() -> Vec<String> {
    let mut app = Scene { strangers: 0.2, ..Scene::USUAL }.start(Chance::new(14));
    let mut texts = Vec::new();
    while texts.len() < 100_000 {
        app.tick(|_, happening| {
            if let Happening::Request { dyno, method, path, .. } = happening {
                texts.push(format!(
                    "at=info method={method} path=\"{path}\" host=a.example.com \
                     request_id=59da6323-1e2f-4c5d-8a9b-0c1d2e3f4a5b fwd=\"181.167.87.140\" dyno=web.{dyno} \
                     connect=0ms service=3ms status=200 bytes=6979 protocol=https"
                ));
            }
        });
    }
    texts
}

fn lines(texts: &[String]) -> Vec<Line<'_>> {
    let at = b"2026-01-02T03:04:05Z";
    texts.iter().map(|text| Line::shown(at, b"heroku", b"router", text.as_bytes())).collect()
}

fn dynos() -> Vec<DynoName> {
    (1..=4).map(|index| format!("web.{index}").parse().expect("a dyno")).collect()
}

#[divan::bench]
fn read(bencher: Bencher<'_, '_>) {
    let texts = texts();
    let lines = lines(&texts);
    bencher
        .counter(ItemsCount::new(lines.len()))
        .bench(|| lines.iter().filter_map(|line| black_box(request::request(line))).count());
}

#[divan::bench]
fn read_and_keep(bencher: Bencher<'_, '_>) {
    let texts = texts();
    let (lines, dynos) = (lines(&texts), dynos());
    bencher.counter(ItemsCount::new(lines.len())).bench(|| {
        for batch in lines.chunks(300) {
            let mut paths = Paths::default();
            for request in batch.iter().filter_map(request::request) {
                let number = request.dyno.index - 1;
                let dyno = (number, &dynos[number as usize]);
                paths.add(dyno, black_box(&request), Timestamp::UNIX_EPOCH);
            }
            drop(black_box(paths));
        }
    });
}

#[divan::bench]
fn count(bencher: Bencher<'_, '_>) {
    let texts = texts();
    let (lines, dynos) = (lines(&texts), dynos());
    let requests: Vec<_> = lines.iter().filter_map(request::request).collect();
    let mut counts = AppCounts::default();
    bencher.counter(ItemsCount::new(requests.len())).bench_local(|| {
        for request in &requests {
            counts.add(&dynos[request.dyno.index as usize - 1], black_box(request), Timestamp::UNIX_EPOCH);
        }
    });
}
