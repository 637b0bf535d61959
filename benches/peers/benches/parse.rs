//! Frames per second, compared with other readers of the same lines.
//!
//! - `floor`: follows the counts and splits the six header fields, without checks and meaning;
//! - `dynowarden`: finds the frames, checks them, and reads their meaning;
//! - `syslog_loose`, `syslog_rfc5424`: read lines. Neither supports octet counts or lines without
//!   STRUCTURED-DATA, so they get UTF-8 text already split into lines, with the `-` that logplex leaves out.
//!   They do not read a meaning.
//!
//! `cargo bench --manifest-path benches/peers/Cargo.toml`. Hot is one batch over and over, cold a corpus
//! larger than the caches. The allocation counts are part of the result.

#[path = "../../corpus/mod.rs"]
mod corpus;

use std::hint::black_box;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use dynowarden_core::glance::{Glance, glances};
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
    let corpus = corpus(name);
    counted(bencher, &corpus)
        .bench(|| corpus.batches.iter().map(|batch| corpus::floor(batch)).sum::<usize>());
}

#[divan::bench(args = ["hot", "cold"])]
fn dynowarden(bencher: Bencher<'_, '_>, name: &str) {
    let corpus = corpus(name);
    let said = |batch: &Vec<u8>| {
        let mut found = 0;
        for glance in glances(black_box(batch)) {
            if let Glance::Line(Ok(line)) = glance {
                found += usize::from(matches!(black_box(detect::event(&line)), Ok(Some(_))));
            }
        }
        found
    };
    counted(bencher, &corpus).bench(|| corpus.batches.iter().map(said).sum::<usize>());
}

#[divan::bench(args = ["hot", "cold"])]
fn syslog_loose(bencher: Bencher<'_, '_>, name: &str) {
    let corpus = corpus(name);
    let lines = lines(&corpus);
    let is_read = |line: &String| {
        let message = syslog_loose::parse_message(black_box(line), syslog_loose::Variant::RFC5424);
        black_box(&message).timestamp.is_some()
    };
    assert!(lines.iter().all(is_read), "it cannot read them");
    counted(bencher, &corpus).bench(|| lines.iter().filter(|line| is_read(line)).count());
}

#[divan::bench(args = ["hot", "cold"])]
fn syslog_rfc5424(bencher: Bencher<'_, '_>, name: &str) {
    let corpus = corpus(name);
    let lines = lines(&corpus);
    let is_read = |line: &String| black_box(syslog_rfc5424::parse_message(black_box(line))).is_ok();
    assert!(lines.iter().all(is_read), "it cannot read them");
    counted(bencher, &corpus).bench(|| lines.iter().filter(|line| is_read(line)).count());
}

fn corpus(name: &str) -> Corpus {
    let (_, frames) = FRAMES.iter().find(|(known, _)| *known == name).expect("one of the two");
    Corpus::new(SEED, *frames)
}

fn counted<'a, 'b>(bencher: Bencher<'a, 'b>, corpus: &Corpus) -> Bencher<'a, 'b> {
    bencher.counter(ItemsCount::new(corpus.frames)).counter(BytesCount::new(corpus.bytes))
}

/// The lines of the corpus in the peers' format.
fn lines(corpus: &Corpus) -> Vec<String> {
    let frames = corpus.batches.iter().flat_map(|batch| wire::frame::frames(batch));
    let texts = frames.map(|frame| str::from_utf8(frame.expect("a good batch").octets).expect("UTF-8"));
    texts.map(|text| text.trim_end().replacen(" - ", " - - ", 1)).collect()
}
