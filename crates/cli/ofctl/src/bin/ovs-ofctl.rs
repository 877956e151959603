//! The program alone, for trials without the multi-call executable.

use std::process::ExitCode;

fn main() -> ExitCode {
    ofctl::ovs_ofctl(std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect())
}
