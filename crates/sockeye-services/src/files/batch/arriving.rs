//! One small file, from its first byte until it is complete but for its name.

use crate::files::budget::{MEMORY, Share};
use crate::files::place::{Complete, Filling, Place, Publishing, Temporary};
use crate::files::record;
use crate::files::tree::write_at;
use crate::files::trouble::{self, Outcome};
use rustix::io::Errno;
use sockeye_proto::files::{Code, Failure, Hash, Mtime, Path, Receipt, Upload};
use std::fs::File;
use std::sync::Arc;

/// The largest file that comes to be in memory: making a larger one is little beside its bytes.
const MOST_IN_MEMORY: u64 = 64 << 10;

/// A file whose bytes are coming.
pub(in crate::files) struct Arriving {
    pub(super) size: u64,
    target: Target,
}

/// Where its bytes go. Where memory is short they are written at once.
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
    bytes: Vec<u8>,
    /// Of the memory.
    _share: Share,
    mtime: Mtime,
    hash: Hash,
    clobber: bool,
}

/// A file that is empty still, and where it is.
pub(super) type Made = (Arc<File>, Temporary);

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
    pub(super) fn new(place: &Place, size: u64) -> Outcome<Self> {
        let in_memory = size <= MOST_IN_MEMORY;
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
    fn write(self, place: &Place, (file, temporary): Made) -> Outcome<Complete> {
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
    pub(super) fn path(&self) -> &Path {
        match self {
            New::Written(complete) => &complete.path,
            New::Held(held) => &held.path,
        }
    }

    /// The folder that it is to be in.
    pub(super) fn folder(&self) -> &str {
        self.path().split().map_or("", |(parent, _)| parent)
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            New::Written(complete) => complete.size,
            New::Held(held) => held.bytes.len() as u64,
        }
    }

    /// How much of it is in memory.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            New::Written(_) => 0,
            New::Held(held) => held.bytes.len(),
        }
    }

    /// Makes its file out of sight, if it has none yet and its folder is missing.
    pub(super) fn make(&self, filling: &mut Filling<'_>) -> Outcome<Option<Made>> {
        match self {
            New::Written(_) => Ok(None),
            New::Held(held) => filling.file(&held.path).map_err(of_file),
        }
    }

    /// Writes it to the file that was made for it; elsewhere only with `sync`, to be forced to the disk before it is named.
    pub(super) fn write(
        self,
        made: Option<Made>,
        place: &Place,
        filling: &Filling<'_>,
        sync: bool,
    ) -> Outcome<Self> {
        let held = match self {
            New::Written(complete) => return Ok(New::Written(complete)),
            New::Held(held) => held,
        };
        let written = match made {
            Some(new) => {
                let path = held.path.clone();
                let written = held.write(place, new);
                filling.note(&path, written.as_ref().ok().map(|complete| complete.size));
                written?
            }
            // With a name: an ext4 without a journal forgets the link of a file that was forced when it had none.
            None if sync => held.write(place, place.called().map_err(of_file)?)?,
            None => return Ok(New::Held(held)),
        };
        Ok(New::Written(written))
    }

    /// Has it under its name.
    pub(super) fn publish(self, place: &Place, publishing: &mut Publishing<'_>) -> Outcome<Receipt> {
        let complete = match self {
            New::Written(complete) => complete,
            New::Held(held) => {
                // Near where it is to be, so that the disk keeps them together.
                let folder = publishing.folder(held.path.split().unwrap_or_default().0)?;
                let new = place.unnamed(Some(folder)).map_err(of_file)?;
                held.write(place, new)?
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
        let in_memory = |size| {
            let arriving = Arriving::new(&place, size).expect("a file");
            let is_held = matches!(arriving.target, Target::Memory(..));
            arriving.undo(&place);
            is_held
        };
        assert!(in_memory(MOST_IN_MEMORY));
        assert!(!in_memory(MOST_IN_MEMORY + 1));
        let mut stalled = Vec::new();
        while in_memory(MOST_IN_MEMORY) {
            stalled.push(Arriving::new(&place, MOST_IN_MEMORY).expect("a file"));
        }
        assert!(stalled.len() as u64 * MOST_IN_MEMORY <= 64 << 20);
        stalled.pop();
        assert!(in_memory(MOST_IN_MEMORY), "what one gives back another has");
    }
}
