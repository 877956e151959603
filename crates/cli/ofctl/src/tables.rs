//! Commands that change tables, and those about queues.

use base::OfPort;
use fields::parse_table;
use ofp::*;

use crate::switch::{port_of, ports, queue_of, tables_to_accept};
use crate::vconn::Vconn;
use crate::{Context, Done, Fatal, fatal};

const ALL_TABLES: u8 = 0xff;
/// What packets meet in a table was set by requests about it in these versions only.
const SETS_MISS: u32 = versions(&[Version::Of11, Version::Of12]);
const SETS_MORE: u32 = versions(&[Version::Of14, Version::Of15]);
const SETS_NAME: u32 = versions(&[Version::Of13, Version::Of14, Version::Of15]);

const fn versions(list: &[Version]) -> u32 {
    let mut bits = 0;
    let mut index = 0;
    while index < list.len() {
        bits |= 1 << list[index].byte();
        index += 1;
    }
    bits
}

/// A change of a table, and the versions that can say it.
struct Change {
    request: TableMod,
    name: Option<String>,
    usable: u32,
}

fn parse_change(table: u8, setting: &str) -> Result<Change, Fatal> {
    let request = TableMod {
        table,
        miss: TableMiss::Default,
        eviction: None,
        eviction_flags: None,
        vacancy_events: None,
        vacancy: Vacancy::default(),
    };
    let miss = |miss| Change { request: TableMod { miss, ..request.clone() }, name: None, usable: SETS_MISS };
    let more = |request| Change { request, name: None, usable: SETS_MORE };
    if table == 0xfe && setting == "continue" {
        return fatal!("last table's flow miss handling can not be continue");
    }
    Ok(match setting {
        "controller" => miss(TableMiss::Controller),
        "continue" => miss(TableMiss::Continue),
        "drop" => miss(TableMiss::Drop),
        "evict" => more(TableMod { eviction: Some(true), ..request }),
        "noevict" => more(TableMod { eviction: Some(false), ..request }),
        "novacancy" => more(TableMod { vacancy_events: Some(false), ..request }),
        _ => match setting.split_once(':') {
            Some(("vacancy", range)) => {
                let vacancy = parse_vacancy(range)?;
                more(TableMod { vacancy_events: Some(true), vacancy, ..request })
            }
            Some(("name", name)) if table != ALL_TABLES => {
                Change { request, name: Some(name.to_owned()), usable: SETS_NAME }
            }
            _ => return fatal!("invalid table_mod setting {setting}"),
        },
    })
}

fn parse_vacancy(range: &str) -> Result<Vacancy, Fatal> {
    let mut parts = range.split(',').filter(|part| !part.is_empty());
    let mut percent = |which: &str| -> Result<u8, Fatal> {
        let Some(text) = parts.next() else { return fatal!("Vacancy {which} value missing") };
        match text.trim().parse::<u8>().ok().filter(|value| *value <= 100) {
            Some(value) => Ok(value),
            None => fatal!("Invalid vacancy {which} value \"{text}\""),
        }
    };
    let (down, up) = (percent("down")?, percent("up")?);
    if down > up {
        return fatal!(
            "Invalid vacancy range, vacancy up should be greater than vacancy down (OFPBPC_BAD_VALUE)"
        );
    }
    Ok(Vacancy { down, up, current: 0 })
}

pub(crate) fn mod_table(cx: &Context) -> Done {
    let (target, which, setting) = (cx.arg(1), cx.arg(2), cx.arg(3));
    let table = if which.eq_ignore_ascii_case("all") {
        ALL_TABLES
    } else {
        let maps = tables_to_accept(cx, target)?;
        match parse_table(which, maps.names().tables) {
            Some(table) => table,
            None => return fatal!("unknown table \"{which}\""),
        }
    };
    let change = parse_change(table, setting)?;
    let both = change.usable & cx.options.versions;
    if both == 0 {
        let usable = version_names(change.usable);
        return fatal!("table_mod '{setting}' requires one of the OpenFlow versions {usable}");
    }
    let mut vconn = Vconn::open_versions(cx, target, "mgmt", both)?;
    match change.name {
        Some(name) => rename(cx, &mut vconn, table, &name),
        None if both & SETS_MORE == 0 => vconn.must(cx, &Message::TableMod(change.request)),
        None => change_settings(cx, &mut vconn, &change.request),
    }
}

/// A request sets all of a table's settings, so those that are not to change are asked for first.
fn change_settings(cx: &Context, vconn: &mut Vconn, change: &TableMod) -> Done {
    let mut all = Vec::new();
    let decoding = vconn.decoding();
    vconn.each_reply(&Message::TableDescRequest, |reply| {
        if let Ok(Decoded { message: Message::TableDescReply(part), .. }) = decode(reply, &decoding) {
            all.extend(part);
        }
    })?;
    for now in all.iter().filter(|now| change.table == ALL_TABLES || now.table == change.table) {
        let mut request = TableMod { table: now.table, ..change.clone() };
        if request.eviction.is_some() {
            (request.vacancy_events, request.vacancy) = (now.vacancy_events, now.vacancy);
        } else {
            (request.eviction, request.eviction_flags) = (now.eviction, now.eviction_flags);
        }
        vconn.must(cx, &Message::TableMod(request))?;
    }
    Ok(())
}

fn rename(cx: &Context, vconn: &mut Vconn, table: u8, name: &str) -> Done {
    let mut all = Vec::new();
    let decoding = vconn.decoding();
    vconn.each_reply(&Message::TableFeaturesRequest(Vec::new()), |reply| {
        if let Ok(Decoded { message: Message::TableFeaturesReply(part), .. }) = decode(reply, &decoding) {
            all.extend(part);
        }
    })?;
    let Some(of_table) = all.iter_mut().find(|features| features.table == table) else {
        return fatal!("switch does not have table {table}");
    };
    of_table.name = name.to_owned();
    if vconn.version >= Version::Of15 {
        // The newest version can change one thing of one table.
        const MODIFY: u8 = 1;
        let one = TableFeatures { command: MODIFY, any_properties: false, ..of_table.clone() };
        all = vec![one];
    }
    let mut error = None;
    vconn.each_reply(&Message::TableFeaturesRequest(all), |reply| {
        if matches!(decode(reply, &decoding), Ok(Decoded { message: Message::Error { .. }, .. })) {
            error = Some(message_to_text(reply, Names::default(), cx.options.verbosity + 1));
        }
    })?;
    match error {
        None => Ok(()),
        Some(text) => {
            eprint!("{text}");
            Err(Fatal::Silent)
        }
    }
}

pub(crate) fn queue_get_config(cx: &Context) -> Done {
    let target = cx.arg(1);
    let port = if cx.args.len() > 2 { port_of(cx, cx.arg(2))? } else { OfPort::ANY };
    let queue = queue_of(cx.arg(3))?;
    let mut vconn = Vconn::open(cx, target)?;
    if port == OfPort::ANY && vconn.version == Version::Of10 {
        // OpenFlow 1.0 can ask for one port at a time only.
        for desc in ports(cx, target)?.iter().filter(|desc| desc.port < OfPort::MAX) {
            let request = Message::QueueDescRequest { port: desc.port, queue };
            vconn.dump(cx, &request, Names::default())?;
        }
        return Ok(());
    }
    vconn.dump(cx, &Message::QueueDescRequest { port, queue }, Names::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_names_what_changes_and_which_versions_can_say_it() {
        for (setting, usable) in [
            ("controller", SETS_MISS),
            ("continue", SETS_MISS),
            ("drop", SETS_MISS),
            ("evict", SETS_MORE),
            ("noevict", SETS_MORE),
            ("novacancy", SETS_MORE),
            ("vacancy:20,80", SETS_MORE),
            ("name:first", SETS_NAME),
        ] {
            let change = parse_change(3, setting).expect("a setting");
            assert_eq!((change.request.table, change.usable), (3, usable), "{setting}");
        }
        assert_eq!(parse_change(3, "drop").map(|change| change.request.miss).ok(), Some(TableMiss::Drop));
        assert_eq!(parse_change(3, "noevict").map(|change| change.request.eviction).ok(), Some(Some(false)));
        assert_eq!(parse_change(3, "name:a,b").map(|change| change.name).ok(), Some(Some("a,b".to_owned())));
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_refused() {
        for (table, setting, refused) in [
            (0xfe, "continue", "last table's flow miss handling can not be continue"),
            (ALL_TABLES, "name:x", "invalid table_mod setting name:x"),
            (0, "explode", "invalid table_mod setting explode"),
            (0, "vacancy:", "Vacancy down value missing"),
            (0, "vacancy:20", "Vacancy up value missing"),
            (0, "vacancy:20,101", "Invalid vacancy up value \"101\""),
            (0, "vacancy:x,1", "Invalid vacancy down value \"x\""),
            (
                0,
                "vacancy:80,20",
                "Invalid vacancy range, vacancy up should be greater than vacancy down (OFPBPC_BAD_VALUE)",
            ),
        ] {
            let failed = parse_change(table, setting).err().map(|error| error.to_string());
            assert_eq!(failed.as_deref(), Some(refused), "{setting}");
        }
    }
}
