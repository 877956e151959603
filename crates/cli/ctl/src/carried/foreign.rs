//! Reading a switch that does not know `bridge/save`, such as the reference's: by what `ovs-ofctl` shows of it.

use std::fmt::Write;
use std::process::Stdio;

use super::ask;
use crate::ours;

/// The versions that are tried, the one that says most first.
const VERSIONS: [&str; 6] =
    ["OpenFlow15", "OpenFlow14", "OpenFlow13", "OpenFlow12", "OpenFlow11", "OpenFlow10"];

/// A bridge, as `bridge/save` would have it.
pub(super) fn save(name: &str) -> Result<String, String> {
    let version = version_of(name)?;
    let show = |version: &str, words: &[&str]| ofctl(version, words, name);
    let mut out = String::new();
    let is_from = |least: &str| version.as_str() >= least;
    let _ = writeln!(out, "fragments {}", show(&version, &["get-frags"])?.trim());
    if is_from("OpenFlow14") {
        tables(&mut out, &show(&version, &["dump-table-desc"])?);
    } else if is_from("OpenFlow11") && !is_from("OpenFlow13") {
        misses(&mut out, &show(&version, &["dump-tables"])?);
    }
    // Later versions do not show all that can be set.
    let described = show("OpenFlow10", &["dump-ports-desc"]);
    ports(&mut out, &described.or_else(|_| show(&version, &["dump-ports-desc"]))?);
    tlv_maps(&mut out, &show(&version, &["dump-tlv-map"])?);
    if is_from("OpenFlow13") {
        meters(&mut out, &show(&version, &["dump-meters"])?);
    }
    let listed = |listing: &str, keyword: &str| {
        let lines = listing.lines().map(str::trim_start);
        let lines = lines.filter(|line| !line.is_empty() && !is_heading(line));
        lines.map(|line| format!("{keyword}{line}\n")).collect::<String>()
    };
    if is_from("OpenFlow11") {
        out.push_str(&listed(&show(&version, &["dump-groups"])?, "group "));
    }
    let flows = show(&version, &["dump-flows", "--no-names", "--no-stats"])?;
    out.push_str(&listed(&flows, "flow 0 "));
    addresses(&mut out, &ask("fdb/show", &[name])?);
    Ok(out)
}

fn ofctl(version: &str, words: &[&str], bridge: &str) -> Result<String, String> {
    let mut command = ours::program("ovs-ofctl");
    let (first, options) = words.split_first().unwrap_or((&"", &[]));
    command.args(["-O", version]).args(options).arg(first).arg(bridge).stdin(Stdio::null());
    let done = command.output().map_err(|e| rpc::error_text(&e))?;
    match done.status.success() {
        true => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&done.stderr).trim_end().to_owned()),
    }
}

/// The best version that the bridge speaks.
fn version_of(bridge: &str) -> Result<String, String> {
    let mut why = String::new();
    for version in VERSIONS {
        match ofctl(version, &["get-frags"], bridge) {
            Ok(_) => return Ok(version.to_owned()),
            Err(reason) => why = reason,
        }
    }
    Err(why)
}

fn is_heading(line: &str) -> bool {
    ["NXST_", "OFPST_", "NXT_", "OFPT_"].iter().any(|start| line.starts_with(start))
}

/// `  table 2:` and `   eviction=on …`, `   vacancy=on vacancy_down=20% …` below it.
fn tables(out: &mut String, listing: &str) {
    let mut table = "";
    let mut words = String::new();
    for line in listing.lines().chain(["  table :"]).map(str::trim) {
        if let Some(number) = line.strip_prefix("table ").and_then(|rest| rest.strip_suffix(':')) {
            if !words.is_empty() {
                let _ = writeln!(out, "table {table}{words}");
                words.clear();
            }
            table = number.split(' ').next().unwrap_or_default();
        } else if line.starts_with("eviction=on") {
            words.push_str(" evict");
        } else if line.starts_with("vacancy=on") {
            let value = |key: &str| {
                let at = line.split_whitespace().find_map(|word| word.strip_prefix(key));
                at.map_or("0", |text| text.trim_end_matches('%')).to_owned()
            };
            let _ = write!(words, " vacancy:{},{}", value("vacancy_down="), value("vacancy_up="));
        }
    }
}

/// `  table 2:` and `    config=drop` below it; `  tables 3...252: ditto` has what the one before has.
fn misses(out: &mut String, listing: &str) {
    let mut tables: (u8, u8) = (0, 0);
    let mut miss = "";
    let mut put = |tables: (u8, u8), miss: &str| {
        if ["controller", "continue", "drop"].contains(&miss) {
            for table in tables.0..=tables.1 {
                let _ = writeln!(out, "table {table} {miss}");
            }
        }
    };
    for line in listing.lines().map(str::trim) {
        let numbers = line.strip_prefix("tables ").or_else(|| line.strip_prefix("table "));
        if let Some((numbers, rest)) = numbers.and_then(|rest| rest.split_once(':')) {
            let (first, last) = numbers.split_once("...").unwrap_or((numbers, numbers));
            // A table's name may follow its number.
            let number = |text: &str| text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
            tables = (number(first), number(last));
            match rest.trim() {
                "ditto" => put(tables, miss),
                _ => miss = "",
            }
        } else if let Some(config) = line.strip_prefix("config=") {
            miss = config;
            put(tables, miss);
        }
    }
}

/// ` 1(eth0): addr:…` and `     config:     NO_FLOOD` below it.
fn ports(out: &mut String, listing: &str) {
    let mut port = "";
    for line in listing.lines().map(str::trim) {
        if line.contains("): addr:") {
            port = line.split('(').next().unwrap_or_default();
        } else if let Some(config) = line.strip_prefix("config:") {
            let _ = writeln!(out, "port {port} {}", config.trim());
        }
    }
}

/// The lines of the mapping table begin with the class.
fn tlv_maps(out: &mut String, listing: &str) {
    for line in listing.lines().map(str::trim).filter(|line| line.starts_with("0x")) {
        let _ = writeln!(out, "tlv-map {line}");
    }
}

/// A meter's bands stand on lines of their own.
fn meters(out: &mut String, listing: &str) {
    let mut is_open = false;
    for line in listing.lines().map(str::trim).filter(|line| !line.is_empty() && !is_heading(line)) {
        if line.starts_with("meter=") {
            out.push_str(if is_open { "\nmeter " } else { "meter " });
            is_open = true;
        } else {
            out.push(' ');
        }
        out.push_str(line);
    }
    if is_open {
        out.push('\n');
    }
}

/// ` port  VLAN  MAC                Age`, and such lines.
fn addresses(out: &mut String, listing: &str) {
    for line in listing.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [port, vlan, mac, age] = words[..] {
            let _ = writeln!(out, "address {port} {vlan} {mac} {age}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(read: impl Fn(&mut String, &str), listing: &str) -> String {
        let mut out = String::new();
        read(&mut out, listing);
        out
    }

    #[test]
    fn a_meter_is_one_line_with_its_bands() {
        let listing = "OFPST_METER_CONFIG reply (OF1.5) (xid=0x2):\nmeter=1 kbps burst bands=\n\
                       type=drop rate=1000 burst_size=100\n\nmeter=2 pktps bands=\ntype=drop rate=9\n";
        assert_eq!(
            made(meters, listing),
            "meter meter=1 kbps burst bands= type=drop rate=1000 burst_size=100\n\
             meter meter=2 pktps bands= type=drop rate=9\n"
        );
    }

    #[test]
    fn what_was_set_of_tables_is_read() {
        let listing = "OFPST_TABLE_DESC reply (OF1.4) (xid=0x2):\n  table 0:\n   eviction=off eviction_flags=\n   \
                       vacancy=off\n\n  table 3 (\"acl\"):\n   eviction=on eviction_flags=OTHER\n   vacancy=on \
                       vacancy_down=20% vacancy_up=80% vacancy=0%\n";
        assert_eq!(made(tables, listing), "table 3 evict vacancy:20,80\n");
        let listing = "  table 0:\n    active=1\n    config=controller\n\n  table 1:\n    active=0\n\n  \
                       tables 2...4: ditto\n\n  table 5:\n    config=drop\n\n  tables 6...7: ditto\n";
        let expected = "table 0 controller\ntable 5 drop\ntable 6 drop\ntable 7 drop\n";
        assert_eq!(made(misses, listing), expected);
    }

    #[test]
    fn ports_addresses_and_maps_are_read() {
        let listing = " 1(eth0): addr:02:00:00:00:00:01\n     config:     NO_FLOOD NO_FWD\n     state:      LIVE\n \
                       LOCAL(br0): addr:02:00:00:00:00:02\n     config:     0\n";
        assert_eq!(made(ports, listing), "port 1 NO_FLOOD NO_FWD\nport LOCAL 0\n");
        let listing = " port  VLAN  MAC                Age\nLOCAL     0  50:54:00:00:00:05  static\n    1    20  \
                       50:54:00:00:00:06   12\n";
        assert_eq!(
            made(addresses, listing),
            "address LOCAL 0 50:54:00:00:00:05 static\naddress 1 20 50:54:00:00:00:06 12\n"
        );
        let listing =
            " max option space=256\n\n  class  type\n ------\n 0xffff     0       4  tun_metadata0\n";
        assert_eq!(made(tlv_maps, listing), "tlv-map 0xffff     0       4  tun_metadata0\n");
    }
}
