//! New UUIDs, faster than asking the operating system for each.

use std::cell::Cell;
use uuid::Uuid;

/// After so many the generator takes a new seed.
const UUIDS_PER_SEED: u32 = 4096;

#[derive(Clone, Copy)]
struct Generator {
    /// The state of xoshiro256++ (Blackman and Vigna).
    state: [u64; 4],
    left: u32,
    /// A process that was forked must not go on with its parent's numbers.
    process: u32,
}

thread_local! {
    static GENERATOR: Cell<Generator> = const { Cell::new(Generator { state: [0; 4], left: 0, process: 0 }) };
}

impl Generator {
    fn seeded(process: u32) -> Generator {
        let (a, b) = (Uuid::new_v4().as_u64_pair(), Uuid::new_v4().as_u64_pair());
        Generator { state: [a.0, a.1, b.0, b.1], left: UUIDS_PER_SEED, process }
    }

    fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }
}

/// A random UUID (RFC 9562, version 4). It is unlike any other, but may be guessed by who knows others.
pub fn fresh_uuid() -> Uuid {
    GENERATOR.with(|cell| {
        let (mut generator, process) = (cell.get(), std::process::id());
        if generator.left == 0 || generator.process != process {
            generator = Generator::seeded(process);
        }
        generator.left -= 1;
        let bits = u128::from(generator.next()) << 64 | u128::from(generator.next());
        cell.set(generator);
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn all_are_different_and_of_version_4() {
        let uuids: HashSet<Uuid> = (0..3 * UUIDS_PER_SEED).map(|_| fresh_uuid()).collect();
        assert_eq!(uuids.len(), 3 * UUIDS_PER_SEED as usize);
        assert!(uuids.iter().all(|uuid| uuid.get_version_num() == 4));
        let other = std::thread::spawn(fresh_uuid).join().unwrap();
        assert!(!uuids.contains(&other));
    }
}
