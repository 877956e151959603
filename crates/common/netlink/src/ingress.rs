//! Keeping what a link receives from the host's own network stack.
//!
//! A filter at the link's ingress hook takes every frame away. Packet sockets see a
//! frame before that hook, so whoever opened one receives everything, and the
//! stack (IP, ARP, links stacked on top) receives nothing.
//!
//! The filter is a BPF program of two instructions; where the process may not
//! load one, as in a user namespace, `matchall` with the action `stolen`. Both
//! outlive the process: [`IngressGuard::close`] takes over what a killed one left.

use std::io;
use std::os::fd::AsRawFd;

use crate::bpf;
use crate::link::ask;
use crate::message::Builder;
use crate::tc::{EGRESS, INGRESS, has_filters, message};

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
/// The program's result is what becomes of the frame.
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
const TCA_MATCHALL_ACT: u16 = 2;
const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_GACT_PARMS: u16 = 2;
/// Ends the frame's way without counting it as dropped.
const TC_ACT_STOLEN: u32 = 4;

/// Where the discipline `clsact` is attached, and its handle.
const CLSACT_PARENT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;

/// The last of all priorities: filters of operators, such as mirroring, come first.
const PRIORITY: u32 = 0xffff;
/// What `tc filter show` calls the filter.
const NAME: &[u8] = b"ironbridge\0";

/// A link's ingress hook while it is closed; dropping this opens it.
#[derive(Debug)]
pub struct IngressGuard {
    ifindex: u32,
    handle: u32,
    /// The discipline was not there before.
    owns_discipline: bool,
}

impl IngressGuard {
    /// Takes away what the link receives before the host's stack sees it. `handle` names this guard's filter among those of
    /// this process, so that one guard may replace another on the same link; it must not be 0.
    pub fn close(ifindex: u32, handle: u32) -> io::Result<IngressGuard> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let discipline = message(libc::RTM_NEWQDISC, flags, ifindex, CLSACT_HANDLE, CLSACT_PARENT, 0)
            .attribute(TCA_KIND, b"clsact\0");
        let is_new = match ask(discipline.finish(), false, |_, _| {}) {
            Ok(()) => true,
            // This one or the older `ingress`: both have the hook.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => false,
            Err(error) => return Err(error),
        };
        // What a process that was killed has left would make the discipline look like somebody else's.
        let was_ours = !is_new && delete_filter(ifindex, 0).is_ok();
        let guard = IngressGuard { ifindex, handle, owns_discipline: is_new || was_ours };
        add_program(ifindex, handle).or_else(|_| add_matchall(ifindex, handle))?;
        Ok(guard)
    }
}

impl Drop for IngressGuard {
    fn drop(&mut self) {
        // Errors mean that the link is gone, and the filter with it.
        let _ = delete_filter(self.ifindex, self.handle);
        if self.owns_discipline
            && [INGRESS, EGRESS].into_iter().all(|hook| matches!(has_filters(self.ifindex, hook), Ok(false)))
        {
            let request =
                message(libc::RTM_DELQDISC, 0, self.ifindex, CLSACT_HANDLE, CLSACT_PARENT, 0).finish();
            let _ = ask(request, false, |_, _| {});
        }
    }
}

/// Priority and protocol, as filters have them in one word.
fn rank() -> u32 {
    PRIORITY << 16 | u32::from((libc::ETH_P_ALL as u16).to_be())
}

fn add_filter(ifindex: u32, handle: u32, kind: &[u8], options: &[u8]) -> io::Result<()> {
    let request = message(libc::RTM_NEWTFILTER, libc::NLM_F_CREATE, ifindex, handle, INGRESS, rank())
        .attribute(TCA_KIND, kind)
        .attribute(TCA_OPTIONS, options);
    ask(request.finish(), false, |_, _| {})
}

/// Takes this guard's filter away; with `handle` 0, those of all guards.
fn delete_filter(ifindex: u32, handle: u32) -> io::Result<()> {
    ask(message(libc::RTM_DELTFILTER, 0, ifindex, handle, INGRESS, rank()).finish(), false, |_, _| {})
}

fn add_program(ifindex: u32, handle: u32) -> io::Result<()> {
    let program = bpf::load_classifier(TC_ACT_STOLEN)?;
    let options = Builder::nested()
        .attribute(TCA_BPF_FD, &program.as_raw_fd().to_ne_bytes())
        .attribute(TCA_BPF_NAME, NAME)
        .attribute(TCA_BPF_FLAGS, &TCA_BPF_FLAG_ACT_DIRECT.to_ne_bytes());
    add_filter(ifindex, handle, b"bpf\0", options.bytes())
}

fn add_matchall(ifindex: u32, handle: u32) -> io::Result<()> {
    // struct tc_gact: index, capabilities, action, two reference counts.
    let mut parameters = [0; 20];
    parameters[8..12].copy_from_slice(&TC_ACT_STOLEN.to_ne_bytes());
    let options = Builder::nested().attribute(TCA_GACT_PARMS, &parameters);
    let action =
        Builder::nested().attribute(TCA_ACT_KIND, b"gact\0").attribute(TCA_ACT_OPTIONS, options.bytes());
    let actions = Builder::nested().attribute(1, action.bytes());
    let options = Builder::nested().attribute(TCA_MATCHALL_ACT, actions.bytes());
    add_filter(ifindex, handle, b"matchall\0", options.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_is_not_there_is_refused() {
        let error = IngressGuard::close(0x7fff_fff0, 1).unwrap_err();
        let errno = error.raw_os_error();
        // An unprivileged user hears of that first.
        assert!([Some(libc::ENODEV), Some(libc::EPERM)].contains(&errno), "{error}");
    }
}
