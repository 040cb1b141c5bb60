//! Uploads that aren't finished, as they stand on the disk: what survives a cut, a crash, and the service's own end.
//!
//! Of an upload ID there are, in a folder that no path leads to:
//!
//! | file | what is in it |
//! |---|---|
//! | `ID.json` | the [`Plan`]: what it is to become, and what it has become |
//! | `ID.part` | the bytes so far; gets its name in the tree at the commit |
//! | `ID.units` | the [value](super::units) of each unit whose bytes are on the disk: how far it is durable |
//! | `ID.lock` | whose it is at present, see [`Claim`] |
//!
//! [`upkeep`] is what happens to them while nobody is at work.
//!
//! The plan is written before the first byte is taken and after everything else is made; so what has no plan is nothing.
//! A plan that is committed and has no part left is a file that got its name.

mod upkeep;

use super::tree::{open, read_at};
use super::trouble::{self, Outcome};
use crate::patience::Patience;
use rustix::fs::{self, AtFlags, FlockOperation, OFlags};
use rustix::io::{Errno, Result};
use serde::{Deserialize, Serialize};
use sockeye_proto::files::{Code, Failure, Hash, Mtime, UNIT, UploadName};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The folder beside them of those who are in the middle of something; no upload is called so.
pub(super) const HOLDS: &str = "holds";
/// A plan is a path and some numbers.
const MAX_PLAN: u64 = 64 << 10;
/// How long a new connection waits for the one before it to let go: that looks every quarter of a second, and may have a
/// disk to wait for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it tries meanwhile.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// What an upload is to become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) mtime: Mtime,
    pub(super) hash: Option<Hash>,
    pub(super) clobber: bool,
    pub(super) sync: bool,
    /// When it was about to get its name, with the hash that it has.
    #[serde(default)]
    pub(super) committed: Option<(Hash, Mtime)>,
    /// Of what is not forced to the disk: from which start of the system on it is there. After another one nobody knows
    /// which of its bytes are.
    #[serde(default)]
    pub(super) boot: Option<String>,
}

impl Plan {
    /// Whether what was noted of it is true still.
    fn holds(&self) -> bool {
        self.sync || (self.boot.is_some() && self.boot.as_deref() == this_boot())
    }
}

/// Which start of the system this is.
pub(super) fn this_boot() -> Option<&'static str> {
    static BOOT: OnceLock<Option<String>> = OnceLock::new();
    let read = || std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    BOOT.get_or_init(|| read().map(|id| id.trim().to_owned()))
        .as_deref()
}

/// The folder of one user's unfinished uploads. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Pending(Arc<OwnedFd>);

impl AsFd for Pending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The right to write to an upload. Whoever comes later writes its own mark into the lock, and waits; who has the lock
/// sees that, and lets go. The lock itself is the system's: it ends with the process, in whatever way.
#[derive(Debug)]
pub(super) struct Claim {
    lock: File,
    mark: [u8; 16],
}

impl Claim {
    /// Whether nobody else has come for the upload.
    pub(super) fn is_ours(&self) -> bool {
        let mut mark = [0; 16];
        self.lock.read_exact_at(&mut mark, 0).is_ok() && mark == self.mark
    }

    fn try_lock(&self) -> Result<bool> {
        match fs::flock(&self.lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether it was swept away meanwhile.
    fn is_gone(&self) -> Result<bool> {
        Ok(fs::fstat(&self.lock)?.st_nlink == 0)
    }
}

fn fenced() -> Failure {
    Failure::new(Code::Fenced, "another connection has taken this upload over")
}

impl Pending {
    pub(super) fn of(folder: OwnedFd) -> Self {
        Pending(Arc::new(folder))
    }

    /// Takes an upload over from whoever has it.
    pub(super) async fn claim(&self, name: UploadName) -> Outcome<Claim> {
        let failed = |error| trouble::of("claim an upload", error);
        let mut mark = [0; 16];
        getrandom::fill(&mut mark)
            .map_err(|error| Failure::new(Code::Io, format!("random numbers: {error}")))?;
        let mut patience = Patience::new(PATIENCE, TRY_AGAIN);
        loop {
            let lock = self
                .open(&file_name(name, "lock"), OFlags::RDWR | OFlags::CREATE)
                .map_err(failed)?;
            let claim = Claim { lock, mark };
            let noted = claim.lock.write_all_at(&mark, 0);
            noted.map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
            while !claim.try_lock().map_err(failed)? {
                if !patience.again().await.map_err(trouble::busy)? {
                    let why = "another connection writes to this upload and doesn't let go; try again";
                    return Err(Failure::new(Code::Busy, why));
                }
            }
            match claim.is_gone() {
                Ok(true) => {} // its sweeper was faster: there is a new lock to make
                Ok(false) if claim.is_ours() => return Ok(claim),
                Ok(false) => return Err(fenced()),
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Ends a claim to an upload that nobody goes on with. A lock that stayed would count in no quota.
    pub(super) fn release(&self, name: UploadName, claim: Claim) {
        // Where the lock was swept away, the one of this name is somebody else's.
        if let Ok(false) = claim.is_gone() {
            self.unlink(&file_name(name, "lock"));
        }
    }

    fn open(&self, name: &str, flags: OFlags) -> Result<File> {
        open(&self.0, name, flags).map(File::from)
    }

    /// What is planned of an upload; nothing where there is none, or nothing sensible.
    pub(super) fn plan(&self, name: UploadName) -> Result<Option<Plan>> {
        let file = match self.open(&file_name(name, "json"), OFlags::RDONLY) {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        let mut text = Vec::new();
        let read = file.take(MAX_PLAN).read_to_end(&mut text);
        read.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(serde_json::from_slice(&text).ok())
    }

    /// Keeps a plan, in one step; it is on the disk when this returns, if it is to be.
    pub(super) fn keep(&self, name: UploadName, plan: &Plan) -> Result<()> {
        let new = file_name(name, "new");
        let mut file = self.open(&new, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?;
        let text = serde_json::to_vec(plan).map_err(|_| Errno::INVAL)?;
        let written = file.write_all(&text);
        written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        if plan.sync {
            fs::fdatasync(&file)?;
        }
        fs::renameat(&self.0, &new, &self.0, file_name(name, "json"))?;
        if plan.sync {
            fs::fsync(&self.0)?;
        }
        Ok(())
    }

    /// Makes the files of a new upload, whose plan is to be kept next.
    pub(super) fn begin(&self, name: UploadName) -> Result<()> {
        let fresh = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        self.open(&file_name(name, "units"), fresh)?;
        self.open(&file_name(name, "part"), fresh).map(drop)
    }

    /// The bytes so far, and their units.
    pub(super) fn files(&self, name: UploadName) -> Result<(File, File)> {
        let part = self.open(&file_name(name, "part"), OFlags::RDWR)?;
        let units = self.open(&file_name(name, "units"), OFlags::RDWR | OFlags::CREATE)?;
        Ok((part, units))
    }

    pub(super) fn has_part(&self, name: UploadName) -> Result<bool> {
        match fs::statat(&self.0, file_name(name, "part"), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn part_name(name: UploadName) -> String {
        file_name(name, "part")
    }

    /// Says that somebody is still at it.
    pub(super) fn touch(&self, name: UploadName) -> Result<()> {
        let now = fs::Timespec {
            tv_sec: 0,
            tv_nsec: fs::UTIME_NOW,
        };
        let times = fs::Timestamps {
            last_access: now,
            last_modification: now,
        };
        fs::utimensat(
            &self.0,
            file_name(name, "json"),
            &times,
            AtFlags::SYMLINK_NOFOLLOW,
        )
    }

    /// Forgets how a committed upload came about; its receipt stays.
    pub(super) fn tidy(&self, name: UploadName) {
        self.unlink(&file_name(name, "units"));
        self.unlink(&file_name(name, "lock"));
    }

    /// Forgets an upload: its plan first, so that there is never a plan without the rest.
    pub(super) fn discard(&self, name: UploadName) -> Result<()> {
        for ending in ["json", "new", "units", "part", "lock"] {
            match fs::unlinkat(&self.0, file_name(name, ending), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What can't be removed now is swept away later.
    pub(super) fn unlink(&self, name: &str) {
        let _ = fs::unlinkat(&self.0, name, AtFlags::empty());
    }

    /// A new file for bytes that will be complete or nothing.
    pub(super) fn temporary(&self, name: &str) -> Result<File> {
        self.open(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
    }
}

fn file_name(name: UploadName, ending: &str) -> String {
    format!("{name}.{ending}")
}

/// How many units of an upload are on the disk, with their values.
pub(super) fn durable_units(units: &File, size: u64) -> Result<Vec<super::units::Value>> {
    let most = super::units::count(size);
    let mut values = Vec::new();
    while (values.len() as u64) < most {
        let mut value = [0; 32];
        match read_at(units, &mut value, values.len() as u64 * 32)? {
            // A unit that was faster than the one before it leaves a hole there.
            32 if value != [0; 32] => values.push(value),
            _ => break,
        }
    }
    Ok(values)
}

/// Where to go on after so many units.
pub(super) fn offset_after(units: usize, size: u64) -> u64 {
    (units as u64 * UNIT).min(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_count_up_to_the_first_hole() {
        let units = tempfile::tempfile().expect("a file");
        units.write_all_at(&[1; 32], 0).expect("a value");
        units.write_all_at(&[1; 32], 64).expect("a value");
        assert_eq!(durable_units(&units, 3 * UNIT).expect("values").len(), 1);
        units.write_all_at(&[1; 32], 32).expect("a value");
        assert_eq!(durable_units(&units, 3 * UNIT).expect("values").len(), 3);
        assert_eq!(durable_units(&units, UNIT + 1).expect("values").len(), 2);
    }
}
