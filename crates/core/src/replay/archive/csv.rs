//! One row of a CSV export (RFC 4180), with a comma, a semicolon, a tab or a bar between its values.

use crate::replay::archive::leading;

/// The length of the first row in `text` with its line break; none while it may go on.
pub(super) fn row_len(text: &[u8]) -> Option<usize> {
    let mut is_quoted = false;
    for (at, octet) in text.iter().enumerate() {
        match octet {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The values of a row; none if it is not one.
pub(super) fn values(row: &[u8], separator: u8) -> Option<Vec<String>> {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    let row = row.strip_suffix(b"\r").unwrap_or(row);
    let mut values = Vec::new();
    let mut rest = row;
    loop {
        // Some write a space behind the separator, and the quote behind that.
        let quoted = if separator == b'\t' { rest } else { rest.trim_ascii_start() };
        let (value, behind) = match quoted {
            [b'"', quoted @ ..] => unquoted(quoted)?,
            _ => {
                let end = memchr::memchr(separator, rest).unwrap_or(rest.len());
                (String::from_utf8_lossy(&rest[..end]).into_owned(), &rest[end..])
            }
        };
        values.push(value);
        match behind {
            [] => return Some(values),
            [next, after @ ..] if *next == separator => rest = after,
            _ => return None,
        }
    }
}

/// The cells of a row with bars between and around them, which begin with a time: other bars are prefixes.
pub(super) fn cells(values: Vec<String>) -> Option<Vec<String>> {
    let mut cells: Vec<_> = values.iter().map(|value| value.trim().to_owned()).collect();
    if cells.first().is_some_and(String::is_empty) && cells.last().is_some_and(String::is_empty) {
        cells.pop();
        cells.remove(0);
    }
    (cells.len() > 1 && leading::field(cells[0].as_bytes()).is_some()).then_some(cells)
}

/// The value up to its closing quote, and the text behind that.
fn unquoted(text: &[u8]) -> Option<(String, &[u8])> {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        let end = memchr::memchr(b'"', rest)?;
        value.extend_from_slice(&rest[..end]);
        match rest.get(end + 1) {
            Some(b'"') => {
                value.push(b'"');
                rest = &rest[end + 2..];
            }
            _ => return Some((String::from_utf8_lossy(&value).into_owned(), &rest[end + 1..])),
        }
    }
}

/// The separators that exports use.
pub(super) const SEPARATORS: [u8; 4] = *b",;\t|";

#[cfg(test)]
mod tests {
    use super::{row_len, values};

    #[test]
    fn values_may_be_quoted() {
        let check = |row: &str, expect: Option<&[&str]>| {
            let values = values(row.as_bytes(), b',');
            assert_eq!(
                values.as_deref().map(|v| v.iter().map(|s| &**s).collect()),
                expect.map(<[_]>::to_vec),
                "{row}"
            );
        };
        check("a,b,c\r\n", Some(&["a", "b", "c"]));
        check("a,,\n", Some(&["a", "", ""]));
        check("\"a,b\",\"say \"\"hi\"\"\"\n", Some(&["a,b", "say \"hi\""]));
        check("\"two\nlines\",x", Some(&["two\nlines", "x"]));
        check("a, \"b, c\", d\n", Some(&["a", "b, c", " d"]));
        check("\"a\"b,c", None);
        check("\"open,c", None);
    }

    #[test]
    fn a_quoted_line_break_ends_no_row() {
        assert_eq!(row_len(b"a,\"b\nc\"\nd"), Some(8));
        assert_eq!(row_len(b"a,\"b\nc"), None);
        assert_eq!(row_len(b"a,b"), None);
    }
}
