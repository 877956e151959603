//! `ovsdb-tool` by itself.

fn main() -> std::process::ExitCode {
    match base::text::arguments(std::env::args_os().skip(1), 1) {
        Ok(args) => ovsdb_tools::ovsdb_tool(args),
        Err(why) => {
            eprintln!("ovsdb-tool: {why}");
            std::process::ExitCode::FAILURE
        }
    }
}
