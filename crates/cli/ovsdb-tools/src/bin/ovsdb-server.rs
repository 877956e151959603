//! `ovsdb-server` by itself.

fn main() -> std::process::ExitCode {
    match base::text::arguments(std::env::args_os().skip(1), 1) {
        Ok(args) => ovsdb_tools::ovsdb_server(args),
        Err(why) => {
            eprintln!("ovsdb-server: {why}");
            std::process::ExitCode::FAILURE
        }
    }
}
