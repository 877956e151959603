//! `dec_ttl`.

use flow::slot;
use ofp::PacketInReason;

use super::Next;
use crate::context::Context;

impl Context<'_> {
    pub(super) fn decrement_ttl(&mut self, controllers: &[u16]) -> Next {
        if !self.packet.key.is_ip() {
            return Next::Go;
        }
        self.out.mask.add_all(slot::NW_TTL);
        self.out.mask.add_all(slot::NW_PROTO);
        let ttl = self.packet.key.nw_ttl();
        if ttl > 1 {
            self.packet.key.set_nw_ttl(ttl - 1);
            return Next::Go;
        }
        for &controller in controllers {
            self.send_to_controller(u16::MAX, PacketInReason::InvalidTtl, controller, &[], 0);
        }
        let version = if self.packet.key.dl_type() == 0x0800 { 4 } else { 6 };
        self.warning(|| format!("IPv{version} decrement TTL exception"));
        Next::Leave
    }
}
