//! The command line: a command, up to two arguments, and options that may
//! stand anywhere and be shortened.

use std::path::{Path, PathBuf};

use rpc::dirs;
use rpc::program::Stop;

use crate::{PROGRAM, Result};

/// What the command line asks for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub command: String,
    pub arguments: Vec<String>,
    /// Where the infrastructure is.
    pub dir: PathBuf,
    pub force: bool,
    pub batch: bool,
    /// The name is unique as it is.
    pub unique: bool,
    pub log: PathBuf,
}

/// Whose certificates an authority signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Switch,
    Controller,
}

impl Kind {
    pub(crate) fn directory(self) -> &'static str {
        match self {
            Kind::Switch => "switchca",
            Kind::Controller => "controllerca",
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            command: String::new(),
            arguments: Vec::new(),
            dir: PathBuf::from("/var/lib/openvswitch/pki"),
            force: false,
            batch: false,
            unique: false,
            log: dirs::logdir().join("ovs-pki.log"),
        }
    }
}

impl Options {
    pub(crate) fn only_argument(&self) -> Result<&str> {
        match self.arguments.as_slice() {
            [name] => Ok(name),
            _ => Err(format!("{} must have exactly one argument; use --help for help", self.command)),
        }
    }

    /// A name, and whose certificate it is about.
    pub(crate) fn name_and_kind(&self) -> Result<(&str, Kind)> {
        let wrong = || format!("{} must have one or two arguments; use --help for help", self.command);
        let name = self.arguments.first().ok_or_else(wrong)?;
        let kind = match self.arguments.get(1).map(String::as_str) {
            None | Some("" | "switch") => Kind::Switch,
            Some("controller") => Kind::Controller,
            Some(_) => return Err("type argument must be 'switch' or 'controller'".to_owned()),
        };
        Ok((name, kind))
    }

    pub(crate) fn directory_must_exist(&self) -> Result<()> {
        let shown = self.dir.display();
        if !self.dir.exists() {
            Err(format!("{shown} does not exist (need to run 'init' or use '--dir'?)"))
        } else if !self.dir.is_dir() {
            Err(format!("{shown} is not a directory"))
        } else {
            Ok(())
        }
    }

    /// A file that is about to be written.
    pub(crate) fn must_not_exist(&self, file: &Path) -> Result<()> {
        if file.exists() && !self.force {
            return Err(format!("{} already exists and --force not supplied", file.display()));
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Dir,
    Key,
    Bits,
    DsaParam,
    Log,
    Force,
    Batch,
    Unique,
    Help,
    Version,
}

/// Long names with the least that they may be shortened to, and letters.
const OPTIONS: &[(&str, &str, &str, Choice)] = &[
    ("dir", "di", "d", Choice::Dir),
    ("key", "k", "k", Choice::Key),
    ("bits", "bi", "B", Choice::Bits),
    ("dsaparam", "ds", "D", Choice::DsaParam),
    ("log", "l", "l", Choice::Log),
    ("force", "force", "f", Choice::Force),
    ("batch", "ba", "b", Choice::Batch),
    ("unique", "un", "u", Choice::Unique),
    ("help", "help", "h", Choice::Help),
    ("version", "version", "V", Choice::Version),
];

fn find(word: &str) -> Option<Choice> {
    let found = match word.strip_prefix("--") {
        Some(name) => {
            OPTIONS.iter().find(|(long, least, ..)| long.starts_with(name) && name.starts_with(least))
        }
        None => {
            let letter = word.strip_prefix('-')?;
            OPTIONS.iter().find(|(.., short, _)| *short == letter)
        }
    };
    found.map(|(.., choice)| *choice)
}

/// Reads the command line.
pub(crate) fn parse(args: Vec<String>) -> std::result::Result<Options, Stop> {
    let fail = |text: &str| Stop::Fail(format!("{PROGRAM}: {text}"));
    let mut options = Options::default();
    let mut words = args.into_iter();
    let mut is_only_words = false;
    while let Some(word) = words.next() {
        if word == "--" && !is_only_words {
            is_only_words = true;
        } else if is_only_words || !word.starts_with('-') {
            if options.command.is_empty() {
                options.command = word;
            } else if options.arguments.len() < 2 {
                options.arguments.push(word);
            } else {
                return Err(Stop::Fail(format!("{word}: only two arguments may be specified")));
            }
        } else {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (word.as_str(), None),
            };
            let unknown = || Stop::Fail(format!("unrecognized option {word}"));
            let choice = find(name).ok_or_else(unknown)?;
            options.apply(choice, || {
                value.or_else(|| words.next()).ok_or_else(|| fail(&format!("missing argument to {name}")))
            })?;
        }
    }
    if options.command.is_empty() {
        return Err(fail("missing command name; use --help for help"));
    }
    Ok(options)
}

impl Options {
    fn apply(
        &mut self,
        choice: Choice,
        argument: impl FnOnce() -> std::result::Result<String, Stop>,
    ) -> std::result::Result<(), Stop> {
        let fail = |text: &str| Err(Stop::Fail(format!("{PROGRAM}: {text}")));
        match choice {
            Choice::Dir => self.dir = argument()?.into(),
            Choice::Log => self.log = argument()?.into(),
            Choice::Force => self.force = true,
            Choice::Batch => self.batch = true,
            Choice::Unique => self.unique = true,
            Choice::DsaParam => drop(argument()?),
            Choice::Help => return Err(Stop::Print(usage())),
            Choice::Version => return Err(Stop::Print(format!("{}\n", rpc::version_text(PROGRAM)))),
            Choice::Key => match argument()?.as_str() {
                "ec" => {}
                old @ ("rsa" | "dsa") => {
                    eprintln!(
                        "{PROGRAM}: {} keys are not made any more; making ECDSA keys",
                        old.to_uppercase()
                    );
                }
                _ => return fail("argument to -k or --key must be rsa or dsa"),
            },
            // It says how strong RSA keys are to be; ours are stronger than any that it can ask for in earnest.
            Choice::Bits => match argument()?.parse::<u32>() {
                Ok(bits) if bits >= 2048 => {}
                _ => return fail("argument to -B or --bits must be at least 2048"),
            },
        }
        Ok(())
    }
}

fn usage() -> String {
    let defaults = Options::default();
    format!(
        "\
ovs-pki, for managing a simple OpenFlow public key infrastructure
usage: {PROGRAM} [OPTION...] COMMAND [ARG...]

The valid stand-alone commands and their arguments are:
  init                 Initialize the PKI
  req NAME             Create new private key and certificate request
                       named NAME-privkey.pem and NAME-req.pem, resp.
  sign NAME [TYPE]     Sign switch certificate request NAME-req.pem,
                       producing certificate NAME-cert.pem
  req+sign NAME [TYPE] Combine the above two steps, producing all three files.
  verify NAME [TYPE]   Checks that NAME-cert.pem is a valid TYPE certificate
  fingerprint FILE     Prints the fingerprint for FILE
  self-sign NAME       Sign NAME-req.pem with NAME-privkey.pem,
                       producing self-signed certificate NAME-cert.pem
Each TYPE above is a certificate type: 'switch' (default) or 'controller'.

Keys are ECDSA keys on the curve P-256; -k, -B and -D, which choose among
other keys elsewhere, are accepted and do not change that.

Options for use with the 'sign' command:
  -b, --batch          Skip fingerprint verification
Options that apply to any command:
  -d, --dir=DIR        Directory where the PKI is located
                         (default: {})
  -f, --force          Continue even if file or directory already exists
  -l, --log=FILE       Log what is done to FILE (default: {})
  -u, --unique         NAME is unique (don't append UUID/date)
  -h, --help           Print this usage message.
  -V, --version        Display version information.
",
        defaults.dir.display(),
        defaults.log.display()
    )
}
