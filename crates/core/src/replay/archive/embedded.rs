//! JSON, or the labels of a stream, behind a time or a prefix on a line of text.
//!
//! ```text
//! embedded = front object                         ; aws logs tail, docker-compose, kubectl, grep
//!          / front "{" label *( "," label ) "}" SP line   ; logcli
//! front    = *( blank / mark / prefix ) [ TIME *blank ] [ stream *blank ]
//! label    = name "=" DQUOTE value DQUOTE
//! ```
//!
//! It is a row of an export, with the time in front of it if it has none of its own.

use crate::replay::archive::fields::{self, Owned};
use crate::replay::archive::json::{self, Fields};
use crate::replay::archive::leading::leading;
use crate::replay::archive::prefix::{self, is_process, without_blanks, without_mark};
use crate::replay::archive::time::{split, word};

/// Reads such a line; none if it is none.
pub(super) fn read(text: &[u8]) -> Option<Owned> {
    if !text.contains(&b'{') {
        return None;
    }
    let (rest, time) = behind_front(text)?;
    let labelled = || {
        let (labels, line) = labels(rest)?;
        let mut fields = labels;
        fields.push(("line".to_owned(), String::from_utf8_lossy(line).into_owned()));
        Some(fields)
    };
    let mut fields = json::fields(rest.trim_ascii_end()).or_else(labelled)?;
    if let Some(time) = time {
        fields.push(("time".to_owned(), String::from_utf8_lossy(time).into_owned()));
    }
    fields::read(&fields)
}

/// The text from the first brace on, and the time in front of it.
fn behind_front(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let (mut rest, mut time) = (text, None);
    let mut has_stream = false;
    for _ in 0..prefix::MARKS_MAX + 2 {
        if rest.first() == Some(&b'{') {
            return Some((rest, time));
        }
        if let Some((_, text, behind)) = leading(rest).filter(|_| time.is_none()) {
            (rest, time) = (without_blanks(behind), Some(text));
        } else if let Some(behind) = without_mark(rest).filter(|_| time.is_none()) {
            rest = behind;
        } else {
            let (stream, behind) = word(rest);
            let is_in_name = |octet: &u8| octet.is_ascii_alphanumeric() || b"._-/@".contains(octet);
            if has_stream || time.is_none() || is_process(stream) || !stream.iter().all(is_in_name) {
                return None;
            }
            has_stream = true;
            rest = without_blanks(behind);
        }
    }
    None
}

/// The labels of a stream, and the line behind them.
pub(super) fn labels(text: &[u8]) -> Option<(Fields, &[u8])> {
    let mut rest = text.strip_prefix(b"{")?;
    let mut labels = Fields::new();
    loop {
        let (name, value) = split(rest.trim_ascii_start(), b'=')?;
        let is_name =
            !name.is_empty() && name.iter().all(|octet| octet.is_ascii_alphanumeric() || *octet == b'_');
        let length = json::text_len(value).filter(|_| is_name)?;
        let value_text: String = serde_json::from_slice(&value[..length]).ok()?;
        labels.push((String::from_utf8_lossy(name).into_owned(), value_text));
        rest = match &value[length..] {
            [b'}', line @ ..] => return Some((labels, without_blanks(line))),
            [b',', rest @ ..] => rest,
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn rows_behind_a_time_or_a_prefix_are_read() {
        let at = "2025-01-02T00:51:32Z";
        let row = r#"{"app":"heroku","proc":"web.1","message":"Error R14 (x)"}"#;
        let dated = format!(r#"{{"dt":"{at}","app":"heroku","proc":"web.1","message":"Error R14 (x)"}}"#);
        let shown = format!("{at} heroku[web.1]: Error R14 (x)");
        for line in [
            format!("{at} {row}"),
            format!("{at} acme/stream {row}"),
            format!("{at} {dated}"),
            format!("logs-1  | {dated}"),
            format!("x.log:12:{dated}"),
            format!("[logs] {dated}"),
            format!("{at} {{app=\"heroku\", proc=\"web.1\"}} Error R14 (x)"),
            format!("{at} {{app=\"acme\",job=\"heroku\"}} {shown}"),
        ] {
            let owned = read(line.as_bytes()).expect(&line);
            let shown = owned.shown();
            assert_eq!(
                (shown.app, shown.procid, shown.msg),
                (&b"heroku"[..], &b"web.1"[..], &b"Error R14 (x)"[..])
            );
        }
        for line in [
            format!("{at} {{app=\"app\", proc=\"web.1\"}} {shown}"),
            format!("{at} {{app=\"heroku\", source=\"app\", proc=\"web.1\"}} {shown}"),
            format!("{at} app/web.1 {row}"),
            format!("{at} web.1 {row}"),
            format!("{at} x y {row}"),
            format!("web-1  | {dated}"),
            format!("x {dated}"),
            row.to_owned(),
            format!("{at} {{app=\"heroku\", proc=web.1}} Error R14 (x)"),
        ] {
            let owned = read(line.as_bytes());
            assert!(owned.is_none_or(|owned| owned.shown().app != b"heroku"), "{line}");
        }
    }
}
