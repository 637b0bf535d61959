//! `dynowarden healthcheck`: asks the daemon on this machine whether it is alive, for images without a shell.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::settings::Settings;
use dynowarden_core::limits;

/// Asks `/healthz` of the daemon with these settings.
///
/// # Errors
/// It does not answer, or not with 200.
pub fn run(settings: &Settings) -> anyhow::Result<()> {
    let address = SocketAddr::new(reachable(settings.listen), settings.port);
    if settings.port == 0 {
        bail!("port 0 picks a free port, so the daemon's port is not known; set PORT");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = async { tokio::time::timeout(limits::HEALTHCHECK_TIMEOUT, ask(settings, address)).await };
    let status = runtime
        .block_on(asked)
        .with_context(|| format!("no answer from {address} within {:?}", limits::HEALTHCHECK_TIMEOUT))?
        .with_context(|| format!("no answer from {address}"))?;
    if status != "200" {
        bail!("{address} answered {status}");
    }
    Ok(())
}

/// The address at which this machine reaches a listener on `listen`.
fn reachable(listen: IpAddr) -> IpAddr {
    match listen {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

async fn ask(settings: &Settings, address: SocketAddr) -> anyhow::Result<String> {
    let stream = TcpStream::connect(address).await?;
    if settings.tls.is_none() {
        return status(stream).await;
    }
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let name = ServerName::from(address.ip());
    status(TlsConnector::from(Arc::new(config)).connect(name, stream).await?).await
}

/// Sends the request; returns the status of the answer.
async fn status(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> anyhow::Result<String> {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut head = Vec::new();
    stream.take(STATUS_LINE_BYTES).read_to_end(&mut head).await?;
    let head = String::from_utf8_lossy(&head);
    let mut words = head.split_ascii_whitespace();
    match (words.next(), words.next()) {
        (Some(version), Some(status)) if version.starts_with("HTTP/") => Ok(status.to_owned()),
        _ => bail!("it is not an HTTP server"),
    }
}

/// `HTTP/1.1 200`, and some more.
const STATUS_LINE_BYTES: u64 = 64;

/// Accepts any certificate: the daemon's is for its public name, and nothing secret is sent or believed.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
