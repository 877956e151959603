//! A transaction from its text to its record in the log: a port comes to a bridge that has many, and goes again.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark that goes wrong is to stop")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use model::{Schema, Uuid};
use rpc::Message;
use serde_json::{Value, json};
use store::log_file::Mode;
use store::{DatabaseFile, Executed, Request, execute};

fn request(operations: Value) -> Vec<u8> {
    let mut params = vec![Value::from("Open_vSwitch")];
    params.extend(operations.as_array().into_iter().flatten().cloned());
    Message::request("transact", params, 1).encode()
}

fn decode(bytes: &[u8]) -> Vec<Value> {
    let Ok(Message::Request { params, .. }) = Message::decode(bytes) else { panic!("not a request") };
    params
}

/// Executes a request and commits it; the results.
fn run(file: &mut DatabaseFile, params: &[Value]) -> Vec<Value> {
    match execute(&file.database, &Request::of(params)) {
        Executed::Ready { transaction, results, .. } => {
            file.commit(transaction, false).unwrap();
            results
        }
        other => panic!("{other:?}"),
    }
}

fn uuid(result: &Value) -> Uuid {
    result["uuid"][1].as_str().unwrap().parse().unwrap()
}

fn bridge(file: &mut DatabaseFile) -> Uuid {
    let operations = json!([
        {"op": "insert", "table": "Bridge", "uuid-name": "b", "row": {"name": "br0"}},
        {"op": "insert", "table": "Open_vSwitch", "row": {"bridges": ["named-uuid", "b"]}}]);
    uuid(&run(file, &decode(&request(operations)))[0])
}

fn add_port(bridge: Uuid, name: &str) -> Vec<u8> {
    request(json!([
        {"op": "insert", "table": "Interface", "uuid-name": "i", "row": {
            "name": name, "type": "internal", "external_ids": ["map", [["iface-id", name]]]}},
        {"op": "insert", "table": "Port", "uuid-name": "p", "row": {
            "name": name, "interfaces": ["named-uuid", "i"]}},
        {"op": "mutate", "table": "Bridge", "where": [["_uuid", "==", ["uuid", bridge.to_string()]]],
         "mutations": [["ports", "insert", ["named-uuid", "p"]]]}]))
}

/// Its interface goes with it, as nothing refers to that any more.
fn remove_port(bridge: Uuid, port: Uuid) -> Vec<u8> {
    request(json!([
        {"op": "mutate", "table": "Bridge", "where": [["_uuid", "==", ["uuid", bridge.to_string()]]],
         "mutations": [["ports", "delete", ["uuid", port.to_string()]]]}]))
}

fn benches(c: &mut Criterion) {
    let schema = Schema::from_json(&schema::OPEN_VSWITCH.to_json()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    for ports in [10, 1_000, 10_000] {
        let path = directory.path().join(ports.to_string()).display().to_string();
        DatabaseFile::create(&path, &schema).unwrap();
        let mut file = DatabaseFile::open(&path, Mode::ReadWrite).unwrap();
        let bridge = bridge(&mut file);
        for i in 0..ports {
            run(&mut file, &decode(&add_port(bridge, &format!("port{i}"))));
        }
        let add = add_port(bridge, "one-more");
        if ports == 10 {
            c.bench_function("decode", |b| b.iter(|| decode(black_box(&add))));
            let params = decode(&add);
            c.bench_function("execute", |b| b.iter(|| execute(&file.database, &Request::of(&params))));
        }
        c.bench_function(&format!("add and remove a port, {ports} others"), |b| {
            b.iter(|| {
                let results = run(&mut file, &decode(black_box(&add)));
                run(&mut file, &decode(&remove_port(bridge, uuid(&results[1]))));
            });
        });
    }
}

criterion_group!(group, benches);
criterion_main!(group);
