//! Four guests on a bridge, who send frames byte by byte and show which frames come: of our switch and of the reference's.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use end_to_end::{Host, LIMIT, Programs, Switch, World, holds_within, until};

const SEND: &str = "import socket,sys
s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW); s.bind(('eth0',0))
for frame in sys.argv[1:]: s.send(bytes.fromhex(frame))";

/// Guests 1 to 4 behind the ports p1 to p4.
pub(super) struct Lan {
    pub(super) host: Host,
    pub(super) switch: Switch,
    guests: Vec<Guest>,
    _world: World,
}

struct Guest {
    host: Host,
    capture: Child,
    file: PathBuf,
}

/// How often each frame came, by the number of the guest and its bytes.
pub(super) type Heard = BTreeMap<(usize, String), usize>;

impl Lan {
    pub(super) fn new(programs: Programs) -> Lan {
        let world = World::new();
        let host = world.host("sw");
        let switch = Switch::start(&world, &host, "sw", programs);
        switch
            .vsctl("add-br br0 -- set bridge br0 datapath_type=netdev other_config:hwaddr=02:00:00:00:00:fe");
        let guests = (1..=4).map(|n| {
            let guest = world.host(&format!("g{n}"));
            world.wire(&guest, "eth0", &host, &format!("p{n}"));
            switch.vsctl(&format!("add-port br0 p{n} -- set interface p{n} ofport_request={n}"));
            let file = world.dir.path().join(format!("g{n}"));
            let capture = guest
                .command("tcpdump")
                .args(["-l", "-U", "-i", "eth0", "-Q", "in", "-nn", "-t", "-xx"])
                .stdout(File::create(&file).expect("a file"))
                .stderr(File::create(file.with_extension("err")).expect("a file"))
                .stdin(Stdio::null())
                .spawn()
                .expect("tcpdump");
            until("tcpdump listens", || {
                std::fs::read_to_string(file.with_extension("err"))
                    .is_ok_and(|said| said.contains("listening on"))
            });
            Guest { host: guest, capture, file }
        });
        let guests = guests.collect();
        Lan { host, switch, guests, _world: world }
    }

    /// Changes the database, and has the flows made anew: the reference's follow later.
    pub(super) fn set(&self, line: &str) {
        self.switch.vsctl(line);
        self.switch.appctl("revalidator/purge");
    }

    /// Has a guest send frames, and returns what all have heard, once they are as many as `expected`, and no more come.
    pub(super) fn send(&self, from: usize, frames: &[&str], expected: usize) -> Heard {
        for guest in &self.guests {
            File::create(&guest.file).expect("an empty file");
        }
        let mut command = self.guests[from - 1].host.command("python3");
        end_to_end::run(command.args(["-c", SEND]).args(frames)).ok();
        holds_within(LIMIT, || self.heard().values().sum::<usize>() >= expected);
        // What should not come would come by now, and of a frame whose first line is there the others follow.
        let mut heard = self.heard();
        loop {
            std::thread::sleep(std::time::Duration::from_millis(150));
            let now = self.heard();
            if now == heard {
                return heard;
            }
            heard = now;
        }
    }

    fn heard(&self) -> Heard {
        let mut heard = Heard::new();
        for (index, guest) in self.guests.iter().enumerate() {
            let text = std::fs::read_to_string(&guest.file).unwrap_or_default();
            for frame in frames(text.trim_start_matches('\0')) {
                *heard.entry((index + 1, frame)).or_default() += 1;
            }
        }
        heard
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for guest in &mut self.guests {
            // It may have ended by itself.
            let _ = guest.capture.kill();
            let _ = guest.capture.wait();
        }
    }
}

/// The frames that tcpdump shows, as digits.
fn frames(text: &str) -> Vec<String> {
    let mut frames: Vec<String> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix('\t') {
            Some(digits) => {
                let digits = digits.split_once(':').map_or("", |(_, digits)| digits);
                if let Some(frame) = frames.last_mut() {
                    frame.extend(digits.chars().filter(|c| !c.is_whitespace()));
                }
            }
            None => frames.push(String::new()),
        }
    }
    frames
}

/// Addresses that guests send from, and one that nobody has.
pub(super) fn mac(guest: usize) -> String {
    format!("02000000000{guest}")
}

pub(super) const BROADCAST: &str = "ffffffffffff";

/// A frame of an experimental type with `mark` in it, and with `tags` (each TPID and TCI, eight digits).
pub(super) fn frame(to: &str, from: &str, tags: &[&str], mark: u8) -> String {
    let mut frame = format!("{to}{from}{}88b5{}", tags.concat(), format!("{mark:02x}").repeat(46));
    frame.truncate(2 * (60 + 4 * tags.len()));
    frame
}
