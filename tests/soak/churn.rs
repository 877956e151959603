//! What is done to the switch.

use std::process::Stdio;

use end_to_end::until;

use crate::{GUESTS, Soak, TAGS};

/// Rules that stay, in tables that packets pass, and that count the packets of checks.
const RULES: [&str; 3] = [
    "table=0,priority=60000,icmp,icmp_type=8,nw_tos=16,actions=NORMAL",
    "table=0,priority=0,actions=resubmit(,9),NORMAL",
    "table=9,priority=0,actions=drop",
];

impl Soak {
    pub(crate) fn prepare_rules(&self) {
        self.switch.ofctl("del-flows br0");
        for rule in RULES {
            self.switch.ofctl(&format!("add-flow br0 {rule}"));
        }
    }

    /// Does one thing.
    pub(crate) fn churn(&mut self) {
        self.operations += 1;
        match self.random.below(100) {
            0..15 => self.add_internal(),
            15..30 => self.remove_internal(),
            30..38 => self.add_veth(),
            38..42 => self.remove_veth(),
            42..46 => self.lose_veth(),
            46..62 => self.move_guest(),
            62..82 => self.change_rules(),
            82..87 => self.flap_link(),
            87..91 => self.toggle_controller(),
            91..94 => self.change_settings(),
            94..97 => self.dump(),
            97..98 => self.restart_database(),
            98..99 => self.restart(),
            _ => self.kill(),
        }
    }

    fn vsctl(&mut self, line: String) {
        self.done.push(format!("ovs-vsctl {line}"));
        self.switch.vsctl(&line);
    }

    fn ofctl(&mut self, line: String) {
        self.done.push(format!("ovs-ofctl {line}"));
        self.switch.ofctl(&line);
    }

    fn ip(&mut self, line: String) {
        self.done.push(format!("ip {line}"));
        self.host.ok(&format!("ip {line}"));
    }

    fn new_number(&mut self) -> u32 {
        self.next_number += 1;
        self.next_number
    }

    fn add_internal(&mut self) {
        if self.internals.len() >= 40 {
            return self.remove_internal();
        }
        let count = 1 + self.random.below(4);
        let numbers: Vec<u32> = (0..count).map(|_| self.new_number()).collect();
        let add = |n: &u32| format!("add-port br0 i{n} -- set interface i{n} type=internal");
        self.vsctl(numbers.iter().map(add).collect::<Vec<_>>().join(" -- "));
        self.internals.extend(numbers);
    }

    fn remove_internal(&mut self) {
        if !self.internals.is_empty() {
            let at = self.random.below(self.internals.len());
            let number = self.internals.swap_remove(at);
            self.vsctl(format!("del-port br0 i{number}"));
        }
    }

    fn add_veth(&mut self) {
        if self.veths.len() >= 20 {
            return self.remove_veth();
        }
        let number = self.new_number();
        self.ip(format!("link add v{number} type veth peer name w{number}"));
        self.ip(format!("link set w{number} up"));
        self.vsctl(format!("add-port br0 v{number} tag={}", TAGS[1]));
        self.veths.push(number);
    }

    fn remove_veth(&mut self) {
        if !self.veths.is_empty() {
            let at = self.random.below(self.veths.len());
            let number = self.veths.swap_remove(at);
            self.vsctl(format!("del-port br0 v{number}"));
            self.ip(format!("link del v{number}"));
        }
    }

    /// The device goes, and comes back, while its port stays in the database.
    fn lose_veth(&mut self) {
        if !self.veths.is_empty() {
            let at = self.random.below(self.veths.len());
            let number = self.veths[at];
            self.ip(format!("link del v{number}"));
            self.ip(format!("link add v{number} type veth peer name w{number}"));
        }
    }

    fn move_guest(&mut self) {
        let guest = 2 + self.random.below(GUESTS - 2);
        let tag = self.random.pick(&TAGS);
        self.tags[guest] = tag;
        match tag {
            0 => self.vsctl(format!("clear port g{guest} tag")),
            tag => self.vsctl(format!("set port g{guest} tag={tag}")),
        }
    }

    /// Rules that no packet of the checks meets.
    fn change_rules(&mut self) {
        let count = 1 + self.random.below(256);
        let base = self.random.below(256);
        let rules: String = (0..count)
            .map(|n| format!("table=9,priority={},udp,nw_dst=10.8.{base}.{n},actions=drop\n", 1 + n % 7))
            .collect();
        let file = self.switch.dir.join("rules");
        std::fs::write(&file, rules).expect("a file of rules");
        let file = file.display().to_string();
        match self.random.below(5) {
            0 => self.ofctl(format!("add-flows br0 {file}")),
            1 => self.ofctl(format!("-O OpenFlow14 --bundle add-flows br0 {file}")),
            2 => self.ofctl(format!("mod-flows br0 table=9,udp,nw_dst=10.8.{base}.0/24,actions=drop")),
            3 => self.ofctl(format!("del-flows br0 table=9,udp,nw_dst=10.8.{base}.0/24")),
            _ => {
                self.ofctl("del-flows br0 table=9".to_owned());
                self.ofctl(format!("add-flow br0 {}", RULES[2]));
            }
        }
    }

    fn flap_link(&mut self) {
        let guest = 2 + self.random.below(GUESTS - 2);
        self.ip(format!("link set g{guest} down"));
        self.ip(format!("link set g{guest} up"));
    }

    /// A controller that only listens comes or goes.
    fn toggle_controller(&mut self) {
        match self.controller.take() {
            Some(mut controller) => {
                self.done.push("the monitor goes".to_owned());
                // It may have ended by itself.
                let _ = controller.kill();
                let _ = controller.wait();
            }
            None => {
                self.done.push("ovs-ofctl monitor br0 watch:".to_owned());
                let mut command = self.switch.command("ovs-ofctl");
                let quiet = command.args(["monitor", "br0", "watch:"]).stdin(Stdio::null());
                let quiet = quiet.stdout(Stdio::null()).stderr(Stdio::null());
                self.controller = Some(quiet.spawn().expect("a monitor"));
            }
        }
    }

    fn change_settings(&mut self) {
        let aging = self.random.pick(&[15, 60, 300]);
        let limit = self.random.pick(&[1000, 10_000, 200_000]);
        self.vsctl(format!(
            "set bridge br0 other_config:mac-aging-time={aging} -- set open_vswitch . other_config:flow-limit={limit}"
        ));
    }

    fn dump(&mut self) {
        for line in ["dump-flows br0", "dump-ports br0", "show br0"] {
            self.ofctl(line.to_owned());
        }
    }

    fn restart_database(&mut self) {
        self.done.push("ovsdb-server is killed and started".to_owned());
        self.switch.kill_database();
        self.switch.start_database();
    }

    /// The daemon ends as told, and is started.
    fn restart(&mut self) {
        self.done.push("ovs-vswitchd exits and is started".to_owned());
        self.restarts += 1;
        self.switch.appctl("exit");
        self.start_again();
    }

    fn kill(&mut self) {
        self.done.push("ovs-vswitchd is killed and started".to_owned());
        self.kills += 1;
        self.start_again();
    }

    fn start_again(&mut self) {
        self.switch.kill_daemon();
        self.switch.start_daemon();
        until("the bridge answers", || self.switch.ctl("ovs-ofctl", "show br0").status == 0);
        self.prepare_rules();
    }
}
