//! Finds the first fault in bytes that are no JSON. Only what was refused comes here.

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Start,
    /// A value, or the end of the array that has just begun.
    FirstElement,
    Value,
    /// A member's name, or the end of the object that has just begun.
    FirstName,
    Name,
    Colon,
    Next,
    End,
}

/// One piece of the text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Punctuation(u8),
    String,
    /// A number, true, false or null.
    Scalar,
}

type Fault = (usize, String);

/// Where the first fault is, counted in bytes, and what it is.
pub(super) fn find(bytes: &[u8]) -> Option<Fault> {
    let mut at = 0;
    let mut expected = Expected::Start;
    let mut open: Vec<u8> = Vec::new();
    loop {
        while bytes.get(at).is_some_and(|c| matches!(c, b' ' | b'\t' | b'\n' | b'\r')) {
            at += 1;
        }
        let Some(first) = bytes.get(at) else {
            return match expected {
                Expected::End => None,
                Expected::Start => Some((at, "empty input stream".to_owned())),
                _ => Some((at, "unexpected end of input".to_owned())),
            };
        };
        let (token, end, seen_at) = match token(bytes, at, *first) {
            Ok(found) => found,
            Err(fault) => return Some(fault),
        };
        at = end;
        if let Err(what) = step(&mut expected, &mut open, token) {
            return Some((seen_at, what.to_owned()));
        }
    }
}

/// Takes a token in, or says why it cannot stand here.
fn step(expected: &mut Expected, open: &mut Vec<u8>, token: Token) -> Result<(), &'static str> {
    let closes = |open: &mut Vec<u8>| {
        open.pop();
        if open.is_empty() { Expected::End } else { Expected::Next }
    };
    *expected = match (*expected, token) {
        (Expected::FirstName, Token::Punctuation(b'}'))
        | (Expected::FirstElement, Token::Punctuation(b']')) => closes(open),
        (
            Expected::Start | Expected::FirstElement | Expected::Value,
            Token::Punctuation(bracket @ (b'{' | b'[')),
        ) => {
            open.push(bracket);
            if bracket == b'{' { Expected::FirstName } else { Expected::FirstElement }
        }
        (Expected::FirstElement | Expected::Value, Token::String | Token::Scalar) => Expected::Next,
        (Expected::FirstName | Expected::Name, Token::String) => Expected::Colon,
        (Expected::Colon, Token::Punctuation(b':')) => Expected::Value,
        (Expected::Next, Token::Punctuation(b',')) => match open.last() {
            Some(b'{') => Expected::Name,
            _ => Expected::Value,
        },
        (Expected::Next, Token::Punctuation(b'}')) if open.last() == Some(&b'{') => closes(open),
        (Expected::Next, Token::Punctuation(b']')) if open.last() == Some(&b'[') => closes(open),
        (Expected::Start, _) => return Err("syntax error at beginning of input"),
        (Expected::FirstElement | Expected::Value, _) => return Err("syntax error expecting value"),
        (Expected::FirstName | Expected::Name, _) => {
            return Err("syntax error parsing object expecting string");
        }
        (Expected::Colon, _) => return Err("syntax error parsing object expecting ':'"),
        (Expected::Next, _) if open.last() == Some(&b'{') => return Err("syntax error expecting '}' or ','"),
        (Expected::Next, _) => return Err("syntax error expecting ']' or ','"),
        (Expected::End, _) => return Err("trailing garbage at end of input"),
    };
    Ok(())
}

/// The token at `at`, where it ends, and where a reader knows what it is.
fn token(bytes: &[u8], at: usize, first: u8) -> Result<(Token, usize, usize), Fault> {
    let rest = bytes.get(at..).unwrap_or_default();
    let run = |of: fn(&u8) -> bool| rest.iter().position(|c| !of(c)).unwrap_or(rest.len());
    match first {
        b'{' | b'}' | b'[' | b']' | b':' | b',' => Ok((Token::Punctuation(first), at + 1, at)),
        b'"' => string(bytes, at + 1).map(|end| (Token::String, end + 1, end)),
        b'a'..=b'z' => {
            let len = run(u8::is_ascii_alphabetic);
            let word = String::from_utf8_lossy(rest.get(..len).unwrap_or_default());
            match &*word {
                "true" | "false" | "null" => Ok((Token::Scalar, at + len, at + len)),
                _ => Err((at + len, format!("invalid keyword '{word}'"))),
            }
        }
        b'-' | b'0'..=b'9' => {
            let len = run(|c| c.is_ascii_digit() || b".eE-+".contains(c));
            match number(rest.get(..len).unwrap_or_default()) {
                None => Ok((Token::Scalar, at + len, at + len)),
                Some(what) => Err((at + len, what.to_owned())),
            }
        }
        c if c == b' ' || c.is_ascii_graphic() => Err((at, format!("invalid character '{}'", char::from(c)))),
        c => Err((at, format!("invalid character U+{c:04x}"))),
    }
}

/// What is wrong with a number.
fn number(text: &[u8]) -> Option<&'static str> {
    let digits = |text: &[u8]| text.iter().take_while(|c| c.is_ascii_digit()).count();
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 {
        return Some("'-' must be followed by digit");
    }
    if whole > 1 && rest.first() == Some(&b'0') {
        return Some("leading zeros not allowed");
    }
    rest = rest.get(whole..)?;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return Some("decimal point must be followed by digit");
        }
        rest = fraction.get(count..)?;
    }
    if let Some((b'e' | b'E', exponent)) = rest.split_first() {
        let exponent = exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent);
        let count = digits(exponent);
        if count == 0 {
            return Some("exponent must contain at least one digit");
        }
        rest = exponent.get(count..)?;
    }
    (!rest.is_empty()).then_some("syntax error in number")
}

/// Where the string that begins at `start` has its closing quote.
fn string(bytes: &[u8], start: usize) -> Result<usize, Fault> {
    let mut at = start;
    let mut bad_escape = None;
    loop {
        match bytes.get(at) {
            None => return Err((at, "unexpected end of input in quoted string".to_owned())),
            Some(b'"') => break,
            Some(b'\\') => {
                if let Some(c) = bytes.get(at + 1)
                    && !b"\"\\/bfnrtu".contains(c)
                {
                    bad_escape.get_or_insert_with(|| format!("bad escape \\{}", char::from(*c)));
                }
                at += 1;
            }
            Some(c) if *c < 0x20 => return Err((at, format!("U+{c:04X} must be escaped in quoted string"))),
            Some(_) => {}
        }
        at += 1;
    }
    match bad_escape {
        None => Ok(at),
        Some(what) => Err((at, what)),
    }
}
