//! What the process needs of the kernel to use network devices, and which of it is missing.

use std::io;

use dp::Errno;

const TUN: &str = "/dev/net/tun";

/// The capabilities, by their bits (capabilities(7)).
const CAPABILITIES: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW")];

/// What is missing, by name: capabilities and the device file of taps. Empty when ports of all types can be opened.
pub fn missing() -> Vec<&'static str> {
    let mut missing = lacking();
    if !std::path::Path::new(TUN).exists() {
        missing.push(TUN);
    }
    missing
}

/// The capabilities that this thread lacks. What cannot be found out is taken for there.
fn lacking() -> Vec<&'static str> {
    lacking_in(&std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default())
}

fn lacking_in(status: &str) -> Vec<&'static str> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(effective) = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()) else {
        return Vec::new();
    };
    CAPABILITIES.iter().filter(|(bit, _)| effective >> bit & 1 == 0).map(|(_, name)| *name).collect()
}

/// After the system's words for why a device could not be opened: what it lacks, where that is the reason.
pub(crate) fn explain(error: &io::Error) -> String {
    let denied = matches!(Errno::from_io_error(error), Some(Errno::PERM | Errno::ACCESS));
    let lacking = if denied { lacking() } else { Vec::new() };
    match lacking.as_slice() {
        [] => String::new(),
        names => format!("; ovs-vswitchd lacks {}", names.join(" and ")),
    }
}

/// Names the device file of taps in an error of opening it, with what may help.
pub(crate) fn tun_failed(error: io::Error) -> io::Error {
    let Some(errno) = Errno::from_io_error(&error) else { return error };
    let advice = match errno {
        Errno::NOENT | Errno::NODEV | Errno::NXIO => ": 'modprobe tun' loads its driver",
        _ => "",
    };
    io::Error::new(error.kind(), TunError { errno, advice })
}

/// The error number that programs get for an error of ours.
pub(crate) fn errno(error: &io::Error) -> Errno {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<TunError>());
    inner.map(|inner| inner.errno).or_else(|| Errno::from_io_error(error)).unwrap_or(Errno::IO)
}

#[derive(Debug)]
struct TunError {
    errno: Errno,
    advice: &'static str,
}

impl std::error::Error for TunError {}

impl std::fmt::Display for TunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = base::error_text(&io::Error::from(self.errno));
        write!(f, "{words}; it takes {TUN}, which cannot be opened{}", self.advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_effective_set() {
        let status = |set: &str| format!("Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t{set}\n");
        assert_eq!(lacking_in(&status("000001ffffffffff")), Vec::<&str>::new());
        assert_eq!(lacking_in(&status("000001ffffffefff")), ["CAP_NET_ADMIN"]);
        assert_eq!(lacking_in(&status("0000000000000000")), ["CAP_NET_ADMIN", "CAP_NET_RAW"]);
        assert_eq!(lacking_in("nothing of the kind"), Vec::<&str>::new());
    }

    #[test]
    fn an_error_of_the_device_file_names_it_and_keeps_its_number() {
        let error = tun_failed(io::Error::from_raw_os_error(libc::ENOENT));
        assert_eq!(
            error.to_string(),
            "No such file or directory; it takes /dev/net/tun, which cannot be opened: 'modprobe tun' loads its driver"
        );
        assert_eq!(errno(&error), Errno::NOENT);
        assert_eq!(errno(&io::Error::from_raw_os_error(libc::EBUSY)), Errno::BUSY);
    }
}
