//! Walks of everything below a folder: how much it is, how deep, and its end.

use super::open;
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::{Errno, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Beyond this depth nothing of ours is: a path has 64 names, and a folder that was just moved away one more.
const DEEPEST: usize = 70;

/// The sizes of all files below a folder.
pub(in crate::files) fn sizes_below(folder: impl AsFd) -> Result<u64> {
    let mut sum = 0;
    each(folder.as_fd(), 0, 0, &mut |_, _, _, _, size| {
        sum += size;
        Ok(())
    })?;
    Ok(sum)
}

/// How deep what is below a folder goes, and how long its longest path is, with a `/` before it.
pub(super) fn extent(folder: impl AsFd) -> Result<(usize, usize)> {
    let (mut deepest, mut longest) = (0, 0);
    each(folder.as_fd(), 0, 0, &mut |_, _, depth, length, _| {
        deepest = deepest.max(depth);
        longest = longest.max(length);
        Ok(())
    })?;
    Ok((deepest, longest))
}

/// Deletes a folder or file with all that is in it. Adds how many bytes its files had to `freed`, even where it fails in the
/// middle: what is gone is gone. What somebody else deletes meanwhile is theirs to count.
pub(in crate::files) fn delete_all(parent: impl AsFd, name: &str, freed: &mut u64) -> Result<()> {
    let parent = parent.as_fd();
    let stat = match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        if is_deleted(fs::unlinkat(parent, name, AtFlags::empty()))? {
            *freed += size_of(&stat);
        }
        return Ok(());
    }
    let top = match folder(parent, name) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    each(top, 0, 0, &mut |folder, name, _, _, size| {
        let deleted = match fs::unlinkat(folder, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => fs::unlinkat(folder, name, AtFlags::REMOVEDIR),
            other => other,
        };
        if is_deleted(deleted)? {
            *freed += size;
        }
        Ok(())
    })?;
    is_deleted(fs::unlinkat(parent, name, AtFlags::REMOVEDIR)).map(drop)
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

/// Called with a folder, a name in it, its depth, the length of its path, and its size.
type Visit<'v> = &'v mut dyn FnMut(BorrowedFd<'_>, &std::ffi::CStr, usize, usize, u64) -> Result<()>;

/// Visits everything below a folder, what is in a folder before itself.
fn each(at: impl AsFd, depth: usize, length: usize, visit: Visit<'_>) -> Result<()> {
    let at = at.as_fd();
    if depth > DEEPEST {
        return Err(Errno::LOOP);
    }
    for found in Dir::read_from(at)? {
        let found = found?;
        let name = found.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = match fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        let length = length + 1 + name.to_bytes().len();
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match fs::openat(at, name, flags, Mode::empty()) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                other => each(other?, depth + 1, length, visit)?,
            }
        }
        visit(at, name, depth + 1, length, size_of(&stat))?;
    }
    Ok(())
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
            let mut freed = 0;
            delete_all(&parent, "trash", &mut freed).expect("what is gone is passed over");
            freed
        };
        let freed: u64 = std::thread::scope(|scope| {
            let both = [scope.spawn(delete), scope.spawn(delete)];
            both.map(|thread| thread.join().expect("no panic")).iter().sum()
        });
        assert_eq!(freed, 20 * 50 * 5);
        assert!(!outer.path().join("trash").exists());
    }
}
