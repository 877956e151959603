//! The commands that change a bridge: the switch's by its daemon, others by
//! the kernel. Refusals are worded as bridge-utils words them.

use std::io;

use super::Result;
use super::kernel;
use super::switch::Switch;
use crate::protocol::{self, Errno};

fn kernel_errno(result: io::Result<()>) -> std::result::Result<(), Errno> {
    result.map_err(|e| Errno(e.raw_os_error().unwrap_or(libc::EIO)))
}

pub(super) fn add_bridge(args: &[String]) -> Result {
    for name in args.iter().take(1) {
        let done = match Switch::reach() {
            Some(_) if kernel::exists(name) => Err(Errno(libc::EEXIST)),
            Some(switch) => switch.ask(protocol::ADD_BRIDGE, &[name]),
            None => kernel_errno(netlink::add_bridge(name)),
        };
        done.map_err(|Errno(errno)| match errno {
            libc::EEXIST => format!("device {name} already exists; can't create bridge with the same name"),
            _ => format!("add bridge failed: {}", rpc::errno_text(errno)),
        })?;
    }
    Ok(())
}

pub(super) fn delete_bridge(args: &[String]) -> Result {
    for name in args.iter().take(1) {
        let done = match Switch::that_has(name) {
            Some(switch) => switch.ask(protocol::DELETE_BRIDGE, &[name]),
            None => kernel_errno(netlink::delete_bridge(name)),
        };
        done.map_err(|Errno(errno)| match errno {
            libc::ENXIO | libc::ENODEV => format!("bridge {name} doesn't exist; can't delete it"),
            libc::EBUSY => format!("bridge {name} is still up; can't delete it"),
            _ => format!("can't delete bridge {name}: {}", rpc::errno_text(errno)),
        })?;
    }
    Ok(())
}

/// The kernel's number of a device.
fn index(name: &str) -> Option<u32> {
    netlink::link(name).ok().flatten().map(|link| link.index)
}

pub(super) fn add_interface(args: &[String]) -> Result {
    let Some((bridge, devices)) = args.split_first() else { return Ok(()) };
    let switch = Switch::that_has(bridge);
    for device in devices {
        let missing = || format!("interface {device} does not exist!");
        let index = index(device).ok_or_else(missing)?;
        let done = match &switch {
            Some(_) if kernel::is_bridge(device) => Err(Errno(libc::ELOOP)),
            // In a bridge of the kernel, which stays its owner.
            Some(_) if kernel::device(device).join("brport").exists() => Err(Errno(libc::EBUSY)),
            Some(switch) => switch.ask(protocol::ADD_PORT, &[bridge, device, &index.to_string()]),
            None => kernel_errno(netlink::add_to_bridge(bridge, index)),
        };
        done.map_err(|Errno(errno)| match errno {
            libc::ENODEV => format!("bridge {bridge} does not exist!"),
            libc::EBUSY => {
                format!("device {device} is already a member of a bridge; can't add it to bridge {bridge}.")
            }
            libc::ELOOP => format!(
                "device {device} is a bridge device itself; can't add a bridge device to a bridge device."
            ),
            _ => format!("can't add {device} to bridge {bridge}: {}", rpc::errno_text(errno)),
        })?;
    }
    Ok(())
}

pub(super) fn delete_interface(args: &[String]) -> Result {
    let Some((bridge, devices)) = args.split_first() else { return Ok(()) };
    let switch = Switch::that_has(bridge);
    for device in devices {
        let missing = || format!("interface {device} does not exist!");
        let done = match &switch {
            // A port whose device went can be taken out as well.
            Some(switch) => match switch.ask(protocol::DELETE_PORT, &[bridge, device]) {
                Err(Errno(libc::EINVAL)) if !kernel::exists(device) => return Err(missing()),
                other => other,
            },
            None => {
                let index = index(device).ok_or_else(missing)?;
                kernel_errno(netlink::remove_from_bridge(bridge, index))
            }
        };
        done.map_err(|Errno(errno)| match errno {
            libc::ENODEV => format!("bridge {bridge} does not exist!"),
            libc::EINVAL => format!("device {device} is not a port of {bridge}"),
            _ => format!("can't delete {device} from {bridge}: {}", rpc::errno_text(errno)),
        })?;
    }
    Ok(())
}

/// Something of a bridge or a port that is a number.
pub(super) struct Setting {
    /// How bridge-utils refuses a word that is no number.
    bad: &'static str,
    /// How it says what failed.
    what: &'static str,
    /// In the kernel's sysfs.
    attribute: &'static str,
    /// In `other_config` of the database.
    key: &'static str,
    /// The kernel's units in one of the user's.
    units: u64,
}

const SECOND: u64 = 100;

pub(super) const AGEING: Setting = Setting {
    bad: "bad ageing time value",
    what: "set ageing time",
    attribute: "ageing_time",
    key: "mac-aging-time",
    units: SECOND,
};
pub(super) const PRIORITY: Setting = Setting {
    bad: "bad priority",
    what: "set bridge priority",
    attribute: "priority",
    key: "stp-priority",
    units: 1,
};
pub(super) const FORWARD_DELAY: Setting = Setting {
    bad: "bad forward delay value",
    what: "set forward delay",
    attribute: "forward_delay",
    key: "stp-forward-delay",
    units: SECOND,
};
pub(super) const HELLO: Setting = Setting {
    bad: "bad hello timer value",
    what: "set hello timer",
    attribute: "hello_time",
    key: "stp-hello-time",
    units: SECOND,
};
pub(super) const MAX_AGE: Setting = Setting {
    bad: "bad max age value",
    what: "set max age",
    attribute: "max_age",
    key: "stp-max-age",
    units: SECOND,
};
pub(super) const PATH_COST: Setting = Setting {
    bad: "bad path cost value",
    what: "set path cost",
    attribute: "path_cost",
    key: "stp-path-cost",
    units: 1,
};
pub(super) const PORT_PRIORITY: Setting = Setting {
    bad: "bad path priority value",
    what: "set port priority",
    attribute: "priority",
    key: "stp-port-priority",
    units: 1,
};

impl Setting {
    /// The user's number in the kernel's units.
    fn value(&self, text: &str) -> std::result::Result<u64, String> {
        let bad = || self.bad.to_owned();
        if self.units == 1 {
            return text.parse().map_err(|_| bad());
        }
        let seconds: f64 = text.parse().map_err(|_| bad())?;
        let most = 4_000_000_000.0;
        let scaled = (seconds * self.units as f64).round();
        if (0.0..=most).contains(&scaled) { Ok(scaled as u64) } else { Err(bad()) }
    }

    fn failed(&self, Errno(errno): Errno) -> String {
        format!("{} failed: {}", self.what, rpc::errno_text(errno))
    }
}

pub(super) fn set(setting: &Setting, args: &[String]) -> Result {
    let [bridge, value] = args else { return Ok(()) };
    let value = setting.value(value)?;
    let done = match Switch::that_has(bridge) {
        Some(switch) => {
            let value = (value / setting.units).to_string();
            switch.ask(protocol::SET_BRIDGE, &[bridge, setting.key, &value])
        }
        None => kernel_errno(kernel::set_bridge(bridge, setting.attribute, value)),
    };
    done.map_err(|errno| setting.failed(errno))
}

pub(super) fn set_port(setting: &Setting, args: &[String]) -> Result {
    let [bridge, port, value] = args else { return Ok(()) };
    let value = setting.value(value)?;
    let done = match Switch::that_has(bridge) {
        Some(switch) => switch.ask(protocol::SET_PORT, &[bridge, port, setting.key, &value.to_string()]),
        None => kernel_errno(kernel::set_port(port, setting.attribute, value)),
    };
    done.map_err(|errno| setting.failed(errno))
}

/// "on", "off" and what else says yes and no.
fn switched(word: &str) -> std::result::Result<bool, String> {
    match word {
        "on" | "yes" | "1" => Ok(true),
        "off" | "no" | "0" => Ok(false),
        _ => Err("expect on/off for argument".to_owned()),
    }
}

pub(super) fn stp(args: &[String]) -> Result {
    let [bridge, word] = args else { return Ok(()) };
    let is_on = switched(word)?;
    let done = match Switch::that_has(bridge) {
        Some(switch) => {
            switch.ask(protocol::SET_BRIDGE, &[bridge, "stp", if is_on { "true" } else { "false" }])
        }
        None => kernel_errno(kernel::set_bridge(bridge, "stp_state", is_on.into())),
    };
    done.map_err(|Errno(errno)| format!("set stp status failed: {}", rpc::errno_text(errno)))
}

pub(super) fn hairpin(args: &[String]) -> Result {
    let [bridge, port, word] = args else { return Ok(()) };
    let is_on = switched(word)?;
    if !kernel::exists(port) {
        return Err(format!("interface {port} does not exist!"));
    }
    let done = match Switch::that_has(bridge) {
        // Packets leave by their way in only where a rule says so.
        Some(_) => Err(Errno(libc::EOPNOTSUPP)),
        None => kernel_errno(kernel::set_port(port, "hairpin_mode", is_on.into())),
    };
    done.map_err(|Errno(errno)| {
        format!("can't set {port} to hairpin on bridge {bridge}: {}", rpc::errno_text(errno))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_and_the_rest_are_numbers() {
        assert_eq!(AGEING.value("10"), Ok(1000));
        assert_eq!(AGEING.value("0.5"), Ok(50));
        assert_eq!(AGEING.value("x"), Err("bad ageing time value".to_owned()));
        assert_eq!(AGEING.value("-1"), Err("bad ageing time value".to_owned()));
        assert_eq!(PRIORITY.value("5"), Ok(5));
        assert_eq!(PATH_COST.value("1.5"), Err("bad path cost value".to_owned()));
    }

    #[test]
    fn on_and_off_have_other_names() {
        assert_eq!(switched("yes"), Ok(true));
        assert_eq!(switched("0"), Ok(false));
        assert_eq!(switched("maybe"), Err("expect on/off for argument".to_owned()));
    }
}
