//! A folder and what is below it, reached by descriptors only.
//!
//! Nothing is opened by a path from the root of the system, no symbolic link is followed, and nothing leads out:
//! `openat2(2)` promises that for a whole path. Where the kernel lacks it, each folder on the way is opened by
//! itself from the one above, with `O_NOFOLLOW`, and so can't be a link either; that is as tight, and needs no crate.

mod listing;
mod removal;

use rustix::fs::{self, AtFlags, FileType, FlockOperation, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::{Errno, Result};
use sockeye_proto::files::{MAX_DEPTH, MAX_PATH, Path};
use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) use listing::list;
pub(super) use removal::{Amount, amount_below, delete_all};

/// What services keep is their owner's business.
pub(super) const FOLDER_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A rename elsewhere in the tree can make `openat2` ask for another try; one that never stops is somebody's attack.
const TRIES: usize = 64;

const WITHIN: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// The kernel has no `openat2`.
static LACKING: AtomicBool = AtomicBool::new(false);

/// Opens what is at a path below a folder.
pub(super) fn open(folder: impl AsFd, path: &str, flags: OFlags) -> Result<OwnedFd> {
    let folder = folder.as_fd();
    let path = if path.is_empty() { "." } else { path };
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mode = match flags.contains(OFlags::CREATE) {
        true => FILE_MODE,
        false => Mode::empty(),
    };
    if !LACKING.load(Ordering::Relaxed) {
        for _ in 0..TRIES {
            match fs::openat2(folder, path, flags, mode, WITHIN) {
                Err(Errno::AGAIN) => {}
                Err(Errno::NOSYS | Errno::PERM) => {
                    LACKING.store(true, Ordering::Relaxed);
                    break;
                }
                opened => return opened,
            }
        }
    }
    walk(folder, path, flags, mode)
}

/// The same, a folder at a time.
fn walk(folder: BorrowedFd<'_>, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let (parents, last) = path.rsplit_once('/').unwrap_or(("", path));
    let mut at: Option<OwnedFd> = None;
    for name in parents.split('/').filter(|name| !name.is_empty()) {
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let from = at.as_ref().map_or(folder, AsFd::as_fd);
        at = Some(fs::openat(from, name, step, Mode::empty())?);
    }
    let from = at.as_ref().map_or(folder, AsFd::as_fd);
    let opened = fs::openat(from, last, flags, mode)?;
    match fs::fstat(&opened)?.st_dev == fs::fstat(folder)?.st_dev {
        true => Ok(opened),
        false => Err(Errno::XDEV),
    }
}

/// Files that have no name can't be given one: an older kernel lets only root do so, but for a way through `/proc`, which isn't
/// there.
static NAMELESS_FOR_EVER: AtomicBool = AtomicBool::new(false);

/// Makes a file that has no name, and goes with its descriptor.
pub(super) fn unnamed(folder: BorrowedFd<'_>) -> Result<File> {
    if NAMELESS_FOR_EVER.load(Ordering::Relaxed) {
        return Err(Errno::OPNOTSUPP);
    }
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    fs::openat(folder, ".", flags, FILE_MODE).map(File::from)
}

/// Gives a file that has none a name in a folder, where nothing is called so.
pub(super) fn link(file: &File, folder: impl AsFd, name: &str) -> Result<()> {
    match fs::linkat(file, "", &folder, name, AtFlags::EMPTY_PATH) {
        // Older kernels let only root do so (open(2) at O_TMPFILE).
        Err(Errno::NOENT) => {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            link_from(&path, folder, name)
        }
        linked => linked,
    }
}

/// When it can't be, those that come later have names from the beginning.
fn link_from(path: &str, folder: impl AsFd, name: &str) -> Result<()> {
    match fs::linkat(fs::CWD, path, folder, name, AtFlags::SYMLINK_FOLLOW) {
        Err(Errno::NOENT) if fs::readlinkat(fs::CWD, path, Vec::new()).is_err() => {
            NAMELESS_FOR_EVER.store(true, Ordering::Relaxed);
            Err(Errno::OPNOTSUPP)
        }
        linked => linked,
    }
}

/// Opens a folder below another, and makes it where it is missing.
pub(super) fn folder_in(folder: impl AsFd, name: &str) -> Result<OwnedFd> {
    match fs::mkdirat(&folder, name, FOLDER_MODE) {
        Ok(()) => fs::fsync(&folder)?,
        Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    folder_below(folder, name)
}

/// Opens a folder that is there.
pub(super) fn folder_below(folder: impl AsFd, path: &str) -> Result<OwnedFd> {
    open(folder, path, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// A user's own root.
#[derive(Debug)]
pub(super) struct Tree(OwnedFd);

/// While it is there, nobody else changes names in the tree: neither another thread nor another process. There is one at
/// a time for each [`Tree`], as a connection has one request at a time.
pub(super) struct Quiet(Arc<Tree>);

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = fs::flock(&self.0.0, FlockOperation::Unlock); // the descriptor's end would do it, too
    }
}

/// A folder, and the name of something in it.
pub(super) struct Spot<'p> {
    pub(super) folder: OwnedFd,
    pub(super) name: &'p str,
}

impl Spot<'_> {
    pub(super) fn stat(&self) -> Result<Stat> {
        fs::statat(&self.folder, self.name, AtFlags::SYMLINK_NOFOLLOW)
    }
}

impl Tree {
    /// `folder` is a descriptor of its own, which no other thread locks.
    pub(super) fn of(folder: OwnedFd) -> Self {
        Tree(folder)
    }

    /// Keeps everybody else from changing names, unless somebody is at it just now.
    pub(super) fn try_quiet(self: &Arc<Self>) -> Result<Option<Quiet>> {
        match fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Quiet(self.clone()))),
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn folder(&self, path: &str) -> Result<OwnedFd> {
        folder_below(&self.0, path)
    }

    /// A file to read.
    pub(super) fn file(&self, path: &Path) -> Result<(File, Stat)> {
        // Not to wait for who writes to a pipe that somebody has put there.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = open(&self.0, path.as_str(), flags)?;
        let stat = fs::fstat(&opened)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok((File::from(opened), stat)),
            FileType::Directory => Err(Errno::ISDIR),
            _ => Err(Errno::NOENT),
        }
    }

    /// What is at the path; a file is open then.
    pub(super) fn look(&self, path: &Path) -> Result<(Option<File>, Stat)> {
        match self.file(path) {
            Ok((file, stat)) => Ok((Some(file), stat)),
            Err(Errno::ISDIR) => Ok((None, fs::fstat(self.folder(path.as_str())?)?)),
            Err(error) => Err(error),
        }
    }

    /// The folder that something is in, which must be there.
    pub(super) fn spot<'p>(&self, path: &'p Path) -> Result<Spot<'p>> {
        let (folder, name) = path.split().ok_or(Errno::ISDIR)?;
        let folder = self.folder(folder)?;
        Ok(Spot { folder, name })
    }

    /// Makes a folder and those above it, as far as they are missing and there may be more.
    pub(super) fn make_folders(&self, path: &str, spare: &mut u64) -> Result<()> {
        let mut at = self.folder("")?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match make_folder(&at, name, spare) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            at = folder_below(&at, name)?;
        }
        Ok(())
    }

    /// Has the names of folders, and of those above them, forced to the disk. Whoever made them may not have waited for that.
    pub(super) fn force_above<'p>(&self, folders: impl IntoIterator<Item = &'p str>) -> Result<()> {
        let all: BTreeSet<&str> = folders.into_iter().flat_map(above).collect();
        all.into_iter().try_for_each(|path| match self.folder(path) {
            Ok(folder) => fs::fsync(folder),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()), // it was moved or removed since
            Err(error) => Err(error),
        })
    }

    /// Makes one folder, if there may be one more. Neither this nor [`make_folders`](Self::make_folders) waits for the disk.
    pub(super) fn make_folder(&self, path: &Path, spare: &mut u64) -> Result<()> {
        let spot = self.spot(path)?;
        make_folder(&spot.folder, spot.name, spare)
    }

    /// Whether all that is below `from` still has a path when that is called `to`.
    pub(super) fn fits(&self, from: &Path, to: &Path) -> Result<bool> {
        let folder = match self.folder(from.as_str()) {
            Ok(folder) => folder,
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(true),
            Err(error) => return Err(error),
        };
        let (depth, length) = removal::extent(&folder)?;
        Ok(to.names().count() + depth <= MAX_DEPTH && to.as_str().len() + length <= MAX_PATH)
    }
}

fn make_folder(folder: &OwnedFd, name: &str, spare: &mut u64) -> Result<()> {
    if *spare == 0 {
        return Err(no_more(folder, name));
    }
    fs::mkdirat(folder, name, FOLDER_MODE)?;
    *spare -= 1;
    Ok(())
}

/// The folders that the folder at this path is in; the root is in none.
fn above(path: &str) -> impl Iterator<Item = &str> {
    fn parent(path: &str) -> Option<&str> {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        (!path.is_empty()).then_some(parent)
    }
    std::iter::successors(parent(path), |path| parent(path))
}

/// Why nothing can be made when there may be no more: the name is taken, or it would be one too many.
pub(super) fn no_more(folder: &OwnedFd, name: &str) -> Errno {
    match fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Errno::EXIST,
        Err(Errno::NOENT) => Errno::MLINK,
        Err(error) => error,
    }
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Reads what there is at an offset, for as much as there is room.
pub(super) fn read_at(file: &File, room: &mut [u8], offset: u64) -> Result<usize> {
    loop {
        match rustix::io::pread(file, &mut *room, offset) {
            Err(Errno::INTR) => {}
            outcome => return outcome,
        }
    }
}

/// Writes all of the bytes at an offset.
pub(super) fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, offset) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
            Ok(count) => {
                offset += count as u64;
                bytes = &bytes[count..];
            }
        }
    }
    Ok(())
}

/// When a file was changed, in nanoseconds since 1970.
pub(super) fn mtime_of(stat: &Stat) -> i64 {
    let nanoseconds = i64::try_from(stat.st_mtime_nsec).unwrap_or(0);
    stat.st_mtime
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn ways() -> [fn(BorrowedFd<'_>, &str) -> Result<OwnedFd>; 2] {
        [
            |folder, path| open(folder, path, OFlags::RDONLY),
            |folder, path| walk(folder, path, OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty()),
        ]
    }

    #[test]
    fn what_is_above_a_folder_is_forced_as_far_as_it_is_there() {
        assert_eq!(above("a/b/c").collect::<Vec<_>>(), ["a/b", "a", ""]);
        assert_eq!(above("a").collect::<Vec<_>>(), [""]);
        assert_eq!(above("").count(), 0);
        let folder = tempfile::tempdir().expect("a folder");
        let tree = Tree::of(File::open(folder.path()).expect("it is there").into());
        let mut spare = 3;
        tree.make_folders("a/b", &mut spare).expect("two folders");
        assert_eq!(spare, 1);
        tree.force_above(["a/b", "a/b/c", "", "gone/d/e"])
            .expect("what is gone is no matter");
        std::fs::write(folder.path().join("file"), "x").expect("a file");
        tree.force_above(["file/x"]).expect("nor what is none");
    }

    #[test]
    fn where_files_without_a_name_can_have_none_no_more_of_them_are_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = File::open(folder.path()).expect("a folder");
        let made = unnamed(folder.as_fd()).expect("a file");
        link(&made, &folder, "name").expect("it has a name");
        // Something else is missing.
        let path = format!("/proc/self/fd/{}", made.as_raw_fd());
        assert_eq!(link_from(&path, &folder, "no/folder"), Err(Errno::NOENT));
        unnamed(folder.as_fd()).expect("a file");
        // As where nothing is mounted there.
        let without = link_from("/proc/self/fd/nothing", &folder, "other");
        assert_eq!(without, Err(Errno::OPNOTSUPP));
        assert_eq!(unnamed(folder.as_fd()).map(drop), Err(Errno::OPNOTSUPP));
        NAMELESS_FOR_EVER.store(false, Ordering::Relaxed);
    }

    #[test]
    fn neither_way_follows_a_link_or_leads_out() {
        let outer = tempfile::tempdir().expect("a folder");
        let root = outer.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).expect("folders");
        std::fs::write(root.join("a/b/file"), "x").expect("a file");
        std::fs::write(outer.path().join("secret"), "y").expect("a file");
        symlink("../secret", root.join("link")).expect("a link");
        symlink("..", root.join("up")).expect("a link");
        symlink("a", root.join("inner")).expect("a link");
        symlink("/etc", root.join("absolute")).expect("a link");
        let folder = File::open(&root).expect("the root");
        for way in ways() {
            way(folder.as_fd(), "a/b/file").expect("a plain file");
            for path in ["link", "up/secret", "inner/b/file", "absolute/passwd", "absolute"] {
                let error = way(folder.as_fd(), path).expect_err(path);
                assert!(matches!(error, Errno::LOOP | Errno::NOTDIR), "{path}: {error}");
            }
        }
    }
}
