//! Opening devices.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dp::{DpError, PortKind, PortSpec, TunnelKind, UnknownPortKind};

use super::{Arrival, Device, DeviceKind};
use crate::Shortcuts;
use crate::dummy::{Dummy, wanted_queues};
use crate::packet::PacketDevice;
use crate::tap::Tap;
use crate::xdp::Wish;

/// How long is waited for somebody to take what a device has received that is opened anew.
const LAST_FRAMES: Duration = Duration::from_millis(50);

impl Device {
    /// Opens what `spec` asks for. `is_dummy`: the datapath is for tests, where system devices are dummies too;
    /// `sequence` counts devices, and gives dummies their addresses.
    pub fn open(spec: &PortSpec, sequence: u32, is_dummy: bool) -> Result<Device, DpError> {
        Device::open_as(spec, sequence, is_dummy, Arrival::Alone, &Arc::new(Shortcuts::none()))
    }

    /// The same, where another process may have the device, and the kernel may forward flows itself.
    pub fn open_as(
        spec: &PortSpec,
        sequence: u32,
        is_dummy: bool,
        arrival: Arrival,
        shortcuts: &Arc<Shortcuts>,
    ) -> Result<Device, DpError> {
        let dummy = || DeviceKind::Dummy(Box::new(Dummy::open(spec, sequence)));
        let mut known = None;
        let kind = match spec.kind {
            PortKind::Dummy | PortKind::DummyInternal | PortKind::DummyPmd => dummy(),
            PortKind::System
            | PortKind::Internal
            | PortKind::Tap
            | PortKind::Afxdp
            | PortKind::AfxdpNonPmd
                if is_dummy =>
            {
                dummy()
            }
            PortKind::Internal | PortKind::Tap => {
                let tap = match arrival {
                    Arrival::Beside { tap: Some(tap) } => Ok(Tap::of_other_process(&spec.name, tap)),
                    Arrival::Beside { tap: None } | Arrival::Alone => Tap::open(&spec.name),
                };
                DeviceKind::Tap(tap.map_err(|e| refused(spec, &e))?)
            }
            PortKind::System | PortKind::Afxdp | PortKind::AfxdpNonPmd => {
                let is_deaf = matches!(arrival, Arrival::Beside { .. });
                let (device, link) = open_packet(spec, sequence, is_deaf, shortcuts)?;
                known = Some(link);
                DeviceKind::Packet(device)
            }
            // Only a module of the kernel's that few have carries these.
            PortKind::Tunnel(TunnelKind::Lisp | TunnelKind::Stt) => {
                return Err(UnknownPortKind(spec.kind.to_string()).into());
            }
            PortKind::Tunnel(_) => DeviceKind::Tunnel,
        };
        let mut device = Device {
            kind,
            spec: spec.clone(),
            ifindex: None,
            dropped_before: 0,
            qos: Arc::default(),
            shortcuts: Arc::clone(shortcuts),
        };
        if let Some(link) = known.or_else(|| device.link()) {
            device.ifindex = Some(link.index);
            device.qos.begin(&link);
            device.dropped_before = device.dropped_by_kernel(&link.counters);
        }
        Ok(device)
    }

    /// Takes over other options. Where these ask for another number of queues of a device of the machine, that is opened
    /// anew, and given back: it receives from here on, and this one nothing more. What this one had received somebody has to
    /// take meanwhile.
    ///
    /// # Errors
    /// The device cannot be opened.
    pub fn change(&self, spec: &PortSpec, sequence: u32) -> Result<Option<Device>, DpError> {
        let before = match &self.kind {
            DeviceKind::Dummy(dummy) => {
                dummy.configure(spec);
                return Ok(None);
            }
            DeviceKind::Packet(device)
                if device.xdp().is_none() && device.queue_count() != wanted_queues(spec) =>
            {
                device
            }
            DeviceKind::Packet(_) | DeviceKind::Tap(_) | DeviceKind::Tunnel => return Ok(None),
        };
        let (mut device, link) = open_packet(spec, sequence, true, &self.shortcuts)?;
        if Some(link.index) != self.ifindex {
            return Err(DpError::NoPortName(spec.name.clone()));
        }
        let others = before.share().map_err(|error| refused(spec, &error))?;
        device.count_on_from(before);
        device.hear(&others);
        let limit = Instant::now() + LAST_FRAMES;
        while before.has_frames() && Instant::now() < limit {
            std::thread::sleep(LAST_FRAMES / 100);
        }
        Ok(Some(Device {
            kind: DeviceKind::Packet(device),
            spec: spec.clone(),
            ifindex: self.ifindex,
            dropped_before: self.dropped_before,
            qos: Arc::clone(&self.qos),
            shortcuts: Arc::clone(&self.shortcuts),
        }))
    }
}

fn refused(spec: &PortSpec, error: &io::Error) -> DpError {
    let reason = base::error_text(error) + &crate::rights::explain(error);
    DpError::Open { name: spec.name.clone(), reason, errno: crate::rights::errno(error) }
}

fn open_packet(
    spec: &PortSpec,
    sequence: u32,
    is_deaf: bool,
    shortcuts: &Arc<Shortcuts>,
) -> Result<(PacketDevice, netlink::Link), DpError> {
    let link = netlink::link(&spec.name).map_err(|e| refused(spec, &e))?;
    let Some(link) = link else { return Err(refused(spec, &io::Error::from_raw_os_error(libc::ENODEV))) };
    let device = if spec.kind.is_afxdp() {
        let wish = Wish::of(spec)?;
        PacketDevice::open_xdp(&spec.name, link.index, sequence, is_deaf, wish)
    } else {
        PacketDevice::open(&spec.name, link.index, sequence, is_deaf, wanted_queues(spec), shortcuts)
    };
    let device = device.map_err(|e| refused(spec, &e))?;
    Ok((device, link))
}
