//! Files that may be gzipped. Other packed files are refused, with the command that unpacks them.

use std::io::{self, Cursor, Read};

use flate2::read::MultiGzDecoder;

/// The text in `reader`, unpacked if it is gzipped, including archives joined from several members.
///
/// # Errors
/// The file cannot be read, or is packed in another way.
pub(super) fn unzipped<'r>(reader: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let (head, whole) = peeked(reader, MAGIC_BYTES_MAX)?;
    if !head.starts_with(GZIP_MAGIC) {
        refuse(&head)?;
        return Ok(Box::new(whole));
    }
    let filling = Filling { reader: MultiGzDecoder::new(whole), trouble: None };
    let (head, whole) = peeked(filling, TAR_BYTES)?;
    if head.starts_with(GZIP_MAGIC) {
        return Err(packed("gzipped twice", "gzip -dc"));
    }
    refuse(&head)?;
    Ok(Box::new(whole))
}

/// The first octets of `reader`, at least `bytes` if there are, and all of it. An uncompressed pipe is not
/// waited for: its lines are handled as they come.
fn peeked<'r>(mut reader: impl Read + 'r, bytes: usize) -> io::Result<(Vec<u8>, impl Read + 'r)> {
    let mut head = vec![0; TAR_BYTES];
    let mut filled = 0;
    while filled < bytes {
        match reader.read(&mut head[filled..]) {
            Ok(0) => break,
            Ok(octets) => filled += octets,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What was read before it counts, and the next part reports it again.
            Err(_) if filled > 0 => break,
            Err(error) => return Err(error),
        }
    }
    head.truncate(filled);
    Ok((head.clone(), Cursor::new(head).chain(reader)))
}

/// Refuses a file that is packed.
fn refuse(head: &[u8]) -> io::Result<()> {
    if head.get(TAR_BYTES - 5..TAR_BYTES) == Some(b"ustar") {
        return Err(packed("a tar archive", "tar -xOf"));
    }
    match PACKED.iter().find(|(magic, ..)| head.starts_with(magic)) {
        Some((_, what, unpack)) => Err(packed(what, unpack)),
        None => Ok(()),
    }
}

fn packed(what: &str, unpack: &str) -> io::Error {
    let text = format!("it is {what}; unpack it first, as in `{unpack} FILE | dynowarden replay -`");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// What other packed files begin with, what they are, and the command that unpacks them.
const PACKED: [(&[u8], &str, &str); 7] = [
    (b"PK\x03\x04", "a zip archive", "unzip -p"),
    (b"BZh", "packed by bzip2", "bzip2 -dc"),
    (b"\xfd7zXZ\x00", "packed by xz", "xz -dc"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", "zstd -dc"),
    (b"\x04\x22\x4d\x18", "packed by lz4", "lz4 -dc"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x -so"),
    (b"\x1f\x9d", "packed by compress", "gzip -dc"),
];

/// The longest of them.
const MAGIC_BYTES_MAX: usize = 6;

/// The mark of a tar archive ends here (POSIX.1-2017, pax).
const TAR_BYTES: usize = 262;

/// Fills the caller's buffer, or returns everything left. An unpacker stops at the end of each member, and
/// the meaning of a system's name depends on the rest of a file's first part, wherever it was joined.
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
const GZIP_MAGIC: &[u8] = b"\x1f\x8b";

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::unzipped;

    fn gzipped(octets: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(octets).expect("memory");
        packed.finish().expect("memory")
    }

    /// The text of a file, or why it cannot be read.
    fn read(file: &[u8]) -> Result<Vec<u8>, String> {
        let mut text = Vec::new();
        let mut reader = unzipped(file).map_err(|error| error.to_string())?;
        reader.read_to_end(&mut text).map_err(|error| error.to_string())?;
        Ok(text)
    }

    #[test]
    fn text_is_read_gzipped_or_not() {
        for text in [&b""[..], b"x", b"\x1f", b"PK", b"2025-01-02 x\n", &[b'x'; 100_000]] {
            assert_eq!(read(text), Ok(text.to_vec()));
            assert_eq!(read(&gzipped(text)), Ok(text.to_vec()));
            assert_eq!(read(&[gzipped(text), gzipped(b"y")].concat()), Ok([text, b"y"].concat()));
        }
    }

    #[test]
    fn other_packed_files_are_refused_with_the_command_that_unpacks_them() {
        let tar = [&[b'x'; 257][..], b"ustar\x0000", &[0; 300]].concat();
        for (file, expect) in [
            (b"PK\x03\x04x".to_vec(), "`unzip -p FILE | dynowarden replay -`"),
            (b"BZh91AY".to_vec(), "`bzip2 -dc FILE | "),
            (b"\xfd7zXZ\x00x".to_vec(), "`xz -dc FILE | "),
            (b"\x28\xb5\x2f\xfdx".to_vec(), "`zstd -dc FILE | "),
            (gzipped(&gzipped(b"x")), "gzipped twice"),
            (gzipped(b"PK\x03\x04x"), "`unzip -p FILE | "),
            (tar.clone(), "`tar -xOf FILE | "),
            (gzipped(&tar), "`tar -xOf FILE | "),
        ] {
            let error = read(&file).expect_err(expect);
            assert!(error.contains(expect), "{error}");
        }
    }
}
