//! Which certificates of peers are believed beyond what the TLS library believes by itself, and its refusals in words.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::sync::Arc;

/// How to make a certificate that is taken.
const REMEDY: &str = "make one of version 3, by 'ovs-pki req+sign NAME', or by 'openssl x509 -req' with \
                      '-extfile FILE' where FILE has the line 'basicConstraints=CA:FALSE'";

/// Whether a refused certificate is itself one of those that are trusted: each side of a pair may have a certificate that
/// it made for itself, and know the other's. Such a one usually calls itself an authority, which the library takes for no
/// peer's. By then it has found its dates good, and who has the key is proved by the handshake's signature.
pub(super) fn is_trusted_itself(
    error: &Error,
    leaf: &CertificateDer<'_>,
    trusted: &[CertificateDer<'static>],
) -> bool {
    other(error).as_deref() == Some("CaUsedAsEndEntity")
        && trusted.iter().any(|known| known.as_ref() == leaf.as_ref())
}

/// What the library says beyond its own list of errors.
fn other(error: &Error) -> Option<String> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => Some(other.0.to_string()),
        _ => None,
    }
}

/// Why a handshake failed, for people who look after certificates.
pub(super) fn explain(error: &Error) -> String {
    let what = match error {
        Error::NoCertificatesPresented => "the peer shows no certificate",
        Error::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer => "the configured CA certificate did not issue it",
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "it is not valid yet"
            }
            CertificateError::BadSignature => "its signature is wrong",
            CertificateError::BadEncoding => "it cannot be read",
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "its extended key usage does not allow this"
            }
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                "it was signed by an algorithm that is not supported, such as SHA-1"
            }
            _ => match other(error).as_deref() {
                Some("UnsupportedCertVersion") => {
                    return format!(
                        "certificate verify failed: it is of X.509 version 1, which is not supported: {REMEDY}"
                    );
                }
                Some("CaUsedAsEndEntity") => {
                    "it is that of an authority (CA:TRUE), as 'openssl req -x509' makes them, and not in the configured CA \
                     certificate's file itself"
                }
                Some("EndEntityUsedAsCa") => {
                    "it was issued by a certificate that is not an authority's (CA:FALSE)"
                }
                _ => "it is not acceptable",
            },
        },
        other => return other.to_string(),
    };
    format!("certificate verify failed: {what}")
}

/// The refusal of a certificate of our own that the library cannot use, if it is one.
pub(super) fn refusal_of_own(certificate: &CertificateDer<'_>) -> Option<String> {
    is_version_1(certificate)
        .then(|| format!("the certificate is of X.509 version 1, which is not supported: {REMEDY}"))
}

/// Version 1 is the default, and what is the default is not written (RFC 5280 §4.1).
fn is_version_1(certificate: &CertificateDer<'_>) -> bool {
    let inner = super::der::element(certificate).and_then(|(outer, ..)| super::der::element(outer));
    inner.is_some_and(|(fields, ..)| fields.first() != Some(&0xa0))
}

/// Believes clients that the authority vouches for, or whose own certificate is among those that are trusted.
#[derive(Debug)]
pub(super) struct TrustedClients {
    pub(super) by_chain: Arc<dyn ClientCertVerifier>,
    pub(super) trusted: Vec<CertificateDer<'static>>,
}

impl ClientCertVerifier for TrustedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.by_chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.by_chain.verify_client_cert(end_entity, intermediates, now) {
            Err(error) if is_trusted_itself(&error, end_entity, &self.trusted) => {
                Ok(ClientCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_chain.supported_verify_schemes()
    }
}
