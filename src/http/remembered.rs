//! What the last batch of a connection has shown: the same headers come with the next one, and need not be
//! decoded, hashed and looked up again.
//!
//! Nothing here decides anything: it keeps what the full check has found, for exactly the same octets. The
//! password is compared in constant time, because a proxy may send several clients' requests over one
//! connection.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretBox};
use subtle::ConstantTimeEq;

use dynowarden_core::ident::{AppId, DrainToken};
use dynowarden_core::limits;

/// What a batch that was let through has shown.
#[derive(Debug)]
pub(super) struct Remembered {
    authorization: Option<Authorization>,
    /// The index of the drain password in it.
    password: u64,
    /// The app in the path, if there is one.
    named: Option<(Box<str>, AppId)>,
    drain: Option<DrainToken>,
}

/// What of it a request shows again.
#[derive(Debug, Default)]
pub(super) struct Recalled {
    pub(super) password: Option<u64>,
    /// The app, if password and path are the same.
    pub(super) app: Option<AppId>,
    pub(super) drain: Option<DrainToken>,
}

/// The value of an `Authorization`, with zeros behind it: no header has any.
type Padded = [u64; limits::AUTHORIZATION_KEPT_BYTES / 8];

#[derive(Debug)]
struct Authorization(SecretBox<Padded>);

impl Remembered {
    /// Remembers a batch that was let through. A long `Authorization` is hashed each time.
    pub(super) fn new(
        headers: &HeaderMap,
        password: u64,
        named: Option<(&str, AppId)>,
        drain: Option<&DrainToken>,
    ) -> Self {
        let authorization = padded(headers).map(|padded| Authorization(SecretBox::new(Box::new(padded))));
        let named = named.map(|(name, app)| (name.into(), app));
        Self { authorization, password, named, drain: drain.cloned() }
    }

    /// Whether a request shows nothing new.
    pub(super) fn is_all(
        &self,
        recalled: &Recalled,
        named: Option<&str>,
        drain: Option<&DrainToken>,
    ) -> bool {
        recalled.password.is_some()
            && recalled.app.is_some() == named.is_some()
            && self.drain.as_ref() == drain
    }

    /// What of it the request shows again: its `Authorization`, the app in its path and its drain token.
    pub(super) fn recall(&self, headers: &HeaderMap, named: Option<&str>, drain: Option<&[u8]>) -> Recalled {
        let is_same =
            self.authorization.as_ref().zip(padded(headers)).is_some_and(|(own, shown)| own.is(&shown));
        let password = is_same.then_some(self.password);
        let of_name = self.named.as_ref().zip(named).filter(|((name, _), named)| **name == **named);
        let app = of_name.map(|((_, app), _)| *app).filter(|_| is_same);
        let drain = self.drain.as_ref().filter(|own| drain == Some(own.as_str().as_bytes())).cloned();
        Recalled { password, app, drain }
    }
}

impl Authorization {
    fn is(&self, shown: &Padded) -> bool {
        let difference =
            self.0.expose_secret().iter().zip(shown).fold(0, |found, (own, shown)| found | (own ^ shown));
        difference.ct_eq(&0).into()
    }
}

/// The only `Authorization` of a request, unless it is too long.
fn padded(headers: &HeaderMap) -> Option<Padded> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (all.next()?.as_bytes(), all.next()) else { return None };
    let mut octets = [0; limits::AUTHORIZATION_KEPT_BYTES];
    octets.get_mut(..value.len())?.copy_from_slice(value);
    let (words, _) = octets.as_chunks::<8>();
    let mut padded = [0; limits::AUTHORIZATION_KEPT_BYTES / 8];
    padded.iter_mut().zip(words).for_each(|(word, octets)| *word = u64::from_le_bytes(*octets));
    Some(padded)
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

    use super::{Recalled, Remembered};
    use dynowarden_core::ident::{AppId, DrainToken};
    use dynowarden_core::limits;

    fn headers(authorizations: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in authorizations {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }

    #[test]
    fn only_the_same_octets_are_recalled() {
        let drain: DrainToken = "d.a".parse().expect("a token");
        let remembered = Remembered::new(&headers(&["Basic abc"]), 7, Some(("acme", AppId(3))), Some(&drain));
        let recall = |shown: &[&str], named, token: Option<&str>| {
            let Recalled { password, app, drain } =
                remembered.recall(&headers(shown), named, token.map(str::as_bytes));
            (password, app.map(|app| app.0), drain.is_some())
        };
        assert_eq!(recall(&["Basic abc"], Some("acme"), Some("d.a")), (Some(7), Some(3), true));
        assert_eq!(recall(&["Basic abc"], Some("other"), Some("d.b")), (Some(7), None, false));
        assert_eq!(recall(&["Basic abc"], None, None), (Some(7), None, false));
        for shown in
            [&[][..], &["Basic abd"], &["Basic ab"], &["Basic abcd"], &["basic abc"], &["Basic abc"; 2]]
        {
            assert_eq!(recall(shown, Some("acme"), Some("d.a")), (None, None, true), "{shown:?}");
        }
    }

    #[test]
    fn a_long_authorization_is_not_kept() {
        for (length, is_kept) in
            [(limits::AUTHORIZATION_KEPT_BYTES, true), (limits::AUTHORIZATION_KEPT_BYTES + 1, false)]
        {
            let shown = headers(&[&"x".repeat(length)]);
            let remembered = Remembered::new(&shown, 0, None, None);
            assert_eq!(remembered.recall(&shown, None, None).password.is_some(), is_kept);
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let remembered = Remembered::new(&headers(&["Basic c2VjcmV0"]), 0, None, None);
        let text = format!("{remembered:?}");
        assert!(
            text.contains("REDACTED") && !text.contains(&format!("{}", u64::from_le_bytes(*b"Basic c2"))),
            "{text}"
        );
    }
}
