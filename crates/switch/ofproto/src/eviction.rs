//! Settings of tables: their names, how many rules they hold, and which one goes when one more
//! comes; which prefixes their lookups track.

use std::collections::HashMap;
use std::sync::Arc;

use base::Timestamp;
use fields::Subfield;
use ofp::{OfError, TableDesc, TableMod, TableStatus, Vacancy};
use pipeline::Miss;

use crate::bridge::Bridge;
use crate::entry::Entry;
use crate::table::Table;
use crate::table_settings::{TableSettings, VacancyWatch};

/// What the switch takes into account when it makes room: other things, importance, lifetime.
const EVICTION_FLAGS: u32 = 0b111;
const VACANCY_DOWN: u8 = 3;
const VACANCY_UP: u8 = 4;

impl Table {
    /// The name that the database gives it, else the one that a controller gave.
    pub fn name(&self) -> Option<&str> {
        self.settings.name.as_deref().or(self.controller_name.as_deref()).filter(|name| !name.is_empty())
    }

    fn evicts(&self) -> bool {
        self.settings.evicts || self.controller_evicts
    }

    fn is_full(&self) -> bool {
        self.settings.max_rules.is_some_and(|max| self.visible_len() >= max)
    }

    /// The rule that goes for another one: of the largest group of rules that
    /// can time out, the least important one, and of these the first to end.
    /// It looks at every rule; tables that evict are small.
    fn victim(&self) -> Option<Arc<Entry>> {
        let mut groups: HashMap<Vec<u128>, (usize, &Arc<Entry>, (u16, Timestamp))> = HashMap::new();
        for entry in self.entries() {
            let Some(end) = entry.expiration() else { continue };
            let worth = (entry.importance, end);
            let group = self.settings.groups.iter().map(|field| group_value(field, entry)).collect();
            let (count, least, least_worth) = groups.entry(group).or_insert((0, entry, worth));
            *count += 1;
            if worth < *least_worth {
                (*least, *least_worth) = (entry, worth);
            }
        }
        let largest =
            groups.into_values().max_by_key(|(count, _, worth)| (*count, std::cmp::Reverse(*worth)));
        largest.map(|(_, entry, _)| Arc::clone(entry))
    }

    /// How much of the table is free, in percent.
    fn vacancy(&self) -> u8 {
        match self.settings.max_rules {
            Some(max) if max > 0 => {
                let free = max.saturating_sub(self.visible_len());
                u8::try_from(free * 100 / max).unwrap_or(100)
            }
            Some(_) => 0,
            None => 100,
        }
    }

    fn desc(&self, id: u8) -> TableDesc {
        let mut vacancy = Vacancy { current: self.vacancy(), ..Vacancy::default() };
        if let Some(watch) = &self.vacancy_watch {
            (vacancy.down, vacancy.up) = (watch.down, watch.up);
        }
        TableDesc {
            table: id,
            eviction: Some(self.evicts()),
            eviction_flags: Some(EVICTION_FLAGS),
            vacancy_events: Some(self.vacancy_watch.is_some()),
            vacancy,
        }
    }

    /// What controllers have asked of it, unless that is what every table begins with.
    fn controller_mod(&self) -> Option<TableMod> {
        let watch = self.vacancy_watch.as_ref();
        if self.miss == Miss::Default && !self.controller_evicts && watch.is_none() {
            return None;
        }
        let (down, up) = watch.map_or((0, 0), |watch| (watch.down, watch.up));
        Some(TableMod {
            table: self.id().0,
            miss: match self.miss {
                Miss::Default => ofp::TableMiss::Default,
                Miss::Controller => ofp::TableMiss::Controller,
                Miss::Continue => ofp::TableMiss::Continue,
                Miss::Drop => ofp::TableMiss::Drop,
            },
            eviction: Some(self.controller_evicts),
            eviction_flags: None,
            vacancy_events: Some(watch.is_some()),
            vacancy: Vacancy { down, up, current: 0 },
        })
    }

    /// A message about how full the table is, if one is due.
    fn take_status(&mut self, id: u8) -> Option<TableStatus> {
        let now = self.vacancy();
        let watch = self.vacancy_watch.as_mut()?;
        let event = if now < watch.down {
            VACANCY_DOWN
        } else if now > watch.up {
            VACANCY_UP
        } else {
            return None;
        };
        if event != watch.next {
            return None;
        }
        watch.next = if event == VACANCY_DOWN { VACANCY_UP } else { VACANCY_DOWN };
        Some(TableStatus { reason: event, desc: self.desc(id) })
    }

    fn change(&mut self, request: &TableMod) {
        if self.miss_is_set(request.miss) {
            self.miss = miss_of(request.miss);
        }
        if let Some(evicts) = request.eviction {
            self.controller_evicts = evicts;
        }
        match request.vacancy_events {
            Some(true) => {
                let (down, up) = (request.vacancy.down, request.vacancy.up);
                let next = if self.vacancy() < up { VACANCY_UP } else { VACANCY_DOWN };
                self.vacancy_watch = Some(VacancyWatch { down, up, next });
            }
            Some(false) => self.vacancy_watch = None,
            None => {}
        }
    }

    /// Requests about other things say "default", which then means "as it is".
    fn miss_is_set(&self, miss: ofp::TableMiss) -> bool {
        miss != ofp::TableMiss::Default
    }
}

fn miss_of(miss: ofp::TableMiss) -> Miss {
    match miss {
        ofp::TableMiss::Default => Miss::Default,
        ofp::TableMiss::Controller => Miss::Controller,
        ofp::TableMiss::Continue => Miss::Continue,
        ofp::TableMiss::Drop => Miss::Drop,
    }
}

fn group_value(field: &Subfield, entry: &Entry) -> u128 {
    let key = entry.rule.matching.key();
    if field.field.info().prereq.met_by(&key, None) { field.read(&key) } else { u128::MAX }
}

impl Bridge {
    /// Takes over what the database says of a table.
    pub fn configure_table(
        &mut self,
        id: base::TableId,
        settings: TableSettings,
        now: Timestamp,
    ) -> Vec<crate::Change> {
        if self.table(id).is_none() && settings == TableSettings::default() {
            return Vec::new();
        }
        let table = self.table_mut(id);
        if table.settings == settings {
            return Vec::new();
        }
        let prefixes_move = table.settings.prefixes != settings.prefixes;
        table.settings = settings;
        if prefixes_move {
            table.track_prefixes();
            self.changed();
        }
        let mut changes = Vec::new();
        while let Some(max) = self.table(id).and_then(|table| table.settings.max_rules)
            && self.table(id).is_some_and(|table| table.visible_len() > max)
        {
            match self.make_room(id, now) {
                Some(change) => changes.extend(change),
                None => break,
            }
        }
        if !changes.is_empty() {
            self.changed();
        }
        changes
    }

    /// Makes room for one more rule if the table is full. `Err` when it cannot.
    pub(crate) fn ensure_room(
        &mut self,
        id: base::TableId,
        now: Timestamp,
    ) -> Result<Vec<crate::Change>, OfError> {
        if !self.table(id).is_some_and(Table::is_full) {
            return Ok(Vec::new());
        }
        self.make_room(id, now).ok_or(OfError::OfpfmfcTableFull)
    }

    fn make_room(&mut self, id: base::TableId, _now: Timestamp) -> Option<Vec<crate::Change>> {
        let table = self.table(id).filter(|table| table.evicts())?;
        let victim = table.victim()?;
        Some(self.remove_entries(std::iter::once(victim), ofp::FlowRemovedReason::Eviction))
    }

    /// Carries out a controller's request about a table, or all.
    pub fn table_mod(&mut self, request: &TableMod) -> Result<(), OfError> {
        let last = base::TableId::INTERNAL.0;
        if request.table != 0xff && request.table >= last {
            return Err(OfError::OfptmfcBadTable);
        }
        if request.eviction_flags.is_some_and(|flags| flags != EVICTION_FLAGS) {
            return Err(OfError::OfptmfcBadConfig);
        }
        let tables = if request.table == 0xff { 0..last } else { request.table..request.table + 1 };
        for table in tables {
            self.table_mut(base::TableId(table)).change(request);
        }
        self.changed();
        Ok(())
    }

    /// What controllers have asked of the tables, as requests that ask for it again.
    pub fn table_mods(&self) -> Vec<TableMod> {
        self.tables().filter_map(Table::controller_mod).collect()
    }

    /// The names that controllers have given to tables.
    pub fn controller_table_names(&self) -> impl Iterator<Item = (base::TableId, &str)> {
        self.tables().filter_map(|table| Some((table.id(), table.controller_name.as_deref()?)))
    }

    /// Gives a table a name, unless the database has given it another one.
    pub fn name_table(&mut self, id: base::TableId, name: &str) -> Result<(), OfError> {
        let table = self.table_mut(id);
        match &table.settings.name {
            Some(given) if given != name => Err(OfError::OfptffcEperm),
            Some(_) => Ok(()),
            None => {
                table.controller_name = Some(name.to_owned());
                Ok(())
            }
        }
    }

    pub fn table_descs(&self) -> Vec<TableDesc> {
        let empty = Table::new(base::TableId(0), Default::default());
        (0..base::TableId::INTERNAL.0)
            .map(|id| self.table(base::TableId(id)).unwrap_or(&empty).desc(id))
            .collect()
    }

    /// Messages about tables of `ids` that became fuller or emptier than controllers asked.
    pub fn take_table_statuses(&mut self, ids: impl Iterator<Item = base::TableId>) -> Vec<TableStatus> {
        ids.filter_map(|id| self.table(id).is_some().then(|| self.table_mut(id).take_status(id.0)).flatten())
            .collect()
    }
}
