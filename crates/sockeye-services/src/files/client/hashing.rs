//! A file's hash by its units, so that what was hashed once needn't be read again.

use super::failure::Failure;
use super::source::Source;
use crate::files::units::{self, Unit, Value};
use sockeye_proto::files::{Hash, UNIT};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How much is read at once: enough for BLAKE3 to hash 16 chunks side by side many times, and within a core's own cache.
const READ: usize = 256 << 10;

/// The values of a file's units from its beginning on.
pub(crate) type Units = Vec<Value>;

/// Feeds the bytes of `file` from `offset` to `end` to `hasher`; false if it ends before.
fn feed(unit: &mut Unit, file: &File, mut offset: u64, end: u64) -> io::Result<bool> {
    let mut buffer = vec![0; READ.min((end - offset) as usize)];
    while offset < end {
        let room = buffer.len().min((end - offset) as usize);
        match file.read_at(&mut buffer[..room], offset) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                unit.update(&buffer[..count]);
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// The value of a unit; `None` if the file ends before.
pub(crate) fn unit(file: &File, number: u64, size: u64) -> io::Result<Option<Value>> {
    let mut unit = Unit::new(number, size);
    let begin = number * UNIT;
    let whole = feed(&mut unit, file, begin, size.min(begin + UNIT))?;
    Ok(whole.then(|| unit.finish()))
}

/// The hash of a whole file, of which some units are known already; `None` if it ends before `size`.
pub(crate) fn whole(file: &File, size: u64, known: &mut Units) -> io::Result<Option<Hash>> {
    for number in known.len() as u64..units::count(size) {
        match unit(file, number, size)? {
            Some(value) => known.push(value),
            None => return Ok(None),
        }
    }
    Ok(Some(units::whole(known)))
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
