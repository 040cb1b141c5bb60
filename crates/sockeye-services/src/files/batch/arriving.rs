//! One small file, from its first byte until it is complete but for its name.

use crate::files::budget::{MEMORY, Share};
use crate::files::place::{Complete, Place, Publishing, Temporary};
use crate::files::record;
use crate::files::tree::write_at;
use crate::files::trouble::{self, Outcome};
use rustix::io::Errno;
use sockeye_proto::files::{Code, Failure, Hash, Mtime, Path, Receipt, Upload};
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
    New(New),
    /// It was there before.
    There(Receipt),
}

/// One that has still to get its name.
pub(super) enum New {
    Written(Complete),
    Held(Held),
}

/// One that is in memory.
pub(super) struct Held {
    path: Path,
    pub(super) bytes: Vec<u8>,
    /// Of the memory.
    _share: Share,
    mtime: Mtime,
    hash: Hash,
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

    pub(super) fn finish(self, place: &Place, path: Path, upload: &Upload) -> Outcome<New> {
        match self.target {
            Target::Disk(writing) => writing.finish(place, path, upload, self.size).map(New::Written),
            Target::Memory(bytes, share) => {
                let hash = Hash(*blake3::hash(&bytes).as_bytes());
                check(upload.hash, hash)?;
                Ok(New::Held(Held {
                    path,
                    bytes,
                    _share: share,
                    mtime: upload.mtime,
                    hash,
                    clobber: upload.clobber,
                }))
            }
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

impl Held {
    /// Writes it to a file that has no name yet; near where it is to be, if that is known, so that the disk keeps them together.
    fn write(self, place: &Place, folder: Option<&OwnedFd>) -> Outcome<Complete> {
        let (file, temporary) = place.unnamed(folder).map_err(of_file)?;
        let written =
            write_at(&file, &self.bytes, 0).and_then(|()| record::write(&file, self.mtime, &self.hash));
        let complete = Complete {
            path: self.path,
            temporary,
            size: self.bytes.len() as u64,
            mtime: self.mtime,
            hash: self.hash,
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

impl New {
    /// Has it on the disk, as far as writing does that.
    pub(super) fn written(self, place: &Place) -> Outcome<Complete> {
        match self {
            New::Written(complete) => Ok(complete),
            New::Held(held) => held.write(place, None),
        }
    }

    /// Has it under its name.
    pub(super) fn publish(self, place: &Place, publishing: &mut Publishing<'_>) -> Outcome<Receipt> {
        let complete = match self {
            New::Written(complete) => complete,
            New::Held(held) => {
                let (parent, _) = held.path.split().unwrap_or_default();
                let folder = publishing.folder(parent)?;
                held.write(place, Some(folder))?
            }
        };
        let named = publishing.name(&complete);
        if named.is_err() {
            place.forget(&complete);
        }
        named
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
