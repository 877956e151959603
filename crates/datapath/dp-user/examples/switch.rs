//! A learning switch between the devices named on the command line.
//!
//! With `--exact` first, flows are as specific as keys are: one per
//! connection. Ends with its standard input.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex};

use base::{Clock, DpPort, MacAddr};
use dp::{Action, Datapath, PortSpec, Upcall, UpcallOutcome, UpcallPacket, Userspace};
use dp_user::{Config, DpUser};
use flow::{FlowMask, slot};

struct Learner {
    is_exact: bool,
    ports: Vec<DpPort>,
    macs: Mutex<HashMap<MacAddr, DpPort>>,
}

impl Upcall for Learner {
    fn miss(&self, upcall: &mut UpcallPacket<'_>) -> UpcallOutcome {
        let key = upcall.key;
        let mut macs = self.macs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        macs.insert(key.dl_src(), DpPort(key.in_port()));
        let to = macs.get(&key.dl_dst()).copied();
        let actions: Vec<Action> = match to {
            Some(port) => vec![Action::Output(port)],
            None => self
                .ports
                .iter()
                .filter(|port| port.0 != key.in_port())
                .map(|&port| Action::Output(port))
                .collect(),
        };
        let mut mask = FlowMask::new();
        for place in [slot::IN_PORT, slot::DL_DST, slot::DL_SRC, slot::DL_TYPE] {
            mask.add_all(place);
        }
        if self.is_exact {
            for place in [slot::NW_SRC, slot::NW_DST, slot::NW_PROTO, slot::TP_SRC, slot::TP_DST] {
                mask.add_all(place);
            }
        }
        UpcallOutcome {
            actions: actions.into(),
            mask,
            install: to.is_some(),
            install_actions: None,
            version: 0,
        }
    }

    fn userspace(&self, _: &mut UpcallPacket<'_>, _: &Userspace, _: &[Action]) -> Option<Arc<[Action]>> {
        None
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    let is_exact = names.first().is_some_and(|name| name == "--exact");
    if is_exact {
        names.remove(0);
    }
    let datapath = DpUser::new(Config::default(), Clock::new())?;
    let mut ports = Vec::new();
    for name in &names {
        let (name, kind) = name.split_once(':').unwrap_or((name, ""));
        ports.push(datapath.add_port(&PortSpec::new(name, kind.parse()?))?);
    }
    datapath.set_upcall(Some(Arc::new(Learner { is_exact, ports, macs: Mutex::default() })));
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    println!("{:?}", datapath.stats());
    Ok(())
}
