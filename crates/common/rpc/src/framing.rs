//! Finds where each JSON value ends in a stream of bytes.
//!
//! OVSDB puts one JSON object after the other with nothing between them (RFC
//! 7047 §4). The scanner counts brackets, so that the parser proper sees only
//! whole values, of bounded size and depth. What is inside them is not checked
//! here.

/// Nesting beyond this is refused before anything is built from it.
pub const MAX_DEPTH: usize = 1000;

/// Why the rest of a stream cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    #[error("syntax error at beginning of input")]
    NotAnObject,
    #[error("input exceeds maximum nesting depth {0}")]
    TooDeep(usize),
    #[error("input exceeds maximum size of {0} bytes")]
    TooLong(usize),
}

/// Bytes in, whole JSON objects and arrays out. An error is final.
#[derive(Debug)]
pub struct Scanner {
    buffer: Vec<u8>,
    /// Where the value being scanned begins, once its first byte was seen.
    start: usize,
    /// How far `buffer` was looked at.
    scanned: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
    max_size: usize,
    max_depth: usize,
}

impl Scanner {
    /// `max_size` bounds one value, and so the memory held.
    pub fn new(max_size: usize) -> Scanner {
        Scanner {
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            depth: 0,
            in_string: false,
            escaped: false,
            max_size,
            max_depth: MAX_DEPTH,
        }
    }

    /// From now on values may be this long.
    pub fn set_max_size(&mut self, bytes: usize) {
        self.max_size = bytes;
    }

    /// Appends what was received.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            self.scanned = 0;
        } else if self.start > 1 << 16 && self.start * 2 > self.buffer.len() {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole value, or `None` until more bytes come.
    pub fn next_value(&mut self) -> Result<Option<&[u8]>, FramingError> {
        while let Some(&byte) = self.buffer.get(self.scanned) {
            if self.in_string {
                self.scan_string();
                continue;
            }
            self.scanned += 1;
            match byte {
                b'{' | b'[' => {
                    self.depth += 1;
                    if self.depth > self.max_depth {
                        return Err(FramingError::TooDeep(self.max_depth));
                    }
                }
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        let start = std::mem::replace(&mut self.start, self.scanned);
                        if self.scanned - start > self.max_size {
                            return Err(FramingError::TooLong(self.max_size));
                        }
                        return Ok(self.buffer.get(start..self.scanned));
                    }
                }
                b' ' | b'\t' | b'\n' | b'\r' if self.depth == 0 => self.start = self.scanned,
                _ if self.depth == 0 => return Err(FramingError::NotAnObject),
                b'"' => self.in_string = true,
                _ => {}
            }
        }
        if self.scanned - self.start > self.max_size {
            return Err(FramingError::TooLong(self.max_size));
        }
        Ok(None)
    }

    /// Goes on to the end of a string, or of what there is of it.
    fn scan_string(&mut self) {
        if std::mem::take(&mut self.escaped) {
            self.scanned += 1;
        }
        let rest = self.buffer.get(self.scanned..).unwrap_or_default();
        match memchr::memchr2(b'"', b'\\', rest) {
            None => self.scanned = self.buffer.len(),
            Some(at) => {
                self.scanned += at + 1;
                self.escaped = rest.get(at) == Some(&b'\\');
                self.in_string = self.escaped;
            }
        }
    }

    /// Whether a value has begun and not ended.
    pub fn is_inside_value(&self) -> bool {
        self.depth > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(chunks: &[&[u8]]) -> Result<Vec<Vec<u8>>, FramingError> {
        let mut scanner = Scanner::new(1 << 20);
        let mut found = Vec::new();
        for chunk in chunks {
            scanner.push(chunk);
            while let Some(value) = scanner.next_value()? {
                found.push(value.to_vec());
            }
        }
        Ok(found)
    }

    #[test]
    fn values_end_at_their_last_bracket() {
        let found = scan(&[b" {\"a\":\"}\\\"\"} [1", b",[2]]\n{}"]).unwrap();
        assert_eq!(found, [&b"{\"a\":\"}\\\"\"}"[..], b"[1,[2]]", b"{}"]);
    }

    #[test]
    fn what_grows_without_end_is_refused_early() {
        assert_eq!(scan(&[b"7"]), Err(FramingError::NotAnObject));
        assert_eq!(scan(&[b"]"]), Err(FramingError::NotAnObject));
        assert_eq!(scan(&[&[b'['; 1001]]), Err(FramingError::TooDeep(1000)));
        let mut scanner = Scanner::new(10);
        scanner.push(b"[\"0123456789");
        assert_eq!(scanner.next_value(), Err(FramingError::TooLong(10)));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(cut in 0usize..40, text in "[ -~]{0,20}") {
            let value = serde_json::json!({"k": [text, {"n": 1}]}).to_string();
            let twice = format!("{value}{value}");
            let cut = cut.min(twice.len());
            let (a, b) = twice.as_bytes().split_at(cut);
            prop_assert_eq!(scan(&[a, b]).unwrap(), vec![value.clone().into_bytes(), value.into_bytes()]);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = scan(&[&bytes]);
        }
    }
}
