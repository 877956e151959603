//! The commands of `ovsdb-tool`, all but `show-log`.

use model::{Json, Schema};
use store::log_file::{Mode, read_schema};
use store::{DatabaseFile, Executed, Request, execute};

use super::{Options, Outcome, Stop, default_database};

/// The database that the arguments name, or the default one.
fn database(args: &[String], index: usize) -> String {
    args.get(index).cloned().unwrap_or_else(default_database)
}

/// The schema of a file, or the one that is built in.
fn schema_of(path: Option<&String>) -> Result<Schema, Stop> {
    match path {
        None => Ok(Schema::from_json(&schema::OPEN_VSWITCH.to_json())?),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Stop::Fail(format!("I/O error: {path}: {}", rpc::error_text(&e))))?;
            Ok(Schema::from_json(&parse_json(&text, path)?)?)
        }
    }
}

fn parse_json(text: &str, what: &str) -> Result<Json, Stop> {
    text.trim().parse().map_err(|e| Stop::Fail(format!("{what}: parsing failed: {e}")))
}

/// The schema that a database file begins with.
fn schema_in(path: &str) -> Result<Schema, Stop> {
    let mut log = store::log_file::LogFile::open(path, Mode::ReadOnly)?;
    Ok(read_schema(&mut log)?)
}

pub(super) fn create(_: &Options, args: &[String]) -> Outcome {
    let schema = schema_of(args.get(1))?;
    DatabaseFile::create(&database(args, 0), &schema)?;
    Ok(String::new())
}

pub(super) fn compact(_: &Options, args: &[String]) -> Outcome {
    rewrite(&database(args, 0), args.get(1), None, "compacted by ovsdb-tool 4.0.0")
}

pub(super) fn convert(_: &Options, args: &[String]) -> Outcome {
    let schema = schema_of(args.get(1))?;
    rewrite(&database(args, 0), args.get(2), Some(schema), "converted by ovsdb-tool 4.0.0")
}

/// Writes the rows anew, in place or to another file, perhaps under another schema.
fn rewrite(path: &str, target: Option<&String>, schema: Option<Schema>, comment: &str) -> Outcome {
    let mut file = DatabaseFile::read_strictly(path, Mode::ReadWrite, schema)?;
    match target {
        None => file.compact(comment)?,
        Some(target) => {
            let snapshot = file.database.snapshot();
            let records = store::file::records_of(
                &snapshot,
                comment,
                store::record::Style { column_diff: true, date_ms: now_ms() },
            );
            let mut log = store::log_file::LogFile::open(target, Mode::Create)?;
            for record in &records {
                log.write(record)?;
            }
            log.sync()?;
        }
    }
    Ok(String::new())
}

pub(super) fn needs_conversion(_: &Options, args: &[String]) -> Outcome {
    let have = schema_in(&database(args, 0))?;
    let want = schema_of(args.get(1))?;
    Ok(if have == want { "no\n" } else { "yes\n" }.to_owned())
}

pub(super) fn db_name(_: &Options, args: &[String]) -> Outcome {
    Ok(format!("{}\n", schema_in(&database(args, 0))?.name))
}

pub(super) fn db_version(_: &Options, args: &[String]) -> Outcome {
    Ok(format!("{}\n", schema_in(&database(args, 0))?.version))
}

pub(super) fn db_cksum(_: &Options, args: &[String]) -> Outcome {
    Ok(format!("{}\n", schema_in(&database(args, 0))?.cksum))
}

pub(super) fn schema_name(_: &Options, args: &[String]) -> Outcome {
    Ok(format!("{}\n", schema_of(args.first())?.name))
}

pub(super) fn schema_version(_: &Options, args: &[String]) -> Outcome {
    Ok(format!("{}\n", schema_of(args.first())?.version))
}

pub(super) fn schema_cksum(_: &Options, args: &[String]) -> Outcome {
    Ok(format!("{}\n", schema_of(args.first())?.cksum))
}

pub(super) fn db_is_standalone(_: &Options, args: &[String]) -> Outcome {
    schema_in(&database(args, 0)).map(|_| String::new())
}

pub(super) fn db_is_clustered(_: &Options, args: &[String]) -> Outcome {
    schema_in(&database(args, 0))?;
    Err(Stop::No)
}

pub(super) fn query(_: &Options, args: &[String]) -> Outcome {
    run(args, true)
}

pub(super) fn transact(_: &Options, args: &[String]) -> Outcome {
    run(args, false)
}

fn run(args: &[String], read_only: bool) -> Outcome {
    let path = if args.len() > 1 { database(args, 0) } else { default_database() };
    let text = args.last().map(String::as_str).unwrap_or_default();
    let json = parse_json(text, text)?;
    let params = json.as_array().cloned().unwrap_or_default();
    let mode = if read_only { Mode::ReadOnly } else { Mode::ReadWrite };
    let mut file = DatabaseFile::read_strictly(&path, mode, None)?;
    let request =
        Request { params: &params, read_only, privileged: false, elapsed_ms: 0, holds_lock: &|_| false };
    let mut results = match execute(&file.database, &request) {
        Executed::Ready { transaction, mut results, .. } => {
            if let Err(error) = file.commit(transaction, true) {
                results.push(error.to_json());
            }
            results
        }
        Executed::Failed(results) => results,
        Executed::Blocked { .. } => {
            vec![model::Error::new("timed out", "\"wait\" timed out after 0 ms").to_json()]
        }
    };
    // Nothing waits here for a condition to come true.
    results.shrink_to_fit();
    Ok(format!("{}\n", model::json::sorted(&Json::Array(results))))
}

pub(super) fn compare_versions(_: &Options, args: &[String]) -> Outcome {
    let parse = |text: &String| {
        model::schema::parse_version(text)
            .ok_or_else(|| Stop::Fail(format!("{text}: not an OVSDB version number in format x.y.z")))
    };
    let (a, b) = (parse(&args[0])?, parse(&args[2])?);
    let holds = match args[1].as_str() {
        "<" => a < b,
        "<=" => a <= b,
        "==" => a == b,
        ">=" => a >= b,
        ">" => a > b,
        "!=" => a != b,
        operator => return Err(Stop::Fail(format!("{operator}: not a relational operator"))),
    };
    if holds { Ok(String::new()) } else { Err(Stop::No) }
}

/// Milliseconds since 1970, for the dates in records.
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
