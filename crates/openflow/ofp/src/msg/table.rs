//! Messages about flow tables.

use fields::Field;

/// What happens to packets that no rule of a table matches (OpenFlow 1.1 and 1.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum TableMiss {
    /// What the version does: to the controller in OpenFlow 1.0 to 1.2, drop in 1.3+.
    #[default]
    Default,
    /// Sent to the controller.
    Controller,
    /// Goes on in the next table; in the last one to the controller.
    Continue,
    /// Dropped.
    Drop,
}

/// The percentages of vacancy events (OpenFlow 1.4+).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Vacancy {
    /// Free space in percent below which an event is sent, 0 to `up`.
    pub down: u8,
    /// Free space in percent above which an event is sent, at most 100.
    pub up: u8,
    /// Free space in percent now; 0 in a table mod.
    pub current: u8,
}

/// `OFPT_TABLE_MOD` (OpenFlow 1.1+): changes a table's configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableMod {
    /// 0xff: all.
    pub table: u8,
    /// OpenFlow 1.1 and 1.2; `Default` elsewhere.
    pub miss: TableMiss,
    /// OpenFlow 1.4+.
    pub eviction: Option<bool>,
    /// What eviction goes by (`OFPTMPEF_*`, OpenFlow 1.4+): bit 0 other, 1 importance, 2 lifetime.
    pub eviction_flags: Option<u32>,
    /// OpenFlow 1.4+.
    pub vacancy_events: Option<bool>,
    /// All 0 when not given.
    pub vacancy: Vacancy,
}

/// A table's configuration (`OFPMP_TABLE_DESC`, OpenFlow 1.4+).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableDesc {
    /// 0 to 254.
    pub table: u8,
    /// Whether rules may be evicted for others; `None`: not said.
    pub eviction: Option<bool>,
    /// What eviction goes by, as in [`TableMod::eviction_flags`].
    pub eviction_flags: Option<u32>,
    /// Whether vacancy events are sent; `None`: not said.
    pub vacancy_events: Option<bool>,
    /// All 0 when not given.
    pub vacancy: Vacancy,
}

/// `OFPT_TABLE_STATUS` (OpenFlow 1.4+): the free space of a table has passed a limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableStatus {
    /// 3: vacancy down, 4: vacancy up.
    pub reason: u8,
    /// The table as it is now.
    pub desc: TableDesc,
}

/// A table's counters, with what old versions say of it besides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableStats {
    /// 0 to 254.
    pub table: u8,
    /// How many rules it holds.
    pub active_count: u32,
    /// Packets looked up; `u64::MAX` when unknown.
    pub lookup_count: u64,
    /// Packets that a rule matched; `u64::MAX` when unknown.
    pub matched_count: u64,
    /// OpenFlow 1.0 to 1.2.
    pub features: Option<Box<TableFeatures>>,
}

/// A set of fields.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct FieldSet([u64; 4]);

impl FieldSet {
    /// Adds `field`; no effect when it is in the set.
    pub fn insert(&mut self, field: Field) {
        let n = field as usize;
        self.0[n / 64] |= 1 << (n % 64);
    }

    /// Whether `field` is in the set.
    pub fn contains(&self, field: Field) -> bool {
        let n = field as usize;
        self.0[n / 64] >> (n % 64) & 1 != 0
    }

    /// In the registry's order.
    pub fn iter(&self) -> impl Iterator<Item = Field> + '_ {
        Field::all().filter(|f| self.contains(*f))
    }

    /// Whether no field is in the set.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// Whether all fields of `other` are in this set.
    pub fn is_superset(&self, other: &FieldSet) -> bool {
        self.0.iter().zip(other.0).all(|(a, b)| b & !a == 0)
    }
}

impl FromIterator<Field> for FieldSet {
    fn from_iter<I: IntoIterator<Item = Field>>(fields: I) -> FieldSet {
        let mut set = FieldSet::default();
        fields.into_iter().for_each(|f| set.insert(f));
        set
    }
}

/// What actions a `write_actions` or the action list may contain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct TableActionFeatures {
    /// Bits by [`crate::ActionKind`].
    pub actions: u64,
    /// Fields that `set_field` may write.
    pub set_fields: FieldSet,
}

/// What rules of a table can do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct TableInstructionFeatures {
    /// Tables that `goto_table` may name: bit `n % 64` of word `n / 64`.
    pub next: [u64; 4],
    /// Bits: 0 meter, 1 apply, 2 clear, 3 write, 4 write_metadata, 5 goto_table.
    pub instructions: u32,
    /// In `write_actions`.
    pub write: TableActionFeatures,
    /// In the action list.
    pub apply: TableActionFeatures,
}

/// What a table can do (`OFPMP_TABLE_FEATURES`, OpenFlow 1.3+; part of [`TableStats`] in 1.0 to 1.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableFeatures {
    /// OpenFlow 1.5 requests: 0 replace, 1 modify, 2 enable, 3 disable.
    pub command: u8,
    /// 0 to 254.
    pub table: u8,
    /// At most 31 bytes.
    pub name: String,
    /// Bits of metadata that rules can match.
    pub metadata_match: u64,
    /// Bits of metadata that rules can write.
    pub metadata_write: u64,
    /// The most rules that it can hold.
    pub max_entries: u32,
    /// Whether the message had properties: a request without any changes none of them.
    pub any_properties: bool,
    /// OpenFlow 1.1 and 1.2; `Default` elsewhere.
    pub miss_config: TableMiss,
    /// OpenFlow 1.4+; `None` elsewhere.
    pub supports_eviction: Option<bool>,
    /// OpenFlow 1.4+; `None` elsewhere.
    pub supports_vacancy_events: Option<bool>,
    /// Of all rules but the table-miss rule.
    pub nonmiss: TableInstructionFeatures,
    /// Of the table-miss rule.
    pub miss: TableInstructionFeatures,
    /// Fields that can be matched.
    pub match_fields: FieldSet,
    /// Those that can be matched with any mask.
    pub mask_fields: FieldSet,
    /// Those that can be left out of a match.
    pub wildcard_fields: FieldSet,
}

impl TableFeatures {
    /// Of a table of which nothing is known.
    pub fn unknown(table: u8) -> TableFeatures {
        TableFeatures {
            command: 0,
            table,
            name: String::new(),
            metadata_match: 0,
            metadata_write: 0,
            max_entries: 0,
            any_properties: false,
            miss_config: TableMiss::Default,
            supports_eviction: None,
            supports_vacancy_events: None,
            nonmiss: TableInstructionFeatures::default(),
            miss: TableInstructionFeatures::default(),
            match_fields: FieldSet::default(),
            mask_fields: FieldSet::default(),
            wildcard_fields: FieldSet::default(),
        }
    }
}
