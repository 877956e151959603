//! Keys, and requests for certificates.

use std::time::SystemTime;

use rcgen::{CertificateParams, IsCa, KeyPair, SanType};

use crate::authority::{LIFE, subject};
use crate::files::{must_exist, read_key, read_request, write, write_private};
use crate::options::Options;
use crate::{Result, file};

/// Makes `NAME-privkey.pem` and `NAME-req.pem`.
pub(crate) fn make(options: &Options, name: &str) -> Result<()> {
    let (key_file, request_file) = (file(name, "privkey"), file(name, "req"));
    options.must_not_exist(&key_file)?;
    options.must_not_exist(&request_file)?;
    let failed = |e: rcgen::Error| format!("{name}: {e}");
    let common = match options.unique {
        true => name.to_owned(),
        false => format!("{name} id:{}", uuid::Uuid::new_v4()),
    };
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = subject("Open vSwitch certifier", &common);
    params.subject_alt_names = vec![host_name(&common)?];
    let request = params.serialize_request(&key).and_then(|request| request.pem()).map_err(failed)?;
    write_private(&key_file, &key.serialize_pem())?;
    write(&request_file, &request)
}

/// Signs `NAME-req.pem` with its own key.
pub(crate) fn self_sign(options: &Options, name: &str, now: SystemTime) -> Result<()> {
    let (key_file, request_file, to) = (file(name, "privkey"), file(name, "req"), file(name, "cert"));
    must_exist(&request_file)?;
    must_exist(&key_file)?;
    options.must_not_exist(&to)?;
    let request = read_request(&request_file)?;
    let key = read_key(&key_file)?;
    let mut params = request.params;
    params.is_ca = IsCa::NoCa;
    params.not_before = now.into();
    params.not_after = (now + LIFE).into();
    let failed = |e: rcgen::Error| format!("{name}: {e}");
    params.subject_alt_names = vec![host_name(name)?];
    write(&to, &params.self_signed(&key).map_err(failed)?.pem())
}

/// The name as certificates have names of hosts.
fn host_name(name: &str) -> Result<SanType> {
    let name =
        name.try_into().map_err(|_| format!("{name}: names in certificates are of ASCII characters"))?;
    Ok(SanType::DnsName(name))
}
