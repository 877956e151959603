//! `emer-reset`: takes away what a manager or controller may have configured.

use crate::cache::ROOT;
use crate::context::{Context, Result};
use model::{Atom, Datum, Uuid};

pub(crate) fn emer_reset(context: &mut Context) -> Result<()> {
    let root = context.root;
    for column in ["manager_options", "ssl"] {
        context.set(ROOT, &root, column, Datum::Empty);
    }
    let rows = |context: &Context, table: &str| -> Vec<Uuid> {
        context.transaction.rows(table).map(|row| row.uuid).collect()
    };
    for bridge in rows(context, "Bridge") {
        for column in ["controller", "fail_mode", "mirrors", "netflow", "sflow", "ipfix", "flood_vlans"] {
            context.set("Bridge", &bridge, column, Datum::Empty);
        }
        // The bridge's own address is the one setting that stays.
        let address = context.row("Bridge", &bridge).and_then(|row| row.map_text("other_config", "hwaddr"));
        let kept = Datum::map(address.map(|a| (Atom::from("hwaddr"), Atom::from(a))));
        context.set("Bridge", &bridge, "other_config", kept);
    }
    for port in rows(context, "Port") {
        context.set("Port", &port, "other_config", Datum::Empty);
    }
    for interface in rows(context, "Interface") {
        context.set("Interface", &interface, "ingress_policing_rate", 0);
        context.set("Interface", &interface, "ingress_policing_burst", 0);
    }
    for table in
        ["Mirror", "Controller", "Manager", "NetFlow", "SSL", "sFlow", "IPFIX", "Flow_Sample_Collector_Set"]
    {
        for uuid in rows(context, table) {
            context.transaction.delete(table, &uuid);
        }
    }
    context.forget_cache();
    Ok(())
}
