//! What a program says of itself.

/// The version of Open vSwitch whose behaviour these programs have.
pub const OVS_VERSION: &str = "4.0.0";

/// The first line of `--version`: `NAME (Open vSwitch) VERSION`.
///
/// Scripts match on the words in parentheses, so they stay; our own name and
/// version follow.
pub fn version_line(program: &str) -> String {
    format!("{program} (Open vSwitch) {OVS_VERSION}")
}

/// The second line: who made it.
pub fn build_line() -> String {
    format!("Ironbridge {}", env!("CARGO_PKG_VERSION"))
}
