//! Decompressing a body, with limits for its size and for the work that it may cause.
//!
//! The size of the result alone does not bound the work: a gzip body may consist of blocks that hold nothing.
//! So the decoder gets its input in pieces, and after each piece the result is compared with what was read. A
//! compressor never writes much more than it was given, so a body that does is treated as corrupt from there.

use std::io::{self, BufRead, Read};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use dynowarden_core::limits;

/// A supported `Content-Encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Gzip,
    Identity,
}

/// A decompressed body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    pub bytes: Bytes,
    /// False if a compressed body is cut off or corrupt. The frames before the fault are good, and count.
    pub whole: bool,
}

/// The result has more bytes than a body may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is over the limit")]
pub struct TooLarge;

/// A gzip body that is being decompressed. It can be left and continued, on any thread.
#[derive(Debug)]
pub struct Unpacker {
    bytes: Vec<u8>,
    bytes_max: usize,
    decoder: MultiGzDecoder<Fed>,
    end: Option<bool>,
}

/// The packed body. It runs dry at `fed`, until the decoder may have more.
#[derive(Debug)]
struct Fed {
    at: usize,
    fed: usize,
    packed: Bytes,
}

impl Encoding {
    /// Whether a body of so many bytes is read as soon as it has come, by the thread of its connection.
    pub fn is_read_at_once(self, bytes: usize) -> bool {
        self == Self::Identity && bytes <= limits::UNPACK_AT_ONCE_BYTES
    }

    /// Returns `None` for an unsupported encoding.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut named = headers.get_all(CONTENT_ENCODING).iter();
        let Some(first) = named.next() else { return Some(Self::Identity) };
        if named.next().is_some() {
            return None;
        }
        match first.to_str().ok()?.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            _ => None,
        }
    }
}

// === impl Unpacker ===

impl Unpacker {
    /// Begins to decompress a body of which the result may have `bytes_max` bytes.
    pub fn new(packed: Bytes, bytes_max: usize) -> Self {
        let is_empty = packed.is_empty();
        let fed = Fed { at: 0, fed: packed.len().min(limits::UNPACK_PIECE_BYTES), packed };
        let decoder = MultiGzDecoder::new(fed);
        // Some senders compress nothing to nothing.
        Self { bytes: Vec::new(), bytes_max, decoder, end: is_empty.then_some(true) }
    }

    /// Bytes that were read and written so far: the work is in proportion to them.
    pub fn work(&self) -> usize {
        self.decoder.get_ref().at + self.bytes.len()
    }

    /// Decompresses at most one more piece. Returns whether the body has ended.
    ///
    /// # Errors
    /// The result is too large.
    pub fn step(&mut self) -> Result<bool, TooLarge> {
        if self.end.is_some() {
            return Ok(true);
        }
        let mut piece = [0; limits::UNPACK_PIECE_BYTES];
        // One byte over the limit is enough to detect a result that is too large.
        let room = piece.len().min(self.bytes_max - self.bytes.len() + 1);
        match self.decoder.read(&mut piece[..room]) {
            Ok(0) => self.end = Some(true),
            Ok(length) => {
                if length > self.bytes_max - self.bytes.len() {
                    return Err(TooLarge);
                }
                self.bytes.extend_from_slice(&piece[..length]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let fed = self.decoder.get_mut();
                let read_max = limits::UNPACK_EMPTY_BYTES + limits::UNPACK_GROWTH_MAX * self.bytes.len();
                if fed.at > read_max {
                    self.end = Some(false);
                } else {
                    fed.fed = fed.packed.len().min(fed.fed + limits::UNPACK_PIECE_BYTES);
                }
            }
            Err(_) => self.end = Some(false),
        }
        Ok(self.end.is_some())
    }

    /// The result so far, which is not whole before the end.
    pub fn finish(self) -> Unpacked {
        Unpacked { whole: self.end == Some(true), bytes: self.bytes.into() }
    }
}

// === impl Fed ===

impl Read for Fed {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(to)?;
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Fed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.fed && self.fed < self.packed.len() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(&self.packed[self.at..self.fed])
    }

    fn consume(&mut self, length: usize) {
        self.at += length;
    }
}

#[cfg(test)]
mod tests;
