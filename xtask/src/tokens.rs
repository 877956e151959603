//! As much of a Rust file as shows which other files it uses: its imports, its paths, and what it defines.

use std::collections::BTreeSet;

/// One name that a `use` brings; "*" stands for all that is there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) name: String,
    pub(crate) path: Vec<String>,
    /// Others see the name here, too.
    pub(crate) is_public: bool,
}

/// What a file says, without its tests.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) imports: Vec<Import>,
    /// Paths outside of imports.
    pub(crate) paths: Vec<Vec<String>>,
    /// Modules in files of their own that are compiled for tests only.
    pub(crate) test_modules: Vec<String>,
    defined: BTreeSet<String>,
    mentioned: BTreeSet<String>,
}

/// The words that are followed by the name of what they define.
const DEFINING: [&str; 10] =
    ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "mod", "macro_rules"];

impl Source {
    pub(crate) fn read(text: &str) -> Self {
        let tokens = tokens(text);
        let mut source = Self::default();
        let mut at = 0;
        let mut is_public = false;
        while at < tokens.len() {
            let token = tokens[at].as_str();
            let starts = |words: &[&str]| {
                tokens[at..].iter().zip(words).filter(|(a, b)| a == b).count() == words.len()
            };
            if starts(&["#", "[", "cfg", "(", "test", ")", "]"]) {
                at = source.skip_test(&tokens, at + 7);
                continue;
            }
            match token {
                "pub" => {
                    is_public = true;
                    at = if starts(&["pub", "("]) { closing(&tokens, at + 1) } else { at };
                }
                "use" => {
                    let end = tokens[at..].iter().position(|t| t == ";").map_or(tokens.len(), |n| at + n);
                    source.import(&tokens[at + 1..end], &[], is_public);
                    (at, is_public) = (end, false);
                }
                _ if is_name(token) => {
                    is_public = false;
                    if at > 0 && DEFINING.contains(&tokens[at - 1].as_str()) {
                        source.defined.insert(token.to_owned());
                    }
                    let path = path(&tokens, at);
                    at += (path.len() - 1) * 2;
                    source.mentioned.insert(path[0].clone());
                    if path.len() > 1 {
                        source.paths.push(path);
                    }
                }
                _ => is_public = false,
            }
            at += 1;
        }
        source
    }

    /// Whether an item of this name stands here.
    pub(crate) fn defines(&self, name: &str) -> bool {
        self.defined.contains(name)
    }

    /// Whether the name is used outside of imports.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        self.mentioned.contains(name)
    }

    /// The index after the item that is for tests only.
    fn skip_test(&mut self, tokens: &[String], mut at: usize) -> usize {
        if let [word, name, end, ..] = &tokens[at..]
            && (word == "mod" && end == ";")
        {
            self.test_modules.push(name.clone());
        }
        while at < tokens.len() && tokens[at] != ";" {
            if tokens[at] == "{" {
                return closing(tokens, at) + 1;
            }
            at = if matches!(tokens[at].as_str(), "(" | "[") { closing(tokens, at) + 1 } else { at + 1 };
        }
        at + 1
    }

    /// The names that the tree of a `use` brings, below `before`.
    fn import(&mut self, tree: &[String], before: &[String], is_public: bool) {
        let mut whole = before.to_vec();
        let mut at = 0;
        while let Some(token) = tree.get(at) {
            match token.as_str() {
                "::" => {}
                "{" => {
                    let end = closing(tree, at);
                    for part in parts(&tree[at + 1..end]) {
                        self.import(part, &whole, is_public);
                    }
                    return;
                }
                "as" => break,
                _ => whole.push(token.clone()),
            }
            at += 1;
        }
        if whole.last().is_some_and(|last| last == "self") && whole.len() > 1 {
            whole.pop();
        }
        let alias = tree.get(at).and_then(|_| tree.get(at + 1)).cloned();
        let Some(name) = alias.or_else(|| whole.last().cloned()) else { return };
        if whole.last().is_some_and(|last| last == "*") {
            whole.pop();
        }
        self.imports.push(Import { name, path: whole, is_public });
    }
}

/// The path that begins at `at`, which is a name.
fn path(tokens: &[String], at: usize) -> Vec<String> {
    let mut names = vec![tokens[at].clone()];
    let mut rest = &tokens[at + 1..];
    while let [colons, name, after @ ..] = rest
        && colons == "::"
        && is_name(name)
    {
        names.push(name.clone());
        rest = after;
    }
    names
}

/// The parts of a list, without the commas between them.
fn parts(list: &[String]) -> Vec<&[String]> {
    let (mut found, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, token) in list.iter().enumerate() {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            "," if depth == 0 => {
                found.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&list[start..]);
    found.retain(|part| !part.is_empty());
    found
}

/// The index of the bracket that closes the one at `open`.
fn closing(tokens: &[String], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    tokens.len().saturating_sub(1)
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::`, and single characters; without comments, strings and blanks.
fn tokens(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if let Some(length) = ignored(rest) {
            length
        } else if is_name(rest) {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            found.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                found.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// The length of the comment, string, character or lifetime that `text` begins with.
fn ignored(text: &str) -> Option<usize> {
    let end = |at: Option<usize>, closing: usize| at.map_or(text.len(), |at| at + closing);
    if text.starts_with("//") {
        return Some(end(text.find('\n'), 0));
    }
    if text.starts_with("/*") {
        return Some(end(text.find("*/"), 2));
    }
    let raw = text.strip_prefix('b').unwrap_or(text).strip_prefix('r');
    if let Some(hashes) = raw.map(|raw| raw.len() - raw.trim_start_matches('#').len())
        && raw.is_some_and(|raw| raw[hashes..].starts_with('"'))
    {
        let opening = text.find('"').unwrap_or(0) + 1;
        let close = format!("\"{}", "#".repeat(hashes));
        return Some(end(text[opening..].find(&close).map(|at| opening + at), close.len()));
    }
    let quoted = text.strip_prefix('b').filter(|rest| rest.starts_with(['"', '\''])).unwrap_or(text);
    let before = text.len() - quoted.len();
    let quote = quoted.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    if quote == '\'' && !quoted.starts_with("'\\") {
        // A character is one; anything longer is a lifetime.
        let mut after = quoted[1..].chars();
        let character = after.next()?;
        return Some(if after.next() == Some('\'') { before + 2 + character.len_utf8() } else { 1 });
    }
    let mut is_escaped = false;
    for (at, c) in quoted.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return Some(before + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(name: &str, path: &str, is_public: bool) -> Import {
        Import { name: name.into(), path: path.split("::").map(str::to_owned).collect(), is_public }
    }

    #[test]
    fn trees_of_imports_are_spread() {
        let source = Source::read(
            "use crate::a::{self, b::{C, D as E}, f};\npub(crate) use super::g::*;\nuse std::fmt::Write as _;",
        );
        assert_eq!(
            source.imports,
            [
                import("a", "crate::a", false),
                import("C", "crate::a::b::C", false),
                import("E", "crate::a::b::D", false),
                import("f", "crate::a::f", false),
                import("*", "super::g", true),
                import("_", "std::fmt::Write", false),
            ]
        );
    }

    #[test]
    fn comments_strings_and_tests_are_no_code() {
        let source = Source::read(
            r##"
            // crate::comment::x
            /* crate::block::x */
            fn f<'a>(s: &'a str) -> char {
                let _ = ("crate::text::x \" crate::more", b"crate::bytes::x", r#"crate::"raw"::x"#);
                crate::real::x();
                '"'
            }
            #[cfg(test)]
            mod tests;
            #[cfg(test)]
            fn only_in_tests(a: [u8; 4]) { crate::test::x() }
            struct After;
            "##,
        );
        let paths: Vec<String> = source.paths.iter().map(|path| path.join("::")).collect();
        assert_eq!(paths, ["crate::real::x"]);
        assert_eq!(source.test_modules, ["tests"]);
        assert!(source.defines("After") && source.defines("f") && !source.defines("only_in_tests"));
    }
}
