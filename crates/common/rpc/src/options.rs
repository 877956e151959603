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
                Some(spec) => base::vlog::set_levels(spec).map_err(|e| format!("processing \"{spec}\": {e}")),
                None => {
                    base::vlog::set_all_levels(None, base::vlog::Level::Debug);
                    Ok(())
                }
            },
            LogOption::LogFile => {
                let default = format!("{program}.log");
                let path = dirs::absolute(&dirs::logdir(), argument.unwrap_or(&default));
                base::vlog::set_log_file(&path).map_err(|e| {
                    let hint = crate::hint::missing_directory(&path) + &crate::hint::not_permitted(&e.source);
                    format!("{e}{hint}")
                })
            }
            LogOption::SyslogTarget => {
                base::vlog::set_syslog_target(argument.unwrap_or_default()).map_err(|e| e.to_string())
            }
            LogOption::SyslogMethod => base::vlog::set_syslog_method(argument.unwrap_or_default()),
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

/// The options of a table as `--option` shows them: a line for each long and each short form.
pub fn list<T>(table: &[Opt<T>]) -> String {
    let mut out = String::new();
    for option in table {
        let argument = match option.takes {
            Takes::Nothing => "",
            Takes::Argument => "ARG",
            Takes::Perhaps => "[ARG]",
        };
        if let Some(long) = option.long {
            let equals = if argument.is_empty() { "" } else { "=" };
            out.push_str(&format!("--{long}{equals}{argument}\n"));
        }
        if let Some(short) = option.short {
            out.push_str(&format!("-{short} {argument}\n"));
        }
    }
    out
}

/// The lines of `--help` about logging.
pub fn log_usage(program: &str) -> String {
    format!(
        "\nLogging options:
  -vSPEC, --verbose=SPEC   set logging levels
  -v, --verbose            set maximum verbosity level
  --log-file[=FILE]        enable logging to specified FILE
                           (default: {}/{program}.log)
  --syslog-method=(libc|unix:file|udp:ip:port)
                           specify how to send messages to syslog daemon
  --syslog-target=HOST:PORT  also send syslog msgs to HOST:PORT via UDP
",
        dirs::logdir().display()
    )
}

/// The lines of `--help` about how `name` is reached, and about TLS.
pub fn stream_usage(name: &str, active: bool, passive: bool, bootstrap: bool) -> String {
    let mut out = String::from("\n");
    if active {
        out += &format!(
            "Active {name} connection methods:
  tcp:HOST:PORT           PORT at remote HOST
  ssl:HOST:PORT           SSL/TLS PORT at remote HOST
  unix:FILE               Unix domain socket named FILE
"
        );
    }
    if passive {
        out += &format!(
            "Passive {name} connection methods:
  ptcp:PORT[:IP]          listen to TCP PORT on IP
  pssl:PORT[:IP]          listen for SSL/TLS on PORT on IP
  punix:FILE              listen on Unix domain socket FILE
  pfd:FD                  listen on pre-opened file descriptor FD
"
        );
    }
    out += "PKI configuration (required to use SSL/TLS):
  -p, --private-key=FILE  file with private key
  -c, --certificate=FILE  file with certificate for private key
  -C, --ca-cert=FILE      file with peer CA certificate
";
    if bootstrap {
        out += "  --bootstrap-ca-cert=FILE  file with peer CA certificate to read or create\n";
    }
    out + "SSL/TLS options:
  --ssl-protocols=PROTOS    range of SSL/TLS protocols to enable
  --ssl-ciphers=CIPHERS     list of SSL/TLS ciphers to enable
                            with TLSv1.2
  --ssl-ciphersuites=SUITES list of SSL/TLS ciphersuites to
                            enable with TLSv1.3 and later
  --ssl-server-name=NAME    server name for TLS Server Name
                            Indication (SNI)
"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_listed_with_what_they_take() {
        let mut table = LogOption::table(|_| ());
        table.push(Opt::both('x', "extra", Takes::Nothing, ()));
        assert_eq!(
            list(&table),
            "--verbose=[ARG]\n-v [ARG]\n--log-file=[ARG]\n--syslog-method=ARG\n--syslog-target=ARG\n\
             --extra\n-x \n"
        );
    }

    #[test]
    fn the_last_word_on_a_certificate_authority_counts() {
        let mut tls = Tls::default();
        TlsOption::BootstrapCaCert.apply(Some("a.pem"), &mut tls);
        assert!(tls.bootstrap_ca_cert);
        TlsOption::CaCert.apply(Some("b.pem"), &mut tls);
        assert_eq!((tls.ca_cert, tls.bootstrap_ca_cert), (Some(PathBuf::from("b.pem")), false));
    }
}
