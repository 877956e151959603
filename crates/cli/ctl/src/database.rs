//! The database file before the server opens it: made the first time,
//! converted when its schema is not the one that the switch has.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use model::Schema;
use store::DatabaseFile;
use store::log_file::{LogFile, Mode, read_schema};

use crate::console::{step, warning};
use crate::launch::{Owner, make_dir};
use crate::options::Settings;

/// What goes wrong with a file, in a sentence.
type Result<T> = std::result::Result<T, String>;

/// Makes the file fit to be served; the version of its schema.
pub(crate) fn prepare(settings: &Settings) -> Result<String> {
    let wanted = wanted_schema(settings.db_schema.as_deref())?;
    let path = settings.db_file.as_path();
    let owner = Owner::of(settings)?;
    if !path.exists() {
        warning(&format!("{} does not exist", path.display()));
        if let Some(dir) = path.parent() {
            make_dir(dir, 0o755, &owner)?;
        }
        create(path, &wanted, &owner)?;
    } else if needs_conversion(path, &wanted)? {
        convert(path, &wanted, &owner)?;
    }
    give_lock(path, &owner)?;
    Ok(wanted.version)
}

/// The schema of a file, or the one that is built in.
fn wanted_schema(file: Option<&Path>) -> Result<Schema> {
    let Some(file) = file else {
        return Schema::from_json(&schema::OPEN_VSWITCH.to_json()).map_err(|e| e.to_string());
    };
    let told = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
    let text = std::fs::read(file).map_err(|e| told(&rpc::error_text(&e)))?;
    let json = base::json::parse(&text).map_err(|e| told(&e))?;
    Schema::from_json(&json).map_err(|e| told(&e))
}

fn create(path: &Path, schema: &Schema, owner: &Owner) -> Result<()> {
    let shown = path.display().to_string();
    let created = DatabaseFile::create(&shown, schema).map_err(|e| e.to_string());
    step(&format!("Creating empty database {shown}"), created.is_ok());
    created?;
    give(path, owner)
}

/// The file by which its users keep each other out is the owner's as well.
fn give_lock(path: &Path, owner: &Owner) -> Result<()> {
    let Some(name) = path.file_name() else { return Ok(()) };
    let lock = path.with_file_name(format!(".{}.~lock~", name.to_string_lossy()));
    if lock.exists() { give(&lock, owner) } else { Ok(()) }
}

fn give(path: &Path, owner: &Owner) -> Result<()> {
    match owner.ids {
        Some((user, group)) => chown(path, Some(user), Some(group))
            .map_err(|e| format!("{}: {}", path.display(), rpc::error_text(&e))),
        None => Ok(()),
    }
}

fn needs_conversion(path: &Path, wanted: &Schema) -> Result<bool> {
    let mut log = LogFile::open(&path.display().to_string(), Mode::ReadOnly).map_err(|e| e.to_string())?;
    let own = read_schema(&mut log).map_err(|e| e.to_string())?;
    let text = |schema: &Schema| model::json::sorted(&schema.to_json());
    Ok(text(&own) != text(wanted))
}

/// Backs the file up, and converts it. What cannot be converted is replaced by an empty database.
fn convert(path: &Path, wanted: &Schema, owner: &Owner) -> Result<()> {
    let shown = path.display().to_string();
    let backup = backup_name(path)?;
    let copied = std::fs::copy(path, &backup).map_err(|e| rpc::error_text(&e));
    step(&format!("Backing up database to {}", backup.display()), copied.is_ok());
    copied?;
    let comment = |what: &str| format!("{what} by ovs-ctl {}", rpc::REFERENCE_VERSION);
    let rewritten = |schema: Option<Schema>, what: &str| {
        let mut file = DatabaseFile::read_strictly(&shown, Mode::ReadWrite, schema)?;
        file.column_diff = false;
        file.compact(&comment(what))
    };
    // First without another schema: an old one may not have collected what nobody refers to.
    if !step("Compacting database", tell(rewritten(None, "compacted"))) {
        warning("The database could not be compacted");
    }
    if !step("Converting database schema", tell(rewritten(Some(wanted.clone()), "converted"))) {
        warning("Schema conversion failed, using empty database instead");
        std::fs::remove_file(path).map_err(|e| format!("{shown}: {}", rpc::error_text(&e)))?;
        return create(path, wanted, owner);
    }
    give(path, owner)
}

fn tell(result: std::result::Result<(), model::Error>) -> bool {
    if let Err(e) = &result {
        eprintln!("{}: {e}", crate::PROGRAM);
    }
    result.is_ok()
}

/// `conf.db.backup8.3.1-3012963480`: the version and the checksum of the schema that it has.
fn backup_name(path: &Path) -> Result<PathBuf> {
    let shown = path.display().to_string();
    let mut log = LogFile::open(&shown, Mode::ReadOnly).map_err(|e| e.to_string())?;
    let schema = read_schema(&mut log).map_err(|e| e.to_string())?;
    let cksum = schema.cksum.split_whitespace().next().unwrap_or_default();
    Ok(PathBuf::from(format!("{shown}.backup{}-{cksum}", schema.version)))
}

/// The databases to be served beside the first, by absolute path; those that cannot be are reported.
pub(crate) fn extra(settings: &Settings) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in settings.extra_dbs.split_whitespace() {
        let path = rpc::dirs::absolute(&rpc::dirs::dbdir(), name);
        let shown = path.display();
        if !path.is_file() {
            warning(&format!("{shown} (from $EXTRA_DBS) does not exist."));
            continue;
        }
        let readable = LogFile::open(&shown.to_string(), Mode::ReadOnly)
            .and_then(|mut log| read_schema(&mut log).map(drop));
        if tell(readable) {
            found.push(path);
        } else {
            warning(&format!(
                "{shown} (from $EXTRA_DBS) cannot be read as a database (see error message above)"
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"name":"Open_vSwitch","version":"0.0.1","cksum":"17 4",
        "tables":{"Open_vSwitch":{"columns":{"next_cfg":{"type":"integer"}},"isRoot":true}}}"#;

    #[test]
    fn a_database_is_made_once_and_converted_when_its_schema_is_old() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { db_file: dir.path().join("sub/conf.db"), ..Settings::default() };
        let version = prepare(&settings).unwrap();
        assert_eq!(version, schema::OPEN_VSWITCH.version);
        let first = std::fs::read(&settings.db_file).unwrap();
        prepare(&settings).unwrap();
        assert_eq!(std::fs::read(&settings.db_file).unwrap(), first, "nothing is done twice");

        let old = Schema::from_json(&serde_json::from_str(OLD).unwrap()).unwrap();
        let settings = Settings { db_file: dir.path().join("old.db"), ..Settings::default() };
        DatabaseFile::create(&settings.db_file.display().to_string(), &old).unwrap();
        assert!(needs_conversion(&settings.db_file, &wanted_schema(None).unwrap()).unwrap());
        prepare(&settings).unwrap();
        assert!(!needs_conversion(&settings.db_file, &wanted_schema(None).unwrap()).unwrap());
        assert!(dir.path().join("old.db.backup0.0.1-17").exists());
    }

    #[test]
    fn a_schema_that_is_not_there_is_told_with_its_name() {
        let error = wanted_schema(Some(Path::new("/nonexistent/x.ovsschema"))).unwrap_err();
        assert_eq!(error, "/nonexistent/x.ovsschema: No such file or directory");
    }
}
