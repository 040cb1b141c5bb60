//! A file of this machine that is to be sent.

use super::failure::Failure;
use rustix::fs::{CWD, Mode, OFlags};
use serde::{Deserialize, Serialize};
use sockeye_proto::files::Mtime;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What tells a file from another one, and from itself after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    device: u64,
    inode: u64,
    /// In bytes.
    pub size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// The time of the last change of anything about it, which no program can set.
    changed: (i64, i64),
}

impl Identity {
    fn of(facts: &Metadata) -> Self {
        Identity {
            device: facts.dev(),
            inode: facts.ino(),
            size: facts.size(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
        }
    }

    /// When its content last changed; before 1677 and after 2262 as near as can be said.
    pub fn mtime(&self) -> Mtime {
        let (seconds, rest) = self.modified;
        Mtime(seconds.saturating_mul(1_000_000_000).saturating_add(rest))
    }
}

/// The folder that a file was found in last: the next one of it is opened from there, and not from the beginning of its path.
#[derive(Debug, Default)]
pub(crate) struct Near(Option<(PathBuf, OwnedFd)>);

impl Near {
    fn folder<'p>(&mut self, path: &'p Path) -> Option<(BorrowedFd<'_>, &'p OsStr)> {
        let (parent, name) = path.parent().zip(path.file_name())?;
        if self.0.as_ref().is_none_or(|(last, _)| last != parent) {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = rustix::fs::open(parent, flags, Mode::empty()).ok()?; // why not is told of the file
            self.0 = Some((parent.to_owned(), opened));
        }
        self.0.as_ref().map(|(_, folder)| (folder.as_fd(), name))
    }
}

/// A file that was opened, and what it was then.
#[derive(Debug)]
pub struct Source {
    pub(crate) file: File,
    /// Where it was found.
    pub path: PathBuf,
    /// What it was when it was opened.
    pub identity: Identity,
}

impl Source {
    /// Opens a file that the user has named: symbolic links are followed.
    ///
    /// # Errors
    /// When it can't be read, or is no file.
    pub fn named(path: &Path) -> Result<Self, Failure> {
        Self::open(path, (CWD, path.as_os_str()), OFlags::empty())
    }

    /// Opens a file that was found in a folder: what has become a symbolic link meanwhile isn't followed.
    pub(crate) fn found(path: &Path, near: &mut Near) -> Result<Self, Failure> {
        let at = near.folder(path).unwrap_or((CWD, path.as_os_str()));
        Self::open(path, at, OFlags::NOFOLLOW)
    }

    fn open(path: &Path, (folder, name): (BorrowedFd<'_>, &OsStr), flags: OFlags) -> Result<Self, Failure> {
        // Without a wait for the other end of what turns out to be a pipe.
        let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file: File = rustix::fs::openat(folder, name, flags, Mode::empty())
            .map_err(|error| Failure::disk("open", path, error))?
            .into();
        let facts = file
            .metadata()
            .map_err(|error| Failure::disk("open", path, error))?;
        if !facts.is_file() {
            return Err(Failure::ours("open", path.display(), "it is no file"));
        }
        let identity = Identity::of(&facts);
        let path = path.to_owned();
        Ok(Source { file, path, identity })
    }

    /// That it is still what it was.
    ///
    /// # Errors
    /// When it has changed.
    pub(crate) fn unchanged(&self) -> Result<(), Failure> {
        match self.file.metadata() {
            Ok(now) if Identity::of(&now) == self.identity => Ok(()),
            Ok(_) => Err(self.has_changed()),
            Err(error) => Err(Failure::disk("read", &self.path, error)),
        }
    }

    pub(crate) fn has_changed(&self) -> Failure {
        Failure::ours(
            "read",
            self.path.display(),
            "it was changed while it was being sent",
        )
        .advise("nothing of it is visible there; send it again when nobody writes to it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_change_is_seen_and_links_are_followed_only_where_a_person_named_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("a"), folder.path().join("l"));
        std::fs::write(&file, "abc").expect("write");
        std::os::unix::fs::symlink(&file, &link).expect("link");
        let source = Source::named(&link).expect("named");
        assert_eq!(source.identity.size, 3);
        source.unchanged().expect("nobody has written");
        let near = &mut Near::default();
        Source::found(&file, near).expect("found");
        Source::found(&link, near).expect_err("a link that was found");
        let other = folder.path().join("b");
        std::fs::create_dir(&other).expect("a folder");
        std::fs::write(other.join("a"), "other").expect("write");
        assert_eq!(
            Source::found(&other.join("a"), near)
                .expect("found")
                .identity
                .size,
            5
        );
        Source::found(&folder.path().join("none/a"), near).expect_err("no such folder");
        let mut writer = std::fs::OpenOptions::new()
            .append(true)
            .open(&file)
            .expect("open");
        writer.write_all(b"d").expect("append");
        let error = source.unchanged().expect_err("it has grown").to_string();
        assert!(error.contains("was changed"), "{error}");
    }

    #[test]
    fn neither_a_folder_nor_a_pipe_is_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        Source::named(folder.path()).expect_err("a folder");
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RUSR).expect("a pipe");
        Source::named(&pipe).expect_err("a pipe that nobody writes to");
    }
}
