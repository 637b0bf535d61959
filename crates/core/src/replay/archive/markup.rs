//! Markdown and HTML around a line: issues, chats, wikis and web pages add it to the logs in them.
//!
//! It is only removed from what is not an app's line already, and a break only ends a platform line of a
//! dyno. So an app's output, or a client's header in a router line, never becomes a line of its own.

/// Whether `text` has characters that such marks consist of. Pairs around a line are [`unpaired`].
pub(super) fn has(text: &[u8]) -> bool {
    memchr::memchr3(b'<', b'&', b'\\', text).is_some() || has_hard_space(text)
}

/// Whether `text` has the spaces that do not break, which web pages put into it.
pub(super) fn has_hard_space(text: &[u8]) -> bool {
    memchr::memmem::find(text, HARD_SPACE).is_some()
}

const HARD_SPACE: &[u8] = b"\xc2\xa0";

/// `text` without tags, escapes and entities; `bare` is the buffer for it.
pub(super) fn without<'b>(text: &[u8], bare: &'b mut Vec<u8>) -> &'b [u8] {
    let mut soft = Vec::new();
    let mut rest = cut(text);
    if has_hard_space(rest) {
        while let Some(at) = memchr::memmem::find(rest, HARD_SPACE) {
            soft.extend_from_slice(&rest[..at]);
            soft.push(b' ');
            rest = &rest[at + HARD_SPACE.len()..];
        }
        soft.extend_from_slice(rest);
        rest = &soft;
    }
    bare.clear();
    while let Some(at) = memchr::memchr3(b'<', b'\\', b'&', rest) {
        bare.extend_from_slice(between(bare, &rest[..at]));
        rest = &rest[at..];
        let entity = ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity.as_bytes()));
        let (plain, length) = match (rest, entity, tag_len(rest)) {
            (_, _, tag @ 1..) if is_cell(&rest[..tag]) => (&b" "[..], tag),
            (_, _, tag @ 1..) => (&b""[..], tag),
            ([b'\\', next, ..], _, _) if next.is_ascii_punctuation() => (&rest[1..2], 2),
            (_, Some((entity, plain)), _) => (plain.as_bytes(), entity.len()),
            _ => (&rest[..1], 1),
        };
        bare.extend_from_slice(between(bare, plain));
        rest = &rest[length..];
    }
    bare.extend_from_slice(between(bare, rest));
    bare.trim_ascii()
}

/// What of `text` follows `front`: one space is between two cells, whatever else is there.
fn between<'t>(front: &[u8], text: &'t [u8]) -> &'t [u8] {
    if front.ends_with(b" ") { text.trim_ascii_start() } else { text }
}

/// Whether a tag begins or ends a part of its own, such as a cell of a table.
fn is_cell(tag: &[u8]) -> bool {
    let name = tag[1..].strip_prefix(b"/").unwrap_or(&tag[1..]);
    let name = name.split(|octet| !octet.is_ascii_alphanumeric()).next().unwrap_or_default();
    [&b"td"[..], b"th", b"tr", b"li", b"div", b"p"].iter().any(|cell| name.eq_ignore_ascii_case(cell))
}

/// `text` without the marks behind it: tags, spaces of HTML, and Markdown's break, which is a backslash.
pub(super) fn cut(text: &[u8]) -> &[u8] {
    let mut bare = text;
    loop {
        let trimmed = bare.trim_ascii_end();
        let tag = match trimmed {
            [.., b'>'] => memchr::memrchr(b'<', trimmed),
            _ => None,
        };
        bare = match (trimmed, tag) {
            (_, Some(at)) if tag_len(&trimmed[at..]) == trimmed.len() - at => &trimmed[..at],
            ([rest @ .., b'\\'], _) => rest,
            _ => match ["&nbsp;", "&#160;"].iter().find_map(|space| trimmed.strip_suffix(space.as_bytes())) {
                Some(rest) => rest,
                None => return bare,
            },
        };
    }
}

/// What HTML writes for characters of a log line.
const ENTITIES: [(&str, &str); 8] = [
    ("&nbsp;", " "),
    ("&#160;", " "),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&amp;", "&"),
    ("&quot;", "\""),
    ("&#39;", "'"),
    ("&#x27;", "'"),
];

/// `text` without one pair of marks around it, such as `` ` `` or `"`; none if there is none.
pub(super) fn unpaired(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_end();
    // Word processors and chats make quotes of their own.
    let curly =
        text.strip_prefix("\u{201c}".as_bytes()).and_then(|rest| rest.strip_suffix("\u{201d}".as_bytes()));
    if let Some(inner) = curly {
        return Some(inner.trim_ascii_end());
    }
    // A text of a list in code has a comma behind it.
    let listed = text
        .strip_suffix(b",")
        .filter(|rest| rest.len() > 1 && b"\"'".contains(&text[0]) && rest.ends_with(&text[..1]));
    match listed.unwrap_or(text) {
        [first, inner @ .., last] if first == last && b"`*_~|\"'".contains(first) => {
            Some(inner.trim_ascii_end())
        }
        _ => None,
    }
}

/// The length of the tag at the start of `text`, such as `<br />` or `<td class="x">`; 0 if there is none.
fn tag_len(text: &[u8]) -> usize {
    let [b'<', rest @ ..] = text else { return 0 };
    let name = rest.strip_prefix(b"/").unwrap_or(rest);
    // `<134>` is a priority.
    if !name.first().is_some_and(u8::is_ascii_alphabetic) {
        return 0;
    }
    // A tag ends before the next one begins; without that, a line of many `<` is read as often.
    match memchr::memchr2(b'<', b'>', rest) {
        Some(end) if rest[end] == b'>' => end + 2,
        _ => 0,
    }
}

/// The first break in `text`: its place and its length.
pub(super) fn line_break(text: &[u8]) -> Option<(usize, usize)> {
    memchr::memchr_iter(b'<', text).find_map(|at| {
        let tag = &text[at..at + tag_len(&text[at..])];
        let is_break = tag.get(1..3).is_some_and(|name| name.eq_ignore_ascii_case(b"br"))
            && tag.get(3).is_some_and(|next| !next.is_ascii_alphanumeric());
        is_break.then_some((at, tag.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::{line_break, unpaired, without};

    #[test]
    fn tags_escapes_and_entities_are_removed() {
        for (text, expect) in [
            ("x<br>", "x"),
            ("x <BR/>", "x"),
            ("<tr><td>a</td> <td><b>b</b>:</td><td>c</td></tr>", "a b: c"),
            ("<p><code class=\"y\">x</code></p>", "x"),
            ("x&nbsp;", "x"),
            ("a\u{a0}b\u{a0}\u{a0}c", "a b  c"),
            ("a\\[b\\] \\n &lt;c&gt; &d", "a[b] \\n <c> &d"),
            ("x  \\", "x"),
            ("<134>1 x", "<134>1 x"),
            ("x <y", "x <y"),
            ("x <y <b> z", "x <y z"),
            ("heroku[web.1]: x (y)", "heroku[web.1]: x (y)"),
            ("<br><br>", ""),
            ("", ""),
        ] {
            let bare = without(text.as_bytes(), &mut Vec::new()).to_vec();
            assert_eq!(String::from_utf8_lossy(&bare), expect, "{text}");
        }
    }

    #[test]
    fn a_mark_is_removed_with_its_pair_only() {
        for (text, expect) in [
            ("`x` ", Some("x")),
            ("**x**", Some("*x*")),
            ("| x |", Some(" x")),
            ("``", Some("")),
            ("`x", None),
            ("x`", None),
            ("`", None),
            ("\"x'", None),
            ("\u{201c}x\u{201d}", Some("x")),
            ("\u{201c}x", None),
            ("\"x\",", Some("x")),
            ("'x',", Some("x")),
            ("`x`,", None),
            ("\",", None),
        ] {
            assert_eq!(unpaired(text.as_bytes()), expect.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn a_break_is_a_tag() {
        for (text, expect) in [
            ("a<br>b", Some((1, 4))),
            ("a<Br />b", Some((1, 6))),
            ("a<b><br/>", Some((4, 5))),
            ("a<brx>", None),
            ("a<br", None),
            ("<134>1", None),
        ] {
            assert_eq!(line_break(text.as_bytes()), expect, "{text}");
        }
        // Read from each `<` to the end, this would take minutes.
        assert_eq!(line_break("<a".repeat(1 << 19).as_bytes()), None);
    }
}
