//! Text from outside and of the system. Bytes that are to be text: what is no UTF-8 is refused: replaced, it would mean something else than was
//! written.

use std::ffi::OsString;

/// Where bytes stop being UTF-8; both numbers count from 1, columns in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not valid UTF-8 at line {line}, column {column}")]
pub struct NotText {
    /// Counted from one.
    pub line: usize,
    /// Counted from one, in bytes.
    pub column: usize,
}

/// The text that bytes are.
pub fn decode(bytes: &[u8]) -> Result<&str, NotText> {
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line_start = valid.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        NotText { line, column: 1 + valid.len() - line_start }
    })
}

/// Bytes as they are shown in messages: printable ASCII as it is, the others as `\xff` and the like.
pub fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// The words of a command line, the first of which has the number `first`, or the reason why they are no text.
pub fn arguments(words: impl Iterator<Item = OsString>, first: usize) -> Result<Vec<String>, String> {
    let decoded = words.enumerate().map(|(index, word)| {
        word.into_string().map_err(|word| {
            format!("argument {} is not valid UTF-8: \"{}\"", first + index, shown(word.as_encoded_bytes()))
        })
    });
    decoded.collect()
}

/// Checks the environment variables that programs read, all of which begin with `OVS_`.
pub fn check_environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<(), String> {
    for (name, value) in variables {
        if let Some(name) = name.to_str().filter(|name| name.starts_with("OVS_"))
            && value.to_str().is_none()
        {
            let value = shown(value.as_encoded_bytes());
            return Err(format!("environment variable {name} is not valid UTF-8: \"{value}\""));
        }
    }
    Ok(())
}

/// The operating system's words for an error, without Rust's "(os error N)"; end of input is "End of file".
pub fn error_text(error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        return "End of file".to_owned();
    }
    let text = error.to_string();
    if text == "stream did not contain valid UTF-8" {
        return "not valid UTF-8".to_owned();
    }
    match (error.raw_os_error(), text.rfind(" (os error ")) {
        (Some(_), Some(at)) => text.get(..at).unwrap_or(&text).to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    fn word(bytes: &[u8]) -> OsString {
        OsString::from_vec(bytes.to_vec())
    }

    #[test]
    fn the_place_of_the_first_wrong_byte_is_named() {
        assert_eq!(decode("größe\n".as_bytes()), Ok("größe\n"));
        assert_eq!(decode(b"\xff"), Err(NotText { line: 1, column: 1 }));
        assert_eq!(decode(b"a\nbc\xff"), Err(NotText { line: 2, column: 3 }));
        assert_eq!(decode(b"a\nb\xc3").unwrap_err().to_string(), "not valid UTF-8 at line 2, column 2");
    }

    #[test]
    fn arguments_are_named_by_number_and_shown() {
        let words = [word(b"set"), word(b"k=a\xffb")];
        let error = arguments(words.into_iter(), 1).unwrap_err();
        assert_eq!(error, "argument 2 is not valid UTF-8: \"k=a\\xffb\"");
        assert_eq!(arguments([word("é".as_bytes())].into_iter(), 1), Ok(vec!["é".to_owned()]));
    }

    #[test]
    fn only_variables_of_ours_are_checked() {
        let other = (word(b"HOME"), word(b"/\xff"));
        assert_eq!(check_environment([other.clone()].into_iter()), Ok(()));
        let ours = (word(b"OVS_RUNDIR"), word(b"/\xff"));
        let error = check_environment([other, ours].into_iter()).unwrap_err();
        assert_eq!(error, "environment variable OVS_RUNDIR is not valid UTF-8: \"/\\xff\"");
    }
}
