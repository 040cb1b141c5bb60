//! BLAKE3 in units: a file is hashed in subtrees of 16 MiB, each by itself, in any order, and kept.
//!
//! The hash of the whole is made of the values of its units, without the file's bytes. So an upload that was cut is
//! resumed at the end of a unit, and nothing that was hashed before is read again.

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use sockeye_proto::files::{Hash, UNIT};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How much is read at once: enough for BLAKE3 to hash 16 chunks side by side many times, and within a core's own cache.
const READ: usize = 256 << 10;

/// What is kept of a unit. For a file of one unit it is the file's hash.
pub type Value = ChainingValue;

/// How many units a file of this size has.
pub const fn count(size: u64) -> u64 {
    size.div_ceil(UNIT)
}

/// Hashes one unit.
///
/// ```
/// use sockeye_proto::files::{Hash, UNIT};
/// use sockeye_services::files::units::{Unit, whole};
///
/// let file = vec![7; UNIT as usize + 5];
/// let mut values = Vec::new();
/// for (number, bytes) in file.chunks(UNIT as usize).enumerate() {
///     let mut unit = Unit::new(number as u64, file.len() as u64);
///     unit.update(bytes);
///     values.push(unit.finish());
/// }
/// assert_eq!(whole(&values), Hash(*blake3::hash(&file).as_bytes()));
/// ```
#[derive(Debug)]
pub struct Unit {
    hasher: Hasher,
    alone: bool,
}

impl Unit {
    /// The unit of this number, from 0, of a file of this size.
    pub fn new(number: u64, size: u64) -> Self {
        let mut hasher = Hasher::new();
        hasher.set_input_offset(number * UNIT);
        let alone = size <= UNIT;
        Unit { hasher, alone }
    }

    /// The next of its bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// What is to be kept of it.
    pub fn finish(self) -> Value {
        match self.alone {
            true => *self.hasher.finalize().as_bytes(),
            false => self.hasher.finalize_non_root(),
        }
    }
}

/// The unit whose bytes are just passing through memory, hashed as long as none of them goes by another way.
#[derive(Debug)]
pub(crate) struct Passing {
    /// The file's size.
    size: u64,
    /// Two kilobytes of state, which only a transfer under way has.
    unit: Option<Box<Unit>>,
    /// Up to where it is hashed.
    end: u64,
}

impl Passing {
    /// None yet, of a file of this size.
    pub(crate) fn new(size: u64) -> Self {
        let (unit, end) = (None, 0);
        Passing { size, unit, end }
    }

    /// Some bytes, which are at `at` in the file and within one unit.
    pub(crate) fn update(&mut self, at: u64, bytes: &[u8]) {
        if at.is_multiple_of(UNIT) {
            (self.unit, self.end) = (Some(Box::new(Unit::new(at / UNIT, self.size))), at);
        }
        if let Some(unit) = self.unit.as_mut().filter(|_| self.end == at) {
            unit.update(bytes);
            self.end += bytes.len() as u64;
        }
    }

    /// What is to be kept of the unit that ends here, if all of its bytes have passed.
    pub(crate) fn finish(&mut self, end: u64) -> Option<Value> {
        let unit = self.unit.take().filter(|_| self.end == end)?;
        Some(unit.finish())
    }
}

/// The value of the unit of this number of a file that was, or is to be, of this size; `None` if the file ends before the unit.
pub(crate) fn of_file(file: &File, number: u64, size: u64) -> io::Result<Option<Value>> {
    let mut unit = Unit::new(number, size);
    let (mut at, end) = (number * UNIT, size.min((number + 1) * UNIT));
    let mut buffer = vec![0; READ.min((end - at) as usize)];
    while at < end {
        let room = buffer.len().min((end - at) as usize);
        match file.read_at(&mut buffer[..room], at) {
            Ok(0) => return Ok(None),
            Ok(count) => {
                unit.update(&buffer[..count]);
                at += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(unit.finish()))
}

/// The same of one that may have passed through memory on its way into the file: its bytes aren't read again then.
pub(crate) fn of_written(
    file: &File,
    number: u64,
    size: u64,
    passed: Option<Value>,
) -> io::Result<Option<Value>> {
    let Some(value) = passed else {
        return of_file(file, number, size);
    };
    let is_there = file.metadata()?.len() >= size.min((number + 1) * UNIT);
    Ok(is_there.then_some(value))
}

/// The hash of the file that has these units; of an empty one when there are none.
pub fn whole(values: &[Value]) -> Hash {
    match values {
        [] => Hash(*blake3::hash(b"").as_bytes()),
        [only] => Hash(*only),
        _ => {
            let (left, right) = values.split_at(left_part(values.len()));
            Hash(*merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash).as_bytes())
        }
    }
}

fn subtree(values: &[Value]) -> Value {
    match values {
        [only] => *only,
        _ => {
            let (left, right) = values.split_at(left_part(values.len()));
            merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

/// The left of two subtrees is the largest power of two that leaves something to the right (BLAKE3, section 2.1).
fn left_part(count: usize) -> usize {
    count.next_power_of_two() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_units_are_the_hash_of_the_whole() {
        let unit = UNIT as usize;
        let mut file = vec![0; 5 * unit + 1];
        fastrand::Rng::with_seed(5).fill(&mut file);
        for size in [
            0,
            1,
            1024,
            unit - 1,
            unit,
            unit + 1,
            2 * unit,
            3 * unit - 77,
            4 * unit + 4096,
            5 * unit + 1,
        ] {
            let values: Vec<Value> = file[..size]
                .chunks(unit)
                .enumerate()
                .map(|(number, bytes)| {
                    let mut hasher = Unit::new(number as u64, size as u64);
                    bytes.chunks(100_003).for_each(|piece| hasher.update(piece));
                    hasher.finish()
                })
                .collect();
            assert_eq!(values.len() as u64, count(size as u64));
            assert_eq!(
                whole(&values),
                Hash(*blake3::hash(&file[..size]).as_bytes()),
                "{size}"
            );
        }
    }
}
