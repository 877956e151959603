//! What queues and shapes the frames that a link sends: the queueing discipline at its root.

use std::io;

use netlink_bindings::tc::{OpNewqdiscDo, Request, TcHfscQopt, TcHtbGlob, TcNetemQopt, TcSfqQopt};
use netlink_bindings::utils::{Pusher, push_header};

use crate::ask::{ask, change};
use crate::psched::Psched;
use crate::tc::{OPTIONS, header};

/// Where the root discipline is attached.
const ROOT: u32 = 0xffff_ffff;
/// The handle of a discipline that [`install_discipline`] makes: `1:`.
const HANDLE: u32 = 1 << 16;
/// Frames that say of no class that they belong to it are in class `1:1`.
const DEFAULT_CLASS: u16 = 1;
/// Where a class has no quantum, it is its rate divided by this.
pub(crate) const RATE_TO_QUANTUM: u32 = 10;

/// A queueing discipline with its settings, as tc(8) knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Discipline {
    /// tc-htb(8): the classes say the rates.
    Htb,
    /// tc-hfsc(8), likewise.
    Hfsc,
    /// tc-codel(8).
    Codel {
        /// The delay that is fine, in microseconds.
        target: u32,
        /// In packets.
        limit: u32,
        /// The time in which it is to be reached, in microseconds.
        interval: u32,
    },
    /// tc-fq_codel(8).
    FqCodel {
        /// As above.
        target: u32,
        /// As above.
        limit: u32,
        /// As above.
        interval: u32,
        /// How many queues.
        flows: u32,
        /// Bytes of one queue at a time.
        quantum: u32,
    },
    /// tc-sfq(8).
    Sfq {
        /// Bytes of one flow at a time.
        quantum: u32,
        /// Seconds after which flows are mapped to queues anew.
        perturb: u32,
    },
    /// tc-netem(8).
    Netem {
        /// In microseconds.
        latency: u32,
        /// In packets.
        limit: u32,
        /// In percent.
        loss: u32,
        /// In microseconds.
        jitter: u32,
    },
}

impl Discipline {
    /// The kernel's name for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Discipline::Htb => "htb",
            Discipline::Hfsc => "hfsc",
            Discipline::Codel { .. } => "codel",
            Discipline::FqCodel { .. } => "fq_codel",
            Discipline::Sfq { .. } => "sfq",
            Discipline::Netem { .. } => "netem",
        }
    }
}

/// A discipline that a link has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RootDiscipline {
    /// "htb", "mq".
    pub kind: String,
    /// It has the handle of those that [`install_discipline`] makes.
    pub is_ours: bool,
}

/// The discipline at the link's root; `None` for what the kernel itself gives every link.
pub fn discipline(ifindex: u32) -> io::Result<Option<RootDiscipline>> {
    // Only who wants the echo of an answer gets one.
    let request = Request::new().set_flags(libc::NLM_F_ECHO as u16);
    let request = request.op_getqdisc_do(&header(ifindex, 0, ROOT, 0));
    let found = ask(&request, |kind, (header, attributes)| {
        let name = attributes.get_kind().ok().filter(|_| kind == libc::RTM_NEWQDISC)?;
        // One without a handle is the kernel's own choice.
        (header.handle != 0).then(|| RootDiscipline {
            kind: name.to_string_lossy().into_owned(),
            is_ours: header.handle == HANDLE,
        })
    });
    match found {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        found => Ok(found?.pop()),
    }
}

/// Puts the discipline in place of whatever the link has.
pub fn install_discipline(ifindex: u32, discipline: &Discipline) -> io::Result<()> {
    remove_discipline(ifindex)?;
    let request = Request::new().set_create().set_excl().op_newqdisc_do(&header(ifindex, HANDLE, ROOT, 0));
    change(&with_settings(request, discipline))
}

/// Gives the discipline of this kind, which the link has, other settings. Frames that it has queued stay.
pub fn change_discipline(ifindex: u32, discipline: &Discipline) -> io::Result<()> {
    let request = Request::new().op_newqdisc_do(&header(ifindex, HANDLE, ROOT, 0));
    change(&with_settings(request, discipline))
}

/// The link has what the kernel gives every link.
pub fn remove_discipline(ifindex: u32) -> io::Result<()> {
    match change(&Request::new().op_delqdisc_do(&header(ifindex, 0, ROOT, 0))) {
        // It has that already.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOENT)) => Ok(()),
        result => result,
    }
}

fn with_settings<'a>(mut request: OpNewqdiscDo<'a>, discipline: &Discipline) -> OpNewqdiscDo<'a> {
    let attributes = request.encode();
    match *discipline {
        Discipline::Htb => {
            let settings = TcHtbGlob {
                version: 3,
                rate2quantum: RATE_TO_QUANTUM,
                defcls: DEFAULT_CLASS.into(),
                ..TcHtbGlob::default()
            };
            attributes.nested_options_htb().push_init(settings).end_nested();
        }
        Discipline::Hfsc => {
            attributes.nested_options_hfsc(&TcHfscQopt { defcls: DEFAULT_CLASS });
        }
        Discipline::Codel { target, limit, interval } => {
            let options = attributes.nested_options_codel().push_target(target).push_limit(limit);
            options.push_interval(interval).end_nested();
        }
        Discipline::FqCodel { target, limit, interval, flows, quantum } => {
            let options = attributes.nested_options_fq_codel().push_target(target).push_limit(limit);
            options.push_interval(interval).push_flows(flows).push_quantum(quantum).end_nested();
        }
        Discipline::Sfq { quantum, perturb } => {
            let settings = TcSfqQopt {
                quantum,
                perturb_period: i32::try_from(perturb).unwrap_or(i32::MAX),
                ..TcSfqQopt::default()
            };
            // The library knows the longer form of these only, by which RED would be asked for too.
            let mut attributes = attributes.push_kind(c"sfq");
            let bytes = attributes.as_vec_mut();
            push_header(bytes, OPTIONS, settings.as_slice().len() as u16);
            bytes.extend(settings.as_slice());
        }
        Discipline::Netem { latency, limit, loss, jitter } => {
            let units = Psched::of_kernel();
            let settings = TcNetemQopt {
                latency: units.ticks_of(latency),
                limit,
                loss: (f64::from(u32::MAX) * (f64::from(loss.min(100)) / 100.0)) as u32,
                jitter: units.ticks_of(jitter),
                ..TcNetemQopt::default()
            };
            attributes.nested_options_netem(&settings).end_nested();
        }
    }
    request
}
