//! Relays and backups, over real sockets: the source on one, the follower beside it on the same runtime.

use super::{insert, outbox};
use crate::{
    Identity, Listeners, Progress, Remote, Server, SessionId, SharedServer, Source, run_relay,
    run_replication,
};
use base::Clock;
use rpc::{Message, Tls};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use store::DatabaseFile;
use tokio::task::{LocalSet, spawn_local};

fn database(tables: &[&str]) -> DatabaseFile {
    let columns = json!({
        "name": {"type": "string"},
        "tags": {"type": {"key": "integer", "min": 0, "max": "unlimited"}}
    });
    let tables: serde_json::Map<String, Value> =
        tables.iter().map(|name| ((*name).to_owned(), json!({ "columns": columns }))).collect();
    let schema = json!({"name": "D", "tables": tables});
    DatabaseFile::in_memory(model::Schema::from_json(&schema).unwrap())
}

fn shared() -> SharedServer {
    Rc::new(RefCell::new(Server::new(Clock::new()).unwrap()))
}

/// Runs a test where tasks can be spawned, with a limit.
fn on_runtime<F: Future<Output = ()> + 'static>(test: impl FnOnce(String) -> F) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s").display().to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(Duration::from_secs(120), test(socket)).await.unwrap();
    });
}

async fn listen(server: &SharedServer, socket: &str) -> Listeners {
    let mut listeners = Listeners::new(server.clone(), Clock::new());
    let errors = listeners.set_remotes(&[Remote::new(&format!("punix:{socket}"))]).await;
    assert!(errors.is_empty(), "{errors:?}");
    listeners
}

async fn until(mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < limit, "it did not come to be");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Sends a request and collects all that comes, up to its reply.
async fn ask(server: &SharedServer, id: SessionId, method: &str, params: Value) -> Vec<Message> {
    let params = params.as_array().unwrap().clone();
    server.borrow_mut().handle(id, Message::request(method, params, "x"));
    let mut messages = Vec::new();
    until(|| {
        messages.extend(outbox(&mut server.borrow_mut(), id));
        messages.iter().any(|m| matches!(m, Message::Reply { .. } | Message::Error { .. }))
    })
    .await;
    messages
}

fn names(server: &SharedServer, table: &str) -> Vec<String> {
    let server = server.borrow();
    let Some(table) = server.database("D").and_then(|file| file.database.table(table)) else {
        return Vec::new();
    };
    let column = table.schema.column("name").unwrap().index;
    let mut names: Vec<String> = table.rows().map(|row| row.column(column).unwrap().to_bare()).collect();
    names.sort();
    names
}

fn relay(server: &SharedServer, socket: &str) {
    server.borrow_mut().add_relay("D").unwrap();
    let probe = Rc::new(Cell::new(Duration::from_secs(5)));
    let remotes = vec![format!("unix:{socket}")];
    let (tls, clock) = (Tls::default(), Clock::new());
    spawn_local(run_relay(server.clone(), "D".to_owned(), remotes, probe, None, tls, clock));
}

#[test]
fn a_relay_answers_from_its_copy_and_forwards_changes() {
    on_runtime(|socket| async move {
        let (source, middle, end) = (shared(), shared(), shared());
        // The relays are there before the source has the database, and the second follows the first.
        let _source_listeners = listen(&source, &socket).await;
        let middle_socket = format!("{socket}.middle");
        let _middle_listeners = listen(&middle, &middle_socket).await;
        relay(&middle, &socket);
        relay(&end, &middle_socket);
        let client = end.borrow_mut().open_session("test", Identity::default());
        let early = ask(&end, client, "get_schema", json!(["D"])).await;
        assert!(
            matches!(&early[..], [Message::Error { error, .. }] if error["error"] == "database not available")
        );
        let aware = ask(&end, client, "set_db_change_aware", json!([true])).await;
        assert!(matches!(&aware[..], [Message::Reply { .. }]));
        source.borrow_mut().add_database(database(&["T"])).unwrap();
        until(|| end.borrow().database("D").is_some_and(|file| file.database.table("T").is_some())).await;
        ask(&end, client, "monitor", json!(["D", "m", {"T": {"columns": ["name"]}}])).await;
        let messages = ask(&end, client, "transact", json!(["D", insert("a", &[1, 2])])).await;
        // What the transaction did is told before its reply.
        let [Message::Notify { method, .. }, Message::Reply { result, .. }] = &messages[..] else {
            panic!("{messages:?}")
        };
        assert_eq!(method, "update");
        assert!(result[0].get("uuid").is_some(), "{result}");
        assert_eq!((names(&source, "T"), names(&end, "T")), (vec!["a".to_owned()], vec!["a".to_owned()]));
        // A transaction that only reads stays here; one that is wrong is refused here.
        let read =
            ask(&end, client, "transact", json!(["D", {"op": "select", "table": "T", "where": []}])).await;
        assert!(matches!(&read[..], [Message::Reply { result, .. }] if result[0]["rows"][0]["name"] == "a"));
        let wrong =
            ask(&end, client, "transact", json!(["D", {"op": "delete", "table": "X", "where": []}])).await;
        assert!(matches!(&wrong[..], [Message::Reply { result, .. }] if result[0].get("error").is_some()));
        // Another schema at the source is another schema here.
        let other = database(&["T", "U"]).database.schema.to_json();
        source.borrow_mut().convert("D", model::Schema::from_json(&other).unwrap()).unwrap();
        until(|| end.borrow().database("D").is_some_and(|file| file.database.table("U").is_some())).await;
        until(|| names(&end, "T") == ["a"]).await;
    });
}

#[test]
fn a_backup_follows_and_is_read_only_until_its_source_is_wrong() {
    on_runtime(|socket| async move {
        let (active, backup) = (shared(), shared());
        let _listeners = listen(&active, &socket).await;
        active.borrow_mut().add_database(database(&["T", "Own"])).unwrap();
        backup.borrow_mut().add_database(database(&["T", "Own", "More"])).unwrap();
        let writer = active.borrow_mut().open_session("test", Identity::default());
        let client = backup.borrow_mut().open_session("test", Identity::default());
        let own = |name: &str| json!({"op": "insert", "table": "Own", "row": {"name": name}});
        ask(&backup, client, "transact", json!(["D", insert("old", &[]), own("here")])).await;
        ask(&active, writer, "transact", json!(["D", insert("new", &[3]), own("there")])).await;
        let progress = Rc::new(Cell::new(Progress::Connecting));
        let wake = Rc::new(tokio::sync::Notify::new());
        let source = |target: String| Source {
            target,
            excluded: vec!["Own".to_owned()],
            probe_interval: Rc::new(Cell::new(Duration::from_secs(5))),
            max_backoff: None,
        };
        backup.borrow_mut().set_backup("D", true);
        let following = spawn_local(run_replication(
            backup.clone(),
            "D".to_owned(),
            source(format!("unix:{socket}")),
            progress.clone(),
            wake.clone(),
            Tls::default(),
            Clock::new(),
        ));
        until(|| progress.get() == Progress::Replicating).await;
        assert_eq!(
            (names(&backup, "T"), names(&backup, "Own")),
            (vec!["new".to_owned()], vec!["here".to_owned()])
        );
        let update = json!({"op": "update", "table": "T", "where": [], "row": {"name": "newer"}});
        ask(&active, writer, "transact", json!(["D", update, insert("second", &[])])).await;
        until(|| names(&backup, "T") == ["newer", "second"]).await;
        let delete = json!({"op": "delete", "table": "T", "where": [["name", "==", "newer"]]});
        ask(&active, writer, "transact", json!(["D", delete])).await;
        until(|| names(&backup, "T") == ["second"]).await;
        let refused = ask(&backup, client, "transact", json!(["D", insert("mine", &[])])).await;
        assert!(
            matches!(&refused[..], [Message::Reply { result, .. }] if result[0]["error"] == "not allowed")
        );
        following.abort();
        // Nobody replicates from itself.
        let own_socket = format!("{socket}.own");
        let _own_listeners = listen(&backup, &own_socket).await;
        let itself = source(format!("unix:{own_socket}"));
        run_replication(
            backup.clone(),
            "D".to_owned(),
            itself,
            progress.clone(),
            wake,
            Tls::default(),
            Clock::new(),
        )
        .await;
        assert_eq!(progress.get(), Progress::Failed);
        backup.borrow_mut().set_backup("D", false);
        let taken = ask(&backup, client, "transact", json!(["D", insert("mine", &[])])).await;
        assert!(matches!(&taken[..], [Message::Reply { result, .. }] if result[0].get("uuid").is_some()));
    });
}

#[test]
fn many_watchers_of_a_busy_server_all_see_the_last_state() {
    on_runtime(|socket| async move {
        let server = shared();
        let _listeners = listen(&server, &socket).await;
        server.borrow_mut().add_database(database(&["T"])).unwrap();
        let writer = server.borrow_mut().open_session("test", Identity::default());
        ask(&server, writer, "transact", json!(["D", insert("n", &[])])).await;
        let mut watchers = Vec::new();
        for n in 0..40 {
            let mut stream = rpc::Stream::connect(&format!("unix:{socket}"), 0, &Tls::default())
                .await
                .map(rpc::Connection::new)
                .unwrap();
            // Half of them want the same, under two names.
            let columns = if n % 2 == 0 { json!(["tags"]) } else { json!(["tags", "name"]) };
            let params = json!(["D", n % 4, {"T": [{ "columns": columns }]}]);
            let request = Message::request("monitor_cond", params.as_array().unwrap().clone(), 0);
            assert!(matches!(stream.transact(&request).await.unwrap(), Message::Reply { .. }));
            watchers.push(stream);
        }
        for n in 0..50 {
            let mutation =
                json!({"op": "mutate", "table": "T", "where": [], "mutations": [["tags", "insert", n]]});
            ask(&server, writer, "transact", json!(["D", mutation])).await;
            if n % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
        for (n, watcher) in watchers.iter_mut().enumerate() {
            let mut seen = 0;
            while seen < 50 {
                let Message::Notify { method, params } = watcher.receive().await.unwrap() else {
                    panic!("not a notification")
                };
                assert_eq!((method.as_str(), &params[0]), ("update2", &json!(n % 4)));
                let rows = params[1]["T"].as_object().unwrap();
                let tags = &rows.values().next().unwrap()["modify"]["tags"];
                // One number is not a set.
                seen += tags.get(1).and_then(Value::as_array).map_or(1, Vec::len);
            }
            assert_eq!(seen, 50);
        }
    });
}

#[test]
fn replies_come_in_order_whether_they_wait_for_the_disk_or_not() {
    on_runtime(|socket| async move {
        let server = shared();
        let _listeners = listen(&server, &socket).await;
        let path = format!("{socket}.db");
        DatabaseFile::create(&path, &database(&["T"]).database.schema).unwrap();
        let file = DatabaseFile::open(&path, store::log_file::Mode::ReadWrite).unwrap();
        server.borrow_mut().add_database(file).unwrap();
        let mut client = rpc::Stream::connect(&format!("unix:{socket}"), 0, &Tls::default())
            .await
            .map(rpc::Connection::new)
            .unwrap();
        for n in 0..60 {
            let commit = json!({"op": "commit", "durable": n % 3 == 0});
            let mut params = vec![json!("D"), insert(&format!("row{n}"), &[n])];
            params.extend((n % 2 == 0).then_some(commit));
            client.send(&Message::request("transact", params, n));
            if n == 30 {
                // A compaction beside them changes nothing for the client.
                drop(server.borrow_mut().compact("D").unwrap());
            }
        }
        for n in 0..60 {
            let Message::Reply { result, id } = client.receive().await.unwrap() else { panic!("no reply") };
            assert_eq!(id, n);
            assert!(result[0].get("uuid").is_some(), "{result}");
        }
        assert!(server.borrow().holding.is_empty());
        until(|| !server.borrow().database("D").unwrap().is_compacting()).await;
        server.borrow_mut().remove_database("D", "test");
        let again = DatabaseFile::open(&path, store::log_file::Mode::ReadOnly).unwrap();
        assert_eq!(again.database.table("T").unwrap().len(), 60);
    });
}

/// A client that asks and never reads keeps a bounded amount of memory and nobody else waiting.
#[test]
fn a_client_that_does_not_read_is_not_listened_to() {
    on_runtime(|socket| async move {
        use tokio::io::AsyncWriteExt;
        let server = shared();
        let _listeners = listen(&server, &socket).await;
        server.borrow_mut().add_database(database(&["T"])).unwrap();
        let writer = server.borrow_mut().open_session("test", Identity::default());
        let many: Vec<i64> = (0..2000).collect();
        ask(&server, writer, "transact", json!(["D", insert("long", &many)])).await;
        let mut deaf = tokio::net::UnixStream::connect(&socket).await.unwrap();
        let monitor = Message::request("monitor", vec![json!("D"), json!("m"), json!({"T": {}})], 0);
        deaf.write_all(&monitor.encode()).await.unwrap();
        let select = json!({"op": "select", "table": "T", "where": []});
        let request = Message::request("transact", vec![json!("D"), select], 1).encode();
        // As many requests as fit; the server stops reading when its answers are not taken.
        let mut sent = 0u32;
        while tokio::time::timeout(Duration::from_millis(300), deaf.write_all(&request)).await.is_ok() {
            sent += 1;
            assert!(sent < 100_000, "the server reads without end");
        }
        for n in 0..50 {
            let update = json!({"op": "update", "table": "T", "where": [], "row": {"name": format!("n{n}")}});
            ask(&server, writer, "transact", json!(["D", update])).await;
        }
        let usage = server.borrow().memory_usage();
        assert!(usage["backlog"] < 2 << 20, "{usage:?}");
        // Fifty updates of one row are one change to be told.
        assert_eq!(usage["changes"], 1, "{usage:?}");
    });
}
