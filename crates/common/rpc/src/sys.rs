//! System calls that have no safe wrapper: forking, record locks, users, signals.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Forks; the child gets `None`. The process must have one thread, or others that have nothing to do with what the child does.
pub(crate) fn fork() -> io::Result<Option<libc::pid_t>> {
    // SAFETY: both callers, `daemon::start` and `holder::split`, have it in their contract that no other thread exists that
    // uses what the child does, so that no lock can be held by a thread that the child lacks.
    let pid = check(unsafe { libc::fork() })?;
    Ok((pid > 0).then_some(pid))
}

/// Makes a process that has this one's memory as it is now, and its open files from here on too; true in the new one. The
/// process must have one thread.
pub(crate) fn fork_with_same_files() -> io::Result<bool> {
    // SAFETY: without a stack of its own the child goes on with a copy of this one, as after fork(2); nothing is passed by
    // address. No thread exists that could hold a lock.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_FILES | libc::SIGCHLD, 0, 0, 0, 0) };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid == 0) }
}

/// Lets no signal end the process that can be kept from it; `name` is what ps(1) shows.
pub(crate) fn ignore_ends(name: &std::ffi::CStr) {
    // SAFETY: the name is a C string; the other arguments are numbers.
    unsafe {
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGALRM, libc::SIGPIPE] {
            libc::signal(signal, libc::SIG_IGN);
        }
        libc::prctl(libc::PR_SET_NAME, name.as_ptr());
    }
}

/// Sleeps until the parent, which was `pid`, is dead, whatever signals come; `name` is what ps(1) shows meanwhile.
pub(crate) fn wait_for_end_of_parent(pid: u32, name: &std::ffi::CStr) {
    // SAFETY: the sets are live and initialised, the name is a C string; the other arguments are numbers. The process has one
    // thread.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
        libc::prctl(libc::PR_SET_NAME, name.as_ptr());
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGUSR1);
        let mut end: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut end);
        libc::sigaddset(&raw mut end, libc::SIGUSR1);
        // It may have died before that; and anybody may send the signal.
        while u32::try_from(libc::getppid()).is_ok_and(|parent| parent == pid) {
            libc::sigwaitinfo(&raw const end, std::ptr::null_mut());
        }
    }
}

/// Whether closing the file makes one wait for the kernel: packet sockets, and what is no socket and no plain file, of which
/// taps are.
pub(crate) fn closes_slowly(fd: RawFd) -> bool {
    if let Some(domain) = socket_domain(fd) {
        return matches!(domain, libc::AF_PACKET | libc::AF_XDP);
    }
    std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok_and(|path| path.as_os_str() == "/dev/net/tun")
}

/// Whether the file is a socket by which processes talk to each other.
pub(crate) fn is_stream(fd: RawFd) -> bool {
    matches!(socket_domain(fd), Some(libc::AF_UNIX | libc::AF_INET | libc::AF_INET6))
}

/// `AF_*`, if the file is a socket.
fn socket_domain(fd: RawFd) -> Option<libc::c_int> {
    let mut domain: libc::c_int = 0;
    let mut len = std::mem::size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: pointer and length describe `domain`.
    let rc = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_DOMAIN, (&raw mut domain).cast(), &raw mut len)
    };
    (rc == 0).then_some(domain)
}

/// Closes a file of which nobody makes use any more, in a process that is about to end.
pub(crate) fn close(fd: RawFd) {
    // SAFETY: takes no pointer. Those who own descriptors do nothing with them any more: the process is about to end.
    unsafe { libc::close(fd) };
}

/// Ends the process without anything else being done.
pub(crate) fn leave() -> ! {
    // SAFETY: takes no pointer, and runs nothing of this process.
    unsafe { libc::_exit(0) }
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
