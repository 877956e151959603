//! The conversation with a server, message by message.

use model::Json;
use rpc::Message;
use serde_json::json;
use uuid::Uuid;

use crate::{Core, Event, MonitorSpec};

const ROW: &str = "00000000-0000-4000-8000-000000000001";

fn schema() -> Json {
    json!({ "name": "db", "version": "1.0.0", "tables": { "t": { "isRoot": true, "columns": {
        "name": { "type": "string" },
        "tags": { "type": { "key": "integer", "min": 0, "max": "unlimited" } },
        "ids": { "type": { "key": "string", "value": "string", "min": 0, "max": "unlimited" } },
    }}}})
}

fn core() -> Core {
    Core::new("db", MonitorSpec { tables: [("t".to_owned(), Vec::new())].into() })
}

/// Answers what the core asks with `result`; the method that it asked.
fn answer(core: &mut Core, result: Result<Json, Json>) -> (String, Option<Event>) {
    let mut outgoing = core.take_outgoing();
    assert_eq!(outgoing.len(), 1, "one question at a time");
    let Message::Request { method, id, .. } = outgoing.remove(0) else { panic!("not a request") };
    let reply = match result {
        Ok(result) => Message::Reply { id, result },
        Err(error) => Message::Error { id, error },
    };
    (method, core.handle(reply).unwrap())
}

fn synced() -> Core {
    let mut core = core();
    core.connected();
    assert_eq!(answer(&mut core, Ok(schema())).0, "get_schema");
    let rows = json!({ "t": { ROW: { "initial": { "name": "a", "tags": ["set", [1, 2]] } } } });
    let (method, event) = answer(&mut core, Ok(json!([false, ROW, rows])));
    assert_eq!((method.as_str(), event), ("monitor_cond_since", Some(Event::Changed)));
    core
}

fn uuid() -> Uuid {
    Uuid::parse_str(ROW).unwrap()
}

#[test]
fn differences_are_applied_and_changes_are_told() {
    let mut core = synced();
    assert_eq!(core.take_changes().len(), 1);
    let update =
        json!({ "t": { ROW: { "modify": { "tags": ["set", [2, 3]], "ids": ["map", [["k", "v"]]] } } } });
    let event = core.handle(Message::notify("update3", vec![json!("monitor"), json!("x"), update])).unwrap();
    assert_eq!(event, Some(Event::Changed));
    let row = core.table("t").unwrap().row(&uuid()).unwrap();
    assert_eq!(
        (row.text("name"), row.integers("tags"), row.map_value("ids", "k")),
        ("a", vec![1, 3], Some("v"))
    );
    let gone = json!({ "t": { ROW: { "delete": null } } });
    core.handle(Message::notify("update3", vec![json!("monitor"), json!("y"), gone])).unwrap();
    assert!(core.table("t").unwrap().is_empty());
    assert_eq!(core.take_changes().len(), 1);
}

#[test]
fn after_a_reconnection_only_what_was_missed_is_asked_for() {
    let mut core = synced();
    core.disconnected();
    assert!(!core.is_synced());
    core.connected();
    answer(&mut core, Ok(schema()));
    let outgoing = core.take_outgoing();
    let Message::Request { params, id, .. } = &outgoing[0] else { panic!("not a request") };
    assert_eq!(params[3], ROW, "the last transaction that it has");
    let reply = Message::Reply { id: id.clone(), result: json!([true, ROW, {}]) };
    core.handle(reply).unwrap();
    assert_eq!(core.table("t").unwrap().len(), 1, "rows stay");
}

#[test]
fn an_old_server_is_asked_in_the_old_way() {
    let mut core = core();
    core.connected();
    answer(&mut core, Ok(schema()));
    assert_eq!(answer(&mut core, Err(json!("unknown method"))).0, "monitor_cond_since");
    let (method, event) = answer(&mut core, Ok(json!({ "t": { ROW: { "new": { "name": "b" } } } })));
    assert_eq!((method.as_str(), event), ("monitor", Some(Event::Changed)));
    assert_eq!(core.table("t").unwrap().row(&uuid()).unwrap().text("name"), "b");
}

#[test]
fn nonsense_from_the_server_is_an_error_not_a_panic() {
    for update in [
        json!(7),
        json!({ "x": {} }),
        json!({ "t": { "no-uuid": {} } }),
        json!({ "t": { ROW: { "modify": { "tags": {} } } } }),
    ] {
        let mut core = synced();
        let notify = Message::notify("update3", vec![json!("monitor"), json!("x"), update.clone()]);
        assert!(core.handle(notify).is_err(), "{update}");
    }
}

#[test]
fn a_lost_connection_ends_the_transactions_under_way() {
    let mut core = synced();
    let id = core.transact(vec![json!({ "op": "comment", "comment": "x" })]);
    let events = core.disconnected();
    assert_eq!(events, [Event::Transacted { id, result: Err("connection lost".into()) }]);
}
