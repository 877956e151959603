//! `bond/*` and `lacp/*`: joined ports.

use std::sync::Arc;

use base::MacAddr;
use protocols::Monitor;
use rpc::unixctl::Registry;

pub(super) fn register<C: 'static>(registry: &mut Registry<C>, monitor: Arc<Monitor>) {
    let mut group = registry.group(monitor);
    group.add("bond/list", "", 0, 0, |monitor, _| {
        Ok(format!("bond\ttype\trecircID\tmembers\n{}", monitor.list_bonds()))
    });
    group.add("bond/show", "[port]", 0, 1, |monitor, args| {
        monitor.show_bond(args.first().map(String::as_str)).ok_or_else(|| "no such bond".to_owned())
    });
    group.add("bond/migrate", "port hash member", 3, 3, |monitor, args| {
        monitor.with_bond(&args[0], |bond| bond.migrate(&args[1], &args[2]))
    });
    group.add("bond/set-active-member", "port member", 2, 2, set_active);
    group.add("bond/enable-member", "port member", 2, 2, |monitor, args| force(monitor, args, true));
    group.add("bond/disable-member", "port member", 2, 2, |monitor, args| force(monitor, args, false));
    group.add("bond/hash", "mac [vlan] [basis]", 1, 3, |_, args| hash(args));
    group.add_hidden("bond/set-active-slave", 2, 2, set_active);
    group.add_hidden("bond/enable-slave", 2, 2, |monitor, args| force(monitor, args, true));
    group.add_hidden("bond/disable-slave", 2, 2, |monitor, args| force(monitor, args, false));
    let no_lacp = || "no such lacp object".to_owned();
    group.add("lacp/show", "[port]", 0, 1, move |monitor, args| {
        monitor.show_lacp(args.first().map(String::as_str)).ok_or_else(no_lacp)
    });
    group.add("lacp/show-stats", "[port]", 0, 1, move |monitor, args| {
        monitor.show_lacp_statistics(args.first().map(String::as_str)).ok_or_else(no_lacp)
    });
}

fn set_active(monitor: &Arc<Monitor>, args: &[String]) -> Result<String, String> {
    monitor.with_bond(&args[0], |bond| bond.prefer(&args[1]))
}

fn force(monitor: &Arc<Monitor>, args: &[String], enables: bool) -> Result<String, String> {
    monitor.with_bond(&args[0], |bond| bond.force(&args[1], enables))
}

/// The part of a bond that packets from an address in a VLAN are of.
fn hash(args: &[String]) -> Result<String, String> {
    let number = |at: usize, error: &str| {
        args.get(at).map_or(Ok(0), |text| text.parse::<u32>().map_err(|_| error.to_owned()))
    };
    let vlan = u16::try_from(number(1, "invalid vlan")?).map_err(|_| "invalid vlan".to_owned())?;
    let basis = number(2, "invalid basis")?;
    let mac: MacAddr = args[0].parse().map_err(|_| "invalid mac".to_owned())?;
    Ok((pipeline::bond::mac_hash(mac, vlan, basis) as u8).to_string())
}
