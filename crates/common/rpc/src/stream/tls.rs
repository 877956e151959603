//! TLS by rustls: who we are, whom we believe, and the handshakes.
//!
//! As in the reference, both sides show certificates and each checks that the
//! other's was issued by the configured authority; host names are not compared.

use super::der;
use super::socket::Socket;
use super::tls_choice;
use super::tls_peer::{self, TrustedClients};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// Files that hold the keys. They are read at each connection, so that new ones take effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    pub private_key: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    /// "none" switches the check of the peer off.
    pub ca_cert: Option<PathBuf>,
    /// Sent after our own certificate, for peers that have to learn the authority.
    pub peer_ca_cert: Option<PathBuf>,
    /// When the CA's file does not exist: believe the first peer, and write its authority there.
    pub bootstrap_ca_cert: bool,
    /// Versions, ciphers of TLS 1.2 and ciphers of TLS 1.3, in OpenSSL's words.
    pub protocols: Option<String>,
    pub ciphers: Option<String>,
    pub ciphersuites: Option<String>,
    /// The name that servers are asked for, rather than that of the host.
    pub server_name: Option<String>,
}

fn refused(what: &str) -> io::Error {
    log::error!(target: "stream_ssl", "{what}");
    io::Error::from_raw_os_error(libc::ENOPROTOOPT)
}

/// Why no `what` could be read from a file.
fn unreadable(path: &Path, what: &str, error: PemError) -> io::Error {
    let why = match error {
        PemError::Io(error) => crate::error_text(&error),
        PemError::NoItemsFound => format!("there is no {what} in it"),
        PemError::MissingSectionEnd { end_marker } => {
            format!("{} is missing", String::from_utf8_lossy(end_marker.trim_ascii()))
        }
        PemError::IllegalSectionStart { line } => {
            format!("not PEM: {}", String::from_utf8_lossy(line.trim_ascii()))
        }
        PemError::Base64Decode(_) => "not PEM: what is between its marks is no base64".to_owned(),
        _ => format!("no {what} that could be read"),
    };
    refused(&format!("{}: {why}", path.display()))
}

impl Tls {
    fn identity(&self) -> io::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let key = self.private_key.as_ref();
        let key = key.ok_or_else(|| refused("Private key must be configured to use SSL"))?;
        let certificate = self.certificate.as_ref();
        let certificate = certificate.ok_or_else(|| refused("Certificate must be configured to use SSL"))?;
        if self.ca_cert.is_none() {
            return Err(refused("CA certificate must be configured to use SSL"));
        }
        let private = PrivateKeyDer::from_pem_file(key).map_err(|e| unreadable(key, "private key", e))?;
        let chain = certificates(certificate)?;
        match chain.first() {
            None => {
                return Err(refused(&format!("{}: there is no certificate in it", certificate.display())));
            }
            Some(own) => {
                if let Some(why) = tls_peer::refusal_of_own(own) {
                    return Err(refused(&format!("{}: {why}", certificate.display())));
                }
            }
        }
        Ok((chain, private))
    }

    /// The certificates of the authority's file.
    fn trusted(&self) -> io::Result<Vec<CertificateDer<'static>>> {
        match self.ca_cert.as_ref().filter(|path| *path != Path::new("none") && path.exists()) {
            Some(path) => certificates(path),
            None => Ok(Vec::new()),
        }
    }

    /// Why a key and a certificate cannot be used.
    fn unusable(&self, error: &rustls::Error) -> io::Error {
        let key = self.private_key.as_deref().unwrap_or(Path::new("")).display();
        let certificate = self.certificate.as_deref().unwrap_or(Path::new("")).display();
        refused(&match error {
            rustls::Error::InconsistentKeys(_) => {
                format!("Private key does not match certificate public key: {key} and {certificate}")
            }
            rustls::Error::InvalidCertificate(_) => format!("{certificate}: {}", tls_peer::explain(error)),
            _ => format!("{key}: the private key cannot be used: {error}"),
        })
    }

    fn provider(&self) -> Arc<CryptoProvider> {
        tls_choice::provider(self.ciphers.as_deref(), self.ciphersuites.as_deref())
    }

    fn roots(&self) -> io::Result<Option<Arc<RootCertStore>>> {
        let Some(path) = self.ca_cert.as_ref().filter(|path| *path != Path::new("none")) else {
            return Ok(None);
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|e| refused(&format!("{}: {e}", path.display())))?;
        }
        Ok(Some(Arc::new(roots)))
    }

    pub(super) fn client_config(&self) -> io::Result<Arc<ClientConfig>> {
        let (chain, key) = self.identity()?;
        let bootstrap = match &self.ca_cert {
            Some(path) if self.bootstrap_ca_cert && !path.exists() => Some(path.clone()),
            _ => None,
        };
        let chain_verifier = if bootstrap.is_some() { None } else { self.roots()? };
        let chain_verifier = match chain_verifier {
            Some(roots) => {
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, self.provider());
                Some(verifier.build().map_err(io::Error::other)?)
            }
            None => None,
        };
        let trusted = self.trusted()?;
        let verifier = Arc::new(IssuedByAuthority { chain_verifier, trusted, bootstrap });
        let config = ClientConfig::builder_with_provider(self.provider())
            .with_protocol_versions(&tls_choice::versions(self.protocols.as_deref()))
            .map_err(|e| refused(&format!("no TLS version is left: {e}")))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_auth_cert(chain, key)
            .map_err(|e| self.unusable(&e))?;
        Ok(Arc::new(config))
    }

    pub(super) fn server_config(&self) -> io::Result<Arc<ServerConfig>> {
        let (mut chain, key) = self.identity()?;
        // A client that still has to learn the authority takes it from the end of the chain.
        if let Some(path) = self.ca_cert.as_ref().filter(|path| *path != Path::new("none")) {
            let issuer = chain
                .last()
                .and_then(der::names)
                .map(|(issuer, subject)| (issuer.to_vec(), issuer == subject));
            let is_issuer = |ca: &CertificateDer<'_>| match (&issuer, der::names(ca)) {
                (Some((issuer, false)), Some((_, subject))) => issuer == subject,
                _ => false,
            };
            chain.extend(certificates(path)?.into_iter().filter(is_issuer));
        }
        if let Some(path) = &self.peer_ca_cert {
            chain.extend(certificates(path)?);
        }
        let provider = self.provider();
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&tls_choice::versions(self.protocols.as_deref()))
            .map_err(|e| refused(&format!("no TLS version is left: {e}")))?;
        let builder = match self.roots()? {
            Some(roots) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let by_chain = verifier.build().map_err(io::Error::other)?;
                let trusted = self.trusted()?;
                builder.with_client_cert_verifier(Arc::new(TrustedClients { by_chain, trusted }))
            }
            None => builder.with_no_client_auth(),
        };
        let config = builder.with_single_cert(chain, key).map_err(|e| self.unusable(&e))?;
        Ok(Arc::new(config))
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(|e| unreadable(path, "certificate", e))?;
    certificates.collect::<Result<Vec<_>, _>>().map_err(|e| unreadable(path, "certificate", e))
}

pub(super) async fn connect(
    config: Arc<ClientConfig>,
    host: &str,
    tcp: Socket,
) -> io::Result<client::TlsStream<Socket>> {
    let name = ServerName::try_from(host.to_owned()).map_err(|e| io::Error::other(e.to_string()))?;
    TlsConnector::from(config).connect(name, tcp).await.map_err(handshake_failed)
}

pub(super) async fn accept(config: Arc<ServerConfig>, tcp: Socket) -> io::Result<server::TlsStream<Socket>> {
    let stream = TlsAcceptor::from(config).accept(tcp).await.map_err(handshake_failed)?;
    if let Some(name) = stream.get_ref().1.server_name() {
        log::debug!(target: "stream_ssl", "connection indicated server name {name}");
    }
    Ok(stream)
}

fn handshake_failed(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() {
        return error;
    }
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::AlertReceived(alert)) = inner {
        log::warn!(target: base::bounded!("stream_ssl"), "TLS handshake: received alert {}", spaced(&format!("{alert:?}")));
    } else {
        let why = inner.map_or_else(|| error.to_string(), tls_peer::explain);
        log::warn!(target: base::bounded!("stream_ssl"), "TLS handshake: {why}");
    }
    io::Error::from_raw_os_error(libc::EPROTO)
}

/// "HandshakeFailure" as "handshake failure", which is what people look for.
fn spaced(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.extend(c.to_lowercase());
    }
    text
}

/// The common name of the peer's certificate, which access control goes by.
pub(super) fn peer_common_name(stream: &server::TlsStream<Socket>) -> Option<String> {
    let certificate = stream.get_ref().1.peer_certificates()?.first()?;
    // The last attribute of type 2.5.4.3 is the subject's: the issuer's comes before it in X.509.
    let oid = [0x06, 0x03, 0x55, 0x04, 0x03];
    let at = certificate.windows(oid.len()).rposition(|w| w == oid)? + oid.len();
    let length = usize::from(*certificate.get(at + 1)?);
    let text = certificate.get(at + 2..at + 2 + length)?;
    String::from_utf8(text.to_vec()).ok()
}

/// Believes a server whose certificate the authority issued, whatever its name.
#[derive(Debug)]
struct IssuedByAuthority {
    /// `None` believes everybody.
    chain_verifier: Option<Arc<WebPkiServerVerifier>>,
    /// The authority's certificates, which may be the server's own.
    trusted: Vec<CertificateDer<'static>>,
    /// Where the authority of the first peer is written.
    bootstrap: Option<PathBuf>,
}

impl IssuedByAuthority {
    fn write_authority(&self, path: &Path, root: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        let fail = |what: String| {
            log::error!(target: "stream_ssl", "could not bootstrap CA cert: {what}");
            rustls::Error::General(what)
        };
        if der::names(root).is_none_or(|(issuer, subject)| issuer != subject) {
            return Err(fail("obtained certificate is not self-signed".to_owned()));
        }
        std::fs::write(path, pem(root))
            .map_err(|e| fail(format!("creating {} failed: {}", path.display(), crate::error_text(&e))))?;
        log::info!(target: "stream_ssl", "successfully bootstrapped CA cert to {}", path.display());
        log::info!(target: "stream_ssl", "killing successful connection to retry using CA cert");
        Err(rustls::Error::General("retrying with the new CA certificate".to_owned()))
    }
}

impl ServerCertVerifier for IssuedByAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(path) = &self.bootstrap {
            self.write_authority(path, intermediates.last().unwrap_or(end_entity))?;
        }
        let Some(verifier) = &self.chain_verifier else {
            return Ok(ServerCertVerified::assertion());
        };
        match verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            Err(error) if tls_peer::is_trusted_itself(&error, end_entity, &self.trusted) => {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The PEM text of a certificate (RFC 7468).
fn pem(certificate: &CertificateDer<'_>) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut base64 = String::new();
    for group in certificate.chunks(3) {
        let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * i) & 63) as usize).copied().unwrap_or(b'=');
            base64.push(if i <= group.len() { digit as char } else { '=' });
        }
    }
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in base64.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}
