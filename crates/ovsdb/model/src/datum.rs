//! What a column holds: a set of atoms or a map from atoms to atoms, sorted by key without duplicates.

use crate::atom::Atom;
use crate::error::Error;
use crate::large_set::{self, Atoms, LargeSet};
use crate::symbols::Symbols;
use crate::types::Type;
use serde_json::Value;
use std::cmp::Ordering;
use std::sync::Arc;

/// Copies are cheap. The variants are canonical, so equal datums are equal values: nothing is
/// [`Datum::Empty`], a set of one is [`Datum::One`], the vectors are never shorter than that, and a set has
/// the form of [`Datum::Large`] just when it has more than [`MANY`] atoms.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum Datum {
    /// Nothing: an empty set or map.
    #[default]
    Empty,
    /// A set of one atom.
    One(Atom),
    /// A set of two atoms or more, sorted.
    Set(Arc<Vec<Atom>>),
    /// A set of more than [`MANY`] atoms.
    Large(Arc<LargeSet>),
    /// Keys and values, sorted by key; one pair or more.
    Map(Arc<Vec<(Atom, Atom)>>),
}

/// Sets of more atoms share most of them with their copies.
pub const MANY: usize = 128;

/// There were two equal keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate;

impl<T: Into<Atom>> From<T> for Datum {
    fn from(atom: T) -> Datum {
        Datum::One(atom.into())
    }
}

impl Type {
    /// What a column holds that was never set: the least that the type allows.
    pub fn default_datum(&self) -> Datum {
        if self.min == 0 {
            return Datum::Empty;
        }
        let key = Atom::default_of(self.key.kind);
        match &self.value {
            None => Datum::One(key),
            Some(value) => Datum::Map(Arc::new(vec![(key, Atom::default_of(value.kind))])),
        }
    }
}

impl Datum {
    /// From atoms in any order; duplicates are dropped.
    pub fn set(atoms: impl IntoIterator<Item = Atom>) -> Datum {
        let mut atoms: Vec<Atom> = atoms.into_iter().collect();
        atoms.sort();
        atoms.dedup();
        Datum::from_sorted(atoms)
    }

    /// From pairs in any order; of duplicates the first by value stays.
    pub fn map(pairs: impl IntoIterator<Item = (Atom, Atom)>) -> Datum {
        let mut pairs: Vec<(Atom, Atom)> = pairs.into_iter().collect();
        pairs.sort();
        pairs.dedup_by(|b, a| a.0 == b.0);
        Datum::from_sorted_pairs(pairs)
    }

    pub(crate) fn from_sorted(mut atoms: Vec<Atom>) -> Datum {
        match atoms.len() {
            0 | 1 => atoms.pop().map_or(Datum::Empty, Datum::One),
            n if n > MANY => Datum::Large(Arc::new(LargeSet::from_sorted(atoms))),
            _ => Datum::Set(Arc::new(atoms)),
        }
    }

    /// Gives a set the form of its size again.
    fn normalize(&mut self) {
        let wrong = match self {
            Datum::Large(set) => set.len() <= MANY,
            Datum::Set(atoms) => atoms.len() > MANY,
            _ => false,
        };
        if wrong {
            *self = Datum::from_sorted(self.atoms().iter().cloned().collect());
        }
    }

    pub(crate) fn from_sorted_pairs(pairs: Vec<(Atom, Atom)>) -> Datum {
        if pairs.is_empty() { Datum::Empty } else { Datum::Map(Arc::new(pairs)) }
    }

    /// How many atoms or pairs there are.
    pub fn len(&self) -> usize {
        match self {
            Datum::Empty => 0,
            Datum::One(_) => 1,
            Datum::Set(atoms) => atoms.len(),
            Datum::Large(set) => set.len(),
            Datum::Map(pairs) => pairs.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        matches!(self, Datum::Empty)
    }

    /// The atoms of a set; nothing for a map.
    pub fn atoms(&self) -> Atoms<'_> {
        match self {
            Datum::Large(set) => Atoms::Many(set),
            _ => Atoms::Few(self.few()),
        }
    }

    /// The atoms of a set that is not large.
    fn few(&self) -> &[Atom] {
        match self {
            Datum::One(atom) => std::slice::from_ref(atom),
            Datum::Set(atoms) => atoms,
            Datum::Empty | Datum::Large(_) | Datum::Map(_) => &[],
        }
    }

    /// The pairs of a map; nothing for a set.
    pub fn pairs(&self) -> &[(Atom, Atom)] {
        match self {
            Datum::Map(pairs) => pairs,
            _ => &[],
        }
    }

    /// The keys of a map or the atoms of a set.
    pub fn keys(&self) -> impl Iterator<Item = &Atom> {
        self.atoms().iter().chain(self.pairs().iter().map(|(key, _)| key))
    }

    /// Each key with its value, which sets lack.
    pub fn entries(&self) -> impl Iterator<Item = (&Atom, Option<&Atom>)> {
        let atoms = self.atoms().iter().map(|atom| (atom, None));
        atoms.chain(self.pairs().iter().map(|(key, value)| (key, Some(value))))
    }

    /// The only atom, where there is exactly one.
    pub fn one(&self) -> Option<&Atom> {
        match self {
            Datum::One(atom) => Some(atom),
            _ => None,
        }
    }

    /// The value of `key` in a map of strings.
    pub fn get(&self, key: &str) -> Option<&str> {
        let pairs = self.pairs();
        let at = pairs.binary_search_by(|(k, _)| k.as_str().unwrap_or("").cmp(key)).ok()?;
        pairs.get(at)?.1.as_str()
    }

    /// The position of a key.
    pub fn find(&self, key: &Atom) -> Option<usize> {
        match self {
            Datum::Empty => None,
            Datum::One(atom) => (atom == key).then_some(0),
            Datum::Set(atoms) => atoms.binary_search(key).ok(),
            Datum::Large(set) => set.position(key),
            Datum::Map(pairs) => pairs.binary_search_by(|(k, _)| k.cmp(key)).ok(),
        }
    }

    /// The value of a key in a map.
    pub fn value_of(&self, key: &Atom) -> Option<&Atom> {
        let at = self.find(key)?;
        self.pairs().get(at).map(|(_, value)| value)
    }

    /// Whether the entry is there; without a value only the key counts.
    pub fn has(&self, key: &Atom, value: Option<&Atom>) -> bool {
        match value {
            None => match self {
                Datum::Large(set) => set.contains(key),
                _ => self.find(key).is_some(),
            },
            Some(value) => self.value_of(key) == Some(value),
        }
    }

    /// Whether every entry of `self` is in `other`. A set is compared with a map's keys.
    pub fn is_subset_of(&self, other: &Datum) -> bool {
        self.len() <= other.len() && self.entries().all(|(key, value)| other.has(key, value))
    }

    /// Whether no entry of `self` is in `other`.
    pub fn is_disjoint_from(&self, other: &Datum) -> bool {
        !self.entries().any(|(key, value)| other.has(key, value))
    }

    /// Whether the number of entries is one that the type allows.
    pub fn conforms_to(&self, r#type: &Type) -> bool {
        let n = u32::try_from(self.len()).unwrap_or(u32::MAX);
        n >= r#type.min && n <= r#type.max
    }

    /// Whether it is what a column holds that was never set.
    pub fn is_default(&self, r#type: &Type) -> bool {
        if r#type.min == 0 {
            return self.is_empty();
        }
        self.len() == 1 && self.entries().all(|(k, v)| k.is_default() && v.is_none_or(Atom::is_default))
    }

    /// Adds the entries of `other` whose keys are new.
    pub fn insert_all(&mut self, other: &Datum) {
        match (&mut *self, other) {
            (_, Datum::Empty) => {}
            (Datum::Empty, _) => *self = other.clone(),
            (Datum::Map(pairs), Datum::Map(more)) => {
                if more.iter().all(|(key, _)| pairs.binary_search_by(|(k, _)| k.cmp(key)).is_ok()) {
                    return;
                }
                merge(Arc::make_mut(pairs), more, |a, b| a.0.cmp(&b.0));
            }
            (Datum::Large(set), more) => {
                if !more.atoms().iter().all(|atom| set.contains(atom)) {
                    let set = Arc::make_mut(set);
                    more.atoms().iter().for_each(|atom| set.insert(atom));
                }
            }
            (Datum::Set(atoms), more) => {
                if !more.atoms().iter().all(|atom| atoms.binary_search(atom).is_ok()) {
                    let more: Vec<Atom> = more.atoms().iter().cloned().collect();
                    merge(Arc::make_mut(atoms), &more, Atom::cmp);
                    self.normalize();
                }
            }
            (Datum::One(atom), more) => {
                let mut atoms = vec![atom.clone()];
                let more: Vec<Atom> = more.atoms().iter().cloned().collect();
                merge(&mut atoms, &more, Atom::cmp);
                *self = Datum::from_sorted(atoms);
            }
            (Datum::Map(_), _) => {}
        }
    }

    /// Takes away the entries of `other`; where it is a set and `self` a map, those of its keys.
    pub fn remove_all(&mut self, other: &Datum) {
        if let Datum::Large(set) = self {
            if other.keys().any(|atom| set.contains(atom)) {
                let set = Arc::make_mut(set);
                other.keys().for_each(|atom| set.remove(atom));
                self.normalize();
            }
            return;
        }
        self.retain(|key, value| match (value, other) {
            (Some(_), Datum::Map(_)) => !other.has(key, value),
            _ => other.find(key).is_none(),
        });
    }

    /// Keeps the entries that `keep` wants. Shared vectors are copied only when something goes.
    pub fn retain(&mut self, mut keep: impl FnMut(&Atom, Option<&Atom>) -> bool) {
        let stays: Vec<bool> = self.entries().map(|(key, value)| keep(key, value)).collect();
        if stays.iter().all(|stays| *stays) {
            return;
        }
        let chosen = |i: usize| stays.get(i).copied().unwrap_or(true);
        *self = match &*self {
            Datum::Map(pairs) => Datum::from_sorted_pairs(
                pairs.iter().enumerate().filter(|(i, _)| chosen(*i)).map(|(_, p)| p.clone()).collect(),
            ),
            _ => Datum::from_sorted(
                self.atoms().iter().enumerate().filter(|(i, _)| chosen(*i)).map(|(_, a)| a.clone()).collect(),
            ),
        };
    }

    /// What [`Datum::apply_diff`] needs to make `new` of `self`: for scalars the new value, else the
    /// entries that come, go or change their value.
    pub fn diff(&self, new: &Datum, r#type: &Type) -> Datum {
        if !r#type.is_composite() {
            return new.clone();
        }
        if r#type.is_map() {
            let mut pairs = Vec::new();
            walk(
                self.pairs(),
                new.pairs(),
                |a, b| a.0.cmp(&b.0),
                |old, new| match (old, new) {
                    (Some(a), Some(b)) if a.1 == b.1 => {}
                    (_, Some(pair)) | (Some(pair), None) => pairs.push(pair.clone()),
                    (None, None) => {}
                },
            );
            Datum::from_sorted_pairs(pairs)
        } else {
            let mut atoms = Vec::new();
            self.walk_atoms(new, |old, new| match (old, new) {
                (Some(atom), None) | (None, Some(atom)) => atoms.push(atom.clone()),
                _ => {}
            });
            Datum::from_sorted(atoms)
        }
    }

    /// The other way: `self` with `diff` applied.
    pub fn apply_diff(&self, diff: &Datum, r#type: &Type) -> Result<Datum, Error> {
        if !r#type.is_composite() {
            return Ok(diff.clone());
        }
        let new = match self {
            Datum::Large(set) if diff.len() < set.len() / 8 => {
                let mut new = self.clone();
                let (gone, come): (Vec<_>, Vec<_>) =
                    diff.atoms().iter().cloned().partition(|atom| set.contains(atom));
                new.remove_all(&Datum::from_sorted(gone));
                new.insert_all(&Datum::from_sorted(come));
                new
            }
            // Applying is the same walk as comparing: what is in both goes, unless its value changes.
            _ => self.diff(diff, r#type),
        };
        if !new.conforms_to(r#type) {
            return Err(Error::general("Datum crated by diff has size error"));
        }
        Ok(new)
    }

    /// A difference from JSON; it may have more or fewer entries than the type allows.
    pub fn diff_from_json(json: &Value, r#type: &Type) -> Result<Datum, Error> {
        let relaxed = Type { min: 0, max: u32::MAX, ..r#type.clone() };
        Datum::from_json(json, &relaxed, None)
    }

    /// What came and what went between two values; a changed value of a map is both.
    pub fn added_removed(&self, new: &Datum, r#type: &Type) -> (Datum, Datum) {
        if r#type.is_map() {
            let (mut added, mut removed) = (Vec::new(), Vec::new());
            walk(
                self.pairs(),
                new.pairs(),
                |a, b| a.0.cmp(&b.0),
                |old, new| {
                    if old != new {
                        removed.extend(old.cloned());
                        added.extend(new.cloned());
                    }
                },
            );
            (Datum::from_sorted_pairs(added), Datum::from_sorted_pairs(removed))
        } else {
            let (mut added, mut removed) = (Vec::new(), Vec::new());
            self.walk_atoms(new, |old, new| {
                if old != new {
                    removed.extend(old.cloned());
                    added.extend(new.cloned());
                }
            });
            (Datum::from_sorted(added), Datum::from_sorted(removed))
        }
    }

    /// Visits the atoms of two sets side by side; of those that are in both perhaps not all.
    fn walk_atoms<'a>(&'a self, new: &'a Datum, visit: impl FnMut(Option<&'a Atom>, Option<&'a Atom>)) {
        match (self, new) {
            (Datum::Large(old), Datum::Large(new)) => large_set::walk(old, new, visit),
            (Datum::Large(_), _) | (_, Datum::Large(_)) => {
                let old: Vec<&Atom> = self.atoms().iter().collect();
                let new: Vec<&Atom> = new.atoms().iter().collect();
                let mut visit = visit;
                walk(&old, &new, |a, b| a.cmp(b), |old, new| visit(old.copied(), new.copied()));
            }
            _ => walk(self.few(), new.few(), Atom::cmp, visit),
        }
    }

    /// Checks each atom against the type's constraints.
    pub fn check(&self, r#type: &Type) -> Result<(), Error> {
        for key in self.keys() {
            key.check(&r#type.key)?;
        }
        if let Some(base) = &r#type.value {
            for (_, value) in self.pairs() {
                value.check(base)?;
            }
        }
        Ok(())
    }

    /// From JSON, as a value of that type. Names are looked up in `symbols`, where given.
    pub fn from_json(json: &Value, r#type: &Type, mut symbols: Option<&mut Symbols>) -> Result<Datum, Error> {
        let is_set = json.get(0).and_then(Value::as_str) == Some("set") && json.is_array();
        let Some(value_type) = &r#type.value else {
            if !is_set {
                return Atom::from_json(json, &r#type.key, symbols).map(Datum::One);
            }
            let mut atoms = Vec::new();
            for element in unwrap_array(json, "set", r#type)? {
                atoms.push(Atom::from_json(element, &r#type.key, symbols.as_deref_mut())?);
            }
            atoms.sort();
            if has_twins(&atoms, |a, b| a == b) {
                return Err(Error::general("set contains duplicate"));
            }
            return Ok(Datum::from_sorted(atoms));
        };
        let mut pairs = Vec::new();
        for element in unwrap_array(json, "map", r#type)? {
            let Some([key, value]) = element.as_array().map(Vec::as_slice) else {
                return Err(Error::syntax(element, "expected 2-element array"));
            };
            let key = Atom::from_json(key, &r#type.key, symbols.as_deref_mut())?;
            pairs.push((key, Atom::from_json(value, value_type, symbols.as_deref_mut())?));
        }
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        if has_twins(&pairs, |a, b| a.0 == b.0) {
            return Err(Error::general("map contains duplicate key"));
        }
        Ok(Datum::from_sorted_pairs(pairs))
    }

    /// `is_map` decides the form of an empty datum.
    pub fn to_json(&self, is_map: bool) -> Value {
        let wrap = |name: &str, items: Vec<Value>| Value::Array(vec![Value::from(name), Value::Array(items)]);
        match self {
            Datum::Empty => wrap(if is_map { "map" } else { "set" }, Vec::new()),
            Datum::One(atom) => atom.to_json(),
            Datum::Set(_) | Datum::Large(_) => wrap("set", self.atoms().iter().map(Atom::to_json).collect()),
            Datum::Map(pairs) => {
                wrap("map", pairs.iter().map(|(k, v)| Value::Array(vec![k.to_json(), v.to_json()])).collect())
            }
        }
    }

    /// Appends the same JSON as text.
    pub fn write_json(&self, out: &mut String, is_map: bool) {
        match self {
            Datum::Empty => out.push_str(if is_map { "[\"map\",[]]" } else { "[\"set\",[]]" }),
            Datum::One(atom) => atom.write_json(out),
            Datum::Set(_) | Datum::Large(_) => {
                out.push_str("[\"set\",[");
                for (i, atom) in self.atoms().iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    atom.write_json(out);
                }
                out.push_str("]]");
            }
            Datum::Map(pairs) => {
                out.push_str("[\"map\",[");
                for (i, (key, value)) in pairs.iter().enumerate() {
                    out.push_str(if i > 0 { ",[" } else { "[" });
                    key.write_json(out);
                    out.push(',');
                    value.write_json(out);
                    out.push(']');
                }
                out.push_str("]]");
            }
        }
    }

    /// Entries joined by blanks, without quotes or brackets.
    pub fn to_bare(&self) -> String {
        let entry = |(key, value): (&Atom, Option<&Atom>)| match value {
            None => key.to_bare(),
            Some(value) => format!("{}={}", key.to_bare(), value.to_bare()),
        };
        self.entries().map(entry).collect::<Vec<_>>().join(" ")
    }

    /// The order of the reference: by number of entries, then keys, then values.
    pub fn compare(&self, other: &Datum) -> Ordering {
        self.len()
            .cmp(&other.len())
            .then_with(|| self.keys().cmp(other.keys()))
            .then_with(|| self.entries().map(|e| e.1).cmp(other.entries().map(|e| e.1)))
    }
}

fn has_twins<T>(sorted: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    sorted.windows(2).any(|w| matches!(w, [a, b] if same(a, b)))
}

/// The elements of `["set", [...]]`, of which there are as many as the type allows.
fn unwrap_array<'a>(json: &'a Value, class: &str, r#type: &Type) -> Result<&'a [Value], Error> {
    let Some([Value::String(tag), Value::Array(inner)]) = json.as_array().map(Vec::as_slice) else {
        return Err(Error::syntax(json, format!("expected [\"{class}\", <array>]")));
    };
    if tag != class {
        return Err(Error::syntax(json, format!("expected [\"{class}\", <array>]")));
    }
    let n = inner.len();
    let (min, max) = (r#type.min, r#type.max);
    if n < min as usize || n > max as usize {
        let message = if min == 1 && max == 1 {
            format!("{class} must have exactly one member but {n} are present")
        } else {
            format!("{class} must have {min} to {max} members but {n} are present")
        };
        return Err(Error::syntax(json, message));
    }
    Ok(inner)
}

/// Adds to a sorted vector the elements of a sorted slice that compare equal to none.
fn merge<T: Clone>(into: &mut Vec<T>, from: &[T], compare: impl Fn(&T, &T) -> Ordering) {
    if let [only] = from {
        if let Err(at) = into.binary_search_by(|have| compare(have, only)) {
            into.insert(at, only.clone());
        }
        return;
    }
    let old = std::mem::take(into);
    into.reserve(old.len() + from.len());
    let mut more = from.iter().peekable();
    for item in old {
        while let Some(next) = more.peek() {
            match compare(next, &item) {
                Ordering::Less => into.extend(more.next().cloned()),
                Ordering::Equal => drop(more.next()),
                Ordering::Greater => break,
            }
        }
        into.push(item);
    }
    into.extend(more.cloned());
}

/// Visits two sorted slices side by side.
fn walk<'a, T>(
    old: &'a [T],
    new: &'a [T],
    compare: impl Fn(&T, &T) -> Ordering,
    mut visit: impl FnMut(Option<&'a T>, Option<&'a T>),
) {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => visit(old.next(), None),
            (None, Some(_)) => visit(None, new.next()),
            (Some(a), Some(b)) => match compare(a, b) {
                Ordering::Less => visit(old.next(), None),
                Ordering::Greater => visit(None, new.next()),
                Ordering::Equal => visit(old.next(), new.next()),
            },
        }
    }
}
