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
    /// An empty pool.
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
        copy.sums.clone_from(&packet.sums);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn room(packet: &Packet) -> usize {
        packet.headroom() + packet.len() + packet.tailroom()
    }

    #[test]
    fn a_buffer_is_used_again_and_is_empty_then() {
        let mut pool = Pool::new();
        let mut packet = pool.small();
        packet.append(&[1; 100]);
        packet.metadata.recirc_id = 7;
        packet.offload.checksum = Some((14, 6));
        let place = packet.bytes().as_ptr();
        pool.give_back(packet);
        let again = pool.small();
        assert_eq!((again.bytes().as_ptr(), again.len(), again.headroom()), (place, 0, dp::HEADROOM));
        assert_eq!(again.metadata.recirc_id, 0);
        assert!(again.offload.is_none());
    }

    #[test]
    fn small_and_large_buffers_are_kept_apart() {
        let mut pool = Pool::new();
        let (small, large) = (pool.small(), pool.large());
        assert!(small.tailroom() >= SMALL && large.tailroom() >= LARGE);
        pool.give_back(large);
        pool.give_back(small);
        assert!(room(&pool.small()) < LARGE);
        assert!(room(&pool.large()) >= LARGE);
    }

    #[test]
    fn a_buffer_that_is_too_small_is_not_kept() {
        let mut pool = Pool::new();
        pool.give_back(Packet::with_capacity(100));
        assert!(pool.small().tailroom() >= SMALL);
    }

    #[test]
    fn no_more_buffers_are_kept_than_are_needed() {
        let mut pool = Pool::new();
        for _ in 0..KEEP_SMALL + 10 {
            pool.give_back(Packet::with_capacity(SMALL));
        }
        for _ in 0..KEEP_LARGE + 10 {
            pool.give_back(Packet::with_capacity(LARGE));
        }
        assert_eq!((pool.small.len(), pool.large.len()), (KEEP_SMALL, KEEP_LARGE));
    }

    #[test]
    fn a_copy_has_all_of_the_packet() {
        let mut pool = Pool::new();
        for len in [60, SMALL + 1] {
            let mut packet = Packet::with_capacity(len);
            packet.append(&vec![9; len]);
            packet.metadata.skb_priority = 3;
            packet.offload.checksum = Some((14, 6));
            packet.trunc = Some(40);
            let copy = pool.copy(&packet);
            assert_eq!((copy.bytes(), &copy.metadata), (packet.bytes(), &packet.metadata));
            assert_eq!((copy.offload, copy.trunc), (packet.offload, Some(40)));
        }
    }
}
