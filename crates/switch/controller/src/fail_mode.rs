//! What a bridge does without its controllers.

use std::sync::Arc;
use std::time::Duration;

use base::{OfPort, TableId, Timestamp};
use flow::SparseMatch;
use ofp::{Action, FlowFlags, Output};
use ofproto::{Bridge, Entry};
use pipeline::{Counters, Rule};

/// Priority of the rule that makes a bridge a learning switch while its
/// controllers are away: above all that controllers can give.
const FAIL_OPEN_PRIORITY: i32 = 0xf0_f0f0;

/// How a bridge stands to its controllers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FailOpen {
    /// Since when no controller is connected.
    lost: Option<Timestamp>,
    is_open: bool,
}

impl FailOpen {
    /// Notes whether a controller is connected; whether [`FailOpen::run`] has something to do. After three probes without one
    /// the bridge forwards by itself.
    pub(crate) fn is_due(
        &mut self,
        is_connected: bool,
        enabled: bool,
        probe: Duration,
        now: Timestamp,
    ) -> bool {
        if is_connected || !enabled {
            self.lost = None;
            return self.is_open;
        }
        let lost = *self.lost.get_or_insert(now);
        !self.is_open && now - lost >= probe * 3
    }

    /// Opens the bridge, or closes it when a controller is there again.
    pub(crate) fn run(&mut self, bridge: &mut Bridge, now: Timestamp) {
        let Some(lost) = self.lost else {
            self.is_open = false;
            bridge.remove_own_rule(TableId(0), &SparseMatch::default(), FAIL_OPEN_PRIORITY);
            log::warn!(target: "fail_open", "{}: No longer in fail-open mode", bridge.name());
            return;
        };
        self.is_open = true;
        add_normal(bridge, FAIL_OPEN_PRIORITY, now);
        let seconds = (now - lost).as_secs();
        log::warn!(target: "fail_open", "{}: Could not connect to controller (or switch failed controller's post-connection admission control policy) for {seconds} seconds, failing open", bridge.name());
    }

    /// When [`FailOpen::run`] has something to do.
    pub(crate) fn deadline(&self, probe: Duration) -> Option<Timestamp> {
        self.lost.filter(|_| !self.is_open).map(|lost| lost + probe * 3)
    }
}

/// The rule of a bridge that nobody controls: everything is switched as usual.
pub(crate) fn add_default_rule(bridge: &mut Bridge, now: Timestamp) {
    add_normal(bridge, 0, now);
}

fn add_normal(bridge: &mut Bridge, priority: i32, now: Timestamp) {
    let normal = Action::Output(Output { port: OfPort::NORMAL, max_len: 0 });
    add_own_rule(bridge, SparseMatch::default(), priority, &[normal], now);
}

/// Adds a rule of the switch's own to a bridge's first table.
pub fn add_own_rule(
    bridge: &mut Bridge,
    matching: SparseMatch,
    priority: i32,
    actions: &[Action],
    now: Timestamp,
) {
    let revision = bridge.next_revision();
    let entry = Entry {
        rule: Arc::new(Rule {
            table: TableId(0),
            priority,
            matching,
            cookie: 0,
            actions: actions.into(),
            counters: Arc::new(Counters::default()),
        }),
        flags: FlowFlags::default(),
        idle_timeout: 0,
        hard_timeout: 0,
        importance: 0,
        created: now,
        modified: now,
        idle_since: now,
        sequence: revision,
        added_at: revision,
        changed_at: revision,
        leaving: Default::default(),
    };
    bridge.put_own_rule(Arc::new(entry));
}
