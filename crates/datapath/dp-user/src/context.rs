//! What a thread that forwards needs and shares with nobody.

use std::sync::Arc;

use base::DpPort;
use dp::Packet;
use flow::PacketKey;
use netdev::{BATCH, Pool};

use crate::ports::Ports;

pub(crate) struct Context {
    pub(crate) pool: Pool,
    pub(crate) keys: Vec<PacketKey>,
    /// Packets to be looked up anew.
    pub(crate) again: Vec<Packet>,
    outputs: Vec<Vec<Packet>>,
    /// Ports with packets in `outputs`.
    touched: Vec<DpPort>,
    random: u64,
}

impl Context {
    pub(crate) fn new(seed: u64) -> Context {
        Context {
            pool: Pool::new(),
            keys: (0..BATCH).map(|_| PacketKey::new()).collect(),
            again: Vec::new(),
            outputs: Vec::new(),
            touched: Vec::new(),
            random: seed | 1,
        }
    }

    /// Xorshift: enough for sampling.
    pub(crate) fn random(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) as u32
    }

    /// Keeps the packet for `port` until [`Context::flush`].
    #[inline]
    pub(crate) fn queue(&mut self, port: DpPort, packet: Packet) {
        let index = port.0 as usize;
        if self.outputs.len() <= index {
            self.outputs.resize_with(index + 1, Vec::new);
        }
        if let Some(queue) = self.outputs.get_mut(index) {
            if queue.is_empty() {
                self.touched.push(port);
            }
            queue.push(packet);
        }
    }

    /// Sends what is queued; whether a device begins to ask for a lease.
    #[inline]
    pub(crate) fn flush(&mut self, ports: &Arc<Ports>) -> bool {
        let mut is_asking = false;
        while let Some(number) = self.touched.pop() {
            let Some(queue) = self.outputs.get_mut(number.0 as usize) else { continue };
            match ports.get(number) {
                Some(port) => {
                    port.device.send(queue, &mut self.pool);
                    is_asking |= port.device.as_packet().is_some_and(|device| device.lease.begins_to_ask());
                }
                None => queue.drain(..).for_each(|packet| self.pool.give_back(packet)),
            }
        }
        is_asking
    }
}
