use std::collections::BTreeSet;

use super::*;

#[test]
fn every_column_of_the_schema_is_listed_once() {
    let tables = schema::OPEN_VSWITCH.tables.iter();
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
    let of_tunnels = [
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
    ];
    let missing: BTreeSet<String> = documented
        .iter()
        .filter(|(column, _)| ["other_config", "options", "bfd", "lldp"].contains(&column.as_str()))
        .filter(|(_, key)| !of_tunnels.contains(&key.as_str()))
        .filter(|(column, key)| !is_listed(column, key))
        .map(|(column, key)| format!("{column}:{key}"))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_setting_is_named_with_its_row() {
    let unread = |table, setting: &str, why| {
        Unread { table, uuid: Uuid::nil(), row: "x".into(), setting: setting.into(), why }.text()
    };
    assert_eq!(
        unread("Open_vSwitch", "other_config:hw-offload", Why::Refused("nobody has such cards")),
        "Open_vSwitch x: other_config:hw-offload is refused and has no effect: nobody has such cards"
    );
    assert_eq!(
        unread("Open_vSwitch", "other_config:smc-enable", Why::Tuning),
        "Open_vSwitch x: other_config:smc-enable has no effect on this switch"
    );
}

#[test]
fn every_table_that_has_a_say_by_itself_is_followed() {
    let mut followed: Vec<&str> = tables().collect();
    followed.sort_unstable();
    let mut expected: Vec<&str> = schema::OPEN_VSWITCH.tables.iter().map(|table| table.name).collect();
    expected.sort_unstable();
    assert_eq!(followed, expected, "each once");
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/settings.md");
const INTRODUCTION: &str = "# Settings

What the switch makes of every column of the Open_vSwitch database that configures it, and of every documented key of
those that are maps. This page is made from the list that the switch itself works by
(`crates/switch/bridge/src/settings/table.rs`): `WRITE_PAGES=1 cargo nextest run -p bridge settings` writes it anew, and the test
fails where it differs.

- **honoured**: the switch does what it says.
- **status**: the switch writes it.
- **others'**: names, notes, and what other programs read.
- **no counterpart**: it tunes what this switch does otherwise; forwarding is the same without. The log says so once.
- **refused**: it is meant for hardware, or for a way of reaching it, that this switch does not use; the log says so, and why, and
  the row shows it.

Options of tunnels are not listed: they are read where the tunnel's `type` has them, and the log names others
([tunnels.md](tunnels.md)). Which keys of QoS and Queue a type knows, [qos.md](qos.md) says; others are logged. Of `timeouts`, those
that only the kernel's states of TCP have (`tcp_close_wait`, `tcp_last_ack`, `tcp_syn_sent2`, `tcp_retransmit`, `tcp_unack`) have no
effect, and the log says so.
";

/// What the page says of a use; `None` of a map, whose keys follow it.
fn words(use_: Use) -> Option<String> {
    let said = match use_ {
        Use::Read => "honoured".to_owned(),
        Use::Status => "status".to_owned(),
        Use::Elsewhere => "others'".to_owned(),
        Use::Awaited => "honoured: `cur_cfg` follows it when all else is done".to_owned(),
        Use::Tuning => "no counterpart".to_owned(),
        Use::Refused(why, inert) => {
            let inert: Vec<String> =
                inert.iter().map(|value| format!("; `{value}` asks for nothing")).collect();
            format!("refused: {why}{}", inert.concat())
        }
        Use::Map => return None,
    };
    Some(said)
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for table in tables() {
        page += &format!("\n## {table}\n\n| setting | |\n|---|---|\n");
        for (_, column, use_) in COLUMNS.iter().filter(|(of, ..)| *of == table) {
            if let Some(said) = words(*use_) {
                page += &format!("| `{column}` | {said} |\n");
            }
            for (.., key, use_) in KEYS.iter().filter(|(of, map, ..)| (of, map) == (&table, column)) {
                page += &format!("| `{column}:{key}` | {} |\n", words(*use_).unwrap_or_default());
            }
        }
    }
    page
}

#[test]
fn the_page_of_settings_is_as_the_list_says() {
    if std::env::var_os("WRITE_PAGES").is_some() {
        std::fs::write(PAGE, page()).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap();
    let (written, listed): (Vec<&str>, String) = (written.lines().collect(), page());
    let missing: Vec<&str> = listed.lines().filter(|line| !written.contains(line)).collect();
    assert!(missing.is_empty(), "docs/settings.md lacks {missing:#?}");
    assert_eq!(written.len(), listed.lines().count(), "docs/settings.md has more than the list");
}
