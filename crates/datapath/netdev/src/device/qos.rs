//! What a device is asked for in quality of service ([`crate::qos`]). Dummies and tunnels have none.

use std::collections::BTreeMap;

use base::Timestamp;
use dp::{DpError, DropReason, Errno, Packet, Policing, Qos, QosKind, QosState, QueueStats};

use crate::qos::is_policer;
use crate::{Device, DeviceKind, Pool};

impl Device {
    fn has_qos(&self) -> bool {
        match &self.kind {
            DeviceKind::Packet(_) | DeviceKind::Tap(_) => true,
            DeviceKind::Dummy(_) | DeviceKind::Tunnel => false,
        }
    }

    /// What it can be asked for.
    pub fn qos_kinds(&self) -> &'static [QosKind] {
        const ALL: &[QosKind] = &QosKind::ALL;
        if self.has_qos() { ALL } else { &[] }
    }

    /// Queues, shapes or polices what it sends as `wanted`, or not at all.
    ///
    /// # Errors
    /// All that could not be done, each for the log.
    pub fn set_qos(&self, wanted: Option<&Qos>, now: Timestamp) -> Result<(), Vec<String>> {
        if self.qos.has(wanted) && !wanted.is_some_and(|wanted| wanted.kind.depends_on_link()) {
            return Ok(());
        }
        if !self.has_qos() {
            let why = |wanted: &Qos| {
                format!("{}: QoS of type {} is not supported", self.name(), wanted.kind.name())
            };
            return wanted.map_or(Ok(()), |wanted| Err(vec![why(wanted)]));
        }
        let Some(link) = self.link() else {
            return Err(vec![format!("{}: there is no such device", self.name())]);
        };
        let speed = wanted.and_then(|_| netlink::link_mode(self.name())).and_then(|mode| mode.speed_mbps);
        if let Some(xdp) = self.xdp() {
            xdp.set_shaped(wanted.is_some_and(|wanted| !is_policer(wanted.kind)));
        }
        let result = self.qos.set(&link, speed, wanted, now);
        if self.qos.polices_sent() {
            self.end_shortcuts();
        }
        result
    }

    /// What is in force of [`Device::set_qos`].
    pub fn qos(&self) -> Option<QosState> {
        self.qos.state()
    }

    /// What its queues have counted. A dummy has one, and counts nothing.
    ///
    /// # Errors
    /// The kernel's.
    pub fn queue_stats(&self) -> Result<BTreeMap<u32, QueueStats>, DpError> {
        match &self.kind {
            DeviceKind::Packet(_) | DeviceKind::Tap(_) => {
                let ifindex = self.ifindex().unwrap_or(0);
                self.qos.queue_stats(ifindex).map_err(|e| DpError::Device {
                    what: self.name().to_owned(),
                    reason: base::error_text(&e),
                    errno: Errno::from_io_error(&e).unwrap_or(Errno::IO),
                })
            }
            DeviceKind::Dummy(_) => Ok(BTreeMap::from([(0, QueueStats::default())])),
            DeviceKind::Tunnel => Ok(BTreeMap::new()),
        }
    }

    /// Limits what comes in.
    ///
    /// # Errors
    /// It has no limits.
    pub fn set_policing(&self, limits: Policing, now: Timestamp) -> Result<(), DpError> {
        if self.has_qos() {
            self.qos.set_policing(limits, now);
            if self.qos.polices_received() {
                self.end_shortcuts();
            }
        } else if limits != Policing::default() {
            return Err(DpError::Unsupported(format!("{}: policing is not supported", self.name())));
        }
        Ok(())
    }

    /// Drops what came in beyond its limits, and counts it.
    #[inline]
    pub fn police_received(&self, packets: &mut Vec<Packet>, pool: &mut Pool, now: Timestamp) {
        let mut dropped = Vec::new();
        self.qos.police_received(packets, &mut dropped, now);
        if !dropped.is_empty() {
            if let Some(losses) = self.losses() {
                losses.count(DropReason::RxPolicing, dropped.len() as u64);
            }
            dropped.into_iter().for_each(|packet| pool.give_back(packet));
        }
    }

    /// Drops what is beyond the rate of its policer before it is sent, and counts it.
    #[inline]
    pub fn police_sent(&self, packets: &mut Vec<Packet>, pool: &mut Pool, now: Timestamp) {
        let mut dropped = Vec::new();
        self.qos.police_sent(packets, &mut dropped, now);
        if !dropped.is_empty() {
            if let Some(losses) = self.losses() {
                losses.policed(dropped.len() as u64);
            }
            dropped.into_iter().for_each(|packet| pool.give_back(packet));
        }
    }
}
