//! `ct` and what belongs to it: the packet goes to connection tracking, and a copy of it goes on with what that says.

use std::sync::Arc;

use base::TableId;
use dp::NatKind;
use flow::{FlowKey, FlowMask, Slot, ct_state, slot};
use ofp::{Action, Ct, Nat, NatRange, ZoneSource};

use crate::commit::commit;
use crate::context::Context;
use crate::frozen::{Fork, Frozen};
use crate::state::Rule;
use crate::translate::Lookup;

const FTP: u16 = 21;
const TFTP: u16 = 69;

/// What `exec` may set.
const MARKS: [Slot; 2] = [slot::CT_MARK, slot::CT_LABEL];

impl Context<'_> {
    pub(super) fn conntrack(&mut self, ct: &Ct) {
        let zone = self.zone(ct.zone);
        commit(&mut self.packet, &mut self.out);
        let set = self.marks_to_set(&ct.actions);
        let nat = ct.actions.iter().rev().find_map(nat_of);
        let timeout = (ct.commit && self.walk.bridge.capabilities().conntrack.timeout)
            .then(|| self.walk.bridge.timeout_policy(zone).map(Box::from))
            .flatten();
        let helper = self.helper(ct.alg);
        self.out.actions.push(dp::Action::Ct(Box::new(dp::Conntrack {
            commit: ct.commit && !ct.force,
            force: ct.force,
            zone,
            mark: set[0].map(|(value, mask)| (value as u32, mask as u32)),
            label: set[1],
            helper,
            timeout,
            nat: nat.map(translated),
        })));
        if let Some(table) = ct.recirc_table {
            self.packet.conntracked = true;
            self.fork(TableId(table), zone, nat);
        }
        self.packet.clear_conntrack();
        self.detail(|| {
            "Sets the packet to an untracked state, and clears all the conntrack fields.".to_owned()
        });
    }

    fn zone(&mut self, source: ZoneSource) -> u16 {
        match source {
            ZoneSource::Immediate(zone) => zone,
            ZoneSource::Field(source) => {
                // What a packet brings from its tunnel is part of the state that it comes back with.
                if self.request.key.recirc_id() == 0 || !source.field.is_tunnel() {
                    source.add_to_mask(&mut self.out.mask);
                }
                source.read(&self.packet.key) as u16
            }
        }
    }

    /// Runs the actions in `exec`; the value and mask of what they set of each of [`MARKS`].
    ///
    /// What is set does not depend on what the packet has, unless it is moved from there.
    fn marks_to_set(&mut self, actions: &[Action]) -> [Option<(u128, u128)>; 2] {
        let before = MARKS.map(|place| self.out.mask.bits(place));
        for place in MARKS {
            self.out.mask.set_bits(place, 0);
        }
        self.run_actions(actions, false);
        let set = MARKS.map(|place| {
            let mask = self.out.mask.bits(place);
            (mask != 0).then(|| (self.packet.key.read(place) & mask, mask))
        });
        for (place, bits) in MARKS.into_iter().zip(before) {
            self.out.mask.set_bits(place, bits);
        }
        for action in actions {
            if let Action::RegMove(copy) = action
                && MARKS.contains(&copy.source.field.slot())
            {
                copy.source.add_to_mask(&mut self.out.mask);
            }
        }
        set
    }

    fn helper(&mut self, port: u16) -> Option<Box<str>> {
        match port {
            0 => None,
            FTP => Some("ftp".into()),
            TFTP => Some("tftp".into()),
            other => {
                self.fault(|| format!("cannot serialize ct_helper {other}"));
                None
            }
        }
    }

    /// Has a copy of the packet looked up in `table` when its connection is known.
    fn fork(&mut self, table: TableId, zone: u16, nat: Option<&Nat>) {
        let state = self.state_now();
        let id = self.freeze_as(Frozen { table, lookup: Some(table), ..state });
        self.out.actions.push(dp::Action::Recirc(id));
        if self.out.record.is_on() {
            let mut key = self.packet.key.clone();
            key.set_recirc_id(id);
            key.set_ct_zone(zone);
            self.out.forks.push(Fork { key, nat: nat.copied() });
        }
        self.detail(|| {
            let table = table.0;
            format!(
                "A clone of the packet is forked to recirculate. The forked pipeline will be resumed at table {table}."
            )
        });
    }

    /// `ct_clear`.
    pub(super) fn forget_connection(&mut self) {
        if !self.packet.conntracked {
            return;
        }
        self.packet.clear_conntrack();
        if self.walk.bridge.capabilities().conntrack.clear {
            self.out.actions.push(dp::Action::CtClear);
        }
    }

    /// Looks the packet up as if it were the first one of its connection, of the same direction, and runs what it finds
    /// on the packet as it is.
    pub(super) fn lookup_by_original(&mut self, lookup: &Lookup) {
        let key = &self.packet.key;
        if key.ct_nw_proto() == 0 || !key.is_ip() {
            return self.fault(|| "resubmit(ct) with non-tracked or non-IP packet!".to_owned());
        }
        self.out.mask.add(slot::CT_STATE, ct_state::TRACKED.into());
        self.run_found(lookup, Context::look_up_by_original);
    }

    fn look_up_by_original(&mut self, lookup: &Lookup) -> Option<Arc<Rule>> {
        let pairs: &[(Slot, Slot)] = if self.packet.key.dl_type() == 0x0800 { &TUPLE_V4 } else { &TUPLE_V6 };
        swap(&mut self.packet.key, &mut self.out.mask, pairs);
        let rule = self.look_up(lookup);
        swap(&mut self.packet.key, &mut self.out.mask, pairs);
        rule
    }
}

/// Where a packet has what connection tracking has of its connection's first packet.
const TUPLE_V4: [(Slot, Slot); 5] = [
    (slot::NW_PROTO, slot::CT_NW_PROTO),
    (slot::NW_SRC, slot::CT_NW_SRC),
    (slot::NW_DST, slot::CT_NW_DST),
    (slot::TP_SRC, slot::CT_TP_SRC),
    (slot::TP_DST, slot::CT_TP_DST),
];
const TUPLE_V6: [(Slot, Slot); 5] = [
    TUPLE_V4[0],
    (slot::IPV6_SRC, slot::CT_IPV6_SRC),
    (slot::IPV6_DST, slot::CT_IPV6_DST),
    TUPLE_V4[3],
    TUPLE_V4[4],
];

fn swap(key: &mut FlowKey, mask: &mut FlowMask, pairs: &[(Slot, Slot)]) {
    for &(one, other) in pairs {
        let (value, bits) = (key.read(one), mask.bits(one));
        key.write(one, key.read(other));
        key.write(other, value);
        mask.set_bits(one, mask.bits(other));
        mask.set_bits(other, bits);
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are not nat")]
fn nat_of(action: &Action) -> Option<&Nat> {
    match action {
        Action::Nat(nat) => Some(nat),
        _ => None,
    }
}

/// `nat` in the datapath's words. Without a kind, all else has no meaning.
fn translated(nat: &Nat) -> dp::Nat {
    let kind = match (nat.source, nat.destination) {
        (true, _) => NatKind::Source,
        (false, true) => NatKind::Destination,
        (false, false) => return dp::Nat::default(),
    };
    let range = match nat.range {
        NatRange::None => None,
        NatRange::V4 { min, max } => {
            let (min, max) = (u32::from(min), max.map_or(0, u32::from));
            Some(dp::NatRange::V4(min, if max > min { max } else { 0 }))
        }
        NatRange::V6 { min, max } => {
            let (min, max) = (u128::from(min), max.map_or(0, u128::from));
            Some(dp::NatRange::V6(min, if max > min { max } else { 0 }))
        }
    };
    let first = nat.min_port.filter(|_| range.is_some()).unwrap_or(0);
    let last = nat.max_port.filter(|last| *last > first).unwrap_or(first);
    dp::Nat {
        kind: Some(kind),
        range,
        ports: if first == 0 { (0, 0) } else { (first, last) },
        persistent: nat.persistent,
        hash: nat.hash,
        random: nat.random && !nat.hash,
    }
}
