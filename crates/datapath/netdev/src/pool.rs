//! Buffers that are used again.

use dp::Packet;

/// Room of a small buffer: a frame of 1500 bytes with tags and what tunnels add.
pub const SMALL: usize = 2048;
/// Room of a large buffer: the largest train and its headers.
pub const LARGE: usize = 65_536 + 256;
/// Buffers of each kind kept for reuse.
const KEEP_SMALL: usize = 256;
const KEEP_LARGE: usize = 64;

/// Empty packets of one worker.
#[derive(Debug, Default)]
pub struct Pool {
    small: Vec<Packet>,
    large: Vec<Packet>,
}

impl Pool {
    pub fn new() -> Pool {
        Pool::default()
    }

    /// An empty packet with room for an ordinary frame.
    #[inline]
    pub fn small(&mut self) -> Packet {
        match self.small.pop() {
            Some(mut packet) => {
                packet.reset(dp::HEADROOM);
                packet
            }
            None => Packet::with_capacity(SMALL),
        }
    }

    /// An empty packet with room for a train.
    pub fn large(&mut self) -> Packet {
        match self.large.pop() {
            Some(mut packet) => {
                packet.reset(dp::HEADROOM);
                packet
            }
            None => Packet::with_capacity(LARGE),
        }
    }

    /// A copy of `packet`.
    pub fn copy(&mut self, packet: &Packet) -> Packet {
        let mut copy = if packet.len() <= SMALL { self.small() } else { self.large() };
        copy.append(packet.bytes());
        copy.metadata = packet.metadata.clone();
        copy.offload = packet.offload;
        copy.rss_hash = packet.rss_hash;
        copy.trunc = packet.trunc;
        copy
    }

    /// Takes a packet that is done with.
    #[inline]
    pub fn give_back(&mut self, packet: Packet) {
        let room = packet.headroom() + packet.len() + packet.tailroom();
        if room >= LARGE {
            if self.large.len() < KEEP_LARGE {
                self.large.push(packet);
            }
        } else if room >= SMALL + dp::HEADROOM && self.small.len() < KEEP_SMALL {
            self.small.push(packet);
        }
    }
}
