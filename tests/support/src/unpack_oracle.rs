//! The oracle of decompression: the same result as another decoder, and work in proportion to what is read
//! and written, whatever the body holds.

use std::time::{Duration, Instant};

use bytes::Bytes;
use dynowarden::http::unpack::{Unpacked, Unpacker};
use dynowarden_core::limits;
use miniz_oxide::inflate::core::DecompressorOxide;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::{TINFLStatus, core};

/// Bytes of the result. Small, so that the limit is reached often.
const BYTES_MAX: usize = 64 * 1024;

/// Checks any octets as a gzip body, and as the blocks of one, over and over.
pub fn check_body(octets: &[u8]) {
    let result = check_work(octets.to_vec());
    check_result(octets, result);
    // What costs most for each octet is seen only in a long body.
    if !octets.is_empty() {
        let whole = |header: &[u8]| -> Vec<u8> {
            header.iter().chain(octets.iter().cycle()).take(header.len() + REPEATED_BYTES).copied().collect()
        };
        check_work(whole(&HEADER));
        check_work(whole(&[]));
    }
}

const REPEATED_BYTES: usize = 128 * 1024;

/// A member without a name.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Time for each octet that was read or written, and for the body as a whole. Tables that are built for
/// each of its blocks take thirty times as long.
const TIME_PER_OCTET: Duration = Duration::from_nanos(if cfg!(debug_assertions) { 2000 } else { 250 });
const TIME_IN_ALL: Duration = Duration::from_millis(if cfg!(debug_assertions) { 100 } else { 5 });

/// Decompresses a body; none if the result is too large.
fn check_work(packed: Vec<u8>) -> Option<Unpacked> {
    let packed = Bytes::from(packed);
    let mut took = Duration::MAX;
    // Another process may have taken the processor, but not ten times.
    for _ in 0..10 {
        let (result, work, lasted) = unpack(packed.clone());
        let read_and_written = u32::try_from(work).expect("a few megabytes");
        took = took.min(lasted);
        if took <= TIME_IN_ALL + TIME_PER_OCTET * read_and_written {
            return result;
        }
    }
    panic!("{took:?} for {} octets", packed.len());
}

#[expect(clippy::disallowed_methods, reason = "the work is measured")]
fn unpack(packed: Bytes) -> (Option<Unpacked>, usize, Duration) {
    let length = packed.len();
    let mut unpacker = Unpacker::new(packed, BYTES_MAX);
    let (mut before, mut steps) = (0, 0);
    let began = Instant::now();
    let ended = loop {
        let ended = unpacker.step();
        steps += 1;
        let work = unpacker.work();
        assert!(work - before <= 3 * limits::UNPACK_PIECE_BYTES, "a step is bounded");
        before = work;
        match ended {
            Ok(false) => {}
            Ok(true) => break true,
            Err(_) => break false,
        }
    };
    let (work, took) = (unpacker.work(), began.elapsed());
    assert!(
        steps <= 3 + 2 * (length / limits::UNPACK_PIECE_BYTES) + work,
        "{steps} steps for {length} octets"
    );
    let result = ended.then(|| unpacker.finish());
    if let Some(unpacked) = &result {
        let written = unpacked.bytes.len();
        assert!(written <= BYTES_MAX);
        let read_max =
            limits::UNPACK_EMPTY_BYTES + limits::UNPACK_GROWTH_MAX * written + 2 * limits::UNPACK_PIECE_BYTES;
        assert!(work - written <= read_max, "{work} for {written} octets");
    }
    (result, work, took)
}

/// A whole body of one plain member gives what another decoder finds in it, and any body a beginning of that.
fn check_result(octets: &[u8], result: Option<Unpacked>) {
    let Some(blocks) = octets.strip_prefix(&HEADER[..4]).and_then(|rest| rest.get(6..)) else { return };
    if octets[3] != 0 {
        return;
    }
    let mut out = vec![0; BYTES_MAX + 1];
    let mut decoder = Box::<DecompressorOxide>::default();
    let (status, _, length) =
        core::decompress(&mut decoder, blocks, &mut out, 0, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF);
    let expect = &out[..length];
    match result {
        None => assert!(length > BYTES_MAX || status == TINFLStatus::Done, "too large is {status:?}"),
        Some(unpacked) => {
            let common = length.min(unpacked.bytes.len());
            assert_eq!(unpacked.bytes[..common], expect[..common], "two decoders disagree");
            if unpacked.whole {
                assert_eq!(status, TINFLStatus::Done, "a whole body is one for both");
                assert!(unpacked.bytes.len() >= length);
            }
        }
    }
}
