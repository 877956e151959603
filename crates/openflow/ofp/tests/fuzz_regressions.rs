//! Inputs that once broke something, each by what it was.

use ofp::{Context, Encoder, Message, decode};

/// A hello whose version byte is 168 names version 31 too, the greatest that a
/// bitmap can hold; to encode it again shifted by 32 bits.
#[test]
fn a_hello_of_the_greatest_version_is_encoded() {
    let bytes = [0xa8, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00];
    let decoded = decode(&bytes, &Context::default()).unwrap();
    let Message::Hello { versions } = decoded.message else { panic!("not a hello") };
    assert_eq!(versions >> 31, 1);
    let again = decoded.message.to_bytes(&Encoder::new(fields::Protocols::OF10_STD, 0));
    let Message::Hello { versions: same } = decode(&again, &Context::default()).unwrap().message else {
        panic!("not a hello");
    };
    assert_eq!(same, versions);
}
