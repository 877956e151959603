//! Quality of service of ports, which their devices do.

use std::collections::BTreeMap;

use base::DpPort;
use dp::{DpError, Policing, Qos, QosKind, QosState, QualityOfService, QueueStats};

use crate::DpUser;

impl QualityOfService for DpUser {
    fn qos_kinds(&self, port: DpPort) -> Result<Vec<QosKind>, DpError> {
        Ok(self.find_port(port)?.device.qos_kinds().to_vec())
    }

    fn set_qos(&self, port: DpPort, wanted: Option<&Qos>) -> Result<(), Vec<String>> {
        base::held::about_to_wait("setting up how a device queues");
        let port = self.find_port(port).map_err(|e| vec![e.to_string()])?;
        port.device.set_qos(wanted, self.shared.clock.now())
    }

    fn qos(&self, port: DpPort) -> Result<Option<QosState>, DpError> {
        Ok(self.find_port(port)?.device.qos())
    }

    fn queue_stats(&self, port: DpPort) -> Result<BTreeMap<u32, QueueStats>, DpError> {
        base::held::about_to_wait("asking a device");
        self.find_port(port)?.device.queue_stats()
    }

    fn set_policing(&self, port: DpPort, limits: Policing) -> Result<(), DpError> {
        self.find_port(port)?.device.set_policing(limits, self.shared.clock.now())
    }
}
