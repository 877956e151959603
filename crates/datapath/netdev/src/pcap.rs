//! Capture files (the classic libpcap format).

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

/// A capture file being written.
#[derive(Debug)]
pub struct PcapWriter(BufWriter<File>);

impl PcapWriter {
    pub fn create(path: &Path) -> io::Result<PcapWriter> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&0xa1b2_c3d4u32.to_ne_bytes())?;
        file.write_all(&2u16.to_ne_bytes())?;
        file.write_all(&4u16.to_ne_bytes())?;
        file.write_all(&[0; 8])?;
        file.write_all(&1518u32.to_ne_bytes())?;
        file.write_all(&1u32.to_ne_bytes())?;
        file.flush()?;
        Ok(PcapWriter(file))
    }

    /// Appends a frame; it is in the file when this returns.
    pub fn write(&mut self, since_epoch: Duration, frame: &[u8]) -> io::Result<()> {
        self.0.write_all(&(since_epoch.as_secs() as u32).to_ne_bytes())?;
        self.0.write_all(&since_epoch.subsec_micros().to_ne_bytes())?;
        self.0.write_all(&(frame.len() as u32).to_ne_bytes())?;
        self.0.write_all(&(frame.len() as u32).to_ne_bytes())?;
        self.0.write_all(frame)?;
        self.0.flush()
    }
}
