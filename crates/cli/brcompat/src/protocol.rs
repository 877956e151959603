//! What `brctl` and the daemon say to each other: bridges as JSON, and
//! refusals that begin with the name of an errno, as the kernel would refuse.

use serde_json::{Value, json};

/// The commands of the daemon.
pub(crate) const SHOW: &str = "brcompat/show";
pub(crate) const ADD_BRIDGE: &str = "brcompat/add-bridge";
pub(crate) const DELETE_BRIDGE: &str = "brcompat/delete-bridge";
pub(crate) const ADD_PORT: &str = "brcompat/add-port";
pub(crate) const DELETE_PORT: &str = "brcompat/delete-port";
pub(crate) const SET_BRIDGE: &str = "brcompat/set-bridge";
pub(crate) const SET_PORT: &str = "brcompat/set-port";

/// A bridge of the switch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bridge {
    pub name: String,
    /// "020000000001".
    pub mac: String,
    pub priority: u16,
    pub stp: bool,
    /// All but its own.
    pub ports: Vec<Port>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Port {
    pub name: String,
    pub number: u32,
    /// "02:00:00:00:00:01"; empty while the device is absent.
    pub mac: String,
}

/// A refusal in the kernel's manner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub i32);

const NAMES: [(&str, i32); 9] = [
    ("EOPNOTSUPP", libc::EOPNOTSUPP),
    ("EBUSY", libc::EBUSY),
    ("EEXIST", libc::EEXIST),
    ("EINVAL", libc::EINVAL),
    ("ELOOP", libc::ELOOP),
    ("ENODEV", libc::ENODEV),
    ("ENXIO", libc::ENXIO),
    ("EAGAIN", libc::EAGAIN),
    ("EIO", libc::EIO),
];

impl Errno {
    /// "EBUSY: Device or resource busy".
    pub(crate) fn to_text(self) -> String {
        let name = NAMES.iter().find(|(_, number)| *number == self.0).map_or("EIO", |(name, _)| *name);
        format!("{name}: {}", rpc::errno_text(self.0))
    }

    /// Whatever is no such text is an error of input and output.
    pub(crate) fn from_text(text: &str) -> Errno {
        let name = text.split(':').next().unwrap_or_default();
        Errno(NAMES.iter().find(|(known, _)| *known == name).map_or(libc::EIO, |(_, number)| *number))
    }
}

pub(crate) fn to_json(bridges: &[Bridge]) -> Value {
    let port = |p: &Port| json!({"name": p.name, "number": p.number, "mac": p.mac});
    let bridge = |b: &Bridge| {
        let ports: Vec<Value> = b.ports.iter().map(port).collect();
        json!({"name": b.name, "mac": b.mac, "priority": b.priority, "stp": b.stp, "ports": ports})
    };
    bridges.iter().map(bridge).collect()
}

pub(crate) fn from_json(value: &Value) -> Vec<Bridge> {
    let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |v: &Value, key: &str| v.get(key).and_then(Value::as_u64).unwrap_or_default();
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    let port = |v: &Value| Port {
        name: text(v, "name"),
        number: number(v, "number").try_into().unwrap_or_default(),
        mac: text(v, "mac"),
    };
    let bridge = |v: &Value| Bridge {
        name: text(v, "name"),
        mac: text(v, "mac"),
        priority: number(v, "priority").try_into().unwrap_or_default(),
        stp: v.get("stp").and_then(Value::as_bool).unwrap_or_default(),
        ports: v.get("ports").map(list).unwrap_or_default().iter().map(port).collect(),
    };
    list(value).iter().map(bridge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bridges_and_refusals_survive_the_way() {
        let bridges = [
            Bridge {
                name: "a".to_owned(),
                mac: "020000000001".to_owned(),
                priority: 32768,
                stp: true,
                ports: vec![Port { name: "p".to_owned(), number: 3, mac: String::new() }],
            },
            Bridge::default(),
        ];
        assert_eq!(from_json(&to_json(&bridges)), bridges);
        assert_eq!(from_json(&json!("nonsense")), []);
        for (_, number) in NAMES {
            assert_eq!(Errno::from_text(&Errno(number).to_text()), Errno(number));
        }
        assert_eq!(Errno::from_text("what?"), Errno(libc::EIO));
    }
}
