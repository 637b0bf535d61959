//! Passwords and tokens: from a variable, or from a file that a setting names. No message shows one.

use std::path::Path;

use secrecy::SecretString;

use crate::config::problem::{Problem, quoted};
use crate::config::reader::{Reader, Section};
use dynowarden_core::limits;

/// The variable and the key (of a file's path) that a secret may come from, and what it must be.
pub(super) struct SecretSource<'a> {
    /// The variable; none where only the settings file can tell.
    pub(super) variable: Option<&'a str>,
    /// Where the key stands.
    pub(super) section: &'a Section,
    pub(super) key: &'static str,
    /// What the secret must be, in words.
    pub(super) allowed: &'static str,
    /// Whether a text is that. Refuses what can never work, not what is merely weak.
    pub(super) is_usable: fn(&str) -> bool,
}

/// Reads a secret, the variable first; `None` where it is not set, and with a problem where it is wrong.
pub(super) fn read(reader: &mut Reader<'_>, source: &SecretSource<'_>) -> Option<SecretString> {
    let (found, text, what) = match source.variable.and_then(|name| reader.variable(name)) {
        Some(found) => {
            let text = found.value.text()?.to_owned();
            (found, text, "the value (not shown)".to_owned())
        }
        None => {
            let found = reader.find(source.section, source.key)?;
            let Some(path) = found.value.text() else {
                reader.refuse(&found, "the path of a file that holds the secret");
                return None;
            };
            let shown = shown_path(path);
            match reader.file(Path::new(path)) {
                Ok(text) => (found, unterminated(text), format!("the text of {shown} (not shown)")),
                Err(error) => {
                    let text = format!(
                        "read {shown}, but that file cannot be read ({error}); allowed: the path of a file \
                         that holds the secret"
                    );
                    reader.problems.push(Problem::new(found.setting, found.origin, text));
                    return None;
                }
            }
        }
    };
    let trouble = match text.len() {
        0 => "is empty",
        1..=limits::SECRET_BYTES_MAX if (source.is_usable)(&text) => return Some(text.into()),
        1..=limits::SECRET_BYTES_MAX => "cannot work",
        _ => "is too long",
    };
    let allowed = format!("{}, at most {} bytes", source.allowed, limits::SECRET_BYTES_MAX);
    let text = format!("{what} {trouble}; allowed: {allowed}");
    reader.problems.push(Problem::new(found.setting, found.origin, text));
    None
}

/// Editors and `echo` end a file with a newline that nobody means.
fn unterminated(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

/// A path for a message. What has neither `/` nor `.` may well be the secret itself, typed where the name
/// of its file belongs.
fn shown_path(path: &str) -> String {
    if path.contains("://") {
        "a URL (not shown)".to_owned()
    } else if path.contains(['/', '.', '\\']) {
        quoted(path)
    } else {
        "a name without / or . (not shown)".to_owned()
    }
}
