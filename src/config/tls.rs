//! `[tls]`: the certificate that the HTTP server shows, where it ends TLS by itself.

use std::path::PathBuf;

use crate::certificate::{self, CertificateError};
use crate::config::problem::{Problem, quoted};
use crate::config::reader::{Found, Reader, Section};
use crate::config::settings::TlsSettings;

/// Reads the certificate and its key; none where neither is set.
pub(super) fn read(reader: &mut Reader<'_>, section: &Section) -> Option<TlsSettings> {
    let (cert, key) = (reader.find(section, "cert"), reader.find(section, "key"));
    let cert_text = cert.as_ref().and_then(|found| text(reader, found));
    let key_text = key.as_ref().and_then(|found| text(reader, found));
    let (cert, key) = match (cert, key) {
        (Some(cert), Some(key)) => (cert, key),
        (Some(_), None) => {
            reader.missing(
                section,
                "key",
                "the path of the file that holds the certificate's key, in PEM form",
            );
            return None;
        }
        (None, Some(_)) => {
            reader.missing(section, "cert", "the path of a file that holds the certificate, in PEM form");
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
            let text = format!("read {}, but {error}", quoted(&path.to_string_lossy()));
            reader.problems.push(Problem::new(found.setting, found.origin, text));
            None
        }
    }
}

/// A file's path and its text.
fn text(reader: &mut Reader<'_>, found: &Found) -> Option<(PathBuf, String)> {
    let Some(path) = found.value.text().map(PathBuf::from) else {
        reader.refuse(found, ALLOWED);
        return None;
    };
    match reader.file(&path) {
        Ok(text) => Some((path, text)),
        Err(error) => {
            let text = format!(
                "read {}, but that file cannot be read ({error}); allowed: {ALLOWED}",
                found.value.shown()
            );
            reader.problems.push(Problem::new(&found.setting, found.origin.clone(), text));
            None
        }
    }
}

const ALLOWED: &str = "the path of a file in PEM form";
