//! As much of certificates in DER as their names need.

use rustls::pki_types::CertificateDer;

/// The first element of DER: its contents, its whole, and what follows.
pub(super) fn element(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (length, header) = match *bytes.get(1)? {
        short @ 0..0x80 => (usize::from(short), 2),
        long => {
            let n = usize::from(long & 0x7f);
            let digits = bytes.get(2..2 + n).filter(|_| n <= 4)?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), 2 + n)
        }
    };
    let whole = bytes.get(..header + length)?;
    Some((whole.get(header..)?, whole, bytes.get(header + length..)?))
}

/// The issuer and the subject of a certificate (RFC 5280 §4.1), as DER.
pub(super) fn names<'c>(certificate: &'c CertificateDer<'_>) -> Option<(&'c [u8], &'c [u8])> {
    let (certificate, ..) = element(certificate)?;
    let (mut rest, ..) = element(certificate)?;
    if rest.first() == Some(&0xa0) {
        rest = element(rest)?.2;
    }
    let after_serial = element(rest)?.2;
    let after_algorithm = element(after_serial)?.2;
    let (_, issuer, rest) = element(after_algorithm)?;
    let after_validity = element(rest)?.2;
    let (_, subject, _) = element(after_validity)?;
    Some((issuer, subject))
}
