//! Folders that aren't there yet: they are filled out of sight, among the pending, and get their names when all in them is complete.
//!
//! So a file has its own name from the beginning, which is entered once; and a folder's name is entered once for all that is in it.

use super::Place;
use super::temporary::{Temporary, is_shortage};
use crate::files::pending::Pending;
use crate::files::tree::{Amount, FOLDER_MODE, delete_all, folder_below, open};
use rustix::fs::{self, OFlags};
use rustix::io::{Errno, Result};
use sockeye_proto::files::Path;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The missing folders of one batch. What isn't shown when this ends goes with it; what is left by who is killed goes when the place
/// is counted.
#[derive(Debug)]
pub(in crate::files) struct Hidden {
    pending: Pending,
    /// By their paths.
    folders: Mutex<BTreeMap<String, Folder>>,
    /// See [`turn`](Self::turn).
    making: Mutex<()>,
}

/// Somebody who puts files into them, one after the other; there may be several at a time.
pub(in crate::files) struct Filling<'h> {
    hidden: &'h Hidden,
    place: &'h Place,
    /// The folder that was asked for last, and what it is called if it is hidden. Files come folder by folder, so one descriptor is enough.
    last: Option<(String, Option<(String, OwnedFd)>)>,
}

/// A folder that wasn't there.
#[derive(Debug)]
struct Folder {
    /// What it is called among the pending.
    name: String,
    content: Amount,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// What is in it is complete.
    Whole,
    /// Its files get their names one by one.
    Scattered,
    /// It has its name, and with it all in it.
    Shown,
}

impl Filling<'_> {
    /// A new file in the folder that it is to be in, if that is hidden; nothing where it goes another way. What comes of it is to be
    /// [noted](Hidden::note).
    pub(in crate::files) fn file(&mut self, path: &Path) -> Result<Option<(Arc<File>, Temporary)>> {
        let Some((parent, name)) = path.split() else {
            return Ok(None);
        };
        if self.last.as_ref().is_none_or(|(last, _)| last != parent) {
            let folder = self.hidden.folder(self.place, parent)?;
            self.last = Some((parent.to_owned(), folder));
        }
        let Some((_, Some((folder, descriptor)))) = &self.last else {
            return Ok(None);
        };
        match open(descriptor, name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL) {
            Ok(file) => {
                let temporary = Temporary::Hidden(format!("{folder}/{name}"));
                Ok(Some((Arc::new(File::from(file)), temporary)))
            }
            Err(error) if is_shortage(error) => Err(error),
            Err(_) => Ok(None), // there is one of this name, or can be none: that is told when it would get its name
        }
    }

    /// What came of it: its size, or nothing. A folder is shown only if all in it is complete.
    pub(in crate::files) fn note(&self, path: &Path, size: Option<u64>) {
        let parent = path.split().map_or("", |(parent, _)| parent);
        if let Some(folder) = self.hidden.folders().get_mut(parent) {
            match size {
                Some(size) => folder.content.add(size),
                None => folder.state = State::Scattered,
            }
        }
    }
}

impl Hidden {
    pub(in crate::files) fn of(place: &Place) -> Self {
        Hidden {
            pending: place.pending.clone(),
            folders: Mutex::default(),
            making: Mutex::default(),
        }
    }

    pub(in crate::files) fn fill<'h>(&'h self, place: &'h Place) -> Filling<'h> {
        let (hidden, last) = (self, None);
        Filling { hidden, place, last }
    }

    /// To make some files before others do. A folder takes one new name at a time, and who waits for it in the system keeps a core busy:
    /// those who take turns write meanwhile what they have made.
    pub(in crate::files) fn turn(&self) -> MutexGuard<'_, ()> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folders(&self) -> MutexGuard<'_, BTreeMap<String, Folder>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A folder to be filled out of sight, and what it is called.
    fn folder(&self, place: &Place, path: &str) -> Result<Option<(String, OwnedFd)>> {
        let mut folders = self.folders();
        let name = match folders.get(path) {
            Some(folder) => folder.name.clone(),
            None if !matches!(place.root.folder(path), Err(Errno::NOENT)) => return Ok(None),
            None => {
                let name = place.temporary_name();
                match fs::mkdirat(&self.pending, &name, FOLDER_MODE) {
                    Err(error) if is_shortage(error) => return Err(error),
                    Err(_) => return Ok(None),
                    Ok(()) => {}
                }
                let folder = Folder {
                    name: name.clone(),
                    content: Amount::default(),
                    state: State::Whole,
                };
                folders.insert(path.to_owned(), folder);
                name
            }
        };
        folder_below(&self.pending, &name).map(|folder| Some((name, folder)))
    }

    /// Nobody knows what is complete in the folders: files get their names one by one, and what is left goes.
    pub(in crate::files) fn scatter(&self) {
        self.folders()
            .values_mut()
            .for_each(|folder| folder.state = State::Scattered);
    }

    /// Has what is called in the folders forced to the disk.
    pub(in crate::files) fn force(&self) -> Result<()> {
        let folders = self.folders();
        let mut names = folders.values().map(|folder| &folder.name);
        names.try_for_each(|name| fs::fsync(folder_below(&self.pending, name)?))
    }

    /// Whether the folder of this path is shown. If it is to be, `show` is told what it is called, and what is in it.
    pub(super) fn is_shown(&self, path: &str, show: impl FnOnce(&str, Amount) -> bool) -> bool {
        let mut folders = self.folders();
        let Some(folder) = folders.get_mut(path) else {
            return false;
        };
        if folder.state == State::Whole {
            folder.state = match show(&folder.name, folder.content) {
                true => State::Shown,
                false => State::Scattered,
            };
        }
        folder.state == State::Shown
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        for folder in self
            .folders()
            .values()
            .filter(|folder| folder.state != State::Shown)
        {
            if let Err(error) = delete_all(&self.pending, &folder.name, &mut Amount::default()) {
                tracing::warn!(name = folder.name, %error, "a folder that got no name can't be deleted");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::place::tests::place;
    use crate::files::place::{Complete, Publishing};
    use sockeye_proto::files::{Hash, Mtime};

    #[test]
    fn a_file_that_failed_is_not_shown_with_the_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = place(&folder, None);
        let hidden = Arc::new(Hidden::of(&place));
        let mut filling = hidden.fill(&place);
        let [good, bad] = ["a/good", "a/bad"].map(|path| Path::parse(path).expect("a path"));
        let (_, temporary) = filling.file(&good).expect("a file").expect("it is hidden");
        filling.note(&good, Some(0));
        // It can't even be deleted.
        filling.file(&bad).expect("a file").expect("it is hidden");
        filling.note(&bad, None);
        let complete = Complete {
            path: good,
            temporary,
            size: 0,
            mtime: Mtime(0),
            hash: Hash([0; 32]),
            clobber: false,
        };
        let naming = sockeye::block_on(place.naming())
            .expect("a model")
            .expect("a turn");
        let mut publishing = Publishing::begin(&place, false, naming, hidden);
        let named = publishing.name(&complete);
        publishing.end(vec![named]).remove(0).expect("a receipt");
        let names = |at: &str| -> Vec<_> {
            let names = std::fs::read_dir(folder.path().join("files").join(at)).expect("a folder");
            names.map(|entry| entry.expect("an entry").file_name()).collect()
        };
        assert_eq!(names("everybody/a"), ["good"]);
        assert_eq!(names("uploads/*everybody"), ["holds"]);
    }
}
