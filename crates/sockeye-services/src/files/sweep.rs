//! The end of uploads that everybody has forgotten.
//!
//! Whoever takes his leave sees to it once an hour, for all owners. When it was done last stands on the disk, where the processes
//! of one server see it, too.

use super::place::{Owner, Place};
use super::{Books, trouble};
use crate::background::Party;
use rustix::fs::{self, AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::{Errno, Result};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How often it is looked for: uploads last a week.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Bears the time of the last sweep.
const MARK: &str = "files/swept";

/// Sweeps, if it is time. It is awaited: what a connection's thread or process has begun beside it ends with it.
pub(super) async fn if_due(books: &Arc<Books>) {
    match is_due(&books.folder, SystemTime::now()) {
        Ok(false) => {}
        Ok(true) => sweep(books).await,
        Err(error) => tracing::warn!(%error, "forgotten uploads can't be swept"),
    }
}

/// Whether nobody has swept for an hour; then it counts as done.
fn is_due(folder: &Path, now: SystemTime) -> Result<bool> {
    let mark = folder.join(MARK);
    let last = match fs::stat(&mark) {
        Ok(stat) => Duration::from_secs(stat.st_mtime.max(0) as u64),
        Err(Errno::NOENT) => Duration::ZERO,
        Err(error) => return Err(error),
    };
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if now.saturating_sub(last) < EVERY {
        return Ok(false);
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let file = match fs::open(&mark, flags, Mode::RUSR | Mode::WUSR) {
        Err(Errno::NOENT) => return Ok(false), // nobody has a folder yet
        opened => opened?,
    };
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    fs::utimensat(
        fs::CWD,
        &mark,
        &Timestamps {
            last_access: now,
            last_modification: now,
        },
        AtFlags::SYMLINK_NOFOLLOW,
    )?;
    drop(file);
    Ok(true)
}

async fn sweep(books: &Arc<Books>) {
    let accounts = match std::fs::read_dir(books.folder.join("files/uploads")) {
        Ok(accounts) => accounts,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return, // nor an upload
        Err(error) => return tracing::warn!(%error, "forgotten uploads can't be swept"),
    };
    let names = accounts
        .flatten()
        .filter_map(|account| account.file_name().into_string().ok());
    for name in names {
        if let Err(failure) = sweep_one(books, &Owner::of_account(&name)).await {
            tracing::warn!(account = name, %failure, "forgotten uploads can't be swept");
        }
    }
}

async fn sweep_one(books: &Arc<Books>, owner: &Owner) -> trouble::Outcome<()> {
    let place = Place::of(owner, Party::Own, books, None).await?;
    place.hold().await?;
    let swept = place.work(|place| {
        let swept = place.pending.sweep(SystemTime::now());
        swept.map_err(|error| trouble::of("sweep forgotten uploads", error))
    });
    let freed = swept.await?;
    place.settle(freed, 0).await;
    place.rest();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_once_an_hour() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!is_due(folder.path(), SystemTime::now()).expect("nothing is kept there yet"));
        std::fs::create_dir(folder.path().join("files")).expect("a folder");
        let now = SystemTime::now();
        assert!(is_due(folder.path(), now).expect("a folder"));
        assert!(!is_due(folder.path(), now).expect("a folder"));
        assert!(is_due(folder.path(), now + EVERY * 2).expect("a folder"));
    }
}
