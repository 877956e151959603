//! Requests about which options of tunnels are which fields: each bridge has its mappings, and the datapath reads those of all.

use dp::{TunnelOption, TunnelSettings};
use ofp::{OfError, TlvTableMod};
use pipeline::BridgeId;

use crate::Manager;
use crate::handle::Answer;

impl Manager {
    pub(crate) fn change_tunnel_options(&mut self, bridge: BridgeId, request: &TlvTableMod) -> Answer {
        let (datapath, all) = {
            let mut switch = self.switch.write();
            let Some(datapath) = switch.get(bridge).map(ofproto::Bridge::datapath) else {
                return Ok(Vec::new());
            };
            let of_others =
                switch.bridges().filter(|other| other.datapath() == datapath && other.id() != bridge);
            let mut all: Vec<TunnelOption> =
                of_others.flat_map(|other| other.tunnel_options().iter_read().copied()).collect();
            let Some(state) = switch.get_mut(bridge) else { return Ok(Vec::new()) };
            let after = state.tunnel_options().changed(request, &all)?;
            let gone = state.tunnel_options().fields() & !after.fields();
            if state.uses_tunnel_options(gone) {
                return Err(OfError::NxttmfcInvalidTlvDel);
            }
            all.extend(after.iter_read().copied().filter(|new| !all.contains(new)).collect::<Vec<_>>());
            state.set_tunnel_options(after);
            (datapath, all)
        };
        if let Some(below) = self.datapaths.get(datapath) {
            let settings = (*below.datapath.tunnel_settings()).clone();
            below.datapath.set_tunnel_settings(TunnelSettings { options: all, ..settings });
        }
        Ok(Vec::new())
    }
}
