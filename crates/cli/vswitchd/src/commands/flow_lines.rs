//! The flows of a datapath as lines of text, for `dpctl/dump-flows`, `dpif/dump-flows` and their like.

use base::Timestamp;
use dp::{Datapath, Flow};

/// How things are to be shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Style {
    /// All of a flow's mask, and its id.
    verbose: bool,
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
    let names = style.names.then(|| port_names(datapath));
    let mut out = String::new();
    datapath.flow_dump(&mut |flow| {
        if !wanted(&flow) {
            return;
        }
        if style.verbose {
            out.push_str(&format!("{}{separator}", flow.ufid));
        }
        out.push_str(&dp::text::format_flow(&flow, now, style.verbose, names.as_ref()));
        out.push('\n');
    });
    out
}

/// The ports of a datapath by number.
pub(super) fn port_names(datapath: &dyn Datapath) -> dp::text::PortNames {
    datapath.ports().into_iter().map(|info| (info.number, info.name.clone())).collect()
}
