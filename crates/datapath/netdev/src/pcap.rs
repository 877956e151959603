//! Capture files (the classic libpcap format).

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

/// A capture file being written.
#[derive(Debug)]
pub struct PcapWriter(BufWriter<File>);

impl PcapWriter {
    /// Makes the file; what is in one that is there stays, and more is appended. Errors are the system's.
    pub fn open(path: &Path) -> io::Result<PcapWriter> {
        let file = File::options().create(true).append(true).open(path)?;
        let is_begun = file.metadata()?.len() != 0;
        let mut file = BufWriter::new(file);
        if is_begun {
            return Ok(PcapWriter(file));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_header_and_each_frame_when_it_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("frames.pcap");
        let mut writer = PcapWriter::open(&path).unwrap();
        let words = |bytes: &[u8]| -> Vec<u32> {
            bytes.chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect()
        };
        let header = std::fs::read(&path).unwrap();
        assert_eq!(header.len(), 24);
        assert_eq!(words(&header)[0], 0xa1b2_c3d4, "in the machine's order, microseconds");
        assert_eq!(words(&header)[4..], [1518, 1], "length of frames, Ethernet");
        writer.write(Duration::new(5, 6_007_000), &[0xaa; 60]).unwrap();
        writer.write(Duration::new(6, 0), &[0xbb; 4]).unwrap();
        let file = std::fs::read(&path).unwrap();
        assert_eq!(words(&file[24..40]), [5, 6007, 60, 60]);
        assert_eq!(file[40..100], [0xaa; 60]);
        assert_eq!(words(&file[100..116]), [6, 0, 4, 4]);
        assert_eq!(file[116..], [0xbb; 4]);
        PcapWriter::open(&path).unwrap().write(Duration::new(7, 0), &[0xcc; 2]).unwrap();
        let longer = std::fs::read(&path).unwrap();
        assert_eq!((&longer[..file.len()], words(&longer[file.len()..file.len() + 16])[0]), (&file[..], 7));
    }
}
