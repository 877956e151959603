//! Splitting `key=value,key(value),key` texts, the syntax of flows, groups,
//! meters and actions.

/// The length of the value at the start of `text`: up to one of `delimiters`
/// outside parentheses.
fn value_len(text: &str, delimiters: &[u8]) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0u32;
    for (index, &c) in bytes.iter().enumerate() {
        match c {
            b'(' => depth += 1,
            // The delimiter ")" ends a value only at the outermost level.
            b')' if depth > 0 => depth -= 1,
            _ if depth == 0 && delimiters.contains(&c) => return index,
            _ => {}
        }
    }
    bytes.len()
}

/// The first key and value of `text` and what follows; `None` at its end.
///
/// The value of `key=value` and `key:value` ends at a comma or blank, that of
/// `key(value)` at the closing parenthesis; `key(x)->y` has the value `x)->y`.
pub fn next_pair(text: &str) -> Option<(&str, &str, &str)> {
    let text = text.trim_start_matches([',', ' ', '\t', '\r', '\n']);
    if text.is_empty() {
        return None;
    }
    let key_len = text.find([':', '=', '(', ',', ' ', '\t', '\r', '\n']).unwrap_or(text.len());
    let key = &text[..key_len];
    let Some(&delimiter) = text.as_bytes().get(key_len) else {
        return Some((key, "", ""));
    };
    let rest = &text[key_len + 1..];
    const BLANK: &[u8] = b", \t\r\n";
    let len = match delimiter {
        b':' | b'=' => value_len(rest, BLANK),
        b'(' => {
            let len = value_len(rest, b")");
            if rest[len..].starts_with(")->") { len + value_len_from(&rest[len..]) } else { len }
        }
        _ => return Some((key, "", rest)),
    };
    let after = rest.get(len + 1..).unwrap_or("");
    Some((key, &rest[..len], after))
}

/// The length of `)->…` up to a comma or blank.
fn value_len_from(text: &str) -> usize {
    3 + value_len(&text[3..], b", \t\r\n")
}
