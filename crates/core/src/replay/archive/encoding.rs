//! UTF-16, as PowerShell's `>` writes it, decoded to UTF-8: with a byte order mark, or where the first two
//! characters are ASCII, which no other text with zeros in it is.

/// What the first octets of a file say about its encoding.
#[derive(Clone, Debug, Default)]
pub(super) struct Decoder {
    order: Option<Order>,
    /// Octets that are no whole unit yet.
    odd: Option<u8>,
    /// The first half of a pair.
    high: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Not UTF-16.
    Octets,
    Big,
    Little,
}

impl Decoder {
    /// Adds `chunk` to `buffer`, decoded; `buffer` holds the first octets while there are fewer than four.
    pub(super) fn push(&mut self, chunk: &[u8], buffer: &mut Vec<u8>) {
        let joined;
        let mut chunk = chunk;
        if self.order.is_none() {
            buffer.extend_from_slice(chunk);
            let (order, mark) = match buffer[..] {
                [0xff, 0xfe, ..] => (Order::Little, 2),
                [0xfe, 0xff, ..] => (Order::Big, 2),
                [_, _, _] | [_, _] | [_] | [] => return,
                [1..=0x7f, 0, 1..=0x7f, 0, ..] => (Order::Little, 0),
                [0, 1..=0x7f, 0, 1..=0x7f, ..] => (Order::Big, 0),
                _ => (Order::Octets, 0),
            };
            self.order = Some(order);
            if order == Order::Octets {
                return;
            }
            joined = buffer.split_off(0);
            chunk = &joined[mark..];
        }
        match self.order {
            Some(Order::Big) => self.decode(chunk, u16::from_be_bytes, buffer),
            Some(Order::Little) => self.decode(chunk, u16::from_le_bytes, buffer),
            _ => buffer.extend_from_slice(chunk),
        }
    }

    fn decode(&mut self, chunk: &[u8], unit: fn([u8; 2]) -> u16, buffer: &mut Vec<u8>) {
        let odd = self.odd.take();
        let mut octets = odd.into_iter().chain(chunk.iter().copied());
        while let Some(first) = octets.next() {
            let Some(second) = octets.next() else {
                self.odd = Some(first);
                return;
            };
            let unit = unit([first, second]);
            let pair = [self.high.take(), Some(unit)].into_iter().flatten();
            if (0xd800..0xdc00).contains(&unit) && pair.clone().count() == 1 {
                self.high = Some(unit);
                continue;
            }
            for character in char::decode_utf16(pair) {
                let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
                buffer.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Decoder;

    #[track_caller]
    fn check(file: &[u8], expect: &[u8]) {
        for part in [1, 2, 3, usize::MAX] {
            let (mut decoder, mut buffer) = (Decoder::default(), Vec::new());
            for chunk in file.chunks(part) {
                decoder.push(chunk, &mut buffer);
            }
            assert_eq!(buffer, expect, "in parts of {part}");
        }
    }

    #[test]
    fn utf_16_is_decoded_and_everything_else_stays() {
        let text = "2022 heroku[web.1]: µ 𝄞\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        check(&[b"\xff\xfe", &little[..]].concat(), text.as_bytes());
        check(&[b"\xfe\xff", &big[..]].concat(), text.as_bytes());
        for file in [&b""[..], b"x", b"\xff", b"\xffx\xfe", b"plain \xff\xfe text", b"a\0b", b"a\0bc"] {
            check(file, file);
        }
        check(&little, text.as_bytes());
        check(&big, text.as_bytes());
        // Half a pair, and half a unit at the end.
        check(b"\xff\xfe\x00\xd8a\x00b", "\u{fffd}a".as_bytes());
    }
}
