//! Flow tables as text.

use std::fmt::Write;

use super::switch::put_action_kinds;
use super::{Printer, bit_name, put_bits};
use crate::text::Hex;
use crate::*;

/// Whether `b` is `a` but for a number at the end that is one more.
fn are_sequential(a: &str, b: &str) -> bool {
    let common = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    let number = |s: &str| s.get(common..).filter(|s| s.len() < 10).and_then(|s| s.parse::<u32>().ok());
    matches!((number(a), number(b)), (Some(a), Some(b)) if a + 1 == b)
}

/// How many names at the start differ only by a number that counts up.
fn sequence_len(names: &[&str]) -> usize {
    let steps = names.windows(2).take_while(|pair| are_sequential(pair[0], pair[1])).count();
    // "x0...x1" is worse than "x0 x1".
    if steps == 1 { 1 } else { steps + 1 }
}

/// How much of both names is common, up to the last `_`.
fn common_prefix(a: &str, b: &str) -> usize {
    let common = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    a.get(..common).and_then(|s| s.rfind('_')).map_or(0, |at| at + 1)
}

/// How many names at the start have a common prefix, and its length; the
/// first `skip` bytes of all are the same.
fn prefix_run(names: &[&str], skip: usize) -> (usize, usize) {
    let [first, others @ ..] = names else { return (0, 0) };
    let common: Vec<usize> = others
        .iter()
        .map(|other| common_prefix(&first[skip..], &other[skip..]))
        .take_while(|n| *n > 0)
        .collect();
    (common.len() + 1, common.iter().copied().min().unwrap_or(0))
}

/// Names with `eth_src eth_dst` as `eth_{src,dst}`, and `reg0 reg1 reg2` as
/// `reg0...reg2`; the first `skip` bytes of all, which are the same, are left out.
fn put_names(out: &mut String, mut names: &[&str], skip: usize) {
    let mut first = true;
    while !names.is_empty() {
        if !std::mem::take(&mut first) {
            out.push(if skip > 0 { ',' } else { ' ' });
        }
        let (prefixed, prefix) = prefix_run(names, skip);
        let sequence = sequence_len(names);
        let run = prefixed.max(sequence);
        if sequence >= prefixed {
            out.push_str(&names[0][skip..]);
            if run > 1 {
                let _ = write!(out, "...{}", &names[run - 1][skip..]);
            }
        } else {
            let _ = write!(out, "{}{{", &names[0][skip..skip + prefix]);
            put_names(out, &names[..run], skip + prefix);
            out.push('}');
        }
        names = &names[run..];
    }
}

fn put_eviction_flags(out: &mut String, flags: Option<u32>) {
    match flags {
        Some(flags) => put_bits(out, flags, bit_name(&["OTHER", "IMPORTANCE", "LIFETIME"]), '|'),
        None => out.push_str("(default)"),
    }
}

fn on_off(setting: Option<bool>) -> &'static str {
    match setting {
        None => "default",
        Some(true) => "on",
        Some(false) => "off",
    }
}

impl TableMiss {
    /// As in `ovs-ofctl mod-table`: `default`, `controller`, `continue`, `drop`.
    pub const fn name(self) -> &'static str {
        match self {
            TableMiss::Default => "default",
            TableMiss::Controller => "controller",
            TableMiss::Continue => "continue",
            TableMiss::Drop => "drop",
        }
    }
}

/// Tables that are like the one before.
#[derive(Default)]
struct Dittos(Option<(u8, u8)>);

impl Dittos {
    fn add(&mut self, table: u8) {
        self.0 = Some((self.0.map_or(table, |(first, _)| first), table));
    }

    fn flush(&mut self, out: &mut String) {
        let Some((first, last)) = self.0.take() else { return };
        out.push('\n');
        let _ = if first == last {
            writeln!(out, "  table {first}: ditto")
        } else {
            writeln!(out, "  tables {first}...{last}: ditto")
        };
    }
}

fn same_next(a: &[u64; 4], a_table: u8, b: &[u64; 4], b_table: u8) -> bool {
    let bit = |set: &[u64; 4], n: u8| set[usize::from(n) / 64] >> (n % 64) & 1 != 0;
    if u16::from(b_table) == u16::from(a_table) + 1 && bit(a, b_table) && !bit(b, b_table) {
        let mut a = *a;
        a[usize::from(b_table) / 64] &= !(1 << (b_table % 64));
        return a == *b;
    }
    if u16::from(a_table) == u16::from(b_table) + 1 {
        return a == b || same_next(b, b_table, a, a_table);
    }
    a == b
}

fn same_instructions(
    a: &TableInstructionFeatures,
    a_table: u8,
    b: &TableInstructionFeatures,
    b_table: u8,
) -> bool {
    same_next(&a.next, a_table, &b.next, b_table)
        && a.instructions == b.instructions
        && a.write == b.write
        && a.apply == b.apply
}

fn same_features(a: &TableFeatures, b: &TableFeatures) -> bool {
    a.metadata_match == b.metadata_match
        && a.metadata_write == b.metadata_write
        && a.miss_config == b.miss_config
        && a.supports_eviction == b.supports_eviction
        && a.supports_vacancy_events == b.supports_vacancy_events
        && a.max_entries == b.max_entries
        && same_instructions(&a.nonmiss, a.table, &b.nonmiss, b.table)
        && same_instructions(&a.miss, a.table, &b.miss, b.table)
        && a.match_fields == b.match_fields
}

fn has_no_features(f: &TableFeatures) -> bool {
    let none = TableInstructionFeatures::default();
    f.metadata_match == 0
        && f.metadata_write == 0
        && f.miss_config == TableMiss::Default
        && f.supports_eviction.is_none()
        && f.supports_vacancy_events.is_none()
        && f.max_entries == 0
        && f.nonmiss == none
        && f.miss == none
        && f.match_fields.is_empty()
}

fn put_fields(out: &mut String, set: &FieldSet) {
    let names: Vec<&str> = set.iter().map(fields::Field::name).collect();
    if !names.is_empty() {
        out.push(' ');
        put_names(out, &names, 0);
    }
}

fn put_actions(out: &mut String, features: &TableActionFeatures) {
    if features.actions != 0 {
        out.push_str("        actions: ");
        put_action_kinds(out, features.actions);
        out.push('\n');
    }
    if !features.set_fields.is_empty() {
        out.push_str("        supported on Set-Field:");
        put_fields(out, &features.set_fields);
        out.push('\n');
    }
}

fn put_instructions(
    out: &mut String,
    f: &TableInstructionFeatures,
    previous: Option<&TableInstructionFeatures>,
) {
    let next = |table: usize| table < 255 && f.next[table / 64] >> (table % 64) & 1 != 0;
    if f.next != [0; 4] {
        out.push_str("      next tables: ");
        let (mut table, mut first) = (0, true);
        while table < 255 {
            if next(table) {
                let start = table;
                while next(table + 1) {
                    table += 1;
                }
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                let _ = if start == table { write!(out, "{start}") } else { write!(out, "{start}-{table}") };
            }
            table += 1;
        }
        out.push('\n');
    }
    if f.instructions != 0 {
        if previous.is_some_and(|p| p.instructions == f.instructions) {
            out.push_str("      (same instructions)\n");
        } else {
            out.push_str("      instructions: ");
            put_bits(
                out,
                f.instructions,
                bit_name(&[
                    "meter",
                    "apply_actions",
                    "clear_actions",
                    "write_actions",
                    "write_metadata",
                    "goto_table",
                ]),
                ' ',
            );
            out.push('\n');
        }
    }
    if previous.is_some_and(|p| p.write == f.write && p.apply == f.apply) && !f.write.set_fields.is_empty() {
        out.push_str("      (same actions)\n");
    } else if f.write != f.apply {
        out.push_str("      Write-Actions features:\n");
        put_actions(out, &f.write);
        out.push_str("      Apply-Actions features:\n");
        put_actions(out, &f.apply);
    } else if f.write.actions != 0 || !f.write.set_fields.is_empty() {
        out.push_str("      Write-Actions and Apply-Actions features:\n");
        put_actions(out, &f.write);
    }
}

type Entry<'a> = (&'a TableFeatures, Option<&'a TableStats>);

fn put_table(out: &mut String, entry: Entry<'_>, previous: Option<Entry<'_>>, dittos: &mut Dittos) {
    let (f, stats) = entry;
    if previous.is_none() && f.command != 0 {
        let name = ["replace", "modify", "enable", "disable"]
            .get(usize::from(f.command))
            .unwrap_or(&"***bad command***");
        let _ = write!(out, "\n  command: {name}");
    }
    let counts = |s: &TableStats| (s.active_count, s.lookup_count, s.matched_count);
    let same_stats = stats.is_none_or(|s| previous.and_then(|p| p.1).is_some_and(|p| counts(p) == counts(s)));
    let same = previous.is_some_and(|(p, _)| same_features(f, p));
    if same_stats && same && f.name.is_empty() {
        return dittos.add(f.table);
    }
    dittos.flush(out);
    let _ = write!(out, "\n  table {}", f.table);
    if !f.name.is_empty() {
        let _ = write!(out, " (\"{}\")", f.name);
    }
    out.push(':');
    if same_stats && same {
        return out.push_str(" ditto");
    }
    out.push('\n');
    if let Some(s) = stats {
        let _ = writeln!(
            out,
            "    active={}, lookup={}, matched={}",
            s.active_count, s.lookup_count, s.matched_count
        );
    }
    if same {
        if !has_no_features(f) {
            out.push_str("    (same features)\n");
        }
        return;
    }
    put_features(out, f, previous.map(|(p, _)| p));
}

fn put_features(out: &mut String, f: &TableFeatures, previous: Option<&TableFeatures>) {
    if f.metadata_match != 0 || f.metadata_write != 0 {
        let _ =
            writeln!(out, "    metadata: match={} write={}", Hex(f.metadata_match), Hex(f.metadata_write));
    }
    if f.miss_config != TableMiss::Default {
        let _ = writeln!(out, "    config={}", f.miss_config.name());
    }
    for (what, supported) in
        [("eviction", f.supports_eviction), ("vacancy events", f.supports_vacancy_events)]
    {
        if let Some(supported) = supported {
            let _ = writeln!(out, "    {what}: {}supported", if supported { "" } else { "not " });
        }
    }
    if f.max_entries != 0 {
        let _ = writeln!(out, "    max_entries={}", f.max_entries);
    }
    let none = TableInstructionFeatures::default();
    if previous.is_some_and(|p| {
        same_instructions(&f.nonmiss, f.table, &p.nonmiss, p.table)
            && same_instructions(&f.miss, f.table, &p.miss, p.table)
    }) {
        if f.nonmiss != none {
            out.push_str("    (same instructions)\n");
        }
    } else if f.nonmiss != f.miss {
        out.push_str("    instructions (other than table miss):\n");
        put_instructions(out, &f.nonmiss, previous.map(|p| &p.nonmiss));
        out.push_str("    instructions (table miss):\n");
        put_instructions(out, &f.miss, previous.map(|p| &p.miss));
    } else if f.nonmiss != none {
        out.push_str("    instructions (table miss and others):\n");
        put_instructions(out, &f.nonmiss, previous.map(|p| &p.nonmiss));
    }
    if f.match_fields.is_empty() {
        return;
    }
    if previous.is_some_and(|p| p.match_fields == f.match_fields) {
        return out.push_str("    (same matching)\n");
    }
    out.push_str("    matching:\n");
    let kinds = [
        ("arbitrary mask", true, true),
        ("exact match or wildcard", false, true),
        ("must exact match", false, false),
    ];
    for (title, mask, wildcard) in kinds {
        let set: FieldSet = f
            .match_fields
            .iter()
            .filter(|field| {
                f.mask_fields.contains(*field) == mask && f.wildcard_fields.contains(*field) == wildcard
            })
            .collect();
        if !set.is_empty() {
            let _ = write!(out, "      {title}:");
            put_fields(out, &set);
            out.push('\n');
        }
    }
}

impl Printer<'_> {
    pub(super) fn table_mod(&self, out: &mut String, change: &TableMod) {
        if change.table == 0xff {
            out.push_str(" table_id: ALL_TABLES");
        } else {
            out.push_str(" table_id=");
            self.table(out, change.table);
        }
        if change.miss != TableMiss::Default {
            let _ = write!(out, ", flow_miss_config={}", change.miss.name());
        }
        if change.eviction.is_some() {
            let _ = write!(out, ", eviction={}", on_off(change.eviction));
        }
        if change.eviction_flags.is_some() {
            out.push_str("eviction_flags=");
            put_eviction_flags(out, change.eviction_flags);
        }
        if let Some(on) = change.vacancy_events {
            let _ = write!(out, ", vacancy={}", on_off(Some(on)));
            if on {
                let _ = write!(out, " vacancy:{},{}", change.vacancy.down, change.vacancy.up);
            }
        }
    }

    pub(super) fn table_desc(&self, out: &mut String, desc: &TableDesc) {
        out.push_str("\n  table ");
        self.table(out, desc.table);
        let _ = write!(out, ":\n   eviction={} eviction_flags=", on_off(desc.eviction));
        put_eviction_flags(out, desc.eviction_flags);
        let _ = write!(out, "\n   vacancy={}", on_off(desc.vacancy_events));
        if desc.vacancy_events == Some(true) {
            let v = desc.vacancy;
            let _ = write!(out, " vacancy_down={}% vacancy_up={}% vacancy={}%", v.down, v.up, v.current);
        }
        out.push('\n');
    }

    pub(super) fn table_status(&self, out: &mut String, status: &TableStatus) {
        out.push_str(match status.reason {
            3 => " reason=VACANCY_DOWN",
            4 => " reason=VACANCY_UP",
            _ => "",
        });
        out.push_str("\ntable_desc:-");
        self.table_desc(out, &status.desc);
    }

    pub(super) fn table_stats(&self, out: &mut String, all: &[TableStats]) {
        let features: Vec<TableFeatures> = all
            .iter()
            .map(|s| s.features.as_deref().cloned().unwrap_or_else(|| TableFeatures::unknown(s.table)))
            .collect();
        let entries: Vec<Entry<'_>> = features.iter().zip(all.iter().map(Some)).collect();
        put_tables(out, &entries);
    }

    pub(super) fn table_features(&self, out: &mut String, all: &[TableFeatures]) {
        let entries: Vec<Entry<'_>> = all.iter().map(|f| (f, None)).collect();
        put_tables(out, &entries);
    }
}

/// What tables can do, as a reply about all of them shows it, without the reply's first line.
pub fn table_features_to_text(all: &[TableFeatures]) -> String {
    let mut out = String::new();
    let entries: Vec<Entry<'_>> = all.iter().map(|f| (f, None)).collect();
    put_tables(&mut out, &entries);
    // Each table begins a line of its own.
    out.strip_prefix('\n').map(|text| format!("{text}\n")).unwrap_or(out)
}

fn put_tables(out: &mut String, entries: &[Entry<'_>]) {
    let mut dittos = Dittos::default();
    let mut previous = None;
    for entry in entries {
        put_table(out, *entry, previous, &mut dittos);
        previous = Some(*entry);
    }
    dittos.flush(out);
}
