//! What counting by endpoint costs a router line: on the way of its batch, and afterwards.
//!
//! - `read`: the request of a router line is read, without its path;
//! - `read_and_keep`: the same, and its path is put aside to be counted;
//! - `count`: it is counted, by a task of its own;
//! - `in_all`: all of these from the octets of a batch on, with the first look, the time in the line, and the
//!   figures of the dyno's last minutes.
//!
//! `cargo bench -p dynowarden-simulation`.

use std::hint::black_box;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use dynowarden_core::days::evidence::counts::AppCounts;
use dynowarden_core::days::evidence::paths::Paths;
use dynowarden_core::days::seen::Seen;
use dynowarden_core::detect::request;
use dynowarden_core::ident::DynoName;
use dynowarden_core::ingest::{self, Counts, ProcessTypeFilter};
use dynowarden_core::traffic::Traffic;
use dynowarden_core::wire::line::Line;
use dynowarden_core::wire::timestamp::Times;
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

#[divan::bench]
fn in_all(bencher: Bencher<'_, '_>) {
    let texts = texts();
    let frame = |text: &String| {
        let line = format!("<158>1 2026-01-02T03:04:05.678901+00:00 host heroku router - {text}\n");
        format!("{} {line}", line.len())
    };
    let bodies: Vec<String> = texts.chunks(300).map(|texts| texts.iter().map(frame).collect()).collect();
    let (dynos, mut traffic) = (dynos(), vec![Traffic::default(); 4]);
    let types = ProcessTypeFilter { process_types: vec!["web".parse().expect("a type")] };
    let mut app = AppCounts::default();
    bencher.counter(ItemsCount::new(texts.len())).bench_local(|| {
        for body in &bodies {
            let (mut counts, mut paths) = (Counts::default(), Paths::default());
            let mut times = Times::default();
            ingest::read_batch_with(black_box(body.as_bytes()), &types, None, &mut counts, |line| {
                if let (Some((_, Seen::Request(request))), Some(at)) = (line.seen(), line.time(&mut times)) {
                    let number = request.dyno.index - 1;
                    traffic[number as usize].request(&request, Duration::from_secs(60));
                    paths.add((number, &dynos[number as usize]), &request, at);
                }
            });
            assert_eq!(paths.len() as u64, counts.frames);
            paths.iter().for_each(|(dyno, asked, at)| app.count(dyno, &asked, at));
        }
    });
}
