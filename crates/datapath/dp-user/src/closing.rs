//! Ports on their way out.
//!
//! A port that was taken out of the datapath is still held by workers, until
//! they have done the batch at hand, and closing its sockets makes one wait
//! ([`together`]). A thread of its own waits for both, for all ports that are
//! closing together, so that neither the control thread nor a worker does.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::ports::Port;
use crate::together;

/// How often it is asked whether workers have let go of a port.
const RELEASE_STEP: Duration = Duration::from_micros(500);
/// After how many of these steps it is reported that they do not.
const RELEASE_STEPS: u32 = 2000;
/// How long a caller waits for a name at most.
const PATIENCE: Duration = Duration::from_secs(2);

/// The thread that closes ports. It closes those that it has before it ends.
pub(crate) struct Closing {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Called whenever no port is left.
    on_settled: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    /// Those that nobody closes so far.
    waiting: Vec<Arc<Port>>,
    /// The names of all that are not closed.
    names: Vec<String>,
    is_stopping: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Closing {
    pub(crate) fn new(on_settled: impl Fn() + Send + Sync + 'static) -> std::io::Result<Closing> {
        let on_settled = Box::new(on_settled);
        let queue = Arc::new(Queue { state: Mutex::default(), changed: Condvar::new(), on_settled });
        let closing = Closing { queue, thread: Mutex::default() };
        closing.start()?;
        Ok(closing)
    }

    /// Starts the thread, which does not run.
    pub(crate) fn start(&self) -> std::io::Result<()> {
        self.queue.lock().is_stopping = false;
        let queue = Arc::clone(&self.queue);
        let thread = std::thread::Builder::new().name("closing".into()).spawn(move || run(&queue))?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// Closes the ports that it has, and ends the thread.
    pub(crate) fn end(&self) {
        self.queue.lock().is_stopping = true;
        self.queue.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    /// Closes the ports as soon as nobody else holds them.
    pub(crate) fn close(&self, ports: impl IntoIterator<Item = Arc<Port>>) {
        let mut state = self.queue.lock();
        for port in ports {
            state.names.push(port.device.name().to_owned());
            state.waiting.push(port);
        }
        self.queue.changed.notify_all();
    }

    /// Whether all are closed.
    pub(crate) fn is_done(&self) -> bool {
        self.queue.lock().names.is_empty()
    }

    /// Waits until no device of a name for which `concerns` holds is open any more.
    pub(crate) fn wait_for(&self, concerns: impl Fn(&str) -> bool) {
        let is_open = |state: &mut State| state.names.iter().any(|name| concerns(name));
        // Whoever waits too long finds the device busy, which is reported then.
        drop(self.queue.changed.wait_timeout_while(self.queue.lock(), PATIENCE, is_open));
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(queue: &Queue) {
    let mut steps = 0;
    loop {
        let mut state = queue.lock();
        while state.waiting.is_empty() {
            if state.is_stopping {
                return;
            }
            steps = 0;
            state = queue.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // Nobody can come by another hold on a port that is not among the datapath's any more.
        let is_free = |port: &mut Arc<Port>| Arc::strong_count(port) == 1;
        let free: Vec<Arc<Port>> = state.waiting.extract_if(.., is_free).collect();
        if free.is_empty() {
            steps += 1;
            if steps == RELEASE_STEPS {
                for port in &state.waiting {
                    log::warn!(target: "dpif_netdev", "port {} is still in use by a worker", port.device.name());
                }
            }
            drop(state);
            std::thread::sleep(RELEASE_STEP);
            continue;
        }
        drop(state);
        let names: Vec<String> = free.iter().map(|port| port.device.name().to_owned()).collect();
        together::for_each(free, drop);
        let mut state = queue.lock();
        for name in names {
            if let Some(at) = state.names.iter().position(|other| *other == name) {
                state.names.swap_remove(at);
            }
        }
        let is_settled = state.names.is_empty();
        drop(state);
        queue.changed.notify_all();
        if is_settled {
            (queue.on_settled)();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use base::DpPort;
    use dp::{PortKind, PortSpec};
    use netdev::Device;

    use super::*;

    fn port(name: &str) -> Arc<Port> {
        let device = Device::open(&PortSpec::new(name, PortKind::Dummy), 0, false).unwrap();
        Arc::new(Port::new(DpPort(1), Arc::new(device)))
    }

    #[test]
    fn who_deletes_a_port_does_not_wait_for_a_worker_that_has_it() {
        let (settled, settles) = mpsc::channel();
        let closing = Closing::new(move || settled.send(()).unwrap()).unwrap();
        let (held, other) = (port("held"), port("other"));
        let (device_of_held, of_worker) = (Arc::downgrade(&held.device), Arc::clone(&held));
        closing.close([held]);
        closing.close([other]);
        closing.wait_for(|name| name == "other");
        assert!(!closing.is_done());
        assert!(device_of_held.upgrade().is_some());
        drop(of_worker);
        settles.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(closing.is_done());
        assert!(device_of_held.upgrade().is_none());
    }

    #[test]
    fn what_is_closing_is_closed_before_the_end() {
        let ports: Vec<_> = (0..200).map(|index| port(&format!("p{index}"))).collect();
        let devices: Vec<_> = ports.iter().map(|port| Arc::downgrade(&port.device)).collect();
        let closing = Closing::new(|| {}).unwrap();
        closing.close(ports);
        drop(closing);
        assert!(devices.iter().all(|device| device.upgrade().is_none()));
    }
}
