//! `ovsdb-client` by itself.

fn main() -> std::process::ExitCode {
    ovsdb_tools::ovsdb_client(std::env::args().skip(1).collect())
}
