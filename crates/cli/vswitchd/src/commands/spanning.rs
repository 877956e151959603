//! `stp/*` and `rstp/*`: spanning trees.

use std::sync::Arc;

use pipeline::SpanningTree;
use protocols::Monitor;
use rpc::unixctl::Registry;

/// What is answered where the bridge has no such tree.
fn no_tree(kind: SpanningTree) -> &'static str {
    match kind {
        SpanningTree::Stp => "no such stp object",
        SpanningTree::Rstp => "No such RSTP object",
    }
}

pub(super) fn register<C: 'static>(registry: &mut Registry<C>, monitor: &Arc<Monitor>) {
    for (kind, show, notify) in
        [(SpanningTree::Stp, "stp/show", "stp/tcn"), (SpanningTree::Rstp, "rstp/show", "rstp/tcn")]
    {
        let mut group = registry.group(Arc::clone(monitor));
        group.add(show, "[bridge]", 0, 1, move |monitor, args| {
            let shown = monitor.show_trees(kind, args.first().map(String::as_str));
            shown.ok_or_else(|| no_tree(kind).to_owned())
        });
        group.add(notify, "[bridge]", 0, 1, move |monitor, args| {
            let is_done = monitor.notify_topology_change(kind, args.first().map(String::as_str));
            if is_done { Ok("OK".to_owned()) } else { Err(no_tree(kind).to_owned()) }
        });
    }
}
