mod followers;
mod naive;
mod properties;

use crate::{Identity, Server, SessionId};
use base::Clock;
use rpc::Message;
use serde_json::{Value, json};
use std::task::Waker;
use std::time::Duration;
use store::DatabaseFile;

fn server() -> Server {
    let schema = json!({"name": "D", "tables": {"T": {"indexes": [["name"]], "columns": {
        "name": {"type": "string"},
        "tags": {"type": {"key": "integer", "min": 0, "max": "unlimited"}}
    }}}});
    let clock = Clock::new();
    clock.stop();
    let mut server = Server::new(clock).unwrap();
    server.add_database(DatabaseFile::in_memory(model::Schema::from_json(&schema).unwrap())).unwrap();
    server
}

fn outbox(server: &mut Server, id: SessionId) -> Vec<Message> {
    let (chunks, _) = server.drain(id, 0, Waker::noop());
    let mut scanner = rpc::framing::Scanner::new(1 << 20);
    chunks.iter().for_each(|chunk| scanner.push(chunk.bytes()));
    let mut messages = Vec::new();
    while let Some(bytes) = scanner.next_value().unwrap() {
        messages.push(Message::decode(bytes).unwrap());
    }
    messages
}

fn ask(server: &mut Server, id: SessionId, method: &str, params: Value) -> Vec<Message> {
    let params = params.as_array().unwrap().clone();
    server.handle(id, Message::request(method, params, "x"));
    outbox(server, id)
}

fn result(messages: &[Message]) -> &Value {
    match messages {
        [.., Message::Reply { result, .. }] => result,
        other => panic!("no reply: {other:?}"),
    }
}

fn insert(name: &str, tags: &[i64]) -> Value {
    json!({"op": "insert", "table": "T", "row": {"name": name, "tags": ["set", tags]}})
}

#[test]
fn monitors_tell_each_version_its_own_way() {
    let mut server = server();
    let [a, b, c] = [(); 3].map(|()| server.open_session("test", Identity::default()));
    ask(&mut server, a, "transact", json!(["D", insert("old", &[1])]));
    let one = ask(&mut server, a, "monitor", json!(["D", "m", {"T": {"columns": ["name", "tags"]}}]));
    assert_eq!(
        result(&one)["T"].as_object().unwrap().values().next().unwrap(),
        &json!({"new": {"name": "old", "tags": 1}})
    );
    ask(
        &mut server,
        b,
        "monitor_cond",
        json!(["D", ["m"], {"T": [{"columns": ["tags"], "where": [["name", "==", "old"]]}]}]),
    );
    let three = ask(
        &mut server,
        c,
        "monitor_cond_since",
        json!(["D", null, {"T": [{"select": {"initial": false}}]}, "00000000-0000-0000-0000-000000000000"]),
    );
    assert_eq!(result(&three), &json!([false, "00000000-0000-0000-0000-000000000000", {}]));

    let messages = ask(
        &mut server,
        a,
        "transact",
        json!(["D",
        {"op": "mutate", "table": "T", "where": [], "mutations": [["tags", "insert", 2]]}, insert("new", &[])]),
    );
    let Message::Notify { method, params } = &messages[0] else { panic!("{messages:?}") };
    assert_eq!((method.as_str(), &params[0]), ("update", &json!("m")));
    let rows: Vec<&Value> = params[1]["T"].as_object().unwrap().values().collect();
    assert!(rows.contains(&&json!({"old": {"tags": 1}, "new": {"name": "old", "tags": ["set", [1, 2]]}})));
    assert!(rows.contains(&&json!({"new": {"name": "new", "tags": ["set", []]}})));

    let messages = outbox(&mut server, b);
    let [Message::Notify { method, params }] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!((method.as_str(), &params[0]), ("update2", &json!(["m"])));
    assert_eq!(
        params[1]["T"].as_object().unwrap().values().collect::<Vec<_>>(),
        [&json!({"modify": {"tags": 2}})]
    );

    let changed = ask(
        &mut server,
        b,
        "monitor_cond_change",
        json!([["m"], ["n"], {"T": [{"where": [["name", "==", "new"]]}]}]),
    );
    let Message::Notify { params, .. } = &changed[0] else { panic!("{changed:?}") };
    let rows: Vec<&Value> = params[1]["T"].as_object().unwrap().values().collect();
    assert!(rows.contains(&&json!({"delete": null})) && rows.contains(&&json!({"insert": {}})));
    assert_eq!(outbox(&mut server, c).len(), 1);
}

#[test]
fn a_waiting_transaction_runs_when_its_rows_come_or_its_time_is_over() {
    let mut server = server();
    let [a, b] = [(); 2].map(|()| server.open_session("test", Identity::default()));
    let wait = |timeout: u64| json!(["D", {"op": "wait", "timeout": timeout, "table": "T", "where": [], "columns": ["name"], "until": "==", "rows": [{"name": "x"}]}]);
    assert!(ask(&mut server, a, "transact", wait(500)).is_empty());
    ask(&mut server, b, "transact", json!(["D", insert("x", &[])]));
    assert_eq!(result(&outbox(&mut server, a)), &json!([{}]));
    ask(&mut server, b, "transact", json!(["D", insert("y", &[])]));
    assert!(ask(&mut server, a, "transact", wait(500)).is_empty());
    server.clock.warp(Duration::from_millis(500));
    server.run_timeouts();
    assert_eq!(result(&outbox(&mut server, a))[0]["details"], "\"wait\" timed out after 500 ms");
    assert!(ask(&mut server, a, "transact", wait(500)).is_empty());
    server.handle(a, Message::notify("cancel", vec![json!("x")]));
    assert!(
        matches!(outbox(&mut server, a).as_slice(), [Message::Error { error, .. }] if error == "canceled")
    );
}

/// Counts how often it was woken.
#[derive(Default)]
struct Bell(std::sync::atomic::AtomicUsize);

impl std::task::Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn a_deadline_that_comes_to_be_wakes_who_sleeps_until_the_one_before() {
    let mut server = server();
    let [a, b, c] = [(); 3].map(|()| server.open_session("test", Identity::default()));
    let wait = |limit: Value| {
        let mut wait = json!({"op": "wait", "table": "T", "where": [], "columns": ["name"], "until": "==", "rows": [{"name": "x"}]});
        if !limit.is_null() {
            wait["timeout"] = limit;
        }
        json!(["D", wait])
    };
    let bell = std::sync::Arc::new(Bell::default());
    let rings = || bell.0.load(std::sync::atomic::Ordering::Relaxed);
    server.wake_on_deadline(&bell.clone().into());
    assert!(ask(&mut server, a, "transact", wait(Value::Null)).is_empty());
    assert_eq!((server.deadline(), rings()), (None, 0), "what waits for ever has no deadline");
    assert!(ask(&mut server, b, "transact", wait(json!(5000))).is_empty());
    assert_eq!(rings(), 1);
    let first = server.deadline().unwrap();
    server.wake_on_deadline(&bell.clone().into());
    assert!(ask(&mut server, c, "transact", wait(json!(50))).is_empty());
    assert_eq!(rings(), 2);
    assert!(server.deadline().unwrap() < first);
}

#[test]
fn locks_have_one_owner_and_a_queue() {
    let mut server = server();
    let [a, b, c] = [(); 3].map(|()| server.open_session("test", Identity::default()));
    assert_eq!(result(&ask(&mut server, a, "lock", json!(["l"]))), &json!({"locked": true}));
    assert_eq!(result(&ask(&mut server, b, "lock", json!(["l"]))), &json!({"locked": false}));
    assert_eq!(result(&ask(&mut server, c, "steal", json!(["l"]))), &json!({"locked": true}));
    assert_eq!(outbox(&mut server, a), [Message::notify("stolen", vec![json!("l")])]);
    let refused = ask(&mut server, a, "transact", json!(["D", {"op": "assert", "lock": "l"}]));
    assert_eq!(result(&refused)[0]["error"], "not owner");
    server.close_session(c);
    assert_eq!(outbox(&mut server, a), [Message::notify("locked", vec![json!("l")])]);
    ask(&mut server, a, "unlock", json!(["l"]));
    assert_eq!(outbox(&mut server, b), [Message::notify("locked", vec![json!("l")])]);
}

#[test]
fn clients_that_know_of_changing_databases_stay() {
    let mut server = server();
    let [aware, unaware] = [(); 2].map(|()| server.open_session("test", Identity::default()));
    ask(&mut server, aware, "set_db_change_aware", json!([true]));
    ask(&mut server, aware, "monitor", json!(["D", 7, {"T": {}}]));
    assert!(server.remove_database("D", "test"));
    assert_eq!(outbox(&mut server, aware), [Message::notify("monitor_canceled", vec![json!(7)])]);
    assert!(server.drain(unaware, 0, Waker::noop()).1.is_some());
    let names = ask(&mut server, aware, "list_dbs", json!([]));
    assert_eq!(result(&names), &json!(["_Server"]));
}

#[test]
fn a_database_names_no_open_file_as_a_remote() {
    let mut server = server();
    let id = server.open_session("test", Identity::default());
    ask(&mut server, id, "transact", json!(["D", insert("pfd:3", &[]), insert("punix:s", &[])]));
    let remotes = crate::database_remotes(&server, "db:D,T,name").unwrap();
    assert_eq!(remotes.iter().map(|remote| remote.target.as_str()).collect::<Vec<_>>(), ["punix:s"]);
}
