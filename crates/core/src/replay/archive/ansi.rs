//! Colours: on a terminal `heroku logs` colours the source of each line, and people save that output.

/// `text` without control sequences; `plain` is the buffer for it.
///
/// ```text
/// sequence = ESC "[" *( %x30-3F ) *( %x20-2F ) %x40-7E      ; ECMA-48, 5.4
/// ```
pub(super) fn without_colours<'b>(text: &'b [u8], plain: &'b mut Vec<u8>) -> &'b [u8] {
    if memchr::memchr(ESCAPE, text).is_none() {
        return text;
    }
    plain.clear();
    let mut rest = text;
    while let Some(at) = memchr::memchr(ESCAPE, rest) {
        plain.extend_from_slice(&rest[..at]);
        let sequence = sequence_len(&rest[at..]);
        // An invalid sequence is the app's own text, and stays.
        plain.extend_from_slice(&rest[at..at + usize::from(sequence == 0)]);
        rest = &rest[at + sequence.max(1)..];
    }
    plain.extend_from_slice(rest);
    plain
}

const ESCAPE: u8 = 0x1b;

/// The length of the sequence at the start of `text`; 0 if there is none.
fn sequence_len(text: &[u8]) -> usize {
    let [ESCAPE, b'[', rest @ ..] = text else { return 0 };
    match rest.iter().position(|octet| !(0x20..=0x3f).contains(octet)) {
        Some(end) if (0x40..=0x7e).contains(&rest[end]) => end + 3,
        _ => 0,
    }
}

/// Whether `text` has colours whose escape character was lost or written out, as in `[36m` and `^[[36m`.
pub(super) fn has_lost(text: &[u8]) -> bool {
    memchr::memchr_iter(b'[', text).any(|at| lost_len(&text[at..]) > 0)
}

/// `text` without them; `bare` is the buffer for it.
pub(super) fn without_lost<'b>(text: &[u8], bare: &'b mut Vec<u8>) -> &'b [u8] {
    bare.clear();
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'[', rest) {
        bare.extend_from_slice(&rest[..at]);
        let length = lost_len(&rest[at..]);
        if length > 0 {
            let stand_in = STAND_INS.iter().find(|stand_in| bare.ends_with(stand_in.as_bytes()));
            bare.truncate(bare.len() - stand_in.map_or(0, |stand_in| stand_in.len()));
        } else {
            bare.push(b'[');
        }
        rest = &rest[at + length.max(1)..];
    }
    bare.extend_from_slice(rest);
    bare
}

/// What editors, terminals and languages write for an escape character.
const STAND_INS: [&str; 9] =
    ["^[", "\\x1b", "\\x1B", "\\u001b", "\\u001B", "\\033", "\\e", "\u{241b}", "\u{fffd}"];

/// The length of `[36m` at the start of `text`; 0 if there is none.
fn lost_len(text: &[u8]) -> usize {
    let [b'[', rest @ ..] = text else { return 0 };
    match rest.iter().position(|octet| !(octet.is_ascii_digit() || *octet == b';')) {
        Some(end) if rest[end] == b'm' => end + 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{has_lost, without_colours, without_lost};

    #[test]
    fn colours_without_their_escape_are_removed() {
        for (text, expect) in [
            ("plain", None),
            ("heroku[web.1]:", None),
            ("[36mheroku[web.1]:[0m x", Some("heroku[web.1]: x")),
            ("^[[36mheroku[web.1]:^[[0m x", Some("heroku[web.1]: x")),
            ("\\x1b[1;36mheroku[web.1]:\\u001b[m x", Some("heroku[web.1]: x")),
            ("\u{fffd}[36ma\u{241b}[0m", Some("a")),
        ] {
            assert_eq!(has_lost(text.as_bytes()), expect.is_some(), "{text}");
            let bare = without_lost(text.as_bytes(), &mut Vec::new()).to_vec();
            assert_eq!(bare, expect.unwrap_or(text).as_bytes(), "{text}");
        }
    }

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let mut plain = Vec::new();
        assert_eq!(without_colours(text.as_bytes(), &mut plain), expect.as_bytes());
    }

    #[test]
    fn colours_are_removed_and_everything_else_stays() {
        check("", "");
        check("plain [36m", "plain [36m");
        check("\x1b[36m2025 heroku[web.1]:\x1b[0m Error R14", "2025 heroku[web.1]: Error R14");
        check("\x1b[38;5;208ma\x1b[mb\x1b[K", "ab");
        check("a\x1b", "a\x1b");
        check("a\x1b[", "a\x1b[");
        check("a\x1b[36", "a\x1b[36");
        check("\x1b\x1b[1mx", "\x1bx");
        check("\x1b]0;title\x07", "\x1b]0;title\x07");
    }
}
