//! Multicast of IP where the bridge knows who listens (RFC 4541): NORMAL forwards it to them instead of to all.

use std::net::Ipv4Addr;

use base::MacAddr;
use dp::{DropReason, SlowPath};
use flow::{FlowKey, frag, slot};
use wire::membership::{Membership, Message, Unreadable, Version, igmp, mapped, mld, read};
use wire::protocol::{ICMPV6, IGMP};

use crate::context::Context;
use crate::effects::Effect;
use crate::receivers::{Receivers, Snooped};
use crate::state::{Bundle, BundleId};
use crate::vlan::Tags;

const IPV4: u16 = 0x0800;

/// What a packet to a group is.
enum Kind {
    /// Who listens is said by it: everybody's packet is looked at.
    Membership,
    /// Somebody asks who listens, or it is another message of these protocols, by its name.
    Other(&'static str),
    /// To the group of all hosts or routers on the link.
    Local,
    /// To this group.
    Data(u128),
}

/// Why a port gets a packet, in the words of traces.
#[derive(Clone, Copy)]
enum Why {
    Member,
    Router,
    Flood,
    Report,
}

impl Why {
    fn forwarding(self) -> &'static str {
        match self {
            Why::Member => "forwarding to mcast group port",
            Why::Router => "forwarding to mcast router port",
            Why::Flood => "forwarding to mcast flood port",
            Why::Report => "forwarding report to mcast flagged port",
        }
    }

    fn input_port(self) -> &'static str {
        match self {
            Why::Member => "mcast group port is input port, dropping",
            Why::Router => "mcast router port is input port, dropping",
            Why::Flood => "mcast flood port is input port, dropping",
            Why::Report => "mcast port is input port, dropping the Report",
        }
    }

    fn unknown_port(self) -> &'static str {
        match self {
            Why::Member => "mcast group port is unknown, dropping",
            Why::Router => "mcast router port is unknown, dropping",
            Why::Flood => "mcast flood port is unknown, dropping",
            Why::Report => "mcast port is unknown, dropping the report",
        }
    }

    fn other_vlan(self) -> &'static str {
        match self {
            Why::Member => "mcast group port is on another vlan, dropping",
            Why::Router => "mcast router is on another vlan, dropping",
            Why::Flood => "mcast flood port is on another vlan, dropping",
            Why::Report => "mcast port is on another vlan, dropping the Report",
        }
    }
}

/// The group that a packet of IP is sent to.
fn group_of(key: &FlowKey) -> u128 {
    if key.dl_type() == IPV4 { mapped(key.nw_dst()) } else { key.ipv6_dst() }
}

/// 224.0.0.0/24 (RFC 4541 §2.1.2).
fn is_local_ipv4(address: u32) -> bool {
    address >> 8 == 0xe00000
}

/// All hosts on the link, ff02::1.
const ALL_HOSTS: u128 = 0xff02 << 112 | 1;

impl Context<'_> {
    /// Whether the packet is one that goes only to those who listen.
    pub(crate) fn is_for_listeners(&self) -> bool {
        let (key, destination) = (&self.packet.key, self.packet.key.dl_dst());
        self.walk.bridge.snoops_multicast()
            && destination.is_multicast()
            && destination != MacAddr::BROADCAST
            && key.is_ip()
    }

    /// Forwards such a packet.
    pub(crate) fn forward_to_listeners(
        &mut self,
        in_bundle: Option<&Bundle>,
        vlan: u16,
        tags: Tags,
        is_last: bool,
    ) {
        let in_id = in_bundle.map(|bundle| bundle.id);
        let kind = self.multicast_kind();
        if let (Kind::Membership | Kind::Other(_), Some(bundle)) = (&kind, in_bundle) {
            let bridge = self.walk.bridge.id();
            self.out.effects.push(Effect::Snoop(Snooped { bridge, vlan, port: bundle.id }));
            self.explain_snooping(bundle, vlan);
        }
        let group = match kind {
            Kind::Membership => {
                let receivers = self.walk.bridge.receivers(vlan, 0);
                let mut targets = self.routers(&receivers, in_id, tags);
                // RFC 4541 §2.1.1: hosts that hear each other's reports would not send their own.
                self.choose(Why::Report, &receivers.report_ports, in_id, tags, &mut targets);
                return self.output_to_bundles(&targets, tags, is_last);
            }
            Kind::Other(why) => {
                self.detail(|| why.to_owned());
                return self.flood_bundles(in_id, tags, is_last);
            }
            Kind::Local => {
                self.detail(|| "RFC4541: section 2.1.2, item 2, flooding".to_owned());
                return self.flood_bundles(in_id, tags, is_last);
            }
            Kind::Data(group) => group,
        };
        let receivers = self.walk.bridge.receivers(vlan, group);
        let targets = match &receivers.members {
            Some(members) => {
                let mut targets = Vec::new();
                self.choose(Why::Member, members, in_id, tags, &mut targets);
                self.choose(Why::Flood, &receivers.flood_ports, in_id, tags, &mut targets);
                targets.extend(self.routers(&receivers, in_id, tags));
                targets
            }
            None if receivers.floods_unregistered => {
                self.detail(|| "unregistered multicast, flooding".to_owned());
                return self.flood_bundles(in_id, tags, is_last);
            }
            None => {
                let mut targets = self.routers(&receivers, in_id, tags);
                self.choose(Why::Flood, &receivers.flood_ports, in_id, tags, &mut targets);
                targets
            }
        };
        self.output_to_bundles(&targets, tags, is_last);
    }

    /// Says in the trace of a packet what the bridge learns of who listens.
    fn explain_snooping(&mut self, bundle: &Bundle, vlan: u16) {
        let Some(packet) = self.request.packet.filter(|_| self.out.record.is_on()) else { return };
        let place = format!("on port {} in VLAN {vlan}", bundle.name);
        let message = match read(packet) {
            Ok(message) => message,
            Err(Unreadable::Other) => return,
            Err(error) => return self.detail(|| format!("multicast snooping received {error} {place}")),
        };
        let (bridge, id) = (self.walk.bridge, bundle.id);
        let general = bridge.receivers(vlan, 0);
        if general.flood_ports.contains(&id) {
            return;
        }
        let source = self.packet.key.nw_src();
        let report = match message {
            Message::Query { has_source } if has_source && !general.routers.contains(&id) => {
                let from = if source == 0 { "" } else { &format!("from {} is ", Ipv4Addr::from(source)) };
                return self.detail(|| format!("multicast snooping query {from}{place}"));
            }
            Message::Query { .. } => return,
            Message::Report(report) => report,
        };
        let is_news = |change: &Membership| {
            let members = bridge.receivers(vlan, change.group).members;
            match change.listens {
                true => members.is_none() && !general.routers.contains(&id),
                false => {
                    let is_member = members.is_some_and(|members| members.contains(&id));
                    is_member && !general.report_ports.contains(&id)
                }
            }
        };
        let changes: Vec<Membership> = report.filter(is_news).collect();
        match (report.version, &changes[..]) {
            (_, []) => {}
            (Version::Igmp1 | Version::Igmp2, [change, ..]) => {
                let what = if change.listens { "learned that" } else { "leaving" };
                let group = Ipv4Addr::from(change.group as u32);
                self.detail(|| format!("multicast snooping {what} {group} is {place}"));
            }
            (Version::Igmp3 | Version::Mld1 | Version::Mld2, _) => {
                self.detail(|| format!("multicast snooping processed {} addresses {place}", changes.len()));
            }
        }
    }

    fn multicast_kind(&mut self) -> Kind {
        let (key, mask) = (&self.packet.key, &mut self.out.mask);
        mask.add_all(slot::NW_PROTO);
        let (is_ipv4, protocol) = (key.dl_type() == IPV4, key.nw_proto());
        if is_ipv4 && protocol == IGMP || !is_ipv4 && protocol == ICMPV6 {
            // A later fragment has no type.
            let is_later = key.nw_frag() & frag::LATER != 0;
            if !is_later {
                mask.add_all(slot::TP_SRC);
            }
            let message = if is_later { 0 } else { key.tp_src() as u8 };
            let kind = match (is_ipv4, message) {
                (true, message) if igmp::is_membership(message) => Some(Kind::Membership),
                (true, _) => Some(Kind::Other("multicast traffic, flooding")),
                (false, mld::QUERY) => Some(Kind::Other("MLD query, flooding")),
                (false, message) if mld::is_mld(message) => Some(Kind::Membership),
                (false, _) => None,
            };
            if let Some(kind) = kind {
                // Each of them is looked at, so that who says again that they listen is not forgotten.
                self.out.slow = self.out.slow.with(SlowPath::ACTION);
                return kind;
            }
        }
        let is_local = if is_ipv4 {
            mask.add_all(slot::NW_DST);
            is_local_ipv4(key.nw_dst())
        } else {
            mask.add_all(slot::IPV6_DST);
            key.ipv6_dst() == ALL_HOSTS
        };
        if is_local { Kind::Local } else { Kind::Data(group_of(key)) }
    }

    fn routers(&mut self, receivers: &Receivers, in_id: Option<BundleId>, tags: Tags) -> Vec<BundleId> {
        let mut targets = Vec::new();
        self.choose(Why::Router, &receivers.routers, in_id, tags, &mut targets);
        for _ in 0..receivers.routers_elsewhere {
            self.detail(|| Why::Router.other_vlan().to_owned());
        }
        targets
    }

    /// Adds to `targets` those of `ports` that the packet may go to.
    fn choose(
        &mut self,
        why: Why,
        ports: &[BundleId],
        in_id: Option<BundleId>,
        tags: Tags,
        targets: &mut Vec<BundleId>,
    ) {
        let bridge = self.walk.bridge;
        for id in ports {
            let Some(bundle) = bridge.bundle(*id) else {
                self.warning(|| why.unknown_port().to_owned());
                continue;
            };
            if bundle.vlan.looks_at_inner_tag(tags) {
                self.out.mask.add_all(slot::VLAN1_TCI);
            }
            if Some(*id) == in_id {
                self.detail(|| why.input_port().to_owned());
            } else if !bundle.vlan.includes(tags) {
                self.detail(|| why.other_vlan().to_owned());
            } else if !self.takes_mirrors(bridge, *id) {
                self.detail(|| why.forwarding().to_owned());
                targets.push(*id);
            }
        }
    }

    /// Each gets the packet once, for however many reasons it is there.
    fn output_to_bundles(&mut self, targets: &[BundleId], tags: Tags, is_last: bool) {
        let bridge = self.walk.bridge;
        if targets.is_empty() {
            self.lost(DropReason::NoListener);
        }
        let is_first = |place: usize, id: &BundleId| !targets[..place].contains(id);
        let once = targets.iter().enumerate().filter(|(place, id)| is_first(*place, id));
        let mut bundles = once.filter_map(|(_, id)| bridge.bundle(*id)).peekable();
        while let Some(bundle) = bundles.next() {
            self.output_to_bundle(bundle, tags, is_last && bundles.peek().is_none());
        }
    }
}
