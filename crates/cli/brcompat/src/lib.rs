//! The Linux-bridge compatibility layer: `brctl`, and the daemon that does for
//! bridges of the switch what the kernel does for its own.
//!
//! `brctl` reads a command line of bridge-utils. A bridge of the switch is
//! [`ovs_brcompatd`]'s business: [`brctl`] asks it over its control socket, in
//! the words of [`protocol`], and the daemon changes the configuration
//! database. Every other bridge is the kernel's, as if there were no switch.
//! Where the daemon does not run, `brctl` is bridge-utils.

mod brctl;
mod daemon;
mod protocol;

pub use brctl::brctl;
pub use daemon::ovs_brcompatd;
