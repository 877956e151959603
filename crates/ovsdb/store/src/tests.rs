mod access;
mod crash;

use super::*;
use crate::log_file::Mode;
use model::{Schema, Uuid};
use serde_json::{Value, json};
use std::io::Write;
use std::sync::Arc;

fn schema() -> Schema {
    Schema::from_json(&json!({
        "name": "D",
        "tables": {
            "Root": {"isRoot": true, "maxRows": 3, "indexes": [["name"]], "columns": {
                "name": {"type": "string"},
                "n": {"type": {"key": {"type": "integer", "minInteger": 0}, "min": 0, "max": "unlimited"}},
                "kids": {"type": {"key": {"type": "uuid", "refTable": "Kid"}, "min": 0, "max": "unlimited"}},
                "friend": {"type": {"key": {"type": "uuid", "refTable": "Kid", "refType": "weak"}, "min": 0}},
                "scratch": {"type": "string", "ephemeral": true}
            }},
            "Kid": {"columns": {"name": {"type": "string"}}}
        }
    }))
    .unwrap()
}

fn run_on(file: &mut DatabaseFile, operations: Value) -> Vec<Value> {
    let mut params = vec![json!("D")];
    params.extend(operations.as_array().unwrap().iter().cloned());
    let request = Request { holds_lock: &|name| name == "mine", ..Request::of(&params) };
    match execute(&file.database, &request) {
        Executed::Blocked { .. } => vec![json!("blocked")],
        Executed::Failed(results) => results,
        Executed::Ready { transaction, mut results, durable, .. } => {
            if let Err(e) = file.commit(transaction, durable) {
                results.push(e.to_json());
            }
            results
        }
    }
}

fn fresh() -> DatabaseFile {
    DatabaseFile::in_memory(schema())
}

fn names(file: &mut DatabaseFile, table: &str) -> Vec<String> {
    let select =
        json!([{"op": "select", "table": table, "where": [], "columns": ["name"], "sort": ["name"]}]);
    let rows = run_on(file, select)[0]["rows"].clone();
    rows.as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap().to_owned()).collect()
}

fn family() -> Value {
    json!([
        {"op": "insert", "table": "Kid", "uuid-name": "k", "row": {"name": "kid"}},
        {"op": "insert", "table": "Root", "row": {"name": "r", "kids": ["named-uuid", "k"], "friend": ["named-uuid", "k"]}}
    ])
}

#[test]
fn rows_that_nobody_refers_to_are_collected_and_weak_references_go_with_them() {
    let mut file = fresh();
    let results = run_on(&mut file, family());
    assert_eq!(results.len(), 2);
    assert_eq!(names(&mut file, "Kid"), ["kid"]);
    run_on(&mut file, json!([{"op": "insert", "table": "Kid", "row": {"name": "orphan"}}]));
    assert_eq!(names(&mut file, "Kid"), ["kid"]);
    let refused = run_on(&mut file, json!([{"op": "delete", "table": "Kid", "where": []}]));
    assert!(refused[1]["details"].as_str().unwrap().ends_with("because of 1 remaining reference(s)"));
    run_on(
        &mut file,
        json!([{"op": "update", "table": "Root", "where": [["name", "==", "r"]], "row": {"kids": ["set", []]}}]),
    );
    assert!(names(&mut file, "Kid").is_empty());
    let rows =
        run_on(&mut file, json!([{"op": "select", "table": "Root", "where": [], "columns": ["friend"]}]));
    assert_eq!(rows[0]["rows"], json!([{"friend": ["set", []]}]));
}

#[test]
fn what_constraints_forbid_changes_nothing() {
    let mut file = fresh();
    run_on(&mut file, json!([{"op": "insert", "table": "Root", "row": {"name": "a"}}]));
    let twin = run_on(&mut file, json!([{"op": "insert", "table": "Root", "row": {"name": "a"}}]));
    let details = twin[1]["details"].as_str().unwrap();
    assert!(details.starts_with("Transaction causes multiple rows in \"Root\" table to have identical values (a) for index on column \"name\".  First row, with UUID "), "{details}");
    let many = run_on(
        &mut file,
        json!([
            {"op": "insert", "table": "Root", "row": {"name": "b"}},
            {"op": "insert", "table": "Root", "row": {"name": "c"}},
            {"op": "insert", "table": "Root", "row": {"name": "d"}}
        ]),
    );
    assert_eq!(
        many[3]["details"],
        "transaction causes \"Root\" table to contain 4 rows, greater than the schema-defined limit of 3 row(s)"
    );
    let range = run_on(
        &mut file,
        json!([{"op": "mutate", "table": "Root", "where": [], "mutations": [["n", "insert", -1]]}]),
    );
    assert_eq!(range[0]["details"], "-1 is less than minimum allowed value 0");
    assert_eq!(names(&mut file, "Root"), ["a"]);
    let missing = run_on(
        &mut file,
        json!([{"op": "update", "table": "Root", "where": [], "row": {"kids": ["uuid", Uuid::nil().to_string()]}}]),
    );
    assert_eq!(missing[1]["error"], "referential integrity violation");
}

#[test]
fn mistakes_stop_the_transaction_and_say_where() {
    let mut file = fresh();
    let results =
        run_on(&mut file, json!([{"op": "comment", "comment": "x"}, {"op": "nope"}, {"op": "abort"}]));
    assert_eq!(results[1]["details"], "Parsing ovsdb operation 2 of 3 failed: No operation \"nope\"");
    assert_eq!(results[2], Value::Null);
    let results = run_on(&mut file, json!([{"op": "assert", "lock": "theirs"}]));
    assert_eq!(results[0]["details"], "Asserted lock theirs not held.");
    assert_eq!(run_on(&mut file, json!([{"op": "assert", "lock": "mine"}])), [json!({})]);
}

#[test]
fn waiting_blocks_until_the_rows_are_as_wanted() {
    let mut file = fresh();
    let wait = |timeout: Value| {
        let mut op = json!({"op": "wait", "table": "Root", "where": [], "columns": ["name"], "until": "==", "rows": [{"name": "x"}]});
        if !timeout.is_null() {
            op["timeout"] = timeout;
        }
        json!([op])
    };
    assert_eq!(run_on(&mut file, wait(Value::Null)), [json!("blocked")]);
    assert_eq!(run_on(&mut file, wait(json!(0)))[0]["details"], "\"where\" clause test failed");
    run_on(&mut file, json!([{"op": "insert", "table": "Root", "row": {"name": "x"}}]));
    assert_eq!(run_on(&mut file, wait(Value::Null)), [json!({})]);
}

fn on_disk(directory: &tempfile::TempDir) -> String {
    let path = directory.path().join("d.db").display().to_string();
    DatabaseFile::create(&path, &schema()).unwrap();
    path
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = on_disk(&directory);
    let mut file = DatabaseFile::open(&path, Mode::ReadWrite).unwrap();
    run_on(&mut file, family());
    run_on(
        &mut file,
        json!([{"op": "mutate", "table": "Root", "where": [], "mutations": [["n", "insert", ["set", [1, 2, 3]]]]}]),
    );
    run_on(
        &mut file,
        json!([{"op": "mutate", "table": "Root", "where": [], "mutations": [["n", "delete", 2]]}, {"op": "update", "table": "Root", "where": [], "row": {"scratch": "gone"}}]),
    );
    let select =
        json!([{"op": "select", "table": "Root", "where": [], "columns": ["name", "n", "kids", "friend"]}]);
    let before = run_on(&mut file, select.clone());
    for compacted in [false, true] {
        if compacted {
            file.compact("test").unwrap();
        }
        drop(file);
        file = DatabaseFile::open(&path, Mode::ReadWrite).unwrap();
        assert_eq!(run_on(&mut file, select.clone()), before);
        assert!(
            run_on(
                &mut file,
                json!([{"op": "select", "table": "Root", "where": [["scratch", "==", "gone"]]}])
            )[0]["rows"]
                .as_array()
                .unwrap()
                .is_empty()
        );
    }
}

#[test]
fn a_torn_tail_is_cut_off_wherever_it_is_torn() {
    let directory = tempfile::tempdir().unwrap();
    let path = on_disk(&directory);
    let mut file = DatabaseFile::open(&path, Mode::ReadWrite).unwrap();
    run_on(&mut file, json!([{"op": "insert", "table": "Root", "row": {"name": "a"}}]));
    let whole = std::fs::metadata(&path).unwrap().len();
    run_on(&mut file, json!([{"op": "insert", "table": "Root", "row": {"name": "b"}}]));
    drop(file);
    let bytes = std::fs::read(&path).unwrap();
    for cut in (whole as usize..bytes.len()).step_by(7) {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let mut file = DatabaseFile::open(&path, Mode::ReadWrite).unwrap();
        assert_eq!(names(&mut file, "Root"), ["a"], "cut at {cut}");
        run_on(&mut file, json!([{"op": "insert", "table": "Root", "row": {"name": "c"}}]));
        drop(file);
        let mut file = DatabaseFile::read_strictly(&path, Mode::ReadOnly, None).unwrap();
        assert_eq!(names(&mut file, "Root"), ["a", "c"]);
    }
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"OVSDB JSON x").unwrap();
    assert!(DatabaseFile::read_strictly(&path, Mode::ReadOnly, None).is_err());
}

#[test]
fn conversion_drops_and_fills() {
    let mut file = fresh();
    run_on(&mut file, json!([{"op": "insert", "table": "Root", "row": {"name": "a", "n": ["set", [1, 2]]}}]));
    let schema = Schema::from_json(&json!({"name": "D", "tables": {"Root": {"columns": {
        "name": {"type": {"key": "string", "min": 0, "max": 2}}, "extra": {"type": "integer"}
    }}}}))
    .unwrap();
    let converted = file.database.convert(Arc::new(schema)).unwrap();
    let row = converted.tables[0].rows().next().unwrap();
    assert_eq!(row.column(2).unwrap().to_bare(), "a");
    assert_eq!(row.column(3).unwrap().to_bare(), "0");
}
