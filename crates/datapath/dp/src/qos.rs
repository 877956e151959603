//! Quality of service of ports: in which order and how fast frames leave, and how many may come in.
//!
//! [`QosKind`] is all that there is, by the names of the database; [`Qos`] and [`Policing`] are what a port is asked for,
//! and [`QosState`] and [`QueueStats`] what it has. [`crate::QualityOfService`] is the way to ask for it.

use std::collections::BTreeMap;

use base::{DpPort, Timestamp};

use crate::DpError;

/// Keys with their values, as `other_config` has them.
pub type Settings = BTreeMap<String, String>;

/// A type of QoS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum QosKind {
    /// tc-netem(8).
    Netem,
    /// tc-fq_codel(8).
    FqCodel,
    /// tc-codel(8).
    Codel,
    /// tc-hfsc(8), with a class for each queue.
    Hfsc,
    /// The port is left as it is, for other programs to set up.
    Noop,
    /// tc-sfq(8).
    Sfq,
    /// tc-htb(8), with a class for each queue.
    Htb,
    /// One token bucket.
    EgressPolicer,
    /// RFC 4115, for each queue and for all together.
    TrtcmPolicer,
}

/// Classes of the kernel have numbers of 16 bits, of which some are reserved.
const KERNEL_QUEUES: u32 = 0xf000;

impl QosKind {
    /// All of them, in the order in which they are listed to operators.
    pub const ALL: [QosKind; 9] = [
        QosKind::Netem,
        QosKind::FqCodel,
        QosKind::Codel,
        QosKind::Hfsc,
        QosKind::Noop,
        QosKind::Sfq,
        QosKind::Htb,
        QosKind::EgressPolicer,
        QosKind::TrtcmPolicer,
    ];

    /// The kind of this name.
    pub fn named(name: &str) -> Option<QosKind> {
        QosKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// As `QoS.type` has it.
    pub const fn name(self) -> &'static str {
        match self {
            QosKind::Netem => "linux-netem",
            QosKind::FqCodel => "linux-fq_codel",
            QosKind::Codel => "linux-codel",
            QosKind::Hfsc => "linux-hfsc",
            QosKind::Noop => "linux-noop",
            QosKind::Sfq => "linux-sfq",
            QosKind::Htb => "linux-htb",
            QosKind::EgressPolicer => "egress-policer",
            QosKind::TrtcmPolicer => "trtcm-policer",
        }
    }

    /// The keys of `QoS.other_config` that it knows.
    pub const fn keys(self) -> &'static [&'static str] {
        match self {
            QosKind::Netem => &["latency", "limit", "loss", "jitter"],
            QosKind::FqCodel => &["target", "limit", "interval", "flows", "quantum"],
            QosKind::Codel => &["target", "limit", "interval"],
            QosKind::Hfsc | QosKind::Htb => &["max-rate"],
            QosKind::Noop => &[],
            QosKind::Sfq => &["perturb", "quantum"],
            QosKind::EgressPolicer => &["cir", "cbs"],
            QosKind::TrtcmPolicer => &["cir", "cbs", "eir", "ebs"],
        }
    }

    /// The keys of `Queue.other_config` that it knows.
    pub const fn queue_keys(self) -> &'static [&'static str] {
        match self {
            QosKind::Htb => &["min-rate", "max-rate", "burst", "priority"],
            QosKind::Hfsc => &["min-rate", "max-rate"],
            QosKind::TrtcmPolicer => &["cir", "cbs", "eir", "ebs"],
            QosKind::Netem
            | QosKind::FqCodel
            | QosKind::Codel
            | QosKind::Noop
            | QosKind::Sfq
            | QosKind::EgressPolicer => &[],
        }
    }

    /// Whether what is not said is taken from the link: its MTU and its rate.
    pub const fn depends_on_link(self) -> bool {
        match self {
            QosKind::Htb | QosKind::Hfsc | QosKind::Sfq => true,
            QosKind::Netem
            | QosKind::FqCodel
            | QosKind::Codel
            | QosKind::Noop
            | QosKind::EgressPolicer
            | QosKind::TrtcmPolicer => false,
        }
    }

    /// Queues have lower numbers than this; 0: it has none.
    pub const fn queue_limit(self) -> u32 {
        match self {
            QosKind::Htb | QosKind::Hfsc => KERNEL_QUEUES,
            // Beside 0 and what rules may name.
            QosKind::TrtcmPolicer => u32::MAX,
            QosKind::Netem
            | QosKind::FqCodel
            | QosKind::Codel
            | QosKind::Noop
            | QosKind::Sfq
            | QosKind::EgressPolicer => 0,
        }
    }
}

/// What a port is asked to do with frames that it sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Qos {
    /// How.
    pub kind: QosKind,
    /// For all frames.
    pub settings: Settings,
    /// For those of each queue. Queue 0 is there whether it is named or not.
    pub queues: BTreeMap<u32, Settings>,
}

/// How much a port takes at most of what comes in. A rate of 0 is no limit, a burst of 0 the usual one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Policing {
    /// Kilobits per second.
    pub kbits_rate: u32,
    /// Kilobits.
    pub kbits_burst: u32,
    /// Thousands of packets per second.
    pub kpkts_rate: u32,
    /// Thousands of packets.
    pub kpkts_burst: u32,
}

/// A setting that is in force: what operators see of it.
pub type Detail = (&'static str, String);

/// What is in force at a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QosState {
    /// How frames are handled.
    pub kind: QosKind,
    /// The settings with their defaults.
    pub details: Vec<Detail>,
    /// The same for each queue.
    pub queues: BTreeMap<u32, Vec<Detail>>,
}

/// What a queue has counted. What nobody counts is `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueueStats {
    /// Bytes that were sent.
    pub bytes: Option<u64>,
    /// Packets that were sent.
    pub packets: Option<u64>,
    /// Packets that were dropped.
    pub errors: Option<u64>,
    /// Since when there is the queue.
    pub created: Option<Timestamp>,
}

/// A datapath whose ports can be asked for quality of service.
pub trait QualityOfService {
    /// What the port can be asked for.
    ///
    /// # Errors
    /// There is no such port.
    fn qos_kinds(&self, port: DpPort) -> Result<Vec<QosKind>, DpError>;

    /// Sets a port up, or for `None` as a port is by itself. What is so already is left alone.
    ///
    /// # Errors
    /// All that could not be done, each for the log. What could is in force; the next call tries the rest again.
    fn set_qos(&self, port: DpPort, wanted: Option<&Qos>) -> Result<(), Vec<String>>;

    /// What is in force.
    ///
    /// # Errors
    /// There is no such port.
    fn qos(&self, port: DpPort) -> Result<Option<QosState>, DpError>;

    /// What the queues of a port have counted, by their numbers.
    ///
    /// # Errors
    /// There is no such port, or the kernel does not answer.
    fn queue_stats(&self, port: DpPort) -> Result<BTreeMap<u32, QueueStats>, DpError>;

    /// Limits what comes in.
    ///
    /// # Errors
    /// There is no such port, or it has no limits.
    fn set_policing(&self, port: DpPort, limits: Policing) -> Result<(), DpError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_its_name() {
        for kind in QosKind::ALL {
            assert_eq!(QosKind::named(kind.name()), Some(kind));
            assert_eq!(kind.queue_limit() == 0, kind.queue_keys().is_empty(), "{kind:?}");
        }
        assert_eq!(QosKind::named("linux-other"), None);
    }
}
