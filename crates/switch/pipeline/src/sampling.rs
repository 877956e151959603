//! Samples: datapath actions that hand copies of packets to exports.
//!
//! sFlow and a bridge's IPFIX sample all packets of a bridge: where they come in, and IPFIX where they leave, too. A rule
//! samples with `sample`: for IPFIX, for a group of the kernel (psample), or for both.

use std::sync::Arc;

use base::{DpPort, OfPort};
use dp::{Action, Cookie, SampleDirection, Userspace};
use flow::{FlowKey, SparseKey};
use ofp::SampleSource;

use crate::commit::commit;
use crate::context::Context;
use crate::freeze::TUNNEL;

impl Context<'_> {
    /// The samples of packets that come in, before everything else.
    pub(crate) fn sample_input(&mut self) {
        if OfPort(self.packet.key.in_port()) == OfPort::NONE {
            return;
        }
        let exports = self.walk.bridge.exports();
        if let Some(sflow) = &exports.sflow {
            self.out.export.begin(self.out.actions.len());
            let mut userspace = self.userspace(Cookie::Sflow { vlan_tci: 0, output: 0 });
            userspace.include_actions = true;
            self.put_sample(sflow.probability, None, Some(userspace));
        }
        let bridge = exports.ipfix.as_ref().and_then(|ipfix| ipfix.bridge);
        if let Some(sampling) = bridge.filter(|sampling| sampling.input) {
            self.put_ipfix(sampling.probability, DpPort::NONE, None);
        }
    }

    /// The sample of a packet that is about to leave by `port`; by a tunnel, whose fields are in its key.
    pub(crate) fn sample_output(&mut self, port: DpPort, is_tunnel: bool) {
        let bridge = self.walk.bridge.exports().ipfix.as_ref().and_then(|ipfix| ipfix.bridge);
        if let Some(sampling) = bridge.filter(|sampling| sampling.output) {
            let tunnel = self.packet.key.tun_dst() != 0 || self.packet.key.tun_ipv6_dst() != 0;
            let tunnel = (tunnel && is_tunnel && sampling.tunnels).then(|| self.tunnel_fields());
            self.put_ipfix(sampling.probability, port, tunnel);
        }
    }

    /// What the tunnel's fields of the packet are now.
    fn tunnel_fields(&self) -> Box<SparseKey> {
        let mut fields = FlowKey::new();
        for place in TUNNEL {
            fields.write(place, self.packet.key.read(place));
        }
        Box::new(SparseKey::from(&fields))
    }

    fn put_ipfix(&mut self, probability: u32, output_port: DpPort, tunnel: Option<Box<SparseKey>>) {
        let mut userspace = self.userspace(Cookie::Ipfix { output_port, is_forwarded: false });
        userspace.tunnel_out_port = tunnel.as_ref().map(|_| output_port);
        userspace.egress_tunnel = tunnel;
        self.put_sample(probability, None, Some(userspace));
    }

    /// The `sample` action. It does nothing in a bridge without IPFIX, and without a group for its set of collectors.
    pub(crate) fn sample(&mut self, sample: &ofp::Sample) {
        let exports = self.walk.bridge.exports();
        let group = exports.groups.get(&sample.collector_set_id).copied();
        if exports.ipfix.is_none() && group.is_none() {
            return;
        }
        // What rules did to the packet so far is sampled with it.
        commit(&mut self.packet, &mut self.out);
        let [domain, point] = [sample.obs_domain, sample.obs_point].map(|source| self.read_source(source));
        let output_port = exports.ipfix.as_ref().and_then(|_| self.sampled_port(sample.sampling_port));
        let reports_tunnel = output_port.is_some_and(|port| port != DpPort::NONE)
            && exports.tunnel_sets.contains(&sample.collector_set_id);
        let tunnel = reports_tunnel.then(|| self.begin_tunnel(sample.sampling_port)).flatten();
        let userspace = output_port.map(|output_port| {
            let cookie = Cookie::FlowSample {
                probability: sample.probability,
                collector_set_id: sample.collector_set_id,
                obs_domain_id: domain,
                obs_point_id: point,
                output_port,
                direction: match sample.direction {
                    ofp::SampleDirection::Default => SampleDirection::Default,
                    ofp::SampleDirection::Ingress => SampleDirection::Ingress,
                    ofp::SampleDirection::Egress => SampleDirection::Egress,
                },
                is_forwarded: false,
            };
            let tunnel_out_port = tunnel.as_ref().map(|_| output_port);
            Userspace { tunnel_out_port, egress_tunnel: tunnel, ..self.userspace(cookie) }
        });
        let group = group.map(|group| Action::Psample {
            group,
            cookie: [domain.to_be_bytes(), point.to_be_bytes()].concat().into(),
        });
        // The same share of 2^32 as of 2^16.
        let probability = u32::from(sample.probability) << 16 | u32::from(sample.probability);
        self.put_sample(probability, group, userspace);
    }

    /// Makes the packet what it is when it goes into the tunnel of `port`, if that has one, as far as that is the datapath's
    /// matter; the tunnel's fields.
    fn begin_tunnel(&mut self, port: OfPort) -> Option<Box<SparseKey>> {
        let config = self.walk.bridge.port(port)?.tunnel.as_ref()?;
        let kept = self.packet.key.clone();
        config.address(&mut self.packet.key, &mut self.out.mask);
        if !self.puts_on_headers() {
            self.set_tunnel_fields();
        }
        let fields = self.tunnel_fields();
        self.packet.key = kept;
        Some(fields)
    }

    fn read_source(&mut self, source: SampleSource) -> u32 {
        match source {
            SampleSource::Immediate(number) => number,
            SampleSource::Field(field) => {
                field.add_to_mask(&mut self.out.mask);
                // It has at most 32 bits.
                field.read(&self.packet.key) as u32
            }
        }
    }

    /// The datapath's port by which a sampled packet is said to leave: none where the rule names none, or that by which it
    /// came. `None` when there is no such port.
    fn sampled_port(&mut self, port: OfPort) -> Option<DpPort> {
        if port == OfPort::NONE || port == OfPort(self.packet.key.in_port()) {
            return Some(DpPort::NONE);
        }
        let found = self.walk.bridge.port(port).and_then(|port| port.datapath);
        if found.is_none() {
            self.fault(|| format!("can't use unknown port {} in flow sample action", port.0));
        }
        found
    }

    fn userspace(&self, cookie: Cookie) -> Userspace {
        let mut userspace = Userspace::new(cookie);
        userspace.ofp_in_port = self.packet.key.in_port();
        userspace.bridge = self.walk.bridge.id().0.into();
        userspace
    }

    /// Appends a sample of `probability` of 2^32 packets, for a group of the kernel, for userspace, or for both. What goes
    /// to userspace passes the slow path's meter first.
    fn put_sample(&mut self, probability: u32, group: Option<Action>, userspace: Option<Userspace>) {
        let meter = userspace.as_ref().and_then(|_| self.walk.bridge.slow_path_meter());
        let userspace = userspace.map(|userspace| Action::Userspace(Box::new(userspace)));
        let list: Vec<Action> = group.into_iter().chain(meter.map(Action::Meter)).chain(userspace).collect();
        if list.is_empty() || probability == 0 {
            return;
        }
        self.out.has_samples = true;
        if probability == u32::MAX && meter.is_none() {
            self.out.actions.extend(list);
        } else {
            self.out.actions.push(Action::Sample { probability, actions: list.into() });
        }
    }
}

/// Whether `action` does nothing but sample.
pub(crate) fn is_sample(action: &Action) -> bool {
    match action {
        Action::Sample { actions, .. } => {
            actions.iter().all(|inner| matches!(inner, Action::Meter(_)) || is_sample(inner))
        }
        Action::Userspace(userspace) => is_export(&userspace.cookie),
        Action::Psample { .. } => true,
        Action::Output(_)
        | Action::LbOutput(_)
        | Action::Trunc(_)
        | Action::Set(_)
        | Action::PushVlan { .. }
        | Action::PopVlan
        | Action::PushMpls { .. }
        | Action::PopMpls { .. }
        | Action::AddMpls { .. }
        | Action::PushEth { .. }
        | Action::PopEth
        | Action::PushNsh { .. }
        | Action::PopNsh
        | Action::Recirc(_)
        | Action::Hash { .. }
        | Action::Clone(_)
        | Action::CheckPktLen { .. }
        | Action::Ct(_)
        | Action::CtClear
        | Action::Meter(_)
        | Action::TunnelPush(_)
        | Action::TunnelPop(_)
        | Action::DecTtl(_)
        | Action::Drop(_) => false,
    }
}

fn is_export(cookie: &Cookie) -> bool {
    match cookie {
        Cookie::Sflow { .. } | Cookie::Ipfix { .. } | Cookie::FlowSample { .. } => true,
        Cookie::None | Cookie::SlowPath(_) | Cookie::Controller { .. } | Cookie::Raw(_) => false,
    }
}

/// Notes in the samples for IPFIX that the packet leaves by a port, if `actions` say so for all packets. What happens after
/// a recirculation is not seen.
pub(crate) fn note_forwarding(actions: &mut [Action]) {
    if actions.iter().any(forwards) {
        actions.iter_mut().for_each(note);
    }
}

fn forwards(action: &Action) -> bool {
    match action {
        Action::Output(_) | Action::LbOutput(_) => true,
        Action::Sample { probability: u32::MAX, actions } | Action::Clone(actions) => {
            actions.iter().any(forwards)
        }
        Action::Sample { .. }
        | Action::Userspace(_)
        | Action::Psample { .. }
        | Action::Trunc(_)
        | Action::Set(_)
        | Action::PushVlan { .. }
        | Action::PopVlan
        | Action::PushMpls { .. }
        | Action::PopMpls { .. }
        | Action::AddMpls { .. }
        | Action::PushEth { .. }
        | Action::PopEth
        | Action::PushNsh { .. }
        | Action::PopNsh
        | Action::Recirc(_)
        | Action::Hash { .. }
        | Action::CheckPktLen { .. }
        | Action::Ct(_)
        | Action::CtClear
        | Action::Meter(_)
        | Action::TunnelPush(_)
        | Action::TunnelPop(_)
        | Action::DecTtl(_)
        | Action::Drop(_) => false,
    }
}

/// Notes it in the samples of one step.
fn note(action: &mut Action) {
    match action {
        Action::Userspace(userspace) => match &mut userspace.cookie {
            Cookie::Ipfix { is_forwarded, .. } | Cookie::FlowSample { is_forwarded, .. } => {
                *is_forwarded = true;
            }
            Cookie::None
            | Cookie::Sflow { .. }
            | Cookie::SlowPath(_)
            | Cookie::Controller { .. }
            | Cookie::Raw(_) => {}
        },
        Action::Sample { actions, .. } | Action::Clone(actions) => note_list(actions),
        Action::CheckPktLen { greater, less_equal, .. } => {
            note_list(greater);
            note_list(less_equal);
        }
        Action::Output(_)
        | Action::LbOutput(_)
        | Action::Psample { .. }
        | Action::Trunc(_)
        | Action::Set(_)
        | Action::PushVlan { .. }
        | Action::PopVlan
        | Action::PushMpls { .. }
        | Action::PopMpls { .. }
        | Action::AddMpls { .. }
        | Action::PushEth { .. }
        | Action::PopEth
        | Action::PushNsh { .. }
        | Action::PopNsh
        | Action::Recirc(_)
        | Action::Hash { .. }
        | Action::Ct(_)
        | Action::CtClear
        | Action::Meter(_)
        | Action::TunnelPush(_)
        | Action::TunnelPop(_)
        | Action::DecTtl(_)
        | Action::Drop(_) => {}
    }
}

fn note_list(list: &mut Arc<[Action]>) {
    let mut inner = list.to_vec();
    inner.iter_mut().for_each(note);
    *list = inner.into();
}
