//! Connections through `ct`.

use std::process::{Child, Stdio};

use end_to_end::{Host, Programs, Switch, World};

use crate::Wanted;
use crate::generator::{Role, Told};
use crate::table::Table;

/// Who may begin connections, and that what belongs to one passes.
const RULES: &str = "table=0,priority=10,ip,actions=ct(table=1)
table=0,priority=1,actions=normal
table=1,priority=20,ct_state=+trk+inv,ip,actions=drop
table=1,priority=10,ct_state=+trk+new,ip,actions=ct(commit),normal
table=1,priority=10,ct_state=+trk+est,ip,actions=normal
";
/// Connections that carry data, and those that are held.
const ESTABLISHED: u32 = 10_000;
const HELD: u32 = 1_000_000;

pub(crate) fn measure(wanted: &Wanted, table: &mut Table) {
    for programs in [Programs::Ours, Programs::Reference] {
        let rig = Rig::new(programs);
        let (told, _) = rig.play(Role::Open, wanted.seconds, 0);
        table.add(
            "new TCP connections through ct(commit), thousand a second",
            programs,
            per_second(&told) / 1e3,
        );
    }
    for programs in [Programs::Ours, Programs::Reference] {
        let rig = Rig::new(programs);
        let (_, heard) = rig.play(Role::Flood, wanted.seconds, ESTABLISHED);
        let rate = heard.count as f64 / wanted.seconds as f64 / 1e3;
        table.add("packets of 10,000 established connections, thousand a second", programs, rate);
    }
    for programs in [Programs::Ours, Programs::Reference] {
        let rig = Rig::new(programs);
        let before = rig.switch.memory();
        rig.play(Role::Hold, 60, HELD);
        let bytes = (rig.switch.memory() - before) as f64;
        let held: f64 = rig.switch.appctl("dpctl/ct-get-nconns").trim().parse().unwrap_or(0.0);
        table.add("connections held, thousand", programs, held / 1e3);
        table.add("bytes a connection", programs, bytes / held.max(1.0));
        let worst = rig.worst_round_trip();
        table.add("longest round trip of 5,000 beside them, ms", programs, worst);
    }
}

fn per_second(told: &Told) -> f64 {
    told.count as f64 / told.seconds
}

/// Two guests and the switch between them.
struct Rig {
    a: Host,
    b: Host,
    switch: Switch,
    _world: World,
}

impl Rig {
    fn new(programs: Programs) -> Rig {
        let world = World::new();
        let (host, a, b) = (world.host("sw"), world.host("a"), world.host("b"));
        world.wire(&a, "eth0", &host, "pa");
        world.wire(&b, "eth0", &host, "pb");
        // Beside the generators' devices, those of ping.
        world.wire(&a, "eth1", &host, "pc");
        world.wire(&b, "eth1", &host, "pd");
        a.address("eth1", "192.168.8.1/24");
        b.address("eth1", "192.168.8.2/24");
        let switch = Switch::start(&world, &host, "sw", programs);
        switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
        switch.vsctl("add-port br0 pa -- add-port br0 pb -- add-port br0 pc -- add-port br0 pd");
        let rules = world.dir.path().join("rules");
        std::fs::write(&rules, RULES).expect("a file of rules");
        switch.ofctl(&format!("add-flows br0 {}", rules.display()));
        Rig { a, b, switch, _world: world }
    }

    /// What the guest that begins tells, and what the one that answers has heard.
    fn play(&self, role: Role, seconds: u64, count: u32) -> (Told, Told) {
        let answer = generator(&self.b, Role::Answer, seconds, count);
        let begin = generator(&self.a, role, seconds, count);
        (Told::read(begin), Told::read(answer))
    }

    /// In milliseconds.
    fn worst_round_trip(&self) -> f64 {
        let shown = self.a.ok("ping -q -i 0.002 -c 5000 192.168.8.2");
        let times = shown.lines().last().and_then(|line| line.split(" = ").nth(1)).unwrap_or_default();
        times.split('/').nth(2).and_then(|time| time.parse().ok()).unwrap_or(f64::NAN)
    }
}

fn generator(host: &Host, role: Role, seconds: u64, count: u32) -> Child {
    let mut command = host.command(std::env::current_exe().expect("a path of this program"));
    command.args([role.name(), "eth0", &seconds.to_string(), &count.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("a generator")
}
