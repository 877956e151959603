use super::*;

fn call(words: &[&str]) -> Result<()> {
    run(words.iter().map(|word| (*word).to_owned()).collect())
}

/// The sentence of a refusal, or how else it ended.
fn refusal(words: &[&str]) -> String {
    match call(words) {
        Err(Stop::Fail(text)) => text,
        Err(other) => format!("{other:?}"),
        Ok(()) => "success".to_owned(),
    }
}

#[test]
fn versions_are_compared_by_number() {
    for (a, operator, b, holds) in [
        ("8.3.0", "<", "8.10.0", true),
        ("8.10.0", "<", "8.3.0", false),
        ("1.0.0", "==", "1.0.0", true),
        ("1.0.0", "!=", "1.0.0", false),
        ("2.0.0", ">=", "1.9.9", true),
        ("1.9.9", ">", "2.0.0", false),
        ("1.0.1", "<=", "1.0.1", true),
    ] {
        let done = call(&["compare-versions", a, operator, b]);
        let ended = match done {
            Ok(()) => true,
            Err(Stop::Exit(2)) => false,
            other => panic!("{a} {operator} {b}: {other:?}"),
        };
        assert_eq!(ended, holds, "{a} {operator} {b}");
    }
    assert_eq!(
        refusal(&["compare-versions", "1", "<", "1.0.0"]),
        "1: not an OVSDB version number in format x.y.z"
    );
    assert_eq!(refusal(&["compare-versions", "1.0.0", "=", "1.0.0"]), "=: not a relational operator");
}

#[test]
fn a_command_line_that_fits_no_command_is_refused() {
    for (words, refused) in [
        (&[][..], "missing command name; use --help for help"),
        (&["qwertyuiop"], "unknown command 'qwertyuiop'; use --help for help"),
        (&["transact"], "'transact' command requires at least 1 arguments"),
        (&["create", "a", "b", "c"], "'create' command takes at most 2 arguments"),
        (&["create-cluster", "a", "b", "c"], "'create-cluster': clustered databases are not supported yet"),
    ] {
        assert_eq!(refusal(words), refused, "{words:?}");
    }
}

#[test]
fn a_database_is_made_changed_and_compacted() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("db").display().to_string();
    let schema = dir.path().join("schema").display().to_string();
    let column = r#"{"n": {"type": "integer"}}"#;
    let text = format!(
        r#"{{"name": "S", "version": "1.0.0", "tables": {{"T": {{"columns": {column}, "isRoot": true}}}}}}"#
    );
    std::fs::write(&schema, text).expect("a schema");
    call(&["create", &path, &schema]).expect("a database");
    let again = refusal(&["create", &path, &schema]);
    assert!(again.contains(&path) && again.ends_with("(File exists)"), "{again}");

    let insert = r#"["S", {"op": "insert", "table": "T", "row": {"n": 5}}]"#;
    for _ in 0..3 {
        call(&["transact", &path, insert]).expect("a transaction");
    }
    call(&["query", &path, insert]).expect("a query");
    let rows = || DatabaseFile::open(&path, Mode::ReadOnly).expect("a database").database.tables[0].len();
    assert_eq!(rows(), 3, "a query changes nothing");

    let size = || std::fs::metadata(&path).expect("a file").len();
    let before = size();
    call(&["transact", &path, r#"["S", {"op": "delete", "table": "T", "where": []}]"#])
        .expect("a transaction");
    call(&["compact", &path]).expect("a compact database");
    assert_eq!(rows(), 0);
    assert!(size() < before, "{} bytes, {before} before", size());
}

#[test]
fn a_schema_is_the_same_in_whatever_order_it_is_written() {
    let read = |text: &str| Schema::from_json(&parse_json(text).expect("JSON")).expect("a schema");
    let a = read(
        r#"{"name": "S", "version": "1.0.0", "tables": {"T": {"columns": {"a": {"type": "integer"}, "b": {"type": "string"}}}}}"#,
    );
    let b = read(
        r#"{"tables": {"T": {"columns": {"b": {"type": "string"}, "a": {"type": "integer"}}}}, "version": "1.0.0", "name": "S"}"#,
    );
    let c = read(
        r#"{"name": "S", "version": "1.0.1", "tables": {"T": {"columns": {"a": {"type": "integer"}}}}}"#,
    );
    assert!(same(&a, &b) && !same(&a, &c));
}
