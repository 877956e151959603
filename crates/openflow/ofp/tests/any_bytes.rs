//! Bytes of any kind: never a panic, neither in showing nor in writing again what was read.

use ofp::{Context, Encoder, Names, decode, message_to_text, split_messages};
use proptest::prelude::*;

fn message() -> impl Strategy<Value = Vec<u8>> {
    (1u8..=6, 0u8..36, 0u16..20, prop::collection::vec(any::<u8>(), 0..200)).prop_map(
        |(version, kind, stat, body)| {
            let mut bytes = vec![version, kind, 0, 0, 0, 0, 0, 1];
            if matches!(kind, 16..=19) {
                bytes.extend_from_slice(&stat.to_be_bytes());
                bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
            } else if kind == 4 {
                bytes.extend_from_slice(&0x2320u32.to_be_bytes());
                bytes.extend_from_slice(&u32::from(stat + 10).to_be_bytes());
            }
            bytes.extend_from_slice(&body);
            let len = (bytes.len() as u16).to_be_bytes();
            bytes[2..4].copy_from_slice(&len);
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_message_is_shown(bytes in message()) {
        prop_assert!(message_to_text(&bytes, Names::default(), 3).ends_with('\n'));
    }

    #[test]
    fn what_was_read_is_written(bytes in message()) {
        if let Ok(decoded) = decode(&bytes, &Context::default()) {
            let encoder = Encoder::new(decoded.version.protocols().lowest(), decoded.xid);
            let again = decoded.message.to_bytes(&encoder);
            for part in split_messages(&again) {
                let _ = decode(part, &Context::default());
            }
        }
    }
}
