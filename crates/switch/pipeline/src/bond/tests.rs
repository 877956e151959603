use super::*;

const MULTICAST: MacAddr = MacAddr([1, 0, 0x5e, 0, 0, 1]);
const UNICAST: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);

fn state(mode: BondMode, lacp: LacpStatus) -> BondState {
    BondState {
        mode,
        lacp,
        enabled: vec![OfPort(1), OfPort(2)],
        active: Some(OfPort(1)),
        buckets: (0..BUCKETS).map(|bucket| Some(OfPort(1 + bucket as u32 % 2))).collect(),
        ..BondState::default()
    }
}

/// The parts that the reference's `bond/hash` prints.
#[test]
fn addresses_are_hashed_as_in_the_reference() {
    let part = |mac: &str, vlan, basis| mac_hash(mac.parse().unwrap(), vlan, basis) as u8;
    let found = [
        part("02:00:00:00:00:01", 0, 0),
        part("02:00:00:00:00:02", 0, 0),
        part("02:00:00:00:00:01", 7, 0),
        part("02:00:00:00:00:01", 7, 3),
        part("aa:bb:cc:dd:ee:ff", 4095, 4_294_967_295),
    ];
    assert_eq!(found, REFERENCE);
}

const REFERENCE: [u8; 5] = [38, 235, 239, 233, 154];

#[test]
fn backups_receive_nothing() {
    let state = state(BondMode::ActiveBackup, LacpStatus::Off);
    assert_eq!(state.admit(OfPort(1), UNICAST), Verdict::Accept);
    assert_eq!(state.admit(OfPort(2), UNICAST), Verdict::Drop);
}

#[test]
fn with_shared_packets_flooded_frames_are_taken_once() {
    let mut state = state(BondMode::BalanceSlb, LacpStatus::Off);
    assert_eq!(state.admit(OfPort(1), MULTICAST), Verdict::DropIfMoved);
    assert_eq!(state.admit(OfPort(2), MULTICAST), Verdict::Drop);
    assert_eq!(state.admit(OfPort(2), UNICAST), Verdict::DropIfMoved);
    state.all_members_active = true;
    assert_eq!(state.admit(OfPort(2), MULTICAST), Verdict::DropIfMoved);
}

#[test]
fn what_a_neighbour_that_agreed_sends_is_taken() {
    let mut state = state(BondMode::BalanceTcp, LacpStatus::Negotiated);
    state.enabled = vec![OfPort(2)];
    assert_eq!(state.admit(OfPort(2), MULTICAST), Verdict::Accept);
    assert_eq!(state.admit(OfPort(1), UNICAST), Verdict::Drop);
    for lacp in [LacpStatus::Off, LacpStatus::Configured] {
        state.lacp = lacp;
        assert_eq!(state.admit(OfPort(2), UNICAST), Verdict::Drop, "{lacp:?}");
    }
    state.falls_back = true;
    assert_eq!(state.admit(OfPort(1), UNICAST), Verdict::Accept, "as active-backup");
    assert_eq!(state.admit(OfPort(2), UNICAST), Verdict::Drop);
}

#[test]
fn a_choice_depends_on_what_its_mask_says() {
    let mut key = FlowKey::new();
    key.set_dl_type(0x0800);
    key.set_nw_proto(6);
    let chosen = |mode, key: &FlowKey| {
        let mut mask = FlowMask::new();
        let chosen = state(mode, LacpStatus::Negotiated).choose(key, 0, &mut mask);
        (chosen, mask)
    };
    let (_, mask) = chosen(BondMode::ActiveBackup, &key);
    assert_eq!(mask, FlowMask::new());
    for mode in [BondMode::BalanceSlb, BondMode::BalanceTcp] {
        let (first, mask) = chosen(mode, &key);
        let mut other = key.clone();
        let mut differs = 0;
        for number in 0..100 {
            other.set_tp_src(number);
            other.set_dl_src(MacAddr::from_u64(u64::from(number)));
            let (second, _) = chosen(mode, &other);
            differs += usize::from(first != second);
            if mask.bits(slot::TP_SRC) == 0 && mask.bits(slot::DL_SRC) == 0 {
                assert_eq!(first, second);
            }
        }
        assert!(differs > 20, "{mode:?}: {differs}");
    }
}
