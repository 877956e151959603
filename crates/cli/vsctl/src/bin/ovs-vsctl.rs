//! `ovs-vsctl` by itself.

fn main() -> std::process::ExitCode {
    vsctl::ovs_vsctl(std::env::args().skip(1).collect())
}
