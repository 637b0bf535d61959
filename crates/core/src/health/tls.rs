//! The certificate that the daemon itself serves, if `[tls]` is set.

use crate::health::facts::{CertificateState, Identity, TlsFact};
use crate::health::finding::{Finding, Subject};

pub(super) fn check(tls: Option<&TlsFact>, identity: &Identity) -> Vec<Finding> {
    let Some(TlsFact { is_for_host, not_after, state }) = tls else { return Vec::new() };
    let mut findings = Vec::new();
    let warning = |text: String, fix| Finding::warning(Subject::Tls, text, fix);
    let error = |text: String, fix| Finding::error(Subject::Tls, text, fix);
    let renew = "renew it: dynowarden reloads the files of tls.cert and tls.key automatically";
    findings.extend(match state {
        CertificateState::Good => None,
        CertificateState::ExpiresSoon => {
            Some(warning(format!("the certificate expires soon, at {not_after}"), renew))
        }
        CertificateState::Expired => Some(error(format!("the certificate expired at {not_after}"), renew)),
        CertificateState::NotYet => {
            Some(error("the certificate is not valid yet".to_owned(), "set this machine's clock, or wait"))
        }
    });
    if let Some(public_url) = identity.public_url.as_ref() {
        if *is_for_host == Some(false) {
            let text = format!("the certificate is not valid for {}", public_url.host());
            findings.push(warning(text, "set tls.cert to another file"));
        }
        if !public_url.is_https() {
            let text = "the HTTP server uses TLS, but public_url begins with http";
            findings.push(error(text.to_owned(), "change public_url to https"));
        }
    }
    if identity.is_on_dyno {
        let text = "Heroku's router sends plain HTTP to dynos, which a server with TLS rejects";
        findings.push(error(text.to_owned(), "remove [tls] from the settings"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(Subject::Tls, format!("the certificate is valid until {not_after}")));
    }
    findings
}
