//! Flow-mods as bridges carry them out.

use std::sync::Arc;

use base::{OfPort, TableId};
use flow::{Slot, SparseKey, SparseMatch};
use ofp::{Action, FlowFlags, FlowMod, FlowModCommand, OfError};

use crate::bridge::Bridge;
use crate::entry::Criteria;

/// A flow-mod as it is kept until it is carried out: with the match sparse, and what other rules have too shared, so
/// that a million of them may wait in a bundle. The fields are those of [`FlowMod`].
#[derive(Clone, Debug)]
pub struct FlowRequest {
    pub command: FlowModCommand,
    pub(crate) modify_cookie: bool,
    pub(crate) table: u8,
    pub(crate) flags: FlowFlags,
    pub(crate) priority: u16,
    pub(crate) idle_timeout: u16,
    pub(crate) hard_timeout: u16,
    pub(crate) importance: u16,
    pub(crate) out_port: OfPort,
    pub(crate) out_group: u32,
    pub(crate) cookie: u64,
    pub(crate) cookie_mask: u64,
    pub(crate) new_cookie: u64,
    pub(crate) matching: SparseMatch,
    pub(crate) actions: Arc<[Action]>,
}

impl Bridge {
    /// A request as it is kept. What the bridge's rules have already, it shares with them.
    pub fn flow_request(&self, request: &FlowMod) -> FlowRequest {
        let empty = self.tunnel_options().iter().filter(|option| option.len == 0);
        let empty = empty.map(|option| Slot::tun_metadata_value(option.field.into()));
        let named: Vec<Slot> = empty.filter(|&place| request.m.mask.bits(place) != 0).collect();
        let mask = if named.is_empty() {
            self.common.mask(&request.m.mask)
        } else {
            // Of an option without data, that it is there is all that can be matched.
            let mut mask = request.m.mask.clone();
            named.iter().for_each(|&place| mask.set_bits(place, 0));
            self.common.mask(&mask)
        };
        FlowRequest::of(request, mask, self.common.actions(&request.actions))
    }
}

impl From<&FlowMod> for FlowRequest {
    /// Sharing nothing with others.
    fn from(request: &FlowMod) -> FlowRequest {
        FlowRequest::of(request, Arc::new(SparseKey::from(&request.m.mask)), request.actions.clone().into())
    }
}

impl FlowRequest {
    fn of(request: &FlowMod, mask: Arc<SparseKey>, actions: Arc<[Action]>) -> FlowRequest {
        FlowRequest {
            command: request.command,
            modify_cookie: request.modify_cookie,
            table: request.table,
            flags: request.flags,
            priority: request.priority,
            idle_timeout: request.idle_timeout,
            hard_timeout: request.hard_timeout,
            importance: request.importance,
            out_port: request.out_port,
            out_group: request.out_group,
            cookie: request.cookie,
            cookie_mask: request.cookie_mask,
            new_cookie: request.new_cookie,
            matching: SparseMatch::with_mask(&request.m.key, mask),
            actions,
        }
    }

    /// The rules that a request to modify or to delete is about.
    pub(crate) fn criteria(&self) -> Result<Criteria, OfError> {
        if self.table != TableId::ALL.0 && usize::from(self.table) >= TableId::COUNT {
            return Err(OfError::OfpbrcBadTableId);
        }
        let deletes = self.command.is_delete();
        Ok(Criteria {
            table: TableId(self.table),
            matching: self.matching.clone(),
            strict_priority: self.command.is_strict().then_some(i32::from(self.priority)),
            cookie: self.cookie,
            cookie_mask: self.cookie_mask,
            out_port: if deletes { self.out_port } else { OfPort::ANY },
            out_group: if deletes { self.out_group } else { ofp::GROUP_ANY },
            include_hidden: false,
        })
    }
}
