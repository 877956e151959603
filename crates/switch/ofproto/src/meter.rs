//! A meter.

use base::Timestamp;
use ofp::MeterConfig;

/// A meter.
#[derive(Clone, Debug)]
pub struct Meter {
    pub config: MeterConfig,
    /// Its number in the datapath, which all bridges share.
    pub number: u32,
    pub created: Timestamp,
}
