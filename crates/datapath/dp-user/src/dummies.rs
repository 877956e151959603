//! Driving dummy ports.

use std::sync::Arc;
use std::time::Duration;

use base::DpPort;
use dp::{DpError, DummyControl, Packet};

use crate::DpUser;
use crate::ports::Port;

/// How long a worker may take for a packet.
const PATIENCE: Duration = Duration::from_secs(5);

impl DummyControl for DpUser {
    fn receive_on(&self, port: DpPort, queue: u32, mut packet: Packet) -> Result<(), DpError> {
        let found = self.find_port(port)?;
        let Some(dummy) = found.device.as_dummy() else {
            return Err(DpError::Unsupported(format!("{} is not a dummy port", found.device.name())));
        };
        let queue = queue as usize;
        if queue > 0 && queue >= found.device.queue_count() {
            return Err(DpError::Unsupported("bad rx queue id.".to_owned()));
        }
        if !dummy.accept(&mut packet) {
            return Ok(());
        }
        let has_worker = found.queues.get(queue).is_some_and(|queue| queue.seat.wanted().is_some());
        if !has_worker {
            self.process(port, vec![packet]);
        } else if dummy.enqueue(queue, packet) {
            base::held::about_to_wait("a worker to do with a packet");
            dummy.wait(queue, PATIENCE);
        }
        Ok(())
    }

    fn poll(&self) {
        for port in self.shared.ports.load_full().iter() {
            let Some(dummy) = port.device.as_dummy() else { continue };
            let mut packets = Vec::new();
            dummy.receive(&mut packets);
            if port.queues.first().is_some_and(|queue| queue.seat.wanted().is_some()) {
                packets.into_iter().for_each(|packet| _ = dummy.enqueue(0, packet));
            } else {
                self.process(port.number, packets);
            }
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
