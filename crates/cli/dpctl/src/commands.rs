//! The commands, and what becomes of each where there is no datapath.

/// How a command fails without a datapath.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Without {
    /// It lists datapaths, or tells of those that are named.
    Lists,
    /// It creates one.
    Creates,
    /// It opens the one that must be named.
    Opens,
    /// It works on the one that is named, or on the only one.
    Finds,
    /// It needs none.
    Works,
}

pub(crate) struct Command {
    pub name: &'static str,
    pub arguments: &'static str,
    pub min: usize,
    pub max: usize,
    pub writes: bool,
    pub without: Without,
}

const MANY: usize = usize::MAX;

const fn reads(name: &'static str, arguments: &'static str, min: usize, max: usize) -> Command {
    Command { name, arguments, min, max, writes: false, without: Without::Finds }
}

const fn writes(name: &'static str, arguments: &'static str, min: usize, max: usize) -> Command {
    Command { writes: true, ..reads(name, arguments, min, max) }
}

pub(crate) const COMMANDS: &[Command] = &[
    Command { without: Without::Creates, ..writes("add-dp", "dp [iface...]", 1, MANY) },
    Command { without: Without::Opens, ..writes("del-dp", "dp", 1, 1) },
    Command { without: Without::Opens, ..writes("add-if", "dp iface...", 2, MANY) },
    Command { without: Without::Opens, ..writes("del-if", "dp iface...", 2, MANY) },
    Command { without: Without::Opens, ..writes("set-if", "dp iface...", 2, MANY) },
    Command { without: Without::Lists, ..reads("dump-dps", "", 0, 0) },
    Command { without: Without::Lists, ..reads("show", "[-s] [dp...]", 0, MANY) },
    reads("dump-flows", "[-m] [--names] [dp] [filter=..] [type=..] [pmd=..]", 0, 6),
    writes("add-flow", "[dp] flow actions", 2, 3),
    writes("mod-flow", "[dp] flow actions", 2, 3),
    reads("get-flow", "[dp] ufid", 1, 2),
    writes("del-flow", "[dp] flow", 1, 2),
    writes("add-flows", "[dp] file", 1, 2),
    writes("mod-flows", "[dp] file", 1, 2),
    writes("del-flows", "[dp] [file]", 0, 2),
    reads("offload-stats-show", "[dp]", 0, 1),
    reads("dump-conntrack", "[-m] [-s] [dp] [zone=N]", 0, 4),
    reads("dump-conntrack-exp", "[dp] [zone=N]", 0, 2),
    writes(
        "flush-conntrack",
        "[dp] [zone=N] [mark=X[/M]] [labels=Y[/N]] [ct-orig-tuple [ct-reply-tuple]]",
        0,
        6,
    ),
    Command { without: Without::Lists, ..reads("cache-get-size", "[dp]", 0, 1) },
    Command { without: Without::Lists, ..writes("cache-set-size", "dp cache <size>", 3, 3) },
    reads("ct-stats-show", "[dp] [zone=N]", 0, 3),
    reads("ct-bkts", "[dp] [gt=N]", 0, 2),
    writes("ct-set-maxconns", "[dp] maxconns", 1, 2),
    reads("ct-get-maxconns", "[dp]", 0, 1),
    reads("ct-get-nconns", "[dp]", 0, 1),
    writes("ct-enable-tcp-seq-chk", "[dp]", 0, 1),
    writes("ct-disable-tcp-seq-chk", "[dp]", 0, 1),
    reads("ct-get-tcp-seq-chk", "[dp]", 0, 1),
    writes("ct-set-limits", "[dp] [default=L] [zone=N,limit=L]...", 1, MANY),
    writes("ct-del-limits", "[dp] [default] [zone=N1[,N2]...]", 1, 3),
    reads("ct-get-limits", "[dp] [zone=N1[,N2]...]", 0, 2),
    reads("ct-get-sweep-interval", "[dp]", 0, 1),
    writes("ct-set-sweep-interval", "[dp] ms", 1, 2),
    writes("ipf-set-enabled", "[dp] v4|v6", 1, 2),
    writes("ipf-set-disabled", "[dp] v4|v6", 1, 2),
    writes("ipf-set-min-frag", "[dp] v4|v6 minfragment", 2, 3),
    writes("ipf-set-max-nfrags", "[dp] maxfrags", 1, 2),
    reads("ipf-get-status", "[dp]", 0, 1),
    Command { without: Without::Works, ..reads("help", "", 0, MANY) },
    Command { without: Without::Works, ..reads("list-commands", "", 0, MANY) },
    Command { without: Without::Works, ..reads("parse-actions", "actions", 1, MANY) },
    Command { without: Without::Works, ..reads("normalize-actions", "actions", 2, MANY) },
];

pub(crate) fn list() -> String {
    let lines = COMMANDS.iter().map(|command| format!("  {:<23} {}\n", command.name, command.arguments));
    format!("The available commands are:\n{}", lines.collect::<String>())
}
