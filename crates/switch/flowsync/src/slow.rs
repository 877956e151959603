//! Flows all of whose packets go up.
//!
//! Such a packet is translated each time, as it is when it comes. One that a protocol of its port takes, whatever rules say,
//! need not be: the flow's action names the protocol's port. So it waits for nobody who changes rules, however many.

use base::OfPort;
use dp::{Action, Cookie, SlowPath, Userspace};
use pipeline::{BridgeId, Effect, Protocol, Translation};

const PROTOCOLS: [(SlowPath, Protocol); 5] = [
    (SlowPath::BFD, Protocol::Bfd),
    (SlowPath::CFM, Protocol::Cfm),
    (SlowPath::LACP, Protocol::Lacp),
    (SlowPath::STP, Protocol::SpanningTree),
    (SlowPath::LLDP, Protocol::Lldp),
];

/// The port and the protocol that packets of a flow are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Addressee {
    pub(crate) bridge: BridgeId,
    pub(crate) port: OfPort,
    pub(crate) protocol: Protocol,
}

/// What a flow of this translation does.
pub(crate) fn action(translation: &Translation) -> Action {
    let mut up = Userspace::new(Cookie::SlowPath(translation.slow));
    if let Some(addressee) = only_addressee(translation) {
        up.bridge = addressee.bridge.0.into();
        up.ofp_in_port = addressee.port.0;
    }
    Action::Userspace(Box::new(up))
}

/// Who takes the packet, where nothing else becomes of it.
#[expect(clippy::wildcard_enum_match_arm, reason = "of all others it is asked whether they teach")]
fn only_addressee(translation: &Translation) -> Option<Addressee> {
    let mut found = None;
    for effect in &translation.effects {
        match effect {
            &Effect::Take { bridge, port, protocol } if found.is_none() => {
                found = Some(Addressee { bridge, port, protocol });
            }
            Effect::Take { .. } | Effect::Snoop(_) => return None,
            other if other.teaches() => return None,
            _ => {}
        }
    }
    found.filter(|one| translation.actions.is_empty() && protocol(translation.slow) == Some(one.protocol))
}

/// Whom the action names, if it names one.
pub(crate) fn addressee(action: &Userspace, slow: SlowPath) -> Option<Addressee> {
    let is_named = action.ofp_in_port != Userspace::new(Cookie::None).ofp_in_port;
    let bridge = BridgeId(u32::try_from(action.bridge).ok().filter(|_| is_named)?);
    Some(Addressee { bridge, port: OfPort(action.ofp_in_port), protocol: protocol(slow)? })
}

fn protocol(slow: SlowPath) -> Option<Protocol> {
    PROTOCOLS.iter().find(|(reason, _)| *reason == slow).map(|(_, protocol)| *protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BFD: Effect = Effect::Take { bridge: BridgeId(0), port: OfPort(7), protocol: Protocol::Bfd };

    fn translation(slow: SlowPath, effects: Vec<Effect>, actions: Vec<Action>) -> Translation {
        Translation {
            actions,
            mask: flow::FlowMask::exact(),
            matched: None,
            effects,
            slow,
            competes: false,
            output: pipeline::Output::Drop,
            frozen: Vec::new(),
            forks: Vec::new(),
            trace: Vec::new(),
            final_key: flow::FlowKey::new(),
            error: None,
            faults: Vec::new(),
        }
    }

    fn named(translation: &Translation) -> Option<Addressee> {
        let Action::Userspace(up) = action(translation) else { return None };
        addressee(&up, translation.slow)
    }

    #[test]
    fn a_protocols_packets_go_to_it_at_once() {
        let expected = Addressee { bridge: BridgeId(0), port: OfPort(7), protocol: Protocol::Bfd };
        assert_eq!(named(&translation(SlowPath::BFD, vec![BFD], Vec::new())), Some(expected));
    }

    #[test]
    fn packets_that_go_elsewhere_too_are_translated_each_time() {
        let output = || vec![Action::Output(base::DpPort(1))];
        for other in [
            translation(SlowPath::ACTION, Vec::new(), output()),
            translation(SlowPath::BFD, vec![BFD], output()),
            translation(SlowPath::BFD, vec![BFD, BFD], Vec::new()),
            translation(SlowPath::BFD.with(SlowPath::ACTION), vec![BFD], Vec::new()),
            translation(SlowPath::CFM, vec![BFD], Vec::new()),
        ] {
            assert_eq!(named(&other), None, "{other:?}");
        }
    }
}
