//! Memory that is shared with the kernel. The kernel's side is played by a thread that does what the kernel documents
//! (networking/af_xdp.rst, networking/packet_mmap.rst).
//!
//! Loom reports whoever touches what is shared without having it from the other side, who has finished with it.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

use crate::netdev::turns::{Indices, STATUS_USER, Slot};

/// More entries than there is room for pass, so that places are used again.
const PASSING: u32 = 2;

/// A ring with one place.
#[derive(Default)]
struct Ring {
    producer: AtomicU32,
    consumer: AtomicU32,
    place: Place,
}

/// Memory that belongs to one side at a time.
#[derive(Default)]
struct Place(UnsafeCell<u32>);

// SAFETY: loom checks each access, and ends the model where two sides have one at once; that is what the models are for.
unsafe impl Sync for Place {}

impl Place {
    fn write(&self, value: u32) {
        // SAFETY: the pointer is good during the call, and loom has checked that nobody else uses it.
        self.0.with_mut(|place| unsafe { *place = value });
    }

    fn read(&self) -> u32 {
        // SAFETY: as above.
        self.0.with(|place| unsafe { *place })
    }
}

impl Ring {
    fn indices(&self) -> Indices<'_> {
        Indices { producer: &self.producer, consumer: &self.consumer }
    }
}

/// An entry of the number `position`.
fn entry(position: u32) -> u32 {
    100 + position
}

/// The kernel takes exactly the entries that were put, in their order, as the ring for sending has it.
pub fn what_is_put_is_taken() {
    loom::model(|| {
        let ring = Arc::new(Ring::default());
        let kernel = thread::spawn({
            let ring = Arc::clone(&ring);
            move || {
                for position in 0..PASSING {
                    while ring.producer.load(Ordering::Acquire) == position {
                        thread::yield_now();
                    }
                    assert_eq!(ring.place.read(), entry(position));
                    ring.consumer.store(position + 1, Ordering::Release);
                }
            }
        });
        for position in 0..PASSING {
            while ring.indices().waiting(position) > 0 {
                thread::yield_now();
            }
            ring.place.write(entry(position));
            ring.indices().publish(position + 1);
        }
        kernel.join().unwrap();
        assert_eq!(ring.indices().waiting(PASSING), 0);
    });
}

/// What the kernel puts is taken, as the ring of frames that were sent has it.
pub fn what_the_kernel_puts_is_taken() {
    loom::model(|| {
        let ring = Arc::new(Ring::default());
        let kernel = thread::spawn({
            let ring = Arc::clone(&ring);
            move || {
                for position in 0..PASSING {
                    while ring.consumer.load(Ordering::Acquire) != position {
                        thread::yield_now();
                    }
                    ring.place.write(entry(position));
                    ring.producer.store(position + 1, Ordering::Release);
                }
            }
        });
        for position in 0..PASSING {
            while ring.indices().written(position) == 0 {
                thread::yield_now();
            }
            assert_eq!(ring.place.read(), entry(position));
            ring.indices().release(position + 1);
        }
        kernel.join().unwrap();
    });
}

/// A frame in a slot is whole, and stays so until the slot is given back.
pub fn a_filled_slot_holds_its_frame() {
    loom::model(|| {
        let slot = Arc::new((AtomicU32::new(0), Place::default()));
        let kernel = thread::spawn({
            let slot = Arc::clone(&slot);
            move || {
                let (status, frame) = &*slot;
                for position in 0..PASSING {
                    while status.load(Ordering::Acquire) & STATUS_USER != 0 {
                        thread::yield_now();
                    }
                    frame.write(entry(position));
                    status.store(STATUS_USER, Ordering::Release);
                }
            }
        });
        let (status, frame) = &*slot;
        for position in 0..PASSING {
            while Slot(status).filled().is_none() {
                thread::yield_now();
            }
            assert_eq!(frame.read(), entry(position));
            Slot(status).give_back();
        }
        kernel.join().unwrap();
    });
}
