//! The flows of a datapath as lines of text, for `dpctl/dump-flows`, `dpif/dump-flows` and their like.

use base::Timestamp;
use dp::{Datapath, Flow, WorkerId};

/// How things are to be shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Style {
    /// All of a flow's mask, and its id.
    pub(super) verbose: bool,
    /// Ports by name.
    names: bool,
    pub(super) statistics: bool,
}

impl Style {
    /// From options; what is none is returned.
    pub(super) fn split(args: &[String]) -> Result<(Style, Vec<&str>), String> {
        let (mut style, mut names, mut rest) = (Style::default(), None, Vec::new());
        for arg in args {
            match arg.as_str() {
                "-m" | "--more" => style.verbose = true,
                "-s" | "--statistics" => style.statistics = true,
                "--names" => names = Some(true),
                "--no-names" => names = Some(false),
                option if option.starts_with('-') => return Err(format!("{option}: unknown option")),
                other => rest.push(other),
            }
        }
        style.names = names.unwrap_or(style.verbose);
        Ok((style, rest))
    }
}

/// One line for each flow that is wanted; the id, with `separator` behind it, only when more is asked for.
pub(super) fn format_flows(
    datapath: &dyn Datapath,
    style: Style,
    now: Timestamp,
    separator: &str,
    wanted: impl Fn(&Flow) -> bool,
) -> String {
    let names = shown_names(datapath, style);
    let mut out = String::new();
    datapath.flow_dump(&mut |flow| {
        if wanted(&flow) {
            format_line(&mut out, &flow, style, now, separator, &names);
        }
    });
    out
}

fn format_line(
    out: &mut String,
    flow: &Flow,
    style: Style,
    now: Timestamp,
    separator: &str,
    names: &dp::text::PortNames,
) {
    if style.verbose {
        out.push_str(&format!("{}{separator}", flow.ufid));
    }
    out.push_str(&dp::text::format_flow(flow, now, style.verbose, Some(names)));
    out.push('\n');
}

/// Those that are wanted. Two threads may have the same one; a line in front of those of each says whose they are.
pub(super) fn format_flows_by_thread(
    datapath: &dyn Datapath,
    style: Style,
    now: Timestamp,
    wanted: impl Fn(&Flow) -> bool,
) -> String {
    let names = shown_names(datapath, style);
    let (mut out, mut last) = (String::new(), None);
    datapath.flow_dump(&mut |flow| {
        if !wanted(&flow) {
            return;
        }
        if last.replace(flow.worker) != Some(flow.worker) {
            match flow.worker {
                WorkerId::Main => out.push_str("flow-dump from the main thread:\n"),
                WorkerId::Worker(core) => out.push_str(&format!("flow-dump from pmd on cpu core: {core}\n")),
            }
        }
        format_line(&mut out, &flow, style, now, ", ", &names);
    });
    out
}

/// The ports of a datapath by number, and its options of tunnels.
pub(super) fn port_names(datapath: &dyn Datapath) -> dp::text::PortNames {
    let names = datapath.ports().into_iter().map(|info| (info.number, info.name.clone()));
    names.collect::<dp::text::PortNames>().with_options(&datapath.tunnel_settings().options)
}

fn shown_names(datapath: &dyn Datapath, style: Style) -> dp::text::PortNames {
    let options = &datapath.tunnel_settings().options;
    if style.names { port_names(datapath) } else { dp::text::PortNames::new().with_options(options) }
}
