//! Command lines as the GNU tools read them: the grammar that every `ovs-*`
//! program shares.
//!
//! Enters: the words of a command line and a table of options. Leaves: one
//! [`Item`] after the other, or the sentence that `getopt_long` would print.
//! Long options may be abbreviated to an unambiguous prefix, short options may
//! be clustered, and unless [`Order::StopAtWord`] is asked for, options may
//! follow words. What options mean is not here.

use std::collections::VecDeque;

/// Whether an option takes an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A flag.
    Nothing,
    /// An argument is required: `--option=VALUE`, `--option VALUE`, `-oVALUE`.
    Argument,
    /// `--name=X` or `-nX`; a separate word is never taken.
    Perhaps,
}

/// An option with a long name, a one-letter name, or both.
#[derive(Clone, Debug)]
pub struct Opt<T> {
    /// The name after two dashes.
    pub long: Option<&'static str>,
    /// The letter after one dash.
    pub short: Option<char>,
    /// Whether an argument follows.
    pub takes: Takes,
    /// What the caller knows the option by.
    pub id: T,
}

impl<T> Opt<T> {
    /// An option with a long name only.
    pub const fn long(long: &'static str, takes: Takes, id: T) -> Opt<T> {
        Opt { long: Some(long), short: None, takes, id }
    }

    /// An option with a letter only.
    pub const fn short(short: char, takes: Takes, id: T) -> Opt<T> {
        Opt { long: None, short: Some(short), takes, id }
    }

    /// An option with a letter and a long name.
    pub const fn both(short: char, long: &'static str, takes: Takes, id: T) -> Opt<T> {
        Opt { long: Some(long), short: Some(short), takes, id }
    }
}

/// What happens at the first word that is no option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It is put aside, and options after it are still options.
    Permute,
    /// It and all that follows are left alone (the `+` of `getopt`).
    StopAtWord,
}

/// One option as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<T> {
    /// The `id` of the option.
    pub id: T,
    /// The argument, if one was given.
    pub argument: Option<String>,
    /// As written, without its argument: `--may-exist`, `-v`.
    pub written: String,
}

/// A sentence such as `ovs-vsctl: unrecognized option '--foo'`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

/// The reader of one command line.
#[derive(Debug)]
pub struct Parser<'t, T> {
    program: String,
    options: &'t [Opt<T>],
    order: Order,
    words: VecDeque<String>,
    aside: Vec<String>,
    cluster: VecDeque<char>,
    ended: bool,
}

impl<'t, T: Clone + PartialEq> Parser<'t, T> {
    /// `words` are those after the program's name; `program` is put before
    /// error sentences when it is not empty.
    pub fn new(
        program: &str,
        options: &'t [Opt<T>],
        order: Order,
        words: impl IntoIterator<Item = String>,
    ) -> Parser<'t, T> {
        Parser {
            program: program.to_owned(),
            options,
            order,
            words: words.into_iter().collect(),
            aside: Vec::new(),
            cluster: VecDeque::new(),
            ended: false,
        }
    }

    /// The next option, or `None` when only words remain.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Result<Item<T>, Error>> {
        if !self.cluster.is_empty() {
            return Some(self.next_short());
        }
        while !self.ended {
            let word = self.words.front()?;
            if word == "--" {
                self.words.pop_front();
                self.ended = true;
            } else if let Some(body) = word.strip_prefix("--") {
                let body = body.to_owned();
                self.words.pop_front();
                return Some(self.next_long(&body));
            } else if word.len() > 1 && word.starts_with('-') {
                self.cluster = word.chars().skip(1).collect();
                self.words.pop_front();
                return Some(self.next_short());
            } else if self.order == Order::StopAtWord {
                self.ended = true;
            } else if let Some(word) = self.words.pop_front() {
                self.aside.push(word);
            }
        }
        None
    }

    /// The words that are no options, in their order.
    pub fn rest(self) -> Vec<String> {
        let mut rest = self.aside;
        rest.extend(self.words);
        rest
    }

    fn next_long(&mut self, body: &str) -> Result<Item<T>, Error> {
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (body, None),
        };
        let option = self.find_long(name)?;
        let full = option.long.unwrap_or_default();
        let argument = match (option.takes, value) {
            (Takes::Nothing, Some(_)) => {
                return Err(self.error(format!("option '--{full}' doesn't allow an argument")));
            }
            (Takes::Argument, None) => match self.words.pop_front() {
                Some(word) => Some(word),
                None => return Err(self.error(format!("option '--{full}' requires an argument"))),
            },
            (_, value) => value,
        };
        Ok(Item { id: option.id.clone(), argument, written: format!("--{full}") })
    }

    fn find_long(&self, name: &str) -> Result<&'t Opt<T>, Error> {
        let mut candidates: Vec<&'t Opt<T>> = Vec::new();
        for option in self.options {
            let Some(long) = option.long else { continue };
            if long == name {
                return Ok(option);
            }
            if long.starts_with(name) {
                candidates.push(option);
            }
        }
        let Some(first) = candidates.first() else {
            let known = self.options.iter().filter_map(|option| option.long);
            let hint = match crate::hint::nearest(name, known) {
                Some(meant) => format!("\nDid you mean '--{meant}'?"),
                None => String::new(),
            };
            return Err(self.error(format!("unrecognized option '--{name}'{hint}")));
        };
        let same = |o: &&Opt<T>| o.id == first.id && o.takes == first.takes;
        if candidates.iter().all(same) {
            return Ok(first);
        }
        let list: Vec<String> =
            candidates.iter().filter_map(|o| o.long).map(|long| format!(" '--{long}'")).collect();
        Err(self.error(format!("option '--{name}' is ambiguous; possibilities:{}", list.concat())))
    }

    fn next_short(&mut self) -> Result<Item<T>, Error> {
        let letter = self.cluster.pop_front().unwrap_or('-');
        let Some(option) = self.options.iter().find(|o| o.short == Some(letter)) else {
            return Err(self.error(format!("invalid option -- '{letter}'")));
        };
        let attached = !self.cluster.is_empty();
        let argument = match option.takes {
            Takes::Nothing => None,
            _ if attached => Some(self.cluster.drain(..).collect()),
            Takes::Perhaps => None,
            Takes::Argument => match self.words.pop_front() {
                Some(word) => Some(word),
                None => {
                    return Err(self.error(format!("option requires an argument -- '{letter}'")));
                }
            },
        };
        Ok(Item { id: option.id.clone(), argument, written: format!("-{letter}") })
    }

    fn error(&self, what: String) -> Error {
        if self.program.is_empty() { Error(what) } else { Error(format!("{}: {what}", self.program)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[Opt<u8>] = &[
        Opt::both('h', "help", Takes::Nothing, 1),
        Opt::both('t', "timeout", Takes::Argument, 2),
        Opt::both('v', "verbose", Takes::Perhaps, 3),
        Opt::long("no-wait", Takes::Nothing, 4),
        Opt::long("no-syslog", Takes::Nothing, 5),
    ];

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn run(order: Order, text: &str) -> (Vec<(u8, Option<String>)>, Vec<String>, Option<String>) {
        let mut parser = Parser::new("prog", OPTIONS, order, words(text));
        let mut found = Vec::new();
        while let Some(item) = parser.next() {
            match item {
                Ok(item) => found.push((item.id, item.argument)),
                Err(e) => return (found, Vec::new(), Some(e.to_string())),
            }
        }
        (found, parser.rest(), None)
    }

    #[test]
    fn words_are_permuted_or_end_the_options() {
        let (found, rest, _) = run(Order::Permute, "a -hv -t5 b --time 6 -- --help");
        assert_eq!(found, [(1, None), (3, None), (2, Some("5".into())), (2, Some("6".into()))]);
        assert_eq!(rest, ["a", "b", "--help"]);
        let (found, rest, _) = run(Order::StopAtWord, "-h a -v");
        assert_eq!(found, [(1, None)]);
        assert_eq!(rest, ["a", "-v"]);
    }

    #[test]
    fn mistakes_are_told_as_getopt_does() {
        for (text, expected) in [
            ("--foo=3", "prog: unrecognized option '--foo'"),
            ("--timeuot=3", "prog: unrecognized option '--timeuot'\nDid you mean '--timeout'?"),
            ("--no-", "prog: option '--no-' is ambiguous; possibilities: '--no-wait' '--no-syslog'"),
            ("--timeout", "prog: option '--timeout' requires an argument"),
            ("--hel=x", "prog: option '--help' doesn't allow an argument"),
            ("-x", "prog: invalid option -- 'x'"),
            ("-t", "prog: option requires an argument -- 't'"),
        ] {
            assert_eq!(run(Order::Permute, text).2.as_deref(), Some(expected));
        }
    }
}
