//! How long connections live without packets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::stage::Stage;

/// Seconds for each stage. Connections hold it, so that a change holds for those that are there.
#[derive(Debug)]
pub(crate) struct Policy([AtomicU32; Stage::ALL.len()]);

impl Default for Policy {
    fn default() -> Self {
        Policy(std::array::from_fn(|index| {
            AtomicU32::new(Stage::ALL.get(index).map_or(0, |stage| stage.default_seconds()))
        }))
    }
}

impl Policy {
    pub(crate) fn seconds(&self, stage: Stage) -> u32 {
        self.0.get(stage as usize).map_or(stage.default_seconds(), |place| place.load(Ordering::Relaxed))
    }

    /// Takes the default of stages that `seconds` does not name.
    fn set(&self, seconds: &[(Stage, u32)]) {
        for (stage, place) in Stage::ALL.iter().zip(&self.0) {
            let said = seconds.iter().find(|(named, _)| named == stage);
            place.store(said.map_or(stage.default_seconds(), |(_, seconds)| *seconds), Ordering::Relaxed);
        }
    }
}

/// The policies by their names.
#[derive(Debug, Default)]
pub(crate) struct Policies(RwLock<HashMap<Box<str>, Arc<Policy>>>);

impl Policies {
    /// The policy of this name; `None`: the defaults hold.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Policy>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Makes or changes a policy; without seconds, takes it away, after which the defaults hold.
    pub(crate) fn set(&self, name: &str, seconds: Option<&[(Stage, u32)]>) {
        let mut policies = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match seconds {
            Some(seconds) => policies.entry(name.into()).or_default().set(seconds),
            None => {
                if let Some(policy) = policies.remove(name) {
                    policy.set(&[]);
                }
            }
        }
    }
}
