//! A slow JSON reader, written from RFC 8259: the reference for the readers of the API's responses.
//!
//! It knows no types and guesses nothing. Where the RFC leaves a choice (a lone surrogate, a number that no
//! machine holds, great depth) it reports that instead of deciding.

/// A value. Objects keep their members in order, including duplicates.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Bool(bool),
    List(Vec<Json>),
    Null,
    Number(String),
    Object(Vec<(String, Json)>),
    Text(String),
}

/// A whole JSON text, and whether anything in it is left to the reader; none if it is not JSON.
pub fn read(text: &[u8]) -> Option<(Json, bool)> {
    let mut reader = Reader { text, at: 0, is_odd: false };
    let value = reader.value(0)?;
    reader.blanks();
    (reader.at == text.len()).then_some((value, reader.is_odd))
}

impl Json {
    /// The members of that name, in order; none if this is not an object.
    pub fn members(&self, name: &str) -> Vec<&Self> {
        let Self::Object(members) = self else { return Vec::new() };
        members.iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect()
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is a non-negative integer and written as one.
    pub fn whole(&self) -> Option<u64> {
        match self {
            Self::Number(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => digits.parse().ok(),
            _ => None,
        }
    }
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    is_odd: bool,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn takes(&mut self, octet: u8) -> bool {
        let is_next = self.text.get(self.at) == Some(&octet);
        self.at += usize::from(is_next);
        is_next
    }

    /// Skips blanks and reads a value.
    fn value(&mut self, depth: usize) -> Option<Json> {
        self.is_odd |= depth > 100;
        if depth > 1000 {
            return None;
        }
        self.blanks();
        match self.text.get(self.at)? {
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'"' => self.string().map(Json::Text),
            b'-' | b'0'..=b'9' => self.number(),
            _ => {
                let words = [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))];
                let rest = &self.text[self.at..];
                let (word, value) = words.into_iter().find(|(word, _)| rest.starts_with(word.as_bytes()))?;
                self.at += word.len();
                Some(value)
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        let mut members = Vec::new();
        self.items(b'}', |reader| {
            reader.blanks();
            let name = reader.string()?;
            reader.blanks();
            if !reader.takes(b':') {
                return None;
            }
            members.push((name, reader.value(depth + 1)?));
            Some(())
        })?;
        Some(Json::Object(members))
    }

    fn list(&mut self, depth: usize) -> Option<Json> {
        let mut items = Vec::new();
        self.items(b']', |reader| {
            items.push(reader.value(depth + 1)?);
            Some(())
        })?;
        Some(Json::List(items))
    }

    /// Reads from a bracket to its `end`, with commas between the items.
    fn items(&mut self, end: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.at += 1;
        self.blanks();
        if self.takes(end) {
            return Some(());
        }
        loop {
            item(self)?;
            self.blanks();
            if self.takes(end) {
                return Some(());
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }

    fn number(&mut self) -> Option<Json> {
        let from = self.at;
        self.takes(b'-');
        let whole = self.digits();
        if whole == 0 || (whole > 1 && self.text[self.at - whole] == b'0') {
            return None;
        }
        if self.takes(b'.') && self.digits() == 0 {
            return None;
        }
        if self.takes(b'e') || self.takes(b'E') {
            if !self.takes(b'+') {
                self.takes(b'-');
            }
            if self.digits() == 0 {
                return None;
            }
        }
        let text = std::str::from_utf8(&self.text[from..self.at]).ok()?.to_owned();
        self.is_odd |= !text.parse::<f64>().is_ok_and(f64::is_finite) || text.len() > 300;
        Some(Json::Number(text))
    }

    fn digits(&mut self) -> usize {
        let count = self.text[self.at..].iter().take_while(|octet| octet.is_ascii_digit()).count();
        self.at += count;
        count
    }

    fn string(&mut self) -> Option<String> {
        if !self.takes(b'"') {
            return None;
        }
        let mut octets = Vec::new();
        loop {
            let octet = *self.text.get(self.at)?;
            self.at += 1;
            match octet {
                b'"' => break,
                0..=0x1f => return None,
                b'\\' => {
                    let escaped = self.escaped()?;
                    octets.extend_from_slice(escaped.encode_utf8(&mut [0; 4]).as_bytes());
                }
                other => octets.push(other),
            }
        }
        self.is_odd |= std::str::from_utf8(&octets).is_err();
        Some(String::from_utf8_lossy(&octets).into_owned())
    }

    fn escaped(&mut self) -> Option<char> {
        let octet = *self.text.get(self.at)?;
        self.at += 1;
        Some(match octet {
            b'"' | b'\\' | b'/' => octet.into(),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.unit()?;
                let follows = self.text[self.at..].starts_with(b"\\u");
                if (0xd800..0xdc00).contains(&high) && follows {
                    let before = self.at;
                    self.at += 2;
                    let low = self.unit()?;
                    if (0xdc00..0xe000).contains(&low) {
                        return char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
                    }
                    self.at = before;
                }
                self.is_odd |= char::from_u32(high).is_none();
                char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
    }
}
