//! Messages about flow tables.

use fields::Field;

/// What happens to packets that no rule of a table matches (OpenFlow 1.1 and 1.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum TableMiss {
    #[default]
    Default,
    Controller,
    Continue,
    Drop,
}

/// The percentages of vacancy events (OpenFlow 1.4+).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Vacancy {
    pub down: u8,
    pub up: u8,
    pub current: u8,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableMod {
    /// 0xff: all.
    pub table: u8,
    pub miss: TableMiss,
    /// OpenFlow 1.4+.
    pub eviction: Option<bool>,
    pub eviction_flags: Option<u32>,
    pub vacancy_events: Option<bool>,
    pub vacancy: Vacancy,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableDesc {
    pub table: u8,
    pub eviction: Option<bool>,
    pub eviction_flags: Option<u32>,
    pub vacancy_events: Option<bool>,
    pub vacancy: Vacancy,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableStatus {
    /// 3: vacancy down, 4: vacancy up.
    pub reason: u8,
    pub desc: TableDesc,
}

/// A table's counters, with what old versions say of it besides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableStats {
    pub table: u8,
    pub active_count: u32,
    pub lookup_count: u64,
    pub matched_count: u64,
    /// OpenFlow 1.0 to 1.2.
    pub features: Option<Box<TableFeatures>>,
}

/// A set of fields.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct FieldSet([u64; 4]);

impl FieldSet {
    pub fn insert(&mut self, field: Field) {
        let n = field as usize;
        self.0[n / 64] |= 1 << (n % 64);
    }

    pub fn contains(&self, field: Field) -> bool {
        let n = field as usize;
        self.0[n / 64] >> (n % 64) & 1 != 0
    }

    pub fn iter(&self) -> impl Iterator<Item = Field> + '_ {
        Field::all().filter(|f| self.contains(*f))
    }

    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

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
    pub set_fields: FieldSet,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct TableInstructionFeatures {
    /// Tables that `goto_table` may name: bit `n % 64` of word `n / 64`.
    pub next: [u64; 4],
    /// Bits: 0 meter, 1 apply, 2 clear, 3 write, 4 write_metadata, 5 goto_table.
    pub instructions: u32,
    pub write: TableActionFeatures,
    pub apply: TableActionFeatures,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableFeatures {
    /// OpenFlow 1.5 requests: 0 replace, 1 modify, 2 enable, 3 disable.
    pub command: u8,
    pub table: u8,
    pub name: String,
    pub metadata_match: u64,
    pub metadata_write: u64,
    pub max_entries: u32,
    pub any_properties: bool,
    pub miss_config: TableMiss,
    pub supports_eviction: Option<bool>,
    pub supports_vacancy_events: Option<bool>,
    pub nonmiss: TableInstructionFeatures,
    pub miss: TableInstructionFeatures,
    pub match_fields: FieldSet,
    pub mask_fields: FieldSet,
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
