//! Quality of service as rows ask for it: how ports queue, shape and police what they send (tables QoS and Queue, column `qos`
//! of ports), and how much they let in (`ingress_policing_*` of interfaces). `shaping.rs` brings it into force.

use std::sync::Arc;

use dp::{Policing, Qos, QosKind};
use model::Atom;
use pipeline::QueueDscp;
use replica::{Row, Tables};
use schema::{interface, port, qos as table, queue};

use crate::columns::Columns;

/// What a port is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DesiredQos {
    pub asked: Asked,
    /// With which DSCPs packets of its queues leave.
    pub dscp: QueueDscp,
}

/// How a port is to queue, shape and police.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Asked {
    /// As ports do by themselves.
    #[default]
    Nothing,
    /// In a way that nobody knows by this name: it stays as it is.
    Unknown(String),
    Known(Qos),
}

/// The rows that say it: that of the QoS, and those of its queues.
#[derive(Default)]
pub(crate) struct QosRows<'a> {
    qos: Option<&'a Arc<Row>>,
    queues: Vec<(u32, &'a Arc<Row>)>,
}

impl<'a> QosRows<'a> {
    pub(crate) fn of(rows: &'a Tables, port_row: &Row) -> QosRows<'a> {
        let qos = port_row.reference(port::QOS).and_then(|uuid| rows.row(table::NAME_OF_TABLE, &uuid));
        let queue = |(number, uuid): (&Atom, Option<&Atom>)| {
            let row = rows.row(queue::NAME_OF_TABLE, &uuid?.as_uuid()?)?;
            Some((u32::try_from(number.as_integer()?).ok()?, row))
        };
        let queues = qos.iter().flat_map(|row| row.get(table::QUEUES).entries()).filter_map(queue).collect();
        QosRows { qos, queues }
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &'a Arc<Row>> {
        self.qos.into_iter().chain(self.queues.iter().map(|(_, row)| *row))
    }
}

pub(crate) fn desire(rows: &QosRows<'_>) -> DesiredQos {
    let kind = |row: &Row| row.string(table::TYPE).to_owned();
    let Some(row) = rows.qos.filter(|row| !kind(row).is_empty()) else { return DesiredQos::default() };
    let dscp = rows
        .queues
        .iter()
        .filter_map(|(number, row)| Some((*number, u8::try_from(row.integer(queue::DSCP)?).ok()?)));
    let asked = match QosKind::named(&kind(row)) {
        None => Asked::Unknown(kind(row)),
        Some(kind) => Asked::Known(Qos {
            kind,
            settings: row.map(table::OTHER_CONFIG),
            queues: rows.queues.iter().map(|(number, row)| (*number, row.map(queue::OTHER_CONFIG))).collect(),
        }),
    };
    DesiredQos { asked, dscp: dscp.collect() }
}

/// How much an interface is to let in.
pub(crate) fn desire_policing(row: &Row) -> Policing {
    let number = |column| {
        let number = row.integer(column).unwrap_or(0).max(0);
        u32::try_from(number).unwrap_or(u32::MAX)
    };
    Policing {
        kbits_rate: number(interface::INGRESS_POLICING_RATE),
        kbits_burst: number(interface::INGRESS_POLICING_BURST),
        kpkts_rate: number(interface::INGRESS_POLICING_KPKTS_RATE),
        kpkts_burst: number(interface::INGRESS_POLICING_KPKTS_BURST),
    }
}
