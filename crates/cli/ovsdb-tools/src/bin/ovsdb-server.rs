//! `ovsdb-server` by itself.

fn main() -> std::process::ExitCode {
    ovsdb_tools::ovsdb_server(std::env::args().skip(1).collect())
}
