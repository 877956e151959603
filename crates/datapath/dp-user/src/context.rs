//! What a thread that forwards needs and shares with nobody.

use base::{DpPort, Timestamp};
use dp::{DropReason, Drops, Packet};
use flow::PacketKey;
use netdev::{BATCH, Pool};

use crate::part::Counters;
use crate::ports::Ports;
use crate::settling::Settling;

pub(crate) struct Context {
    pub(crate) pool: Pool,
    pub(crate) keys: Vec<PacketKey>,
    /// Packets to be looked up anew.
    pub(crate) again: Vec<Packet>,
    outputs: Vec<Vec<Packet>>,
    /// Ports with packets in `outputs`.
    touched: Vec<DpPort>,
    random: u64,
    drops: Drops,
    /// The place of a flow that the kernel is to forward.
    pub(crate) hot: Option<u32>,
    pub(crate) settling: Settling,
    /// Checksums over IPv4 headers that connection tracking has verified since the last [`Context::flush`].
    pub(crate) verified: u64,
}

base::coverage! {
    /// Connection tracking has verified the checksum over an IPv4 header.
    pub(crate) static VERIFIED = "conntrack_l3csum_checked"
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
            drops: Drops::default(),
            hot: None,
            settling: Settling::default(),
            verified: 0,
        }
    }

    /// Xorshift: enough for sampling.
    pub(crate) fn random(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) as u32
    }

    /// Ends the packet's way.
    #[inline]
    pub(crate) fn drop_packet(&mut self, packet: Packet, reason: DropReason) {
        self.drops.add(reason);
        self.pool.give_back(packet);
    }

    /// Counts a packet that is lost though it is needed no more, or was never whole.
    pub(crate) fn count_drop(&mut self, reason: DropReason) {
        self.drops.add(reason);
    }

    /// How many packets are kept for ports or to be looked up anew.
    pub(crate) fn pending(&self) -> usize {
        self.again.len() + self.outputs.iter().map(Vec::len).sum::<usize>()
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

    /// Sends what is queued and makes drops known; whether a device begins to ask for a lease.
    #[inline]
    pub(crate) fn flush(&mut self, ports: &Ports, counters: &Counters, now: Timestamp) -> bool {
        let (mut is_asking, mut sent, mut batches) = (false, 0, 0);
        while let Some(number) = self.touched.pop() {
            let Some(queue) = self.outputs.get_mut(number.0 as usize) else {
                base::broken!("port {number} was touched and has no queue");
                continue;
            };
            match ports.get(number) {
                Some(port) => {
                    port.device.police_sent(queue, &mut self.pool, now);
                    sent += queue.len() as u64;
                    batches += 1;
                    port.device.send(queue, &mut self.pool);
                    is_asking |= port.device.as_packet().is_some_and(|device| device.needs_help_sending());
                }
                None => {
                    for packet in queue.drain(..) {
                        self.drops.add(DropReason::InvalidPort);
                        self.pool.give_back(packet);
                    }
                }
            }
        }
        self.drops.publish();
        if self.verified > 0 {
            VERIFIED.add(std::mem::take(&mut self.verified));
        }
        counters.sent.add(sent);
        counters.batches.add(batches);
        is_asking
    }
}
