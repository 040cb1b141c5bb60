//! Walks of everything below a folder: how much it is, how deep, and its end.

use super::open;
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::{Errno, Result};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What is kept, or was: the sizes of files, and the number of files and folders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::files) struct Amount {
    pub(in crate::files) bytes: u64,
    pub(in crate::files) entries: u64,
}

impl Amount {
    pub(in crate::files) fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes); // holes in files can have any size
        self.entries += 1;
    }
}

/// All that is below a folder.
pub(in crate::files) fn amount_below(folder: impl AsFd) -> Result<Amount> {
    let mut amount = Amount::default();
    each(folder, &mut |found| {
        amount.add(found.size);
        Ok(())
    })?;
    Ok(amount)
}

/// How deep what is below a folder goes, and how long its longest path is, with a `/` before it.
pub(super) fn extent(folder: impl AsFd) -> Result<(usize, usize)> {
    let (mut deepest, mut longest) = (0, 0);
    each(folder, &mut |found| {
        deepest = deepest.max(found.depth);
        longest = longest.max(found.length);
        Ok(())
    })?;
    Ok((deepest, longest))
}

/// Deletes a folder or file with all that is in it. Adds what was there to `freed`, even where it fails in the middle: what is
/// gone is gone. What somebody else deletes meanwhile is theirs to count.
pub(in crate::files) fn delete_all(parent: impl AsFd, name: &str, freed: &mut Amount) -> Result<()> {
    let parent = parent.as_fd();
    let stat = match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        if is_deleted(fs::unlinkat(parent, name, AtFlags::empty()))? {
            freed.add(size_of(&stat));
        }
        return Ok(());
    }
    let top = match folder(parent, name) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    each(top, &mut |found| {
        let flags = match found.is_folder {
            true => AtFlags::REMOVEDIR,
            false => AtFlags::empty(),
        };
        if is_deleted(fs::unlinkat(found.folder, found.name, flags))? {
            freed.add(found.size);
        }
        Ok(())
    })?;
    if is_deleted(fs::unlinkat(parent, name, AtFlags::REMOVEDIR))? {
        freed.add(0);
    }
    Ok(())
}

/// Whether it was deleted here, and not by somebody else before.
fn is_deleted(deleted: Result<()>) -> Result<bool> {
    match deleted {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn folder(parent: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    open(parent, name, OFlags::RDONLY | OFlags::DIRECTORY)
}

fn size_of(stat: &fs::Stat) -> u64 {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => stat.st_size as u64,
        _ => 0,
    }
}

/// Something below the folder that a walk began at.
struct Found<'f> {
    folder: BorrowedFd<'f>,
    name: &'f CStr,
    /// How many names its path has, and how long that is, with a `/` before it.
    depth: usize,
    length: usize,
    is_folder: bool,
    size: u64,
}

/// A folder that a walk is in.
struct Level {
    dir: Dir,
    /// Its name in the one above, and the length of its path; none at the top.
    name: CString,
    length: usize,
}

/// Visits everything below a folder, what is in a folder before itself. However deep that is, it takes a descriptor for each
/// level: paths end at 64 names, and what others than the service have put there need not.
fn each(top: impl AsFd, visit: &mut dyn FnMut(Found<'_>) -> Result<()>) -> Result<()> {
    let mut levels = vec![Level {
        dir: Dir::read_from(top)?,
        name: CString::default(),
        length: 0,
    }];
    loop {
        let depth = levels.len();
        let Some(level) = levels.last_mut() else {
            return Ok(());
        };
        let Some(entry) = level.dir.read() else {
            let done = levels.pop();
            if let (Some(done), Some(above)) = (done, levels.last()) {
                visit(Found {
                    folder: above.dir.fd()?,
                    name: &done.name,
                    depth: depth - 1,
                    length: done.length,
                    is_folder: true,
                    size: 0,
                })?;
            }
            continue;
        };
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let folder = level.dir.fd()?;
        let stat = match fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        let length = level.length + 1 + name.to_bytes().len();
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match fs::openat(folder, name, flags, Mode::empty()) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                opened => levels.push(Level {
                    dir: Dir::new(opened?)?,
                    name: name.to_owned(),
                    length,
                }),
            }
            continue;
        }
        visit(Found {
            folder,
            name,
            depth,
            length,
            is_folder: false,
            size: size_of(&stat),
        })?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_delete_the_same_count_each_byte_once() {
        let outer = tempfile::tempdir().expect("a folder");
        for folder in 0..20 {
            let folder = outer.path().join(format!("trash/{folder}"));
            std::fs::create_dir_all(&folder).expect("a folder");
            for file in 0..50 {
                std::fs::write(folder.join(file.to_string()), "bytes").expect("a file");
            }
        }
        let delete = || {
            let parent = std::fs::File::open(outer.path()).expect("a folder");
            let mut freed = Amount::default();
            delete_all(&parent, "trash", &mut freed).expect("what is gone is passed over");
            freed
        };
        let [one, other] = std::thread::scope(|scope| {
            let both = [scope.spawn(delete), scope.spawn(delete)];
            both.map(|thread| thread.join().expect("no panic"))
        });
        assert_eq!(one.bytes + other.bytes, 20 * 50 * 5);
        assert_eq!(one.entries + other.entries, 1 + 20 + 20 * 50);
        assert!(!outer.path().join("trash").exists());
    }

    /// No path is so deep, but an operator's own folders may be.
    #[test]
    fn depth_is_no_reason_to_fail() {
        let outer = tempfile::tempdir().expect("a folder");
        let deep = outer.path().join("trash").join(["d"; 200].join("/"));
        std::fs::create_dir_all(&deep).expect("folders");
        std::fs::write(deep.join("file"), "bytes").expect("a file");
        let parent = std::fs::File::open(outer.path()).expect("a folder");
        let all = Amount {
            bytes: 5,
            entries: 202,
        };
        assert_eq!(amount_below(&parent), Ok(all));
        assert_eq!(
            extent(&parent),
            Ok((202, "/trash".len() + 200 * "/d".len() + "/file".len()))
        );
        let mut freed = Amount::default();
        delete_all(&parent, "trash", &mut freed).expect("all of it goes");
        assert_eq!((freed, outer.path().join("trash").exists()), (all, false));
    }
}
