//! A file's BLAKE3 in units, each the root of a subtree, so that what was hashed once needn't be read again.

use super::failure::Failure;
use super::source::Source;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of a unit: 2^14 chunks of BLAKE3. The protocol's `unit`.
pub(crate) const UNIT: u64 = 16 << 20;
/// How much is read at once: enough for BLAKE3 to hash 16 chunks side by side many times, and within a core's own cache.
const READ: usize = 256 << 10;

/// The chaining values of a file's units from its beginning on.
pub(crate) type Units = Vec<ChainingValue>;

/// How many units a file of this size has, where that is more than one: a single one has no chaining value, since it is
/// the root itself.
pub(crate) fn units_of(size: u64) -> u64 {
    match size.div_ceil(UNIT) {
        0 | 1 => 0,
        more => more,
    }
}

/// Feeds the bytes of `file` from `offset` to `end` to `hasher`; false if it ends before.
fn feed(hasher: &mut blake3::Hasher, file: &File, mut offset: u64, end: u64) -> io::Result<bool> {
    let mut buffer = vec![0; READ.min((end - offset) as usize)];
    while offset < end {
        let room = buffer.len().min((end - offset) as usize);
        match file.read_at(&mut buffer[..room], offset) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// The chaining value of a unit of a file that has more than one; `None` if the file ends before.
pub(crate) fn unit(file: &File, number: u64, size: u64) -> io::Result<Option<ChainingValue>> {
    let mut hasher = blake3::Hasher::new();
    let begin = number * UNIT;
    hasher.set_input_offset(begin);
    let whole = feed(&mut hasher, file, begin, size.min(begin + UNIT))?;
    Ok(whole.then(|| hasher.finalize_non_root()))
}

/// The hash of a file of one unit at the most; `None` if it ends before `size`.
fn single(file: &File, size: u64) -> io::Result<Option<blake3::Hash>> {
    let mut hasher = blake3::Hasher::new();
    let whole = feed(&mut hasher, file, 0, size)?;
    Ok(whole.then(|| hasher.finalize()))
}

/// The file's hash, of which these are the units, all of them.
pub(crate) fn root(units: &[ChainingValue], size: u64) -> blake3::Hash {
    let (left, right) = halves(units, size);
    merge_subtrees_root(&left, &right, Mode::Hash)
}

fn halves(units: &[ChainingValue], length: u64) -> (ChainingValue, ChainingValue) {
    let left = left_subtree_len(length);
    let (first, second) = units.split_at((left / UNIT) as usize);
    (subtree(first, left), subtree(second, length - left))
}

fn subtree(units: &[ChainingValue], length: u64) -> ChainingValue {
    match units {
        [one] => *one,
        _ => {
            let (left, right) = halves(units, length);
            merge_subtrees_non_root(&left, &right, Mode::Hash)
        }
    }
}

/// The hash of a whole file, of which some units are known already.
pub(crate) fn whole(file: &File, size: u64, units: &mut Units) -> io::Result<Option<blake3::Hash>> {
    let count = units_of(size);
    if count == 0 {
        return single(file, size);
    }
    for number in units.len() as u64..count {
        match unit(file, number, size)? {
            Some(value) => units.push(value),
            None => return Ok(None),
        }
    }
    Ok(Some(root(units, size)))
}

/// Units of a source from `first` to before `end`.
pub(crate) fn of_source(source: &Source, first: u64, end: u64) -> Result<Units, Failure> {
    let unit = |number| match unit(&source.file, number, source.identity.size) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(source.has_changed()),
        Err(error) => Err(Failure::disk("read", &source.path, error)),
    };
    (first..end).map(unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn units_make_the_hash_of_the_whole_for_odd_sizes_too() {
        let most = 5 * UNIT + 1;
        let mut bytes = vec![0; most as usize];
        fastrand::Rng::with_seed(7).fill(&mut bytes);
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&bytes).expect("written");
        for size in [
            0, 1, 1024, UNIT - 1, UNIT, UNIT + 1, 2 * UNIT, 2 * UNIT + 1025, 3 * UNIT, 4 * UNIT - 1, 5 * UNIT, most,
        ] {
            let mut units = Units::new();
            let hash = whole(&file, size, &mut units).expect("readable").expect("long enough");
            assert_eq!(hash, blake3::hash(&bytes[..size as usize]), "{size}");
            units.pop();
            let again = whole(&file, size, &mut units).expect("readable");
            assert_eq!(again, Some(hash), "{size}, with all units but one known");
        }
        assert_eq!(whole(&file, most + 1, &mut Units::new()).expect("readable"), None);
    }
}
