//! `ovsdb-tool` by itself.

fn main() -> std::process::ExitCode {
    ovsdb_tools::ovsdb_tool(std::env::args().skip(1).collect())
}
