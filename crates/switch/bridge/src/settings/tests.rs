use std::collections::BTreeSet;

use super::*;

/// Tables that have a say only through columns of others.
const THROUGH_OTHERS: [&str; 6] = ["QoS", "Queue", "CT_Zone", "CT_Timeout_Policy", "SSL", "Manager"];

#[test]
fn every_column_of_the_schema_is_listed_once() {
    let tables = schema::OPEN_VSWITCH.tables.iter().filter(|table| !THROUGH_OTHERS.contains(&table.name));
    let declared: Vec<(&str, &str)> =
        tables.flat_map(|table| table.columns.iter().map(|(column, _)| (table.name, *column))).collect();
    let mut listed: Vec<(&str, &str)> = COLUMNS.iter().map(|(table, column, _)| (*table, *column)).collect();
    let once: BTreeSet<_> = listed.iter().copied().collect();
    assert_eq!(once.len(), listed.len());
    listed.sort_unstable();
    let mut declared = declared;
    declared.sort_unstable();
    assert_eq!(listed, declared);
}

#[test]
fn keys_are_listed_of_maps_and_once() {
    let mut seen = BTreeSet::new();
    for (table, column, key, use_) in KEYS {
        assert!(COLUMNS.contains(&(*table, *column, Use::Map)), "{table} {column}");
        assert!(seen.insert((table, column, key)), "{table} {column}:{key}");
        assert!(!matches!(use_, Use::Map | Use::Status), "{key}");
    }
}

/// The keys that the manual of Debian's package documents, as "column : key". Its page is set in nroff.
fn documented() -> Option<Vec<(String, String)>> {
    let page = "/usr/share/man/man5/ovs-vswitchd.conf.db.5.gz";
    let text =
        std::process::Command::new("zcat").arg(page).output().ok().filter(|done| done.status.success())?;
    let text = String::from_utf8_lossy(&text.stdout).replace("\\-", "-").replace("\\_", "_");
    let keys = text.lines().filter_map(|line| {
        let (column, rest) = line.split_once(" : ")?;
        let (key, _) = rest.split_once("\\fR")?;
        let word = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        let column =
            column.trim_start_matches("\\fB").trim_start_matches(".IP \"").trim_start_matches("\\fB");
        (word(column) && word(key)).then(|| (column.to_owned(), key.to_owned()))
    });
    Some(keys.collect())
}

#[test]
fn every_documented_key_is_listed() {
    let Some(documented) = documented() else {
        eprintln!("skipped: the manual of Debian's Open vSwitch is not installed");
        return;
    };
    assert!(documented.len() > 150, "{} keys: the page is read wrongly", documented.len());
    let is_listed = |column: &str, key: &str| KEYS.iter().any(|(_, c, k, _)| *c == column && *k == key);
    let of_tunnels_and_queues = [
        "remote_ip",
        "local_ip",
        "in_key",
        "out_key",
        "dst_port",
        "key",
        "tos",
        "ttl",
        "df_default",
        "egress_pkt_mark",
        "exts",
        "packet_type",
        "seq",
        "csum",
        "psk",
        "remote_cert",
        "remote_name",
        "erspan_idx",
        "erspan_ver",
        "erspan_dir",
        "erspan_hwid",
        "payload_type",
        "srv6_segs",
        "srv6_flowlabel",
        "max-rate",
        "cir",
        "cbs",
        "eir",
        "ebs",
        "perturb",
        "quantum",
        "latency",
        "limit",
        "loss",
        "jitter",
        "min-rate",
        "burst",
        "priority",
    ];
    let missing: BTreeSet<String> = documented
        .iter()
        .filter(|(column, _)| ["other_config", "options", "bfd", "lldp"].contains(&column.as_str()))
        .filter(|(_, key)| !of_tunnels_and_queues.contains(&key.as_str()))
        .filter(|(column, key)| !is_listed(column, key))
        .map(|(column, key)| format!("{column}:{key}"))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_setting_is_named_with_its_row() {
    let unread = |table, setting: &str, is_tuning| {
        Unread { table, uuid: Uuid::nil(), row: "x".into(), setting: setting.into(), is_tuning }.text()
    };
    assert_eq!(
        unread("Interface", "ingress_policing_rate", false),
        "Interface x: ingress_policing_rate is not supported yet and has no effect"
    );
    assert_eq!(
        unread("Open_vSwitch", "other_config:smc-enable", true),
        "Open_vSwitch x: other_config:smc-enable has no effect on this switch"
    );
}

#[test]
fn every_table_that_has_a_say_by_itself_is_followed() {
    let mut followed: Vec<&str> = tables().collect();
    followed.sort_unstable();
    let of_schema = schema::OPEN_VSWITCH.tables.iter().map(|table| table.name);
    let mut expected: Vec<&str> = of_schema.filter(|name| !THROUGH_OTHERS.contains(name)).collect();
    expected.sort_unstable();
    assert_eq!(followed, expected, "each once");
}
