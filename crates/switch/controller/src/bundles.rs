//! Bundles: several changes that come into force together or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use base::Timestamp;
use ofp::{BundleControl, BundleControlType, FlowModCommand, Message, OfError};
use ofproto::{Bridge, Part};

use crate::received::Received;

/// How long a bundle may wait for its next message unless `other_config:bundle-idle-timeout` says otherwise.
pub const DEFAULT_BUNDLE_IDLE: Duration = Duration::from_secs(10);

/// How many bundles, and how many messages in each, one connection may keep open.
const MAX_BUNDLES: usize = 64;
const MAX_MESSAGES: usize = 1_000_000;

/// The open bundles of one connection.
#[derive(Debug, Default)]
pub(crate) struct Bundles {
    open: BTreeMap<u32, Bundle>,
}

/// A bundle.
#[derive(Debug, Default)]
pub(crate) struct Bundle {
    flags: u16,
    is_closed: bool,
    /// When the controller last did something with it.
    used: Timestamp,
    /// The message that opened it, which errors about it quote.
    opened_by: Option<Received>,
    pub entries: Vec<Entry>,
}

/// A change that waits for its bundle.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub part: Part,
    pub received: Received,
}

/// What a control message asks for beyond bookkeeping.
pub(crate) enum Outcome {
    Reply(BundleControl),
    /// The bundle is to be carried out, then this reply sent.
    Commit(Bundle, BundleControl),
}

impl Bundles {
    pub(crate) fn control(
        &mut self,
        request: &BundleControl,
        received: &Received,
        now: Timestamp,
    ) -> Result<Outcome, OfError> {
        let reply = |kind: BundleControlType| BundleControl { kind: kind as u16, flags: 0, ..*request };
        match request.kind {
            0 => {
                if self.open.remove(&request.bundle).is_some() {
                    return Err(OfError::OfpbfcBadId);
                }
                if self.open.len() >= MAX_BUNDLES {
                    return Err(OfError::OfpbfcOutOfBundles);
                }
                let opened_by = Some(received.clone());
                let bundle = Bundle { flags: request.flags, used: now, opened_by, ..Bundle::default() };
                self.open.insert(request.bundle, bundle);
                Ok(Outcome::Reply(reply(BundleControlType::OpenReply)))
            }
            2 => {
                let bundle = self.find(request)?;
                if bundle.is_closed {
                    self.open.remove(&request.bundle);
                    return Err(OfError::OfpbfcBundleClosed);
                }
                bundle.is_closed = true;
                bundle.used = now;
                Ok(Outcome::Reply(reply(BundleControlType::CloseReply)))
            }
            4 => {
                self.find(request)?;
                let bundle = self.open.remove(&request.bundle).ok_or(OfError::OfpbfcBadId)?;
                Ok(Outcome::Commit(bundle, reply(BundleControlType::CommitReply)))
            }
            6 => {
                self.open.remove(&request.bundle).ok_or(OfError::OfpbfcBadId)?;
                Ok(Outcome::Reply(reply(BundleControlType::DiscardReply)))
            }
            _ => Err(OfError::OfpbfcBadType),
        }
    }

    fn find(&mut self, request: &BundleControl) -> Result<&mut Bundle, OfError> {
        let wrong = self.open.get(&request.bundle).is_some_and(|bundle| bundle.flags != request.flags);
        if wrong {
            self.open.remove(&request.bundle);
            return Err(OfError::OfpbfcBadFlags);
        }
        self.open.get_mut(&request.bundle).ok_or(OfError::OfpbfcBadId)
    }

    /// Takes out the bundles with which nothing was done for `idle`; what opened each, and its xid.
    pub(crate) fn expire(&mut self, idle: Duration, now: Timestamp) -> Vec<(u32, Vec<u8>)> {
        let is_due = |bundle: &Bundle| now - bundle.used >= idle;
        let due: Vec<u32> = self.open.iter().filter(|(_, b)| is_due(b)).map(|(id, _)| *id).collect();
        due.into_iter()
            .filter_map(|id| self.open.remove(&id))
            .filter_map(|bundle| bundle.opened_by)
            .map(|message| (message.xid(), message.quoted()))
            .collect()
    }

    /// Keeps a message for its bundle, which is opened if need be.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all others are refused, with an error for their sender"
    )]
    pub(crate) fn add(
        &mut self,
        add: ofp::BundleAdd,
        received: &Received,
        bridge: &Bridge,
        now: Timestamp,
    ) -> Result<(), OfError> {
        let part = match *add.message {
            Message::FlowMod(request) => {
                if request.command == FlowModCommand::Add {
                    ofproto::table_to_add_to(request.table)?;
                }
                Part::Flow(bridge.flow_request(&request))
            }
            Message::GroupMod(request) => Part::Group(Box::new(request)),
            Message::PortMod(request) => Part::Port(request),
            Message::PacketOut(request) => Part::Packet(request),
            _ => return Err(OfError::OfpbfcMsgUnsup),
        };
        if self.open.len() >= MAX_BUNDLES && !self.open.contains_key(&add.bundle) {
            return Err(OfError::OfpbfcOutOfBundles);
        }
        let bundle =
            self.open.entry(add.bundle).or_insert_with(|| Bundle { flags: add.flags, ..Bundle::default() });
        if bundle.is_closed {
            self.open.remove(&add.bundle);
            return Err(OfError::OfpbfcBundleClosed);
        }
        if bundle.flags != add.flags {
            self.open.remove(&add.bundle);
            return Err(OfError::OfpbfcBadFlags);
        }
        if bundle.entries.len() >= MAX_MESSAGES {
            return Err(OfError::OfpbfcBundleInProgress);
        }
        bundle.used = now;
        bundle.opened_by.get_or_insert_with(|| received.clone());
        bundle.entries.push(Entry { part, received: received.clone() });
        Ok(())
    }
}
