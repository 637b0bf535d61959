//! Decompression: what is read, and how much work any body can cause.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, HeaderValue};

use super::{Encoding, TooLarge, Unpacked, Unpacker};
use dynowarden_core::limits;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("packed");
    encoder.finish().expect("packed")
}

fn unpack(packed: impl Into<Bytes>, bytes_max: usize) -> Result<Unpacked, TooLarge> {
    let mut unpacker = Unpacker::new(packed.into(), bytes_max);
    while !unpacker.step()? {}
    Ok(unpacker.finish())
}

#[test]
fn only_gzip_and_identity_are_supported() {
    for (named, expect) in [
        (&[][..], Some(Encoding::Identity)),
        (&["identity"], Some(Encoding::Identity)),
        (&["gzip"], Some(Encoding::Gzip)),
        (&["GZip"], Some(Encoding::Gzip)),
        (&["deflate"], None),
        (&["br"], None),
        (&["gzip, gzip"], None),
        (&["gzip", "gzip"], None),
    ] {
        let mut headers = HeaderMap::new();
        for name in named {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(name));
        }
        assert_eq!(Encoding::of(&headers), expect, "{named:?}");
    }
}

#[test]
fn decompression_stops_at_the_limit() {
    let bomb = gzip(&vec![0; 64 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    assert_eq!(unpack(bomb, 4096), Err(TooLarge));
    let fits = unpack(gzip(&[7; 4096]), 4096).expect("fits");
    assert_eq!((fits.bytes.len(), fits.whole), (4096, true));
}

#[test]
fn data_before_a_fault_is_kept() {
    let text: Vec<u8> = (0..40_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let packed = gzip(&text);
    let whole = unpack(packed.clone(), 1 << 20).expect("read");
    assert_eq!((&whole.bytes[..], whole.whole), (&text[..], true));
    let cut = unpack(packed[..packed.len() / 2].to_vec(), 1 << 20).expect("read");
    assert!(!cut.whole && !cut.bytes.is_empty() && text.starts_with(&cut.bytes));
    let garbage = unpack(&b"no gzip"[..], 100).expect("read");
    assert_eq!(garbage, Unpacked { bytes: Bytes::new(), whole: false });
    let empty = unpack(Bytes::new(), 100).expect("read");
    assert_eq!(empty, Unpacked { bytes: Bytes::new(), whole: true });
    let two = unpack([gzip(b"a"), gzip(b"b")].concat(), 100).expect("read");
    assert_eq!((&two.bytes[..], two.whole), (&b"ab"[..], true));
}

/// The start of a gzip member, and then `piece` over and over.
fn repeated(piece: &[u8], length: usize) -> Vec<u8> {
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    header.into_iter().chain(piece.iter().copied().cycle()).take(length).collect()
}

#[test]
fn blocks_without_content_are_read_for_a_moment_only() {
    let four_mib = 4 * 1024 * 1024;
    let empty_members: Vec<u8> = gzip(b"").into_iter().cycle().take(four_mib).collect();
    for (name, packed) in [
        // Four empty blocks with fixed tables, ten bits each.
        ("fixed", repeated(&[0x02, 0x08, 0x20, 0x80, 0x00], four_mib)),
        ("stored", repeated(&[0, 0, 0, 0xff, 0xff], four_mib)),
        ("members", empty_members),
    ] {
        let mut unpacker = Unpacker::new(packed.into(), four_mib);
        while !unpacker.step().expect("nothing comes out") {}
        let work = unpacker.work();
        assert!(work <= limits::UNPACK_EMPTY_BYTES + limits::UNPACK_PIECE_BYTES, "{name}: {work}");
        let unpacked = unpacker.finish();
        assert!(unpacked.bytes.is_empty() && !unpacked.whole, "{name}");
    }
}

#[test]
fn a_compressor_that_flushes_each_line_is_read() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    for _ in 0..100_000 {
        encoder.write_all(b"12345678").expect("packed");
        encoder.flush().expect("flushed");
    }
    let packed = encoder.finish().expect("packed");
    assert!(packed.len() > 8 * limits::UNPACK_EMPTY_BYTES, "{}", packed.len());
    let unpacked = unpack(packed, 1 << 20).expect("read");
    assert_eq!((unpacked.bytes.len(), unpacked.whole), (800_000, true));
}
