//! A connection that is kept.

use std::sync::Arc;

use base::Timestamp;

use crate::key::{Direction, Key};
use crate::policy::Policy;
use crate::stage::Stage;
use crate::state::State;
use crate::zones::Admission;

/// Which address of packets of the original direction is translated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Translated {
    /// The source, and in replies the destination.
    Source,
    /// The destination, and in replies the source.
    Destination,
}

impl Translated {
    /// The same for packets of the other direction.
    #[must_use]
    pub const fn reversed(self) -> Translated {
        match self {
            Translated::Source => Translated::Destination,
            Translated::Destination => Translated::Source,
        }
    }
}

/// A protocol whose messages announce further connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Helper {
    /// FTP (RFC 959, RFC 2428).
    Ftp,
    /// TFTP (RFC 1350).
    Tftp,
}

impl Helper {
    /// The name by which rules ask for it.
    pub const fn name(self) -> &'static str {
        match self {
            Helper::Ftp => "ftp",
            Helper::Tftp => "tftp",
        }
    }
}

/// By how much sequence numbers of one direction are shifted, because messages became longer or shorter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Skew {
    pub(crate) by: i32,
    pub(crate) of: Direction,
}

/// What is kept of a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// As packets of the original direction name it when they come to the tracker.
    pub(crate) original: Key,
    /// As replies do.
    pub(crate) reply: Key,
    pub(crate) label: u128,
    pub(crate) mark: u32,
    pub(crate) expires: Timestamp,
    pub(crate) state: State,
    pub(crate) translated: Option<Translated>,
    /// The number of its entry among the [`crate::table`]'s aliases; 0 when it has none.
    pub(crate) alias: u32,
    pub(crate) helper: Option<Helper>,
    pub(crate) skew: Option<Skew>,
    /// The connection that announced this one.
    pub(crate) parent: Option<Box<Key>>,
    pub(crate) policy: Option<Arc<Policy>>,
    /// Held until the connection goes.
    pub(crate) _admission: Option<Admission>,
}

impl Connection {
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires
    }

    pub(crate) fn live_on(&mut self, stage: Stage, now: Timestamp) {
        let seconds =
            self.policy.as_ref().map_or_else(|| stage.default_seconds(), |policy| policy.seconds(stage));
        self.expires = now + std::time::Duration::from_secs(u64::from(seconds));
    }

    pub(crate) fn key(&self, direction: Direction) -> &Key {
        match direction {
            Direction::Original => &self.original,
            Direction::Reply => &self.reply,
        }
    }
}
