#![no_main]
//! Any bytes are a message: it is decoded or refused, shown as text, and encoded again.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let context = ofp::Context::default();
    for message in ofp::split_messages(bytes) {
        let _ = ofp::message_to_text(message, ofp::Names::default(), 2);
        if let Ok(decoded) = ofp::decode(message, &context) {
            let protocol = fields::Protocols::initial(decoded.version.byte());
            let _ = decoded.message.to_bytes(&ofp::Encoder::new(protocol, decoded.xid));
        }
    }
});
