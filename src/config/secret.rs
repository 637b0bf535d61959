//! Passwords and tokens, from a variable or from a file that a setting names. No message shows one.

use std::path::Path;

use secrecy::SecretString;

use crate::config::field::{Field, Found, SecretKind};
use crate::config::problem::{self, SHOWN_AS, quoted};
use crate::config::reader::Reader;
use dynowarden_core::limits;

/// A drain password. Logplex splits what precedes the host at every `:` (heroku.md §1.6), and no URL has
/// blanks or control characters.
pub(super) const DRAIN_PASSWORD: SecretKind = SecretKind {
    allowed: "a password that can be part of a URL, without `:`, blanks and control characters; \
              best [A-Za-z0-9_-]",
    is_usable: |text| !text.chars().any(|c| c == ':' || c.is_whitespace() || c.is_control()),
};

/// A password or a key that people and monitors send in a header or a query.
pub(super) const PASSWORD: SecretKind = SecretKind {
    allowed: "printable text that does not begin or end with a space",
    is_usable: |text| text.trim() == text && !text.chars().any(char::is_control),
};

/// A token of the Platform API.
pub(super) const API_KEY: SecretKind = SecretKind {
    allowed: "a token as `heroku authorizations:create -s write` prints it, without spaces",
    is_usable: |text| text.bytes().all(|byte| byte.is_ascii_graphic()),
};

/// Reads a secret from `variable`, else from the file that `path` names.
pub(super) fn read(
    reader: &mut Reader<'_>,
    variable: &str,
    path: &Field,
    kind: SecretKind,
) -> Option<SecretString> {
    let Some(found) = reader.variable(variable) else { return read_file(reader, path, kind) };
    check(reader, &found, found.value.text()?.to_owned(), SHOWN_AS, kind)
}

/// Reads a secret from the file that `path` names.
pub(super) fn read_file(reader: &mut Reader<'_>, path: &Field, kind: SecretKind) -> Option<SecretString> {
    let found = path.found()?;
    let Some(path) = found.value.text() else {
        reader.refuse(found, "the path of a file that holds the secret");
        return None;
    };
    let shown = shown_path(path);
    match reader.file(Path::new(path)) {
        Ok(text) => {
            check(reader, found, unterminated(text), &format!("the text of {shown} (not shown)"), kind)
        }
        Err(error) => {
            let text = format!(
                "read {shown}, but that file cannot be read ({error}); allowed: the path of a file that \
                 holds the secret"
            );
            reader.problem(found.at, text);
            None
        }
    }
}

fn check(
    reader: &mut Reader<'_>,
    found: &Found,
    text: String,
    what: &str,
    kind: SecretKind,
) -> Option<SecretString> {
    if let Some(text) = problem::in_quotes(what, &text) {
        reader.problem(found.at, text);
        return None;
    }
    let fault = match text.len() {
        0 => "is empty",
        1..=limits::SECRET_BYTES_MAX if (kind.is_usable)(&text) => return Some(text.into()),
        1..=limits::SECRET_BYTES_MAX => "is not valid",
        _ => "is too long",
    };
    let allowed = format!("{}, at most {} bytes", kind.allowed, limits::SECRET_BYTES_MAX);
    reader.problem(found.at, format!("{what} {fault}; allowed: {allowed}"));
    None
}

/// Editors and `echo` end a file with a newline that is not part of the secret.
fn unterminated(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

/// A path for a message. Text without `/` and `.` may be the secret itself, typed where the name of its file
/// belongs.
fn shown_path(path: &str) -> String {
    if path.contains("://") {
        "a URL (not shown)".to_owned()
    } else if path.contains(['/', '.', '\\']) {
        quoted(path)
    } else {
        "a name without / or . (not shown)".to_owned()
    }
}
