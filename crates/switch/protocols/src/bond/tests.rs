//! Bonds of two members.

use super::*;

const A: OfPort = OfPort(1);
const B: OfPort = OfPort(2);

fn settings(mode: BondMode) -> Settings {
    Settings {
        mode,
        up_delay: 0,
        down_delay: 0,
        rebalance_interval: 10_000,
        basis: 0,
        primary: None,
        all_members_active: false,
        falls_back: false,
        is_balanced_below: false,
        last_active: MacAddr::ZERO,
    }
}

fn member(number: u8) -> MemberSettings {
    MemberSettings { name: format!("p{number}"), mac: MacAddr([2, 0, 0, 0, 0, number]), has_link: true }
}

fn bond(settings: Settings) -> Bond {
    let mut bond = Bond::new("bond", 7, settings, 0);
    bond.set_members(&[(A, member(1)), (B, member(2))].into());
    bond.run(LacpStatus::Off, |_| true, 0);
    bond
}

fn run(bond: &mut Bond, now: i64) {
    bond.run(LacpStatus::Off, |_| true, now);
}

#[test]
fn one_member_has_all_and_the_other_one_takes_over() {
    let mut bond = bond(settings(BondMode::ActiveBackup));
    assert_eq!(bond.shared().state().active, Some(A));
    assert!(bond.take_announcement(), "others learn where addresses are");
    bond.set_link(A, false);
    run(&mut bond, 1);
    assert_eq!((bond.shared().state().active, bond.shared().state().enabled.clone()), (Some(B), vec![B]));
    assert!(bond.take_announcement() && !bond.take_announcement());
    bond.set_link(A, true);
    run(&mut bond, 2);
    assert_eq!(bond.shared().state().active, Some(B), "it stays while it works");
    bond.set_link(A, false);
    bond.set_link(B, false);
    run(&mut bond, 3);
    assert_eq!(bond.shared().state().active, None);
}

#[test]
fn the_primary_takes_over_when_it_comes_back() {
    let mut bond = bond(Settings { primary: Some("p2".to_owned()), ..settings(BondMode::ActiveBackup) });
    assert_eq!(bond.shared().state().active, Some(B));
    bond.set_link(B, false);
    run(&mut bond, 1);
    bond.set_link(B, true);
    run(&mut bond, 2);
    assert_eq!(bond.shared().state().active, Some(B));
}

#[test]
fn the_member_that_was_preferred_before_a_restart_is_again() {
    let bond = bond(Settings { last_active: member(2).mac, ..settings(BondMode::ActiveBackup) });
    assert_eq!(bond.shared().state().active, Some(B));
}

#[test]
fn links_have_to_stay_as_they_are_for_the_delays() {
    let delays = Settings { up_delay: 1000, down_delay: 500, ..settings(BondMode::ActiveBackup) };
    let mut bond = bond(delays);
    bond.set_link(A, false);
    run(&mut bond, 100);
    assert_eq!(bond.wakes_at(), 600);
    run(&mut bond, 599);
    assert_eq!(bond.shared().state().active, Some(A));
    bond.set_link(A, true);
    run(&mut bond, 599);
    run(&mut bond, 5000);
    assert_eq!(bond.shared().state().active, Some(A), "it came back in time");
    bond.set_link(A, false);
    run(&mut bond, 6000);
    run(&mut bond, 6500);
    assert_eq!(bond.shared().state().active, Some(B));
    bond.set_link(A, true);
    run(&mut bond, 7000);
    assert_eq!(bond.shared().state().enabled, [B]);
    // When none is left, nobody waits.
    bond.set_link(B, false);
    run(&mut bond, 7100);
    run(&mut bond, 7600);
    assert_eq!((bond.shared().state().active, bond.shared().state().enabled.clone()), (Some(A), vec![A]));
}

#[test]
fn a_protocol_may_keep_a_member_out() {
    let mut bond = bond(settings(BondMode::ActiveBackup));
    bond.run(LacpStatus::Off, |port| port == B, 1);
    assert_eq!(bond.shared().state().enabled, [B]);
}

#[test]
fn parts_of_the_packets_are_spread_over_those_that_work() {
    let mut bond = bond(settings(BondMode::BalanceSlb));
    let count =
        |bond: &Bond, port| bond.shared().state().buckets.iter().filter(|m| **m == Some(port)).count();
    assert_eq!((count(&bond, A), count(&bond, B)), (128, 128));
    bond.set_link(A, false);
    run(&mut bond, 1);
    assert_eq!((count(&bond, A), count(&bond, B)), (0, 256));
}

#[test]
fn load_is_moved_until_members_have_about_the_same() {
    let mut bond = bond(settings(BondMode::BalanceSlb));
    let of = |bond: &Bond, port| -> Vec<u8> {
        let buckets = bond.shared().state().buckets.clone();
        (0..=u8::MAX).filter(|bucket| buckets[usize::from(*bucket)] == Some(port)).collect()
    };
    let load =
        |bond: &Bond, of: &[u8]| of.iter().for_each(|bucket| bond.shared().count(*bucket, 1, 1_000_000));
    let on_a = of(&bond, A);
    load(&bond, &on_a[..20]);
    run(&mut bond, 9999);
    assert_eq!(of(&bond, A), on_a, "it is not time yet");
    run(&mut bond, 10_000);
    let left = of(&bond, A).iter().filter(|bucket| on_a[..20].contains(bucket)).count();
    assert_eq!(left, 10);
    assert_eq!(bond.wakes_at(), 20_000);
    // A single stream is not moved to and fro.
    let after = of(&bond, A);
    bond.shared().count(after[0], 1, 50_000_000);
    run(&mut bond, 20_000);
    assert!(of(&bond, A).contains(&after[0]) || of(&bond, A).len() < after.len());
}

#[test]
fn packets_are_not_shared_without_the_neighbour_that_has_to_agree() {
    let mut bond = bond(settings(BondMode::BalanceTcp));
    let key = flow::FlowKey::new();
    let member = |bond: &Bond| bond.shared().state().member_for(key.dl_src(), 0);
    assert_eq!(member(&bond), None, "balance-tcp takes LACP");
    bond.run(LacpStatus::Configured, |_| true, 1);
    assert_eq!(member(&bond), None);
    bond.run(LacpStatus::Negotiated, |_| true, 2);
    assert!(member(&bond).is_some());
    bond.configure(Settings { falls_back: true, ..settings(BondMode::BalanceTcp) }, 3);
    bond.run(LacpStatus::Configured, |_| true, 3);
    assert_eq!(member(&bond), Some(A), "one has all meanwhile");
    assert!(bond.take_announcement());
}

#[test]
fn operators_may_choose() {
    let mut bond = bond(settings(BondMode::BalanceSlb));
    assert_eq!(bond.prefer("p2"), Ok("done".to_owned()));
    assert_eq!(bond.prefer("p2"), Ok("no change".to_owned()));
    assert_eq!(bond.prefer("p3"), Err("no such member".to_owned()));
    assert_eq!(bond.migrate("7", "p2"), Ok("migrated".to_owned()));
    assert_eq!(bond.migrate("x", "p2"), Err("bad hash".to_owned()));
    bond.publish();
    assert_eq!(bond.shared().state().buckets[7], Some(B));
    assert_eq!(bond.force("p1", false), Ok("disabled".to_owned()));
    assert_eq!(bond.migrate("7", "p1"), Err("cannot migrate to disabled member".to_owned()));
    assert_eq!(bond.prefer("p1"), Err("cannot make disabled member active".to_owned()));
    bond.configure(settings(BondMode::ActiveBackup), 1);
    assert_eq!(bond.migrate("7", "p2"), Err("not an SLB bond".to_owned()));
}

#[test]
fn what_is_shown_is_worded_as_operators_know_it() {
    let mut bond = bond(settings(BondMode::BalanceSlb));
    bond.take_news();
    let expected = "---- bond ----\nbond_mode: balance-slb\nbond may use recirculation: no, Recirc-ID : -1\n\
                    bond-hash-basis: 0\nlb_output action: disabled, bond-id: -1\nall members active: false\n\
                    updelay: 0 ms\ndowndelay: 0 ms\nnext rebalance: 9000 ms\nlacp_status: off\n\
                    lacp_fallback_ab: false\nactive-backup primary: <none>\n\
                    active member mac: 02:00:00:00:00:01(p1)\n\nmember p1: enabled\n  active member\n  \
                    may_enable: true\n\nmember p2: enabled\n  may_enable: true\n\n";
    assert_eq!(bond.details(1000), expected);
    assert_eq!(bond.line(), "bond\tbalance-slb\t0\tp1, p2\n");
}

#[test]
fn packets_are_left_to_the_datapath_when_it_knows_the_members_and_not_before_or_after() {
    let asked = Settings { is_balanced_below: true, ..settings(BondMode::BalanceTcp) };
    let mut bond = Bond::new("bond", 7, asked.clone(), 0);
    bond.set_members(&[(A, member(1)), (B, member(2))].into());
    let run = |bond: &mut Bond, now| bond.run(LacpStatus::Negotiated, |_| true, now);
    run(&mut bond, 0);
    assert_eq!((bond.shared().state().balancer, bond.known_as()), (None, None));
    let (id, parts) = bond.take_parts().unwrap();
    assert_eq!((id, &parts, bond.known_as()), (7, &bond.shared().state().buckets, Some(7)));
    assert!(run(&mut bond, 1), "packets are forwarded otherwise");
    assert_eq!((bond.shared().state().balancer, bond.take_parts()), (Some(7), None));
    assert!(bond.details(1).contains("lb_output action: enabled, bond-id: 7\n"));

    bond.count(&[0, 2048]);
    bond.settings.rebalance_interval = 10;
    run(&mut bond, 20_000);
    let shown = bond.details(20_000);
    assert!(shown.contains("  hash 1: "), "what the datapath counted is load: {shown}");

    bond.configure(asked.clone(), 20_001);
    run(&mut bond, 20_001);
    let (_, parts) = bond.take_parts().expect("ports may have other numbers in the datapath");
    bond.set_link(A, false);
    run(&mut bond, 20_002);
    run(&mut bond, 20_003);
    let (_, without_a) = bond.take_parts().unwrap();
    assert!(parts.contains(&Some(A)) && without_a.iter().all(|member| *member == Some(B)));

    bond.configure(Settings { is_balanced_below: false, ..asked }, 20_004);
    assert!(run(&mut bond, 20_004));
    assert_eq!((bond.shared().state().balancer, bond.known_as()), (None, Some(7)), "it still knows them");
    assert_eq!((bond.take_parts(), bond.known_as()), (Some((7, Vec::new())), None));
    assert_eq!(bond.take_parts(), None);
}
