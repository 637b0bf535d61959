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
use crate::http::connection_state::ConnectionState;
use crate::metrics::{Metrics, Refusal};
use crate::readiness::Readiness;
use dynowarden_core::health::facts::CertificateState;
use dynowarden_core::limits;

/// Ends TLS for every connection; cheap to clone.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    shown: Arc<Shown>,
}

/// The certificate that the next handshake shows.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

/// Follows the files of the certificate.
#[derive(Debug)]
pub struct Follower {
    clock: Clock,
    hangups: Signal,
    identity: Identity,
    /// What was read last and found to be good or not.
    judged: Option<Texts>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    settings: TlsSettings,
    /// Why the files cannot be shown, if they cannot.
    trouble: Option<String>,
    /// What is new and may be half of it.
    unsettled: Option<Texts>,
    warned_at: Option<Timestamp>,
}

/// The texts of the certificate and of the key.
#[derive(Clone, PartialEq, Eq)]
struct Texts(String, String);

// === impl Tls ===

impl Tls {
    /// Serves this certificate: TLS 1.2 and 1.3, HTTP/1.1 by ALPN, without client certificates.
    pub fn new(identity: &Identity) -> Self {
        let shown = Arc::new(Shown(RwLock::new(identity.certified.clone())));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_no_client_auth()
            .with_cert_resolver(shown.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), shown }
    }

    /// A task that keeps what is shown up with the files.
    ///
    /// # Errors
    /// SIGHUP cannot be listened for.
    pub fn follower(
        &self,
        settings: &TlsSettings,
        clock: Clock,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
    ) -> io::Result<Follower> {
        Ok(Follower {
            clock,
            hangups: signal(SignalKind::hangup())?,
            identity: settings.identity.clone(),
            judged: None,
            metrics,
            readiness,
            settings: settings.clone(),
            trouble: None,
            unsettled: None,
            warned_at: None,
        })
    }

    /// Shakes hands on a new connection; none if that fails, takes too long, or room is needed.
    pub(super) async fn shake_hands(
        &self,
        stream: TcpStream,
        pulse: &ConnectionState,
        metrics: &Metrics,
        shutdown: &CancellationToken,
    ) -> Option<TlsStream<TcpStream>> {
        let refusal = tokio::select! {
            biased;
            () = shutdown.cancelled() => return None,
            () = pulse.evicted() => Refusal::Evicted,
            shaken = tokio::time::timeout(limits::HANDSHAKE, self.acceptor.accept(stream)) => match shaken {
                Ok(Ok(stream)) => {
                    pulse.begin_head();
                    return Some(stream);
                }
                Ok(Err(error)) => {
                    debug!(%error, "no handshake");
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

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // It is whole at any time, so a panic elsewhere spoils nothing.
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Shown {
    fn replace(&self, certified: Arc<CertifiedKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
    }
}

// === impl Follower ===

impl Follower {
    /// Follows the files until `shutdown`.
    pub async fn run(mut self, tls: Tls, shutdown: CancellationToken) {
        self.metrics.certificate_ends(self.identity.not_after);
        loop {
            self.watch_end();
            let is_told = tokio::select! {
                () = shutdown.cancelled() => return,
                Some(()) = self.hangups.recv() => true,
                () = tokio::time::sleep(limits::TLS_LOOK_EVERY) => false,
            };
            self.look(&tls, is_told).await;
        }
    }

    /// Takes over what is new in the files, if it is all there.
    async fn look(&mut self, tls: &Tls, is_told: bool) {
        let texts = match self.read().await {
            Ok(texts) => texts,
            Err(error) => {
                self.judged = None;
                return self.trouble_with(&format!("its files cannot be read: {error}"));
            }
        };
        // The first check cannot know whether the files have changed since the start, so it loads them.
        let is_known = self.judged.as_ref() == Some(&texts);
        if is_known && !is_told {
            self.unsettled = None;
            return;
        }
        if !is_told && self.unsettled.as_ref() != Some(&texts) {
            self.unsettled = Some(texts);
            return;
        }
        self.unsettled = None;
        match certificate::read(&texts.0, &texts.1) {
            Ok(identity) => self.take(tls, identity),
            Err(error) => self.trouble_with(&error.to_string()),
        }
        self.judged = Some(texts);
    }

    fn take(&mut self, tls: &Tls, identity: Identity) {
        let is_new = identity.certified.cert != self.identity.certified.cert;
        tls.shown.replace(identity.certified.clone());
        self.metrics.certificate_ends(identity.not_after);
        if is_new {
            self.metrics.certificate_read("replaced");
            info!(not_after = %identity.not_after, "the certificate was replaced");
            self.warned_at = None;
        }
        self.identity = identity;
        self.trouble = None;
    }

    /// Says once of each trouble that the files have it.
    fn trouble_with(&mut self, what: &str) {
        if self.trouble.as_deref() != Some(what) {
            warn!(
                cert = %self.settings.cert.display(),
                key = %self.settings.key.display(),
                not_after = %self.identity.not_after,
                "the new certificate cannot be shown, and the old one still is: {what}"
            );
            self.metrics.certificate_read("failed");
            self.trouble = Some(what.to_owned());
        }
    }

    /// Says, once a day, when the certificate that is shown is not good for much longer.
    fn watch_end(&mut self) {
        let now = self.clock.now().wall;
        let end = self.identity.not_after;
        let said = match self.identity.state(now) {
            CertificateState::Good => None,
            CertificateState::ExpiresSoon => Some(format!("it expires soon, at {end}")),
            CertificateState::Expired => Some(format!("it expired at {end}")),
            CertificateState::NotYet => Some(format!("it is good from {} on", self.identity.not_before)),
        };
        match &said {
            None => self.warned_at = None,
            Some(said) => {
                let is_due =
                    |at: Timestamp| dynowarden_core::time::since(at, now) >= limits::TLS_END_TOLD_EVERY;
                if self.warned_at.is_none_or(is_due) {
                    warn!(cert = %self.settings.cert.display(), "the certificate must be renewed: {said}");
                    self.warned_at = Some(now);
                }
            }
        }
        let trouble = self.trouble.as_ref().map(|what| format!("the new one cannot be shown: {what}"));
        let all: Vec<String> = said.into_iter().chain(trouble).collect();
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

/// Reads a text, but never more than a settings file may have.
async fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path).await?;
    file.take(limits::SETTINGS_FILE_BYTES_MAX + 1).read_to_string(&mut text).await?;
    if text.len() as u64 > limits::SETTINGS_FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}
