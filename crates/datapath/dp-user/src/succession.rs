//! Going on with devices in another process ([`dp::Succession`]).

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dp::Succession;
use netdev::packet::PacketDevice;

use crate::datapath::DpUser;

/// How long frames that were received may take to be forwarded, and how often they are looked for.
const PATIENCE: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(1);

impl Succession for DpUser {
    fn has_devices(&self) -> bool {
        let ports = self.shared.ports.load();
        ports.iter().any(|port| port.device.as_packet().is_some() || port.device.as_tap().is_some())
    }

    fn pause(&self) {
        self.end_threads();
        // The next process takes the place of the programs that forward.
        self.shared.shortcuts.close();
        // What the kernel sends from memory of this process it would not see in a copy.
        let ports = self.shared.ports.load();
        ports.iter().filter_map(|port| port.device.as_packet()).for_each(PacketDevice::end_directness);
        self.shared.closing.end();
        self.shared.sweeping.end();
    }

    fn resume(&self) -> io::Result<()> {
        self.shared.is_stopping.store(false, Ordering::Release);
        self.shared.closing.start()?;
        self.shared.sweeping.start()?;
        self.start_threads()
    }

    fn forget_ports(&self) {
        self.shared.is_forgotten.store(true, Ordering::Release);
    }

    fn hand_over(&self) {
        let ports = self.shared.ports.load();
        let has_frames =
            || ports.iter().filter_map(|port| port.device.as_packet()).any(PacketDevice::has_frames);
        let begin = Instant::now();
        while has_frames() && begin.elapsed() < PATIENCE {
            std::thread::sleep(STEP);
        }
        self.end_threads();
        let merging = ports.iter().filter_map(|port| port.device.as_packet());
        merging.filter(|device| device.merging.is_on()).for_each(PacketDevice::end_merging);
    }

    fn hear(&self) {
        let others = self.shared.is_alone();
        for device in self.shared.ports.load().iter().filter_map(|port| port.device.as_packet()) {
            device.hear(others.get(device.name()).map_or(&[], Vec::as_slice));
        }
        self.shared.call_workers();
        // Sockets of the type `afxdp` can be had now.
        self.shared.tuning.wake();
    }

    fn devices(&self) -> Vec<(String, OwnedFd)> {
        let mut devices = Vec::new();
        for port in self.shared.ports.load().iter() {
            match port.device.share() {
                Ok(fds) => devices.extend(fds.into_iter().map(|fd| (port.device.name().to_owned(), fd))),
                Err(error) => {
                    let why = base::error_text(&error);
                    log::warn!(target: "dpif_netdev", "{}: not handed over: {why}", port.device.name());
                }
            }
        }
        devices
    }
}
