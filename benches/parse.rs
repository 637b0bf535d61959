//! From a batch's octets to events: the time, compared with a lower bound and with a plain search.
//!
//! - `floor`: follows the counts and splits the six header fields, without checks and meaning;
//! - `memmem`: searches the body for `Error R14`, which an app can also write;
//! - `wire`: all lines of the batch, checked; `wire_and_detect`: and their meaning;
//! - `glance`: the first look alone; `reader`: the events of the batch, as the daemon reads them;
//!   `with_statistics`: and what its platform lines say of requests and dynos.
//! - `tricks`: lines of one kind, each kind for one trick of the reader. `full` reads the same lines without
//!   a first look, `statistics` as the daemon does with statistics on, and `requests` reads router lines with
//!   method and path.
//!
//! Times of one run can be compared with its `floor`, and not with those of another run.
//!
//! `cargo bench --bench parse`. Hot is one batch over and over, cold a corpus larger than the caches.
//! The allocation counts are part of the result: reading must not allocate.

mod corpus;

use std::hint::black_box;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use dynowarden_core::glance::{Glance, glances};
use dynowarden_core::ingest::{self, Counts, ProcessTypeFilter};
use dynowarden_core::wire::timestamp::Times;
use dynowarden_core::wire::{frame, timestamp};
use dynowarden_core::{detect, wire};

use crate::corpus::Corpus;

#[global_allocator]
static ALLOC: divan::AllocProfiler = divan::AllocProfiler::system();

const SEED: u64 = 14;

/// Frames of the two corpora: a batch of 100 KiB holds about 360, and 300,000 are some 80 MiB.
const FRAMES: &[(&str, usize)] = &[("hot", 350), ("cold", 300_000)];

fn main() {
    divan::main();
}

#[divan::bench(args = ["hot", "cold"])]
fn floor(bencher: Bencher<'_, '_>, name: &str) {
    bench(bencher, name, corpus::floor);
}

#[divan::bench(args = ["hot", "cold"])]
fn memmem(bencher: Bencher<'_, '_>, name: &str) {
    let finder = memchr::memmem::Finder::new(b"Error R14");
    bench(bencher, name, |body| finder.find_iter(body).count());
}

#[divan::bench(args = ["hot", "cold"])]
fn wire(bencher: Bencher<'_, '_>, name: &str) {
    bench(bencher, name, |body| wire::lines(body).map(black_box).filter(Result::is_ok).count());
}

#[divan::bench(args = ["hot", "cold"])]
fn wire_and_detect(bencher: Bencher<'_, '_>, name: &str) {
    bench(bencher, name, |body| {
        let lines = wire::lines(body).filter_map(Result::ok);
        lines.filter(|line| matches!(black_box(detect::event(line)), Ok(Some(_)))).count()
    });
}

#[divan::bench(args = ["hot", "cold"])]
fn glance(bencher: Bencher<'_, '_>, name: &str) {
    bench(bencher, name, |body| glances(body).filter(|glance| matches!(glance, Glance::Line(_))).count());
}

#[divan::bench(args = ["hot", "cold"])]
fn reader(bencher: Bencher<'_, '_>, name: &str) {
    bench(bencher, name, events);
}

#[divan::bench(args = ["hot", "cold"])]
fn with_statistics(bencher: Bencher<'_, '_>, name: &str) {
    let watch = ProcessTypeFilter { process_types: vec!["web".parse().expect("a type")] };
    bench(bencher, name, |body| shown(body, &watch));
}

/// The lines of a batch that statistics count.
fn shown(body: &[u8], watch: &ProcessTypeFilter) -> usize {
    let (mut counts, mut shown) = (Counts::default(), 0);
    ingest::read_batch_with(body, watch, None, &mut counts, |line| {
        let seen = black_box(line.seen());
        shown += usize::from(seen.is_some());
    });
    shown
}

/// What the daemon does with a batch of which nothing is wanted but events.
fn events(body: &[u8]) -> usize {
    let mut found = 0;
    for glance in glances(body) {
        if let Glance::Line(Ok(line)) = glance {
            found += usize::from(matches!(black_box(detect::event(&line)), Ok(Some(_))));
        }
    }
    found
}

/// Lines of one kind: a part of their text, and how they are changed.
const KINDS: &[(&str, &str, (&str, &str))] = &[
    ("app", " app ", ("", "")),
    ("request", "at=info", ("", "")),
    // A value of eight octets or more ends the usual way.
    ("request_with_long_value", "at=info", (" bytes=", " bytes=123456789")),
    ("request_in_other_order", "at=info", (" status=200 bytes=", " bytes=200 status=")),
    // One in ten, as if it were a zero that logplex had trimmed.
    ("short_time", "at=info", ("1+00:00 ", "+00:00 ")),
    ("short_priority", "at=info", ("<134>", "<45>")),
    ("drain_token", "at=info", (" host ", " d.68bc07b8-b306-4fa6-985f-48f8a45912c3 ")),
    ("load", "load_avg", ("", "")),
    ("memory", "memory_total", ("", "")),
    ("memory_in_other_order", "memory_total", ("sample#memory_cache=3.70MB ", "")),
    ("router_error", "at=error", ("", "")),
    ("dyno_error", "Error R14", ("", "")),
    ("life", "State changed", ("", "")),
];

#[divan::bench(args = KINDS.iter().map(|(name, ..)| *name))]
fn tricks(bencher: Bencher<'_, '_>, name: &str) {
    bench_kind(bencher, name, events);
}

#[divan::bench(args = KINDS.iter().map(|(name, ..)| *name))]
fn full(bencher: Bencher<'_, '_>, name: &str) {
    bench_kind(bencher, name, |body| {
        let lines = wire::lines(body).filter_map(Result::ok);
        lines.filter(|line| matches!(black_box(detect::event(line)), Ok(Some(_)))).count()
    });
}

#[divan::bench(args = KINDS.iter().map(|(name, ..)| *name))]
fn statistics(bencher: Bencher<'_, '_>, name: &str) {
    let watch = ProcessTypeFilter { process_types: vec!["web".parse().expect("a type")] };
    bench_kind(bencher, name, |body| shown(body, &watch));
}

#[divan::bench(args = ["request", "request_with_long_value", "request_in_other_order", "router_error"])]
fn requests(bencher: Bencher<'_, '_>, name: &str) {
    bench_kind(bencher, name, |body| {
        let lines = wire::lines(body).filter_map(Result::ok);
        lines.filter(|line| black_box(detect::request::request(line)).is_some()).count()
    });
}

#[divan::bench]
fn time(bencher: Bencher<'_, '_>) {
    bencher.bench(|| timestamp::parse(black_box(b"2026-03-10T12:34:56.123456+00:00")));
}

#[divan::bench]
fn time_of_the_same_minute(bencher: Bencher<'_, '_>) {
    let mut times = Times::default();
    bencher.bench_local(|| times.parse(black_box(b"2026-03-10T12:34:56.123456+00:00")));
}

/// A batch of up to three hundred lines of one kind.
fn bench_kind(bencher: Bencher<'_, '_>, name: &str, read: impl Fn(&[u8]) -> usize + Sync) {
    let (_, part, (from, to)) = KINDS.iter().find(|(known, ..)| *known == name).expect("a kind");
    let corpus = Corpus::new(SEED, 100_000);
    let frames = corpus.batches.iter().flat_map(|body| frame::frames(body)).map_while(Result::ok);
    let lines = frames.map(|frame| String::from_utf8_lossy(frame.octets).into_owned());
    let lines: Vec<String> = lines
        .filter(|line| line.contains(part))
        .take(300)
        .map(|line| if from.is_empty() { line } else { line.replacen(from, to, 1) })
        .collect();
    let body: String = lines.iter().map(|line| format!("{} {line}", line.len())).collect();
    bencher.counter(ItemsCount::new(lines.len())).bench(|| read(black_box(body.as_bytes())));
}

fn bench(bencher: Bencher<'_, '_>, name: &str, read: impl Fn(&[u8]) -> usize + Sync) {
    let (_, frames) = FRAMES.iter().find(|(known, _)| *known == name).expect("one of the two");
    let corpus = Corpus::new(SEED, *frames);
    if *frames > 100_000 {
        corpus.check();
    }
    bencher
        .counter(ItemsCount::new(corpus.frames))
        .counter(BytesCount::new(corpus.bytes))
        .bench(|| corpus.batches.iter().map(|batch| read(black_box(batch))).sum::<usize>());
}
