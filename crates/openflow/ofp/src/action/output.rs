//! Actions that send the packet somewhere.

use base::OfPort;
use fields::Subfield;

use crate::PacketInReason;

/// `output:PORT`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Output {
    /// A port's number or a special one; `OfPort::IN_PORT` sends back.
    pub port: OfPort,
    /// Bytes to send, when `port` is the controller.
    pub max_len: u16,
}

/// `controller(...)`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Controller {
    /// Most bytes to send; 0xffff: the whole packet.
    pub max_len: u16,
    /// The reason that the packet-in has.
    pub reason: PacketInReason,
    /// Which controllers: those that set this id by `NXT_SET_CONTROLLER_ID`; 0 by default.
    pub controller_id: u16,
    /// Bytes that the packet-in repeats (`NXT_PACKET_IN2`).
    pub userdata: Vec<u8>,
    /// Freeze the packet's way; the controller may resume it.
    pub pause: bool,
    /// 0: none.
    pub meter_id: u32,
    /// Whether it came in the extensible form, and is so written back.
    pub extensible: bool,
}

impl Default for Controller {
    fn default() -> Self {
        Controller {
            max_len: u16::MAX,
            reason: PacketInReason::Action,
            controller_id: 0,
            userdata: Vec::new(),
            pause: false,
            meter_id: 0,
            extensible: false,
        }
    }
}

/// `enqueue:PORT:QUEUE`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Enqueue {
    /// A port's number, `OfPort::IN_PORT` or `OfPort::LOCAL`.
    pub port: OfPort,
    /// The queue's id within the port.
    pub queue: u32,
}

/// `output:NXM_NX_REG0[]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OutputReg {
    /// Holds the number of the port, at most 32 bits as OpenFlow 1.1 has it.
    pub source: Subfield,
    /// Bytes to send, when the port is the controller.
    pub max_len: u16,
    /// Whether it came in the newer form, and is so written back.
    pub newer: bool,
}

/// `output(port=PORT,max_len=N)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OutputTrunc {
    /// A port's number, `OfPort::IN_PORT` or `OfPort::LOCAL`.
    pub port: OfPort,
    /// Bytes to send, at least 14.
    pub max_len: u32,
}

// ---- bytes and text ----

use fields::text_pairs::next_pair;
use fields::{TextError, format_port, parse_port, refuse};

use super::raw::{self, Raw};
use super::{Action, Check, Names, Parser, subfield_source};
use crate::oxm;
use crate::prop::{self, Property};
use crate::text::{hex_bytes, put_hex_bytes, u16_of, u32_of};
use crate::wire::{Put, Reader, all_zeros};
use crate::{OfError, Version};

/// Whether a rule may send to `port`.
pub fn check_output_port(port: OfPort) -> Result<(), OfError> {
    match port {
        OfPort::IN_PORT
        | OfPort::TABLE
        | OfPort::NORMAL
        | OfPort::FLOOD
        | OfPort::ALL
        | OfPort::CONTROLLER
        | OfPort::LOCAL => Ok(()),
        _ if port < OfPort::MAX => Ok(()),
        _ => Err(OfError::OfpbacBadOutPort),
    }
}

/// A 32-bit port number; numbers that have no 16-bit form are refused.
pub(crate) fn port_from_of11(number: u32) -> Result<OfPort, OfError> {
    let port = OfPort(number);
    if port.to_u16().is_some() {
        return Ok(port);
    }
    log::warn!(target: "ofp_port", "port {number} is outside the supported range 0 through {} or 0xffffff00 through 0xffffffff", OfPort::MAX.0 - 1);
    Err(OfError::OfpbacBadOutPort)
}

pub(super) fn is_usable_enqueue_port(port: OfPort) -> bool {
    port < OfPort::MAX || matches!(port, OfPort::IN_PORT | OfPort::LOCAL)
}

impl Output {
    pub(super) fn decode(raw: Raw, body: &[u8]) -> Result<Action, OfError> {
        let mut r = Reader::new(&body[4..]);
        let port = if raw == Raw::Output10 { OfPort::from_u16(r.u16()?) } else { port_from_of11(r.u32()?)? };
        let max_len = r.u16()?;
        check_output_port(port)?;
        Ok(Action::Output(Output { port, max_len }))
    }

    pub(super) fn encode(&self, version: Version, out: &mut Vec<u8>) {
        if version == Version::Of10 {
            raw::put_head(out, Raw::Output10, 4);
            out.put_u16(self.port.0 as u16);
            out.put_u16(self.max_len);
        } else {
            raw::put_head(out, Raw::Output11, 4);
            out.put_u32(self.port.0);
            out.put_u16(self.max_len);
            out.put_zeros(6);
        }
    }

    pub(super) fn parse(arg: &str, p: &Parser<'_>) -> Result<Action, TextError> {
        if arg.contains("port") && arg.contains("max_len") {
            return OutputTrunc::parse(arg, p);
        }
        if let Some(port) = parse_port(arg, p.names.ports) {
            let max_len = if port == OfPort::CONTROLLER { u16::MAX } else { 0 };
            return Ok(Action::Output(Output { port, max_len }));
        }
        match Subfield::parse(arg) {
            Ok(source) => Ok(Action::OutputReg(OutputReg { source, max_len: u16::MAX, newer: false })),
            Err(_) => refuse!("{arg}: output to unknown port"),
        }
    }

    pub(super) fn format(&self, out: &mut String, names: Names<'_>) {
        use std::fmt::Write;
        if self.port < OfPort::MAX {
            out.push_str("output:");
        }
        format_port(out, self.port, names.ports);
        if self.port == OfPort::CONTROLLER {
            let _ = write!(out, ":{}", self.max_len);
        }
    }
}

impl OutputTrunc {
    fn parse(arg: &str, p: &Parser<'_>) -> Result<Action, TextError> {
        let mut trunc = OutputTrunc { port: OfPort(0), max_len: 0 };
        let mut rest = arg;
        while let Some((key, value, after)) = next_pair(rest) {
            rest = after;
            match key {
                "port" => {
                    let Some(port) = parse_port(value, p.names.ports) else {
                        return refuse!("output to unknown truncate port: {value}");
                    };
                    if port > OfPort::MAX && !matches!(port, OfPort::LOCAL | OfPort::IN_PORT) {
                        return refuse!("output to unsupported truncate port: {value}");
                    }
                    trunc.port = port;
                }
                "max_len" => {
                    trunc.max_len = u32_of(value)?;
                    if trunc.max_len < 14 {
                        return refuse!("max_len {} is less than the minimum value 14", trunc.max_len);
                    }
                }
                _ => return refuse!("invalid key '{key}' in output_trunc argument"),
            }
        }
        Ok(Action::OutputTrunc(trunc))
    }

    pub(super) fn decode(body: &[u8]) -> Result<Action, OfError> {
        let mut r = Reader::new(&body[10..]);
        let port = OfPort::from_u16(r.u16()?);
        let max_len = r.u32()?;
        if max_len < 14 {
            return Err(OfError::OfpbacBadArgument);
        }
        Ok(Action::OutputTrunc(OutputTrunc { port, max_len }))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        raw::put_head(out, Raw::OutputTrunc, 10);
        out.put_u16(self.port.0 as u16);
        out.put_u32(self.max_len);
    }

    pub(super) fn format(&self, out: &mut String, names: Names<'_>) {
        use std::fmt::Write;
        out.push_str("output(port=");
        format_port(out, self.port, names.ports);
        let _ = write!(out, ",max_len={})", self.max_len);
    }
}

impl Enqueue {
    pub(super) fn decode(body: &[u8]) -> Result<Action, OfError> {
        let mut r = Reader::new(&body[4..]);
        let port = OfPort::from_u16(r.u16()?);
        r.skip(6)?;
        let queue = r.u32()?;
        if !is_usable_enqueue_port(port) {
            return Err(OfError::OfpbacBadOutPort);
        }
        Ok(Action::Enqueue(Enqueue { port, queue }))
    }

    pub(super) fn encode(&self, version: Version, out: &mut Vec<u8>) {
        if version == Version::Of10 {
            raw::put_head(out, Raw::Enqueue, 4);
            out.put_u16(self.port.0 as u16);
            out.put_zeros(6);
            out.put_u32(self.queue);
        } else {
            raw::put_number(out, Raw::SetQueue11, u128::from(self.queue), 4);
            Output { port: self.port, max_len: u16::MAX }.encode(version, out);
            raw::put(out, Raw::PopQueue);
        }
    }

    pub(super) fn parse(arg: &str, p: &Parser<'_>) -> Result<Action, TextError> {
        let start = arg.trim_start_matches([':', 'q', ',']);
        let Some((port, queue)) = start.split_once([':', 'q', ',']).filter(|(_, q)| !q.is_empty()) else {
            return refuse!("\"enqueue\" syntax is \"enqueue:PORT:QUEUE\" or \"enqueue(PORT,QUEUE)\"");
        };
        let Some(number) = parse_port(port, p.names.ports) else {
            return refuse!("{port}: enqueue to unknown port");
        };
        Ok(Action::Enqueue(Enqueue { port: number, queue: u32_of(queue)? }))
    }

    pub(super) fn format(&self, out: &mut String, names: Names<'_>) {
        use std::fmt::Write;
        out.push_str("enqueue:");
        format_port(out, self.port, names.ports);
        let _ = write!(out, ":{}", self.queue);
    }
}

impl OutputReg {
    pub(super) fn decode(raw: Raw, body: &[u8]) -> Result<Action, OfError> {
        let mut r = Reader::new(&body[10..]);
        let ofs_nbits = r.u16()?;
        let newer = raw == Raw::OutputReg2;
        let (field, max_len) = if newer {
            let max_len = r.u16()?;
            let field = oxm::pull_field(&mut r)?;
            if !all_zeros(r.rest()) {
                return Err(OfError::NxbrcMustBeZero);
            }
            (field, max_len)
        } else {
            let field = r.u32()?;
            let max_len = r.u16()?;
            if !all_zeros(r.rest()) {
                return Err(OfError::OfpbacBadArgument);
            }
            (oxm::field_of_u32(field)?, max_len)
        };
        let source = super::subfield_of(field, ofs_nbits);
        subfield_source(&source, None)?;
        Ok(Action::OutputReg(OutputReg { source, max_len, newer }))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let bits = super::ofs_nbits(&self.source);
        if self.newer || !oxm::has_u32_header(self.source.field) {
            let start = raw::put_head(out, Raw::OutputReg2, 10);
            out.put_u16(bits);
            out.put_u16(self.max_len);
            super::widths::put_subfield_header(out, &self.source, 0);
            raw::finish(out, start);
        } else {
            raw::put_head(out, Raw::OutputReg, 10);
            out.put_u16(bits);
            out.put_u32(oxm::header_u32(self.source.field));
            out.put_u16(self.max_len);
            out.put_zeros(6);
        }
    }

    pub(super) fn check(&self, check: &Check<'_>) -> Result<(), OfError> {
        subfield_source(&self.source, Some(check.m))
    }
}

mod property {
    pub(super) const MAX_LEN: u16 = 0;
    pub(super) const CONTROLLER_ID: u16 = 1;
    pub(super) const REASON: u16 = 2;
    pub(super) const USERDATA: u16 = 3;
    pub(super) const PAUSE: u16 = 4;
    pub(super) const METER_ID: u16 = 5;
}

impl Controller {
    fn is_plain(&self) -> bool {
        self.reason == PacketInReason::Action
            && self.controller_id == 0
            && self.userdata.is_empty()
            && !self.pause
            && self.meter_id == 0
    }

    pub(super) fn decode(body: &[u8]) -> Result<Action, OfError> {
        let mut r = Reader::new(&body[10..]);
        let (max_len, controller_id, reason) = (r.u16()?, r.u16()?, r.u8()?);
        let reason = PacketInReason::from_number(reason);
        Ok(Action::Controller(Box::new(Controller {
            max_len,
            controller_id,
            reason,
            ..Controller::default()
        })))
    }

    pub(super) fn decode2(body: &[u8]) -> Result<Action, OfError> {
        if !all_zeros(&body[10..16]) {
            return Err(OfError::NxbrcMustBeZero);
        }
        let mut out = Controller { extensible: true, ..Controller::default() };
        let mut r = Reader::new(&body[16..]);
        while !r.is_empty() {
            let p = Property::pull(&mut r)?;
            match p.kind {
                property::MAX_LEN => out.max_len = p.u16()?,
                property::CONTROLLER_ID => out.controller_id = p.u16()?,
                property::REASON => out.reason = PacketInReason::from_number(p.u8()?),
                property::USERDATA => out.userdata = p.data.to_vec(),
                property::PAUSE => out.pause = true,
                property::METER_ID => out.meter_id = p.u32()?,
                _ => return Err(p.unknown("NXAST_RAW_CONTROLLER2", false)),
            }
        }
        Ok(Action::Controller(Box::new(out)))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let extensible = self.extensible || !self.userdata.is_empty() || self.pause || self.meter_id != 0;
        if !extensible {
            raw::put_head(out, Raw::Controller, 10);
            out.put_u16(self.max_len);
            out.put_u16(self.controller_id);
            out.put_u8(self.reason.number());
            out.put_u8(0);
            return;
        }
        let start = raw::put(out, Raw::Controller2);
        if self.max_len != u16::MAX {
            prop::put_u16(out, property::MAX_LEN, self.max_len);
        }
        if self.controller_id != 0 {
            prop::put_u16(out, property::CONTROLLER_ID, self.controller_id);
        }
        if self.reason != PacketInReason::Action {
            prop::put_u8(out, property::REASON, self.reason.number());
        }
        if !self.userdata.is_empty() {
            prop::put(out, property::USERDATA, &self.userdata);
        }
        if self.pause {
            prop::put(out, property::PAUSE, &[]);
        }
        if self.meter_id != 0 {
            prop::put_u32(out, property::METER_ID, self.meter_id);
        }
        raw::finish(out, start);
    }

    pub(super) fn parse(arg: &str) -> Result<Action, TextError> {
        let mut out = Controller::default();
        let mut has_userdata = false;
        if !arg.is_empty() && arg.bytes().all(|c| c.is_ascii_digit()) {
            out.max_len = u16_of(arg, "max_len")?;
        } else {
            let mut rest = arg;
            while let Some((key, value, after)) = next_pair(rest) {
                rest = after;
                match key {
                    "reason" => {
                        out.reason = PacketInReason::from_name(value)
                            .ok_or_else(|| TextError(format!("unknown reason \"{value}\"")))?;
                    }
                    "max_len" => out.max_len = u16_of(value, "max_len")?,
                    "id" => out.controller_id = u16_of(value, "id")?,
                    "userdata" => {
                        has_userdata = true;
                        let Some((bytes, "")) = hex_bytes(value) else {
                            return refuse!("bad hex digit in `controller' action `userdata'");
                        };
                        out.userdata = bytes;
                    }
                    "pause" => out.pause = true,
                    "meter_id" => out.meter_id = u32_of(value)?,
                    _ => return refuse!("unknown key \"{key}\" parsing controller action"),
                }
            }
        }
        if out.is_plain() && !has_userdata {
            return Ok(Action::Output(Output { port: OfPort::CONTROLLER, max_len: out.max_len }));
        }
        Ok(Action::Controller(Box::new(out)))
    }

    pub(super) fn format(&self, out: &mut String) {
        use std::fmt::Write;
        if self.is_plain() {
            let _ = write!(out, "CONTROLLER:{}", self.max_len);
            return;
        }
        out.push_str("controller(");
        if self.reason != PacketInReason::Action {
            let _ = write!(out, "reason={},", self.reason);
        }
        if self.max_len != u16::MAX {
            let _ = write!(out, "max_len={},", self.max_len);
        }
        if self.controller_id != 0 {
            let _ = write!(out, "id={},", self.controller_id);
        }
        if !self.userdata.is_empty() {
            out.push_str("userdata=");
            put_hex_bytes(out, &self.userdata, ".");
            out.push(',');
        }
        if self.pause {
            out.push_str("pause,");
        }
        if self.meter_id != 0 {
            let _ = write!(out, "meter_id={},", self.meter_id);
        }
        super::chomp(out);
        out.push(')');
    }
}
