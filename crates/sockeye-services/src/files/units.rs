//! BLAKE3 in units: a file is hashed in subtrees of 16 MiB, each by itself, in any order, and kept.
//!
//! The hash of the whole is made of the values of its units, without the file's bytes. So an upload that was cut is
//! resumed at the end of a unit, and nothing that was hashed before is read again.

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, pread, retry_on_intr};
use sockeye::Address;
use sockeye_proto::files::{Hash, UNIT};
use std::fs::File;
use std::io;
use std::sync::LazyLock;
use std::thread::available_parallelism;

/// How much is read at once: enough for BLAKE3 to hash 16 chunks side by side many times, and within a core's own cache.
pub(crate) const READ: usize = 256 << 10;

/// With no more cores than this, both ends of a transfer within a machine need all there are: a thread that hashes beside takes one away from
/// who receives, and finds nothing in its cache (docs/performance.md).
const FEW_CORES: usize = 2;

static FEW: LazyLock<bool> =
    LazyLock::new(|| available_parallelism().is_ok_and(|cores| cores.get() <= FEW_CORES));

/// Whether who receives from this peer had better hash what comes, instead of leaving that to the background.
pub(crate) fn hashes_itself(peer: &Address) -> bool {
    *FEW && peer.is_loopback()
}

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

/// The unit whose bytes are just passing, hashed as long as none of them is missed.
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
        self.begin(at);
        if let Some(unit) = self.unit.as_mut().filter(|_| self.end == at) {
            unit.update(bytes);
            self.end += bytes.len() as u64;
        }
    }

    fn begin(&mut self, at: u64) {
        if at.is_multiple_of(UNIT) {
            (self.unit, self.end) = (Some(Box::new(Unit::new(at / UNIT, self.size))), at);
        }
    }

    /// Bytes that have just been written to a file, at `at` and within one unit. If they weren't shown as they came, they are read again.
    /// Says how many were read.
    pub(crate) fn written(&mut self, file: &File, at: u64, count: u64) -> u64 {
        let end = at + count;
        if self.end == end {
            return 0;
        }
        self.begin(at);
        let before = self.end;
        self.read(file, end);
        self.end - before
    }

    /// Reads up to there, once that is enough for a read.
    fn read(&mut self, file: &File, end: u64) {
        let is_last = end.is_multiple_of(UNIT) || end == self.size;
        let Some(unit) = self
            .unit
            .as_mut()
            .filter(|_| is_last || end - self.end >= READ as u64)
        else {
            return;
        };
        let mut buffer = Vec::new();
        while self.end < end {
            match read_some(file, self.end, end, &mut buffer) {
                Ok(1..) => {
                    unit.update(&buffer);
                    self.end += buffer.len() as u64;
                }
                _ => return self.unit = None, // whoever reads all of it meets that again
            }
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
    let mut buffer = Vec::new();
    while at < end {
        match read_some(file, at, end, &mut buffer)? {
            0 => return Ok(None),
            count => {
                unit.update(&buffer);
                at += count;
            }
        }
    }
    Ok(Some(unit.finish()))
}

/// Puts some of the bytes between `at` and `end` into the buffer, in place of what is in it, [`READ`] at the most; says how many.
pub(crate) fn read_some(file: &File, at: u64, end: u64, buffer: &mut Vec<u8>) -> Result<u64, Errno> {
    let room = usize::try_from(end - at).unwrap_or(READ).min(READ);
    buffer.clear();
    if buffer.capacity() != room {
        *buffer = Vec::with_capacity(room); // nothing behind them is to be read
    }
    retry_on_intr(|| pread(file, spare_capacity(buffer), at))?;
    buffer.truncate(room);
    Ok(buffer.len() as u64)
}

/// The same of one that may have been hashed as it came: its bytes aren't read then.
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
    use std::os::unix::fs::FileExt;

    /// Some of the bytes are shown, the others read again. What is behind them in the file has yet to be written.
    #[test]
    fn what_is_written_is_hashed_however_it_came() {
        const SIZE: usize = UNIT as usize + 300_000;
        let mut rng = fastrand::Rng::with_seed(11);
        let mut bytes = vec![0; SIZE];
        rng.fill(&mut bytes);
        for largest in [1 << 12, 100_000, 1 << 20] {
            let file = tempfile::tempfile().expect("a file");
            file.write_all_at(&vec![0xee; SIZE], 0).expect("written");
            let mut passing = Passing::new(SIZE as u64);
            let (mut at, mut values, mut read) = (0, Vec::new(), 0);
            while at < SIZE {
                let unit_end = (at / UNIT as usize + 1) * UNIT as usize;
                let end = (at + rng.usize(1..=largest)).min(unit_end).min(SIZE);
                if rng.bool() {
                    passing.update(at as u64, &bytes[at..end]);
                }
                file.write_all_at(&bytes[at..end], at as u64).expect("written");
                read += passing.written(&file, at as u64, (end - at) as u64);
                at = end;
                if at == unit_end || at == SIZE {
                    values.push(passing.finish(at as u64).expect("all of it"));
                }
            }
            assert!(read > 0 && read < SIZE as u64, "{read} bytes were read");
            let unit = of_file(&file, 0, SIZE as u64).expect("readable");
            assert_eq!(Some(values[0]), unit, "{largest}");
            let hash = Hash(*blake3::hash(&bytes).as_bytes());
            assert_eq!(whole(&values), hash, "{largest}");
        }
    }

    #[test]
    fn a_unit_that_is_missed_or_cut_is_left_to_who_reads_all_of_it() {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(&[7; 5000], 0).expect("written");
        let mut cut = Passing::new(6000);
        cut.written(&file, 0, 6000);
        assert_eq!(cut.finish(6000), None, "it ends before");
        let mut missed = Passing::new(5000);
        missed.update(1000, &[7; 4000]);
        missed.written(&file, 1000, 4000);
        assert_eq!(missed.finish(5000), None, "its beginning came before");
        assert_eq!(of_file(&file, 0, 6000).expect("readable"), None);
    }

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
