//! Files that may be gzipped.

use std::io::{self, Cursor, Read};

use flate2::read::MultiGzDecoder;

/// The text in `reader`, unpacked if it is gzipped, including archives joined from several members.
pub(super) fn unzipped<'r>(mut reader: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let mut head = Vec::new();
    reader.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut head)?;
    let is_gzipped = head == GZIP_MAGIC;
    let whole = Cursor::new(head).chain(reader);
    Ok(if is_gzipped {
        Box::new(Filling { reader: MultiGzDecoder::new(whole), trouble: None })
    } else {
        Box::new(whole)
    })
}

/// Fills the caller's buffer, or returns everything left. An unpacker stops at the end of each member, and
/// the meaning of a system's name depends on the rest of a file's first part, wherever it was joined. An
/// uncompressed pipe is not waited for: its lines are handled as they come.
struct Filling<R> {
    reader: R,
    /// The error that ended the last part early, to be reported in its turn.
    trouble: Option<io::Error>,
}

impl<R: Read> Read for Filling<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < room.len() && self.trouble.is_none() {
            match self.reader.read(&mut room[filled..]) {
                Ok(0) => break,
                Ok(octets) => filled += octets,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.trouble = Some(error),
            }
        }
        if filled == 0 { self.trouble.take().map_or(Ok(0), Err) } else { Ok(filled) }
    }
}

/// RFC 1952, 2.3.1.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
