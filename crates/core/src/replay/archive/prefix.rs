//! What people and tools put in front of a line: quotes, lists, numbers, and prefixes of runners and `grep`.
//!
//! ```text
//! mark   = ( "-" / "*" / "+" / "1." / ">" / ">>" / "#" / "- [ ]" … ) 1*blank   ; a quote, a list, a comment
//!        / 1*6DIGIT 1*blank                                  ; the numbers of `less -N` and `cat -n`
//! piped  = [ clock SP ] name *SP "|" 1*blank                 ; docker-compose, foreman and the like
//! grep   = ( PATH ":" [ 1*DIGIT ":" ] / 1*DIGIT ":" )         ; `-` instead of `:` in the context of a match
//! tagged = "[" name "]" 1*blank                              ; concurrently, kubectl logs --prefix
//! ```
//!
//! A name of an app's own process is no prefix: what such a process prints is an app's line.

use crate::ident::DynoRef;
use crate::replay::archive::markup;
use crate::replay::archive::time::split;

/// Marks in front of a line: a quoted list of a container's output in code has seven.
pub(super) const MARKS_MAX: usize = 8;

/// The text behind one mark, prefix or run of blanks; none if there is none.
pub(super) fn without_mark(text: &[u8]) -> Option<&[u8]> {
    let bare = without_blanks(text);
    if bare.len() < text.len() {
        return Some(bare);
    }
    let marks = mark_len(text);
    if marks > 0 {
        let behind = &text[marks..];
        let bare = without_blanks(behind);
        // A quote needs no space behind it, and neither does a line of a diff. Others do.
        let is_dated = matches!(text[0], b'+' | b'-') && marks == 1 && behind.len() > 4 && is_year(behind);
        if bare.len() < behind.len() || text[0] == b'>' || is_dated {
            return Some(bare);
        }
    }
    markup::unpaired(text).or_else(|| piped(text)).or_else(|| found(text)).or_else(|| tagged(text))
}

/// Whether `text` begins with the year of a time.
fn is_year(text: &[u8]) -> bool {
    text.len() > 4 && text[..4].iter().all(u8::is_ascii_digit) && text[4] == b'-'
}

/// The length of the mark of a quote, of a comment or of an item of a list.
fn mark_len(text: &[u8]) -> usize {
    const WORDS: [&[u8]; 10] = [
        b"- [ ]",
        b"- [x]",
        b"- [X]",
        b"//",
        b"#",
        b"|",
        "\u{2502}".as_bytes(),
        "\u{2022}".as_bytes(),
        "\u{2013}".as_bytes(),
        "\u{203a}".as_bytes(),
    ];
    // A row of a table has a bar at its end as well.
    let is_row = text.starts_with(b"|") && text.trim_ascii_end().ends_with(b"|");
    if let Some(word) = WORDS.iter().find(|word| !is_row && text.starts_with(word)) {
        return word.len();
    }
    let digits = text.iter().take_while(|octet| octet.is_ascii_digit()).count();
    match text {
        [b'>', ..] => text.iter().take_while(|octet| **octet == b'>').count(),
        [b'-' | b'*' | b'+', ..] => 1,
        _ if (1..=6).contains(&digits) => match text[digits..] {
            [b'.' | b')', ..] => digits + 1,
            [b'\t', ..] => digits,
            // A count in front of a frame is no number of a line.
            [b' ', ref rest @ ..] if without_blanks(rest).first() != Some(&b'<') => digits,
            _ => 0,
        },
        _ => 0,
    }
}

pub(super) fn without_blanks(mut text: &[u8]) -> &[u8] {
    const BLANKS: [&[u8]; 5] = [b" ", b"\t", b"\xc2\xa0", b"\xef\xbb\xbf", b"\xe2\x80\x8b"];
    while let Some(rest) = BLANKS.iter().find_map(|blank| text.strip_prefix(*blank)) {
        text = rest;
    }
    text
}

/// The text behind `16:55:43 logs.1 | `, `tail_1  | `, `[OKAY] logs.1 | ` or `0|logs  | `.
fn piped(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_prefix(b"[OKAY] ").unwrap_or(text);
    let (mut name, mut rest) = split(text, b'|')?;
    if !name.is_empty() && name.iter().all(u8::is_ascii_digit) {
        (name, rest) = split(rest, b'|')?;
    }
    if !matches!(rest.first(), Some(b' ' | b'\t')) {
        return None;
    }
    let name = without_clock(name.trim_ascii_end());
    let is_in_name = |octet: &u8| octet.is_ascii_alphanumeric() || b"._-/@".contains(octet);
    let is_name = name.first().is_some_and(u8::is_ascii_alphanumeric) && name.iter().all(is_in_name);
    (is_name && !is_app(name)).then(|| without_blanks(rest))
}

/// The name behind `16:55:43 ` or `4:55:43 PM `.
fn without_clock(name: &[u8]) -> &[u8] {
    let Some((clock, rest)) = split(name, b' ') else { return name };
    if !is_clock(clock) {
        return name;
    }
    let rest = [&b"AM "[..], b"PM "].iter().find_map(|half| rest.strip_prefix(*half)).unwrap_or(rest);
    rest.trim_ascii_start()
}

/// `16:55:43` or `4:55:43`.
fn is_clock(text: &[u8]) -> bool {
    let mut parts = text.split(|octet| *octet == b':');
    let is_part =
        |part: &[u8], lengths: &[usize]| lengths.contains(&part.len()) && part.iter().all(u8::is_ascii_digit);
    parts.next().is_some_and(|hour| is_part(hour, &[1, 2]))
        && parts.next().is_some_and(|minute| is_part(minute, &[2]))
        && parts.next().is_some_and(|second| is_part(second, &[2]))
        && parts.next().is_none()
}

/// The text behind the file and the number that `grep` puts in front of what it found.
fn found(text: &[u8]) -> Option<&[u8]> {
    let number = |text: &'_ [u8]| -> Option<usize> {
        let digits = text.iter().take_while(|octet| octet.is_ascii_digit()).count();
        let is_end = matches!(text.get(digits), Some(b':' | b'-'));
        ((1..=9).contains(&digits) && is_end).then_some(digits + 1)
    };
    if let Some(length) = number(text) {
        return Some(&text[length..]);
    }
    let length = file_len(text)?;
    let mut rest = &text[length + 1..];
    // The number of the line, and the place in the file: a time has no colon behind its first number.
    for _ in 0..2 {
        match number(rest) {
            Some(length) if !is_year(rest) => rest = &rest[length..],
            _ => break,
        }
    }
    Some(rest)
}

/// The length of the file's name at the start of `text`, which a colon or a hyphen follows.
fn file_len(text: &[u8]) -> Option<usize> {
    let is_in_path = |octet: &u8| octet.is_ascii_alphanumeric() || b"._-/\\+@~".contains(octet);
    let path = text.iter().take_while(|octet| is_in_path(octet)).count();
    // Of `app.log-12-…`, the name ends with its ending.
    (1..=path).filter(|end| matches!(text.get(*end), Some(b':' | b'-'))).find(|end| is_file(&text[..*end]))
}

/// Whether this is the name of a file, and not of a program or of a process.
fn is_file(name: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 13] = [
        b"log", b"txt", b"out", b"json", b"jsonl", b"ndjson", b"csv", b"tsv", b"md", b"gz", b"bz2", b"xz",
        b"zst",
    ];
    let mut parts = name.rsplit(|octet| matches!(octet, b'/' | b'\\'));
    let base = parts.next().unwrap_or(name);
    // `app/web.1.log` could be a source.
    if parts.any(is_app) {
        return false;
    }
    let mut parts = base.rsplit(|octet| *octet == b'.');
    let last = parts.next().unwrap_or(base);
    let is_ending = |part: &[u8]| ENDINGS.iter().any(|ending| part.eq_ignore_ascii_case(ending));
    // `x.log.1`, as logrotate names it.
    let is_rotated = last.iter().all(u8::is_ascii_digit) && !last.is_empty();
    match parts.next() {
        None => false,
        Some(stem) if is_rotated => parts.next().is_some() && is_ending(stem),
        Some(_) => is_ending(last),
    }
}

/// The text behind `[logs] `, `[pod/logs-5d4f/tail] ` or `[16:55:43] `.
fn tagged(text: &[u8]) -> Option<&[u8]> {
    let (name, rest) = split(text.strip_prefix(b"[")?, b']')?;
    let is_in_name = |octet: &u8| octet.is_ascii_alphanumeric() || b"._-/:".contains(octet);
    let is_name = !name.is_empty() && name.len() <= TAG_BYTES_MAX && name.iter().all(is_in_name);
    let is_apart = matches!(rest.first(), Some(b' ' | b'\t'));
    (is_name && is_apart && !is_app(name)).then(|| without_blanks(rest))
}

/// A pod's and a container's name have 63 octets each.
const TAG_BYTES_MAX: usize = 140;

/// Whether this is the name of an app's own process, whose output is an app's line.
///
/// In `acme-web-1`, `acme/web.1` and `web_1`, the process is in front of the number or at the end. The name
/// of a project in front of that may be anything.
pub(super) fn is_app(name: &[u8]) -> bool {
    let is_word = |part: &[u8]| [&b"app"[..], b"web", b"worker"].iter().any(|w| part.eq_ignore_ascii_case(w));
    // Behind an `@` is the machine.
    let name = name.split(|octet| *octet == b'@').next().unwrap_or(name);
    name.split(|octet| *octet == b'/').any(|part| {
        let words: Vec<_> = part.split(|octet| !octet.is_ascii_alphanumeric()).collect();
        let is_numbered = |pair: &[&[u8]]| is_word(pair[0]) && pair[1].iter().all(u8::is_ascii_digit);
        words.first().is_some_and(|word| is_word(word))
            || words.last().is_some_and(|word| is_word(word))
            || words.windows(2).any(is_numbered)
    })
}

/// Whether this may be the name of any process of an app.
pub(super) fn is_process(name: &[u8]) -> bool {
    is_app(name) || name.split(|octet| *octet == b'/').any(|part| DynoRef::parse(part).is_some())
}

#[cfg(test)]
mod tests {
    use super::{is_app, is_file, without_mark};

    #[test]
    fn a_prefix_is_removed_and_nothing_else() {
        for (text, expect) in [
            ("  x", Some("x")),
            ("- x", Some("x")),
            ("- [ ] x", Some("x")),
            ("+2025-01-02", Some("2025-01-02")),
            ("-x", None),
            ("#1 x", None),
            ("// x", Some("x")),
            ("12 x", Some("x")),
            ("12 <134>1 x", None),
            ("1234567 x", None),
            ("123:x", Some("x")),
            ("123-x", Some("x")),
            ("x.log:x", Some("x")),
            ("x.log:12:x", Some("x")),
            ("x.log-12-x", Some("x")),
            ("./logs/x.log.1:2025-01-02", Some("2025-01-02")),
            ("x.log-2025-01-02T00", Some("2025-01-02T00")),
            ("x.log:12:345:x", Some("x")),
            ("x:12:y", None),
            ("web.1:12:y", None),
            ("app.web:y", None),
            ("tail_1  | x", Some("x")),
            ("4:55:43 PM logs.1 | x", Some("x")),
            ("[OKAY] logs.1   | x", Some("x")),
            ("0|logs  | x", Some("x")),
            ("acme_logs.1.k3j@box  | x", Some("x")),
            ("acme-web-1 | x", None),
            ("acme/web | x", None),
            ("0|web  | x", None),
            ("[logs] x", Some("x")),
            ("[pod/logs-5d4f/tail] x", Some("x")),
            ("[16:55:43] x", Some("x")),
            ("[web] x", None),
            ("[pod/acme-5d4f/web] x", None),
            ("[app/web.1] x", None),
            ("some words | x", None),
        ] {
            let bare = without_mark(text.as_bytes()).map(String::from_utf8_lossy);
            assert_eq!(bare.as_deref(), expect, "{text}");
        }
    }

    #[test]
    fn a_process_of_an_app_is_no_prefix() {
        for name in
            ["web", "web.1", "app", "App", "worker_2", "acme-web-1", "acme_web_1", "pod/x/web", "x-app"]
        {
            assert!(is_app(name.as_bytes()), "{name}");
        }
        for name in ["logs.1", "my-app-logs-1", "acme-tail-1", "webhooks", "0", "x.1.web1@web"] {
            assert!(!is_app(name.as_bytes()), "{name}");
        }
        for (name, expect) in [
            ("x.log", true),
            ("x.LOG.2", true),
            ("x/y.gz", true),
            ("log", false),
            ("web.1", false),
            ("app/x.log", false),
            ("app.log", true),
        ] {
            assert_eq!(is_file(name.as_bytes()), expect, "{name}");
        }
    }
}
