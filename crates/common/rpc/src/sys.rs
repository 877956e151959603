//! System calls that have no safe wrapper: forking, record locks, users, signals.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Forks; the child gets `None`. The process must have one thread.
pub(crate) fn fork() -> io::Result<Option<libc::pid_t>> {
    // SAFETY: `daemon::start` is the only caller, and its contract is that no thread and no runtime
    // exists yet, so that no lock can be held by a thread that the child lacks.
    let pid = check(unsafe { libc::fork() })?;
    Ok((pid > 0).then_some(pid))
}

pub(crate) fn setsid() {
    // SAFETY: takes no pointer. Failure means that we lead a session already.
    unsafe { libc::setsid() };
}

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Takes a write lock on the whole file, or fails at once. It lasts until the process closes *any* descriptor of the file.
pub(crate) fn lock(file: &File) -> io::Result<()> {
    let mut lock = whole_file();
    // SAFETY: the descriptor is open for the whole call, and the pointer is to a live `flock`.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw mut lock) }).map(drop)
}

/// The process that holds a lock on the file, if one does.
pub fn lock_holder(file: &File) -> io::Result<Option<libc::pid_t>> {
    let mut lock = whole_file();
    // SAFETY: as in `lock`.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) })?;
    Ok((i32::from(lock.l_type) != libc::F_UNLCK).then_some(lock.l_pid))
}

/// How a child ended.
pub(crate) fn wait_for(pid: libc::pid_t) -> io::Result<libc::c_int> {
    loop {
        let mut status = 0;
        // SAFETY: the pointer is to a live integer.
        match check(unsafe { libc::waitpid(pid, &raw mut status, 0) }) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
            Ok(_) => return Ok(status),
        }
    }
}

/// "Segmentation fault" and so on.
pub(crate) fn signal_text(signal: libc::c_int) -> String {
    // SAFETY: strsignal returns a static or thread-local string, or null; it is copied at once.
    let text = unsafe {
        let text = libc::strsignal(signal);
        if text.is_null() { None } else { Some(std::ffi::CStr::from_ptr(text).to_owned()) }
    };
    text.map_or_else(|| format!("signal {signal}"), |t| t.to_string_lossy().into_owned())
}

/// Lets SIGSEGV and SIGBUS kill at once. Rust's own handler for them swallows one that another process
/// sends, which a monitor waits for.
pub(crate) fn die_by_memory_faults() {
    // SAFETY: restoring default actions takes no pointer; what is lost is the message on stack overflow.
    unsafe {
        libc::signal(libc::SIGSEGV, libc::SIG_DFL);
        libc::signal(libc::SIGBUS, libc::SIG_DFL);
    }
}

/// Ends the process as the signal does when nobody handles it.
pub(crate) fn die_by(signal: libc::c_int) -> ! {
    // SAFETY: restoring the default action and raising are async-signal-safe and take no pointers.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
        libc::kill(libc::getpid(), signal);
    }
    std::process::exit(128 + signal)
}

/// A user and group by name.
pub(crate) struct Identity {
    pub(crate) name: CString,
    pub(crate) uid: libc::uid_t,
    pub(crate) gid: libc::gid_t,
}

/// Looks up `user[:group]`.
pub(crate) fn identity(user: &str, group: Option<&str>) -> Result<Identity, String> {
    let no_user = || format!("user {user}");
    let name = CString::new(user).map_err(|_| no_user())?;
    // SAFETY: one thread exists, so the static buffers of getpwnam and getgrnam are ours; results are
    // checked for null and copied before the next call.
    unsafe {
        let entry = libc::getpwnam(name.as_ptr()).as_ref().ok_or_else(no_user)?;
        let (uid, mut gid) = (entry.pw_uid, entry.pw_gid);
        if let Some(group) = group.filter(|g| !g.is_empty()) {
            let no_group = || format!("group {group}");
            let group = CString::new(group).map_err(|_| no_group())?;
            gid = libc::getgrnam(group.as_ptr()).as_ref().ok_or_else(no_group)?.gr_gid;
        }
        Ok(Identity { name, uid, gid })
    }
}

/// Becomes that user for good. Of root's capabilities those stay that lock memory and bind low ports, and
/// where `uses_devices`, those that work with network devices.
pub(crate) fn become_user(identity: &Identity, uses_devices: bool) -> io::Result<()> {
    use rustix::thread::{
        CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities,
    };
    let mut kept = CapabilitySet::IPC_LOCK | CapabilitySet::NET_BIND_SERVICE;
    if uses_devices {
        kept |= CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW | CapabilitySet::NET_BROADCAST;
    }
    // What the process does not have it cannot keep.
    let kept = kept & capabilities(None)?.permitted;
    set_keep_capabilities(true)?;
    // SAFETY: the name is a live C string; the other calls take numbers.
    unsafe {
        check(libc::initgroups(identity.name.as_ptr(), identity.gid))?;
        check(libc::setgid(identity.gid))?;
        check(libc::setuid(identity.uid))?;
    }
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets)?;
    Ok(set_keep_capabilities(false)?)
}
