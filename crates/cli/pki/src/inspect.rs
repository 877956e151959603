//! Looking at files: fingerprints, and whether a certificate is good.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use sha1::{Digest, Sha1};
use x509_parser::certificate::X509Certificate;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::pem::Pem;
use x509_parser::time::ASN1Time;

use crate::Result;
use crate::files::{named, read};

/// The first certificate in a text.
fn certificate_in(text: &str) -> Result<Pem> {
    for pem in Pem::iter_from_buffer(text.as_bytes()) {
        let pem = pem.map_err(|_| "what is between its PEM lines cannot be read".to_owned())?;
        if pem.label.ends_with("CERTIFICATE") {
            return Ok(pem);
        }
    }
    Err("there is no certificate in it".to_owned())
}

fn parse(pem: &Pem) -> Result<X509Certificate<'_>> {
    pem.parse_x509().map_err(|_| "the certificate in it cannot be read".to_owned())
}

/// The SHA-1 of a file, or of the certificate that it holds, as the reference's tools write each.
fn fingerprint(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(named(path))?;
    let text = String::from_utf8_lossy(&bytes);
    if !text.contains("-BEGIN CERTIFICATE-") {
        return Ok(Sha1::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect());
    }
    let pem = certificate_in(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(Sha1::digest(&pem.contents).iter().map(|byte| format!("{byte:02X}")).collect())
}

/// Prints a file's name, date and fingerprint.
pub(crate) fn show_fingerprint(path: &Path) -> Result<()> {
    let fingerprint = fingerprint(path)?;
    // In the user's own time and language.
    let date = Command::new("date").arg("-r").arg(path).output();
    let date = date.map(|done| String::from_utf8_lossy(&done.stdout).into_owned()).unwrap_or_default();
    println!("{}\t{}", path.display(), date.trim_end());
    if path.display().to_string().starts_with(&fingerprint) {
        println!("\t(correct fingerprint in filename)");
    } else {
        println!("\tfingerprint {fingerprint}");
    }
    Ok(())
}

/// Has the user compare the fingerprint.
pub(crate) fn confirm() -> Result<()> {
    println!("Does fingerprint match? (yes/no)");
    let mut answer = String::new();
    // No answer is not a "yes".
    let _ = std::io::stdin().read_line(&mut answer);
    match answer.trim_end_matches('\n') {
        "yes" => Ok(()),
        _ => Err("Match failure, aborting".to_owned()),
    }
}

/// Whether a certificate was signed by an authority and is good now; if not, why.
pub(crate) fn verify(path: &Path, authority: &Path, now: SystemTime) -> Result<Option<String>> {
    let load = |path: &Path| {
        let named = |e: String| format!("{}: {e}", path.display());
        let pem = certificate_in(&read(path)?).map_err(named)?;
        parse(&pem).map(drop).map_err(named)?;
        Ok::<Pem, String>(pem)
    };
    let (pem, ca_pem) = (load(path)?, load(authority)?);
    let (certificate, ca) = (parse(&pem)?, parse(&ca_pem)?);
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = ASN1Time::from_timestamp(i64::try_from(seconds).unwrap_or(i64::MAX));
    let now = now.map_err(|_| "the time of day is beyond what certificates can say".to_owned())?;
    if certificate.issuer() != ca.subject() {
        return Ok(Some("unable to get local issuer certificate".to_owned()));
    }
    if certificate.verify_signature(Some(ca.public_key())).is_err() {
        return Ok(Some("certificate signature failure".to_owned()));
    }
    for (who, checked) in [("", &certificate), (" of the authority", &ca)] {
        let validity = checked.validity();
        if now < validity.not_before {
            return Ok(Some(format!("the certificate{who} is not yet valid")));
        }
        if now > validity.not_after {
            return Ok(Some(format!("the certificate{who} has expired")));
        }
    }
    Ok(None)
}

/// "/C=US/O=Open vSwitch/CN=…" of a certificate.
pub(crate) fn subject_of(text: &str) -> Result<String> {
    let pem = certificate_in(text)?;
    let certificate = parse(&pem)?;
    let registry = oid_registry();
    let mut out = String::new();
    for attribute in certificate.subject().iter_attributes() {
        let name = oid2abbrev(attribute.attr_type(), registry).unwrap_or("UNDEF");
        out.push_str(&format!("/{name}={}", attribute.as_str().unwrap_or_default()));
    }
    Ok(out)
}

pub(crate) fn organization_of(text: &str) -> Result<String> {
    let pem = certificate_in(text)?;
    let certificate = parse(&pem)?;
    let organization = certificate.subject().iter_organization().next().and_then(|o| o.as_str().ok());
    Ok(organization.unwrap_or_default().to_owned())
}

/// When a certificate ends, as "YYMMDDhhmmssZ".
pub(crate) fn end_of(text: &str) -> Result<String> {
    let pem = certificate_in(text)?;
    let end = parse(&pem)?.validity().not_after.to_datetime();
    let (hour, minute, second) = end.to_hms();
    Ok(format!(
        "{:02}{:02}{:02}{hour:02}{minute:02}{second:02}Z",
        end.year() % 100,
        u8::from(end.month()),
        end.day()
    ))
}
