//! Kernels that the tests boot in QEMU: Debian's own, unpacked and not installed.
//!
//! `target/kernels/NAME/` gets `vmlinuz`, `modules/*.ko` and `modules/order`,
//! the order in which they can be inserted, and `wanted`, for which modules that was.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the kernels come from: Debian's releases, by their code names.
const KERNELS: &[(&str, &str)] = &[("6.1", "bookworm"), ("5.10", "bullseye")];

/// What the guests need of the kernel beyond what is built in, in this order: the first NIC is the virtio one.
const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_net",
    "e1000",
    "tun",
    "veth",
    "sch_ingress",
    "cls_bpf",
    "cls_matchall",
    "act_gact",
    "sch_htb",
    "sch_hfsc",
    "sch_sfq",
    "sch_codel",
    "sch_fq_codel",
    "sch_netem",
    "act_police",
    "cls_basic",
];

/// Fetches the kernels that are missing.
pub(crate) fn install(target: &Path) -> Result<(), String> {
    for (name, release) in KERNELS {
        let dir = target.join("kernels").join(name);
        let has_all =
            std::fs::read_to_string(dir.join("wanted")).is_ok_and(|wanted| wanted == MODULES.join("\n"));
        if has_all && dir.join("modules/order").exists() {
            continue;
        }
        eprintln!("fetching the kernel of Debian's release {release}, to boot it in tests");
        fetch(&dir, release).map_err(|e| format!("the kernel {name} of Debian's release {release}: {e}"))?;
    }
    Ok(())
}

fn fetch(dir: &Path, release: &str) -> Result<(), String> {
    let work = dir.with_extension("fetching");
    let _ = std::fs::remove_dir_all(&work);
    for sub in ["lists/partial", "cache/archives/partial", "root"] {
        std::fs::create_dir_all(work.join(sub)).map_err(|e| format!("{}: {e}", work.display()))?;
    }
    let apt = Apt::new(&work, release)?;
    apt.run("apt-get", &["update", "-qq"])?;
    let depends = apt.run("apt-cache", &["depends", "--important", "linux-image-amd64"])?;
    let image = depends
        .lines()
        .find_map(|line| {
            line.trim().strip_prefix("Depends: ").filter(|name| name.starts_with("linux-image-"))
        })
        .ok_or("linux-image-amd64 names no image")?;
    apt.run("apt-get", &["download", "-qq", image])?;
    let package = only_entry(&work, "deb")?;
    let root = work.join("root");
    output(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&root))?;
    unpack(&root, &work)?;
    let _ = std::fs::remove_dir_all(dir);
    let keep = |what: &str| move_into(&work.join("kept").join(what), &dir.join(what));
    std::fs::create_dir_all(dir).map_err(|e| e.to_string())?;
    keep("vmlinuz")?;
    keep("modules")?;
    std::fs::write(dir.join("wanted"), MODULES.join("\n")).map_err(|e| e.to_string())?;
    std::fs::remove_dir_all(&work).map_err(|e| e.to_string())
}

/// Takes what the guests need out of an unpacked package.
fn unpack(root: &Path, work: &Path) -> Result<(), String> {
    let failed = |e: std::io::Error| e.to_string();
    let version_dir = only_entry(&root.join("lib/modules"), "")?;
    let version = version_dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    output(Command::new("/sbin/depmod").arg("-b").arg(root).arg(&version))?;
    let table = std::fs::read_to_string(version_dir.join("modules.dep")).map_err(failed)?;
    let kept = work.join("kept");
    std::fs::create_dir_all(kept.join("modules")).map_err(failed)?;
    move_into(&root.join(format!("boot/vmlinuz-{version}")), &kept.join("vmlinuz"))?;
    let mut order = Vec::new();
    let mut seen = HashSet::new();
    for module in MODULES {
        // "path: needed-last ... needed-first"; what has no line is built in.
        let file = format!("/{module}.ko");
        let Some(line) =
            table.lines().find(|line| line.split(':').next().is_some_and(|p| p.ends_with(&file)))
        else {
            continue;
        };
        let (this, needed) = line.split_once(':').unwrap_or((line, ""));
        for path in needed.split_whitespace().rev().chain([this]) {
            let name = path.rsplit('/').next().unwrap_or(path).to_owned();
            if seen.insert(name.clone()) {
                std::fs::copy(version_dir.join(path), kept.join("modules").join(&name)).map_err(failed)?;
                order.push(name);
            }
        }
    }
    std::fs::write(kept.join("modules/order"), order.join("\n") + "\n").map_err(failed)
}

fn move_into(from: &Path, to: &Path) -> Result<(), String> {
    std::fs::rename(from, to).map_err(|e| format!("{}: {e}", from.display()))
}

/// The one entry of a directory whose name ends so.
fn only_entry(dir: &Path, extension: &str) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut found = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| extension.is_empty() || path.extension().is_some_and(|e| e == extension));
    found.next().ok_or_else(|| format!("{} has no {extension} file", dir.display()))
}

/// Debian's package tools with lists of their own, so that a release other than this machine's can be asked.
struct Apt {
    work: PathBuf,
    options: Vec<String>,
}

impl Apt {
    fn new(work: &Path, release: &str) -> Result<Apt, String> {
        // The mirror that this machine uses.
        let known = output(Command::new("apt-get").args([
            "indextargets",
            "--format",
            "$(ORIGIN) $(LABEL) $(REPO_URI)",
            "Created-By: Packages",
        ]))?;
        let mirror = known
            .lines()
            .find_map(|line| line.strip_prefix("Debian Debian "))
            .ok_or("this machine's package lists name no mirror of Debian; run 'apt-get update'")?;
        let source = format!(
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} {release} main\n"
        );
        std::fs::write(work.join("sources.list"), source).map_err(|e| e.to_string())?;
        let at = |option: &str, sub: &str| format!("{option}={}", work.join(sub).display());
        let options = vec![
            at("Dir::Etc::SourceList", "sources.list"),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            at("Dir::State::Lists", "lists"),
            at("Dir::Cache", "cache"),
            // The download is this user's, whoever that is.
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Apt { work: work.to_owned(), options })
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program);
        for option in &self.options {
            command.arg("-o").arg(option);
        }
        output(command.args(args).current_dir(&self.work))
    }
}

/// What a command prints, or why it failed.
fn output(command: &mut Command) -> Result<String, String> {
    let done = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if !done.status.success() {
        return Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&done.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
