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
//! The plan is written before the first byte is taken and after everything else is made; so what has no plan is nothing.
//! A plan that is committed and has no part left is a file that got its name.

use super::tree::{open, read_at};
use super::trouble::{self, Outcome};
use rustix::fs::{self, AtFlags, Dir, FlockOperation, OFlags};
use rustix::io::{Errno, Result};
use serde::{Deserialize, Serialize};
use sockeye_proto::files::{Code, Failure, Hash, Mtime, UNIT, UploadName};
use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Unfinished uploads of one user: enough for every file of a folder at once, few enough to look through.
const MOST: usize = 1000;
/// Receipts of one user: few enough to look through. Beyond that the oldest go before their day is over.
const MOST_RECEIPTS: usize = 10_000;
/// Receipts that go at once when there are too many, so that not each upload has to find the oldest one.
const RECEIPTS_AT_ONCE: usize = 1000;
/// A plan is a path and some numbers.
const MAX_PLAN: u64 = 64 << 10;
/// How long an upload may lie untouched.
const UPLOADS_LAST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long a receipt can be had once more.
const RECEIPTS_LAST: Duration = Duration::from_secs(24 * 60 * 60);
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
        let mut waited = Duration::ZERO;
        loop {
            let lock = self
                .open(&file_name(name, "lock"), OFlags::RDWR | OFlags::CREATE)
                .map_err(failed)?;
            let claim = Claim { lock, mark };
            let noted = claim.lock.write_all_at(&mark, 0);
            noted.map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
            while !claim.try_lock().map_err(failed)? {
                if waited >= PATIENCE {
                    let why = "another connection writes to this upload and doesn't let go; try again";
                    return Err(Failure::new(Code::Busy, why));
                }
                sockeye::time::sleep(TRY_AGAIN).await.map_err(trouble::busy)?;
                waited += TRY_AGAIN;
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
        self.read_plan(&file_name(name, "json"))
    }

    fn read_plan(&self, name: &str) -> Result<Option<Plan>> {
        let file = match self.open(name, OFlags::RDONLY) {
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

    /// Makes the files of a new upload.
    pub(super) fn begin(&self, name: UploadName, plan: &Plan) -> Result<()> {
        let fresh = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        self.open(&file_name(name, "units"), fresh)?;
        self.open(&file_name(name, "part"), fresh)?;
        self.keep(name, plan)
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

    /// Whether one more upload may begin. Receipts don't count: they only make way for newer ones.
    pub(super) fn has_room(&self) -> Result<bool> {
        let names = self.names()?;
        let of = |ending: &str| -> HashSet<UploadName> {
            let stems = names.iter().filter_map(|name| name.strip_suffix(ending));
            stems.filter_map(|stem| stem.parse().ok()).collect()
        };
        let unfinished = of(".part");
        let receipts: Vec<UploadName> = of(".json").difference(&unfinished).copied().collect();
        if receipts.len() >= MOST_RECEIPTS {
            self.drop_oldest(receipts, RECEIPTS_AT_ONCE)?;
        }
        Ok(unfinished.len() < MOST)
    }

    /// Forgets so many of these receipts, the oldest.
    fn drop_oldest(&self, receipts: Vec<UploadName>, count: usize) -> Result<()> {
        let now = SystemTime::now();
        let mut aged = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            if let Some(untouched) = self.untouched(receipt, now)? {
                aged.push((untouched, receipt));
            }
        }
        aged.sort_by_key(|(untouched, _)| std::cmp::Reverse(*untouched));
        for (_, receipt) in aged.into_iter().take(count) {
            // Since it was listed it may have gone, and its name may be that of a new upload.
            if let Some(_claim) = self.idle(receipt)?
                && !self.has_part(receipt)?
            {
                self.discard(receipt)?;
            }
        }
        Ok(())
    }

    /// The right to an upload that nobody is at work on.
    fn idle(&self, name: UploadName) -> Result<Option<Claim>> {
        let lock = self.open(&file_name(name, "lock"), OFlags::RDWR | OFlags::CREATE)?;
        let claim = Claim { lock, mark: [0; 16] };
        Ok((claim.try_lock()? && !claim.is_gone()?).then_some(claim))
    }

    fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for found in Dir::read_from(&self.0)? {
            if let Ok(name) = found?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// What all unfinished uploads have reserved, and the end of everything else that a killed service has left here.
    /// Nobody may be at work in this folder.
    pub(super) fn recover(&self) -> Result<u64> {
        let mut reserved = 0;
        let names = self.names()?;
        for name in &names {
            let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
            let Ok(upload) = stem.parse::<UploadName>() else {
                if !matches!(name.as_str(), "." | "..") {
                    super::tree::delete_all(&self.0, name, &mut 0)?;
                }
                continue;
            };
            match (self.plan(upload)?, ending) {
                (None, _) => self.discard(upload)?,
                (Some(plan), "json") if self.has_part(upload)? => reserved += plan.size,
                (Some(_), "units" | "lock" | "new") if !self.has_part(upload)? => self.unlink(name),
                (Some(_), _) => {}
            }
        }
        Ok(reserved)
    }

    /// Forgets what nobody has touched for too long; says how many bytes of reservations ended.
    pub(super) fn sweep(&self, now: SystemTime) -> Result<u64> {
        let mut freed = 0;
        for name in self.names()? {
            let Some(upload) = name.strip_suffix(".json").and_then(|stem| stem.parse().ok()) else {
                continue;
            };
            let Some(untouched) = self.untouched(upload, now)? else {
                continue;
            };
            let unfinished = self.has_part(upload)?;
            if untouched < if unfinished { UPLOADS_LAST } else { RECEIPTS_LAST } {
                continue;
            }
            if let Some(_claim) = self.idle(upload)? {
                let size = self.plan(upload)?.map_or(0, |plan| plan.size);
                self.discard(upload)?;
                freed += if unfinished { size } else { 0 };
            }
        }
        Ok(freed)
    }

    /// How long ago anything of an upload was written; nothing if it is gone.
    fn untouched(&self, name: UploadName, now: SystemTime) -> Result<Option<Duration>> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut last = None;
        for ending in ["json", "part"] {
            match fs::statat(&self.0, file_name(name, ending), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => last = last.max(Some(Duration::from_secs(stat.st_mtime.max(0) as u64))),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(last.map(|last| now.saturating_sub(last)))
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

    fn pending(folder: &tempfile::TempDir) -> Pending {
        Pending::of(File::open(folder.path()).expect("a folder").into())
    }

    fn plan(size: u64) -> Plan {
        Plan {
            path: "file".to_owned(),
            size,
            mtime: Mtime(0),
            hash: None,
            clobber: false,
            sync: false,
            committed: None,
        }
    }

    #[test]
    fn what_nobody_touches_expires_and_what_somebody_has_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let pending = pending(&folder);
        let [old, claimed, done] = [1, 2, 3].map(|number| UploadName([number; 16]));
        pending.begin(old, &plan(10)).expect("files");
        pending.begin(claimed, &plan(20)).expect("files");
        let committed = Some((Hash([0; 32]), Mtime(0)));
        pending
            .keep(
                done,
                &Plan {
                    committed,
                    ..plan(40)
                },
            )
            .expect("a plan");
        let claim = sockeye::block_on(pending.claim(claimed))
            .expect("a model")
            .expect("nobody has it");
        let now = SystemTime::now();
        assert_eq!(pending.sweep(now).expect("a folder"), 0);
        assert_eq!(pending.sweep(now + RECEIPTS_LAST * 2).expect("a folder"), 0);
        assert!(
            pending.plan(done).expect("a folder").is_none(),
            "receipts last a day"
        );
        assert!(pending.plan(old).expect("a folder").is_some());
        assert_eq!(pending.sweep(now + UPLOADS_LAST * 2).expect("a folder"), 10);
        assert!(pending.plan(old).expect("a folder").is_none());
        assert!(pending.plan(claimed).expect("a folder").is_some());
        drop(claim);
        assert_eq!(pending.sweep(now + UPLOADS_LAST * 2).expect("a folder"), 20);
    }

    #[test]
    fn only_unfinished_uploads_take_up_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let pending = pending(&folder);
        let names: Vec<_> = (0..MOST as u128)
            .map(|number| UploadName(number.to_be_bytes()))
            .collect();
        let committed = Plan {
            committed: Some((Hash([0; 32]), Mtime(0))),
            ..plan(1)
        };
        for name in &names {
            pending.keep(*name, &committed).expect("a receipt");
        }
        assert!(pending.has_room().expect("a folder"), "receipts are no uploads");
        for name in &names {
            pending.temporary(&file_name(*name, "part")).expect("a part");
        }
        assert!(!pending.has_room().expect("a folder"));
    }

    #[test]
    fn the_oldest_receipts_make_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let pending = pending(&folder);
        let names = [1, 2, 3, 4].map(|number| UploadName([number; 16]));
        for (age, name) in names.iter().enumerate() {
            pending.begin(*name, &plan(1)).expect("files");
            let then = SystemTime::now() - Duration::from_secs(100 * age as u64);
            for ending in ["json", "part"] {
                let file = File::open(folder.path().join(file_name(*name, ending))).expect("a file");
                file.set_modified(then).expect("a time");
            }
        }
        // All but the oldest, which is an upload since it was listed.
        for name in &names[..3] {
            pending.unlink(&file_name(*name, "part"));
        }
        pending.drop_oldest(names.to_vec(), 2).expect("a folder");
        let kept = names.map(|name| pending.plan(name).expect("a folder").is_some());
        assert_eq!(kept, [true, true, false, true]);
    }

    #[test]
    fn only_what_a_plan_knows_of_survives_a_crash() {
        let folder = tempfile::tempdir().expect("a folder");
        let pending = pending(&folder);
        let name = UploadName([1; 16]);
        pending.begin(name, &plan(10)).expect("files");
        for left in ["small-1-1", &file_name(UploadName([2; 16]), "part"), "0.new"] {
            pending.temporary(left).expect("a file");
        }
        std::fs::create_dir_all(folder.path().join("trash-1-1/deep")).expect("folders");
        assert_eq!(pending.recover().expect("a folder"), 10);
        let mut names = pending.names().expect("a folder");
        names.sort();
        let kept = ["json", "part", "units"].map(|ending| file_name(name, ending));
        assert_eq!(names[2..], kept);
    }

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
