//! Who is in the middle of something: has reserved room that no upload on the disk stands for, or changed what the books haven't been
//! told of yet.
//!
//! Each of them has a file of its own among the pending, and a lock on it; who comes to the end removes it. Who is killed can't, nor
//! can a connection that is dropped: its file stays behind, and nobody has a lock on it. Then all is counted anew, as after a start of
//! the server, by the next who comes while nobody else is in the middle of something: only then the folder itself says to the byte what
//! is kept.

use super::{PATIENCE, Place, TRY_AGAIN};
use crate::background::off_loop_for;
use crate::files::pending::{HOLDS, Pending};
use crate::files::tree::{Amount, amount_below, delete_all, open};
use crate::files::trouble::{self, Outcome};
use crate::patience::Patience;
use crate::store::Usage;
use rustix::fs::{self, Dir, FlockOperation, Mode, OFlags};
use rustix::io::{Errno, Result, retry_on_intr};
use sockeye_proto::files::{Code, Failure};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// How long who finds that something was left tries to be alone: it is no hurry.
const AGAIN: Duration = Duration::from_millis(200);

/// What the books were not told: one file stands for all who couldn't.
const SPOILED: &str = "holds/spoiled";

/// Whether this connection is in the middle of something.
#[derive(Debug)]
pub(super) struct Holds {
    pending: Pending,
    /// Its file, which no other connection's is called.
    path: String,
    own: Mutex<Option<Own>>,
    /// It has counted in vain, and leaves that to others.
    has_failed: AtomicBool,
}

#[derive(Debug)]
enum Own {
    File {
        /// Its end is the end of the lock.
        _lock: OwnedFd,
        /// The books are wrong even when this comes to its end.
        spoiled: bool,
    },
    /// There can be no file, perhaps because the disk is full: nobody counts meanwhile. Who is killed is not counted until the server's
    /// next start.
    Folder { spoiled: bool },
}

/// While it is there, nobody begins anything.
struct Alone(Arc<Holds>);

impl Drop for Alone {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

impl Holds {
    pub(super) fn among(pending: Pending, tag: u64) -> Self {
        Holds {
            pending,
            path: format!("{HOLDS}/{tag:x}"),
            own: Mutex::default(),
            has_failed: AtomicBool::new(false),
        }
    }

    fn own(&self) -> MutexGuard<'_, Option<Own>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock of the folder: shared by those who begin something, for that moment; of one alone while that one counts.
    fn try_lock(&self, how: FlockOperation) -> Result<bool> {
        match fs::flock(&self.pending, how) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn unlock(&self) {
        let _ = fs::flock(&self.pending, FlockOperation::Unlock); // the descriptor's end would do it, too
    }

    /// Begins something, unless somebody counts just now.
    fn try_begin(&self) -> Result<bool> {
        let mut own = self.own();
        if own.is_some() {
            return Ok(true);
        }
        if !self.try_lock(FlockOperation::NonBlockingLockShared)? {
            return Ok(false);
        }
        *own = Some(match self.make() {
            Ok(file) => {
                self.unlock();
                file
            }
            Err(_) => Own::Folder { spoiled: false },
        });
        Ok(true)
    }

    fn make(&self) -> Result<Own> {
        let new = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let make = || open(&self.pending, &self.path, new);
        let lock = match make() {
            Err(Errno::NOENT) => {
                match fs::mkdirat(&self.pending, HOLDS, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error),
                }
                make()?
            }
            made => made?,
        };
        // It has to wait for no more than a look at it.
        retry_on_intr(|| fs::flock(&lock, FlockOperation::LockExclusive))?;
        Ok(Own::File {
            _lock: lock,
            spoiled: false,
        })
    }

    /// Whether somebody has ended in the middle of something, and nobody is in the middle of something now.
    fn are_left(&self) -> Result<bool> {
        let folder = match open(&self.pending, HOLDS, OFlags::RDONLY | OFlags::DIRECTORY) {
            Err(Errno::NOENT) => return Ok(false),
            opened => opened?,
        };
        let mut some = false;
        for found in Dir::read_from(&folder)? {
            let found = found?;
            let Some(name) = found
                .file_name()
                .to_str()
                .ok()
                .filter(|name| !matches!(*name, "." | ".."))
            else {
                continue;
            };
            let lock = match open(&folder, name, OFlags::RDONLY) {
                Err(Errno::NOENT) => continue, // it has come to its end
                opened => opened?,
            };
            match fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => some |= fs::fstat(&lock)?.st_nlink > 0, // else it has come to its end just now
                Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(some)
    }
}

impl Place {
    /// This connection is going to reserve room, or to change what is kept.
    pub(in crate::files) async fn hold(&self) -> Outcome<()> {
        if self.holds.own().is_some() {
            return Ok(());
        }
        let failed = |error| trouble::of("begin in your folder", error);
        if self.are_left() {
            self.count().await?;
        }
        let mut patience = Patience::new(PATIENCE, TRY_AGAIN);
        while !self.holds.try_begin().map_err(failed)? {
            if !patience.again().await.map_err(trouble::busy)? {
                return Err(counting());
            }
        }
        Ok(())
    }

    /// The books know all that this connection has done.
    pub(in crate::files) fn rest(&self) {
        let path = &self.holds.path;
        match self.holds.own().take() {
            // Before the lock goes. What stays is counted once too often.
            Some(Own::File { spoiled: false, .. }) => self.pending.unlink(path),
            Some(Own::File { spoiled: true, .. }) => {
                let _ = fs::renameat(&self.pending, path, &self.pending, SPOILED); // then it stays as it is
            }
            Some(Own::Folder { spoiled }) => {
                if spoiled {
                    let _ = open(&self.pending, SPOILED, OFlags::RDWR | OFlags::CREATE); // if there is room for it by now
                }
                self.holds.unlock();
            }
            None => {}
        }
    }

    /// What this connection has done can't be told to the books: it is to be counted.
    pub(super) fn spoil(&self) {
        if let Some(Own::File { spoiled, .. } | Own::Folder { spoiled }) = &mut *self.holds.own() {
            *spoiled = true;
        }
    }

    async fn alone(&self, limit: Duration) -> Outcome<Alone> {
        let failed = |error| trouble::of("lock your folder", error);
        let mut patience = Patience::new(limit, TRY_AGAIN);
        while !self
            .holds
            .try_lock(FlockOperation::NonBlockingLockExclusive)
            .map_err(failed)?
        {
            if !patience.again().await.map_err(trouble::busy)? {
                return Err(counting());
            }
        }
        Ok(Alone(self.holds.clone()))
    }

    /// Counts what is there, if this server has not done so yet, or somebody has ended in the middle of something: whatever was left
    /// undone ends here.
    pub(super) async fn count(&self) -> Outcome<()> {
        if !self.is_counted().await? {
            return self.count_alone(PATIENCE).await;
        }
        if self.holds.has_failed.load(Ordering::Relaxed) || !self.are_left() {
            return Ok(());
        }
        // On a full disk the books can't be written, and files are removed all the same.
        if let Err(failure) = self.count_alone(AGAIN).await {
            if failure.code == Code::Busy {
                return Ok(()); // somebody is at it, or in the middle of something
            }
            self.holds.has_failed.store(true, Ordering::Relaxed);
            tracing::warn!(account = &*self.account, %failure, "what somebody left in the middle is not counted yet");
        }
        Ok(())
    }

    async fn count_alone(&self, limit: Duration) -> Outcome<()> {
        let alone = self.alone(limit).await?;
        if self.is_counted().await? && !self.are_left() {
            return Ok(());
        }
        let failed = |error| trouble::of("count your files", error);
        let (tree, pending, entries) = (self.root.clone(), self.pending.clone(), self.entries.clone());
        let party = self.first();
        let counted = off_loop_for(&party, move || {
            pending.sweep(SystemTime::now())?;
            let kept = amount_below(&tree.folder("")?)?;
            entries.set(kept.entries)?;
            // It goes on being alone even where nobody waits for it any more.
            Ok((kept.bytes, pending.recover()?, alone))
        });
        let (used, reserved, _alone) = counted.await.map_err(trouble::busy)?.map_err(failed)?;
        let usage = Usage {
            used,
            reserved,
            limit: None,
            counted_by: self.books.server,
        };
        let recounted = self.books.store.recount(&self.account, usage).await;
        recounted.map_err(trouble::store)?;
        // Now that the books know it.
        delete_all(&self.pending, HOLDS, &mut Amount::default()).map_err(failed)
    }

    async fn is_counted(&self) -> Outcome<bool> {
        let usage = self.books.store.usage(&self.account).await;
        Ok(usage.map_err(trouble::store)?.counted_by == self.books.server)
    }

    /// See [`Holds::are_left`]; where it can't be looked for, somebody else finds it.
    fn are_left(&self) -> bool {
        self.holds.are_left().unwrap_or(false)
    }
}

fn counting() -> Failure {
    let why = "another connection of yours counts your files, and doesn't come to an end; try again";
    Failure::new(Code::Busy, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::place::tests::place;
    use sockeye::block_on;

    /// What the books say is kept and reserved.
    async fn books(place: &Place) -> (u64, u64) {
        let usage = place.usage().await.expect("the books");
        (usage.used, usage.reserved)
    }

    #[test]
    fn what_somebody_left_in_the_middle_is_counted_by_the_next_who_comes_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("files/everybody");
        let done = block_on(async {
            let (first, second) = (place(&folder, Some(1000)), place(&folder, Some(1000)));
            let dropped = place(&folder, Some(1000));
            dropped.reserve(600).await?;
            second.reserve(100).await?;
            std::fs::write(root.join("named"), [0; 50]).expect("a file that the books don't know");
            std::fs::write(folder.path().join("files/uploads/*everybody/small-1-1"), "x").expect("a file");
            drop(dropped);
            // While somebody is in the middle of something nobody can tell whose is what.
            first.hold().await?;
            assert_eq!(books(&first).await, (0, 700));
            first.rest();
            second.settle(100, 10).await;
            second.rest();
            first.hold().await?;
            assert_eq!(books(&first).await, (50, 0));
            assert!(!folder.path().join("files/uploads/*everybody/small-1-1").exists());
            // Once is enough.
            std::fs::write(root.join("other"), [0; 50]).expect("a file of an operator's");
            first.rest();
            second.hold().await?;
            assert_eq!(books(&second).await, (50, 0));
            second.reserve(950).await.map(drop)
        });
        done.expect("a model").expect("all of it is free");
    }

    #[test]
    fn what_the_books_were_not_told_is_counted_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let done = block_on(async {
            let (first, second) = (place(&folder, None), place(&folder, None));
            first.reserve(600).await?;
            first.spoil();
            first.rest();
            second.hold().await?;
            assert_eq!(books(&second).await, (0, 0));
            Ok::<_, Failure>(())
        });
        done.expect("a model").expect("it is counted");
    }

    #[test]
    fn without_a_file_nobody_counts_meanwhile() {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, second) = (place(&folder, None), place(&folder, None));
        std::fs::write(folder.path().join("files/uploads/*everybody/holds"), "").expect("no folder");
        let begin = |place: &Place| place.holds.try_begin();
        let exclusive = FlockOperation::NonBlockingLockExclusive;
        assert_eq!((begin(&first), begin(&second)), (Ok(true), Ok(true)));
        first.rest();
        assert_eq!(first.holds.try_lock(exclusive), Ok(false));
        second.rest();
        assert_eq!(first.holds.try_lock(exclusive), Ok(true));
    }

    #[test]
    fn who_counts_has_nobody_beside_and_waits_for_nobody_who_works() {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, second) = (place(&folder, None), place(&folder, None));
        let begin = |place: &Place| place.holds.try_begin();
        let alone = block_on(first.alone(PATIENCE))
            .expect("a model")
            .expect("nobody is there");
        assert_eq!(begin(&second), Ok(false));
        drop(alone);
        assert_eq!(begin(&second), Ok(true));
        assert_eq!(begin(&second), Ok(true), "it has begun already");
        assert_eq!(begin(&first), Ok(true));
        assert_eq!(first.holds.are_left(), Ok(false));
        drop(second);
        assert_eq!(first.holds.are_left(), Ok(false), "one is at work still");
        first.rest();
        assert_eq!(first.holds.are_left(), Ok(true));
    }
}
