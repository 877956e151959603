#![no_main]
//! Any text is a rule: it is understood or refused.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = fields::Match::parse(text, None);
    if let Ok((actions, _)) = ofp::parse_instructions(text, ofp::Names::default()) {
        let mut shown = String::new();
        ofp::format_actions(&actions, &mut shown, ofp::Names::default());
    }
});
