//! Driving dummy ports.

use std::sync::Arc;

use base::DpPort;
use dp::{DpError, DummyControl, Packet};

use crate::DpUser;
use crate::ports::Port;

impl DummyControl for DpUser {
    fn receive(&self, port: DpPort, packet: Packet) -> Result<(), DpError> {
        let found = self.find_port(port)?;
        let Some(dummy) = found.device.as_dummy() else {
            return Err(DpError::Unsupported(format!("{} is not a dummy port", found.device.name())));
        };
        if dummy.accept(&packet) {
            self.process(port, vec![packet]);
        }
        Ok(())
    }

    fn poll(&self) {
        for port in self.shared.ports.load_full().iter() {
            let Some(dummy) = port.device.as_dummy() else { continue };
            let mut packets = Vec::new();
            dummy.receive(&mut packets);
            self.process(port.number, packets);
        }
    }

    fn renumber(&self, port: DpPort, number: DpPort) -> Result<(), DpError> {
        self.change_ports(|ports| {
            if ports.get(number).is_some() {
                return Err(DpError::NumberTaken(number));
            }
            let old = ports.remove(port).ok_or(DpError::NoPort(port))?;
            ports.insert(Arc::new(Port::new(number, Arc::clone(&old.device))));
            Ok(())
        })
    }
}
