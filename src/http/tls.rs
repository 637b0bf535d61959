//! Built-in TLS: handshakes, the certificate, and the task that reloads its files.
//!
//! A renewal writes two files, one after the other. So a changed certificate is loaded when two checks in a
//! row read the same files, or at once on SIGHUP. A certificate that cannot be used is logged, and the old
//! one stays in use. Open connections are not affected.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::certificate::{self, Identity};
use crate::clock::Clock;
use crate::config::settings::TlsSettings;
use crate::http::connection_state::{ConnectionState, Phase};
use crate::http::refusal::Refusal;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use dynowarden_core::health::facts::CertificateState;
use dynowarden_core::limits;

/// Terminates TLS for every connection; cheap to clone.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    current: Arc<CurrentCertificate>,
}

/// The certificate for the next handshakes.
#[derive(Debug)]
struct CurrentCertificate(RwLock<Arc<CertifiedKey>>);

/// Reloads the certificate when its files change.
#[derive(Debug)]
pub struct CertificateReloader {
    clock: Clock,
    hangups: Signal,
    identity: Identity,
    /// The last files that were loaded or rejected.
    checked: Option<Texts>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    settings: TlsSettings,
    /// Why the files cannot be used.
    trouble: Option<String>,
    /// New files that may be incomplete.
    unsettled: Option<Texts>,
    warned_at: Option<Timestamp>,
}

/// The texts of the certificate and of the key.
#[derive(Clone, PartialEq, Eq)]
struct Texts(String, String);

// === impl Tls ===

impl Tls {
    /// Serves TLS 1.2 and 1.3 with HTTP/1.1 by ALPN, without client certificates.
    pub fn new(identity: &Identity) -> Self {
        let current = Arc::new(CurrentCertificate(RwLock::new(identity.certified.clone())));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), current }
    }

    /// Returns the task that reloads the certificate.
    ///
    /// # Errors
    /// SIGHUP cannot be received.
    pub fn reloader(
        &self,
        settings: &TlsSettings,
        clock: Clock,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
    ) -> io::Result<CertificateReloader> {
        Ok(CertificateReloader {
            clock,
            hangups: signal(SignalKind::hangup())?,
            identity: settings.identity.clone(),
            checked: None,
            metrics,
            readiness,
            settings: settings.clone(),
            trouble: None,
            unsettled: None,
            warned_at: None,
        })
    }

    /// Does the handshake of a new connection; `None` if it fails, is too slow, or is evicted.
    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
        state: &ConnectionState,
        metrics: &Metrics,
        shutdown: &CancellationToken,
    ) -> Option<TlsStream<TcpStream>> {
        let refusal = tokio::select! {
            biased;
            () = shutdown.cancelled() => return None,
            () = state.evicted.cancelled() => Refusal::Evicted,
            ended = tokio::time::timeout(limits::HANDSHAKE, self.acceptor.accept(stream)) => match ended {
                Ok(Ok(stream)) => {
                    state.read_clock();
                    state.enter(Phase::Head);
                    return Some(stream);
                }
                Ok(Err(error)) => {
                    debug!(%error, "handshake failed");
                    Refusal::HandshakeFailed
                }
                Err(_too_long) => Refusal::HandshakeSlow,
            },
        };
        metrics.refused(refusal);
        None
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A replacement is atomic, so a poisoned lock still holds a whole certificate.
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl CurrentCertificate {
    fn replace(&self, certified: Arc<CertifiedKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
    }
}

// === impl CertificateReloader ===

impl CertificateReloader {
    /// Checks the files until `shutdown`.
    pub async fn run(mut self, tls: Tls, shutdown: CancellationToken) {
        self.metrics.certificate_ends(self.identity.not_after);
        loop {
            self.warn_of_expiry();
            let is_hangup = tokio::select! {
                () = shutdown.cancelled() => return,
                Some(()) = self.hangups.recv() => true,
                () = tokio::time::sleep(limits::TLS_LOOK_EVERY) => false,
            };
            self.check_files(&tls, is_hangup).await;
        }
    }

    /// Loads new files once they are complete, or at once after SIGHUP.
    async fn check_files(&mut self, tls: &Tls, is_hangup: bool) {
        let texts = match self.read().await {
            Ok(texts) => texts,
            Err(error) => {
                self.checked = None;
                return self.reject(&format!("its files cannot be read: {error}"));
            }
        };
        // The first check does not know whether the files have changed since startup, so it loads them.
        let is_known = self.checked.as_ref() == Some(&texts);
        if is_known && !is_hangup {
            self.unsettled = None;
            return;
        }
        if !is_hangup && self.unsettled.as_ref() != Some(&texts) {
            self.unsettled = Some(texts);
            return;
        }
        self.unsettled = None;
        match certificate::read(&texts.0, &texts.1) {
            Ok(identity) => self.replace(tls, identity),
            Err(error) => self.reject(&error.to_string()),
        }
        self.checked = Some(texts);
    }

    fn replace(&mut self, tls: &Tls, identity: Identity) {
        let is_new = identity.certified.cert != self.identity.certified.cert;
        tls.current.replace(identity.certified.clone());
        self.metrics.certificate_ends(identity.not_after);
        if is_new {
            self.metrics.certificate_read("replaced");
            info!(not_after = %identity.not_after, "certificate reloaded");
            self.warned_at = None;
        }
        self.identity = identity;
        self.trouble = None;
    }

    /// Logs each new cause once.
    fn reject(&mut self, cause: &str) {
        if self.trouble.as_deref() != Some(cause) {
            warn!(
                cert = %self.settings.cert.display(),
                key = %self.settings.key.display(),
                not_after = %self.identity.not_after,
                cause,
                "new certificate rejected; the old one stays in use"
            );
            self.metrics.certificate_read("failed");
            self.trouble = Some(cause.to_owned());
        }
    }

    /// Warns once a day of a certificate that is or soon will be invalid.
    fn warn_of_expiry(&mut self) {
        let now = self.clock.now().wall;
        let end = self.identity.not_after;
        let cause = match self.identity.state(now) {
            CertificateState::Good => None,
            CertificateState::ExpiresSoon => Some(format!("it expires soon, at {end}")),
            CertificateState::Expired => Some(format!("it expired at {end}")),
            CertificateState::NotYet => Some(format!("it is not valid before {}", self.identity.not_before)),
        };
        match &cause {
            None => self.warned_at = None,
            Some(cause) => {
                let is_due =
                    |at: Timestamp| dynowarden_core::time::since(at, now) >= limits::TLS_END_REPORT_EVERY;
                if self.warned_at.is_none_or(is_due) {
                    warn!(cert = %self.settings.cert.display(), cause, "certificate must be renewed");
                    self.warned_at = Some(now);
                }
            }
        }
        let trouble = self.trouble.as_ref().map(|cause| format!("the new one cannot be used: {cause}"));
        let all: Vec<String> = cause.into_iter().chain(trouble).collect();
        self.readiness.warn("certificate", (!all.is_empty()).then(|| all.join(", ")));
    }

    async fn read(&self) -> io::Result<Texts> {
        Ok(Texts(read_file(&self.settings.cert).await?, read_file(&self.settings.key).await?))
    }
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Texts(…)")
    }
}

/// Reads a file up to the limit of a settings file.
async fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path).await?;
    file.take(limits::SETTINGS_FILE_BYTES_MAX + 1).read_to_string(&mut text).await?;
    if text.len() as u64 > limits::SETTINGS_FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}
