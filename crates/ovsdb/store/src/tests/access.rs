//! Role-based access control, by the rules in the database itself.

use super::*;

fn colours() -> DatabaseFile {
    let set = |key: Value| json!({"type": {"key": key, "min": 0, "max": "unlimited"}});
    let permissions = json!({"type": {
        "key": "string", "value": {"type": "uuid", "refTable": "RBAC_Permission", "refType": "weak"},
        "min": 0, "max": "unlimited"
    }});
    let schema = json!({"name": "D", "tables": {
        "Colour": {"isRoot": true, "columns": {
            "name": {"type": "string"},
            "creator": {"type": "string"},
            "ids": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}
        }},
        "RBAC_Role": {"isRoot": true, "columns": {"name": {"type": "string"}, "permissions": permissions}},
        "RBAC_Permission": {"isRoot": true, "columns": {
            "table": {"type": "string"}, "authorization": set(json!("string")),
            "insert_delete": {"type": "boolean"}, "update": set(json!("string"))
        }}
    }});
    let mut file = DatabaseFile::in_memory(Schema::from_json(&schema).unwrap());
    run_on(
        &mut file,
        json!([
            {"op": "insert", "table": "RBAC_Permission", "uuid-name": "p", "row": {
                "table": "Colour", "authorization": ["set", ["creator", "ids:owner"]],
                "insert_delete": true, "update": "name"}},
            {"op": "insert", "table": "RBAC_Role", "row": {
                "name": "painter", "permissions": ["map", [["Colour", ["named-uuid", "p"]]]]}},
            {"op": "insert", "table": "Colour", "row": {"name": "red", "creator": "ann"}},
            {"op": "insert", "table": "Colour", "row": {"name": "blue", "ids": ["map", [["owner", "bob"]]]}}
        ]),
    );
    file
}

/// The error of a transaction in a role, if there is one.
fn refusal(file: &DatabaseFile, role: &str, client: Option<&str>, operation: Value) -> Option<String> {
    let params = [json!("D"), operation];
    let request = Request { role: Some(role), client, ..Request::of(&params) };
    match execute(&file.database, &request) {
        Executed::Failed(results) => {
            let error = results.iter().find_map(|result| result.get("error").zip(result.get("details")));
            error.map(|(tag, details)| format!("{}: {}", tag.as_str().unwrap(), details.as_str().unwrap()))
        }
        _ => None,
    }
}

#[test]
fn a_role_may_do_what_its_rows_say_and_no_more() {
    let file = colours();
    let named = |name: &str| json!([["name", "==", name]]);
    let update = |name: &str, column: &str| json!({"op": "update", "table": "Colour", "where": named(name), "row": {column: "x"}});
    let delete = |name: &str| json!({"op": "delete", "table": "Colour", "where": named(name)});
    let insert = |creator: &str| json!({"op": "insert", "table": "Colour", "row": {"creator": creator}});
    let denied = |what: &str| {
        Some(format!(
            "permission error: RBAC rules for client \"ann\" role \"painter\" prohibit {what} table \"Colour\"."
        ))
    };
    let ann = |operation: Value| refusal(&file, "painter", Some("ann"), operation);
    assert_eq!(ann(update("red", "name")), None);
    assert_eq!(ann(update("red", "creator")), denied("modification of"));
    assert_eq!(ann(update("blue", "name")), denied("modification of"));
    assert_eq!(ann(delete("red")), None);
    assert_eq!(ann(delete("blue")), denied("row deletion from"));
    assert_eq!(ann(insert("ann")), None);
    assert_eq!(ann(insert("bob")), denied("row insertion into"));
    let mutate = json!({"op": "mutate", "table": "Colour", "where": named("red"),
                        "mutations": [["ids", "insert", ["map", [["a", "b"]]]]]});
    assert_eq!(ann(mutate), denied("mutate operation on"));
    let nothing = json!({"op": "mutate", "table": "Colour", "where": [], "mutations": []});
    assert_eq!(ann(nothing), None);
    // By a key of a map, by nobody, by a role that is not there.
    assert_eq!(refusal(&file, "painter", Some("bob"), update("blue", "name")), None);
    assert!(refusal(&file, "painter", None, update("red", "name")).is_some());
    assert!(refusal(&file, "sculptor", Some("ann"), update("red", "name")).is_some());
    // Reading is free.
    assert_eq!(ann(json!({"op": "select", "table": "Colour", "where": []})), None);
}
