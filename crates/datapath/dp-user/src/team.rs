//! By what rules the workers of a datapath work together, and what is known of them as a whole.

use std::collections::BTreeSet;

use base::Timestamp;
use dp::WorkerSettings;

use crate::assignment::Rules;
use crate::processors::{Processor, Processors};
use crate::reinforcing::Reinforcing;
use crate::seat::Core;

/// By what rules workers work.
#[derive(Debug)]
pub(crate) struct Team {
    pub(crate) settings: WorkerSettings,
    /// Somebody has said what these are.
    pub(crate) is_set_up: bool,
    /// Workers that have pinned queues only.
    pub(crate) isolated: BTreeSet<Core>,
    /// When the last interval ended of which it is known what workers were busy with; none has before the first.
    pub(crate) sampled: Timestamp,
    pub(crate) has_samples: bool,
    /// Whether assigning the queues anew can help at all, if it was found out since they were.
    pub(crate) is_worth_a_trial: Option<bool>,
    /// When it was last looked whether sharing queues anew would help.
    pub(crate) balanced: Timestamp,
    /// Workers that there are for a while, where nobody has said which there shall be.
    pub(crate) extra: usize,
    pub(crate) reinforcing: Reinforcing,
}

impl Team {
    pub(crate) fn new(now: Timestamp) -> Team {
        Team {
            settings: WorkerSettings::default(),
            is_set_up: false,
            isolated: BTreeSet::new(),
            sampled: now,
            has_samples: false,
            is_worth_a_trial: None,
            balanced: now,
            extra: 0,
            reinforcing: Reinforcing::default(),
        }
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules { assignment: self.settings.assignment, isolates: self.settings.isolates }
    }

    /// The mask that chooses processors, if there is one.
    pub(crate) fn mask(&self) -> Option<&str> {
        self.settings.cpu_mask.as_deref().filter(|mask| !mask.is_empty())
    }

    /// Who shall have a worker.
    pub(crate) fn wanted(&self, processors: &Processors) -> Vec<Processor> {
        self.mask().map_or_else(|| processors.by_default(self.extra), |mask| processors.in_mask(mask))
    }
}
