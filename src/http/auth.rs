//! Authentication: every comparison of a secret, in constant time.
//!
//! Secrets are compared as SHA-256 digests of equal length, and a drain's password is compared with those of
//! all apps. So the response time reveals neither the length of a secret nor whether an app exists. The app
//! in the path is looked up only after a password has matched.

use std::collections::HashSet;
use std::time::Duration;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap};
use hyper::body::Body;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::http::Service;
use crate::http::admin_ui::AdminUi;
use crate::http::body;
use crate::http::client_addr::Head;
use crate::http::denied::Denied;
use crate::http::origin;
use crate::http::places::Owner;
use crate::http::refusal::Refusal;
use dynowarden_core::ident::AppId;
use dynowarden_core::limits;

/// The SHA-256 digest of a configured secret, or of one that a client sent.
#[derive(Clone)]
pub(super) struct Secret([u8; 32]);

/// The drain passwords: one for each app, or two during a rotation. Apps may share a password.
#[derive(Debug)]
pub(super) struct DrainAuth {
    /// Pairs of an app and the index in `passwords` of a password that it accepts. An app without a pair
    /// accepts no batch.
    entries: HashSet<(AppId, u64)>,
    passwords: Vec<Secret>,
}

/// The result of checking a drain password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DrainAccess {
    App(AppId),
    Unauthorized,
    /// A drain's password, but no such app. A client without a password cannot find out which apps exist.
    UnknownApp,
}

// === impl Secret ===

impl Secret {
    pub(super) fn configured(secret: &SecretString) -> Self {
        Self::of(secret.expose_secret().as_bytes())
    }

    pub(super) fn is(&self, shown: Option<&Self>) -> bool {
        self.matches(shown).into()
    }

    fn of(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }

    fn matches(&self, shown: Option<&Self>) -> Choice {
        let digest = shown.map_or(&[0; 32], |shown| &shown.0);
        self.0.ct_eq(digest) & Choice::from(u8::from(shown.is_some()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

// === impl DrainAuth ===

impl DrainAuth {
    pub(super) fn new<'s>(of_apps: impl IntoIterator<Item = (AppId, &'s SecretString)>) -> Self {
        let (mut entries, mut passwords) = (HashSet::new(), Vec::<Secret>::new());
        for (app, password) in of_apps {
            let password = Secret::configured(password);
            let known = passwords.iter().position(|known| known.is(Some(&password)));
            entries.insert((app, known.unwrap_or(passwords.len()) as u64));
            if known.is_none() {
                passwords.push(password);
            }
        }
        Self { entries, passwords }
    }

    /// Checks a password for the app that `app` looks up.
    pub(super) fn check(&self, shown: Option<&Secret>, app: impl FnOnce() -> Option<AppId>) -> DrainAccess {
        self.access(self.password(shown), app)
    }

    /// The index of a drain password.
    pub(super) fn password(&self, shown: Option<&Secret>) -> Option<u64> {
        let mut found = u64::MAX;
        for (index, password) in (0_u64..).zip(&self.passwords) {
            found.conditional_assign(&index, password.matches(shown));
        }
        (found != u64::MAX).then_some(found)
    }

    /// What the password of this index opens.
    pub(super) fn access(&self, found: Option<u64>, app: impl FnOnce() -> Option<AppId>) -> DrainAccess {
        let Some(found) = found else { return DrainAccess::Unauthorized };
        match app() {
            None => DrainAccess::UnknownApp,
            Some(app) if self.entries.contains(&(app, found)) => DrainAccess::App(app),
            Some(_) => DrainAccess::Unauthorized,
        }
    }
}

// === impl Service ===

impl Service {
    /// Accepts `ADMIN_PASSWORD`, by Basic or Bearer, unless another site's page made the browser send it.
    pub(super) fn require_admin(&self, head: &Head) -> Result<(), Denied> {
        let password = self.admin.as_ref().ok_or(Denied::Closed)?;
        let shown = basic(&head.headers).or_else(|| bearer(&head.headers));
        self.compare(password, shown.as_ref(), head)?;
        let is_https = self.is_https || self.proxies.says_https(head);
        if origin::is_ours(head, is_https) { Ok(()) } else { Err(Denied::OtherSite) }
    }

    /// Compares a secret of the admin or hook routes, unless its address has sent too many wrong ones. A
    /// request without one does not count, because a browser sends it before it asks the user.
    pub(super) fn compare(&self, secret: &Secret, shown: Option<&Secret>, head: &Head) -> Result<(), Denied> {
        let client = self.proxies.client_addr(head);
        if let Err(wait) = self.guesses.check(client) {
            self.metrics.refused(Refusal::Throttled);
            return Err(Denied::Throttled(wait));
        }
        if secret.is(shown) {
            self.places.own(&head.connection, Owner::Admin);
            return Ok(());
        }
        shown.inspect(|_| self.guesses.count(client));
        self.metrics.refused(Refusal::Unauthorized);
        Err(Denied::Unauthorized)
    }

    /// Accepts `ADMIN_PASSWORD`, and returns the state of the status page.
    pub(super) fn require_admin_ui(&self, head: &Head) -> Result<&AdminUi, Denied> {
        self.require_admin(head)?;
        self.admin_ui.as_ref().ok_or(Denied::Closed)
    }

    /// Reads the body of an admin's request.
    pub(super) async fn read_admin_body<B>(&self, head: &Head, body: B) -> Result<Bytes, Denied>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        self.require_admin(head)?;
        let mut room = self.bodies.room(None, head.connection.clone());
        body::read(body, limits::ADMIN_BODY_BYTES_MAX, &mut room).await.map_err(Denied::Body)
    }

    /// Counts a rejected drain password. A request without one does not count.
    ///
    /// # Errors
    /// There were too many from this address; the next one is allowed after this time.
    pub(super) fn count_wrong_password(&self, head: &Head, shown: Option<&Secret>) -> Result<(), Duration> {
        let counted = match shown {
            Some(_) => self.throttle.count(self.proxies.client_addr(head)),
            None => Ok(()),
        };
        let refusal = if counted.is_ok() { Refusal::Unauthorized } else { Refusal::Throttled };
        self.metrics.refused(refusal);
        counted
    }
}

/// The password of an `Authorization: Basic`, with any user name.
pub(super) fn basic(headers: &HeaderMap) -> Option<Secret> {
    let decoded = BASE64.decode(credentials(headers, "basic")?).ok()?;
    let colon = memchr::memchr(b':', &decoded)?;
    Some(Secret::of(&decoded[colon + 1..]))
}

/// The user name of an `Authorization: Basic`. Any is accepted, so it shows only who says to have sent it.
pub(super) fn user(headers: &HeaderMap) -> Option<String> {
    let decoded = BASE64.decode(credentials(headers, "basic")?).ok()?;
    let (user, _) = decoded.split_at(memchr::memchr(b':', &decoded)?);
    Some(String::from_utf8_lossy(user).into_owned())
}

/// The token of an `Authorization: Bearer`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<Secret> {
    credentials(headers, "bearer").map(Secret::of)
}

/// The value of `key` in a query.
pub(super) fn query_key(query: Option<&str>) -> Option<Secret> {
    let (_, key) = form_urlencoded::parse(query?.as_bytes()).find(|(name, _)| name == "key")?;
    Some(Secret::of(key.as_bytes()))
}

/// Some clients omit the padding. RFC 7617 requires it, but rejecting them would gain nothing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The credentials after the scheme. Two `Authorization` headers are ambiguous, so they count as none.
fn credentials<'h>(headers: &'h HeaderMap, scheme: &str) -> Option<&'h [u8]> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let value = all.next()?.as_bytes();
    if all.next().is_some() {
        return None;
    }
    let space = memchr::memchr(b' ', value)?;
    value[..space].eq_ignore_ascii_case(scheme.as_bytes()).then(|| value[space..].trim_ascii())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
    use secrecy::SecretString;

    use super::{BASE64, DrainAccess, DrainAuth, Secret, basic, bearer, query_key};
    use dynowarden_core::ident::AppId;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).expect("a header"));
        }
        headers
    }

    fn secret(text: &str) -> Secret {
        Secret::configured(&SecretString::from(text))
    }

    #[test]
    fn basic_takes_any_user_name() {
        let encoded = |text: &str| BASE64.encode(text);
        for (value, shown) in [
            (format!("Basic {}", encoded("user:pa55")), true),
            (format!("basic {}", encoded(":pa55")), true),
            (format!("BASIC   {}", encoded("a b:pa55")), true),
            (format!("Basic {}", encoded("user:pa55").trim_end_matches('=')), true),
            (format!("Basic {}", encoded("pa55")), false),
            (format!("Basic {}", encoded("pa55:")), false),
            (format!("Basic {}", encoded("user:pa55 ")), false),
            (format!("Basic {}", encoded("user:x:pa55")), false),
            (format!("Bearer {}", encoded("user:pa55")), false),
            ("Basic".to_owned(), false),
            ("Basic ".to_owned(), false),
            ("Basic \u{7f}!!".replace('\u{7f}', "~"), false),
            ("pa55".to_owned(), false),
        ] {
            assert_eq!(secret("pa55").is(basic(&headers(&[&value])).as_ref()), shown, "{value}");
        }
        let good = format!("Basic {}", encoded("u:pa55"));
        assert!(basic(&headers(&[&good, &good])).is_none());
        assert!(secret("a:b").is(basic(&headers(&[&format!("Basic {}", encoded("u:a:b"))])).as_ref()));
        assert!(!secret("").is(None));
    }

    #[test]
    fn a_key_is_a_bearer_token_or_in_the_query() {
        assert!(secret("k3y").is(bearer(&headers(&["Bearer k3y"])).as_ref()));
        assert!(secret("k3y").is(bearer(&headers(&["bearer  k3y "])).as_ref()));
        assert!(bearer(&headers(&["Basic k3y"])).is_none());
        for (query, expect) in [
            (Some("key=k3y"), true),
            (Some("a=b&key=k3y&c"), true),
            (Some("key=k%33y"), true),
            (Some("key="), false),
            (Some("akey=k3y"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(secret("k3y").is(query_key(query).as_ref()), expect, "{query:?}");
        }
        assert!(secret("a b+%zz%4").is(query_key(Some("key=a+b%2B%zz%4")).as_ref()));
    }

    #[test]
    fn a_drain_password_is_valid_for_its_app_only() {
        let passwords = [(0, "shared"), (1, "own"), (2, "shared"), (2, "old")];
        let passwords = passwords.map(|(app, password)| (AppId(app), SecretString::from(password)));
        let drain_auth = DrainAuth::new(passwords.iter().map(|(app, password)| (*app, password)));
        let (known, unknown) = (|app| Some(AppId(app)), None);
        for (shown, wanted, expect) in [
            (Some("shared"), known(0), DrainAccess::App(AppId(0))),
            (Some("shared"), known(2), DrainAccess::App(AppId(2))),
            (Some("old"), known(2), DrainAccess::App(AppId(2))),
            (Some("old"), known(0), DrainAccess::Unauthorized),
            (Some("own"), known(1), DrainAccess::App(AppId(1))),
            (Some("shared"), known(1), DrainAccess::Unauthorized),
            (Some("own"), known(0), DrainAccess::Unauthorized),
            (Some("shared"), unknown, DrainAccess::UnknownApp),
            (Some("own"), unknown, DrainAccess::UnknownApp),
            (Some("shared"), known(3), DrainAccess::Unauthorized),
            (Some(""), known(3), DrainAccess::Unauthorized),
            (Some("wrong"), known(0), DrainAccess::Unauthorized),
            (Some("wrong"), unknown, DrainAccess::Unauthorized),
            (None, known(0), DrainAccess::Unauthorized),
            (None, unknown, DrainAccess::Unauthorized),
        ] {
            assert_eq!(
                drain_auth.check(shown.map(secret).as_ref(), || wanted),
                expect,
                "{shown:?} {wanted:?}"
            );
        }
    }

    #[test]
    fn a_wrong_password_takes_the_same_time_for_every_app() {
        let passwords = ["shared", "own"].map(SecretString::from);
        let [shared, own] = &passwords;
        let drain_auth =
            DrainAuth::new([shared, own, shared].into_iter().zip(0..).map(|(text, app)| (AppId(app), text)));
        assert_eq!(drain_auth.passwords.len(), 2, "each is compared once");
        for shown in [Some("wrong"), Some(""), Some("share"), None] {
            let entry = drain_auth
                .check(shown.map(secret).as_ref(), || panic!("the app was looked up for {shown:?}"));
            assert_eq!(entry, DrainAccess::Unauthorized);
        }
        // The user name changes nothing: the same octets are hashed and compared.
        let shown = |user: &str| {
            basic(&headers(&[&format!("Basic {}", BASE64.encode(format!("{user}:wrong")))]))
                .expect("a password")
        };
        assert_eq!(shown("drain").0, shown("another-user").0);
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        assert_eq!(format!("{:?}", secret("pa55")), "Secret(…)");
    }
}
