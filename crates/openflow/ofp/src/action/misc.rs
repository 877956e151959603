//! Actions on the packet's way through the tables, and the rest.

use base::OfPort;
use fields::Subfield;

/// `resubmit(PORT,TABLE[,ct])`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Resubmit {
    /// The port to pretend; `OfPort::IN_PORT` keeps it.
    pub in_port: OfPort,
    /// `None` is the current table.
    pub table: Option<u8>,
    /// Look up with the connection's original direction addresses.
    pub with_ct_orig: bool,
    /// Whether it has the form without a table.
    pub short: bool,
}

/// `conjunction(ID,K/N)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Conjunction {
    pub id: u32,
    /// From 0.
    pub clause: u8,
    pub n_clauses: u8,
}

/// `fin_timeout(...)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FinTimeout {
    pub idle: u16,
    pub hard: u16,
}

/// `check_pkt_larger(LEN)->SUBFIELD`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CheckPktLarger {
    pub length: u16,
    pub destination: Subfield,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum SampleDirection {
    Default = 0,
    Ingress = 1,
    Egress = 2,
}

/// A number of a sample: given, or read from the packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SampleSource {
    Immediate(u32),
    Field(Subfield),
}

/// `sample(...)`: IPFIX sampling.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sample {
    pub probability: u16,
    pub collector_set_id: u32,
    pub obs_domain: SampleSource,
    pub obs_point: SampleSource,
    pub sampling_port: OfPort,
    pub direction: SampleDirection,
    /// Which of the four forms it came in (1 to 4).
    pub form: u8,
}
