#![no_main]
//! Lines of any text are transactions: each is executed or refused, and what was committed comes back from
//! its record in the log.

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use model::Schema;
use store::record::{Style, decode, encode};
use store::{Database, Executed, Request, execute};

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let json = schema::OPEN_VSWITCH.to_json();
    Arc::new(Schema::from_json(&json).expect("the schema that is built in"))
});

/// All rows, in no order, whatever their versions.
fn contents(database: &Database) -> model::Json {
    let mut all = String::new();
    let style = Style { column_diff: false, date_ms: 0 };
    let written = store::record::encode_snapshot(&database.snapshot(), None, style, &mut |piece| {
        all.push_str(piece);
        Ok(())
    });
    written.expect("writing to a string");
    serde_json::from_str(&all).expect("a snapshot is JSON")
}

fuzz_target!(|text: &str| {
    let (mut database, mut copy) = (Database::new(SCHEMA.clone()), Database::new(SCHEMA.clone()));
    for line in text.lines() {
        let Ok(operations) = serde_json::from_str::<Vec<model::Json>>(line) else { continue };
        let mut params = vec![model::Json::from("Open_vSwitch")];
        params.extend(operations);
        let executed = execute(&database, &Request::of(&params));
        let Executed::Ready { transaction, .. } = executed else { continue };
        let Ok(changes) = database.commit(transaction) else { continue };
        let style = Style { column_diff: true, date_ms: 0 };
        let mut record = String::new();
        if !encode(&mut record, &database, &changes, style) {
            continue;
        }
        let json = serde_json::from_str(&record).expect("a record is JSON");
        let again = decode(&copy, &json, false).expect("a record can be read");
        copy.commit(again).expect("what was committed can be committed");
    }
    assert_eq!(contents(&database), contents(&copy));
});
