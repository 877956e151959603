//! Real traffic between two network namespaces through the datapath, with the kernel's default offloads.
//!
//! Needs the right to make namespaces; says so and passes where it is missing.
#![allow(clippy::unwrap_used)] // tests say what they expect by unwrapping

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use base::{Clock, DpPort};
use dp::{
    Action, Datapath, PortKind, PortSpec, Upcall, UpcallOutcome, UpcallPacket, Userspace, WorkerSettings,
};
use dp_user::{Config, DpUser};
use flow::{FlowMask, slot};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// A wire between the ports of a pair. With tags, what goes over the inner pair (2 and 3) has one.
struct Wire {
    has_tags: bool,
}

impl Upcall for Wire {
    fn miss(&self, upcall: &mut UpcallPacket<'_>) -> UpcallOutcome {
        let in_port = upcall.key.in_port();
        let mut actions = Vec::new();
        match (self.has_tags, in_port) {
            (true, 1 | 4) => actions.push(Action::PushVlan { tpid: 0x8100, tci: 0x1007 }),
            (true, _) => actions.push(Action::PopVlan),
            _ => {}
        }
        // 1 and 2 are a pair, and 3 and 4.
        actions.push(Action::Output(DpPort(((in_port - 1) ^ 1) + 1)));
        let mut mask = FlowMask::new();
        mask.add_all(slot::DL_DST);
        mask.add_all(slot::VLAN0_TCI);
        UpcallOutcome { actions: actions.into(), mask, install: true, install_actions: None, version: 0 }
    }

    fn userspace(&self, _: &mut UpcallPacket<'_>, _: &Userspace, _: &[Action]) -> Option<Arc<[Action]>> {
        None
    }
}

/// A namespace that lives as long as a child that sleeps in it.
struct Host(Child);

impl Host {
    fn new() -> Host {
        let mut child = Command::new("unshare")
            .args(["-n", "sh", "-c", "echo ready; exec sleep 1000"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        Host(child)
    }

    fn namespace(&self) -> File {
        File::open(format!("/proc/{}/ns/net", self.0.id())).unwrap()
    }

    /// Runs `ip` with these words inside.
    fn ip(&self, words: &str) {
        let pid = self.0.id().to_string();
        let status =
            Command::new("nsenter").args(["-t", &pid, "-n", "ip"]).args(words.split(' ')).status().unwrap();
        assert!(status.success(), "ip {words}");
    }

    /// Runs `act` on a thread inside.
    fn run<R: Send + 'static>(&self, act: impl FnOnce() -> R + Send + 'static) -> thread::JoinHandle<R> {
        let namespace = self.namespace();
        thread::spawn(move || {
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network))
                .unwrap();
            act()
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ip(words: &str) {
    assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "ip {words}");
}

/// The calling thread's namespace becomes the switch's; two hosts hang on it.
///
/// With tags the way from host to host goes through the switch twice: over
/// ports 2 and 3, which are joined outside of it, frames have a tag.
fn world(has_tags: bool) -> Option<(Host, Host, DpUser)> {
    // SAFETY: only this test's thread moves, and it shares no file descriptors by namespace.
    if unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.is_err() {
        eprintln!("skipped: no right to make network namespaces");
        return None;
    }
    let (a, b) = (Host::new(), Host::new());
    for (host, port, device, address) in [(&a, "pa", "a0", "10.9.0.1/24"), (&b, "pb", "b0", "10.9.0.2/24")] {
        ip(&format!("link add {port} type veth peer name {device} netns {}", host.0.id()));
        ip(&format!("link set {port} up"));
        host.ip(&format!("link set {device} up"));
        host.ip(&format!("addr add {address} dev {device}"));
    }
    let datapath = DpUser::new(Config::default(), Clock::new()).unwrap();
    datapath.set_upcall(Some(Arc::new(Wire { has_tags })));
    let mut names = vec!["pa", "pb"];
    if has_tags {
        ip("link add in0 type veth peer name in1");
        ip("link set in0 up");
        ip("link set in1 up");
        names = vec!["pa", "in0", "in1", "pb"];
    }
    for name in names {
        datapath.add_port(&PortSpec::new(name, PortKind::System)).unwrap();
    }
    Some((a, b, datapath))
}

/// Bytes that show when something is missing or doubled.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).take(len).collect()
}

fn transfer(a: &Host, b: &Host, len: usize) {
    let listener = b.run(|| TcpListener::bind("10.9.0.2:7000").unwrap()).join().unwrap();
    let receiver = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received
    });
    let sender = a.run(move || {
        let address = "10.9.0.2:7000".parse().unwrap();
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(60)).unwrap();
        stream.write_all(&pattern(len)).unwrap();
    });
    sender.join().unwrap();
    assert!(receiver.join().unwrap() == pattern(len), "the bytes that arrived are those sent");
}

#[test]
fn tcp_passes_with_default_offloads() {
    let Some((a, b, datapath)) = world(false) else { return };
    transfer(&a, &b, 30 << 20);
    let stats = datapath.stats();
    assert!(stats.hits > 100 && stats.missed < 20, "{stats:?}");
    assert_eq!(datapath.port_by_name("pa").unwrap().mtu, 1500);
    assert!(datapath.port_stats(DpPort(1)).unwrap().rx_bytes > Some(30 << 20));
}

#[test]
fn tcp_passes_through_a_vlan() {
    let Some((a, b, _datapath)) = world(true) else { return };
    transfer(&a, &b, 10 << 20);
}

#[test]
fn a_device_that_goes_down_costs_nothing_and_comes_back() {
    let Some((a, b, datapath)) = world(false) else { return };
    let before = datapath.port_epoch();
    ip("link set pa down");
    wait_for(|| datapath.port_epoch() > before && !datapath.port_by_name("pa").unwrap().is_up);
    ip("link set pa up");
    wait_for(|| datapath.port_by_name("pa").unwrap().has_link);
    transfer(&a, &b, 1 << 20);
    ip("link del pa");
    wait_for(|| !datapath.port_by_name("pa").unwrap().is_present);
}

/// Looks again until it is so, for a minute at most.
fn wait_for(is_so: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited in vain");
        thread::yield_now();
    }
}

#[test]
fn datagrams_of_any_size_pass() {
    let Some((a, b, _datapath)) = world(false) else { return };
    let server = b.run(|| UdpSocket::bind("10.9.0.2:7001").unwrap()).join().unwrap();
    server.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let client = a.run(|| UdpSocket::bind("10.9.0.1:0").unwrap()).join().unwrap();
    for len in [0, 1, 100, 1472, 1473, 9000, 60000] {
        client.send_to(&pattern(len), "10.9.0.2:7001").unwrap();
        let mut buffer = vec![0; 65536];
        let got = server.recv(&mut buffer).unwrap();
        assert!(buffer[..got] == pattern(len), "{len} bytes");
    }
}

#[test]
fn a_device_can_be_opened_again_at_once_and_is_gone_when_the_datapath_is_settled() {
    let Some((a, b, datapath)) = world(false) else { return };
    let pb = PortSpec::new("pb", PortKind::System);
    for _ in 0..5 {
        datapath.del_port(datapath.port_by_name("pb").unwrap().number).unwrap();
        assert_eq!(
            datapath.add_ports(&[pb.clone(), PortSpec::new("br0", PortKind::Internal)]),
            [Ok(DpPort(2)), Ok(DpPort(3))]
        );
        datapath.del_port(DpPort(3)).unwrap();
    }
    datapath.settle();
    assert!(datapath.is_settled());
    let shown = Command::new("ip").args(["link", "show", "br0"]).output().unwrap();
    assert!(!shown.status.success(), "{shown:?}");
    transfer(&a, &b, 1 << 20);
}

#[test]
fn an_internal_port_is_a_device_of_the_host() {
    let Some((a, _b, datapath)) = world(false) else { return };
    datapath.del_port(DpPort(2)).unwrap();
    assert_eq!(datapath.add_port(&PortSpec::new("br0", PortKind::Internal)), Ok(DpPort(2)));
    ip("addr add 10.9.0.3/24 dev br0");
    ip("link set br0 up");
    let listener = TcpListener::bind("10.9.0.3:7002").unwrap();
    let sender = a.run(|| {
        let address = "10.9.0.3:7002".parse().unwrap();
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(60)).unwrap();
        stream.write_all(&pattern(5 << 20)).unwrap();
    });
    let (mut stream, _) = listener.accept().unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    sender.join().unwrap();
    assert!(received == pattern(5 << 20));
    let info = datapath.port_by_name("br0").unwrap();
    assert!(info.is_up && info.has_link && info.is_present);
}

/// Gives the processors of the mask a worker each, if there are so many; whether there are.
fn set_mask(datapath: &DpUser, mask: &str) -> bool {
    let settings = WorkerSettings { cpu_mask: Some(mask.into()), ..WorkerSettings::default() };
    datapath.workers().unwrap().set_up(&settings);
    let count = datapath.workers().unwrap().workers(0).len() as u32;
    let has_all = count == u32::from_str_radix(mask, 16).unwrap().count_ones();
    if !has_all {
        eprintln!("skipped: too few processors");
    }
    has_all
}

#[test]
fn each_worker_has_a_port_and_counts_for_itself() {
    let Some((a, b, datapath)) = world(false) else { return };
    if !set_mask(&datapath, "3") {
        return;
    }
    transfer(&a, &b, 5 << 20);
    let workers = datapath.workers().unwrap();
    let queues = |core: usize| workers.workers(1)[core].queues.len();
    assert_eq!([queues(0), queues(1)], [1, 1]);
    let received = |core| workers.performance(Some(core)).unwrap().received;
    // Segments one way, acknowledgements the other, both as merged as they come.
    assert!(received(0) > 10 && received(1) > 10, "{} {}", received(0), received(1));
    let stats = datapath.stats();
    assert!(stats.hits + stats.missed >= received(0) + received(1), "{stats:?}");
    wait_for(|| {
        workers.clear_performance(Some(0));
        received(0) == 0
    });
    assert!(workers.performance(Some(2)).is_none());
    // Who ends takes nothing along.
    let before = datapath.stats().hits;
    assert!(set_mask(&datapath, "1"));
    transfer(&a, &b, 1 << 20);
    assert!(datapath.stats().hits > before);
}

#[test]
fn ports_that_are_flooded_together_get_a_worker_each() {
    let Some((a, b, datapath)) = world(false) else { return };
    let workers = datapath.workers().unwrap();
    workers.set_up(&WorkerSettings::default());
    if workers.workers(0).len() != 1 || thread::available_parallelism().unwrap().get() < 2 {
        return eprintln!("skipped: not as many processors as one worker is for");
    }
    let ends =
        |host: &Host, own: &'static str| host.run(move || UdpSocket::bind(own).unwrap()).join().unwrap();
    let (one, other) = (ends(&a, "10.9.0.1:7004"), ends(&b, "10.9.0.2:7004"));
    let floods = AtomicBool::new(true);
    thread::scope(|scope| {
        for (from, to) in [(&one, "10.9.0.2:7004"), (&other, "10.9.0.1:7004")] {
            let floods = &floods;
            scope.spawn(move || {
                while floods.load(Ordering::Relaxed) {
                    // An unreachable host is one whose neighbour is not known yet.
                    let _ = from.send_to(&[0; 4], to);
                }
            });
        }
        wait_for(|| {
            workers.tick();
            workers.workers(0).len() == 2
        });
        floods.store(false, Ordering::Relaxed);
    });
    let queues: Vec<usize> = workers.workers(0).iter().map(|worker| worker.queues.len()).collect();
    assert_eq!(queues, [1, 1]);
    transfer(&a, &b, 1 << 20);
    assert!(set_mask(&datapath, "1"), "who says which workers there are gets these");
    transfer(&a, &b, 1 << 20);
}

#[test]
fn datagrams_keep_their_order_while_ports_pass_from_worker_to_worker() {
    const COUNT: u32 = 20_000;
    let Some((a, b, datapath)) = world(false) else { return };
    if !set_mask(&datapath, "2") {
        return;
    }
    let server = b.run(|| UdpSocket::bind("10.9.0.2:7003").unwrap()).join().unwrap();
    server.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let client = a.run(|| UdpSocket::bind("10.9.0.1:0").unwrap()).join().unwrap();
    // While the host asks for its neighbour, it sends later datagrams before those that wait for the answer.
    client.send_to(&[0; 4], "10.9.0.2:7003").unwrap();
    server.recv(&mut [0; 4]).unwrap();
    let arrived = Arc::new(AtomicU32::new(0));
    let is_far_behind =
        |sent: u32, arrived: &AtomicU32| sent.saturating_sub(arrived.load(Ordering::Relaxed)) > 100;
    let sender = thread::spawn({
        let arrived = Arc::clone(&arrived);
        move || {
            for number in 0..COUNT {
                client.send_to(&number.to_le_bytes(), "10.9.0.2:7003").unwrap();
                while is_far_behind(number, &arrived) {
                    thread::yield_now();
                }
            }
        }
    });
    let receiver = thread::spawn({
        let arrived = Arc::clone(&arrived);
        move || {
            let (mut next, mut lost) = (0, 0);
            while next < COUNT {
                let mut bytes = [0; 4];
                server.recv(&mut bytes).unwrap();
                let number = u32::from_le_bytes(bytes);
                assert!(number >= next, "{number} comes after {next}");
                lost += number - next;
                next = number + 1;
                arrived.store(next, Ordering::Relaxed);
            }
            // What comes while a ring takes over from a socket is lost (`netdev::receiving`).
            assert!(lost < 100, "{lost} are lost");
        }
    });
    let mut masks = ["1", "3", "2"].into_iter().cycle();
    let mut last = 0;
    while !receiver.is_finished() {
        let now = arrived.load(Ordering::Relaxed);
        if now >= last + 100 {
            set_mask(&datapath, masks.next().unwrap());
            last = now;
        }
        thread::yield_now();
    }
    receiver.join().unwrap();
    sender.join().unwrap();
}
