//! `ovs-pki`: a simple public key infrastructure for switches and their
//! controllers: two certificate authorities in a directory, keys, requests and
//! certificates in PEM files.
//!
//! [`options`] reads the command line. [`authority`] makes the authorities and
//! signs, [`request`] makes keys and requests, [`inspect`] checks certificates
//! and takes fingerprints. Directories that the reference's program made are
//! used as they are. Keys are ECDSA P-256; talking TLS is not here.

mod authority;
mod files;
mod inspect;
mod options;
mod request;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use options::{Kind, Options};
use rpc::program;

pub(crate) const PROGRAM: &str = "ovs-pki";

/// What went wrong, for stderr.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// The program. `args` are the words after its name.
pub fn ovs_pki(args: Vec<String>) -> ExitCode {
    program::start(options::parse(args), |options| program::end(PROGRAM, run(&options, SystemTime::now())))
}

/// The files that belong to a name.
fn file(name: &str, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{name}-{suffix}.pem"))
}

fn run(options: &Options, now: SystemTime) -> Result<ExitCode> {
    files::log(options, now)?;
    match options.command.as_str() {
        "init" => authority::init(options, now)?,
        "req" => {
            let name = options.only_argument()?;
            request::make(options, name)?;
            inspect::show_fingerprint(&file(name, "req"))?;
        }
        "sign" => {
            let (name, kind) = options.name_and_kind()?;
            inspect::show_fingerprint(&file(name, "req"))?;
            if !options.batch {
                inspect::confirm()?;
            }
            authority::sign(options, name, kind, now)?;
        }
        "req+sign" => {
            let (name, kind) = options.name_and_kind()?;
            options.directory_must_exist()?;
            request::make(options, name)?;
            authority::sign(options, name, kind, now)?;
            inspect::show_fingerprint(&file(name, "req"))?;
        }
        "verify" => {
            let (name, kind) = options.name_and_kind()?;
            return verify(options, name, kind, now);
        }
        "fingerprint" => inspect::show_fingerprint(options.only_argument()?.as_ref())?,
        "self-sign" => request::self_sign(options, options.only_argument()?, now)?,
        other => {
            let known = ["init", "req", "sign", "req+sign", "verify", "fingerprint", "self-sign"];
            let hint = base::hint::did_you_mean(other, known);
            return Err(format!("{other} command unknown; use --help for help{hint}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(options: &Options, name: &str, kind: Kind, now: SystemTime) -> Result<ExitCode> {
    let certificate = file(name, "cert");
    files::must_exist(&certificate)?;
    options.directory_must_exist()?;
    match inspect::verify(&certificate, &authority::certificate(options, kind), now)? {
        None => {
            println!("{}: OK", certificate.display());
            Ok(ExitCode::SUCCESS)
        }
        Some(why) => {
            eprintln!("{why}\nerror {}: verification failed", certificate.display());
            Ok(ExitCode::from(2))
        }
    }
}

#[cfg(test)]
mod tests;
