use super::*;

fn circles(files: &[(&str, &str)]) -> Vec<String> {
    let files = files
        .iter()
        .map(|(path, text)| (module_of(Path::new(path)).expect("a module's path"), Source::read(text)));
    Crate::new(files.collect()).circles().into_iter().map(|circle| circle.name).collect()
}

#[test]
fn two_files_that_use_one_another_are_a_circle() {
    let a = ("a.rs", "use crate::b::Thing;\nfn f() {}");
    assert_eq!(circles(&[a, ("b.rs", "pub struct Thing; fn g() { super::a::f() }")]), ["a <-> b"]);
    assert_eq!(circles(&[a, ("b.rs", "pub struct Thing;")]), [""; 0]);
}

#[test]
fn a_ring_of_three_is_a_circle() {
    let files =
        [("a.rs", "use crate::b::x;"), ("b.rs", "use crate::c::x;"), ("c/mod.rs", "use super::a::x;")];
    assert_eq!(circles(&files), ["a -> b -> c"]);
}

#[test]
fn a_file_and_its_parts_are_one_thing() {
    let parent = ("a.rs", "mod b; struct Whole; fn f() { b::part() }");
    let part = ("a/b.rs", "use super::Whole; use crate::c::x; fn part() {}");
    assert_eq!(circles(&[parent, part, ("c.rs", "fn x() {}")]), [""; 0]);
    assert_eq!(circles(&[parent, part, ("c.rs", "fn x(_: crate::a::Whole) {}")]), ["a <-> c"]);
}

#[test]
fn a_name_leads_to_where_it_is_defined() {
    let root = ("lib.rs", "mod a; mod b; pub use a::Thing; pub use b::*;");
    // Through the root's re-exports, a and b use one another; the root, which only hands names on, is in no circle.
    let files =
        [root, ("a.rs", "use crate::other; struct Thing;"), ("b.rs", "use crate::Thing; pub fn other() {}")];
    assert_eq!(circles(&files), ["a <-> b"]);
}

#[test]
fn tests_make_no_circle() {
    let tested =
        ("a.rs", "#[cfg(test)]\nmod checks; pub fn f() {}\n#[cfg(test)]\nmod tests { use crate::b; }");
    let files = [tested, ("a/checks.rs", "use super::f; use crate::b;"), ("b.rs", "use crate::a::f;")];
    assert_eq!(circles(&files), [""; 0]);
}

#[test]
fn a_circle_is_argued_for_by_name_and_reason() {
    assert_eq!(argued_for("//! house: circle a <-> b because they are one grammar"), Some("a <-> b"));
    assert_eq!(argued_for("//! house: circle a <-> b because "), None);
    assert_eq!(argued_for("//! house: circle a <-> b"), None);
}
