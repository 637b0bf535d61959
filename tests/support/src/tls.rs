//! A TLS client, and the certificates that it trusts.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::daemon::PATIENCE;

/// A self-signed certificate for `localhost`, and its key.
pub struct Made {
    pub certificate: String,
    pub key: String,
}

pub struct Peer(StreamOwned<ClientConnection, TcpStream>);

impl Made {
    #[expect(clippy::new_without_default, reason = "each call makes another certificate")]
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }
}

impl Peer {
    /// Connects to a server with one of these certificates, and to no other.
    pub fn connect(
        address: &str,
        trusted: &[&Made],
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for made in trusted {
            let der = CertificateDer::from_pem_slice(made.certificate.as_bytes()).expect("a certificate");
            roots.add(der).expect("a certificate");
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut peer = Self(StreamOwned::new(connection, socket));
        while peer.0.conn.is_handshaking() {
            peer.0.conn.complete_io(&mut peer.0.sock)?;
        }
        Ok(peer)
    }

    /// The same with a current client's versions and suites.
    pub fn modern(address: &str, trusted: &[&Made]) -> io::Result<Self> {
        Self::connect(address, trusted, rustls::ALL_VERSIONS, &["http/1.1"])
    }

    /// The protocol negotiated by ALPN.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.0.conn.alpn_protocol()
    }

    /// Sends a request, and reads its response, including a body with a length.
    pub fn ask(&mut self, request: &str) -> io::Result<String> {
        self.0.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&answer).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let head = head.to_lowercase();
                let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                if body.len() >= length.map_or(0, |length| length.parse().expect("a number")) {
                    return Ok(text);
                }
            }
            let mut piece = [0; 4096];
            match self.0.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => answer.extend_from_slice(&piece[..count]),
            }
        }
    }
}
