//! What the tests need besides Rust, and installing it where we may.

use std::process::Command;

/// Debian's packages: the reference programs that ours are compared with, and the tools that make and watch traffic.
const PACKAGES: &[(&str, &str)] = &[
    ("openvswitch-switch", "/usr/sbin/ovs-vswitchd"),
    ("openvswitch-pki", "/usr/bin/ovs-pki"),
    ("openvswitch-testcontroller", "/usr/bin/ovs-testcontroller"),
    ("python3-openvswitch", "/usr/lib/python3/dist-packages/ovs/db/idl.py"),
    ("ovn-central", "/usr/bin/ovn-northd"),
    ("ovn-host", "/usr/bin/ovn-controller"),
    ("iproute2", "/sbin/ip"),
    ("iputils-ping", "/bin/ping"),
    ("tcpdump", "/usr/bin/tcpdump"),
    ("strace", "/usr/bin/strace"),
    ("ethtool", "/sbin/ethtool"),
    ("iperf3", "/usr/bin/iperf3"),
    ("nftables", "/usr/sbin/nft"),
    ("nfdump", "/usr/bin/nfdump"),
    ("tshark", "/usr/bin/tshark"),
    ("lldpd", "/usr/sbin/lldpd"),
    ("qemu-system-x86", "/usr/bin/qemu-system-x86_64"),
    ("busybox-static", "/bin/busybox"),
    ("isc-dhcp-client", "/sbin/dhclient"),
    ("kmod", "/sbin/depmod"),
];

/// The controller from PyPI that drives our switch in a test.
const OS_KEN: &str = "os-ken==4.2.2";

/// The directory of the packages from PyPI, which no other Python sees.
pub(crate) fn python_packages() -> Result<std::path::PathBuf, String> {
    Ok(crate::programs::target_dir()?.join("python"))
}

/// Installs the missing packages and the test runner, or says what to type.
pub(crate) fn install() -> Result<(), String> {
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(_, file)| !std::path::Path::new(file).exists())
        .map(|(package, _)| *package)
        .collect();
    if !missing.is_empty() {
        install_packages(&missing)?;
    }
    crate::kernels::install(&crate::programs::target_dir()?)?;
    let nextest = crate::cargo().args(["nextest", "--version"]).output();
    if !nextest.is_ok_and(|output| output.status.success()) {
        eprintln!("installing cargo-nextest");
        crate::run(crate::cargo().args(["install", "--locked", "cargo-nextest"]))?;
    }
    install_os_ken()
}

/// Installs what checks licences and sources, unless it is there.
pub(crate) fn install_deny() -> Result<(), String> {
    let deny = crate::cargo().args(["deny", "--version"]).output();
    if deny.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    eprintln!("installing cargo-deny");
    // Without optimisation it is built sooner, and is still fast enough.
    crate::run(
        crate::cargo()
            .args(["install", "--locked", "--debug", "cargo-deny"])
            .env("CARGO_PROFILE_DEV_DEBUG", "0"),
    )
}

fn install_os_ken() -> Result<(), String> {
    let packages = python_packages()?;
    if packages.join("os_ken").exists() {
        return Ok(());
    }
    let has_pip = Command::new("python3").args(["-m", "pip", "--version"]).output();
    if !has_pip.is_ok_and(|output| output.status.success()) {
        install_packages(&["python3-pip"])?;
    }
    eprintln!("installing {OS_KEN} to {}", packages.display());
    // What is half installed must not count as there.
    let unfinished = packages.with_extension("new");
    crate::run(
        Command::new("python3")
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--root-user-action=ignore",
            ])
            .args(["--upgrade", "--target"])
            .arg(&unfinished)
            .arg(OS_KEN),
    )?;
    std::fs::rename(&unfinished, &packages).map_err(|e| format!("{}: {e}", packages.display()))
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.starts_with(b"0\n"))
}

fn install_packages(missing: &[&str]) -> Result<(), String> {
    let advice = format!("apt-get install --no-install-recommends {}", missing.join(" "));
    if !is_root() || !std::path::Path::new("/usr/bin/apt-get").exists() {
        return Err(format!("the tests need some packages; as root: {advice}"));
    }
    eprintln!("{advice}");
    // The daemons that these packages would start are not ours to run.
    let quiet = |command: &mut Command| {
        crate::run(command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1"))
    };
    quiet(Command::new("apt-get").args(["update", "-qq"]))?;
    quiet(Command::new("apt-get").args(["install", "-qq", "-y", "--no-install-recommends"]).args(missing))
}
