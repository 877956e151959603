//! A peer's messages as they came.
//!
//! Messages that came together stay together in memory, and each is decoded when it is its turn: a decoded flow-mod is ten
//! times as long as its bytes. Whoever keeps a message, to quote it in an error, keeps all that came with it.

use std::sync::Arc;

/// How much of a message an error can quote.
const QUOTED: usize = 65_535 - 24;

/// One message.
#[derive(Clone, Debug)]
pub struct Received {
    /// The messages that came together.
    together: Arc<[u8]>,
    /// Where this one begins, and how long it is.
    start: u32,
    length: u32,
}

impl Received {
    /// A message among those that came together, of which `start` and `length` are less than [`u32::MAX`].
    pub(crate) fn of(together: &Arc<[u8]>, start: usize, length: usize) -> Received {
        Received { together: Arc::clone(together), start: start as u32, length: length as u32 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        let start = self.start as usize;
        self.together.get(start..start + self.length as usize).unwrap_or_default()
    }

    /// What errors about it quote.
    pub(crate) fn quoted(&self) -> Vec<u8> {
        let bytes = self.bytes();
        bytes.get(..QUOTED).unwrap_or(bytes).to_vec()
    }

    pub(crate) fn xid(&self) -> u32 {
        ofp::message_xid(self.bytes()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_its_own_part() {
        let together: Arc<[u8]> = [vec![4, 20, 0, 8, 0, 0, 0, 7], vec![9; 65_530]].concat().into();
        let first = Received::of(&together, 0, 8);
        assert_eq!((first.bytes().len(), first.xid()), (8, 7));
        assert_eq!(first.quoted(), first.bytes());
        let second = Received::of(&together, 8, 65_530);
        assert_eq!((second.bytes()[0], second.quoted().len()), (9, 65_511));
        assert!(Received::of(&together, 8, 70_000).bytes().is_empty());
    }
}
