//! Key-value text: the `key=value` pairs of router and runtime-metrics lines.
//!
//! ```text
//! text   = *SP *( pair 1*SP ) [ pair ]
//! pair   = key [ "=" value ]
//! key    = *( any octet but SP and "=" )
//! value  = quoted / *( any octet but SP )
//! quoted = DQUOTE *( "\" OCTET / any octet but DQUOTE and "\" ) DQUOTE [ *( any octet but SP ) ]
//! ```
//!
//! Quoted text is one value, whatever it looks like. Most of a router line is untrusted text (path, host,
//! forwarded addresses), so a reader must also check that a key it relies on appears only once.

use crate::wire::scan;

/// The pairs of a text, in order. Copies nothing and rejects no text.
#[derive(Clone, Debug)]
pub struct Pairs<'b> {
    rest: &'b [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'b> {
    /// The text before the `=`; all of it if there is none.
    pub key: &'b [u8],
    /// The text after the `=`: inside the quotes, escapes not decoded.
    pub value: &'b [u8],
}

pub fn pairs(text: &[u8]) -> Pairs<'_> {
    Pairs { rest: text }
}

/// A key that appears twice in a text, so that one of the two is untrusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated(pub &'static str);

/// The values of `keys`, each of which may appear once in the text.
///
/// # Errors
/// The first key that appears twice.
#[inline]
pub fn values<'b, const N: usize>(
    text: &'b [u8],
    keys: [&'static str; N],
) -> Result<[Option<&'b [u8]>; N], Repeated> {
    let mut values = [None; N];
    let mut keep = |place: usize, value: &'b [u8]| match values[place].replace(value) {
        None => Ok(()),
        Some(_) => Err(Repeated(keys[place])),
    };
    if memchr::memchr(b'"', text).is_some() {
        for pair in pairs(text) {
            if let Some(place) = keys.iter().position(|key| pair.key == key.as_bytes()) {
                keep(place, pair.value)?;
            }
        }
        return Ok(values);
    }
    // Without quotes the pairs are separated by spaces, and only those that begin with a key need splitting:
    // a line of runtime metrics, which has nine, is read in three quarters of the time.
    let mut rest = text;
    while !rest.is_empty() {
        let (pair, behind) = rest.split_at(scan::first(rest, [b' ']));
        for (place, key) in keys.iter().enumerate() {
            match pair.strip_prefix(key.as_bytes()) {
                // Two adjacent spaces have nothing between them.
                Some([]) if pair.is_empty() => {}
                Some(value @ [] | [b'=', value @ ..]) => keep(place, value)?,
                _ => {}
            }
        }
        rest = behind.get(1..).unwrap_or_default();
    }
    Ok(values)
}

impl<'b> Iterator for Pairs<'b> {
    type Item = Pair<'b>;

    fn next(&mut self) -> Option<Pair<'b>> {
        let start = self.rest.iter().position(|octet| *octet != b' ')?;
        let text = &self.rest[start..];
        let (key, rest) = text.split_at(scan::first(text, [b'=', b' ']));
        let (value, rest) = match rest {
            [b'=', b'"', rest @ ..] => quoted(rest),
            [b'=', rest @ ..] => word(rest),
            _ => (&rest[..0], rest),
        };
        self.rest = rest;
        Some(Pair { key, value })
    }
}

impl std::iter::FusedIterator for Pairs<'_> {}

/// The text up to the next space, and the rest from there.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(scan::first(text, [b' ']))
}

/// The text up to the closing quote, and the rest from the next space on; all of it if no quote closes.
fn quoted(text: &[u8]) -> (&[u8], &[u8]) {
    let mut from = 0;
    while let Some(at) = memchr::memchr2(b'"', b'\\', &text[from..]).map(|at| from + at) {
        if text[at] == b'"' {
            let (_glued, rest) = word(&text[at + 1..]);
            return (&text[..at], rest);
        }
        // The octet after a backslash is text, above all a quote; there may be none.
        from = (at + 2).min(text.len());
    }
    (text, &text[text.len()..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_oneof, proptest};

    use super::{Repeated, pairs, values};

    #[track_caller]
    fn check(text: &str, expect: &[(&str, &str)]) {
        let read: Vec<(&str, &str)> = pairs(text.as_bytes())
            .map(|pair| {
                (str::from_utf8(pair.key).expect("UTF-8"), str::from_utf8(pair.value).expect("UTF-8"))
            })
            .collect();
        assert_eq!(read, expect, "{text}");
    }

    #[test]
    fn pairs_are_split_at_spaces_and_the_first_equals_sign() {
        check("", &[]);
        check("   ", &[]);
        check("at=info", &[("at", "info")]);
        check("  a=1  b=2 ", &[("a", "1"), ("b", "2")]);
        check("a=b=c d", &[("a", "b=c"), ("d", "")]);
        check("=x =", &[("", "x"), ("", "")]);
        check("dyno= connect= service=", &[("dyno", ""), ("connect", ""), ("service", "")]);
        check("sample#memory_total=1.00MB", &[("sample#memory_total", "1.00MB")]);
    }

    #[test]
    fn quoted_text_is_one_value() {
        check(r#"desc="Request timeout" dyno=web.1"#, &[("desc", "Request timeout"), ("dyno", "web.1")]);
        check(r#"path="/?code=H12 dyno=web.9" b=1"#, &[("path", "/?code=H12 dyno=web.9"), ("b", "1")]);
        check(r#"path="" b=1"#, &[("path", ""), ("b", "1")]);
        check(r#"path="/a\" dyno=web.9 " b=1"#, &[("path", r#"/a\" dyno=web.9 "#), ("b", "1")]);
        check(r#"path="\\" b=1"#, &[("path", r"\\"), ("b", "1")]);
        check(r#"path="/"glued" b=1"#, &[("path", "/"), ("b", "1")]);
        check(r#"a=b"c d" e"#, &[("a", "b\"c"), ("d\"", ""), ("e", "")]);
    }

    #[test]
    fn quotes_that_do_not_close_run_to_the_end() {
        check(r#"path="/ dyno=web.9"#, &[("path", "/ dyno=web.9")]);
        check(r#"path=""#, &[("path", "")]);
        check(r#"path="\"#, &[("path", r"\")]);
        check(r#"path="\""#, &[("path", r#"\""#)]);
    }

    #[test]
    fn keys_are_found_once_at_any_place() {
        let keys = ["a", "bb", ""];
        let read = |text: &'static str| values(text.as_bytes(), keys);
        assert_eq!(read(""), Ok([None, None, None]));
        assert_eq!(read("a=1 bb=2 abb=3 aa=4"), Ok([Some(&b"1"[..]), Some(b"2"), None]));
        assert_eq!(read("  bb  a=x=y =z"), Ok([Some(&b"x=y"[..]), Some(b""), Some(b"z")]));
        assert_eq!(read(r#"a="1 bb=2" bb=3"#), Ok([Some(&b"1 bb=2"[..]), Some(b"3"), None]));
        assert_eq!(read("bb=1 a=1 a=1 bb=1"), Err(Repeated("a")));
    }

    proptest! {
        #[test]
        fn values_agree_with_pairs(
            text in prop::collection::vec(prop_oneof![prop::sample::select(&b"  ==ab\"\\"[..]), any::<u8>()], 0..60),
        ) {
            let keys = ["a", "b", "ab", ""];
            let mut expect = Ok([None; 4]);
            for pair in pairs(&text) {
                let Some(place) = keys.iter().position(|key| pair.key == key.as_bytes()) else { continue };
                if let Ok(found) = &mut expect
                    && found[place].replace(pair.value).is_some()
                {
                    expect = Err(Repeated(keys[place]));
                }
            }
            assert_eq!(values(&text, keys), expect);
        }
    }
}
