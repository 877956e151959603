//! A flow between a worker that installs and uses it, a revalidator that looks it through, and the control thread, which
//! changes what it follows from or removes it.
//!
//! The flow table, what serves misses and what keeps flows true are those of the datapath and of `flowsync`; rules and
//! translation are those of a real bridge. The bridge's own lock is not modelled: what happens under it is one step.

use std::sync::Arc;
use std::time::Duration;

use ::netdev::Shortcuts;
use base::{Clock, DpPort, MacAddr, TableId, Timestamp};
use dp::{
    Action, Capabilities, Datapath, DpError, DpId, DpStats, Execute, Flow, FlowPut, FlowStats, Meter,
    MeterStats,
};
use dp::{Packet, PortInfo, PortSpec, PortStats, PortWatcher, Ufid, Upcall, WorkerId};
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use ofp::{FlowMod, FlowModCommand};
use ofproto::{NewPort, SharedSwitch};
use pipeline::{BridgeId, Network, SharedNetwork};

use crate::dp_user::flows::{Flows, Served};
use crate::flowsync::{FlowSync, PacketIn, Sample, Sink};

const WORKER: WorkerId = WorkerId::Worker(0);
/// Rounds after which a flow that the datapath does not have is forgotten, and more.
const ROUNDS: usize = 5;

/// A datapath that has flows and nothing else.
struct Table(Flows);

/// Bridges that let other threads on before and after each look at them.
struct Rules {
    switch: SharedSwitch,
    steps: AtomicUsize,
}

/// Takes nothing: no packet goes to a controller.
struct Nobody;

struct World {
    clock: Clock,
    rules: Arc<Rules>,
    bridge: BridgeId,
    table: Arc<Table>,
    sync: Arc<FlowSync>,
}

impl World {
    /// A bridge with ports 1 and 2: what comes in by 1 goes out by 2.
    fn new() -> Arc<World> {
        let clock = Clock::new();
        clock.stop();
        let switch = SharedSwitch::default();
        let bridge = switch.write().add_bridge("br0", DpId(1), Capabilities::ALL);
        for number in [1, 2] {
            let name = format!("p{number}");
            let port = NewPort { name, datapath: Some(DpPort(number)), ..NewPort::default() };
            switch.write().get_mut(bridge).unwrap().add_port(port, Timestamp::ZERO).unwrap();
        }
        switch.write().reconnect();
        let rules = Arc::new(Rules { switch, steps: AtomicUsize::new(0) });
        let table = Arc::new(Table(Flows::new(WORKER, &Arc::new(Shortcuts::none()), &clock)));
        let network = Arc::clone(&rules) as Arc<dyn SharedNetwork>;
        let datapath = Arc::clone(&table) as Arc<dyn Datapath>;
        let sync = FlowSync::new(network, DpId(1), datapath, Arc::new(Nobody), clock.clone());
        let world = World { clock, rules, bridge, table, sync };
        world.set_rule("output:2");
        Arc::new(world)
    }

    /// What is done to packets that come in by port 1.
    fn set_rule(&self, actions: &str) {
        let mut request = FlowMod::new(FlowModCommand::Add);
        request.m = fields::Match::parse("in_port=1", None).unwrap().0;
        request.actions = ofp::parse_actions(actions, ofp::Names::default()).unwrap().0;
        self.rules.step();
        self.rules.switch.write().get_mut(self.bridge).unwrap().flow_mod(&request, Timestamp::ZERO).unwrap();
        self.rules.step();
    }

    /// A packet comes in by port 1; where it goes.
    fn send(&self) -> Option<DpPort> {
        let (dst, src) = (MacAddr([2, 0, 0, 0, 0, 2]), MacAddr([2, 0, 0, 0, 0, 1]));
        let mut bytes = wire::ethernet::header(dst, src, 0x1234).to_vec();
        bytes.resize(60, 0);
        let mut packet = Packet::from_bytes(&bytes);
        packet.metadata.in_port = DpPort(1);
        let mut key = flow::PacketKey::new();
        key.refill(&packet.metadata, packet.bytes(), 1);
        self.clock.warp(Duration::from_nanos(1));
        let door: &dyn Upcall = &*self.sync;
        match self.table.0.serve(Some(door), &mut packet, &key, None, self.clock.now()) {
            Served::Cached(actions) | Served::Translated(actions) => destination(&actions),
            Served::Unserved => panic!("somebody serves"),
        }
    }

    /// What holds when nothing moves any more: flows do what the rules say, all of them are remembered and no others, and
    /// each of `packets` is counted once.
    fn check(&self, expected: Option<DpPort>, packets: u64) {
        for _ in 0..ROUNDS {
            self.sync.revalidate();
        }
        let mut installed = 0;
        self.table.0.dump(&mut |flow| {
            installed += 1;
            assert_eq!(destination(&flow.actions), expected, "{:?}", flow.actions);
        });
        assert_eq!(self.sync.flow_count(), installed);
        let switch = self.rules.switch.read();
        let table = switch.get(self.bridge).unwrap().table(TableId(0)).unwrap();
        let counted: u64 = table.entries().map(|entry| entry.rule.counters.packets()).sum();
        assert_eq!(counted, packets);
    }
}

fn destination(actions: &[Action]) -> Option<DpPort> {
    match actions {
        [Action::Output(port)] => Some(*port),
        [] | [Action::Drop(_)] => None,
        other => panic!("no rule says {other:?}"),
    }
}

/// Runs a model under every order of steps in which threads are interrupted so often at most where they could go on. Each
/// time more multiplies the orders by twenty.
fn explore(interruptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(interruptions);
    builder.max_branches = 100_000;
    builder.check(model);
}

/// A packet that comes after a change of the rules is treated by the new ones, whatever the others are about.
pub fn rules_change_while_packets_pass_and_flows_are_looked_through() {
    explore(2, || {
        let world = World::new();
        let is_changed = Arc::new(AtomicBool::new(false));
        let worker = thread::spawn({
            let (world, is_changed) = (Arc::clone(&world), Arc::clone(&is_changed));
            move || {
                for _ in 0..2 {
                    let is_after = is_changed.load(Ordering::Acquire);
                    let went = world.send();
                    assert!(!is_after || went.is_none(), "a packet went by a rule that is gone");
                }
            }
        });
        let revalidator = thread::spawn({
            let world = Arc::clone(&world);
            move || world.sync.revalidate()
        });
        world.set_rule("drop");
        is_changed.store(true, Ordering::Release);
        worker.join().unwrap();
        revalidator.join().unwrap();
        world.check(None, 2);
    });
}

/// Flows that are removed come back with the next packet, and no packet is forgotten or counted twice.
pub fn flows_are_removed_while_packets_pass_and_flows_are_looked_through() {
    // A flow that is removed while it is made anew takes three.
    explore(3, || {
        let world = World::new();
        world.send();
        let worker = thread::spawn({
            let world = Arc::clone(&world);
            move || {
                for _ in 0..2 {
                    assert_eq!(world.send(), Some(DpPort(2)));
                }
            }
        });
        let revalidator = thread::spawn({
            let world = Arc::clone(&world);
            move || world.sync.revalidate()
        });
        world.sync.purge();
        worker.join().unwrap();
        revalidator.join().unwrap();
        world.check(Some(DpPort(2)), 3);
    });
}

/// Whoever reads counters while others do, and while flows are removed, credits what is new, and nobody credits it again.
pub fn counters_are_read_while_flows_are_looked_through() {
    explore(2, || {
        let world = World::new();
        world.send();
        world.send();
        let worker = thread::spawn({
            let world = Arc::clone(&world);
            move || {
                for _ in 0..2 {
                    assert_eq!(world.send(), Some(DpPort(2)));
                }
            }
        });
        let revalidator = thread::spawn({
            let world = Arc::clone(&world);
            move || world.sync.revalidate()
        });
        world.sync.credit();
        world.sync.credit();
        worker.join().unwrap();
        revalidator.join().unwrap();
        world.check(Some(DpPort(2)), 4);
    });
}

impl Rules {
    /// A point where other threads may go on.
    fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }
}

impl SharedNetwork for Rules {
    fn read(&self, look: &mut dyn FnMut(&dyn Network)) {
        self.step();
        SharedNetwork::read(&self.switch, look);
    }

    fn epoch(&self) -> u64 {
        self.step();
        self.switch.epoch()
    }

    fn fence(&self) -> dp::Fence {
        self.step();
        self.switch.fence()
    }
}

impl Sink for Nobody {
    fn ask(&self, _asking: pipeline::tunnel::Asking) {}
    fn packet_in(&self, _: PacketIn) {}
    fn sample(&self, _: Sample) -> bool {
        true
    }
    fn take(&self, _: pipeline::BridgeId, _: base::OfPort, _: pipeline::Protocol, _: &[u8]) {}
}

impl Datapath for Table {
    fn kind(&self) -> &str {
        "model"
    }
    fn name(&self) -> &str {
        "model"
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }
    fn max_vlans(&self) -> usize {
        1
    }
    fn flow_put(&self, put: &FlowPut) -> Result<(), DpError> {
        self.0.put(put.ufid.unwrap_or_else(|| Ufid::of(&put.key)), put, false)
    }
    fn flow_confirm(&self, flow: &Flow, version: u64) {
        self.0.confirm(flow, version);
    }
    fn flow_del(&self, ufid: Ufid, _: Option<WorkerId>) -> Result<FlowStats, DpError> {
        self.0.remove(ufid).ok_or(DpError::NoFlow)
    }
    fn flow_get(&self, ufid: Ufid, _: Option<WorkerId>) -> Option<Flow> {
        self.0.get(ufid)
    }
    fn flow_dump(&self, visit: &mut dyn FnMut(Flow)) {
        self.0.dump(visit);
    }
    fn flow_flush(&self) {
        self.0.clear();
    }
    fn set_upcall(&self, _: Option<Arc<dyn Upcall>>) {}
    fn set_max_vlans(&self, _: usize) {}
    fn add_ports(&self, _: &[PortSpec]) -> Vec<Result<DpPort, DpError>> {
        Vec::new()
    }
    fn del_port(&self, port: DpPort) -> Result<(), DpError> {
        Err(DpError::NoPort(port))
    }
    fn watch_ports(&self, _: PortWatcher) {}
    fn port(&self, _: DpPort) -> Option<Arc<PortInfo>> {
        None
    }
    fn port_by_name(&self, _: &str) -> Option<Arc<PortInfo>> {
        None
    }
    fn ports(&self) -> Vec<Arc<PortInfo>> {
        Vec::new()
    }
    fn port_stats(&self, port: DpPort) -> Result<PortStats, DpError> {
        Err(DpError::NoPort(port))
    }
    fn change_port(&self, _: DpPort, _: &PortSpec) -> Result<(), DpError> {
        Ok(())
    }
    fn configure_port(
        &self,
        port: DpPort,
        _: Option<u32>,
        _: Option<MacAddr>,
        _: Option<bool>,
    ) -> Result<(), DpError> {
        Err(DpError::NoPort(port))
    }
    fn port_epoch(&self) -> u64 {
        0
    }
    fn execute(&self, _: Execute<'_>) -> Result<(), DpError> {
        Ok(())
    }
    fn stats(&self) -> DpStats {
        DpStats::default()
    }
    fn worker_stats(&self) -> Vec<(WorkerId, DpStats)> {
        Vec::new()
    }
    fn set_meter(&self, _: u32, _: Option<Meter>) -> Result<(), DpError> {
        Ok(())
    }
    fn meter_stats(&self, _: u32) -> Option<MeterStats> {
        None
    }
    fn set_bond(&self, _: u32, _: Vec<DpPort>) {}
    fn bonds(&self) -> Vec<(u32, Vec<DpPort>)> {
        Vec::new()
    }
    fn take_bond_bytes(&self, _: u32) -> Vec<u64> {
        Vec::new()
    }
}
