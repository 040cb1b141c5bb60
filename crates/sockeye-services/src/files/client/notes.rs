//! What is noted about a transfer that isn't over, so that it can go on after anything: a file of a header in JSON and,
//! line by line, the values of the units that are done.

#[cfg(any(test, fuzzing))]
pub(crate) mod property;

use super::failure::Failure;
use super::hashing::Units;
use crate::files::units::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A header has two paths, an endpoint and a few numbers.
const MAX_HEADER: u64 = 64 << 10;
/// The bytes of a unit's line.
const LINE: usize = 65;
/// How often a note is opened anew that was removed just then: each time another program has just ended its transfer.
const TRIES: usize = 10;

/// The folder for notes, by the XDG rules: `$XDG_STATE_HOME/sockeye`.
///
/// # Errors
/// When this user has no home.
pub fn folder() -> Result<PathBuf, Failure> {
    let home = directories::ProjectDirs::from("", "", "sockeye");
    let state = home.as_ref().and_then(|dirs| dirs.state_dir());
    let missing = || {
        Failure::ours(
            "find the folder for notes",
            "of transfers",
            "this user has no home",
        )
        .advise("set XDG_STATE_HOME or HOME")
    };
    Ok(state.ok_or_else(missing)?.to_owned())
}

/// A name for a note of what these words name together.
pub(crate) fn key(words: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for word in words {
        hasher.update(&(word.len() as u64).to_le_bytes()).update(word);
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// One transfer's note. Nobody else has it open.
#[derive(Debug)]
pub(crate) struct Note<H> {
    file: File,
    path: PathBuf,
    /// What it is about; `None` in a new note.
    pub(crate) header: Option<H>,
    /// The units that are done.
    pub(crate) units: Units,
}

impl<H: Serialize + DeserializeOwned> Note<H> {
    /// Opens a note of the transfer of this file, or begins one.
    pub(crate) fn open(path: PathBuf, of: &str) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::disk("note the transfer in", &path, error);
        if let Some(folder) = path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(failed)?;
        }
        for _ in 0..TRIES {
            let file = open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let failure = Failure::ours("transfer", of, "another program is at it already");
                    return Err(failure.advise("wait for that one, or end it"));
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            if file.metadata().map_err(failed)?.nlink() > 0 {
                let (header, units) = read(&file).map_err(failed)?;
                return Ok(Note {
                    file,
                    path,
                    header,
                    units,
                });
            }
        }
        Err(Failure::ours(
            "note the transfer in",
            path.display(),
            "others keep removing it",
        ))
    }

    /// Begins anew, about something else.
    pub(crate) fn begin(&mut self, header: H) -> Result<(), Failure> {
        self.units.clear();
        let mut line = serde_json::to_vec(&header).map_err(|error| self.failed(error.into()))?;
        line.push(b'\n');
        let written = self.file.set_len(0).and_then(|()| self.file.rewind());
        written
            .and_then(|()| self.file.write_all(&line))
            .map_err(|error| self.failed(error))?;
        self.header = Some(header);
        Ok(())
    }

    /// Notes units that are done.
    pub(crate) fn add(&mut self, units: Units) -> Result<(), Failure> {
        let lines: String = units.iter().map(|unit| format!("{}\n", hex(unit))).collect();
        self.file
            .write_all(lines.as_bytes())
            .map_err(|error| self.failed(error))?;
        self.units.extend(units);
        Ok(())
    }

    /// Keeps that many units, and forgets those behind them.
    pub(crate) fn cut(&mut self, count: usize) -> Result<(), Failure> {
        let lost = self.units.len().saturating_sub(count);
        if lost == 0 {
            return Ok(());
        }
        let mut file = &self.file;
        let end = file.stream_position().map(|end| end - (lost * LINE) as u64);
        end.and_then(|end| {
            file.set_len(end)
                .and_then(|()| file.seek(io::SeekFrom::Start(end)))
        })
        .map_err(|error| self.failed(error))?;
        self.units.truncate(count);
        Ok(())
    }

    /// Forgets the transfer: it is over.
    pub(crate) fn forget(self) {
        // What stays is found by the next transfer of the same, and no harm.
        let _ = fs::remove_file(&self.path);
    }

    fn failed(&self, error: io::Error) -> Failure {
        Failure::disk("note the transfer in", &self.path, error)
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(path)
}

/// What there is of a note, leaving out what was torn; the file's position is behind it then.
fn read<H: DeserializeOwned>(mut file: &File) -> io::Result<(Option<H>, Units)> {
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    lines.by_ref().take(MAX_HEADER).read_until(b'\n', &mut line)?;
    let header = match line.strip_suffix(b"\n") {
        Some(header) => serde_json::from_slice(header).ok(),
        None => None,
    };
    let (mut units, mut end) = (Units::new(), line.len() as u64);
    if header.is_some() {
        let mut text = [0; LINE];
        while lines.read_exact(&mut text).is_ok() {
            let Some(unit) = unit(&text) else { break };
            units.push(unit);
            end += text.len() as u64;
        }
        file.set_len(end)?;
        file.seek(io::SeekFrom::Start(end))?;
    }
    Ok((header, units))
}

fn unit(line: &[u8; LINE]) -> Option<Value> {
    let digits = line.strip_suffix(b"\n")?;
    blake3::Hash::from_hex(digits).ok().map(|hash| *hash.as_bytes())
}

fn hex(unit: &Value) -> String {
    blake3::Hash::from_bytes(*unit).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_outlives_its_writer_and_a_torn_line_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/n");
        let mut note: Note<String> = Note::open(path.clone(), "a").expect("a new one");
        assert!(note.header.is_none());
        note.begin("about".to_owned()).expect("written");
        note.add(vec![[1; 32], [2; 32]]).expect("written");
        let error = Note::<String>::open(path.clone(), "a")
            .expect_err("it is held")
            .to_string();
        assert!(error.contains("another program"), "{error}");
        note.file.write_all(b"0303").expect("a torn line");
        drop(note);

        let mut note: Note<String> = Note::open(path.clone(), "a").expect("again");
        assert_eq!(note.header.as_deref(), Some("about"));
        assert_eq!(note.units, [[1; 32], [2; 32]]);
        note.add(vec![[3; 32]]).expect("written");
        note.cut(2).expect("cut");
        note.add(vec![[4; 32]]).expect("written");
        drop(note);
        let note: Note<String> = Note::open(path.clone(), "a").expect("again");
        assert_eq!(note.units, [[1; 32], [2; 32], [4; 32]]);
        note.forget();
        assert!(!path.exists());
    }

    #[test]
    fn what_makes_no_sense_is_no_note() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("n");
        for garbage in ["", "\n", "{\"a\":", "7\n\n"] {
            fs::write(&path, garbage).expect("write");
            let note: Note<String> = Note::open(path.clone(), "a").expect("opened");
            assert!(note.header.is_none() && note.units.is_empty(), "{garbage}");
        }
    }
}
