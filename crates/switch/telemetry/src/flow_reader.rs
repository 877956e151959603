//! Reading what exporters of flows send: NetFlow v5, NetFlow v9 (RFC 3954) and IPFIX (RFC 7011).
//!
//! All three are records of values. What the values are, a template says: one that is fixed in version 5, and one that the
//! exporter has sent before in the others. A [`FlowReader`] remembers templates, as many as [`MAX_TEMPLATES`] with
//! [`MAX_FIELDS`] fields among all exporters.

use std::collections::HashMap;
use std::net::IpAddr;

use wire::bytes::{be16, be32};

use crate::netflow_v5::{HEADER_LEN, RECORD_LEN};

/// So many templates are remembered.
pub const MAX_TEMPLATES: usize = 4096;
/// So many fields of all templates are remembered.
pub const MAX_FIELDS: usize = 262_144;

/// What a value is: an information element of IANA's registry, or of an enterprise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Element {
    /// The enterprise's number; 0 for IANA.
    pub enterprise: u32,
    /// The element's number.
    pub id: u16,
}

/// A record: values in the order of its template, as bytes of the datagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowRecord<'a> {
    /// The number of its template; the version of those that have none.
    pub template: u16,
    /// What each value is, and its bytes.
    pub values: Vec<(Element, &'a [u8])>,
}

/// A datagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowDatagram<'a> {
    /// 5, 9 or 10 (IPFIX).
    pub version: u16,
    /// The observation domain; of NetFlow v5 the kind and number of the engine.
    pub domain: u32,
    /// The number by which collectors notice lost datagrams.
    pub sequence: u32,
    /// When it was sent, in seconds since 1970.
    pub time: u32,
    /// One packet in so many was counted, as NetFlow v5 says; 1 where nothing is said.
    pub sampling: u16,
    /// The records whose templates are known.
    pub records: Vec<FlowRecord<'a>>,
    /// How many sets of records were left out because their template is not known.
    pub unknown_sets: usize,
}

/// Why a datagram is not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// It ends too early.
    #[error("it ends within its header or a set")]
    Cut,
    /// Another version.
    #[error("version {0} is neither NetFlow 5 or 9 nor IPFIX (10)")]
    Version(u16),
    /// A set's length cannot be.
    #[error("a set has the length {0}")]
    SetLength(u16),
    /// A template with a field without a length.
    #[error("template {0} has a field of no length")]
    EmptyField(u16),
    /// There are too many templates.
    #[error("there are too many templates to remember another one")]
    TooManyTemplates,
}

/// A field of a template: what it is, and how many bytes; [`VARIABLE`] where each value says.
type Field = (Element, u16);

const VARIABLE: u16 = 0xffff;
/// The number of an element that has an enterprise's number behind it.
const ENTERPRISE: u16 = 0x8000;

/// Whose template it is: exporter, version, domain, number.
type Name = (IpAddr, u16, u32, u16);

/// Reads datagrams by the templates that came before.
#[derive(Debug, Default)]
pub struct FlowReader {
    templates: HashMap<Name, Vec<Field>>,
    /// Of all templates.
    fields: usize,
}

/// What the versions with templates have in common.
#[derive(Clone, Copy)]
struct Form {
    version: u16,
    header_len: usize,
    /// The numbers of sets of templates, and of templates of options.
    templates: u16,
    options: u16,
}

const NETFLOW_9: Form = Form { version: 9, header_len: 20, templates: 0, options: 1 };
const IPFIX: Form = Form { version: 10, header_len: 16, templates: 2, options: 3 };
/// The first number of a template.
const FIRST_TEMPLATE: u16 = 256;

impl FlowReader {
    /// Reads a datagram of the exporter `from`. What was read before an error is remembered.
    pub fn read<'a>(&mut self, from: IpAddr, bytes: &'a [u8]) -> Result<FlowDatagram<'a>, ReadError> {
        if bytes.len() < 2 {
            return Err(ReadError::Cut);
        }
        match be16(bytes, 0) {
            5 => read_netflow_5(bytes),
            9 => self.read_sets(from, NETFLOW_9, bytes),
            10 => self.read_sets(from, IPFIX, bytes),
            other => Err(ReadError::Version(other)),
        }
    }

    fn read_sets<'a>(
        &mut self,
        from: IpAddr,
        form: Form,
        bytes: &'a [u8],
    ) -> Result<FlowDatagram<'a>, ReadError> {
        let mut rest = bytes.get(form.header_len..).ok_or(ReadError::Cut)?;
        let (time, sequence, domain) = match form.version {
            9 => (be32(bytes, 8), be32(bytes, 12), be32(bytes, 16)),
            _ => (be32(bytes, 4), be32(bytes, 8), be32(bytes, 12)),
        };
        let mut datagram = FlowDatagram {
            version: form.version,
            domain,
            sequence,
            time,
            sampling: 1,
            records: Vec::new(),
            unknown_sets: 0,
        };
        while rest.len() >= 4 {
            let (set, length) = (be16(rest, 0), be16(rest, 2));
            let body = rest.get(4..length.into()).ok_or(ReadError::SetLength(length))?;
            rest = rest.get(length.into()..).unwrap_or(&[]);
            if set == form.templates || set == form.options {
                self.learn(from, form, domain, set == form.options, body)?;
            } else if set >= FIRST_TEMPLATE {
                match self.templates.get(&(from, form.version, domain, set)) {
                    Some(fields) => read_records(set, fields, body, &mut datagram.records),
                    None => datagram.unknown_sets += 1,
                }
            }
        }
        Ok(datagram)
    }

    /// Remembers the templates of a set; one without fields takes an older one back.
    fn learn(
        &mut self,
        from: IpAddr,
        form: Form,
        domain: u32,
        is_options: bool,
        mut body: &[u8],
    ) -> Result<(), ReadError> {
        // What is shorter is padding.
        while body.len() >= 4 {
            let (id, count) = (be16(body, 0), be16(body, 2));
            let (count, head) = match (is_options, form.version) {
                (false, _) => (count, 4),
                (true, 9) if body.len() >= 6 => {
                    // Lengths in bytes: of what says of whom it is, and of the rest.
                    (count.saturating_add(be16(body, 4)) / 4, 6)
                }
                (true, _) if count == 0 => (0, 4),
                (true, _) => (count, 6),
            };
            body = body.get(head..).ok_or(ReadError::Cut)?;
            let mut fields = Vec::new();
            for _ in 0..count {
                let field = read_field(form, &mut body)?;
                if field.1 == 0 {
                    return Err(ReadError::EmptyField(id));
                }
                fields.push(field);
            }
            if id >= FIRST_TEMPLATE {
                self.remember((from, form.version, domain, id), fields)?;
            }
        }
        Ok(())
    }

    fn remember(&mut self, name: Name, fields: Vec<Field>) -> Result<(), ReadError> {
        if let Some(old) = self.templates.remove(&name) {
            self.fields -= old.len();
        }
        if fields.is_empty() {
            return Ok(());
        }
        if self.templates.len() >= MAX_TEMPLATES || self.fields + fields.len() > MAX_FIELDS {
            return Err(ReadError::TooManyTemplates);
        }
        self.fields += fields.len();
        self.templates.insert(name, fields);
        Ok(())
    }
}

fn read_field(form: Form, body: &mut &[u8]) -> Result<Field, ReadError> {
    let mut take = |len: usize| {
        let taken = body.get(..len).ok_or(ReadError::Cut)?;
        *body = body.get(len..).unwrap_or(&[]);
        Ok(taken)
    };
    let head = take(4)?;
    let (id, length) = (be16(head, 0), be16(head, 2));
    if form.version == 9 || id & ENTERPRISE == 0 {
        return Ok((Element { enterprise: 0, id }, length));
    }
    let enterprise = be32(take(4)?, 0);
    Ok((Element { enterprise, id: id & !ENTERPRISE }, length))
}

/// Adds the records of a set; what is left at its end and makes none is padding.
fn read_records<'a>(template: u16, fields: &[Field], mut body: &'a [u8], records: &mut Vec<FlowRecord<'a>>) {
    while !body.is_empty() {
        let mut rest = body;
        let mut values = Vec::with_capacity(fields.len().min(rest.len()));
        for (element, length) in fields {
            let Some(value) = take_value(*length, &mut rest) else { return };
            values.push((*element, value));
        }
        records.push(FlowRecord { template, values });
        body = rest;
    }
}

fn take_value<'a>(length: u16, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut take = |len: usize| {
        let taken = rest.get(..len)?;
        *rest = rest.get(len..)?;
        Some(taken)
    };
    let length = match length {
        VARIABLE => match take(1)?.first()? {
            255 => be16(take(2)?, 0),
            short => u16::from(*short),
        },
        fixed => fixed,
    };
    take(length.into())
}

/// The values of a record of NetFlow v5, as elements of IANA's with their lengths.
const NETFLOW_5: [(u16, u16); 20] = [
    (8, 4),
    (12, 4),
    (15, 4),
    (10, 2),
    (14, 2),
    (2, 4),
    (1, 4),
    (22, 4),
    (21, 4),
    (7, 2),
    (11, 2),
    (210, 1),
    (6, 1),
    (4, 1),
    (5, 1),
    (16, 2),
    (17, 2),
    (9, 1),
    (13, 1),
    (210, 2),
];

fn read_netflow_5(bytes: &[u8]) -> Result<FlowDatagram<'_>, ReadError> {
    let body = bytes.get(HEADER_LEN..).ok_or(ReadError::Cut)?;
    let count = usize::from(be16(bytes, 2));
    let body = body.get(..count * RECORD_LEN).ok_or(ReadError::Cut)?;
    let fields = NETFLOW_5.map(|(id, length)| (Element { enterprise: 0, id }, length));
    let mut records = Vec::new();
    read_records(5, &fields, body, &mut records);
    Ok(FlowDatagram {
        version: 5,
        domain: be16(bytes, 20).into(),
        sequence: be32(bytes, 16),
        time: be32(bytes, 8),
        // The two highest bits are how packets were chosen.
        sampling: (be16(bytes, 22) & 0x3fff).max(1),
        records,
        unknown_sets: 0,
    })
}

#[cfg(test)]
mod tests;
