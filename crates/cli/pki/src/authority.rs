//! The two certificate authorities, one for switches and one for controllers,
//! in the layout that `openssl ca` keeps: `cacert.pem`, `private/cakey.pem`,
//! `serial`, `index.txt`, and every certificate in `newcerts/`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SerialNumber,
};

use crate::files::{make_dir, must_exist, named, read, read_key, read_request, write, write_private};
use crate::options::{Kind, Options};
use crate::{Result, file, inspect};

/// How long certificates are good for.
pub(crate) const LIFE: Duration = Duration::from_secs(3650 * 86_400);

/// What `openssl ca` needs to know to go on with such a directory.
const SETTINGS: &str = "\
[ ca ]
default_ca = authority

[ authority ]
dir = .
database = $dir/index.txt
new_certs_dir = $dir/newcerts
certificate = $dir/cacert.pem
serial = $dir/serial
private_key = $dir/private/cakey.pem
default_days = 3650
default_crl_days = 30
default_md = sha512
policy = policy
copy_extensions = copy
unique_subject = no

[ policy ]
countryName = optional
stateOrProvinceName = optional
organizationName = match
organizationalUnitName = optional
commonName = supplied
emailAddress = optional

[ ca_cert ]
basicConstraints = CA:true

[ usr_cert ]
basicConstraints = CA:false
";

/// The name that all subjects here begin with.
pub(crate) fn subject(unit: &str, name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    for (kind, value) in [
        (DnType::CountryName, "US"),
        (DnType::StateOrProvinceName, "CA"),
        (DnType::LocalityName, "Palo Alto"),
        (DnType::OrganizationName, "Open vSwitch"),
        (DnType::OrganizationalUnitName, unit),
        (DnType::CommonName, name),
    ] {
        subject.push(kind, value);
    }
    subject
}

pub(crate) fn certificate(options: &Options, kind: Kind) -> PathBuf {
    options.dir.join(kind.directory()).join("cacert.pem")
}

/// "init": makes both authorities.
pub(crate) fn init(options: &Options, now: SystemTime) -> Result<()> {
    if options.dir.exists() && !options.force {
        return Err(format!("{} already exists and --force not specified", options.dir.display()));
    }
    for kind in [Kind::Controller, Kind::Switch] {
        let name = kind.directory();
        eprintln!("Creating {name}...");
        make(&options.dir.join(name), name, now)?;
    }
    Ok(())
}

fn make(dir: &Path, name: &str, now: SystemTime) -> Result<()> {
    for sub in ["certs", "crl", "newcerts"] {
        make_dir(&dir.join(sub), 0o755)?;
    }
    make_dir(&dir.join("private"), 0o700)?;
    for (file, text) in [("index.txt", ""), ("crlnumber", "01\n"), ("ca.cnf", SETTINGS)] {
        if !dir.join(file).exists() {
            write(&dir.join(file), text)?;
        }
    }
    let failed = |e: rcgen::Error| format!("{name}: {e}");
    let key = KeyPair::generate().map_err(failed)?;
    let serial = first_serial();
    let mut params = CertificateParams::default();
    // The serial number is by chance, so two authorities never have the same name.
    params.distinguished_name = subject(name, &format!("OVS {name} CA Certificate ({serial:016X})"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let request = params.serialize_request(&key).and_then(|request| request.pem()).map_err(failed)?;
    params.serial_number = Some(SerialNumber::from(serial));
    params.not_before = now.into();
    params.not_after = (now + LIFE).into();
    let certificate = params.self_signed(&key).map_err(failed)?;
    write_private(&dir.join("private/cakey.pem"), &key.serialize_pem())?;
    write(&dir.join("careq.pem"), &request)?;
    write(&dir.join("cacert.pem"), &certificate.pem())?;
    record(dir, &format!("{serial:016X}"), &certificate.pem())?;
    write(&dir.join("serial"), &format!("{:016X}\n", serial + 1))
}

/// A serial number to count from, positive and with room above.
fn first_serial() -> u64 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    high >> 2 | 1 << 60
}

/// One more than a serial number of any length.
fn next_serial(text: &str) -> Option<(Vec<u8>, String)> {
    let digits = text.trim();
    let even = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits.to_owned() };
    let bytes: Option<Vec<u8>> =
        (0..even.len()).step_by(2).map(|at| u8::from_str_radix(even.get(at..at + 2)?, 16).ok()).collect();
    let bytes = bytes.filter(|bytes| !bytes.is_empty())?;
    let mut next = bytes.clone();
    for byte in next.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
    if next.iter().all(|&byte| byte == 0) {
        next.insert(0, 1);
    }
    Some((bytes, next.iter().map(|byte| format!("{byte:02X}")).collect()))
}

/// Keeps a certificate, and a line about it.
fn record(dir: &Path, serial: &str, pem: &str) -> Result<()> {
    write(&dir.join("newcerts").join(format!("{serial}.pem")), pem)?;
    let index = dir.join("index.txt");
    let line = format!("V\t{}\t\t{serial}\tunknown\t{}\n", inspect::end_of(pem)?, inspect::subject_of(pem)?);
    let file = std::fs::OpenOptions::new().append(true).create(true).open(&index);
    file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(named(&index))
}

/// Signs `NAME-req.pem`; `NAME-cert.pem` is the result.
pub(crate) fn sign(options: &Options, name: &str, kind: Kind, now: SystemTime) -> Result<()> {
    let (from, to) = (file(name, "req"), file(name, "cert"));
    must_exist(&from)?;
    options.must_not_exist(&to)?;
    options.directory_must_exist()?;
    let dir = options.dir.join(kind.directory());
    let key_file = dir.join("private/cakey.pem");
    let key = read_key(&key_file)?;
    let ca_file = dir.join("cacert.pem");
    let ca_pem = read(&ca_file)?;
    let issuer = Issuer::from_ca_cert_pem(&ca_pem, key).map_err(|_| {
        format!("{}: there is no certificate in it that can be read (PEM)", ca_file.display())
    })?;
    let mut request = read_request(&from)?;
    let (ours, theirs) = (inspect::organization_of(&ca_pem)?, organization(&request.params));
    if ours != theirs {
        return Err(format!(
            "{}: it is of the organization \"{theirs}\", and the authority signs for \"{ours}\"",
            from.display()
        ));
    }
    let serial_file = dir.join("serial");
    let bad = || format!("{}: not a serial number", serial_file.display());
    let (serial, next) = next_serial(&read(&serial_file)?).ok_or_else(bad)?;
    request.params.is_ca = IsCa::ExplicitNoCa;
    request.params.serial_number = Some(SerialNumber::from(serial.clone()));
    request.params.not_before = now.into();
    request.params.not_after = (now + LIFE).into();
    let certificate = request.signed_by(&issuer).map_err(|e| format!("{}: {e}", from.display()))?.pem();
    // The number first: one that is lost does no harm, one that is used twice does.
    write(&serial_file, &format!("{next}\n"))?;
    let shown: String = serial.iter().map(|byte| format!("{byte:02X}")).collect();
    record(&dir, &shown, &certificate)?;
    write(&to, &certificate)
}

fn organization(params: &CertificateParams) -> String {
    use rcgen::DnValue::{Ia5String, PrintableString, Utf8String};
    match params.distinguished_name.get(&DnType::OrganizationName) {
        Some(Utf8String(text)) => text.clone(),
        Some(PrintableString(text)) => text.as_str().to_owned(),
        Some(Ia5String(text)) => text.as_str().to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_count_whatever_their_length() {
        let next = |text: &str| next_serial(text).map(|(_, next)| next);
        assert_eq!(next("01\n").as_deref(), Some("02"));
        assert_eq!(next("FF").as_deref(), Some("0100"));
        assert_eq!(next("1ff").as_deref(), Some("0200"));
        assert_eq!(
            next("6F00AA00BB00CC00DD00EE00FF00AA00BB00CCFF").as_deref(),
            Some("6F00AA00BB00CC00DD00EE00FF00AA00BB00CD00")
        );
        assert_eq!(next(""), None);
        assert_eq!(next("xyz"), None);
        assert!(first_serial() >> 62 == 0);
    }
}
