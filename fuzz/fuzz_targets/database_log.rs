#![no_main]
//! Any bytes are a database file: it is read up to what is damaged, or refused.

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use store::DatabaseFile;
use store::log_file::Mode;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut file) = tempfile::NamedTempFile::new_in("/dev/shm") else { return };
    if file.write_all(bytes).is_err() {
        return;
    }
    let path = file.path().display().to_string();
    let _ = DatabaseFile::open(&path, Mode::ReadOnly);
});
