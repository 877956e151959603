//! Which address a bridge takes, and with it which datapath id. Pure.
//!
//! The operator's `other_config:hwaddr` goes first. Else the bridge has the address of one of its ports, as hosts expect
//! it of a bridge with one network card; else one that is made of its row's UUID and so outlives a restart.
//!
//! Controllers know a switch by its datapath id, so what comes and goes with guests must not change it:
//!
//! - Only addresses that the maker of a card vouches for are lent ([`is_lendable`]).
//! - Devices that lead to guests ([`leads_to_guest`]) lend theirs only while the bridge has no other port that could.
//! - Of several, the lowest address is taken; once taken it stays, whatever ports are added, until the port that lends
//!   it leaves the bridge or gets another address. A restart takes up the address that was in use.

use base::MacAddr;
use uuid::Uuid;

/// A port that might lend the bridge its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lender {
    pub port: String,
    pub mac: MacAddr,
    pub is_guest: bool,
}

/// Addresses of protocols that are not multicast ones: EDP and EAPS of Extreme.
const RESERVED: [u64; 3] = [0x00e0_2b00_0000, 0x00e0_2b00_0004, 0x00e0_2b00_0006];

/// What OVS puts before random bits, with the highest of them set.
const RANDOM_PREFIX: u64 = 0x0023_2080_0000;

/// Whether a bridge may take this address of a port's: not a multicast one, not one that somebody has made up (locally
/// administered, or random under the prefix of OVS), not one of a protocol, not zero.
pub(crate) fn is_lendable(mac: MacAddr) -> bool {
    let number = mac.to_u64();
    let is_made_up = is_local(mac) || number & 0xffff_ff80_0000 == RANDOM_PREFIX;
    !(mac.is_multicast() || is_made_up || is_reserved(mac) || mac.is_zero())
}

/// Whether it is locally administered.
fn is_local(mac: MacAddr) -> bool {
    mac.0[0] & 2 != 0
}

fn is_reserved(mac: MacAddr) -> bool {
    mac.is_reserved() || RESERVED.contains(&mac.to_u64())
}

/// Why `other_config:hwaddr` cannot be this. An operator may well give a bridge a locally administered address: those are
/// for operators to give.
pub(crate) fn refusal_of_hwaddr(mac: MacAddr) -> Option<String> {
    if mac.is_multicast() {
        Some(format!("cannot set MAC address to multicast address {mac}"))
    } else if mac.is_zero() {
        Some("cannot set MAC address to zero".to_owned())
    } else if is_reserved(mac) {
        Some(format!("cannot set MAC address to reserved address {mac}"))
    } else {
        None
    }
}

/// Whether devices that the kernel calls so are the host's ends of guests' devices.
pub(crate) fn leads_to_guest(link_kind: &str) -> bool {
    matches!(link_kind, "veth" | "tun" | "macvtap" | "ipvtap" | "netkit")
}

/// Who lends its address; `current` did so far.
pub(crate) fn choose<'a>(lenders: &'a [Lender], current: Option<&Lender>) -> Option<&'a Lender> {
    let eligible = || lenders.iter().filter(|lender| is_lendable(lender.mac));
    let only_guests = eligible().all(|lender| lender.is_guest);
    let mut candidates = eligible().filter(|lender| lender.is_guest == only_guests);
    let stays = candidates.clone().find(|lender| Some(*lender) == current);
    stays.or_else(|| candidates.by_ref().min_by_key(|lender| lender.mac))
}

/// The address of a bridge that no port lends one, made of the UUID of its row as the reference makes it.
pub(crate) fn default_mac(row: Uuid) -> MacAddr {
    // The words of the UUID stand in memory as a little-endian machine has them.
    let b = row.as_bytes();
    MacAddr([b[3] & 0xfe | 2, b[2], b[1], b[0], b[7], b[6]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lender(port: &str, mac: &str, is_guest: bool) -> Lender {
        Lender { port: port.into(), mac: mac.parse().unwrap(), is_guest }
    }

    fn chosen(lenders: &[Lender], current: Option<&Lender>) -> Option<String> {
        choose(lenders, current).map(|lender| lender.port.clone())
    }

    #[test]
    fn only_addresses_of_cards_are_lent() {
        for (mac, lends) in [
            ("3c:fd:fe:00:00:01", true),
            ("00:00:00:00:00:01", true),
            ("2a:00:00:00:00:05", false),
            ("02:42:ac:11:00:02", false),
            ("01:80:c2:00:00:00", false),
            ("01:00:5e:00:00:01", false),
            ("ff:ff:ff:ff:ff:ff", false),
            ("00:00:00:00:00:00", false),
            ("00:e0:2b:00:00:04", false),
            ("00:e0:2b:00:00:05", true),
            ("00:23:20:8a:00:01", false),
            ("00:23:20:0a:00:01", true),
        ] {
            assert_eq!(is_lendable(mac.parse().unwrap()), lends, "{mac}");
        }
    }

    #[test]
    fn an_operator_may_choose_a_local_address_and_no_impossible_one() {
        for (mac, refusal) in [
            ("aa:55:aa:55:00:00", None),
            ("3c:fd:fe:00:00:01", None),
            (
                "01:00:5e:00:00:01",
                Some("cannot set MAC address to multicast address 01:00:5e:00:00:01".to_owned()),
            ),
            ("00:00:00:00:00:00", Some("cannot set MAC address to zero".to_owned())),
            (
                "00:e0:2b:00:00:00",
                Some("cannot set MAC address to reserved address 00:e0:2b:00:00:00".to_owned()),
            ),
        ] {
            assert_eq!(refusal_of_hwaddr(mac.parse().unwrap()), refusal, "{mac}");
        }
    }

    #[test]
    fn the_lowest_address_is_taken_and_stays() {
        let (nic, lower) =
            (lender("eth1", "3c:fd:fe:00:00:01", false), lender("eth2", "00:1b:21:00:00:01", false));
        let both = [nic.clone(), lower.clone()];
        assert_eq!(chosen(&both, None).as_deref(), Some("eth2"));
        assert_eq!(chosen(&both, Some(&nic)).as_deref(), Some("eth1"), "a lower one came later");
        assert_eq!(chosen(&[lower], Some(&nic)).as_deref(), Some("eth2"), "it has left");
        let renamed =
            [lender("eth1", "3c:fd:fe:00:00:09", false), lender("eth2", "3c:fd:fe:00:00:02", false)];
        assert_eq!(chosen(&renamed, Some(&nic)).as_deref(), Some("eth2"), "it has another address");
    }

    #[test]
    fn a_guest_lends_only_where_nobody_else_does() {
        let (nic, guest) =
            (lender("eth1", "3c:fd:fe:00:00:01", false), lender("vif1", "00:16:3e:00:00:01", true));
        assert_eq!(chosen(std::slice::from_ref(&guest), None).as_deref(), Some("vif1"));
        assert_eq!(chosen(&[guest.clone(), nic.clone()], None).as_deref(), Some("eth1"));
        assert_eq!(
            chosen(&[guest.clone(), nic], Some(&guest)).as_deref(),
            Some("eth1"),
            "the card takes over"
        );
        assert_eq!(chosen(&[lender("vif2", "2a:00:00:00:00:05", true)], None), None);
    }

    #[test]
    fn the_default_address_is_made_of_the_row() {
        let row = Uuid::parse_str("a1b2c3d4-e5f6-4a7b-8c9d-000000000000").unwrap();
        assert_eq!(default_mac(row).to_string(), "d6:c3:b2:a1:7b:4a");
    }
}
