//! `[tls]`: the certificate of the HTTP server.

use std::path::PathBuf;

use crate::certificate::{self, CertificateError};
use crate::config::field::Found;
use crate::config::keys;
use crate::config::problem::quoted;
use crate::config::reader::Reader;
use crate::config::settings::TlsSettings;

/// Reads the certificate and its key; none where neither is set.
pub(super) fn read(reader: &mut Reader<'_>, section: &keys::Tls) -> Option<TlsSettings> {
    let (cert, key) = (section.cert.found(), section.key.found());
    let cert_text = cert.and_then(|found| text(reader, found));
    let key_text = key.and_then(|found| text(reader, found));
    let (cert, key) = match (cert, key) {
        (Some(cert), Some(key)) => (cert, key),
        (Some(cert), None) => {
            let allowed = "the path of a PEM file with the certificate's key";
            reader.missing("tls.key", cert.at, allowed);
            return None;
        }
        (None, Some(key)) => {
            reader.missing("tls.cert", key.at, "the path of a PEM file with the certificate");
            return None;
        }
        (None, None) => return None,
    };
    let ((cert_path, cert_text), (key_path, key_text)) = cert_text.zip(key_text)?;
    match certificate::read(&cert_text, &key_text) {
        Ok(identity) => Some(TlsSettings { cert: cert_path, identity, key: key_path }),
        Err(error) => {
            let is_of_key = matches!(
                error,
                CertificateError::KeyPem | CertificateError::NoKey | CertificateError::UnusableKey
            );
            let (found, path) = if is_of_key { (key, key_path) } else { (cert, cert_path) };
            reader.problem(found.at, format!("read {}, but {error}", quoted(&path.to_string_lossy())));
            None
        }
    }
}

/// A file's path and its text.
fn text(reader: &mut Reader<'_>, found: &Found) -> Option<(PathBuf, String)> {
    let allowed = "the path of a PEM file";
    let Some(path) = found.value.text().map(PathBuf::from) else {
        reader.refuse(found, allowed);
        return None;
    };
    match reader.file(&path) {
        Ok(text) => Some((path, text)),
        Err(error) => {
            let read = found.value.shown();
            let text = format!("read {read}, but that file cannot be read ({error}); allowed: {allowed}");
            reader.problem(found.at, text);
            None
        }
    }
}
