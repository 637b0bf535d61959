//! From a batch's octets to events: the time, compared with a lower bound and with a plain search.
//!
//! - `floor`: follows the counts and splits the six header fields, without checks and meaning;
//! - `memmem`: searches the body for `Error R14`, which an app can also write;
//! - `wire`: all lines of the batch, checked; `wire_and_detect`: and their meaning.
//!
//! `cargo bench --bench parse`. Hot is one batch over and over, cold a corpus larger than the caches.
//! The allocation counts are part of the result: reading must not allocate.

mod corpus;

use std::hint::black_box;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
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
