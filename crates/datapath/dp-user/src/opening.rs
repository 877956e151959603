//! Devices that are opened together.

use dp::{DpError, PortSpec};
use netdev::Device;

/// How many devices are opened at once.
const THREADS: usize = 64;

/// Opens the device of each `spec`, in their order. The kernel makes whoever maps a ring wait until no processor looks at
/// what was there before, which takes some ten milliseconds: the devices wait together.
///
/// `sequence` counts devices; `is_dummy` as in [`Device::open`].
pub(crate) fn open_all(specs: &[(&PortSpec, u32)], is_dummy: bool) -> Vec<Result<Device, DpError>> {
    let open = |share: &[(&PortSpec, u32)]| -> Vec<_> {
        share.iter().map(|(spec, sequence)| Device::open(spec, *sequence, is_dummy)).collect()
    };
    let per_thread = specs.len().div_ceil(THREADS).max(1);
    let (own, others) = specs.split_at(per_thread.min(specs.len()));
    std::thread::scope(|scope| {
        let open = &open;
        let threads: Vec<_> = others
            .chunks(per_thread)
            .map(|share| (share, std::thread::Builder::new().spawn_scoped(scope, move || open(share))))
            .collect();
        let mut opened = open(own);
        for (share, thread) in threads {
            // Where no thread could be made, or it panicked, they are opened here.
            let result = thread.ok().and_then(|thread| thread.join().ok());
            opened.extend(result.unwrap_or_else(|| open(share)));
        }
        opened
    })
}
