//! How many files and folders an owner may have. They cost the disk something though they are empty.
//!
//! The number stands in a file of its own, and is counted anew by each server, as the bytes are. Names are made by one connection at a
//! time, which looks at it first; whoever deletes something takes it off afterwards.

use super::Place;
use crate::files::tree::{Quiet, read_at, write_at};
use crate::files::trouble::{self, Outcome};
use rustix::fs::{self, FlockOperation};
use rustix::io::Result;
use std::fs::File;

/// Of how many bytes that an owner may keep one is for a file or folder: a block of the disk, which each of them takes.
const BYTES_FOR_ONE: u64 = 4096;
/// So many there may be however few the bytes are: they are no more than a few megabytes of the disk.
const ANYHOW: u64 = 1000;

/// The right to make names, while nobody else changes any.
pub(in crate::files) struct Naming {
    _quiet: Quiet,
    /// How many more files and folders there may be.
    pub(in crate::files) spare: u64,
}

/// The number, as it stands in its file.
#[derive(Debug)]
pub(super) struct Entries(File);

impl Entries {
    pub(super) fn of(file: File) -> Self {
        Entries(file)
    }

    fn now(&self) -> Result<u64> {
        let mut count = [0; 8]; // nothing has been counted yet where the file ends
        read_at(&self.0, &mut count, 0)?;
        Ok(u64::from_le_bytes(count))
    }

    pub(super) fn set(&self, count: u64) -> Result<()> {
        write_at(&self.0, &count.to_le_bytes(), 0)
    }

    fn change(&self, by: i64) -> Result<()> {
        fs::flock(&self.0, FlockOperation::LockExclusive)?;
        let changed = self
            .now()
            .and_then(|count| self.set(count.saturating_add_signed(by)));
        fs::flock(&self.0, FlockOperation::Unlock).and(changed)
    }
}

/// How many there may be where so many bytes may be kept.
fn most(limit: Option<u64>) -> u64 {
    limit.map_or(u64::MAX, |bytes| (bytes / BYTES_FOR_ONE).max(ANYHOW))
}

impl Place {
    /// Waits until nobody else changes names, and looks how many more there may be.
    pub(in crate::files) async fn naming(&self) -> Outcome<Naming> {
        let limit = self.usage().await?.limit;
        self.naming_within(limit).await
    }

    /// The same for who knows how many bytes may be kept.
    pub(in crate::files) async fn naming_within(&self, limit: Option<u64>) -> Outcome<Naming> {
        let most = most(limit);
        let quiet = self.quiet().await?;
        let now = self.entries.now();
        let now = now.map_err(|error| trouble::of("look how many files there are", error))?;
        let spare = most.saturating_sub(now);
        Ok(Naming { _quiet: quiet, spare })
    }

    /// Notes that there are so many files and folders more, or fewer.
    pub(in crate::files) fn note_entries(&self, change: i64) {
        if change != 0
            && let Err(error) = self.entries.change(change)
        {
            tracing::warn!(account = &*self.account, %error, "files are counted wrong until they are counted anew");
            self.spoil();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_change_at_once_is_all_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let entries = || {
            let mut options = std::fs::OpenOptions::new();
            let options = options.read(true).write(true).create(true).truncate(false);
            Entries::of(options.open(folder.path().join("count")).expect("a file"))
        };
        assert_eq!(entries().now(), Ok(0));
        entries().set(4000).expect("it is written");
        std::thread::scope(|scope| {
            for by in [3, -2, 3, -2] {
                let entries = entries();
                scope.spawn(move || (0..1000).for_each(|_| entries.change(by).expect("it is changed")));
            }
        });
        assert_eq!(entries().now(), Ok(6000));
        entries().change(-7000).expect("it is changed");
        assert_eq!(entries().now(), Ok(0));
    }

    #[test]
    fn small_quotas_have_room_for_some() {
        assert_eq!(most(Some(1)), ANYHOW);
        assert_eq!(most(Some(1 << 30)), 1 << 18);
        assert_eq!(most(None), u64::MAX);
    }
}
