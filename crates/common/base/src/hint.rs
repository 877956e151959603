//! "Did you mean": the known word that is nearest to an unknown one.
//!
//! A hint is a line of its own after the error, so that programs that compare the error find it as it was.

/// The line that follows an error about `typed`, with the newline before it; empty when no known word is near.
pub fn did_you_mean<'w>(typed: &str, known: impl IntoIterator<Item = &'w str>) -> String {
    match nearest(typed, known) {
        Some(word) => format!("\nDid you mean '{word}'?"),
        None => String::new(),
    }
}

/// The word that the fewest slips of a finger lead to, the first of several; none when it takes more than a third of
/// what was typed. A slip is a character too many, too few, another one, or two that changed places. Case and the
/// kind of dash do not count.
pub fn nearest<'w>(typed: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let typed = folded(typed);
    let limit = typed.len() / 3;
    let slips = |word: &'w str| (slips(&typed, &folded(word)), word);
    let near = known.into_iter().map(slips).filter(|(count, _)| *count <= limit);
    // The first of equals is kept, as the tables of words begin with what people use most.
    near.reduce(|best, next| if next.0 < best.0 { next } else { best }).map(|(_, word)| word)
}

fn folded(word: &str) -> Vec<char> {
    word.chars().map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// The distance of Damerau and Levenshtein between two words, where no character takes part in two slips.
fn slips(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let mut count =
                (at(&above, j) + usize::from(x != y)).min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            let has_swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if has_swapped {
                count = count.min(at(&before, j - 1) + 1);
            }
            row.push(count);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 6] = ["add-br", "del-br", "add-port", "show", "list-br", "external_ids"];

    #[test]
    fn a_slip_of_a_finger_is_found() {
        for (typed, meant) in [
            ("ad-br", "add-br"),
            ("addbr", "add-br"),
            ("add_br", "add-br"),
            ("Show", "show"),
            ("shwo", "show"),
            ("add-prot", "add-port"),
            ("externalids", "external_ids"),
            ("external-idz", "external_ids"),
        ] {
            assert_eq!(nearest(typed, WORDS), Some(meant), "{typed}");
        }
    }

    #[test]
    fn what_is_far_from_everything_gets_no_guess() {
        for typed in ["", "x", "br", "foo", "xyzzy", "add-the-bridge"] {
            assert_eq!(nearest(typed, WORDS), None, "{typed}");
            assert_eq!(did_you_mean(typed, WORDS), "");
        }
    }

    #[test]
    fn the_nearest_wins_and_among_equals_the_first() {
        assert_eq!(nearest("del-br", WORDS), Some("del-br"));
        assert_eq!(nearest("port1", ["port2", "port3"]), Some("port2"));
        assert_eq!(did_you_mean("lst-br", WORDS), "\nDid you mean 'list-br'?");
    }
}
