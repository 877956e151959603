//! Reading JSON, with errors in the words that OVSDB's programs have for them: what a library calls them changes with
//! the library.

mod fault;

use serde_json::Value;

/// Why bytes are no JSON value, and where. All counts are of what precedes the fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}, byte {byte}: {what}")]
pub struct JsonError {
    /// Whole lines before the fault.
    pub line: usize,
    /// Bytes of its line before the fault.
    pub column: usize,
    /// All bytes before the fault.
    pub byte: usize,
    /// What is wrong there.
    pub what: String,
}

impl JsonError {
    fn at(bytes: &[u8], byte: usize, what: String) -> JsonError {
        let before = bytes.get(..byte).unwrap_or(bytes);
        let line_start = before.iter().rposition(|c| *c == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|c| **c == b'\n').count();
        JsonError { line, column: before.len() - line_start, byte: before.len(), what }
    }
}

/// Reads one JSON value, with nothing but blanks around it.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(JsonError::at(bytes, error.valid_up_to(), "not valid UTF-8".to_owned())),
    };
    serde_json::from_str(text).map_err(|error| {
        let (byte, what) = fault::find(bytes).unwrap_or_else(|| {
            let lines = bytes.split_inclusive(|c| *c == b'\n').take(error.line().saturating_sub(1));
            (
                lines.map(<[u8]>::len).sum::<usize>() + error.column().saturating_sub(1),
                "syntax error".to_owned(),
            )
        });
        JsonError::at(bytes, byte, what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_was_expected_and_where() {
        assert_eq!(parse(b" [1]\n"), Ok(serde_json::json!([1])));
        for (text, expected) in [
            (
                "\n{\n    \"remotes\": { \"punix:db.sock\": {}, },",
                "line 2, column 38, byte 41: syntax error parsing object expecting string",
            ),
            ("", "line 0, column 0, byte 0: empty input stream"),
            ("[1", "line 0, column 2, byte 2: unexpected end of input"),
            ("[\"a", "line 0, column 3, byte 3: unexpected end of input in quoted string"),
            ("{a}", "line 0, column 2, byte 2: invalid keyword 'a'"),
            ("{1:2}", "line 0, column 2, byte 2: syntax error parsing object expecting string"),
            ("{\"a\" 1}", "line 0, column 6, byte 6: syntax error parsing object expecting ':'"),
            ("{\"a\":}", "line 0, column 5, byte 5: syntax error expecting value"),
            ("{\"a\":1 2}", "line 0, column 8, byte 8: syntax error expecting '}' or ','"),
            ("[1 2]", "line 0, column 4, byte 4: syntax error expecting ']' or ','"),
            ("[1]]", "line 0, column 3, byte 3: trailing garbage at end of input"),
            ("[01]", "line 0, column 3, byte 3: leading zeros not allowed"),
            ("[-]", "line 0, column 2, byte 2: '-' must be followed by digit"),
            ("[1.]", "line 0, column 3, byte 3: decimal point must be followed by digit"),
            ("[1e]", "line 0, column 3, byte 3: exponent must contain at least one digit"),
            ("[@]", "line 0, column 1, byte 1: invalid character '@'"),
            ("[\"\t\"]", "line 0, column 2, byte 2: U+0009 must be escaped in quoted string"),
            ("[\"\\x\"]", "line 0, column 4, byte 4: bad escape \\x"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), expected, "{text}");
        }
        let error = parse(b"{\"a\":\n\"\xff\"}").unwrap_err();
        assert_eq!(error.to_string(), "line 1, column 1, byte 7: not valid UTF-8");
    }
}
