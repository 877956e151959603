//! Requests about which options of tunnels are which fields: each bridge has its mappings, and the datapath reads those of all.

use dp::TunnelSettings;
use ofp::{OfError, TlvTableMod};
use pipeline::BridgeId;

use crate::Manager;
use crate::handle::Answer;

impl Manager {
    pub(crate) fn change_tunnel_options(&mut self, bridge: BridgeId, request: &TlvTableMod) -> Answer {
        let mut switch = self.switch.write();
        let Some(state) = switch.get(bridge) else { return Ok(Vec::new()) };
        let datapath = state.datapath();
        let after = state.tunnel_options().changed(request)?;
        let gone = state.tunnel_options().fields() & !after.fields();
        if state.uses_tunnel_options(gone) {
            return Err(OfError::NxttmfcInvalidTlvDel);
        }
        let below = self.datapaths.get(datapath);
        let settings =
            below.as_ref().map(|below| (*below.datapath.tunnel_settings()).clone()).unwrap_or_default();
        let others = switch.bridges().filter(|other| other.datapath() == datapath && other.id() != bridge);
        let all = others.map(ofproto::Bridge::tunnel_options).chain([&after]);
        let options = ofproto::in_datapath(&settings.options, all)?;
        for state in switch.bridges_mut().filter(|other| other.datapath() == datapath) {
            let own = if state.id() == bridge { after.clone() } else { state.tunnel_options().clone() };
            let places = own.places(&options);
            state.set_tunnel_options(own, places);
        }
        drop(switch);
        if let Some(below) = below {
            below.datapath.set_tunnel_settings(TunnelSettings { options, ..settings });
        }
        Ok(Vec::new())
    }
}
