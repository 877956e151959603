//! Who captures frames: packet sockets of the network namespace that take all
//! kinds of frames, and so those that links send too.

use std::collections::HashSet;
use std::io;

/// The links that somebody listens to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listeners {
    /// Somebody listens to all links.
    everywhere: bool,
    links: HashSet<u32>,
}

impl Listeners {
    /// Those of this thread's network namespace, without the sockets whose numbers are `own`.
    pub fn read(own: &HashSet<u64>) -> io::Result<Listeners> {
        Ok(Listeners::parse(&std::fs::read_to_string("/proc/thread-self/net/packet")?, own))
    }

    /// Whether somebody listens to this link.
    pub fn hear(&self, ifindex: u32) -> bool {
        self.everywhere || self.links.contains(&ifindex)
    }

    /// From `/proc/net/packet`: socket, references, type, protocol, link, and more, the last the socket's number.
    fn parse(text: &str, own: &HashSet<u64>) -> Listeners {
        let mut listeners = Listeners::default();
        for line in text.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let protocol = words.nth(3).and_then(|word| u32::from_str_radix(word, 16).ok());
            let link = words.next().and_then(|word| word.parse().ok());
            let socket = words.next_back().and_then(|word| word.parse().ok());
            let (Some(protocol), Some(link), Some(socket)) = (protocol, link, socket) else {
                // What cannot be read may be a listener to anything.
                listeners.everywhere = true;
                continue;
            };
            if protocol != libc::ETH_P_ALL as u32 || own.contains(&socket) {
                continue;
            }
            match link {
                0 => listeners.everywhere = true,
                link => _ = listeners.links.insert(link),
            }
        }
        listeners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n";

    fn heard(lines: &str) -> Listeners {
        Listeners::parse(&format!("{HEADING}{lines}"), &HashSet::from([100]))
    }

    #[test]
    fn own_sockets_and_those_of_one_kind_of_frame_do_not_count() {
        let quiet = heard(
            "0000000000000000 3      3    0003   7     1 0      0      100   \n\
             0000000000000000 3      3    88cc   7     1 0      0      101   \n\
             0000000000000000 3      3    0000   7     0 0      0      102   \n",
        );
        assert_eq!(quiet, Listeners::default());
        assert_eq!(heard(""), Listeners::default());
    }

    #[test]
    fn a_capture_counts_for_its_link_or_for_all() {
        let one = heard("0000000000000000 3      3    0003   7     1 0      0      103   \n");
        assert!(one.hear(7) && !one.hear(8));
        let all = heard("0000000000000000 3      2    0003   0     1 0      0      104   \n");
        assert!(all.hear(7) && all.hear(8));
        assert!(heard("what is this\n").hear(7));
    }

    #[test]
    fn the_kernels_list_can_be_read() {
        Listeners::read(&HashSet::new()).unwrap();
    }

    #[test]
    fn a_socket_that_captures_is_heard_unless_it_is_ones_own() {
        use crate::{socket, testing};
        if !testing::in_own_namespace() {
            return;
        }
        let socket = socket::packet_socket().unwrap();
        assert!(!Listeners::read(&HashSet::new()).unwrap().hear(1), "it captures nothing yet");
        socket::bind(&socket, 1, libc::ETH_P_ALL as u16).unwrap();
        let own = HashSet::from([socket::inode(&socket).unwrap()]);
        let others = Listeners::read(&HashSet::new()).unwrap();
        assert!(others.hear(1) && !others.hear(2));
        assert!(!Listeners::read(&own).unwrap().hear(1));
        socket::bind(&socket, 0, libc::ETH_P_ALL as u16).unwrap();
        assert!(Listeners::read(&HashSet::new()).unwrap().hear(2), "it captures on all links");
    }
}
