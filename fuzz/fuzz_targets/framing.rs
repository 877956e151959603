#![no_main]
//! Any bytes are a JSON-RPC stream: values are found, or the stream is refused, however it is cut.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let values = |pieces: &[&[u8]]| {
        let mut scanner = rpc::framing::Scanner::new(1 << 16);
        let mut found = Vec::new();
        for piece in pieces {
            scanner.push(piece);
            loop {
                match scanner.next_value() {
                    Ok(Some(value)) => {
                        let _ = rpc::Message::decode(value);
                        found.push(value.to_vec());
                    }
                    Ok(None) => break,
                    Err(_) => return found,
                }
            }
        }
        found
    };
    let whole = values(&[bytes]);
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    let cut = values(&[head, tail]);
    assert_eq!(whole, cut);
});
