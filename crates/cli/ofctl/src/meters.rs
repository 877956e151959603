//! Commands about meters.

use fields::Protocols;
use ofp::*;

use crate::vconn::Vconn;
use crate::vconn::open_for_flow_mods;
use crate::{Context, Done, Fatal};

/// Meters came with OpenFlow 1.3.
fn open(cx: &Context) -> Result<Vconn, Fatal> {
    open_for_flow_mods(cx, cx.arg(1), Protocols::OF13_UP)
}

fn meter_of(cx: &Context) -> Result<u32, Fatal> {
    match cx.arg(2) {
        "" => Ok(meter_id::ALL),
        text => Ok(parse_meter_id(text)?),
    }
}

fn meter_mod(cx: &Context, command: MeterCommand) -> Done {
    let request = parse_meter_mod(cx.arg(2), command)?;
    open(cx)?.must(cx, &Message::MeterMod(request))
}

pub(crate) fn add_meter(cx: &Context) -> Done {
    meter_mod(cx, MeterCommand::Add)
}

pub(crate) fn mod_meter(cx: &Context) -> Done {
    meter_mod(cx, MeterCommand::Modify)
}

pub(crate) fn del_meters(cx: &Context) -> Done {
    let config = MeterConfig { meter: meter_of(cx)?, flags: 0, bands: Vec::new() };
    open(cx)?.must(cx, &Message::MeterMod(MeterMod { command: MeterCommand::Delete, config }))
}

pub(crate) fn dump_meters(cx: &Context) -> Done {
    let meter = meter_of(cx)?;
    open(cx)?.dump(cx, &Message::MeterConfigRequest(meter), Names::default())
}

pub(crate) fn meter_stats(cx: &Context) -> Done {
    let meter = meter_of(cx)?;
    open(cx)?.dump(cx, &Message::MeterStatsRequest(meter), Names::default())
}

pub(crate) fn meter_features(cx: &Context) -> Done {
    open(cx)?.dump(cx, &Message::MeterFeaturesRequest, Names::default())
}
