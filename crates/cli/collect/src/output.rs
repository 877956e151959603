//! Reports as text, in each of the forms.

use std::fmt::Write;

use crate::fields::Fields;
use crate::options::Format;
use crate::packet::{Packet, mac_text};
use crate::pcap;
use crate::report::{Kind, Report, SampleReport, interface_fields, tag_text, time_text};

/// What is written before any datagram.
pub(crate) fn prologue(format: &Format) -> Vec<u8> {
    match format {
        Format::Pcap => pcap::file_header(),
        _ => Vec::new(),
    }
}

/// What is written for a datagram.
pub(crate) fn render(format: &Format, report: &Report) -> Vec<u8> {
    match format {
        Format::Full => full(report, |_| String::new()).into_bytes(),
        Format::Grep => full(report, |place| context(report, place)).into_bytes(),
        Format::Lines => lines(report).into_bytes(),
        Format::Fields(names) => chosen(report, names).into_bytes(),
        Format::Json { is_pretty } => json(report, *is_pretty).into_bytes(),
        Format::Pcap => packets(report).flat_map(|packet| pcap::record(packet, report.received)).collect(),
    }
}

/// The sampled packets of a datagram.
pub(crate) fn packets(report: &Report) -> impl Iterator<Item = &Packet> {
    report.samples.iter().filter_map(|sample| match &sample.kind {
        Kind::Packet(packet) => Some(&**packet),
        _ => None,
    })
}

/// Where in a report a line stands: in which sample, in a record of which format.
type Place<'a> = Option<(&'a SampleReport, u32)>;

fn full(report: &Report, prefix: impl Fn(Place<'_>) -> String) -> String {
    let mut out = String::new();
    let mut line = |place: Place<'_>, text: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}{text}", prefix(place));
    };
    line(None, format_args!("startDatagram ================================="));
    for (name, value) in &report.fields.0 {
        line(None, format_args!("{name} {value}"));
    }
    for sample in &report.samples {
        let place = |format| Some((sample, format));
        line(place(0), format_args!("startSample ----------------------"));
        for (name, value) in &sample.fields.0 {
            line(place(0), format_args!("{name} {value}"));
        }
        if let Some(text) = &sample.skipped {
            line(place(0), format_args!("{text}"));
        }
        for element in &sample.elements {
            for (name, value) in &element.fields.0 {
                line(place(element.format), format_args!("{name} {value}"));
            }
            if let Some(text) = &element.skipped {
                line(place(element.format), format_args!("{text}"));
            }
        }
        line(place(0), format_args!("endSample   ----------------------"));
    }
    line(None, format_args!("endDatagram   ================================="));
    out
}

fn context(report: &Report, place: Place<'_>) -> String {
    let (class, index, sample, element) = match place {
        Some((sample, element)) => (sample.source.class, sample.source.index, sample.format, element),
        None => (0, 0, 0, 0),
    };
    format!(
        "{} {} {} {} {class}:{index} {} {} ",
        time_text(report.received),
        report.agent,
        report.sub_agent,
        report.sequence,
        tag_text(sample),
        tag_text(element)
    )
}

fn lines(report: &Report) -> String {
    let mut out = String::new();
    for sample in &report.samples {
        match &sample.kind {
            Kind::Packet(packet) => {
                let _ = writeln!(out, "FLOW,{},{}", report.agent, packet_line(packet));
            }
            Kind::Counters(Some(counters)) => {
                let values = interface_fields(counters).map(|(_, value)| value.to_string());
                let _ = writeln!(out, "CNTR,{},{}", report.agent, values.join(","));
            }
            Kind::Counters(None) | Kind::Unknown => {}
        }
    }
    out
}

fn packet_line(p: &Packet) -> String {
    let address = |ip: Option<std::net::IpAddr>| ip.map_or("-".to_owned(), |ip| ip.to_string());
    format!(
        "{},{},{},{},0x{:04x},{},{},{},{},{},0x{:02x},{},{},{},0x{:02x},{},{},{}",
        p.input,
        p.output,
        mac_text(p.src_mac),
        mac_text(p.dst_mac),
        p.ether_type,
        p.in_vlan,
        p.out_vlan,
        address(p.src),
        address(p.dst),
        p.protocol,
        p.tos,
        p.ttl,
        p.src_port,
        p.dst_port,
        p.tcp_flags,
        p.len,
        p.ip_len(),
        p.rate
    )
}

/// A line for each sample that has one of the fields; those of the datagram may stand beside them.
fn chosen(report: &Report, names: &[String]) -> String {
    let mut out = String::new();
    for sample in &report.samples {
        let in_sample = |name: &str| {
            let of_elements = sample.elements.iter().rev().find_map(|element| element.fields.find(name));
            of_elements.or_else(|| sample.fields.find(name))
        };
        if names.iter().any(|name| in_sample(name).is_some()) {
            let values: Vec<&str> = names
                .iter()
                .map(|name| in_sample(name).or_else(|| report.fields.find(name)).unwrap_or(""))
                .collect();
            let _ = writeln!(out, "{}", values.join(","));
        }
    }
    out
}

fn json(report: &Report, is_pretty: bool) -> String {
    let mut out = Json { text: String::new(), is_pretty, depth: 0, is_first: true };
    out.open(None, '{');
    out.fields(&report.fields);
    out.open(Some("samples"), '[');
    for sample in &report.samples {
        out.open(None, '{');
        out.fields(&sample.fields);
        if sample.kind != Kind::Unknown {
            out.open(Some("elements"), '[');
            for element in &sample.elements {
                out.open(None, '{');
                out.fields(&element.fields);
                out.close('}');
            }
            out.close(']');
        }
        out.close('}');
    }
    out.close(']');
    out.close('}');
    out.text.push_str(if is_pretty { "\n\n" } else { "\n" });
    out.text
}

/// JSON being written. All values are strings, because readers of JSON lose digits of 64-bit numbers.
struct Json {
    text: String,
    is_pretty: bool,
    depth: usize,
    /// Nothing has been written yet in the innermost bracket.
    is_first: bool,
}

impl Json {
    fn indent(&mut self) {
        if self.is_pretty {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n(' ', self.depth));
        }
    }

    fn open(&mut self, name: Option<&str>, bracket: char) {
        if !self.is_first {
            self.text.push(',');
            self.indent();
        }
        if let Some(name) = name {
            let _ = write!(self.text, "\"{name}\":");
        }
        self.text.push(bracket);
        self.depth += 1;
        self.is_first = true;
    }

    fn close(&mut self, bracket: char) {
        self.depth -= 1;
        self.indent();
        self.text.push(bracket);
        self.is_first = false;
    }

    fn fields(&mut self, fields: &Fields) {
        for (name, value) in &fields.0 {
            if !self.is_first {
                self.text.push(',');
            }
            self.is_first = false;
            self.indent();
            let value = serde_json::Value::from(value.as_str());
            let _ = write!(self.text, "\"{name}\":{value}");
        }
    }
}

#[cfg(test)]
mod tests;
