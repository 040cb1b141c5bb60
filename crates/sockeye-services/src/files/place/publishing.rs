//! How complete files get their names, while nobody else changes any.

use super::{Complete, Hidden, Naming, Place, Temporary, now};
use crate::files::record;
use crate::files::tree::{folder_below, mtime_of, no_more, open};
use crate::files::trouble::{self, Outcome};
use rustix::fs::{self, FileType, OFlags, RenameFlags};
use rustix::io::Errno;
use sockeye_proto::files::{Mtime, Receipt};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Up to so many folders are forced to the disk one by one, each of which may cost a flush of its own; more of them by one call for the
/// whole file system.
const FEW: usize = 16;

/// Files that get their names one after the other.
pub(in crate::files) struct Publishing<'p> {
    place: &'p Place,
    naming: Option<Naming>,
    hidden: Arc<Hidden>,
    /// How many more files and folders there may be.
    spare: u64,
    /// Those that files were put into.
    folders: BTreeMap<String, OwnedFd>,
    /// With it files are on the disk already, and their names are when it is over.
    sync: bool,
    /// How much more is kept than before.
    pub(in crate::files) growth: i64,
}

/// What is where a file is to be.
enum There {
    Same(Receipt, File),
    /// Another file of this size, or nothing.
    Other(Option<u64>),
}

impl Place {
    /// Gives complete files their names, all in one go. Their bytes are on the disk already, if they are to be; with `sync`
    /// so are the names when this returns. Says how much more is kept than before, too.
    pub(in crate::files) fn publish(
        &self,
        files: &[Complete],
        sync: bool,
        naming: Naming,
    ) -> (Vec<Outcome<Receipt>>, i64) {
        let mut publishing = Publishing::begin(self, sync, naming, Arc::new(Hidden::of(self)));
        let receipts = files.iter().map(|file| publishing.name(file)).collect();
        let growth = publishing.growth;
        (publishing.end(receipts), growth)
    }
}

impl<'p> Publishing<'p> {
    pub(in crate::files) fn begin(place: &'p Place, sync: bool, naming: Naming, hidden: Arc<Hidden>) -> Self {
        Publishing {
            place,
            hidden,
            spare: naming.spare,
            naming: Some(naming),
            folders: BTreeMap::new(),
            sync,
            growth: 0,
        }
    }

    /// A folder that files are put into, made where it is missing.
    pub(in crate::files) fn folder(&mut self, path: &str) -> Outcome<&OwnedFd> {
        folder(self.place, &mut self.folders, path, &mut self.spare)
    }

    /// Gives a complete file its name.
    pub(in crate::files) fn name(&mut self, file: &Complete) -> Outcome<Receipt> {
        let failed = |error| trouble::at(&file.path, error);
        let place = self.place;
        let (parent, name) = file.path.split().ok_or_else(|| failed(Errno::ISDIR))?;
        if matches!(file.temporary, Temporary::Hidden(_)) && self.show(parent) {
            return Ok(receipt(file, file.mtime));
        }
        let folder = folder(place, &mut self.folders, parent, &mut self.spare)?;
        let given = match self.spare {
            0 => Err(no_more(folder, name)),
            _ => place.give_name(file, (folder, name), false),
        };
        let old = match given {
            Ok(()) => None,
            Err(Errno::EXIST | Errno::INVAL) => {
                // Nobody else changes names now: what is there stays there.
                match there(folder, name, file)? {
                    There::Same(receipt, same) => {
                        // Perhaps it came when nothing was to be forced to the disk.
                        if self.sync {
                            fs::fsync(same).map_err(failed)?;
                        }
                        place.forget(file);
                        return Ok(receipt);
                    }
                    There::Other(old) => {
                        place.give_name(file, (folder, name), true).map_err(failed)?;
                        old
                    }
                }
            }
            Err(error) => return Err(failed(error)),
        };
        self.spare = self.spare.saturating_sub(u64::from(old.is_none()));
        self.growth += file.size as i64 - old.unwrap_or(0) as i64;
        Ok(receipt(file, file.mtime))
    }

    /// Shows the hidden folder of this path with all that is in it, unless it is shown already; says whether it is. It isn't where there
    /// is one meanwhile, or there may not be so many more files.
    fn show(&mut self, path: &str) -> bool {
        let (place, sync, folders) = (self.place, self.sync, &mut self.folders);
        let (spare, growth) = (&mut self.spare, &mut self.growth);
        self.hidden.is_shown(path, |hidden, content| {
            let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
            let Ok(above) = folder(place, folders, above, spare) else {
                return false; // each file meets the same, and is told of it
            };
            let Some(rest) = spare.checked_sub(content.entries + 1) else {
                return false;
            };
            let shown = folder_below(&place.pending, hidden).and_then(|folder| {
                fs::renameat_with(&place.pending, hidden, above, name, RenameFlags::NOREPLACE)?;
                Ok(folder)
            });
            let Ok(shown) = shown else { return false };
            *spare = rest;
            *growth += content.bytes as i64;
            if sync {
                folders.insert(path.to_owned(), shown); // to be forced, too: it knows which folder it is in
            }
            true
        })
    }

    /// Lets others change names, and has those that were given forced to the disk, if they are to be. Says in the receipts what
    /// became of that.
    pub(in crate::files) fn end(mut self, receipts: Vec<Outcome<Receipt>>) -> Vec<Outcome<Receipt>> {
        if let Some(naming) = self.naming.take() {
            self.place.note_entries(naming.spare as i64 - self.spare as i64);
        }
        let forced = match self.sync {
            true => self.force(),
            false => Ok(()),
        };
        let receipt = |named: Outcome<Receipt>| {
            // The name may be there, but nobody knows for how long.
            forced.map_err(|error| trouble::of("force the folder to the disk", error))?;
            Ok(Receipt {
                durable: self.sync,
                ..named?
            })
        };
        receipts.into_iter().map(receipt).collect()
    }

    fn force(&self) -> rustix::io::Result<()> {
        let above: usize = self.folders.keys().map(|path| path.split('/').count()).sum();
        if self.folders.len() + above > FEW {
            return fs::syncfs(&self.place.pending);
        }
        self.folders.values().try_for_each(fs::fsync)?;
        let paths = self.folders.keys().map(String::as_str);
        self.place.root.force_above(paths)?;
        fs::fsync(&self.place.pending)
    }
}

/// One of the folders that files are put into.
fn folder<'f>(
    place: &Place,
    folders: &'f mut BTreeMap<String, OwnedFd>,
    path: &str,
    spare: &mut u64,
) -> Outcome<&'f OwnedFd> {
    if !folders.contains_key(path) {
        let opened = match place.root.folder(path) {
            Err(Errno::NOENT) => place
                .root
                .make_folders(path, spare)
                .and_then(|()| place.root.folder(path)),
            other => other,
        };
        let opened = opened.map_err(|error| trouble::at(path, error))?;
        folders.insert(path.to_owned(), opened);
    }
    folders.get(path).ok_or_else(|| trouble::at(path, Errno::NOENT))
}

/// What is where a file is to be: the very file, or one that may be replaced.
fn there(folder: &OwnedFd, name: &str, file: &Complete) -> Outcome<There> {
    let failed = |error| trouble::at(&file.path, error);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let there = match open(folder, name, flags) {
        Err(Errno::NOENT) => return Ok(There::Other(None)), // a file system without NOREPLACE
        other => File::from(other.map_err(failed)?),
    };
    let stat = fs::fstat(&there).map_err(failed)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(failed(Errno::ISDIR)),
        _ => return Err(failed(Errno::EXIST)),
    }
    let size = stat.st_size as u64;
    if size == file.size && record::of(&there) == Some(file.hash) {
        return Ok(There::Same(receipt(file, Mtime(mtime_of(&stat))), there));
    }
    match file.clobber {
        true => Ok(There::Other(Some(size))),
        false => Err(failed(Errno::EXIST)),
    }
}

fn receipt(file: &Complete, mtime: Mtime) -> Receipt {
    Receipt {
        path: file.path.to_string(),
        size: file.size,
        hash: file.hash,
        mtime,
        time: now(),
        durable: true,
    }
}
