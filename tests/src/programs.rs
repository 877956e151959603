//! Where the programs are, and running them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whose programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Programs {
    Ours,
    /// Debian's Open vSwitch.
    Reference,
}

impl Programs {
    /// The path of a program.
    pub fn path(self, name: &str) -> PathBuf {
        match self {
            Programs::Ours => ours().join(name),
            Programs::Reference => ["/usr/bin", "/usr/sbin"]
                .iter()
                .map(|dir| Path::new(dir).join(name))
                .find(|path| path.exists())
                .unwrap_or_else(|| PathBuf::from(name)),
        }
    }
}

/// The directory with a link per program: given by `cargo xtask test`, else beside this test's executable.
fn ours() -> PathBuf {
    if let Some(given) = std::env::var_os("IRONBRIDGE_PROGRAMS") {
        return given.into();
    }
    let exe = std::env::current_exe().unwrap_or_default();
    let target = exe.ancestors().nth(3).unwrap_or(Path::new("target"));
    target.join("bin-debug")
}

/// What a program left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Output {
    /// The standard output of a program that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, 0, "stdout: {}\nstderr: {}", self.out, self.err);
        self.out
    }
}

/// Runs a command to its end.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let shown = format!("{command:?}");
    let done = command.stdin(Stdio::null()).output();
    let done = done.unwrap_or_else(|e| panic!("{shown}: {e}"));
    Output {
        status: done.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&done.stdout).into_owned(),
        err: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}

/// Where the packages of PyPI are that some tests run: given by `cargo xtask test`, which installs them, else beside
/// the programs. A test that needs them fails without them: they are no option.
#[track_caller]
pub fn python_packages() -> PathBuf {
    let given = std::env::var_os("IRONBRIDGE_PYTHON").map(PathBuf::from);
    let path = given.unwrap_or_else(|| ours().parent().unwrap_or(Path::new("target")).join("python"));
    assert!(
        path.join("os_ken").exists(),
        "os-ken is not in {}: 'cargo xtask test' installs it",
        path.display()
    );
    path
}
