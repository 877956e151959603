//! Options that many programs share: logging and TLS.
//!
//! A program appends the tables to its own, with its own ids wrapped around
//! ours, and hands what it finds back to `apply`.

use crate::{Tls, dirs};
use base::getopt::{Opt, Takes};
use std::path::PathBuf;

/// `-v`, `--log-file` and their like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogOption {
    Verbose,
    LogFile,
    SyslogMethod,
    SyslogTarget,
}

impl LogOption {
    /// The rows for a program's option table.
    pub fn table<T>(wrap: impl Fn(LogOption) -> T) -> Vec<Opt<T>> {
        vec![
            Opt::both('v', "verbose", Takes::Perhaps, wrap(LogOption::Verbose)),
            Opt::long("log-file", Takes::Perhaps, wrap(LogOption::LogFile)),
            Opt::long("syslog-method", Takes::Argument, wrap(LogOption::SyslogMethod)),
            Opt::long("syslog-target", Takes::Argument, wrap(LogOption::SyslogTarget)),
        ]
    }

    /// Does what the option says, at once. The log is opened by `program`'s name where no file is named.
    pub fn apply(self, argument: Option<&str>, program: &str) -> Result<(), String> {
        match self {
            LogOption::Verbose => match argument {
                Some(spec) => base::vlog::set_levels(spec),
                None => {
                    base::vlog::set_all_levels(None, base::vlog::Level::Debug);
                    Ok(())
                }
            },
            LogOption::LogFile => {
                let default = format!("{program}.log");
                let path = dirs::absolute(&dirs::logdir(), argument.unwrap_or(&default));
                base::vlog::set_log_file(&path).map_err(|e| e.to_string())
            }
            LogOption::SyslogTarget => {
                base::vlog::set_syslog_target(argument.unwrap_or_default()).map_err(|e| e.to_string())
            }
            LogOption::SyslogMethod => Ok(()),
        }
    }
}

/// `--private-key` and its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsOption {
    PrivateKey,
    Certificate,
    CaCert,
    BootstrapCaCert,
    PeerCaCert,
    Protocols,
    Ciphers,
    Ciphersuites,
    ServerName,
}

impl TlsOption {
    /// The rows for a program's option table.
    pub fn table<T>(wrap: impl Fn(TlsOption) -> T) -> Vec<Opt<T>> {
        vec![
            Opt::both('p', "private-key", Takes::Argument, wrap(TlsOption::PrivateKey)),
            Opt::both('c', "certificate", Takes::Argument, wrap(TlsOption::Certificate)),
            Opt::both('C', "ca-cert", Takes::Argument, wrap(TlsOption::CaCert)),
            Opt::long("bootstrap-ca-cert", Takes::Argument, wrap(TlsOption::BootstrapCaCert)),
            Opt::long("peer-ca-cert", Takes::Argument, wrap(TlsOption::PeerCaCert)),
            Opt::long("ssl-protocols", Takes::Argument, wrap(TlsOption::Protocols)),
            Opt::long("ssl-ciphers", Takes::Argument, wrap(TlsOption::Ciphers)),
            Opt::long("ssl-ciphersuites", Takes::Argument, wrap(TlsOption::Ciphersuites)),
            Opt::long("ssl-server-name", Takes::Argument, wrap(TlsOption::ServerName)),
        ]
    }

    pub fn apply(self, argument: Option<&str>, tls: &mut Tls) {
        let path = argument.map(PathBuf::from);
        let text = argument.map(str::to_owned);
        match self {
            TlsOption::PrivateKey => tls.private_key = path,
            TlsOption::Certificate => tls.certificate = path,
            TlsOption::CaCert => {
                tls.ca_cert = path;
                tls.bootstrap_ca_cert = false;
            }
            TlsOption::BootstrapCaCert => {
                tls.ca_cert = path;
                tls.bootstrap_ca_cert = true;
            }
            TlsOption::PeerCaCert => tls.peer_ca_cert = path,
            TlsOption::Protocols => tls.protocols = text,
            TlsOption::Ciphers => tls.ciphers = text,
            TlsOption::Ciphersuites => tls.ciphersuites = text,
            TlsOption::ServerName => tls.server_name = text,
        }
    }
}
