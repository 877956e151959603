//! The kinds of datapaths that this program can open: the one place that names what implements them.

use std::sync::Arc;

use base::Clock;
use bridge::Dummies;
use dp::Datapath;
use dp_user::{DpUser, Predecessor};
use flowsync::{Kind, Purpose};

/// The table of kinds. Tests may have a kind of their own beside the others.
pub(crate) fn kinds(dummies: Dummies, clock: &Clock, predecessor: Option<&Arc<Predecessor>>) -> Vec<Kind> {
    let mut kinds = vec![userspace("netdev", &["system"], "ovs-netdev", dummies, clock, predecessor)];
    if dummies != Dummies::None {
        kinds.push(userspace("dummy", &[], "ovs-dummy", dummies, clock, None));
    }
    kinds
}

/// The userspace datapath under a name of its own.
fn userspace(
    name: &'static str,
    aliases: &'static [&'static str],
    shared: &'static str,
    dummies: Dummies,
    clock: &Clock,
    predecessor: Option<&Arc<Predecessor>>,
) -> Kind {
    let is_dummy = matches!(dummies, Dummies::Override | Dummies::System);
    let clock = clock.clone();
    let predecessor = predecessor.cloned();
    let open = move |called: &str, purpose| {
        // Dummy ports are served by the control thread.
        let needs_worker = !is_dummy && (name != "dummy" || purpose == Purpose::Bridges);
        let config = dp_user::Config {
            name: called.to_owned(),
            kind: name.to_owned(),
            is_dummy,
            workers: usize::from(needs_worker),
            predecessor: predecessor.clone(),
            ..dp_user::Config::default()
        };
        DpUser::new(config, clock.clone()).map(|datapath| Arc::new(datapath) as Arc<dyn Datapath>)
    };
    Kind { name, aliases, shared, open: Box::new(open) }
}
