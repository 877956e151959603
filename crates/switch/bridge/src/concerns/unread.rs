//! Settings that do nothing: they are logged, and shown in the status of their rows.

use std::collections::BTreeMap;

use log::Level;
use uuid::Uuid;

use super::Concern;
use crate::desired::Desired;
use crate::running::Running;

pub(crate) struct UnreadSettings;

impl Concern for UnreadSettings {
    fn finish(&self, running: &mut Running, desired: &Desired) {
        running.unsupported.clear();
        for one in desired.unread.iter().flat_map(|of_row| &**of_row) {
            let level = if one.is_tuning() { Level::Info } else { Level::Warn };
            running.complaints.say(level, one.text());
            if !one.is_tuning() {
                let settings = running.unsupported.entry(one.uuid).or_default();
                let separator = if settings.is_empty() { "" } else { ", " };
                settings.push_str(separator);
                settings.push_str(&one.setting);
            }
        }
    }
}

impl Running {
    /// The settings of a row that do nothing.
    pub(crate) fn unsupported_of(&self, row: &Uuid) -> Option<String> {
        self.unsupported.get(row).cloned()
    }

    /// The same as status columns show it.
    pub(crate) fn unsupported_status(&self, row: &Uuid) -> BTreeMap<String, String> {
        let settings = self.unsupported_of(row);
        settings.map(|settings| ("unsupported".to_owned(), settings)).into_iter().collect()
    }
}
