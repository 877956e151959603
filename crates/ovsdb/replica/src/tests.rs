use super::*;
use model::{Atom, Datum};
use rpc::Message;
use serde_json::{Value, json};

const A: &str = "11111111-1111-4111-8111-111111111111";

fn schema() -> Value {
    json!({"name": "D", "tables": {
        "T": {"isRoot": true, "columns": {
            "name": {"type": "string"},
            "n": {"type": "integer"},
            "tags": {"type": {"key": "string", "min": 0, "max": "unlimited"}},
            "kid": {"type": {"key": {"type": "uuid", "refTable": "K"}, "min": 0}}
        }},
        "K": {"columns": {"name": {"type": "string"}}}
    }})
}

fn sent(actions: &[Action]) -> (String, Vec<Value>, Value) {
    match actions.iter().find_map(|a| match a {
        Action::Send(Message::Request { method, params, id }) => Some((method, params, id)),
        _ => None,
    }) {
        Some((method, params, id)) => (method.clone(), params.clone(), id.clone()),
        None => panic!("nothing sent: {actions:?}"),
    }
}

fn live() -> Protocol {
    let mut protocol = Protocol::new("D", Subscription::default());
    let (method, _, id) = sent(&protocol.connected());
    assert_eq!(method, "get_schema");
    let (method, _, id) = sent(&protocol.received(Message::Reply { result: schema(), id }));
    assert_eq!(method, "monitor_cond_since");
    let refused = Message::Error { error: json!("unknown method"), id };
    let (method, _, id) = sent(&protocol.received(refused));
    assert_eq!(method, "monitor_cond");
    let initial = json!({"T": {A: {"initial": {"name": "a", "tags": ["set", ["x", "y"]]}}}});
    let actions = protocol.received(Message::Reply { result: initial, id });
    assert!(matches!(actions.as_slice(), [Action::Updated]));
    protocol
}

#[test]
fn updates_change_the_copy_and_are_reported() {
    let mut protocol = live();
    assert_eq!(protocol.take_changes().len(), 1);
    let updates = json!({"T": {A: {"modify": {"tags": ["set", ["y", "z"]]}}}});
    protocol.received(Message::notify("update2", vec![json!(["monid", "D"]), updates]));
    let row = protocol.tables().rows("T").next().unwrap().clone();
    assert_eq!(row.get("tags"), &Datum::set(["x", "z"].map(Atom::from)));
    let changes = protocol.take_changes();
    assert_eq!(changes[0].old.as_ref().unwrap().get("tags").len(), 2);
    protocol.received(Message::notify("update2", vec![json!(0), json!({"T": {A: {"delete": null}}})]));
    assert!(protocol.tables().rows("T").next().is_none());
}

#[test]
fn a_transaction_sends_what_differs() {
    let mut protocol = live();
    let uuid = model::parse_uuid(A).unwrap();
    let mut transaction = Transaction::new(protocol.tables());
    transaction.verify("T", &uuid, "name");
    transaction.set("T", &uuid, "name", "b");
    transaction.set("T", &uuid, "n", 0);
    let kid = transaction.insert("K");
    transaction.set("K", &kid, "name", "kid");
    transaction.set("T", &uuid, "kid", kid);
    transaction.increment("T", &uuid, "n");
    assert_eq!(transaction.row("T", &uuid).unwrap().text("name"), Some("b"));
    let (id, actions) = protocol.commit(transaction);
    let (_, params, request) = sent(&actions);
    let condition = json!([["_uuid", "==", ["uuid", A]]]);
    let name = model::row_name(&kid);
    assert_eq!(
        params[1..],
        [
            json!({"op": "wait", "table": "T", "timeout": 0, "where": condition, "columns": ["name"], "until": "==", "rows": [{"name": "a"}]}),
            json!({"op": "update", "table": "T", "where": condition, "row": {"name": "b", "kid": ["named-uuid", name]}}),
            json!({"op": "insert", "table": "K", "uuid-name": name, "row": {"name": "kid"}}),
            json!({"op": "mutate", "table": "T", "where": condition, "mutations": [["n", "+=", 1]]}),
            json!({"op": "select", "table": "T", "where": condition, "columns": ["n"]}),
        ]
    );
    let results = json!([{}, {"count": 1}, {"uuid": ["uuid", A]}, {"count": 1}, {"rows": [{"n": 7}]}]);
    let actions = protocol.received(Message::Reply { result: results, id: request });
    let expected = Outcome::Success { inserted: [(kid, uuid)].into(), incremented: Some(7) };
    assert!(
        matches!(&actions[..], [Action::Committed(done, outcome)] if *done == id && *outcome == expected)
    );
}

#[test]
fn endings_are_told_apart() {
    let protocol = live();
    let transaction = Transaction::new(protocol.tables());
    for (result, expected) in [
        (json!([{"error": "timed out"}]), Outcome::TryAgain),
        (json!([{"error": "not owner"}]), Outcome::NotLocked),
        (
            json!([{}, {"error": "x", "details": "y"}]),
            Outcome::Error(r#"{"details":"y","error":"x"}"#.into()),
        ),
    ] {
        assert_eq!(transaction.outcome(&result), expected);
    }
    let mut protocol = protocol;
    let (id, actions) = protocol.commit(transaction);
    assert!(matches!(&actions[..], [Action::Committed(done, Outcome::Unchanged)] if *done == id));
}

#[test]
fn locks_are_asked_for_again_after_each_connection() {
    let mut protocol = live();
    let (method, params, id) = sent(&protocol.set_lock(Some("l")));
    assert_eq!((method.as_str(), params), ("lock", vec![json!("l")]));
    let actions = protocol.received(Message::Reply { result: json!({"locked": false}), id });
    assert!(matches!(&actions[..], [Action::Lock(false)]) && protocol.is_lock_contended());
    let actions = protocol.received(Message::notify("locked", vec![json!("l")]));
    assert!(
        matches!(&actions[..], [Action::Lock(true)]) && protocol.has_lock() && !protocol.is_lock_contended()
    );
    assert!(matches!(&protocol.disconnected()[..], [Action::Lock(false)]));
}

/// A schema that was expected is not asked for; when the server does not know it, it is asked for after all.
#[test]
fn an_expected_schema_saves_a_question() {
    let schema = live().schema().unwrap().clone();
    let mut protocol = Protocol::new("D", Subscription::default());
    protocol.expect_schema(schema.clone());
    let (method, _, id) = sent(&protocol.connected());
    assert_eq!(method, "monitor_cond_since");
    let updates = json!([false, model::Uuid::nil().to_string(), {}]);
    let actions = protocol.received(Message::Reply { result: updates, id });
    assert!(matches!(&actions[..], [Action::Updated]) && protocol.is_live());

    let mut protocol = Protocol::new("D", Subscription::default());
    protocol.expect_schema(schema.clone());
    let (_, _, id) = sent(&protocol.connected());
    let (method, _, id) =
        sent(&protocol.received(Message::Error { error: json!({"error": "syntax error"}), id }));
    assert_eq!(method, "get_schema");
    let (method, ..) = sent(&protocol.received(Message::Reply { result: schema.to_json(), id }));
    assert_eq!(method, "monitor_cond_since");
    // The next connection begins as if nothing had been expected.
    protocol.disconnected();
    assert_eq!(sent(&protocol.connected()).0, "get_schema");
}

#[test]
fn what_an_older_server_lacks_is_named_as_far_as_it_is_subscribed_to() {
    let older = json!({"name": "D", "tables": {"T": {"columns": {"name": {"type": "string"}}}}});
    let lacking = |tables: Option<Vec<(String, Option<Vec<String>>)>>| {
        let mut protocol = Protocol::new("D", Subscription { tables, ..Subscription::default() });
        protocol.written_for(model::Schema::from_json(&schema()).unwrap());
        let (_, _, id) = sent(&protocol.connected());
        let (_, params, _) = sent(&protocol.received(Message::Reply { result: older.clone(), id }));
        assert_eq!(params[2]["T"][0]["columns"], json!(["name"]));
        protocol.lacking()
    };
    let column = |name| format!("T table in D database lacks {name} column (database needs upgrade?)");
    let table = "D database lacks K table (database needs upgrade?)".to_owned();
    assert_eq!(lacking(None), [column("n"), column("tags"), column("kid"), table]);
    let some = vec![("T".to_owned(), Some(vec!["name".to_owned(), "tags".to_owned()]))];
    assert_eq!(lacking(Some(some)), [column("tags")]);
    assert!(live().lacking().is_empty());
}

/// Of a column that is merged only what came and went is told, unless it is set as well.
#[test]
fn merged_columns_leave_room_for_others() {
    let schema = model::Schema::from_json(&json!({"name": "D", "tables": {"T": {"columns": {
        "map": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
        "set": {"type": {"key": "integer", "min": 0, "max": "unlimited"}}
    }}}}))
    .unwrap();
    let mut protocol = Protocol::new("D", Subscription::default());
    protocol.expect_schema(schema.clone());
    let (_, _, id) = sent(&protocol.connected());
    let row = json!({"initial": {"map": ["map", [["a", "1"], ["b", "2"]]], "set": ["set", [1, 2]]}});
    let updates = json!([false, model::Uuid::nil().to_string(), {"T": {A: row}}]);
    protocol.received(Message::Reply { result: updates, id });
    let uuid = model::parse_uuid(A).unwrap();
    let map = |pairs: &[(&str, &str)]| {
        model::Datum::map(pairs.iter().map(|(k, v)| (model::Atom::from(*k), model::Atom::from(*v))))
    };
    let mut transaction = Transaction::new(protocol.tables());
    transaction.merge("T", &uuid, "map", map(&[("a", "1"), ("b", "3"), ("c", "4")]));
    transaction.merge("T", &uuid, "set", model::Datum::set([2i64, 3].map(model::Atom::from)));
    let (_, params, _) = sent(&protocol.commit(transaction).1);
    let condition = json!([["_uuid", "==", ["uuid", A]]]);
    let expected = json!({"op": "mutate", "table": "T", "where": condition, "mutations": [
        ["map", "delete", ["set", ["b", "c"]]],
        ["map", "insert", ["map", [["b", "3"], ["c", "4"]]]],
        ["set", "insert", 3],
        ["set", "delete", 1],
    ]});
    assert_eq!(params[1..], [expected]);
    let mut transaction = Transaction::new(protocol.tables());
    transaction.set("T", &uuid, "set", model::Datum::set([9i64].map(model::Atom::from)));
    transaction.merge("T", &uuid, "set", model::Datum::set([9i64, 10].map(model::Atom::from)));
    let (_, params, _) = sent(&protocol.commit(transaction).1);
    let expected =
        json!({"op": "update", "table": "T", "where": condition, "row": {"set": ["set", [9, 10]]}});
    assert_eq!(params[1..], [expected]);
}
