//! What is in a folder, in order, a page at a time.
//!
//! A folder may hold millions of names: of each only as many are kept as are asked for.

use super::{mtime_of, open};
use crate::files::record;
use rustix::fs::{self, AtFlags, Dir, FileType, OFlags};
use rustix::io::{Errno, Result};
use sockeye_proto::files::{Entry, Kind, Listed, MAX_NAME, Mtime, Path};
use std::collections::BinaryHeap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

/// What the entries of an answer may take: it has to fit a frame, with some room for the words around them.
const MAX_ENTRIES: usize = sockeye_proto::frames::MAX_FRAME - 1024;
/// What an entry takes beside its path: the names of its members, a hash, two numbers.
const PER_ENTRY: usize = 200;

struct Page {
    /// What is cut off from a path to have it from the folder that is listed.
    base: usize,
    entries: Vec<Entry>,
    room: usize,
    limit: usize,
    recursive: bool,
}

/// Lists what is below a folder, which is at this path, after a path below it.
pub(in crate::files) fn list(
    folder: impl AsFd,
    at: &Path,
    after: Option<&Path>,
    limit: usize,
    recursive: bool,
) -> Result<Listed> {
    let mut page = Page {
        base: at.names().map(|name| name.len() + 1).sum(),
        entries: Vec::new(),
        room: MAX_ENTRIES,
        limit,
        recursive,
    };
    let after = after.into_iter().flat_map(Path::names);
    let after: Vec<&str> = after.skip(at.names().count()).collect();
    let more = page.fill(folder.as_fd(), at, &after)?;
    Ok(Listed {
        entries: page.entries,
        more,
    })
}

impl Page {
    /// Adds what is in a folder after these names; says whether something was left out.
    fn fill(&mut self, folder: BorrowedFd<'_>, path: &Path, after: &[&str]) -> Result<bool> {
        let mut from = after.first().map(|name| (*name).to_owned());
        // What the page before ended within goes on first: the rest of that folder.
        if let (Some(first), [_, rest @ ..]) = (&from, after)
            && self.recursive
            && let Ok(below) = open(folder, first, OFlags::RDONLY | OFlags::DIRECTORY)
            && let Ok(path) = path.join(first)
            && self.fill(below.as_fd(), &path, rest)?
        {
            return Ok(true);
        }
        loop {
            let wanted = self.limit.saturating_sub(self.entries.len()) + 1;
            let names = next_names(folder, from.as_deref(), path, wanted)?;
            let complete = names.len() < wanted;
            for name in names {
                if self.add(folder, path, &name)? {
                    return Ok(true);
                }
                from = Some(name);
            }
            if complete {
                return Ok(false);
            }
        }
    }

    /// Adds an entry and what is below it; says whether something was left out.
    fn add(&mut self, folder: BorrowedFd<'_>, path: &Path, name: &str) -> Result<bool> {
        let Ok(path) = path.join(name) else {
            return Ok(false);
        };
        let entry = match entry(folder, &path.as_str()[self.base..], name) {
            Ok(Some(entry)) => entry,
            Ok(None) | Err(Errno::NOENT) => return Ok(false), // gone meanwhile, or nothing of ours
            Err(error) => return Err(error),
        };
        // Quotes are written as two bytes.
        let size = PER_ENTRY + 2 * entry.path.len();
        if self.entries.len() >= self.limit || size > self.room {
            return Ok(true);
        }
        self.room -= size;
        let is_folder = entry.kind == Kind::Folder;
        self.entries.push(entry);
        if !(is_folder && self.recursive) {
            return Ok(false);
        }
        match open(folder, name, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(below) => self.fill(below.as_fd(), &path, &[]),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The first names of a folder after this one, in the order of their bytes.
fn next_names(
    folder: BorrowedFd<'_>,
    after: Option<&str>,
    path: &Path,
    wanted: usize,
) -> Result<Vec<String>> {
    let mut first = BinaryHeap::with_capacity(wanted.min(1024) + 1);
    for found in Dir::read_from(folder)? {
        let found = found?;
        let Ok(name) = found.file_name().to_str() else {
            continue;
        };
        let hidden = name.len() > MAX_NAME || path.join(name).is_err();
        if hidden || after.is_some_and(|after| name <= after) {
            continue;
        }
        if first.len() < wanted {
            first.push(name.to_owned());
        } else if first.peek().is_some_and(|last| name < last.as_str()) {
            first.pop();
            first.push(name.to_owned());
        }
    }
    Ok(first.into_sorted_vec())
}

/// What is to be told of a file or folder; nothing of anything else.
fn entry(folder: BorrowedFd<'_>, path: &str, name: &str) -> Result<Option<Entry>> {
    let stat = fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let (kind, size, hash) = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => (Kind::Folder, None, None),
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK;
            let hash = open(folder, name, flags)
                .ok()
                .and_then(|file| record::of(&File::from(file)));
            (Kind::File, Some(stat.st_size as u64), hash)
        }
        _ => return Ok(None),
    };
    Ok(Some(Entry {
        path: path.to_string(),
        kind,
        size,
        mtime: Mtime(mtime_of(&stat)),
        hash,
    }))
}
