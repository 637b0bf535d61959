//! The status page's forms: their fields, and the token that protects them against cross-site requests.
//!
//! A browser sends its saved Basic password with every request, even one that another site's page starts. So
//! a form must come from our own origin, and must contain a token that only readers of our page have. The
//! token is derived from the admin password alone: it survives a restart, is the same on every replica, and
//! changes with the password.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::http::client_addr::Head;

/// The token in every form.
#[derive(Clone)]
pub(super) struct FormToken(String);

/// The fields of a form or of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl FormToken {
    pub(super) fn new(password: &SecretString) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(password.expose_secret().as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(b"dynowarden form token, version 1");
        Self(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_in(&self, fields: &Fields) -> bool {
        fields.value("token").is_some_and(|shown| self.0.as_bytes().ct_eq(shown.as_bytes()).into())
    }
}

impl std::fmt::Debug for FormToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FormToken(…)")
    }
}

impl Fields {
    /// Reads a body of type `application/x-www-form-urlencoded`.
    pub(super) fn read(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    pub(super) fn of_query(head: &Head) -> Self {
        Self::read(head.uri.query().unwrap_or_default().as_bytes())
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The fields, or all but `name`.
    pub(super) fn without(&self, name: &str, is_dropped: bool) -> Self {
        Self(self.0.iter().filter(|(key, _)| !is_dropped || key != name).cloned().collect())
    }

    /// The value if it is not empty.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.value(name).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::{Fields, FormToken};

    fn token(password: &str) -> FormToken {
        FormToken::new(&SecretString::from(password))
    }

    #[test]
    fn a_token_depends_on_the_password_and_does_not_show_it() {
        let (ours, theirs) = (token("pa55"), token("other"));
        assert_eq!(ours.as_str(), token("pa55").as_str());
        assert_eq!(ours.as_str().len(), 64);
        assert_eq!(format!("{ours:?}"), "FormToken(…)");
        for (body, expect) in [
            (format!("app=acme&token={}", ours.as_str()), true),
            (format!("token={}", theirs.as_str()), false),
            (format!("token={}", &ours.as_str()[1..]), false),
            (format!("token=&token={}", ours.as_str()), false),
            ("token=".to_owned(), false),
            ("app=acme".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(ours.is_in(&Fields::read(body.as_bytes())), expect, "{body}");
        }
    }

    #[test]
    fn fields_are_decoded() {
        let fields = Fields::read(b"reason=load+test+%26+%3Cb%3E%0Amore&for=2h&app=&bad=%zz%ff");
        assert_eq!(fields.value("reason"), Some("load test & <b>\nmore"));
        assert_eq!(
            (fields.filled("for"), fields.filled("app"), fields.value("app")),
            (Some("2h"), None, Some(""))
        );
        assert_eq!(fields.value("bad"), Some("%zz\u{fffd}"));
    }
}
