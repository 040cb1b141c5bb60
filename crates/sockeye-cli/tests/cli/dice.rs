//! Chance.

/// Numbers that differ from run to run, and are said where a test fails.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let seed = RandomState::new().hash_one(0) | 1;
        eprintln!("seed {seed}");
        Dice::of(seed)
    }

    /// The same ones each time; the seed is not 0.
    pub(crate) fn of(seed: u64) -> Self {
        Dice(seed)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
