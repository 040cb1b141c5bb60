//! Where on this machine files go that come from the service: folders by their descriptors, so that nothing which a
//! service names, and no link that somebody puts there meanwhile, leads out of them.

use super::failure::Failure;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;
use rustix::process::geteuid;
use sockeye_proto::files::Mtime;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder that is open.
#[derive(Debug, Clone)]
pub struct Folder {
    fd: Arc<OwnedFd>,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder that a person named, and makes it where it is missing.
    ///
    /// # Errors
    /// When it can't be had, or is no folder.
    pub fn named(path: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(path).map_err(|error| Failure::disk("make folder", path, error))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty());
        let fd = fd.map_err(|error| Failure::disk("open folder", path, error))?;
        let path = path.to_owned();
        Ok(Folder {
            fd: Arc::new(fd),
            path,
        })
    }

    /// A folder in this one, made where it is missing. A symbolic link is none.
    pub(crate) fn child(&self, name: &str) -> Result<Self, Failure> {
        let path = self.path.join(name);
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(Failure::disk("make folder", &path, error)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Folder {
                fd: Arc::new(fd),
                path,
            }),
            Err(Errno::LOOP | Errno::NOTDIR) => Err(Failure::ours(
                "open folder",
                path.display(),
                "something else has this name",
            )),
            Err(error) => Err(Failure::disk("open folder", &path, error)),
        }
    }

    /// The folder at a path below this one; each part of it is a valid name.
    pub(crate) fn below<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> Result<Self, Failure> {
        parts
            .into_iter()
            .try_fold(self.clone(), |at, name| at.child(name))
    }

    /// Whether something has this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Refuses to replace what is neither a file nor a link to something: a device or a pipe would be gone for good.
    pub(crate) fn expect_replaceable(&self, name: &str) -> Result<(), Failure> {
        let Ok(stat) = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return Ok(());
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile | FileType::Symlink => Ok(()),
            _ => {
                let why = "it is no regular file, and only such a one is replaced";
                let failure = Failure::ours("write", self.path_of(name).display(), why);
                Err(failure.advise("choose another name, or remove it first"))
            }
        }
    }

    /// The file that has this name, to compare with it.
    pub(crate) fn existing(&self, name: &str) -> Option<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty());
        fd.ok().map(File::from)
    }

    /// Where that is, to tell of it.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A file of this name to write to, which is kept if it is there and nobody else can have it. Its name is no secret: what
    /// another user has made, or what has a second name, would be theirs to change afterwards, so another takes its place.
    pub(crate) fn part(&self, name: &str) -> Result<File, Failure> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let open =
            |flags| rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o666)).map(File::from);
        let failed = |error: Errno| self.failed("write", name, error);
        let file = open(flags).map_err(failed)?;
        let facts = file.metadata();
        let facts = facts.map_err(|error| Failure::disk("write", self.path_of(name), error))?;
        if facts.is_file() && facts.nlink() == 1 && facts.uid() == geteuid().as_raw() {
            return Ok(file);
        }
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())
            .map_err(|error| self.failed("replace", name, error))?;
        open(flags | OFlags::EXCL).map_err(failed)
    }

    /// Gives a file its final name.
    pub(crate) fn publish(&self, part: &str, name: &str, clobber: bool) -> Result<(), Failure> {
        let flags = match clobber {
            true => RenameFlags::empty(),
            false => RenameFlags::NOREPLACE,
        };
        match rustix::fs::renameat_with(&self.fd, part, &self.fd, name, flags) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(self.taken(name)),
            // A file system that can't promise it: then the look before has to do.
            Err(Errno::INVAL) if !clobber => match self.has(name) {
                true => Err(self.taken(name)),
                false => rustix::fs::renameat(&self.fd, part, &self.fd, name)
                    .map_err(|error| self.failed("rename to", name, error)),
            },
            Err(error) => Err(self.failed("rename to", name, error)),
        }
    }

    pub(crate) fn taken(&self, name: &str) -> Failure {
        let failure = Failure::ours(
            "write",
            self.path_of(name).display(),
            "something is there already",
        );
        failure.advise("replace it with --force, or choose another folder")
    }

    pub(crate) fn remove(&self, name: &str) {
        // What isn't there, or stays, is overwritten the next time.
        let _ = rustix::fs::unlinkat(&self.fd, name, AtFlags::empty());
    }

    /// Forces names that were given in it to the disk.
    pub(crate) fn sync(&self) -> Result<(), Failure> {
        rustix::fs::fsync(&self.fd).map_err(|error| Failure::disk("sync", &self.path, error))
    }

    /// Forces everything of its file system to the disk.
    pub(crate) fn sync_all(&self) -> Result<(), Failure> {
        rustix::fs::syncfs(&self.fd).map_err(|error| Failure::disk("sync", &self.path, error))
    }

    fn failed(&self, op: &'static str, name: &str, error: Errno) -> Failure {
        Failure::disk(op, self.path_of(name), error)
    }
}

/// Gives a file the time of its last change.
pub(crate) fn set_mtime(file: &File, Mtime(mtime): Mtime) {
    let when = Timespec {
        tv_sec: mtime.div_euclid(1_000_000_000),
        tv_nsec: mtime.rem_euclid(1_000_000_000) as _,
    };
    let times = Timestamps {
        last_access: when,
        last_modification: when,
    };
    // A file with another time is still the file.
    let _ = rustix::fs::futimens(file.as_fd(), &times);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn links_lead_nowhere_and_nothing_is_replaced_unasked() {
        let (folder, other) = (
            tempfile::tempdir().expect("a folder"),
            tempfile::tempdir().expect("a folder"),
        );
        let place = Folder::named(&folder.path().join("made")).expect("made");
        std::os::unix::fs::symlink(other.path(), place.path_of("link")).expect("a link");
        let error = place.child("link").expect_err("a link").to_string();
        assert!(error.contains("something else"), "{error}");
        std::os::unix::fs::symlink(other.path().join("x"), place.path_of("file")).expect("a link");
        place.part("file").expect_err("a link");
        assert!(!other.path().join("x").exists());

        let deep = place.below(["a", "b"]).expect("made");
        let mut part = deep.part(".p").expect("a file");
        part.write_all(b"new").expect("written");
        set_mtime(&part, Mtime(1_500_000_000));
        std::fs::write(deep.path_of("name"), "old").expect("written");
        deep.publish(".p", "name", false).expect_err("taken");
        deep.expect_replaceable("name").expect("a file");
        deep.expect_replaceable("nothing").expect("nothing is replaced");
        deep.publish(".p", "name", true).expect("asked for");
        assert_eq!(std::fs::read(deep.path_of("name")).expect("readable"), b"new");
        let facts = std::fs::metadata(deep.path_of("name")).expect("there");
        assert_eq!(facts.mtime_nsec(), 500_000_000);
        deep.sync().expect("synced");
    }

    #[test]
    fn what_others_can_write_to_is_no_part() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Folder::named(folder.path()).expect("there");
        let part = |text: &str| {
            let mut part = place.part("p").expect("a file");
            part.write_all(text.as_bytes()).expect("written");
            std::fs::read(place.path_of("p")).expect("readable")
        };
        assert_eq!(part("ours"), b"ours");
        assert_eq!(part("us"), b"usrs", "it is kept");
        std::fs::hard_link(place.path_of("p"), place.path_of("second")).expect("a link");
        assert_eq!(part("new"), b"new");
        assert_eq!(std::fs::read(place.path_of("second")).expect("readable"), b"usrs");
        std::fs::remove_file(place.path_of("p")).expect("removed");
        rustix::fs::mkfifoat(CWD, place.path_of("p"), Mode::RUSR).expect("a pipe");
        let why = place.expect_replaceable("p").expect_err("a pipe").to_string();
        assert!(why.contains("no regular file"), "{why}");
        assert_eq!(part("new"), b"new");
        // Only root can give a file away.
        if geteuid().is_root() {
            std::os::unix::fs::chown(place.path_of("p"), Some(65534), None).expect("another's");
            assert_eq!(part("n"), b"n");
        }
    }
}
