//! The kinds of datapaths that this program can open: the one place that names what implements them.

use std::sync::Arc;

use base::Clock;
use bridge::Dummies;
use dp::Datapath;
use dp_user::{DpUser, Predecessor, Processors};
use flowsync::Kind;

use crate::options::Options;

/// The table of kinds. Tests may have a kind of their own beside the others.
pub(crate) fn kinds(options: &Options, clock: &Clock, predecessor: Option<&Arc<Predecessor>>) -> Vec<Kind> {
    let processors = options.dummy_nodes.as_deref().map_or_else(Processors::of_machine, Processors::dummies);
    processors.log();
    let config = dp_user::Config {
        is_dummy: matches!(options.dummies, Dummies::Override | Dummies::System),
        processors: Some(processors),
        ..dp_user::Config::default()
    };
    let real = dp_user::Config { predecessor: predecessor.cloned(), ..config.clone() };
    let mut kinds = vec![userspace("netdev", &["system"], "ovs-netdev", real, clock)];
    if options.dummies != Dummies::None {
        kinds.push(userspace("dummy", &[], "ovs-dummy", config, clock));
    }
    kinds
}

/// The userspace datapath under a name of its own.
fn userspace(
    name: &'static str,
    aliases: &'static [&'static str],
    shared: &'static str,
    config: dp_user::Config,
    clock: &Clock,
) -> Kind {
    let clock = clock.clone();
    let open = move |called: &str, _| {
        let config = dp_user::Config { name: called.to_owned(), kind: name.to_owned(), ..config.clone() };
        DpUser::new(config, clock.clone()).map(|datapath| Arc::new(datapath) as Arc<dyn Datapath>)
    };
    Kind { name, aliases, shared, open: Box::new(open) }
}
