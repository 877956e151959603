//! Ends that exchange messages over a link that a test can cut.

use super::*;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

fn settings(mpid: u64) -> Settings {
    Settings {
        mpid,
        interval_ms: 100,
        is_extended: false,
        demand: false,
        is_up: true,
        vlan: Vlan::Id(0),
        pcp: 0,
        check_tunnel_key: false,
    }
}

fn extended(mpid: u64) -> Settings {
    Settings { is_extended: true, interval_ms: 300, ..settings(mpid) }
}

/// Ends on one link, the time, and what each receives otherwise.
struct Link {
    ends: Vec<Session>,
    now: i64,
    is_cut: bool,
    traffic: u64,
}

impl Link {
    fn new(settings: Vec<Settings>) -> Link {
        let ends = settings.into_iter().map(|settings| Session::new("p", settings, 0, 0)).collect();
        Link { ends, now: 0, is_cut: false, traffic: 0 }
    }

    fn run(&mut self, ms: i64) {
        let end = self.now + ms;
        while self.now < end {
            for from in 0..self.ends.len() {
                if self.ends[from].wakes_at() > self.now {
                    continue;
                }
                let traffic = self.traffic;
                self.ends[from].run(|| traffic, self.now);
                let Some(frame) = self.ends[from].frame(MAC, self.now) else { continue };
                for to in (0..self.ends.len()).filter(|to| *to != from && !self.is_cut) {
                    self.ends[to].receive(&frame, self.now);
                }
            }
            self.now += 1;
        }
    }

    fn up(&self) -> Vec<bool> {
        self.ends.iter().map(Session::is_up).collect()
    }

    fn faults(&self, end: usize) -> String {
        self.ends[end].faults().names().collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn ends_that_hear_each_other_are_well_and_notice_a_cut() {
    let mut link = Link::new(vec![settings(1), settings(2)]);
    link.run(2000);
    assert_eq!(link.up(), [true; 2]);
    assert_eq!(link.ends[0].status().remotes, [2]);
    link.is_cut = true;
    // Three intervals and a half, and up to as long again until that is over.
    link.run(701);
    assert_eq!((link.up(), link.faults(0)), (vec![false; 2], "recv".to_owned()));
    link.is_cut = false;
    link.run(2000);
    assert_eq!(link.up(), [true; 2]);
    assert_eq!(link.ends[0].status().flaps, 2);
}

#[test]
fn who_is_not_heard_learns_it_from_the_others() {
    let mut link = Link::new(vec![settings(1), settings(2)]);
    link.run(2000);
    // The second one's messages are lost.
    for _ in 0..2000 {
        link.now += 1;
        let now = link.now;
        link.ends[0].run(|| 0, now);
        link.ends[1].run(|| 0, now);
        if let Some(frame) = link.ends[0].frame(MAC, now) {
            link.ends[1].receive(&frame, now);
        }
    }
    assert_eq!((link.faults(0), link.faults(1)), ("recv".to_owned(), "rdi".to_owned()));
}

#[test]
fn an_end_that_hears_itself_is_at_fault() {
    let mut link = Link::new(vec![settings(1), settings(1)]);
    link.run(1000);
    assert_eq!(link.faults(0), "loopback");
}

#[test]
fn others_associations_are_a_fault() {
    let mut link = Link::new(vec![settings(1), settings(2)]);
    link.run(1000);
    let mut frame = link.ends[1].frame(MAC, link.now + 100).unwrap();
    frame[14 + 12] = b'x';
    link.ends[0].receive(&frame, link.now);
    link.run(350);
    assert_eq!(link.faults(0), "maid");
}

#[test]
fn in_extended_mode_ends_say_whether_they_are_to_be_used() {
    let mut link = Link::new(vec![extended(1 << 40), extended(7)]);
    link.run(4000);
    assert_eq!((link.up(), link.ends[1].status().remotes), (vec![true; 2], vec![1 << 40]));
    let now = link.now;
    link.ends[0].configure(Settings { is_up: false, ..extended(1 << 40) }, 0, now);
    link.run(4000);
    assert_eq!(link.up(), [true, false]);
    assert_eq!(link.ends[1].status().is_remote_up, Some(false));
    assert_eq!(link.faults(1), "");
}

#[test]
fn with_demand_other_traffic_stands_for_messages() {
    let demanding = |mpid| Settings { demand: true, ..extended(mpid) };
    let mut link = Link::new(vec![demanding(1), demanding(2)]);
    link.run(8000);
    link.is_cut = true;
    for _ in 0..100 {
        link.traffic += 10;
        link.run(100);
    }
    assert_eq!(link.up(), [true; 2]);
    link.run(4000);
    assert_eq!(link.up(), [false; 2], "nothing comes any more");
}

#[test]
fn health_is_the_part_of_the_messages_that_come() {
    let mut link = Link::new(vec![settings(1), settings(2)]);
    assert_eq!(link.ends[0].status().health, Health::Undefined);
    link.run(350 * 14);
    assert_eq!(link.ends[0].status().health, Health::Percent(100));
    let mut three = Link::new(vec![settings(1), settings(2), settings(3)]);
    three.run(350 * 14);
    assert_eq!((three.ends[0].status().health, three.up()), (Health::Undefined, vec![true; 3]));
    assert_eq!(three.ends[0].status().remotes, [2, 3]);
}

#[test]
fn neighbours_are_bounded() {
    let mut session = Session::new("p", extended(1), 0, 0);
    for mpid in 2..1000 {
        let mut other = Session::new("q", extended(mpid), 0, 0);
        session.receive(&other.frame(MAC, 0).unwrap(), 0);
    }
    session.run(|| 0, 2000);
    assert_eq!(session.remotes.len(), MOST_REMOTES);
    assert_eq!(session.faults().names().collect::<Vec<_>>(), ["overflow"]);
}

#[test]
fn intervals_are_the_standards_but_for_extended_mode() {
    let of = |is_extended, interval_ms| Settings { is_extended, interval_ms, ..settings(1) }.interval();
    assert_eq!((of(false, 1000), of(false, 1500), of(false, 1)), ((4, 1000), (4, 1000), (1, 3)));
    assert_eq!((of(true, 1000), of(true, 1500), of(true, 100_000)), ((4, 1000), (0, 1500), (0, 65_535)));
    let valid = |mpid, is_extended| Settings { is_extended, ..settings(mpid) }.is_valid();
    assert!(valid(1, false) && valid(8191, false) && valid(8192, true));
    assert!(!valid(0, true) && !valid(8192, false));
}

#[test]
fn a_frame_has_the_tag_that_is_asked_for() {
    let frame =
        |vlan, pcp| Session::new("p", Settings { vlan, pcp, ..settings(5) }, 0, 0).frame(MAC, 0).unwrap();
    let plain = frame(Vlan::Id(0), 0);
    assert_eq!((plain.len(), &plain[12..14]), (14 + 75, &[0x89, 0x02][..]));
    assert_eq!(frame(Vlan::Id(7), 3)[12..18], [0x81, 0, 0x60, 7, 0x89, 0x02]);
    let mut other = Session::new("q", settings(6), 0, 0);
    other.receive(&frame(Vlan::Id(7), 3), 0);
    assert!(other.remotes.contains_key(&5));
}

#[test]
fn what_is_no_message_changes_nothing() {
    let mut session = Session::new("p", settings(1), 0, 0);
    let good = Session::new("q", settings(2), 0, 0).frame(MAC, 0).unwrap();
    let mut other_opcode = good.clone();
    other_opcode[15] = 2;
    for bytes in [&[][..], &good[..20], &good[..14 + 73], &other_opcode, &[0xff; 100]] {
        session.receive(bytes, 0);
    }
    assert!(session.remotes.is_empty() && session.seen.is_none());
    session.receive(&good[..14 + 74], 0);
    assert_eq!(session.remotes.len(), 1, "old versions leave the last byte out");
}

#[test]
fn what_is_shown_is_worded_as_operators_know_it() {
    let mut session = Session::new("p", extended(9), 0, 1000);
    session.receive(&Session::new("q", extended(2), 0, 0).frame(MAC, 0).unwrap(), 1000);
    session.force(Some(true));
    let expected = "---- p ----\nMPID 9: extended fault_override\n  fault: override\n  average health: undefined\n  \
                    opstate: up\n  remote_opstate: up\n  interval: 300ms\n  next CCM tx: 0ms\n  \
                    next fault check: 1050ms\nRemote MPID 2\n  recv since check: true\n  opstate: up\n";
    assert_eq!(session.details(1000), expected);
}
