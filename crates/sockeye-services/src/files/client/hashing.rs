//! A file's hash by its units, so that what was hashed once needn't be read again.

use super::failure::Failure;
use super::source::Source;
use crate::files::units::{self, Passing, Value};
use sockeye_proto::files::{Hash, UNIT};
use std::fs::File;
use std::io;

/// The values of a file's units from its beginning on.
pub(crate) type Units = Vec<Value>;

/// The hash of a whole file, of which some units are known already; `None` if it ends before `size`.
pub(crate) fn whole(file: &File, size: u64, known: &mut Units) -> io::Result<Option<Hash>> {
    for number in known.len() as u64..units::count(size) {
        match units::of_file(file, number, size)? {
            Some(value) => known.push(value),
            None => return Ok(None),
        }
    }
    Ok(Some(units::whole(known)))
}

/// The hashes of a source's units while it is sent: each block is hashed just before it goes. A thread that hashes beside takes longer where it
/// takes a core from who receives. That the source has changed meanwhile shows in its times and its size, in units that were noted before,
/// or in the hash of what has come.
pub(crate) struct Hashing {
    passing: Passing,
    size: u64,
    /// Where the next byte is.
    at: u64,
    /// The first unit that isn't known.
    next: u64,
    known: Units,
}

impl Hashing {
    /// From the unit of this number on, of a source of this size that is sent from `at` on.
    pub(crate) fn new(size: u64, next: u64, at: u64) -> Self {
        Hashing {
            passing: Passing::new(size),
            size,
            at,
            next,
            known: Units::new(),
        }
    }

    /// The units that have become known, in order.
    pub(crate) fn known(&mut self) -> Units {
        std::mem::take(&mut self.known)
    }

    /// Reads what is next of the source, if that is still to be hashed; an error when the source ends before.
    pub(crate) fn read(&mut self, source: &Source, count: u64) -> Result<(), Failure> {
        let end = self.at + count;
        if self.at / UNIT != self.next {
            self.at = end;
            return Ok(());
        }
        let mut buffer = Vec::new();
        while self.at < end {
            match units::read_some(&source.file, self.at, end, &mut buffer) {
                Ok(0) => return Err(source.has_changed()),
                Ok(_) => self.see(&buffer),
                Err(error) => return Err(Failure::disk("read", &source.path, error)),
            }
        }
        Ok(())
    }

    /// The next of the bytes that are sent.
    pub(crate) fn see(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(UNIT - self.at % UNIT).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            let is_next = self.at / UNIT == self.next;
            if is_next {
                self.passing.update(self.at, now);
            }
            self.at += now.len() as u64;
            bytes = later;
            if is_next
                && (self.at.is_multiple_of(UNIT) || self.at == self.size)
                && let Some(value) = self.passing.finish(self.at)
            {
                self.known.push(value);
                self.next += 1;
            }
        }
    }
}

/// Units of a source from `first` to before `end`.
pub(crate) fn of_source(source: &Source, first: u64, end: u64) -> Result<Units, Failure> {
    let unit = |number| match units::of_file(&source.file, number, source.identity.size) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(source.has_changed()),
        Err(error) => Err(Failure::disk("read", &source.path, error)),
    };
    (first..end).map(unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_the_same_read_or_seen_and_known_ones_are_passed_over() {
        const SIZE: u64 = 2 * UNIT + 300_000;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("source");
        let mut bytes = vec![0; SIZE as usize];
        fastrand::Rng::with_seed(12).fill(&mut bytes);
        std::fs::write(&path, &bytes).expect("written");
        let source = Source::named(&path).expect("a source");
        let all = of_source(&source, 0, 3).expect("readable");

        let mut seen = Hashing::new(SIZE, 0, 0);
        bytes.chunks(100_003).for_each(|piece| seen.see(piece));
        assert_eq!(seen.known(), all);

        for first in 0..=3 {
            let mut read = Hashing::new(SIZE, first as u64, 0);
            let (mut at, mut known) = (0, Units::new());
            while at < SIZE {
                let block = (SIZE - at).min(4 << 20);
                read.read(&source, block).expect("readable");
                known.extend(read.known());
                at += block;
            }
            assert_eq!(known, all[first..], "from unit {first}");
        }

        let mut longer = Hashing::new(SIZE + 1, 2, 2 * UNIT);
        longer.read(&source, 300_001).expect_err("it ends before");
    }
}
