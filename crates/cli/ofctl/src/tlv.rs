//! Which options of tunnels are which fields: `add-tlv-map`, `del-tlv-map`.

use fields::Protocols;
use ofp::{Message, TlvMap, TlvTableMod};

use crate::vconn::open_for_flow_mods;
use crate::{Context, Done, fatal};

const ADD: u16 = 0;
const DELETE: u16 = 1;
const CLEAR: u16 = 2;

pub(crate) fn add(cx: &Context) -> Done {
    change(cx, ADD, cx.arg(2))
}

pub(crate) fn delete(cx: &Context) -> Done {
    match cx.args.len() {
        0..=2 => change(cx, CLEAR, ""),
        _ => change(cx, DELETE, cx.arg(2)),
    }
}

fn change(cx: &Context, command: u16, text: &str) -> Done {
    let Some(mappings) = parse(text) else { return fatal!("invalid tlv mapping") };
    let mut vconn = open_for_flow_mods(cx, cx.arg(1), Protocols::NXM_OXM_ANY)?;
    vconn.must(cx, &Message::TlvTableMod(TlvTableMod { command, mappings }))
}

/// Reads `{class=0xffff,type=0,len=4}->tun_metadata0,…`.
fn parse(text: &str) -> Option<Vec<TlvMap>> {
    let mut mappings = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        rest = rest.strip_prefix(',').unwrap_or(rest).strip_prefix("{class=")?;
        let (class, after) = rest.split_once(",type=")?;
        let (kind, after) = after.split_once(",len=")?;
        let (length, after) = after.split_once("}->tun_metadata")?;
        let end = after.find(',').unwrap_or(after.len());
        let (index, behind) = after.split_at(end);
        rest = behind;
        mappings.push(TlvMap {
            class: number(class)?.try_into().ok()?,
            kind: number(kind)?.try_into().ok()?,
            length: number(length)?.try_into().ok()?,
            index: number(index)?.try_into().ok()?,
        });
    }
    Some(mappings)
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_read() {
        let text = "{class=0x102,type=0x80,len=4}->tun_metadata0,{class=1,type=2,len=8}->tun_metadata5";
        let read = parse(text).unwrap();
        assert_eq!(read[0], TlvMap { class: 0x102, kind: 0x80, length: 4, index: 0 });
        assert_eq!((read[1].class, read[1].index), (1, 5));
        for wrong in [
            "x",
            "{class=1,type=2,len=8}",
            "{class=1,type=2,len=8}->tun_metadata",
            "{class=70000,type=2,len=8}->tun_metadata0",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
