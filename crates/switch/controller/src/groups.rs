//! Requests about groups and meters.

use ofp::{GroupCommand, GroupMod, Message, MeterMod, OfError, Version, meter_flag};
use ofproto::{GroupChange, Meter, MeterChange};
use pipeline::BridgeId;

use crate::channel::PeerId;
use crate::manager::Manager;

/// What other controllers must know to be told of a group request: before
/// OpenFlow 1.5 there are no requests about single buckets, so they are told
/// of the whole group.
#[derive(Debug, Default)]
pub(crate) struct GroupForms {
    buckets: Option<Vec<ofp::Bucket>>,
    kind: Option<ofp::GroupType>,
    existed: bool,
}

impl GroupForms {
    pub(crate) fn of(_: &GroupMod, change: &GroupChange) -> GroupForms {
        let buckets =
            |group: &pipeline::Group| group.buckets.iter().map(|bucket| bucket.desc.clone()).collect();
        GroupForms {
            buckets: change.new.as_deref().map(buckets),
            kind: change.new.as_ref().map(|group| group.kind),
            existed: !change.old.is_empty(),
        }
    }

    /// The request as a controller of `version` knows it.
    pub(crate) fn for_version(&self, message: &Message, version: Version) -> Message {
        let Message::GroupMod(request) = message else { return message.clone() };
        let mut told = request.clone();
        let knows_buckets = version == Version::Of10 || version >= Version::Of15;
        match request.command {
            GroupCommand::AddOrMod => {
                told.command = if self.existed { GroupCommand::Modify } else { GroupCommand::Add };
            }
            GroupCommand::InsertBucket | GroupCommand::RemoveBucket if !knows_buckets => {
                told.command = GroupCommand::Modify;
                told.kind = self.kind.unwrap_or(told.kind);
                told.buckets = self.buckets.clone().unwrap_or_default();
            }
            GroupCommand::Add
            | GroupCommand::Modify
            | GroupCommand::Delete
            | GroupCommand::InsertBucket
            | GroupCommand::RemoveBucket => {}
        }
        Message::GroupMod(told)
    }
}

impl Manager {
    pub(crate) fn group_mod(&mut self, id: PeerId, xid: u32, request: &GroupMod) -> Result<(), OfError> {
        let Some(bridge) = self.peers.get(&id).map(|peer| peer.bridge) else { return Ok(()) };
        let now = self.clock.now();
        if request.command == GroupCommand::Delete {
            // Counters that messages about the end of rules tell must be whole.
            self.credit(bridge);
        }
        let change = self.switch.group_mod(bridge, request, now)?;
        self.tell_rule_changes(bridge, &change.rules, Some((id, xid)), now);
        let forms = GroupForms::of(request, &change);
        self.forward_request(id, xid, &Message::GroupMod(request.clone()), &forms);
        Ok(())
    }

    pub(crate) fn meter_mod(&mut self, id: PeerId, xid: u32, request: &MeterMod) -> Result<(), OfError> {
        let Some(bridge) = self.peers.get(&id).map(|peer| peer.bridge) else { return Ok(()) };
        let now = self.clock.now();
        let change = self.switch.meter_mod(bridge, request, now)?;
        self.set_meters(bridge, &change);
        self.tell_rule_changes(bridge, &change.rules, Some((id, xid)), now);
        self.forward_request(id, xid, &Message::MeterMod(request.clone()), &GroupForms::default());
        Ok(())
    }

    /// Brings the datapath's meters in line.
    pub(crate) fn set_meters(&self, bridge: BridgeId, change: &MeterChange) {
        if let Some(meter) = &change.set
            && let Some(below) = self.below(bridge)
            && let Err(e) = below.datapath.set_meter(meter.number, Some(datapath_meter(meter)))
        {
            log::warn!(target: "ofproto_dpif", "meter {} could not be set up: {e}", meter.config.meter);
        }
        self.forget_meters(bridge, &change.removed);
    }

    /// Removes meters from the datapath, and frees their numbers.
    pub(crate) fn forget_meters(&self, bridge: BridgeId, meters: &[Meter]) {
        let below = self.below(bridge);
        for meter in meters {
            if let Some(below) = &below
                && let Err(e) = below.datapath.set_meter(meter.number, None)
            {
                log::warn!(target: "ofproto_dpif", "meter {} could not be removed: {e}", meter.config.meter);
            }
            self.switch.write().give_back_meter(meter.number);
        }
    }
}

fn datapath_meter(meter: &Meter) -> dp::Meter {
    let config = &meter.config;
    let has_burst = config.flags & meter_flag::BURST != 0;
    let bands = config
        .bands
        .iter()
        .map(|band| dp::MeterBand { rate: band.rate, burst: if has_burst { band.burst_size } else { 0 } });
    dp::Meter { is_pktps: config.flags & meter_flag::PKTPS != 0, bands: bands.collect() }
}
