//! The classes of a link's root discipline: which rate what belongs to each of them gets.
//!
//! A class is known by its handle `1:MINOR`, of which only the minor number is said here.

use std::io;

use netlink_bindings::tc::{OpGettclassDo, OpNewtclassDo, PushHfscAttrs, Request, TcHtbOpt, TcaStatsAttrs};
use netlink_bindings::traits::{NetlinkRequest, Protocol};
use netlink_bindings::utils::{Pusher, finalize_nested_header, push_nested_header};

use crate::ask::{ask, change};
use crate::discipline::RATE_TO_QUANTUM;
use crate::psched::{Psched, rate_spec};
use crate::tc::{OPTIONS, header};

/// `1:`.
const MAJOR: u32 = 1 << 16;

/// What a class gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Of tc-htb(8).
    Htb(HtbClass),
    /// Of tc-hfsc(8).
    Hfsc(HfscClass),
}

/// A class of hierarchical token buckets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HtbClass {
    /// Bytes per second that it gets in any case.
    pub min_rate: u64,
    /// Bytes per second that it gets at most.
    pub max_rate: u64,
    /// Bytes that it may send at once.
    pub burst: u32,
    /// Those with a lower one get what is left first.
    pub priority: u32,
}

/// A class of service curves that are straight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HfscClass {
    /// Bytes per second that it gets in any case.
    pub min_rate: u32,
    /// Bytes per second that it gets at most.
    pub max_rate: u32,
}

/// What a class has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClassCounters {
    /// Bytes that were sent.
    pub bytes: u64,
    /// Frames that were sent; of those to be cut, the segments.
    pub packets: u64,
    /// Frames that were dropped.
    pub drops: u64,
}

/// Makes or changes the class `1:minor` under `1:parent`, 0 for the root. `mtu` is the link's, in bytes.
pub fn set_class(ifindex: u32, minor: u16, parent: u16, class: &Class, mtu: u32) -> io::Result<()> {
    let header = header(ifindex, MAJOR | u32::from(minor), MAJOR | u32::from(parent), 0);
    let request = Request::new().set_create().op_newtclass_do(&header);
    change(&match class {
        Class::Htb(class) => with_htb(request, class, mtu),
        Class::Hfsc(class) => with_hfsc(request, class),
    })
}

fn with_htb<'a>(mut request: OpNewtclassDo<'a>, class: &HtbClass, mtu: u32) -> OpNewtclassDo<'a> {
    let units = Psched::of_kernel();
    let HtbClass { min_rate, max_rate, burst, priority } = *class;
    let has_small_share = min_rate / u64::from(RATE_TO_QUANTUM) < mtu.into();
    let settings = TcHtbOpt {
        rate: rate_spec(min_rate, mtu),
        ceil: rate_spec(max_rate, mtu),
        buffer: units.burst(min_rate, mtu, burst.into()),
        cbuffer: units.burst(max_rate, mtu, burst.into()),
        // What it sends at a time shall be at least a packet.
        quantum: if has_small_share { mtu } else { 0 },
        prio: priority,
        ..TcHtbOpt::default()
    };
    let tables = [units.table(&settings.rate, min_rate), units.table(&settings.ceil, max_rate)];
    let mut options = request.encode().nested_options_htb();
    if min_rate > u32::MAX.into() {
        options = options.push_rate64(min_rate);
    }
    if max_rate > u32::MAX.into() {
        options = options.push_ceil64(max_rate);
    }
    options.push_parms(settings).push_rtab(&tables[0]).push_ctab(&tables[1]).end_nested();
    request
}

fn with_hfsc<'a>(mut request: OpNewtclassDo<'a>, class: &HfscClass) -> OpNewtclassDo<'a> {
    // A slope, how long it holds, and the slope after that.
    let curve = |rate: u32| [0, 0, rate].map(u32::to_ne_bytes).concat();
    let (min, max) = (curve(class.min_rate), curve(class.max_rate));
    // The library knows the settings of the discipline only.
    let mut attributes = request.encode().push_kind(c"hfsc");
    let bytes = attributes.as_vec_mut();
    let options = push_nested_header(bytes, OPTIONS);
    PushHfscAttrs::new(&mut *bytes).push_rsc(&min).push_fsc(&min).push_usc(&max).end_nested();
    finalize_nested_header(bytes, options);
    drop(attributes);
    request
}

/// Removes the class `1:minor`.
pub fn delete_class(ifindex: u32, minor: u16) -> io::Result<()> {
    change(&Request::new().op_deltclass_do(&header(ifindex, MAJOR | u32::from(minor), 0, 0)))
}

/// The classes of the link's disciplines whose handles begin with `1:`, by their minor numbers.
pub fn classes(ifindex: u32) -> io::Result<Vec<(u16, ClassCounters)>> {
    let request = Request::new().set_flags(libc::NLM_F_DUMP as u16);
    ask(&Dump(request.op_gettclass_do(&header(ifindex, 0, 0, 0))), read)
}

type Reply<'a> = <OpGettclassDo<'a> as NetlinkRequest>::ReplyType<'a>;

fn read(kind: u16, (header, attributes): Reply<'_>) -> Option<(u16, ClassCounters)> {
    if kind != libc::RTM_NEWTCLASS || header.handle & 0xffff_0000 != MAJOR {
        return None;
    }
    let mut counters = ClassCounters::default();
    for attribute in attributes.get_stats2().ok()?.flatten() {
        match attribute {
            TcaStatsAttrs::Basic(basic) => {
                (counters.bytes, counters.packets) = (basic.bytes, basic.packets.into());
            }
            TcaStatsAttrs::Pkt64(packets) => counters.packets = packets,
            TcaStatsAttrs::Queue(queue) => counters.drops = queue.drops.into(),
            _ => {}
        }
    }
    Some(((header.handle & 0xffff) as u16, counters))
}

/// The request for one class as one for all, which the library does not have.
struct Dump<'a>(OpGettclassDo<'a>);

impl NetlinkRequest for Dump<'_> {
    type ReplyType<'buf> = <OpGettclassDo<'buf> as NetlinkRequest>::ReplyType<'buf>;

    fn protocol(&self) -> Protocol {
        self.0.protocol()
    }

    fn flags(&self) -> u16 {
        self.0.flags()
    }

    fn payload(&self) -> &[u8] {
        self.0.payload()
    }

    fn decode_reply(bytes: &[u8]) -> Self::ReplyType<'_> {
        OpGettclassDo::decode_reply(bytes)
    }

    fn lookup(
        bytes: &[u8],
        offset: usize,
        missing: Option<u16>,
    ) -> (Vec<(&'static str, usize)>, Option<&'static str>) {
        OpGettclassDo::lookup(bytes, offset, missing)
    }
}

#[cfg(test)]
mod tests {
    use netlink_bindings::tc::Tcmsg;

    use super::*;
    use crate::testing::{in_own_namespace, ip};
    use crate::{Discipline, change_discipline, discipline, install_discipline, link, remove_discipline};

    fn shown(words: &str) -> String {
        let output = std::process::Command::new("tc").args(words.split(' ')).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// A link, unless this kernel or user cannot have it.
    fn pair() -> Option<u32> {
        in_own_namespace().then(|| {
            ip("link add name one type veth peer name two");
            link("one").unwrap().unwrap().index
        })
    }

    /// Installs it; false where the kernel has no such discipline.
    fn install(index: u32, wanted: &Discipline) -> bool {
        match install_discipline(index, wanted) {
            Ok(()) => true,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                eprintln!("skipped: the kernel has no {}", wanted.kind());
                false
            }
            Err(error) => panic!("{}: {error}", wanted.kind()),
        }
    }

    #[test]
    fn htb_is_set_up_as_tc_shows_it() {
        let Some(index) = pair() else { return };
        assert_eq!(discipline(index).unwrap(), None);
        remove_discipline(index).unwrap();
        if !install(index, &Discipline::Htb) {
            return;
        }
        let found = discipline(index).unwrap().unwrap();
        assert_eq!((&*found.kind, found.is_ours), ("htb", true));
        let root = HtbClass { min_rate: 1_250_000, max_rate: 1_250_000, burst: 0, priority: 0 };
        set_class(index, 0xfffe, 0, &Class::Htb(root), 1500).unwrap();
        let fast = HtbClass { min_rate: 1500, max_rate: 5_000_000_000, burst: 1564, priority: 3 };
        set_class(index, 1, 0xfffe, &Class::Htb(fast), 1500).unwrap();
        let classes_shown = shown("-d class show dev one");
        for expected in [
            "class htb 1:1 parent 1:fffe prio 3 quantum 1500 rate 12Kbit ceil 40Gbit linklayer ethernet burst 1563b/1 mpu 60b",
            "class htb 1:fffe root rate 10Mbit ceil 10Mbit linklayer ethernet burst 1500b/1 mpu 60b",
        ] {
            assert!(classes_shown.contains(expected), "{expected}\n{classes_shown}");
        }
        let mut minors: Vec<u16> = classes(index).unwrap().into_iter().map(|(minor, _)| minor).collect();
        minors.sort_unstable();
        assert_eq!(minors, [1, 0xfffe]);
        assert!(classes(index).unwrap().iter().all(|(_, counters)| *counters == ClassCounters::default()));
        delete_class(index, 1).unwrap();
        assert_eq!(classes(index).unwrap().len(), 1);
        remove_discipline(index).unwrap();
        assert_eq!(discipline(index).unwrap(), None);
    }

    #[test]
    fn a_foreign_discipline_is_told_from_ours() {
        let Some(index) = pair() else { return };
        if shown("qdisc add dev one root handle 7: tbf rate 1mbit burst 10k latency 1s").is_empty() {
            let found = discipline(index).unwrap().unwrap();
            assert_eq!((&*found.kind, found.is_ours), ("tbf", false));
        }
    }

    #[test]
    fn the_other_disciplines_are_set_up_and_changed_as_tc_shows_them() {
        let Some(index) = pair() else { return };
        let shows = |wanted: Discipline, expected: &str| {
            if install(index, &wanted) {
                let text = shown("qdisc show dev one");
                assert!(text.contains(expected), "{expected}\n{text}");
                change_discipline(index, &wanted).unwrap();
                assert_eq!(shown("qdisc show dev one"), text);
            }
        };
        let (target, limit, interval) = (5000, 10240, 100_000);
        shows(
            Discipline::Codel { target, limit, interval },
            "codel 1: root refcnt 2 limit 10240p target 5ms interval 100ms",
        );
        shows(
            Discipline::FqCodel { target, limit, interval, flows: 1024, quantum: 1514 },
            "limit 10240p flows 1024 quantum 1514 target 5ms interval 100ms",
        );
        shows(Discipline::Sfq { quantum: 1500, perturb: 10 }, "quantum 1500b perturb 10sec");
        shows(
            Discipline::Netem { latency: 100_000, limit: 1000, loss: 10, jitter: 50 },
            "limit 1000 delay 100ms  50us loss 10%",
        );
        if install(index, &Discipline::Hfsc) {
            let class = HfscClass { min_rate: 125_000, max_rate: 250_000 };
            set_class(index, 1, 0, &Class::Hfsc(class), 1500).unwrap();
            let text = shown("class show dev one");
            assert!(text.contains("sc m1 0bit d 0us m2 1Mbit ul m1 0bit d 0us m2 2Mbit"), "{text}");
        }
    }

    /// Kernels that lack it cannot say whether the request is in order.
    #[test]
    fn a_request_for_a_class_of_hfsc_has_three_curves() {
        let header = Tcmsg::default();
        let class = HfscClass { min_rate: 1, max_rate: 2 };
        let request = with_hfsc(Request::new().op_newtclass_do(&header), &class);
        let attribute = |kind: u16, value: &[u8]| {
            let len = 4 + value.len();
            let mut bytes = [&(len as u16).to_ne_bytes(), &kind.to_ne_bytes(), value].concat();
            bytes.resize(len.next_multiple_of(4), 0);
            bytes
        };
        let curve = |kind, rate: u8| attribute(kind, &[0, 0, 0, 0, 0, 0, 0, 0, rate, 0, 0, 0]);
        let options = [curve(1, 1), curve(2, 1), curve(3, 2)].concat();
        let expected = [attribute(1, b"hfsc\0"), attribute(OPTIONS | 0x8000, &options)].concat();
        assert_eq!(&request.payload()[20..], expected);
    }
}
