//! `NXT_CT_FLUSH`: a protocol, and properties for what else is known of the connections.

use conntrack::{Address, Ends, Filter};

use super::Encoder;
use super::raw::{self, Raw};
use crate::prop::{self, Property};
use crate::wire::{self as of, Put, Reader};
use crate::{CtFlush, OfError};

/// Properties of the message.
const ORIGINAL: u16 = 0;
const REPLY: u16 = 1;
const ZONE: u16 = 2;
const MARK: u16 = 3;
const MARK_MASK: u16 = 4;
const LABEL: u16 = 5;
const LABEL_MASK: u16 = 6;

/// Properties of the ends, inside of the others.
const SRC: u16 = 0;
const DST: u16 = 1;
const SRC_PORT: u16 = 2;
const DST_PORT: u16 = 3;
const ICMP_ID: u16 = 4;
const ICMP_TYPE: u16 = 5;
const ICMP_CODE: u16 = 6;

/// The upper 96 bits of an IPv6 address that stands for one of IPv4.
const MAPPED: u128 = 0xffff << 32;

pub(super) fn decode(r: &mut Reader<'_>) -> Result<CtFlush, OfError> {
    let mut flush =
        CtFlush { filter: Filter { protocol: r.u8()?, ..Filter::default() }, ..CtFlush::default() };
    if !of::all_zeros(r.take(7)?) {
        return Err(OfError::NxbrcMustBeZero);
    }
    let filter = &mut flush.filter;
    let (mut mark_mask, mut label_mask) = (None, None);
    let (mut has_mark, mut has_label) = (false, false);
    while !r.is_empty() {
        let property = Property::pull(r)?;
        match property.kind {
            ORIGINAL => decode_ends(&property, &mut filter.original, &mut filter.is_v6)?,
            REPLY => decode_ends(&property, &mut filter.reply, &mut filter.is_v6)?,
            ZONE => flush.zone = Some(property.u16()?),
            MARK => (filter.mark.0, has_mark) = (property.u32()?, true),
            MARK_MASK => mark_mask = Some(property.u32()?),
            LABEL => (filter.label.0, has_label) = (number128(&property)?, true),
            LABEL_MASK => label_mask = Some(number128(&property)?),
            _ => return Err(property.unknown("NXT_CT_FLUSH", false)),
        }
    }
    // A value without a mask counts as a whole.
    filter.mark.1 = mark_mask.unwrap_or(if has_mark { u32::MAX } else { 0 });
    filter.label.1 = label_mask.unwrap_or(if has_label { u128::MAX } else { 0 });
    Ok(flush)
}

fn number128(property: &Property<'_>) -> Result<u128, OfError> {
    property.data.try_into().map(u128::from_be_bytes).map_err(|_| OfError::OfpbpcBadLen)
}

fn decode_ends(property: &Property<'_>, ends: &mut Ends, is_v6: &mut Option<bool>) -> Result<(), OfError> {
    let mut r = Reader::new(property.data.get(4..).ok_or(OfError::OfpbpcBadLen)?);
    while !r.is_empty() {
        let part = Property::pull(&mut r)?;
        match part.kind {
            SRC => ends.src = decode_address(&part, is_v6)?,
            DST => ends.dst = decode_address(&part, is_v6)?,
            SRC_PORT => ends.src_port = part.u16()?,
            DST_PORT => ends.dst_port = part.u16()?,
            ICMP_ID => ends.icmp_id = part.u16()?,
            ICMP_TYPE => ends.icmp_type = part.u8()?,
            ICMP_CODE => ends.icmp_code = part.u8()?,
            _ => return Err(part.unknown("NXT_CT_TUPLE", false)),
        }
    }
    Ok(())
}

fn decode_address(property: &Property<'_>, is_v6: &mut Option<bool>) -> Result<Address, OfError> {
    let number = number128(property)?;
    if number == 0 {
        return Ok(Address::default());
    }
    let is_mapped = number >> 32 == MAPPED >> 32;
    if is_v6.is_some_and(|known| known == is_mapped) {
        return Err(OfError::OfpbpcBadValue);
    }
    *is_v6 = Some(!is_mapped);
    Ok(if is_mapped { Address::v4(number as u32) } else { Address::v6(number) })
}

pub(super) fn encode(flush: &CtFlush, e: &Encoder, out: &mut Vec<u8>) {
    let filter = &flush.filter;
    let start = raw::start(out, Raw::NxtCtFlush, e.version.byte(), e.xid);
    out.put_u8(filter.protocol);
    out.put_zeros(7);
    put_ends(out, ORIGINAL, &filter.original, filter);
    put_ends(out, REPLY, &filter.reply, filter);
    if let Some(zone) = flush.zone {
        prop::put_u16(out, ZONE, zone);
    }
    if filter.mark.1 != 0 {
        prop::put_u32(out, MARK, filter.mark.0);
        if filter.mark.1 != u32::MAX {
            prop::put_u32(out, MARK_MASK, filter.mark.1);
        }
    }
    if filter.label.1 != 0 {
        prop::put(out, LABEL, &filter.label.0.to_be_bytes());
        if filter.label.1 != u128::MAX {
            prop::put(out, LABEL_MASK, &filter.label.1.to_be_bytes());
        }
    }
    raw::finish(out, start);
}

fn put_ends(out: &mut Vec<u8>, kind: u16, ends: &Ends, filter: &Filter) {
    let start = prop::start(out, kind);
    out.put_zeros(4);
    let empty = out.len();
    for (kind, address) in [(SRC, ends.src), (DST, ends.dst)] {
        if !address.is_zero() {
            let mapped = if filter.is_v6 == Some(false) { MAPPED } else { 0 };
            prop::put(out, kind, &(address.number() | mapped).to_be_bytes());
        }
    }
    if filter.is_icmp() {
        prop::put_u16(out, ICMP_ID, ends.icmp_id);
        prop::put_u8(out, ICMP_TYPE, ends.icmp_type);
        prop::put_u8(out, ICMP_CODE, ends.icmp_code);
    } else {
        for (kind, port) in [(SRC_PORT, ends.src_port), (DST_PORT, ends.dst_port)] {
            if port != 0 {
                prop::put_u16(out, kind, port);
            }
        }
    }
    if out.len() == empty {
        out.truncate(start);
    } else {
        prop::end(out, start);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use fields::Protocols;

    use crate::codec::{Context, Encoder, decode};
    use crate::{CtFlush, Message};

    fn any_flush() -> impl Strategy<Value = CtFlush> {
        let ports = (any::<u16>(), any::<u16>());
        (any::<Option<u16>>(), any::<bool>(), any::<bool>(), any::<[u32; 4]>(), ports, any::<(u32, u128)>())
            .prop_map(|(zone, is_v6, is_icmp, numbers, ports, (mark, label))| {
                let address = |number: u32| {
                    // Zero is none, and the upper half keeps IPv6 apart.
                    let number = number | 1;
                    if is_v6 {
                        conntrack::Address::v6(0xfc00 << 112 | u128::from(number))
                    } else {
                        conntrack::Address::v4(number)
                    }
                };
                let ends = |src, dst| {
                    let ends = conntrack::Ends { src: address(src), dst: address(dst), ..Default::default() };
                    if is_icmp {
                        conntrack::Ends { icmp_id: ports.0, icmp_type: ports.1 as u8, ..ends }
                    } else {
                        conntrack::Ends { src_port: ports.0, dst_port: ports.1, ..ends }
                    }
                };
                let [a, b, c, d] = numbers;
                let filter = conntrack::Filter {
                    is_v6: Some(is_v6),
                    protocol: if is_icmp { 1 } else { 6 },
                    original: ends(a, b),
                    reply: ends(c, d),
                    mark: (mark, if mark == 0 { 0 } else { u32::MAX }),
                    label: (label, if label == 0 { 0 } else { label | 1 }),
                };
                CtFlush { zone, filter }
            })
    }

    proptest! {
        #[test]
        fn what_is_to_be_forgotten_is_read_as_it_is_written(flush in any_flush()) {
            let message = Message::CtFlush(Box::new(flush));
            let mut bytes = Vec::new();
            message.encode(&Encoder::new(Protocols::OF13_OXM, 1), &mut bytes).unwrap();
            prop_assert_eq!(decode(&bytes, &Context::default()).unwrap().message, message);
        }
    }
}
