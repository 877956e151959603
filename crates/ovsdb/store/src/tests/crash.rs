//! What is on disk at any moment must be what was acknowledged: after every byte of the log, and after every
//! write of a compaction that goes on beside commits.

use super::*;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A schema whose rows are numbers, without limits.
fn numbers_schema() -> Schema {
    Schema::from_json(&json!({
        "name": "D",
        "tables": {"N": {"columns": {
            "n": {"type": "integer"},
            "others": {"type": {"key": "integer", "min": 0, "max": "unlimited"}}
        }}}
    }))
    .unwrap()
}

fn add(n: usize) -> Value {
    json!([{"op": "insert", "table": "N", "row": {"n": n}},
           {"op": "mutate", "table": "N", "where": [["n", "<", 3]], "mutations": [["others", "insert", n]]}])
}

/// The numbers in a file, however it ends.
fn numbers(path: &Path) -> Vec<i64> {
    let file = DatabaseFile::open(&path.display().to_string(), Mode::ReadOnly).unwrap();
    let table = file.database.table("N").unwrap();
    let n = table.schema.column("n").unwrap().index;
    let mut numbers: Vec<i64> = table.rows().filter_map(|row| row.column(n)?.one()?.as_integer()).collect();
    numbers.sort_unstable();
    numbers
}

fn up_to(n: usize) -> Vec<i64> {
    (0..n).map(|n| i64::try_from(n).unwrap()).collect()
}

fn create(directory: &tempfile::TempDir) -> std::path::PathBuf {
    let path = directory.path().join("d.db");
    DatabaseFile::create(&path.display().to_string(), &numbers_schema()).unwrap();
    path
}

fn transaction(file: &DatabaseFile, operations: &Value) -> Transaction {
    let mut params = vec![json!("D")];
    params.extend(operations.as_array().unwrap().iter().cloned());
    match execute(&file.database, &Request::of(&params)) {
        Executed::Ready { transaction, .. } => transaction,
        other => panic!("{other:?}"),
    }
}

/// A file whose threads tell on a channel.
fn serve(path: &Path) -> (DatabaseFile, Receiver<()>) {
    let mut file = DatabaseFile::open(&path.display().to_string(), Mode::ReadWrite).unwrap();
    let (sender, receiver) = channel();
    let sender = Mutex::new(sender);
    let notify = move || {
        let _ = sender.lock().unwrap().send(());
    };
    file.serve(Arc::new(notify)).unwrap();
    (file, receiver)
}

#[test]
fn a_cut_at_every_byte_leaves_whole_transactions() {
    let directory = tempfile::tempdir().unwrap();
    let path = create(&directory);
    let mut file = DatabaseFile::open(&path.display().to_string(), Mode::ReadWrite).unwrap();
    let mut ends = vec![std::fs::metadata(&path).unwrap().len()];
    for n in 0..6 {
        let transaction = transaction(&file, &add(n));
        file.commit(transaction, true).unwrap();
        ends.push(std::fs::metadata(&path).unwrap().len());
    }
    drop(file);
    let bytes = std::fs::read(&path).unwrap();
    let first = usize::try_from(ends[0]).unwrap();
    for cut in first..=bytes.len() {
        let other = directory.path().join("cut.db");
        std::fs::write(&other, &bytes[..cut]).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut as u64).count() - 1;
        assert_eq!(numbers(&other), up_to(whole), "cut at {cut}");
        // And it goes on from there.
        let mut file = DatabaseFile::open(&other.display().to_string(), Mode::ReadWrite).unwrap();
        let transaction = transaction(&file, &add(whole));
        file.commit(transaction, false).unwrap();
        drop(file);
        assert_eq!(numbers(&other), up_to(whole + 1), "cut at {cut}, then continued");
    }
}

#[test]
fn commits_beside_a_compaction_are_always_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = create(&directory);
    let (mut file, _news) = serve(&path);
    let mut n = 0;
    let copy = directory.path().join("copy.db");
    for round in 0..3 {
        assert!(file.start_compaction("test").unwrap());
        let mut after = 0;
        let limit = Instant::now() + Duration::from_secs(60);
        // Some commits before each look at what the thread has done, and some after the end.
        while after < 3 {
            let transaction = transaction(&file, &add(n));
            file.commit_unsynced(transaction, n % 5 == 0).unwrap();
            n += 1;
            std::fs::copy(&path, &copy).unwrap();
            assert_eq!(numbers(&copy), up_to(n), "round {round}");
            if n % 3 == 0 {
                let progress = file.poll_disk();
                assert!(progress.failure.is_none());
                if let Some(result) = progress.compacted {
                    result.unwrap();
                }
            }
            after += usize::from(!file.is_compacting());
            assert!(Instant::now() < limit);
        }
    }
    drop(file);
    assert_eq!(numbers(&path), up_to(n));
    assert!(!directory.path().join("d.db.tmp").exists());
}

#[test]
fn a_ticket_is_done_when_its_record_is_synced() {
    let directory = tempfile::tempdir().unwrap();
    let path = create(&directory);
    let (mut file, news) = serve(&path);
    let first = transaction(&file, &add(0));
    assert_eq!(file.commit_unsynced(first, false).unwrap().1, None);
    let mut last = 0;
    for n in 1..20 {
        let transaction = transaction(&file, &add(n));
        let ticket = file.commit_unsynced(transaction, true).unwrap().1.unwrap();
        assert!(ticket > last);
        last = ticket;
    }
    while file.poll_disk().synced < last {
        news.recv_timeout(Duration::from_secs(60)).unwrap();
    }
    // What changes nothing has nothing to wait for.
    let nothing = transaction(&file, &json!([{"op": "delete", "table": "N", "where": [["n", "==", 99]]}]));
    assert_eq!(file.commit_unsynced(nothing, true).unwrap().1, None);
}

#[test]
fn a_compaction_that_cannot_be_written_leaves_the_log_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = create(&directory);
    let (mut file, news) = serve(&path);
    let first = transaction(&file, &add(0));
    file.commit_unsynced(first, false).unwrap();
    // A directory stands where the new file is to be.
    std::fs::create_dir(directory.path().join("d.db.tmp")).unwrap();
    assert!(file.start_compaction("test").is_err());
    std::fs::remove_dir(directory.path().join("d.db.tmp")).unwrap();
    assert!(file.start_compaction("test").unwrap());
    // Given up in the middle, it leaves nothing behind.
    drop(file);
    assert_eq!(numbers(&path), up_to(1));
    drop(news);
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "{left:?}");
}

#[test]
fn a_large_record_is_read_row_by_row() {
    let directory = tempfile::tempdir().unwrap();
    let path = create(&directory);
    let mut file = DatabaseFile::open(&path.display().to_string(), Mode::ReadWrite).unwrap();
    let rows: Vec<Value> =
        (0..25_000).map(|n| json!({"op": "insert", "table": "N", "row": {"n": n}})).collect();
    let all = transaction(&file, &Value::Array(rows));
    file.commit(all, false).unwrap();
    file.compact("test").unwrap();
    drop(file);
    assert!(std::fs::metadata(&path).unwrap().len() > 1 << 20);
    assert_eq!(numbers(&path), up_to(25_000));
    // What is wrong with it is told as for small ones.
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines = text.lines();
    let (header, schema, _, record) = (lines.next(), lines.next(), lines.next(), lines.next());
    let damaged = record.unwrap().replacen("\"n\":", "\"m\":", 1);
    let bytes = [
        format!("{}\n{}\n", header.unwrap(), schema.unwrap()).into_bytes(),
        crate::log_file::compose(&damaged),
    ];
    std::fs::write(&path, bytes.concat()).unwrap();
    let error = DatabaseFile::read_strictly(&path.display().to_string(), Mode::ReadOnly, None).unwrap_err();
    assert!(error.to_string().contains("No column m in table N."), "{error}");
}
