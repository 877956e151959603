//! A tracker as slow and as plain as can be, which knows what RFC 9293 and RFC 5382 say of connections and nothing of how the
//! other one works: a list of connections, each with what every side has sent, acknowledged and allowed, as whole numbers that
//! never wrap.

use wire::tcp::{ACK, FIN, RST, SYN};

/// A segment between two hosts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) is_reply: bool,
    pub(super) flags: u16,
    /// The number of its first byte, counted from the sender's first number.
    pub(super) sequence: u64,
    /// The number of the next byte that it expects, counted likewise from the other's first number.
    pub(super) acknowledgment: u64,
    pub(super) len: u64,
}

/// What hosts that keep to the standard can be said to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expected {
    /// Nothing but first segments were seen.
    New,
    /// Both sides have spoken.
    Established,
}

/// What one host has done.
#[derive(Clone, Copy, Debug, Default)]
struct Host {
    has_spoken: bool,
    /// Behind its last byte, SYN and FIN included.
    end: u64,
    /// It has sent its FIN at this number.
    fin: Option<u64>,
    /// The other host's bytes that it has acknowledged.
    acknowledged: u64,
}

/// One connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Literal {
    hosts: [Host; 2],
    is_reset: bool,
}

impl Literal {
    /// What a segment is that hosts which keep to the standard have sent. Losses and repetitions change nothing of that: each
    /// was sent once as it is.
    pub(super) fn see(&mut self, sent: &Sent) -> Expected {
        let index = usize::from(sent.is_reply);
        let is_first_syn = sent.flags & (SYN | ACK) == SYN;
        let host = &mut self.hosts[index];
        host.has_spoken = true;
        let counted = u64::from(sent.flags & SYN != 0) + u64::from(sent.flags & FIN != 0);
        host.end = host.end.max(sent.sequence + sent.len + counted);
        if sent.flags & FIN != 0 {
            host.fin = Some(sent.sequence + sent.len);
        }
        if sent.flags & ACK != 0 {
            host.acknowledged = host.acknowledged.max(sent.acknowledgment);
        }
        self.is_reset |= sent.flags & RST != 0;
        if is_first_syn { Expected::New } else { Expected::Established }
    }

    /// Whether all of it is over: reset, or both have said that they end and were heard.
    pub(super) fn is_over(&self) -> bool {
        let [a, b] = &self.hosts;
        let is_heard = |of: &Host, by: &Host| of.fin.is_some_and(|fin| by.acknowledged > fin);
        self.is_reset || is_heard(a, b) && is_heard(b, a)
    }

    /// Whether both sides were acknowledged.
    pub(super) fn is_open(&self) -> bool {
        self.hosts.iter().all(|host| host.has_spoken && host.acknowledged > 0)
    }
}

/// What a tracker knows of hosts that send each other packets which do not depend on one another.
#[derive(Clone, Debug)]
pub(super) struct Datagrams(Vec<Talk>);

#[derive(Clone, Copy, Debug, Default)]
struct Talk {
    is_known: bool,
    is_answered: bool,
}

/// What a packet between such hosts is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Met {
    /// It begins a connection, or goes on with one that nobody has answered.
    New,
    /// It belongs to one that both sides know.
    Established,
    /// Nobody has asked.
    Unasked,
}

impl Datagrams {
    /// So many pairs of hosts that have not spoken yet.
    pub(super) fn between(pairs: usize) -> Datagrams {
        Datagrams(vec![Talk::default(); pairs])
    }

    /// A packet of a pair.
    pub(super) fn see(&mut self, pair: usize, is_reply: bool) -> Met {
        let talk = &mut self.0[pair];
        if is_reply && !talk.is_known {
            return Met::Unasked;
        }
        talk.is_known = true;
        talk.is_answered |= is_reply;
        if talk.is_answered { Met::Established } else { Met::New }
    }

    /// Whether there is a connection that an error can be about.
    pub(super) fn is_known(&self, pair: usize) -> bool {
        self.0[pair].is_known
    }

    /// How many connections there are.
    pub(super) fn count(&self) -> usize {
        self.0.iter().filter(|talk| talk.is_known).count()
    }

    /// Time passes in which nobody speaks, until all is over.
    pub(super) fn forget(&mut self) {
        self.0.fill(Talk::default());
    }
}
