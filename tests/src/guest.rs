//! Guests in QEMU: a kernel of Debian's, an initial file system made here, programs of this machine and ours.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::programs::{Programs, run};

/// A kernel that `cargo xtask test` has fetched: `vmlinuz` and modules.
pub struct Kernel(PathBuf);

impl Kernel {
    /// The kernel of this version, "6.1".
    pub fn named(version: &str) -> Kernel {
        let dir = Programs::Ours
            .path("ovs")
            .parent()
            .and_then(Path::parent)
            .map(|t| t.join("kernels").join(version));
        Kernel(dir.unwrap_or_default())
    }
}

/// An initial file system: a cpio archive of the "newc" form.
pub struct Image {
    bytes: Vec<u8>,
    present: HashSet<PathBuf>,
    inode: u32,
}

impl Image {
    /// The file system of a guest with this kernel's modules, busybox, and `/init` as its first process.
    pub fn new(kernel: &Kernel, init: &str) -> Image {
        let mut image = Image { bytes: Vec::new(), present: HashSet::new(), inode: 0 };
        image.file(Path::new("/init"), init.as_bytes());
        image.copy(Path::new("/bin/busybox"), Path::new("/bin/busybox"));
        let modules = kernel.0.join("modules");
        let entries = std::fs::read_dir(&modules)
            .unwrap_or_else(|e| panic!("{}: {e}: 'cargo xtask test' fetches it", modules.display()));
        for entry in entries {
            let entry = entry.expect("a readable directory");
            image.copy(&entry.path(), &Path::new("/modules").join(entry.file_name()));
        }
        image
    }

    /// Our programs, stripped, in `/programs`.
    pub fn add_ours(&mut self, scratch: &Path, names: &[&str]) {
        let stripped = scratch.join("ovs");
        run(Command::new("strip").arg("-o").arg(&stripped).arg(Programs::Ours.path("ovs"))).ok();
        self.copy(&stripped, Path::new("/programs/ovs"));
        self.add_libraries(&stripped);
        for name in names {
            self.entry(&Path::new("/programs").join(name), 0o120_777, b"ovs");
        }
    }

    /// A program of this machine with the libraries that it needs, where they are here.
    pub fn add_program(&mut self, path: &str) {
        self.copy(Path::new(path), Path::new(path));
        self.add_libraries(Path::new(path));
    }

    /// A file of this machine, where it is here.
    pub fn add_file(&mut self, path: &str) {
        self.copy(Path::new(path), Path::new(path));
    }

    fn add_libraries(&mut self, program: &Path) {
        let shown = run(Command::new("ldd").arg(program)).ok();
        for library in shown.split_whitespace().filter(|word| word.starts_with('/')) {
            self.copy(Path::new(library), Path::new(library));
        }
    }

    fn copy(&mut self, from: &Path, to: &Path) {
        if !self.present.contains(to) {
            let bytes = std::fs::read(from).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
            self.file(to, &bytes);
        }
    }

    fn file(&mut self, path: &Path, bytes: &[u8]) {
        self.entry(path, 0o100_755, bytes);
    }

    /// Adds an entry, and the directories above it that are missing.
    fn entry(&mut self, path: &Path, mode: u32, bytes: &[u8]) {
        if !self.present.insert(path.to_owned()) {
            return;
        }
        if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("/")) {
            self.entry(parent, 0o040_755, b"");
        }
        self.write(&path.to_string_lossy()[1..], mode, bytes);
    }

    fn write(&mut self, name: &str, mode: u32, bytes: &[u8]) {
        self.inode += 1;
        let links = 1;
        let fields =
            [self.inode, mode, 0, 0, links, 0, bytes.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend(bytes);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// The archive's bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.write("TRAILER!!!", 0, b"");
        self.bytes
    }
}

/// A running guest, which is killed when this is dropped.
pub struct Guest {
    child: Child,
    lines: Receiver<String>,
}

impl Guest {
    /// Boots a guest whose kernel gets `words`, with the arguments of QEMU that give it its NICs.
    pub fn boot(kernel: &Kernel, image: &Path, words: &str, nics: &[String]) -> Guest {
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-nodefaults", "-no-reboot", "-m", "384", "-display", "none", "-serial", "stdio"]);
        command.arg("-kernel").arg(kernel.0.join("vmlinuz")).arg("-initrd").arg(image);
        command.args(["-append", &format!("console=ttyS0 quiet panic=-1 {words}")]).args(nics);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut child = child.unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let console = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in console.split(b'\n').map_while(Result::ok) {
                // Nobody may be listening any more.
                let _ = sender.send(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
        });
        Guest { child, lines }
    }

    /// The next line on its console; `None` when it has ended, or said nothing for so long.
    pub fn line(&self, limit: Duration) -> Option<String> {
        self.lines.recv_timeout(limit).ok()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
