//! The HTTP server's certificate: reads two PEM texts into what a TLS handshake needs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustls::client::verify_server_name;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use dynowarden_core::health::facts::CertificateState;
use dynowarden_core::limits;
use dynowarden_core::time::since;

/// A certificate with its chain and its key.
#[derive(Clone)]
pub struct Identity {
    pub certified: Arc<CertifiedKey>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("the certificates are not in PEM form")]
    CertificatePem,
    #[error("the key is not in PEM form")]
    KeyPem,
    /// No `BEGIN CERTIFICATE`.
    #[error("there is no certificate in PEM form (BEGIN CERTIFICATE)")]
    NoCertificate,
    /// No `BEGIN PRIVATE KEY` or similar.
    #[error("there is no private key in PEM form (BEGIN PRIVATE KEY), or it has a passphrase")]
    NoKey,
    /// The key belongs to another certificate than the first.
    #[error("the key does not belong to the first of the certificates")]
    OtherKey,
    #[error("the first of the certificates cannot be read")]
    Unreadable,
    /// A kind of key that no handshake uses.
    #[error("the key is not one of RSA (2048 bits or more), ECDSA (P-256, P-384) or Ed25519")]
    UnusableKey,
}

/// Reads a chain, the server's own certificate first, and its key.
///
/// # Errors
/// They cannot be used in a handshake; their validity period is not checked.
pub fn read(certificates: &str, key: &str) -> Result<Identity, CertificateError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| CertificateError::CertificatePem)?;
    let first = chain.first().ok_or(CertificateError::NoCertificate)?;
    let (not_before, not_after) = validity(first).ok_or(CertificateError::Unreadable)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound => CertificateError::NoKey,
        _ => CertificateError::KeyPem,
    })?;
    let certified =
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificateError::OtherKey,
            Error::InvalidCertificate(_) => CertificateError::Unreadable,
            _ => CertificateError::UnusableKey,
        })?;
    Ok(Identity { certified: Arc::new(certified), not_before, not_after })
}

impl Identity {
    pub fn state(&self, now: Timestamp) -> CertificateState {
        if now < self.not_before {
            CertificateState::NotYet
        } else if now >= self.not_after {
            CertificateState::Expired
        } else if self.left(now) < limits::TLS_EXPIRES_SOON {
            CertificateState::ExpiresSoon
        } else {
            CertificateState::Good
        }
    }

    /// The time from `now` until it expires.
    pub fn left(&self, now: Timestamp) -> Duration {
        since(now, self.not_after)
    }

    /// Whether it is valid for this host, a name or an address.
    pub fn is_for(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let Ok(name) = ServerName::try_from(bare) else { return false };
        let Ok(first) = self.certified.end_entity_cert() else { return false };
        ParsedCertificate::try_from(first).is_ok_and(|first| verify_server_name(&first, &name).is_ok())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

// === Validity ===

/// A certificate's validity period (RFC 5280, 4.1); rustls checks the rest of the certificate.
fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (whole, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(whole, SEQUENCE)?;
    if let Some((_version, behind)) = element(rest, VERSION) {
        rest = behind;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        // Skips the serial number, the signature algorithm and the issuer.
        (_, rest) = element(rest, tag)?;
    }
    let (validity, _) = element(rest, SEQUENCE)?;
    let (not_before, rest) = time(validity)?;
    let (not_after, _) = time(rest)?;
    Some((not_before, not_after))
}

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The content of the first DER element in `der`, if it has this tag, and the rest.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match *length {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(long - 0x80))?;
            (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    (*found == tag).then(|| rest.split_at_checked(length)).flatten()
}

/// A time: `250102030405Z`, within 1950 to 2049, or `20250102030405Z`.
fn time(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (text, century, rest) = match element(der, UTC_TIME) {
        Some((text, rest)) => (text, if text.first()? < &b'5' { "20" } else { "19" }, rest),
        None => element(der, GENERALIZED_TIME).map(|(text, rest)| (text, "", rest))?,
    };
    let text = format!("{century}{}", std::str::from_utf8(text).ok()?);
    let digits = text.strip_suffix('Z').filter(|digits| digits.len() == 14)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let date = DateTime::strptime("%Y%m%d%H%M%S", digits).ok()?;
    // The year 9999 means no expiry, and its last hours do not fit a timestamp.
    let time = date.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |zoned| zoned.timestamp());
    Some((time, rest))
}

#[cfg(test)]
mod tests {
    use dynowarden_core::health::facts::CertificateState;

    use std::time::Duration;

    use jiff::Timestamp;
    use proptest::prelude::{any, prop, proptest};
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::{CertificateError, read, time, validity};

    /// A certificate for these names, and its key.
    fn made(names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.not_before = date_time_ymd(2020, 1, 2);
        params.not_after = date_time_ymd(2055, 3, 4);
        (params.self_signed(&key).expect("signed").pem(), key.serialize_pem())
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn the_validity_and_hosts_of_a_certificate_are_read() {
        let (certificate, key) = made(&["warden.example.com", "*.example.org", "127.0.0.1"]);
        let identity = read(&certificate, &key).expect("a certificate");
        assert_eq!(identity.not_before, at("2020-01-02T00:00:00Z"));
        assert_eq!(identity.not_after, at("2055-03-04T00:00:00Z"));
        for (host, expect) in [
            ("warden.example.com", true),
            ("WARDEN.example.com", true),
            ("a.example.org", true),
            ("127.0.0.1", true),
            ("example.com", false),
            ("a.b.example.org", false),
            ("127.0.0.2", false),
            ("[::1]", false),
            ("not a host", false),
        ] {
            assert_eq!(identity.is_for(host), expect, "{host}");
        }
        for (now, expect) in [
            ("2019-12-31T00:00:00Z", CertificateState::NotYet),
            ("2026-01-01T00:00:00Z", CertificateState::Good),
            ("2055-03-01T00:00:00Z", CertificateState::ExpiresSoon),
            ("2055-03-04T00:00:00Z", CertificateState::Expired),
        ] {
            assert_eq!(identity.state(at(now)), expect, "{now}");
        }
        assert_eq!(identity.left(at("2055-03-03T23:59:00Z")), Duration::from_secs(60));
        assert_eq!(identity.left(at("2060-01-01T00:00:00Z")), Duration::ZERO);
        let shown = format!("{identity:?}");
        assert!(shown.contains("2055") && shown.len() < 80, "{shown}");
    }

    #[test]
    fn each_unusable_certificate_has_its_own_error() {
        let ((certificate, key), (other, _)) = (made(&["a.example.com"]), made(&["b.example.com"]));
        let cut = certificate.replace("-----END", "");
        let hollow = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let strange = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for (certificates, key, expect) in [
            ("", key.as_str(), CertificateError::NoCertificate),
            ("no certificate", &key, CertificateError::NoCertificate),
            (&key, &key, CertificateError::NoCertificate),
            (&cut, &key, CertificateError::CertificatePem),
            (hollow, &key, CertificateError::Unreadable),
            (&certificate, "", CertificateError::NoKey),
            (&certificate, &certificate, CertificateError::NoKey),
            (&certificate, locked, CertificateError::NoKey),
            (&certificate, strange, CertificateError::UnusableKey),
            (&other, &key, CertificateError::OtherKey),
            (&format!("{other}{certificate}"), &key, CertificateError::OtherKey),
        ] {
            assert_eq!(read(certificates, key).expect_err("not to be shown"), expect);
        }
        // A chain, and one file for all.
        let chain = read(&format!("{certificate}{other}"), &key).expect("a chain");
        assert_eq!(chain.certified.cert.len(), 2);
        let all = format!("{certificate}{other}{key}");
        assert_eq!(read(&all, &all).expect("one file").certified.cert.len(), 2);
    }

    #[test]
    fn both_time_formats_are_read() {
        let of = |tag: u8, text: &str| {
            [&[tag, u8::try_from(text.len()).expect("short")], text.as_bytes()].concat()
        };
        for (tag, text, expect) in [
            (0x17, "250102030405Z", Some("2025-01-02T03:04:05Z")),
            (0x17, "491231235959Z", Some("2049-12-31T23:59:59Z")),
            (0x17, "500101000000Z", Some("1950-01-01T00:00:00Z")),
            (0x18, "20500101000000Z", Some("2050-01-01T00:00:00Z")),
            (0x17, "2501020304Z", None),
            (0x17, "250102030405", None),
            (0x17, "2501020304+5Z", None),
            (0x17, "251302030405Z", None),
            (0x18, "20500101000000.5Z", None),
            (0x18, "", None),
            (0x19, "250102030405Z", None),
        ] {
            let der = of(tag, text);
            assert_eq!(time(&der).map(|(time, _)| time), expect.map(at), "{text}");
        }
        assert_eq!(time(&of(0x18, "99991231235959Z")).map(|(time, _)| time), Some(Timestamp::MAX));
    }

    proptest! {
        #[test]
        fn any_octets_are_parsed_without_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = validity(&octets);
        }

        #[test]
        fn a_damaged_certificate_is_parsed_without_panic(
            cut in 0..400_usize, place in 0..400_usize, octet in any::<u8>(),
        ) {
            let (certificate, key) = made(&["a.example.com"]);
            let identity = read(&certificate, &key).expect("a certificate");
            let mut der = identity.certified.cert[0].to_vec();
            let length = der.len();
            der[place % length] = octet;
            let _ = validity(&der[..cut % length]);
            let _ = validity(&der);
        }
    }
}
