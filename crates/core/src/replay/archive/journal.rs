//! An entry of `journalctl -o export`: a name and a value on each line, and an empty line at the end.
//!
//! ```text
//! entry = first *field ( LF / end of the file / the first field of the next one )
//! field = NAME "=" text LF
//!       / NAME LF length value LF      ; a value that is no line of text, behind 8 octets that count it
//! NAME  = 1*( "A" to "Z" / DIGIT / "_" )
//! ```
//!
//! (<https://systemd.io/JOURNAL_EXPORT_FORMATS/>). It is a row of an export. Journald writes a value with a
//! line break behind its length, so nothing that a program printed becomes a field.

use crate::replay::archive::json::Fields;

/// What begins at the start of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// An entry of so many octets.
    Whole(usize, Fields),
    /// It may become one with more octets.
    Unfinished,
    /// No entry.
    Other,
}

/// The fields that journald writes first.
const FIRST: [&[u8]; 2] = [b"__CURSOR=", b"__REALTIME_TIMESTAMP="];

/// Finds the entry at the start of `text`, which `is_all` that will come.
pub(super) fn start(text: &[u8], is_all: bool) -> Start {
    let open = if is_all { Start::Other } else { Start::Unfinished };
    let Some(first) = FIRST.into_iter().find(|first| text.starts_with(first)) else {
        let may_be_one = FIRST.iter().any(|first| first.starts_with(text));
        return if may_be_one { open } else { Start::Other };
    };
    let mut fields = Fields::new();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let is_next = at > 0 && (rest.starts_with(first) || rest.starts_with(b"\n"));
        if is_next || (rest.is_empty() && is_all) {
            return Start::Whole(at, fields);
        }
        // Too little to say whether the next entry begins here.
        if !is_all && rest.len() < first.len() && !rest.contains(&b'\n') {
            return Start::Unfinished;
        }
        let Some((field, length)) = field(rest, is_all) else { return Start::Other };
        let Some((name, value)) = field else { return open };
        fields.push((name, value));
        at += length;
        if fields.len() > FIELDS_MAX {
            return Start::Other;
        }
    }
}

/// Journald itself allows 1024.
const FIELDS_MAX: usize = 1024;

type Named = (String, String);

/// The field at the start of `text`, and its length with its line break; `Some((None, _))` if there may be
/// more of it, none if it is none.
fn field(text: &[u8], is_all: bool) -> Option<(Option<Named>, usize)> {
    let name_len = text
        .iter()
        .take_while(|octet| octet.is_ascii_uppercase() || octet.is_ascii_digit() || **octet == b'_')
        .count();
    let (name, rest) = text.split_at(name_len);
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return None;
    }
    let name = String::from_utf8_lossy(name).into_owned();
    let shown = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    match rest.first() {
        Some(b'=') => match memchr::memchr(b'\n', rest) {
            Some(end) => {
                let value = rest[1..end].strip_suffix(b"\r").unwrap_or(&rest[1..end]);
                Some((Some((name, shown(value))), name_len + end + 1))
            }
            None if is_all => Some((Some((name, shown(&rest[1..]))), text.len())),
            None => Some((None, 0)),
        },
        Some(b'\n') => {
            let Some((length, value)) = rest[1..].split_first_chunk::<8>() else {
                return (!is_all).then_some((None, 0));
            };
            let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
            let end = length.checked_add(1)?;
            match value.get(..end) {
                Some([value @ .., b'\n']) => Some((Some((name, shown(value))), name_len + 9 + end)),
                Some(_) => None,
                None => (!is_all).then_some((None, 0)),
            }
        }
        Some(_) => None,
        None => (!is_all).then_some((None, 0)),
    }
}

/// Journald itself allows 64.
const NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::{Start, start};

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_entry_ends_with_an_empty_line_or_the_next_one() {
        let text = "__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=7\nMESSAGE=a=b\n";
        let expect = fields(&[("__CURSOR", "s=1;i=2"), ("__REALTIME_TIMESTAMP", "7"), ("MESSAGE", "a=b")]);
        for behind in ["\n", "__CURSOR=s=2\n", "\n__CURSOR=s=2\n"] {
            let whole = format!("{text}{behind}");
            assert_eq!(start(whole.as_bytes(), false), Start::Whole(text.len(), expect.clone()));
        }
        assert_eq!(start(text.as_bytes(), true), Start::Whole(text.len(), expect.clone()));
        assert_eq!(start(text.trim_end().as_bytes(), true), Start::Whole(text.len() - 1, expect));
        for end in 0..text.len() {
            assert_eq!(start(&text.as_bytes()[..end], false), Start::Unfinished, "{end}");
        }
    }

    #[test]
    fn a_value_with_a_line_break_has_its_length_in_front() {
        let value = b"a\n__CURSOR=x\n\nMESSAGE=b";
        let mut text = b"__CURSOR=s=1\nMESSAGE\n".to_vec();
        text.extend((value.len() as u64).to_le_bytes());
        text.extend(value);
        text.extend(b"\nPRIORITY=6\n\n");
        let shown = String::from_utf8_lossy(value).into_owned();
        let expect = fields(&[("__CURSOR", "s=1"), ("MESSAGE", &shown), ("PRIORITY", "6")]);
        assert_eq!(start(&text, false), Start::Whole(text.len() - 1, expect));
        for length in [0, 3, value.len() as u64 + 1, u64::MAX] {
            let mut wrong = text.clone();
            wrong[21..29].copy_from_slice(&length.to_le_bytes());
            assert_eq!(start(&wrong, true), Start::Other, "{length}");
        }
    }

    #[test]
    fn other_text_is_no_entry() {
        for text in
            ["", "__CURSOR", "_CURSOR=x\n", "MESSAGE=x\n\n", "__CURSOR=x\nmessage=y\n", "__CURSOR=x\n=y\n"]
        {
            assert_eq!(start(text.as_bytes(), true), Start::Other, "{text}");
        }
    }
}
