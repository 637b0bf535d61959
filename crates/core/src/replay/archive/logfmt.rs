//! A line of names and values, as log shippers and `logcli` write them.
//!
//! ```text
//! logfmt = pair *( 1*SP pair )
//! pair   = name "=" ( JSON string / *( any octet but SP, DQUOTE and "=" ) )
//! ```
//!
//! It is a row of an export. A line with a word that is no pair, or that says a part of it again behind the
//! message, is none: what an app prints could otherwise add the fields of the platform to it.

use crate::replay::archive::fields::{self, Owned};
use crate::replay::archive::json::{self, Fields};
use crate::replay::archive::time::split;

/// Reads such a line; none if it is none.
pub(super) fn read(text: &[u8]) -> Option<Owned> {
    let fields = pairs(text.trim_ascii())?;
    let parts: Vec<_> = fields.iter().map(|(name, _)| fields::part(name)).collect();
    let msg = parts.iter().position(|part| *part == Some(MESSAGE))?;
    // What was there before the message, a message without quotes could say again.
    let is_repeated = |at: usize| parts[at].is_some() && parts[..at].contains(&parts[at]);
    if (msg + 1..parts.len()).any(is_repeated) {
        return None;
    }
    fields::read(&fields)
}

/// See [`fields::part`].
const MESSAGE: usize = 0;

fn pairs(text: &[u8]) -> Option<Fields> {
    let mut rest = text;
    let mut fields = Fields::new();
    while !rest.is_empty() {
        let (name, behind) = split(rest, b'=')?;
        let is_name = name.first().is_some_and(|first| first.is_ascii_alphabetic() || b"_@".contains(first))
            && name.iter().all(|octet| octet.is_ascii_alphanumeric() || b"._-@".contains(octet));
        let name = str::from_utf8(name).ok().filter(|_| is_name)?;
        if fields.len() >= FIELDS_MAX || fields.iter().any(|(known, _)| known == name) {
            return None;
        }
        let (value, behind) = value(behind)?;
        fields.push((name.to_owned(), value));
        rest = behind.trim_ascii_start();
        if rest.len() == behind.len() && !rest.is_empty() {
            return None;
        }
    }
    Some(fields)
}

/// More fields than any shipper writes.
const FIELDS_MAX: usize = 64;

/// The value at the start of `text`, and what is behind it.
fn value(text: &[u8]) -> Option<(String, &[u8])> {
    if text.starts_with(b"\"") {
        let (quoted, behind) = text.split_at(json::text_len(text)?);
        return Some((serde_json::from_slice(quoted).ok()?, behind));
    }
    let end = text.iter().position(|octet| *octet == b' ').unwrap_or(text.len());
    let (bare, behind) = text.split_at(end);
    let is_bare = !bare.iter().any(|octet| matches!(octet, b'"' | b'='));
    is_bare.then(|| (String::from_utf8_lossy(bare).into_owned(), behind))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_line_of_pairs_is_a_row() {
        let at = "2025-01-02T00:51:32Z";
        for line in [
            format!("time={at} source=heroku dyno=web.1 msg=\"Error R14 (x)\""),
            format!("ts={at} level=info program=heroku/web.1 message=\"Error R14 (x)\""),
            format!("appname=heroku host=host message=\"Error R14 (x)\" procid=web.1 timestamp={at} "),
            format!("level=info  ts={at} msg=\"{at} heroku[web.1]: Error R14 (x)\""),
            format!(
                "syslog.appname=heroku syslog.procid=web.1 @timestamp={at} line=\"Error R14 (x)\" empty="
            ),
        ] {
            let owned = read(line.as_bytes()).expect(&line);
            let shown = owned.shown();
            let expect = [&b"heroku"[..], b"web.1", b"Error R14 (x)"];
            assert_eq!([shown.app, shown.procid, shown.msg], expect, "{line}");
        }
    }

    #[test]
    fn a_text_with_pairs_in_it_is_none() {
        let at = "2025-01-02T00:51:32Z";
        for line in [
            // What an app printed without quotes.
            format!("time={at} app=app proc=web.1 msg=x source=heroku dyno=web.1 message=\"Error R14 (x)\""),
            format!("time={at} app=acme proc=web.1 msg=x y app=heroku"),
            format!("time={at} app=acme proc=web.1 msg=x program=heroku message=\"Error R14 (x)\""),
            format!("time={at} app=acme proc=web.1 msg=\"Error R14 (x)\" program=heroku"),
            format!("time={at} source=app source=heroku dyno=web.1 msg=\"Error R14 (x)\""),
            format!("time={at} source=heroku dyno=web.1 msg=\"Error R14\"x"),
            format!("time={at} source=heroku dyno=web.1 msg=\"Error R14 (x)"),
            format!("time={at} source=heroku dyno=web.1 x msg=\"Error R14 (x)\""),
            format!("time={at} source=heroku dyno=web.1 msg=a=b"),
            "source=heroku dyno=web.1 msg=\"Error R14 (x)\"".to_owned(),
            "at=info method=GET path=\"/\" dyno=web.1 status=200".to_owned(),
            String::new(),
        ] {
            let owned = read(line.as_bytes());
            assert!(owned.is_none_or(|owned| owned.shown().app != b"heroku"), "{line}");
        }
    }
}
