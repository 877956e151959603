//! Circles between the files of one crate.
//!
//! A file uses another one when a path in it leads there: `crate::`, `super::`, `self::`, or the name of a child; names
//! that are re-exported on the way lead to the file that defines them. Two siblings that use one another, they or their
//! parts, or more of them in a ring, can only be understood together. A crate's first lines may argue for a circle by
//! name: `house: circle a <-> b because …`.
//!
//! A file and its own children are one thing in parts. Methods are not followed: only what a file names. Tests do not
//! count.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use crate::tokens::{Import, Source};

/// The names that lead to a module from the crate's root, which has none.
type Module = Vec<String>;

/// What each module uses of its siblings: by whom, of whom, one name of it.
type Uses = BTreeMap<Module, BTreeMap<Module, String>>;

/// Modules that cannot be understood one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Circle {
    /// As a crate's first lines argue for it.
    pub(crate) name: String,
    /// A name for each step of the way, by which the next one is used.
    pub(crate) names: Vec<String>,
}

/// The modules of one crate that are files, without its tests.
struct Crate {
    files: BTreeMap<Module, Source>,
}

/// The circles of the crate in `directory`, for which its first lines do not argue.
pub(crate) fn of_crate(directory: &Path, sources: &[PathBuf]) -> Vec<Circle> {
    let root = directory.join("src");
    let mut files = BTreeMap::new();
    let mut argued = Vec::new();
    for file in sources {
        let Some(module) = file.strip_prefix(&root).ok().and_then(module_of) else { continue };
        let Ok(text) = std::fs::read_to_string(file) else { continue };
        if module.is_empty() {
            argued.extend(text.lines().take(60).filter_map(argued_for).map(str::to_owned));
        }
        files.insert(module, Source::read(&text));
    }
    let mut circles = Crate::new(files).circles();
    let (there, gone): (Vec<_>, Vec<_>) =
        argued.into_iter().partition(|name| circles.iter().any(|circle| circle.name == *name));
    circles.retain(|circle| !there.contains(&circle.name));
    let gone = gone.into_iter().map(|name| format!("{name}, which is argued for and not there"));
    circles.extend(gone.map(|name| Circle { name, names: Vec::new() }));
    circles
}

/// The circle that a line of a crate's documentation argues for.
fn argued_for(line: &str) -> Option<&str> {
    let (name, reason) = line.split_once("house: circle ")?.1.split_once(" because ")?;
    (!reason.trim().is_empty()).then_some(name.trim())
}

/// `a/b.rs` and `a/b/mod.rs` are a::b, `lib.rs` and `main.rs` the root.
fn module_of(path: &Path) -> Option<Module> {
    let mut names: Module =
        path.with_extension("").iter().map(|part| part.to_str().map(str::to_owned)).collect::<Option<_>>()?;
    if names.last().is_some_and(|last| last == "mod")
        || names.as_slice() == ["lib".to_owned()]
        || names.as_slice() == ["main".to_owned()]
    {
        names.pop();
    }
    Some(names)
}

impl Crate {
    fn new(mut files: BTreeMap<Module, Source>) -> Self {
        let tests: Vec<Module> = files
            .iter()
            .flat_map(|(module, source)| source.test_modules.iter().map(|name| child(module, name)))
            .collect();
        files.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        Self { files }
    }

    /// Pairs that use one another, then a ring of those that longer ways tie together.
    fn circles(&self) -> Vec<Circle> {
        let mut uses = self.uses();
        let mut found = Vec::new();
        for (one, used) in &uses {
            for (other, there) in used.range(one.clone()..) {
                if let Some(back) = uses.get(other).and_then(|used| used.get(one)) {
                    let name = format!("{} <-> {}", one.join("::"), other.join("::"));
                    found.push((
                        Circle { name, names: vec![there.clone(), back.clone()] },
                        one.clone(),
                        other.clone(),
                    ));
                }
            }
        }
        let mut circles = Vec::new();
        for (circle, one, other) in found {
            uses.entry(one.clone()).or_default().remove(&other);
            uses.entry(other).or_default().remove(&one);
            circles.push(circle);
        }
        while let Some(ring) = ring(&uses) {
            let name = ring.iter().map(|module| module.join("::")).collect::<Vec<_>>().join(" -> ");
            let mut names = Vec::new();
            for (at, module) in ring.iter().enumerate() {
                let next = &ring[(at + 1) % ring.len()];
                names.extend(uses.get_mut(module).and_then(|used| used.remove(next)));
            }
            circles.push(Circle { name, names });
        }
        circles
    }

    /// Which sibling uses which, and by what name. What a file uses, those that it is a part of use, too; a file and its
    /// own parts are one thing.
    fn uses(&self) -> Uses {
        let mut uses = Uses::new();
        for (module, source) in &self.files {
            for (used, name) in self.used(module, source) {
                let common = module.iter().zip(&used).take_while(|(a, b)| a == b).count();
                if let (Some(one), Some(other)) = (module.get(..=common), used.get(..=common)) {
                    uses.entry(one.to_vec()).or_default().entry(other.to_vec()).or_insert(name);
                }
            }
        }
        uses
    }

    /// The files that `module` names something of, with the name.
    fn used(&self, module: &Module, source: &Source) -> BTreeMap<Module, String> {
        let imported =
            source.imports.iter().filter(|import| !import.is_public || source.mentions(&import.name));
        let paths = imported.map(|import| &import.path).chain(&source.paths);
        paths.filter_map(|path| Some((self.leads_to(module, path, 0)?, path.last()?.clone()))).collect()
    }

    /// The file in which the thing at the end of `path` is defined.
    fn leads_to(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let mut at = from.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => (at, rest) = (Vec::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {}
            name if self.files.contains_key(&child(from, name)) => {}
            // Another crate, or a name that an import of this file has brought, which counts by itself.
            _ => return None,
        }
        while let Some((name, after)) = rest.split_first() {
            let inner = child(&at, name);
            if name == "super" {
                at.pop();
            } else if self.files.contains_key(&inner) {
                at = inner;
            } else {
                return Some(self.definition(&at, name, depth).unwrap_or(at));
            }
            rest = after;
        }
        Some(at)
    }

    /// Where `name`, as seen in the file `at`, is defined, when it is not there.
    fn definition(&self, at: &Module, name: &str, depth: usize) -> Option<Module> {
        let source = self.files.get(at)?;
        if source.defines(name) || depth > 8 {
            return None;
        }
        let from = |import: &Import| self.leads_to(at, &import.path, depth + 1);
        if let Some(import) = source.imports.iter().find(|import| import.name == name) {
            return from(import);
        }
        let all = source.imports.iter().filter(|import| import.name == "*").filter_map(from);
        all.into_iter().find(|module| self.files.get(module).is_some_and(|source| source.defines(name)))
    }
}

/// A shortest way from a module back to itself.
fn ring(uses: &Uses) -> Option<Vec<Module>> {
    let from = |start: &Module| -> Option<Vec<Module>> {
        let mut ways = VecDeque::from([vec![start.clone()]]);
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop_front() {
            for next in way.last().and_then(|last| uses.get(last)).into_iter().flatten().map(|(next, _)| next)
            {
                if next == start {
                    return Some(way);
                }
                if seen.insert(next.clone()) {
                    ways.push_back(way.iter().chain([next]).cloned().collect());
                }
            }
        }
        None
    };
    uses.keys().filter_map(from).min_by_key(Vec::len)
}

fn child(module: &Module, name: &str) -> Module {
    module.iter().map(String::as_str).chain([name]).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
