//! The requests that look at the tree or change its names.

use super::place::{Naming, Place};
use super::record;
use super::tree::{self, Amount, Quiet, delete_all, mtime_of};
use super::trouble::{self, Outcome, path, path_below, path_in};
use rustix::fs::{self, AtFlags, FileType, RenameFlags};
use rustix::io::Errno;
use sockeye_proto::files::{
    Code, Entry, Failure, Hash, Kind, List, Listed, MAX_LISTED, Mkdir, Move, Mtime, Nothing, Path, Remove,
    Stat, Verified,
};
use std::fs::File;

/// What is hashed in one go, in some hundredths of a second: others have their turn in between.
const STRETCH: u64 = 16 << 20;
const PIECE: usize = 256 << 10;

pub(super) fn stat(place: &Place, wanted: &Stat) -> Outcome<Entry> {
    let path = path(&wanted.path)?;
    let (file, stat) = place
        .root
        .look(&path)
        .map_err(|error| trouble::at(&path, error))?;
    Ok(Entry {
        path: path.to_string(),
        kind: if file.is_some() { Kind::File } else { Kind::Folder },
        size: file.is_some().then_some(stat.st_size as u64),
        mtime: Mtime(mtime_of(&stat)),
        hash: file.as_ref().and_then(record::of),
    })
}

pub(super) fn list(place: &Place, wanted: &List) -> Outcome<Listed> {
    let at = path(&wanted.path)?;
    let after = wanted.after.as_deref().map(|after| path_in(&at, after));
    let after = after.transpose()?;
    let limit = wanted
        .limit
        .map_or(MAX_LISTED, |limit| limit.min(MAX_LISTED as u64) as usize);
    let folder = place.root.folder(at.as_str());
    let listed = folder.and_then(|folder| tree::list(folder, &at, after.as_ref(), limit, wanted.recursive));
    listed.map_err(|error| trouble::at(&at, error))
}

/// A folder that is moved meanwhile would have something below it that nobody has measured.
pub(super) fn mkdir(place: &Place, wanted: &Mkdir, naming: Naming) -> Outcome<Nothing> {
    let path = path_below(&wanted.path)?;
    let mut spare = naming.spare;
    let made = match wanted.parents {
        true => place.root.make_folders(path.as_str(), &mut spare),
        false => place.root.make_folder(&path, &mut spare),
    };
    place.note_entries((naming.spare - spare) as i64);
    drop(naming);
    made.map_err(|error| match (error, path.split()) {
        (Errno::NOENT, Some((above, _))) if !wanted.parents && !above.is_empty() => Failure::new(
            Code::NotFound,
            format!("there is no folder `{above}` to make it in"),
        ),
        _ => trouble::at(&path, error),
    })?;
    let forced = place.root.force_above([path.as_str()]);
    forced.map_err(|error| trouble::of("force the folder to the disk", error))?;
    Ok(Nothing {})
}

/// Adds to `freed` what is no longer kept, even where it fails.
pub(super) fn remove(place: &Place, wanted: &Remove, freed: &mut Amount, quiet: Quiet) -> Outcome<Nothing> {
    let path = path_below(&wanted.path)?;
    let removed = remove_at(place, &path, wanted.recursive, freed, quiet);
    removed.map_err(|error| trouble::at(&path, error))?;
    Ok(Nothing {})
}

fn remove_at(
    place: &Place,
    path: &Path,
    recursive: bool,
    freed: &mut Amount,
    quiet: Quiet,
) -> Result<(), Errno> {
    let spot = place.root.spot(path)?;
    let stat = spot.stat()?;
    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    if !is_folder {
        fs::unlinkat(&spot.folder, spot.name, AtFlags::empty())?;
        drop(quiet);
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        freed.add(if is_file { stat.st_size as u64 } else { 0 });
        return fs::fsync(&spot.folder);
    }
    if !recursive {
        fs::unlinkat(&spot.folder, spot.name, AtFlags::REMOVEDIR)?;
        drop(quiet);
        freed.add(0);
        return fs::fsync(&spot.folder);
    }
    // In one step for everybody else; then it takes as long as it takes.
    let trash = format!("trash-{:x}-{}", place.tag, stat.st_ino);
    fs::renameat(&spot.folder, spot.name, &place.pending, &trash)?;
    drop(quiet);
    fs::fsync(&spot.folder)?;
    delete_all(&place.pending, &trash, freed)
}

/// Adds to `freed` what is no longer kept: a file that was replaced.
pub(super) fn rename(place: &Place, wanted: &Move, freed: &mut Amount, quiet: Quiet) -> Outcome<Nothing> {
    let (from, to) = (path_below(&wanted.path)?, path_below(&wanted.to)?);
    let source = place
        .root
        .spot(&from)
        .map_err(|error| trouble::at(&from, error))?;
    let target = place.root.spot(&to).map_err(|error| trouble::at(&to, error))?;
    if !place
        .root
        .fits(&from, &to)
        .map_err(|error| trouble::at(&from, error))?
    {
        let why = format!("something below `{from}` would have a path that is too long or too deep");
        return Err(Failure::new(Code::BadName, why));
    }
    let names = |flags| fs::renameat_with(&source.folder, source.name, &target.folder, target.name, flags);
    let into_itself = || {
        let why = format!("`{from}` can't be moved into itself");
        Failure::new(Code::BadRequest, why)
    };
    match names(RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(Errno::EXIST) if wanted.clobber => {
            let (old, new) = (target.stat(), source.stat());
            let (old, new) = (
                old.map_err(|error| trouble::at(&to, error))?,
                new.map_err(|error| trouble::at(&from, error))?,
            );
            if (old.st_dev, old.st_ino) == (new.st_dev, new.st_ino) {
                return Ok(Nothing {}); // it is that file already
            }
            if FileType::from_raw_mode(old.st_mode) == FileType::Directory {
                return Err(trouble::at(&to, Errno::ISDIR));
            }
            names(RenameFlags::empty()).map_err(|error| match error {
                Errno::INVAL => into_itself(),
                error => trouble::at(&to, error),
            })?;
            freed.add(old.st_size as u64);
        }
        Err(Errno::INVAL) => return Err(into_itself()),
        Err(Errno::EXIST) => return Err(trouble::at(&to, Errno::EXIST)),
        Err(error) => return Err(trouble::at(&from, error)),
    }
    drop(quiet);
    let (parent, _) = to.split().unwrap_or_default();
    let forced = fs::fsync(&target.folder)
        .and_then(|()| fs::fsync(&source.folder))
        .and_then(|()| place.root.force_above([parent]));
    forced.map_err(|error| trouble::of("force the folder to the disk", error))?;
    Ok(Nothing {})
}

/// Reads a whole file, a stretch at a time.
pub(super) async fn verify(place: &Place, wanted: Stat) -> Outcome<Verified> {
    let path = path_below(&wanted.path)?;
    let shown = path.to_string();
    let opened = place.work(move |place| place.root.file(&path).map_err(|error| trouble::at(&path, error)));
    let (file, stat) = opened.await?;
    let mut read = Reading {
        file,
        hasher: blake3::Hasher::new(),
        at: 0,
    };
    loop {
        let stretched = place.work(move |_| Ok(read.stretch())).await?;
        let (next, over) = stretched.map_err(|error| trouble::of(format_args!("read `{shown}`"), error))?;
        read = next;
        if over {
            break;
        }
    }
    let hash = Hash(*read.hasher.finalize().as_bytes());
    let recorded = record::of(&read.file);
    if read.at != stat.st_size as u64 {
        return Err(Failure::new(
            Code::Changed,
            format!("`{shown}` was changed meanwhile"),
        ));
    }
    Ok(Verified {
        size: read.at,
        hash,
        recorded,
        matches: recorded.map(|recorded| recorded == hash),
    })
}

struct Reading {
    file: File,
    hasher: blake3::Hasher,
    at: u64,
}

impl Reading {
    /// Whether the end was reached, too.
    fn stretch(mut self) -> Result<(Self, bool), Errno> {
        let mut piece = vec![0; PIECE];
        let end = self.at + STRETCH;
        while self.at < end {
            match tree::read_at(&self.file, &mut piece, self.at)? {
                0 => return Ok((self, true)),
                count => {
                    self.hasher.update(&piece[..count]);
                    self.at += count as u64;
                }
            }
        }
        Ok((self, false))
    }
}
