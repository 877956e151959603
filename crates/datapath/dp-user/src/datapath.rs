//! The datapath as others see it.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;

use arc_swap::{ArcSwap, ArcSwapOption};
use base::{Clock, DpPort, MacAddr};
use dp::{
    Capabilities, Datapath, DpError, DpStats, DummyControl, Errno, Execute, FenceWatcher, Flow, FlowGlance,
    FlowPut, FlowStats, Meter, MeterStats, Packet, PortInfo, PortSpec, PortStats, PortWatcher, PutMode,
    Succession, TunnelSettings, Ufid, Upcall, WorkerId,
};
use netdev::{Device, Shortcuts};

use crate::bonds::Bonds;
use crate::closing::Closing;
use crate::context::Context;
use crate::meters::Meters;
use crate::part::Part;
use crate::ports::{Port, PortChanges, Ports};
use crate::process::Run;
use crate::shared::{Config, Shared, UpcallDoor};
use crate::sweeping::Sweeping;
use crate::team::Team;
use crate::together;
use crate::waker::Waker;

/// A userspace datapath and its worker threads, which end with it.
pub struct DpUser {
    pub(crate) shared: Arc<Shared>,
    /// The thread that helps devices, while there are some.
    pub(crate) office: Mutex<Option<JoinHandle<()>>>,
}

impl DpUser {
    /// Makes the datapath. Its workers are started with the first port that they have to serve.
    pub fn new(config: Config, clock: Clock) -> std::io::Result<DpUser> {
        dp::DropReason::list_all();
        crate::tunnel::list_counters();
        dp::offload::TRAINS_CUT.list();
        crate::context::VERIFIED.list();
        let now = clock.now();
        let shortcuts = Arc::new(open_shortcuts(&config));
        let changes = Arc::new(PortChanges::default());
        // The standard library's hashers begin with random keys.
        let secret = RandomState::new().build_hasher().finish();
        let connections = Arc::new(conntrack::Tracker::new(secret));
        let fragments = Arc::default();
        let shared = Arc::new(Shared {
            max_vlans: AtomicUsize::new(config.max_vlans),
            config,
            clock: clock.clone(),
            ports: ArcSwap::default(),
            team: Mutex::new(Team::new(now)),
            closing: Closing::new({
                let changes = Arc::clone(&changes);
                move || changes.note()
            })?,
            changes,
            // The first address of dummies is that of the datapath's own port, which the reference has.
            devices_made: AtomicU32::new(1),
            upcall: ArcSwapOption::empty(),
            sweeping: Sweeping::new(Arc::clone(&connections), Arc::clone(&fragments), clock.clone())?,
            connections,
            fragments,
            bonds: Bonds::default(),
            tunnels: ArcSwap::default(),
            tunnel_sequence: AtomicU32::new(0),
            meters: Meters::default(),
            main: Arc::new(Part::main(&shortcuts, &clock)?),
            shortcuts,
            workers: ArcSwap::default(),
            main_context: Mutex::new(Context::new(1)),
            tuning: Waker::new()?,
            are_crowded: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
            is_forgotten: AtomicBool::new(false),
        });
        Ok(DpUser { shared, office: Mutex::default() })
    }

    pub(crate) fn office(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.office.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn process(&self, in_port: DpPort, mut packets: Vec<Packet>) {
        for packet in &mut packets {
            packet.metadata.in_port = in_port;
        }
        if !packets.is_empty() {
            self.shared.main.counters.received.add(packets.len() as u64);
            self.on_main(|run| run.batch(&mut packets));
        }
    }

    /// Runs on the control thread's context; on a fresh one when that is in use, which
    /// is the case when an upcall executes packets itself.
    fn on_main<R>(&self, act: impl FnOnce(&mut Run<'_>) -> R) -> R {
        let mut guard = match self.shared.main_context.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let mut fresh;
        let context = match &mut guard {
            Some(guard) => &mut **guard,
            None => {
                fresh = Context::new(self.shared.clock.now().as_nanos());
                &mut fresh
            }
        };
        let mut run = Run::new(&self.shared, &self.shared.main, context);
        let result = act(&mut run);
        run.flush();
        result
    }

    /// Replaces the ports by what `change` makes of them.
    pub(crate) fn change_ports<R>(
        &self,
        change: impl FnOnce(&mut Ports) -> Result<R, DpError>,
    ) -> Result<R, DpError> {
        let mut team = self.shared.team();
        let mut ports = Ports::clone(&self.shared.ports.load());
        let result = change(&mut ports)?;
        let new = ports.take_unassigned();
        self.shared.ports.store(Arc::new(ports));
        self.shared.changes.note();
        if new.is_empty() {
            self.dismiss_idle();
            self.shared.call_workers();
        } else {
            self.welcome(&mut team, &new);
        }
        Ok(result)
    }

    /// Closes a port that is not among the ports any more.
    fn retire(&self, port: Arc<Port>) {
        port.device.end_shortcuts();
        self.shared.closing.close([port]);
    }

    /// Refuses what is taken, by a port or by a spec before it.
    fn check(&self, specs: &[PortSpec]) -> Vec<Result<(), DpError>> {
        let ports = self.shared.ports.load();
        let mut names = HashSet::new();
        let check = |spec: &PortSpec| {
            ports.check(spec)?;
            if names.insert(spec.name.clone()) { Ok(()) } else { Err(DpError::PortExists(spec.name.clone())) }
        };
        specs.iter().map(check).collect()
    }

    pub(crate) fn find_port(&self, number: DpPort) -> Result<Arc<Port>, DpError> {
        self.shared.ports.load().get(number).cloned().ok_or(DpError::NoPort(number))
    }

    fn log_put(&self, ufid: Ufid, put: &FlowPut) {
        if log::log_enabled!(target: "dpif", log::Level::Debug) {
            let mode = match put.mode {
                PutMode::Create => "[create]",
                PutMode::Modify => "[modify]",
                PutMode::CreateOrModify => "[create][modify]",
            };
            let flow = dp::text::format_key(&put.key, Some(&put.mask), true, None);
            let actions = dp::text::format_actions(&put.actions, None);
            let config = &self.shared.config;
            log::debug!(
                target: "dpif",
                "{}@{}: put{mode} {ufid} {flow}, actions:{actions}",
                config.kind,
                config.name
            );
        }
    }

    /// The part of one thread, or those of all.
    fn selected(&self, worker: Option<WorkerId>) -> Vec<Arc<Part>> {
        match worker {
            Some(id) => self.shared.part(id).into_iter().collect(),
            None => self.shared.active_parts(),
        }
    }
}

impl Drop for DpUser {
    fn drop(&mut self) {
        self.end_threads();
        self.shared.shortcuts.close();
        if self.shared.is_forgotten.load(Ordering::Acquire) {
            return std::mem::forget(self.shared.ports.swap(Arc::default()));
        }
        // The thread that closes is to have the last hold on each.
        let ports = self.shared.ports.swap(Arc::default());
        let closing: Vec<Arc<Port>> = ports.iter().cloned().collect();
        drop(ports);
        self.shared.closing.close(closing);
    }
}

impl Datapath for DpUser {
    fn kind(&self) -> &str {
        &self.shared.config.kind
    }

    fn name(&self) -> &str {
        &self.shared.config.name
    }

    fn add_ports(&self, specs: &[PortSpec]) -> Vec<Result<DpPort, DpError>> {
        base::held::about_to_wait("opening devices");
        let checked = self.check(specs);
        let free = || specs.iter().zip(&checked).filter(|(_, checked)| checked.is_ok()).map(|(spec, _)| spec);
        self.shared.closing.wait_for(|name| free().any(|spec| spec.name == name));
        let first = self.shared.devices_made.fetch_add(free().count() as u32, Ordering::Relaxed);
        let is_dummy = self.shared.config.is_dummy;
        let is_for_tests = is_dummy || self.shared.config.kind == "dummy";
        let numbered: Vec<_> = free().zip(first..).collect();
        let mut opened = together::open_each(numbered, |(spec, sequence)| {
            Device::open_as(spec, sequence, is_dummy, self.shared.arrival(spec), &self.shared.shortcuts)
        })
        .into_iter();
        let mut results = Vec::new();
        // Where none could be opened, nothing has changed, and nobody is told.
        let _ = self.change_ports(|ports| {
            let added = specs.iter().zip(checked).map(|(spec, checked)| {
                checked?;
                // Whoever panicked has written why to the log.
                let device = opened.next().flatten().unwrap_or_else(|| Err(internal_error(spec)))?;
                ports.add(spec, device, is_for_tests)
            });
            results = added.collect();
            let is_futile = !results.iter().any(Result::is_ok);
            results.iter().find_map(|result| result.clone().err()).filter(|_| is_futile).map_or(Ok(()), Err)
        });
        results
    }

    fn del_port(&self, port: DpPort) -> Result<(), DpError> {
        let removed = self.change_ports(|ports| ports.remove(port).ok_or(DpError::NoPort(port)))?;
        self.retire(removed);
        Ok(())
    }

    fn is_settled(&self) -> bool {
        self.shared.closing.is_done()
    }

    fn settle(&self) {
        base::held::about_to_wait("waiting for devices");
        self.shared.closing.wait_for(|_| true);
    }

    fn watch_ports(&self, watcher: PortWatcher) {
        self.shared.changes.watch(watcher);
    }

    fn port(&self, port: DpPort) -> Option<Arc<PortInfo>> {
        base::held::about_to_wait("asking a device");
        let port = self.find_port(port).ok()?;
        Some(port.info())
    }

    fn port_by_name(&self, name: &str) -> Option<Arc<PortInfo>> {
        base::held::about_to_wait("asking a device");
        let port = self.shared.ports.load().by_name(name).cloned()?;
        Some(port.info())
    }

    fn ports(&self) -> Vec<Arc<PortInfo>> {
        base::held::about_to_wait("asking a device");
        self.shared.ports.load_full().iter().map(|port| port.info()).collect()
    }

    fn port_stats(&self, port: DpPort) -> Result<PortStats, DpError> {
        base::held::about_to_wait("asking a device");
        Ok(self.find_port(port)?.device.stats())
    }

    fn all_port_stats(&self) -> HashMap<DpPort, PortStats> {
        base::held::about_to_wait("asking devices");
        let ports = self.shared.ports.load_full();
        let has_links = ports.iter().any(|port| port.device.ifindex().is_some());
        let links = if has_links { netlink::links().unwrap_or_default() } else { Vec::new() };
        let links: HashMap<u32, netlink::Link> = links.into_iter().map(|link| (link.index, link)).collect();
        ports.iter().map(|port| (port.number, port.device.stats_among(&links))).collect()
    }

    fn custom_port_stats(&self, port: DpPort) -> Vec<(String, u64)> {
        self.find_port(port).map(|port| port.device.custom_stats()).unwrap_or_default()
    }

    fn configure_port(
        &self,
        port: DpPort,
        mtu: Option<u32>,
        mac: Option<MacAddr>,
        up: Option<bool>,
    ) -> Result<(), DpError> {
        base::held::about_to_wait("setting up a device");
        let port = self.find_port(port)?;
        port.device.configure(mtu, mac, up)?;
        port.changed();
        self.shared.changes.note();
        Ok(())
    }

    fn change_port(&self, number: DpPort, spec: &PortSpec) -> Result<(), DpError> {
        base::held::about_to_wait("opening a device");
        let old = self.find_port(number)?;
        let sequence = self.shared.devices_made.fetch_add(1, Ordering::Relaxed);
        let device = match old.device.change(spec, sequence)? {
            Some(device) => Arc::new(device),
            None if old.is_up_to_date() => return Ok(()),
            None => Arc::clone(&old.device),
        };
        self.change_ports(|ports| {
            ports.insert(Arc::new(Port::new(number, device)));
            Ok(())
        })?;
        self.retire(old);
        Ok(())
    }

    fn port_epoch(&self) -> u64 {
        self.shared.changes.epoch()
    }

    fn capabilities(&self) -> Capabilities {
        crate::capabilities::of(self.max_vlans())
    }

    fn connections(&self) -> Option<&conntrack::Tracker> {
        Some(&self.shared.connections)
    }

    fn waiting_fragments(&self) -> String {
        self.shared.fragments.show()
    }

    fn max_vlans(&self) -> usize {
        self.shared.max_vlans.load(Ordering::Relaxed)
    }

    fn set_max_vlans(&self, max: usize) {
        self.shared.max_vlans.store(max.min(flow::MAX_VLANS), Ordering::Relaxed);
    }

    fn set_offload(&self, is_allowed: bool) {
        self.shared.shortcuts.allow(is_allowed);
    }

    fn fence_watcher(&self) -> Option<FenceWatcher> {
        let shortcuts = Arc::clone(&self.shared.shortcuts);
        Some(Box::new(move |fence| shortcuts.raise_fence(fence)))
    }

    fn set_upcall(&self, upcall: Option<Arc<dyn Upcall>>) {
        self.shared.upcall.store(upcall.map(|upcall| Arc::new(UpcallDoor(upcall))));
    }

    fn flow_put(&self, put: &FlowPut) -> Result<(), DpError> {
        let ufid = put.ufid.unwrap_or_else(|| Ufid::of(&put.key));
        self.log_put(ufid, put);
        let parts = self.selected(put.worker);
        let is_known = parts.iter().any(|part| part.flows.get(ufid).is_some());
        if put.mode == PutMode::Create && is_known {
            return Err(DpError::FlowExists);
        }
        let mut result = Err(DpError::NoFlow);
        for part in parts {
            // What exists somewhere is changed where it is.
            let done = part.flows.put(ufid, put, !is_known);
            match done {
                Ok(()) => result = Ok(()),
                Err(DpError::NoFlow) => {}
                Err(error) => return Err(error),
            }
        }
        result
    }

    fn flow_confirm(&self, flow: &Flow, version: u64) {
        if let Some(part) = self.shared.part(flow.worker) {
            part.flows.confirm(flow, version);
        }
    }

    fn flow_del(&self, ufid: Ufid, worker: Option<WorkerId>) -> Result<FlowStats, DpError> {
        let mut sum: Option<FlowStats> = None;
        let parts = if worker.is_some() { self.selected(worker) } else { self.shared.parts() };
        for part in parts {
            if let Some(stats) = part.flows.remove(ufid) {
                let sum = sum.get_or_insert_default();
                sum.packets += stats.packets;
                sum.bytes += stats.bytes;
                sum.used = sum.used.max(stats.used);
                sum.tcp_flags |= stats.tcp_flags;
            }
        }
        sum.ok_or(DpError::NoFlow)
    }

    fn flow_get(&self, ufid: Ufid, worker: Option<WorkerId>) -> Option<Flow> {
        self.selected(worker).into_iter().find_map(|part| part.flows.get(ufid))
    }

    fn flow_dump(&self, visit: &mut dyn FnMut(Flow)) {
        // Those of workers that ended are not used any more.
        for part in self.shared.active_parts() {
            part.flows.dump(visit);
        }
    }

    fn flow_glance(&self, visit: &mut dyn FnMut(FlowGlance)) {
        for part in self.shared.parts() {
            part.flows.glance(visit);
        }
    }

    fn flow_flush(&self) {
        for part in self.shared.parts() {
            part.flows.clear();
        }
    }

    fn execute(&self, execute: Execute<'_>) -> Result<(), DpError> {
        self.on_main(|run| {
            run.now = execute.now;
            run.execute(execute.packet, execute.actions);
        });
        Ok(())
    }

    fn stats(&self) -> DpStats {
        let mut sum = DpStats::default();
        for (_, stats) in self.worker_stats() {
            sum.hits += stats.hits;
            sum.missed += stats.missed;
            sum.lost += stats.lost;
            sum.flows += stats.flows;
            sum.masks += stats.masks;
            sum.exact_hits += stats.exact_hits;
            sum.signature_hits += stats.signature_hits;
            sum.megaflow_hits += stats.megaflow_hits;
            sum.subtable_lookups += stats.subtable_lookups;
            sum.recirculated += stats.recirculated;
            sum.lost_upcalls += stats.lost_upcalls;
            sum.successful_upcalls += stats.successful_upcalls;
        }
        sum
    }

    fn worker_stats(&self) -> Vec<(WorkerId, DpStats)> {
        let mut stats = Vec::new();
        for part in self.shared.parts() {
            let mut counted = part.counters.stats(&part.flows.counted());
            if !part.is_active() {
                (counted.flows, counted.masks) = (0, 0);
            }
            stats.push((part.id, counted));
        }
        stats
    }

    fn set_meter(&self, meter: u32, config: Option<Meter>) -> Result<(), DpError> {
        self.shared.meters.set(meter, config, self.shared.clock.now());
        Ok(())
    }

    fn meter_stats(&self, meter: u32) -> Option<MeterStats> {
        self.shared.meters.stats(meter)
    }

    fn set_bond(&self, bond: u32, buckets: Vec<DpPort>) {
        self.shared.bonds.set(bond, &buckets);
    }

    fn bonds(&self) -> Vec<(u32, Vec<DpPort>)> {
        self.shared.bonds.all()
    }

    fn take_bond_bytes(&self, bond: u32) -> Vec<u64> {
        self.shared.bonds.take_bytes(bond)
    }

    fn keep_internal_devices(&self) -> Vec<String> {
        let mut kept = Vec::new();
        for port in self.shared.ports.load_full().iter() {
            let Some(tap) = port.device.as_tap() else { continue };
            match tap.is_persistent() {
                Ok(true) => continue,
                Ok(false) => {}
                Err(e) => {
                    log::warn!(target: "dpif_netdev", "{}: {}", tap.name(), base::error_text(&e));
                }
            }
            match tap.set_persistent(true) {
                Ok(()) => kept.push(tap.name().to_owned()),
                Err(e) => {
                    let why = base::error_text(&e);
                    log::warn!(target: "dpif_netdev", "{} goes with the process: {why}", tap.name());
                }
            }
        }
        kept
    }

    fn release_internal_device(&self, name: &str) -> std::io::Result<()> {
        match self.shared.ports.load_full().by_name(name).and_then(|port| port.device.as_tap()) {
            Some(tap) => tap.set_persistent(false),
            // Its port went meanwhile.
            None => netdev::tap::Tap::open(name)?.set_persistent(false),
        }
    }

    fn tunnel_settings(&self) -> Arc<TunnelSettings> {
        self.shared.tunnels.load_full()
    }

    fn set_tunnel_settings(&self, settings: TunnelSettings) {
        self.shared.tunnels.store(Arc::new(settings));
    }

    fn succession(&self) -> Option<&dyn Succession> {
        Some(self)
    }

    fn quality_of_service(&self) -> Option<&dyn dp::QualityOfService> {
        Some(self)
    }

    fn workers(&self) -> Option<&dyn dp::Workers> {
        Some(self)
    }

    fn dummies(&self) -> Option<&dyn DummyControl> {
        Some(self)
    }
}

/// The kernel's help with hot flows, where there are real devices and the process has the right to it.
fn open_shortcuts(config: &Config) -> Shortcuts {
    if config.is_dummy || config.kind == "dummy" || config.processors.is_none() {
        return Shortcuts::none();
    }
    Shortcuts::open().unwrap_or_else(|error| {
        log::info!(
            target: "dpif_netdev",
            "{}: the kernel forwards no flows itself ({})",
            config.name,
            base::error_text(&error)
        );
        Shortcuts::none()
    })
}

/// A device whose opening did not come to its end.
fn internal_error(spec: &PortSpec) -> DpError {
    DpError::Open { name: spec.name.clone(), reason: "internal error".to_owned(), errno: Errno::IO }
}
