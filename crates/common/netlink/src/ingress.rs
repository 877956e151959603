//! Keeping what a link receives from the host's own network stack.
//!
//! A filter at the link's ingress hook takes every frame away. Packet sockets see a
//! frame before that hook, so whoever opened one receives everything, and the
//! stack (IP, ARP, links stacked on top) receives nothing.
//!
//! The filter is a BPF program: the caller's, or one of two instructions. Where the process may not
//! load one, as in a user namespace, it is `matchall` with the action `stolen`. All
//! outlive the process: [`IngressGuard::close`] takes over what a killed one left.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use netlink_bindings::tc::{OpNewtfilterDo, PushActAttrs, Request, TcGact};
use netlink_bindings::utils::{Pusher, finalize_nested_header, push_nested_header};

use crate::ask::change;
use crate::bpf;
use crate::tc::{EGRESS, INGRESS, filters, has_filters, header};

/// The program's result is what becomes of the frame.
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
const TCA_MATCHALL_ACT: u16 = 2;
/// The verdict of a classifier that ends the frame's way, without counting it as dropped.
pub const TC_ACT_STOLEN: i32 = 4;

/// Where the discipline `clsact` is attached, and its handle.
const CLSACT_PARENT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;

/// The last of all priorities: filters of operators, such as mirroring, come first.
const PRIORITY: u32 = 0xffff;
/// What `tc filter show` calls the filter.
const NAME: &CStr = c"ironbridge";

/// A link's ingress hook while it is closed; dropping this opens it.
#[derive(Debug)]
pub struct IngressGuard {
    ifindex: u32,
    handle: u32,
    /// The discipline was not there before.
    owns_discipline: bool,
    has_program: bool,
}

impl IngressGuard {
    /// Takes away what the link receives before the host's stack sees it, or does with it what `program`, a classifier, says.
    /// `handle` names this guard's filter among those of this process, so that one guard may replace another on the same link;
    /// it must not be 0. Errors are the kernel's.
    pub fn close(ifindex: u32, handle: u32, program: Option<BorrowedFd<'_>>) -> io::Result<IngressGuard> {
        let header = header(ifindex, CLSACT_HANDLE, CLSACT_PARENT, 0);
        let mut discipline = Request::new().set_create().set_excl().op_newqdisc_do(&header);
        discipline.encode().push_kind(c"clsact");
        let is_new = match change(&discipline) {
            Ok(()) => true,
            // This one or the older `ingress`: both have the hook.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => false,
            Err(error) => return Err(error),
        };
        // What a process that was killed has left would make the discipline look like somebody else's.
        let was_ours = !is_new && delete_filter(ifindex, 0).is_ok();
        let owns_discipline = is_new || was_ours;
        let mut guard = IngressGuard { ifindex, handle, owns_discipline, has_program: false };
        if let Some(program) = program {
            guard.has_program = add_program(ifindex, handle, program).is_ok();
        }
        if !guard.has_program {
            stealing_program()
                .and_then(|program| add_program(ifindex, handle, program))
                .or_else(|_| add_matchall(ifindex, handle))?;
        }
        Ok(guard)
    }

    /// Whether the caller's program is what decides, and no filter or program of others before it. The kernel tells of filters that
    /// come and go ([`crate::EgressMonitor`]). Errors are the kernel's.
    pub fn decides(&self) -> io::Result<bool> {
        let is_alone = |filters: Vec<u32>| filters.into_iter().all(|filter| filter == rank());
        Ok(self.has_program
            && is_alone(filters(self.ifindex, INGRESS)?)
            && !bpf::has_programs(self.ifindex, bpf::Hook::Ingress)?)
    }
}

impl Drop for IngressGuard {
    fn drop(&mut self) {
        // Errors mean that the link is gone, and the filter with it.
        let _ = delete_filter(self.ifindex, self.handle);
        if self.owns_discipline
            && [INGRESS, EGRESS].into_iter().all(|hook| matches!(has_filters(self.ifindex, hook), Ok(false)))
        {
            let header = header(self.ifindex, CLSACT_HANDLE, CLSACT_PARENT, 0);
            let _ = change(&Request::new().op_delqdisc_do(&header));
        }
    }
}

/// Priority and protocol, as filters have them in one word.
fn rank() -> u32 {
    PRIORITY << 16 | u32::from((libc::ETH_P_ALL as u16).to_be())
}

/// Takes this guard's filter away; with `handle` 0, those of all guards.
fn delete_filter(ifindex: u32, handle: u32) -> io::Result<()> {
    change(&Request::new().op_deltfilter_do(&header(ifindex, handle, INGRESS, rank())))
}

/// The program, the same for all links, once it could be loaded.
static PROGRAM: OnceLock<OwnedFd> = OnceLock::new();

fn stealing_program() -> io::Result<BorrowedFd<'static>> {
    if let Some(program) = PROGRAM.get() {
        return Ok(program.as_fd());
    }
    let loaded = bpf::load_classifier(TC_ACT_STOLEN)?;
    Ok(PROGRAM.get_or_init(|| loaded).as_fd())
}

fn add_program(ifindex: u32, handle: u32, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut request = Request::new().set_create().op_newtfilter_do(&header(ifindex, handle, INGRESS, rank()));
    request
        .encode()
        .nested_options_bpf()
        .push_fd(program.as_raw_fd().cast_unsigned())
        .push_name(NAME)
        .push_flags(TCA_BPF_FLAG_ACT_DIRECT)
        .end_nested();
    change(&request)
}

fn add_matchall(ifindex: u32, handle: u32) -> io::Result<()> {
    change(&matchall(ifindex, handle))
}

fn matchall(ifindex: u32, handle: u32) -> OpNewtfilterDo<'static> {
    let action = TcGact { action: TC_ACT_STOLEN, ..TcGact::default() };
    let mut request = Request::new().set_create().op_newtfilter_do(&header(ifindex, handle, INGRESS, rank()));
    let mut options = request.encode().nested_options_matchall();
    let bytes = options.as_vec_mut();
    // The library numbers the actions of a list from 0, where the kernel, which begins at 1, does not see the first one.
    let list = push_nested_header(bytes, TCA_MATCHALL_ACT);
    let first = push_nested_header(bytes, 1);
    PushActAttrs::new(&mut *bytes).nested_options_gact().push_parms(action).end_nested();
    finalize_nested_header(bytes, first);
    finalize_nested_header(bytes, list);
    drop(options);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_is_not_there_is_refused() {
        let error = IngressGuard::close(0x7fff_fff0, 1, None).unwrap_err();
        let errno = error.raw_os_error();
        // An unprivileged user hears of that first.
        assert!([Some(libc::ENODEV), Some(libc::EPERM)].contains(&errno), "{error}");
    }

    /// The filters at the link's ingress hook, and its disciplines, as tc(8) shows them.
    fn shown(words: &str) -> String {
        let output = std::process::Command::new("tc").args(words.split(' ')).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn each_kind_of_filter_takes_every_frame_away_until_it_is_removed() {
        use crate::testing::{in_own_namespace, ip, run};
        if !in_own_namespace() {
            return;
        }
        ip("link add one type veth peer name two");
        run("tc", "qdisc add dev one clsact");
        let index = crate::link("one").unwrap().unwrap().index;
        let filters = || shown("filter show dev one ingress");
        match add_matchall(index, 7) {
            Ok(()) => {
                let matchall = filters();
                assert!(
                    matchall.contains("protocol all pref 65535 matchall chain 0 handle 0x7"),
                    "{matchall}"
                );
                assert!(matchall.contains("gact action stolen"), "{matchall}");
                assert!(has_filters(index, INGRESS).unwrap() && !has_filters(index, EGRESS).unwrap());
                delete_filter(index, 7).unwrap();
                assert_eq!(filters(), "");
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                eprintln!("the kernel has no matchall")
            }
            Err(error) => panic!("{error}"),
        }
        if let Err(error) = stealing_program().and_then(|program| add_program(index, 7, program)) {
            return eprintln!("skipped: no right to load programs ({error})");
        }
        let program = filters();
        assert!(program.contains("pref 65535 bpf chain 0 handle 0x7 ironbridge direct-action"), "{program}");
        delete_filter(index, 0).unwrap();
        assert!(!has_filters(index, INGRESS).unwrap());
    }

    /// Kernels that lack it cannot say whether the request is in order.
    #[test]
    fn a_request_for_matchall_has_an_action_that_steals() {
        use netlink_bindings::traits::NetlinkRequest;
        let request = matchall(7, 1);
        let mut words =
            request.payload().chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
        let header: Vec<u32> = words.by_ref().take(5).collect();
        assert_eq!(header, [0, 7, 1, INGRESS, rank()]);
        let attributes = request.payload().get(20..).unwrap();
        let attribute = |kind: u16, value: &[u8]| {
            let len = 4 + value.len();
            let mut bytes = [&(len as u16).to_ne_bytes(), &kind.to_ne_bytes(), value].concat();
            bytes.resize(len.next_multiple_of(4), 0);
            bytes
        };
        const NESTED: u16 = 0x8000;
        let mut parameters = [0; 20];
        parameters[8..12].copy_from_slice(&TC_ACT_STOLEN.to_ne_bytes());
        let action = [attribute(1, b"gact\0"), attribute(2 | NESTED, &attribute(2, &parameters))].concat();
        let options = attribute(2 | NESTED, &attribute(1 | NESTED, &action));
        let expected = [attribute(1, b"matchall\0"), attribute(2 | NESTED, &options)].concat();
        assert_eq!(attributes, expected);
    }

    #[test]
    fn a_guard_leaves_the_link_as_it_was() {
        use crate::testing::{in_own_namespace, ip, run};
        if !in_own_namespace() {
            return;
        }
        ip("link add one type veth peer name two");
        let index = crate::link("one").unwrap().unwrap().index;
        let disciplines = || shown("qdisc show dev one");
        let guard = IngressGuard::close(index, 1, None).unwrap();
        assert!(disciplines().contains("clsact"));
        // One guard takes over from another one.
        let next = IngressGuard::close(index, 2, None).unwrap();
        drop(guard);
        assert!(has_filters(index, INGRESS).unwrap());
        drop(next);
        assert!(!disciplines().contains("clsact"), "{}", disciplines());
        // What was there before stays.
        run("tc", "qdisc add dev one clsact");
        drop(IngressGuard::close(index, 1, None).unwrap());
        assert!(disciplines().contains("clsact") && !has_filters(index, INGRESS).unwrap());
    }
}
