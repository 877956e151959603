//! Mirrors: copies go where they should, as the reference's do, and no mirror makes a loop.

use end_to_end::{Programs, can_watch};

use super::frames::{BROADCAST, Heard, Lan, frame, mac};
use super::pages;

/// Sets a mirror up, in place of any other.
fn mirror(lan: &Lan, columns: &str) {
    lan.set(&format!(
        "-- clear bridge br0 mirrors -- --id=@p1 get port p1 -- --id=@p2 get port p2 -- --id=@p4 get port p4 \
         -- --id=@m create mirror name=m {columns} -- set bridge br0 mirrors=@m"
    ));
}

/// How many frames a guest has heard that contain `digits`.
fn count(heard: &Heard, guest: usize, digits: &str) -> usize {
    heard.iter().filter(|((who, frame), _)| *who == guest && frame.contains(digits)).map(|(_, n)| n).sum()
}

#[test]
fn copies_are_those_of_the_reference() {
    if !can_watch() {
        return;
    }
    let mut all = Vec::new();
    for programs in [Programs::Ours, Programs::Reference] {
        let lan = Lan::new(programs);
        let mut heard = Vec::new();
        // Guests are known before.
        for guest in 1..=3 {
            lan.send(guest, &[&frame(BROADCAST, &mac(guest), &[], 0)], 3);
        }
        let (to_two, to_one) = (frame(&mac(2), &mac(1), &[], 1), frame(&mac(1), &mac(2), &[], 2));
        let tagged = frame(&mac(2), &mac(1), &["8100600a"], 3);
        let mut play = |columns: &str, expected: usize| {
            mirror(&lan, columns);
            let mut some = lan.send(1, &[&to_two], expected);
            some.extend(lan.send(2, &[&to_one], expected));
            heard.push(some);
        };
        play("select_all=true output_port=@p4", 2);
        play("select_src_port=@p1 output_port=@p4", 1);
        play("select_dst_port=@p1 output_port=@p4", 1);
        play("select_src_port=@p1 select_dst_port=@p1 snaplen=20 output_port=@p4", 2);
        play("select_src_port=@p1,@p2 select_dst_port=@p1,@p2 output_port=@p4", 2);
        assert_eq!(
            heard.iter().map(|some| some.keys().filter(|(who, _)| *who == 4).count()).collect::<Vec<_>>(),
            [2, 1, 1, 2, 2],
            "{programs:?}: copies"
        );
        // A VLAN, by its number.
        mirror(&lan, "select_all=true select_vlan=10 output_port=@p4");
        let some = lan.send(1, &[&to_two, &tagged], 3);
        assert_eq!((count(&some, 4, "0101"), count(&some, 4, "0303")), (0, 1), "{programs:?}");
        heard.push(some);
        // RSPAN: copies travel in a VLAN of their own, through ports that carry it.
        mirror(&lan, "select_src_port=@p1 output_vlan=99");
        lan.switch
            .vsctl("set port p3 trunks=99 -- set port p4 tag=99 -- set port p2 tag=7 -- set port p1 tag=7");
        lan.send(2, &[&frame(BROADCAST, &mac(2), &[], 0)], 1);
        let some = lan.send(1, &[&to_two], 3);
        assert_eq!((count(&some, 3, "81000063"), count(&some, 4, "0101")), (1, 1), "{programs:?}: {some:?}");
        heard.push(some);
        all.push(heard);
    }
    assert_eq!(all[0], all[1]);
}

#[test]
fn nothing_comes_in_by_the_port_that_copies_leave_by() {
    if !can_watch() {
        return;
    }
    for programs in [Programs::Ours, Programs::Reference] {
        let lan = Lan::new(programs);
        mirror(&lan, "select_all=true output_port=@p4");
        let heard = lan.send(4, &[&frame(BROADCAST, &mac(4), &[], 9)], 0);
        assert_eq!(heard, Heard::new(), "{programs:?}");
        assert!(!lan.switch.appctl("fdb/show br0").contains("02:00:00:00:00:04"), "{programs:?}");
    }
}

#[test]
fn the_page_on_mirrors_works_as_it_says() {
    if !can_watch() {
        return;
    }
    let lan = Lan::new(Programs::Ours);
    for guest in 1..=2 {
        lan.send(guest, &[&frame(BROADCAST, &mac(guest), &[], 0)], 3);
    }
    pages::type_all("mirrors.md", &lan.host, &lan.switch);
    // The page ends with a mirror of all packets that are in VLAN 7.
    let heard = lan.send(1, &[&frame(&mac(2), &mac(1), &[], 5)], 2);
    assert_eq!(count(&heard, 4, "0505"), 0, "{heard:?}");
}
