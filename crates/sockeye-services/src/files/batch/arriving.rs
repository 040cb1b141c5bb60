//! One small file, from its first byte until it is complete but for its name.

use crate::files::budget::{MEMORY, Share};
use crate::files::place::{Complete, Place, Temporary};
use crate::files::record;
use crate::files::tree::write_at;
use crate::files::trouble::{self, Outcome};
use rustix::io::Errno;
use sockeye_proto::files::{Code, Failure, Hash, Mtime, Path, Receipt, Upload};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;

/// The largest file that comes to be in memory: making a larger one is little beside its bytes.
const MOST_IN_MEMORY: u64 = 64 << 10;

/// A file whose bytes are coming.
pub(in crate::files) struct Arriving {
    pub(super) size: u64,
    target: Target,
}

/// Where its bytes go. Those that are to be on the disk are written at once, so that it can begin; the others too, where
/// memory is short.
enum Target {
    Disk(Box<Writing>),
    Memory(Vec<u8>, Share),
}

struct Writing {
    file: File,
    temporary: String,
    hasher: blake3::Hasher,
    at: u64,
}

/// A file that has come to its end.
pub(super) enum Whole {
    Written(Complete),
    Held(Held),
    /// It was there before.
    There(Receipt),
}

/// A file that is written, and has no name yet; or one that was there before.
pub(super) enum Written {
    New(Complete),
    There(Receipt),
}

/// One that is in memory.
pub(super) struct Held {
    path: Path,
    pub(super) bytes: Vec<u8>,
    /// Of the memory.
    _share: Share,
    mtime: Mtime,
    hash: Option<Hash>,
    clobber: bool,
}

fn of_file(error: Errno) -> Failure {
    trouble::of("write the file", error)
}

fn check(declared: Option<Hash>, hash: Hash) -> Outcome<()> {
    match declared.filter(|wanted| *wanted != hash) {
        Some(other) => {
            let why = format!("what came has the hash {hash}, and {other} was declared");
            Err(Failure::new(Code::Mismatch, why))
        }
        None => Ok(()),
    }
}

impl Arriving {
    /// Makes its temporary file, unless it is to be in memory.
    pub(super) fn new(place: &Place, size: u64, sync: bool) -> Outcome<Self> {
        let in_memory = !sync && size <= MOST_IN_MEMORY;
        let target = match in_memory.then(|| MEMORY.take(size)).flatten() {
            Some(share) => Target::Memory(Vec::new(), share), // it grows as they come
            None => {
                let temporary = place.temporary_name();
                let file = place.pending.temporary(&temporary).map_err(of_file)?;
                Target::Disk(Box::new(Writing {
                    file,
                    temporary,
                    hasher: blake3::Hasher::new(),
                    at: 0,
                }))
            }
        };
        Ok(Arriving { size, target })
    }

    pub(in crate::files) fn take(&mut self, bytes: &[u8]) -> Outcome<()> {
        match &mut self.target {
            Target::Memory(held, _) => held.extend_from_slice(bytes),
            Target::Disk(writing) => {
                writing.hasher.update(bytes);
                write_at(&writing.file, bytes, writing.at).map_err(of_file)?;
                writing.at += bytes.len() as u64;
            }
        }
        Ok(())
    }

    pub(super) fn finish(self, place: &Place, path: Path, upload: &Upload) -> Outcome<Whole> {
        match self.target {
            Target::Disk(writing) => writing.finish(place, path, upload, self.size).map(Whole::Written),
            Target::Memory(bytes, share) => Ok(Whole::Held(Held {
                path,
                bytes,
                _share: share,
                mtime: upload.mtime,
                hash: upload.hash,
                clobber: upload.clobber,
            })),
        }
    }

    /// It did not come to its end.
    pub(super) fn undo(self, place: &Place) {
        if let Target::Disk(writing) = self.target {
            place.pending.unlink(&writing.temporary);
        }
    }
}

impl Writing {
    fn finish(self, place: &Place, path: Path, upload: &Upload, size: u64) -> Outcome<Complete> {
        let hash = Hash(*self.hasher.finalize().as_bytes());
        let recorded = check(upload.hash, hash)
            .and_then(|()| record::write(&self.file, upload.mtime, &hash).map_err(of_file));
        if let Err(failure) = recorded {
            place.pending.unlink(&self.temporary);
            return Err(failure);
        }
        Ok(Complete {
            path,
            temporary: Temporary::Called(self.temporary),
            size,
            mtime: upload.mtime,
            hash,
            clobber: upload.clobber,
        })
    }
}

/// Writes those that are in memory.
pub(super) fn write(place: &Place, wholes: Vec<Outcome<Whole>>) -> Vec<Outcome<Written>> {
    let mut folders = BTreeMap::new();
    let mut write = |whole| match whole {
        Whole::Written(complete) => Ok(Written::New(complete)),
        Whole::Held(held) => held.write(place, &mut folders).map(Written::New),
        Whole::There(receipt) => Ok(Written::There(receipt)),
    };
    wholes
        .into_iter()
        .map(|whole| whole.and_then(&mut write))
        .collect()
}

impl Held {
    /// Writes it to a file that has no name yet; one that is near where it is to be, so that the disk keeps them together.
    fn write(self, place: &Place, folders: &mut BTreeMap<String, Option<OwnedFd>>) -> Outcome<Complete> {
        let hash = Hash(*blake3::hash(&self.bytes).as_bytes());
        check(self.hash, hash)?;
        let (parent, _) = self.path.split().unwrap_or_default();
        if !folders.contains_key(parent) {
            // Where there is none it is made together with the name.
            folders.insert(parent.to_owned(), place.root.folder(parent).ok());
        }
        let folder = folders.get(parent).and_then(Option::as_ref);
        let (file, temporary) = place.unnamed(folder).map_err(of_file)?;
        let written = write_at(&file, &self.bytes, 0).and_then(|()| record::write(&file, self.mtime, &hash));
        let complete = Complete {
            path: self.path,
            temporary,
            size: self.bytes.len() as u64,
            mtime: self.mtime,
            hash,
            clobber: self.clobber,
        };
        match written {
            Ok(()) => Ok(complete),
            Err(error) => {
                place.forget(&complete);
                Err(of_file(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::place::tests::place;

    #[test]
    fn only_little_files_are_in_memory_and_only_while_there_is_some() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = place(&folder, None);
        let in_memory = |size, sync| {
            let arriving = Arriving::new(&place, size, sync).expect("a file");
            let is_held = matches!(arriving.target, Target::Memory(..));
            arriving.undo(&place);
            is_held
        };
        assert!(in_memory(MOST_IN_MEMORY, false));
        assert!(!in_memory(MOST_IN_MEMORY, true));
        assert!(!in_memory(MOST_IN_MEMORY + 1, false));
        let mut stalled = Vec::new();
        while in_memory(MOST_IN_MEMORY, false) {
            stalled.push(Arriving::new(&place, MOST_IN_MEMORY, false).expect("a file"));
        }
        assert!(stalled.len() as u64 * MOST_IN_MEMORY <= 64 << 20);
        stalled.pop();
        assert!(
            in_memory(MOST_IN_MEMORY, false),
            "what one gives back another has"
        );
    }
}
