//! The habits of a daemon: detaching, the pidfile, a monitor that restarts it,
//! and ending by signals.
//!
//! [`start`] forks, so it is called before any thread or runtime exists; it
//! returns in the process that is to serve. [`Daemon::complete`] tells the
//! parent that all is well, and only then does the command line's process end.

pub use crate::sys::lock_holder;

use crate::{dirs, sys};
use base::getopt::{Opt, Takes};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The options that all daemons share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DaemonOption {
    Detach,
    NoChdir,
    Pidfile,
    OverwritePidfile,
    Monitor,
    User,
    NoSelfConfinement,
}

/// What the command line asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub detach: bool,
    pub monitor: bool,
    pub no_chdir: bool,
    pub overwrite_pidfile: bool,
    pub pidfile: Option<PathBuf>,
    /// Detached, the process still writes where it was told to.
    pub keep_output: bool,
    /// `user[:group]`.
    pub user: Option<String>,
    /// As another user, the process goes on to work with network devices.
    pub uses_devices: bool,
    /// The database may name sockets outside the run directory.
    pub is_unconfined: bool,
}

/// Why the process did not become a daemon, worded for the person who started it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DaemonError(pub String);

impl Options {
    /// The rows for a program's option table.
    pub fn table<T>(wrap: impl Fn(DaemonOption) -> T) -> Vec<Opt<T>> {
        use DaemonOption::*;
        [
            ("detach", Takes::Nothing, Detach),
            ("no-self-confinement", Takes::Nothing, NoSelfConfinement),
            ("no-chdir", Takes::Nothing, NoChdir),
            ("pidfile", Takes::Perhaps, Pidfile),
            ("overwrite-pidfile", Takes::Nothing, OverwritePidfile),
            ("monitor", Takes::Nothing, Monitor),
            ("user", Takes::Argument, User),
        ]
        .into_iter()
        .map(|(name, takes, option)| Opt::long(name, takes, wrap(option)))
        .collect()
    }

    /// Takes in one option that the command line had.
    pub fn apply(&mut self, option: DaemonOption, argument: Option<&str>, program: &str) {
        match option {
            DaemonOption::Detach => self.detach = true,
            DaemonOption::NoChdir => self.no_chdir = true,
            DaemonOption::OverwritePidfile => self.overwrite_pidfile = true,
            DaemonOption::Monitor => self.monitor = true,
            DaemonOption::User => self.user = argument.map(str::to_owned),
            DaemonOption::NoSelfConfinement => self.is_unconfined = true,
            DaemonOption::Pidfile => {
                let default = format!("{program}.pid");
                let name = argument.unwrap_or(&default);
                self.pidfile = Some(dirs::absolute(&dirs::rundir(), name));
            }
        }
    }
}

/// The lines of `--help` about these options.
pub fn usage(program: &str) -> String {
    format!(
        "\nDaemon options:
  --detach                run in background as daemon
  --monitor               creates a process to monitor this daemon
  --user=username[:group] changes the effective daemon user:group
  --no-chdir              do not chdir to '/'
  --pidfile[=FILE]        create pidfile (default: {}/{program}.pid)
  --overwrite-pidfile     with --pidfile, start even if already running
",
        dirs::rundir().display()
    )
}

/// The running daemon; dropping it removes the pidfile.
#[derive(Debug)]
pub struct Daemon {
    options: Options,
    ready: Option<io::PipeWriter>,
    pidfile: Option<Pidfile>,
}

/// Becomes what `options` say. Returns in the process that is to serve; the others end in here.
/// The process must have one thread.
pub fn start(options: Options) -> Result<Daemon, DaemonError> {
    sys::die_by_memory_faults();
    if let Some(user) = &options.user {
        switch_user(user, options.uses_devices)?;
    }
    let mut ready = None;
    if options.detach {
        match fork_and_wait()? {
            Fork::Started(_) => std::process::exit(0),
            Fork::Failed => return Err(DaemonError("could not detach from foreground session".to_owned())),
            Fork::Child(pipe) => ready = Some(pipe),
        }
        sys::setsid();
    }
    if options.monitor {
        match fork_and_wait()? {
            Fork::Failed => return Err(DaemonError("could not initiate process monitoring".to_owned())),
            Fork::Child(pipe) => ready = Some(pipe),
            Fork::Started(pid) => {
                notify(ready.take())?;
                if options.detach {
                    close_standard_files(false);
                }
                ready = Some(monitor(pid)?);
            }
        }
    }
    let pidfile = match &options.pidfile {
        Some(path) => Some(Pidfile::create(path, options.overwrite_pidfile)?),
        None => None,
    };
    Ok(Daemon { options, ready, pidfile })
}

impl Daemon {
    /// All is ready to serve: lets the parent go, and leaves the terminal and the directory behind.
    pub fn complete(&mut self) -> Result<(), DaemonError> {
        notify(self.ready.take())?;
        if self.options.detach {
            if !self.options.no_chdir {
                // A directory that cannot be left only keeps a file system busy.
                let _ = std::env::set_current_dir("/");
            }
            close_standard_files(self.options.keep_output);
        }
        Ok(())
    }

    pub fn pidfile(&self) -> Option<&Path> {
        self.pidfile.as_ref().map(|p| p.path.as_path())
    }
}

/// Becomes another user, with what little of root's power the daemon goes on to need.
fn switch_user(spec: &str, uses_devices: bool) -> Result<(), DaemonError> {
    let (user, group) = match spec.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (spec, None),
    };
    let identity = sys::identity(user, group)
        .map_err(|missing| DaemonError(format!("{missing} not found, aborting.")))?;
    if let Err(e) = base::vlog::give_log_file(identity.uid, identity.gid) {
        log::warn!(target: "daemon_unix", "{e}");
    }
    sys::become_user(&identity, uses_devices)
        .map_err(|_| DaemonError(format!("fail to switch user to {user}, aborting")))
}

enum Fork {
    /// The parent, once the child has said that it is ready.
    Started(libc::pid_t),
    /// The parent of a child that died of a signal first.
    Failed,
    Child(io::PipeWriter),
}

/// Forks and, in the parent, waits for the child to be ready. A child that exits takes the parent along.
fn fork_and_wait() -> Result<Fork, DaemonError> {
    let failed = |what: &str, e: io::Error| DaemonError(format!("{what} ({})", crate::error_text(&e)));
    let (mut reader, writer) = io::pipe().map_err(|e| failed("failed to create pipe", e))?;
    let Some(pid) = sys::fork().map_err(|e| failed("fork failed", e))? else {
        return Ok(Fork::Child(writer));
    };
    drop(writer);
    let mut byte = [0];
    if reader.read_exact(&mut byte).is_ok() {
        return Ok(Fork::Started(pid));
    }
    let status = sys::wait_for(pid).map_err(|e| failed("waitpid failed", e))?;
    if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) != 0 {
        std::process::exit(libc::WEXITSTATUS(status));
    }
    log::error!(target: "daemon_unix",
        "fork child died before signaling startup ({})", status_text(status));
    Ok(Fork::Failed)
}

fn notify(ready: Option<io::PipeWriter>) -> Result<(), DaemonError> {
    match ready {
        None => Ok(()),
        Some(mut pipe) => pipe
            .write_all(&[0])
            .map_err(|e| DaemonError(format!("pipe write failed ({})", crate::error_text(&e)))),
    }
}

fn close_standard_files(keep_output: bool) {
    let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") else { return };
    // Without /dev/null behind them the next files opened would become the standard ones.
    let _ = rustix::stdio::dup2_stdin(null.as_fd());
    if keep_output {
        return;
    }
    let _ = rustix::stdio::dup2_stdout(null.as_fd());
    let _ = rustix::stdio::dup2_stderr(null.as_fd());
}

/// "exit status 1", "killed (Segmentation fault), core dumped".
fn status_text(status: libc::c_int) -> String {
    let mut text = if libc::WIFEXITED(status) {
        format!("exit status {}", libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        format!("killed ({})", sys::signal_text(libc::WTERMSIG(status)))
    } else {
        format!("terminated abnormally ({status:x})")
    };
    if libc::WCOREDUMP(status) {
        text.push_str(", core dumped");
    }
    text
}

/// Signals that tell of a bug rather than of somebody's wish.
const ERROR_SIGNALS: [libc::c_int; 9] = [
    libc::SIGABRT,
    libc::SIGALRM,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGPIPE,
    libc::SIGSEGV,
    libc::SIGXCPU,
    libc::SIGXFSZ,
];

/// Watches the daemon and starts it again when it dies of a bug. Returns in each new daemon process.
fn monitor(mut pid: libc::pid_t) -> Result<io::PipeWriter, DaemonError> {
    const PAUSE: Duration = Duration::from_secs(10);
    let mut crashes = 0;
    let mut last_restart: Option<Instant> = None;
    loop {
        let status = sys::wait_for(pid)
            .map_err(|e| DaemonError(format!("waitpid failed ({})", crate::error_text(&e))))?;
        let text = status_text(status);
        if !(libc::WIFSIGNALED(status) && ERROR_SIGNALS.contains(&libc::WTERMSIG(status))) {
            log::info!(target: "daemon_unix", "pid {pid} died, {text}, exiting");
            std::process::exit(0);
        }
        crashes += 1;
        let story = format!("{crashes} crashes: pid {pid} died, {text}");
        if let Some(rest) = last_restart.and_then(|at| PAUSE.checked_sub(at.elapsed())) {
            log::warn!(target: "daemon_unix", "{story}, waiting until 10 seconds since last restart");
            std::thread::sleep(rest);
        }
        last_restart = Some(Instant::now());
        log::error!(target: "daemon_unix", "{story}, restarting");
        match fork_and_wait()? {
            Fork::Child(pipe) => return Ok(pipe),
            Fork::Started(child) => pid = child,
            Fork::Failed => {
                return Err(DaemonError("could not initiate process monitoring".to_owned()));
            }
        }
    }
}

/// A pidfile that this process has written and locked; dropping it removes the file.
#[derive(Debug)]
struct Pidfile {
    path: PathBuf,
    /// Closing it gives up the lock.
    _file: File,
}

impl Pidfile {
    fn create(path: &Path, overwrite: bool) -> Result<Pidfile, DaemonError> {
        let pid = std::process::id();
        // All that start share one name, so that its lock decides between them.
        let suffix = if overwrite { format!(".tmp{pid}") } else { ".tmp".to_owned() };
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(suffix);
        let temporary = PathBuf::from(temporary);
        let fail = |what: &str, e: &io::Error| {
            let hint = crate::hint::missing_directory(path) + &crate::hint::not_permitted(e);
            DaemonError(format!("{}: {what} ({}){hint}", temporary.display(), crate::error_text(e)))
        };
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&temporary)
            .map_err(|e| fail("create failed", &e))?;
        sys::lock(&file).map_err(|e| fail("fcntl(F_SETLK) failed", &e))?;
        let written = (|| {
            if !overwrite {
                check_not_running(path)?;
            }
            file.set_len(0).map_err(|e| fail("truncate failed", &e))?;
            writeln!(file, "{pid}").map_err(|e| fail("write failed", &e))?;
            std::fs::rename(&temporary, path).map_err(|e| {
                let (from, to) = (temporary.display(), path.display());
                DaemonError(format!("failed to rename \"{from}\" to \"{to}\" ({})", crate::error_text(&e)))
            })
        })();
        if let Err(e) = written {
            // The error at hand is the one to tell.
            let _ = std::fs::remove_file(&temporary);
            return Err(e);
        }
        Ok(Pidfile { path: path.to_owned(), _file: file })
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        // Somebody else may have removed it, which is as good.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn check_not_running(path: &Path) -> Result<(), DaemonError> {
    const PAUSE: Duration = Duration::from_millis(5);
    let mut running = running_pid(path, true);
    // One that was killed is gone before its holder gives up the lock.
    let is_dead = |pid: u32| !Path::new("/proc").join(pid.to_string()).exists();
    let start = Instant::now();
    while let Ok(Some(pid)) = running
        && is_dead(pid)
        && start.elapsed() < Duration::from_secs(2)
    {
        std::thread::sleep(PAUSE);
        running = running_pid(path, true);
    }
    match running {
        Ok(None) => Ok(()),
        Ok(Some(pid)) => {
            Err(DaemonError(format!("{}: already running as pid {pid}, aborting", path.display())))
        }
        Err(e) => Err(DaemonError(format!(
            "{}: pidfile check failed ({}), aborting",
            path.display(),
            crate::error_text(&e)
        ))),
    }
}

/// The process whose pidfile this is: the one that holds its lock.
pub fn read_pidfile(path: &Path) -> io::Result<u32> {
    match running_pid(path, false)? {
        Some(pid) => Ok(pid),
        None => Err(io::Error::from_raw_os_error(libc::ESRCH)),
    }
}

fn running_pid(path: &Path, delete_if_stale: bool) -> io::Result<Option<u32>> {
    let path_text = path.display();
    let failed = |what: &str, e: io::Error| {
        log::warn!(target: "daemon_unix", "{path_text}: {what}: {}", crate::error_text(&e));
        e
    };
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(e) if delete_if_stale && e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed("open", e)),
    };
    let Some(holder) = sys::lock_holder(&file).map_err(|e| failed("fcntl", e))? else {
        if delete_if_stale {
            // Only who holds the lock of the very file at the path may remove it.
            sys::lock(&file)?;
            let (ours, theirs) = (file.metadata()?, std::fs::metadata(path)?);
            if (ours.ino(), ours.dev()) != (theirs.ino(), theirs.dev()) {
                return Err(io::Error::from_raw_os_error(libc::EALREADY));
            }
            std::fs::remove_file(path)?;
        }
        return Ok(None);
    };
    let mut text = String::new();
    (&file).take(128).read_to_string(&mut text).map_err(|e| failed("read", e))?;
    match text.lines().next().and_then(|line| line.parse::<u32>().ok()) {
        Some(pid) if i64::from(pid) == i64::from(holder) => Ok(Some(pid)),
        _ => {
            log::warn!(target: "daemon_unix",
                "{path_text}: stale pidfile for pid {} being deleted by pid {holder}", text.trim());
            Err(io::Error::from_raw_os_error(libc::ESRCH))
        }
    }
}

/// Which signal asks the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Termination(libc::c_int);

impl Termination {
    /// Whether it is SIGTERM, by which a daemon is ended that another may follow.
    pub fn is_term(self) -> bool {
        self.0 == libc::SIGTERM
    }

    /// Ends the process by the signal, as its parent expects. Drop everything that removes files first.
    pub fn die(self) -> ! {
        sys::die_by(self.0)
    }
}

/// Listens for SIGTERM, SIGINT, SIGHUP and SIGALRM; needs a runtime.
///
/// SIGHUP means two things: that the terminal is gone, or that somebody has moved the log file away. A process that was
/// detached, or that has a log file and no terminal, opens its log file anew and goes on.
#[derive(Debug)]
pub struct Signals {
    signals: Vec<(libc::c_int, tokio::signal::unix::Signal)>,
    hangup: Hangup,
}

/// What SIGHUP does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hangup {
    Ends,
    /// It ends a process without a log file.
    Reopens,
    GoesOn,
}

impl Daemon {
    pub fn signals(&self) -> io::Result<Signals> {
        let mut signals = Vec::new();
        for number in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGALRM] {
            let kind = tokio::signal::unix::SignalKind::from_raw(number);
            signals.push((number, tokio::signal::unix::signal(kind)?));
        }
        let hangup = match self.options.detach {
            true => Hangup::GoesOn,
            false if File::open("/dev/tty").is_ok() => Hangup::Ends,
            false => Hangup::Reopens,
        };
        Ok(Signals { signals, hangup })
    }
}

impl Signals {
    /// Waits for one that ends the process, and logs it. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Termination {
        std::future::poll_fn(|cx| {
            for (number, signal) in &mut self.signals {
                while signal.poll_recv(cx).is_ready() {
                    if *number == libc::SIGHUP && survives(self.hangup) {
                        continue;
                    }
                    log::warn!(target: "fatal_signal",
                        "terminating with signal {number} ({})", sys::signal_text(*number));
                    return std::task::Poll::Ready(Termination(*number));
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// Opens the log file anew if the process goes on after SIGHUP.
fn survives(hangup: Hangup) -> bool {
    if hangup == Hangup::Ends {
        return false;
    }
    match base::vlog::reopen_log_file() {
        Some(Ok(())) => true,
        Some(Err(e)) => {
            log::error!(target: "vlog", "the log file stays the old one: {e}");
            true
        }
        None => hangup == Hangup::GoesOn,
    }
}

/// The `--timeout` of the one-shot programs, and what the program waits for meanwhile.
#[derive(Clone, Debug, Default)]
pub struct RunTime {
    waiting_for: Arc<Mutex<String>>,
}

impl RunTime {
    /// Ends the process by SIGALRM when so many seconds, as the command line has them, have passed.
    /// Only then is it said what it waited for. The error is about the number.
    pub fn limit(&self, program: &'static str, seconds: &str) -> Result<(), BadRunTime> {
        let limit: u32 = seconds.parse().ok().filter(|limit| *limit > 0).ok_or(BadRunTime)?;
        let waiting_for = Arc::clone(&self.waiting_for);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(limit.into()));
            log::warn!(target: "fatal_signal", "terminating with signal 14 (Alarm clock)");
            let what = waiting_for.lock().map(|what| what.clone()).unwrap_or_default();
            let what = if what.is_empty() { "the command to finish" } else { &what };
            let seconds = if limit == 1 { "1 second".to_owned() } else { format!("{limit} seconds") };
            eprintln!("{program}: {seconds} passed (--timeout) while waiting for {what}");
            sys::die_by(libc::SIGALRM)
        });
        Ok(())
    }

    /// Notes what the program waits for from now on: "the reply of x", after the word "for".
    pub fn waits_for(&self, what: impl Into<String>) {
        if let Ok(mut waiting_for) = self.waiting_for.lock() {
            *waiting_for = what.into();
        }
    }
}

/// The argument of `--timeout` is no number of seconds from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRunTime;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pidfile_is_stale_when_nobody_holds_its_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pid");
        std::fs::write(&path, "1\n").unwrap();
        assert_eq!(read_pidfile(&path).unwrap_err().raw_os_error(), Some(libc::ESRCH));
        let pidfile = Pidfile::create(&path, false).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(pidfile);
        assert!(!path.exists());
    }

    #[test]
    fn ends_are_told_in_words() {
        assert_eq!(status_text(0x100), "exit status 1");
        assert_eq!(status_text(libc::SIGSEGV), "killed (Segmentation fault)");
        assert_eq!(status_text(libc::SIGABRT | 0x80), "killed (Aborted), core dumped");
    }
}
