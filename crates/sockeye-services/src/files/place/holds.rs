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
use rustix::fs::{self, AtFlags, Dir, FlockOperation, Mode, OFlags};
use rustix::io::{Errno, Result, retry_on_intr};
use sockeye_proto::files::{Code, Failure};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Whether this connection is in the middle of something.
#[derive(Debug)]
pub(super) struct Holds {
    pending: Pending,
    own: Mutex<Option<Own>>,
}

#[derive(Debug)]
struct Own {
    name: String,
    /// Its end is the end of the lock.
    _lock: OwnedFd,
    /// The books are wrong even when this comes to its end.
    spoiled: bool,
}

/// While it is there, nobody begins anything.
struct Alone<'h>(&'h Holds);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

impl Holds {
    pub(super) fn among(pending: Pending) -> Self {
        Holds {
            pending,
            own: Mutex::default(),
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
    fn try_begin(&self, name: impl FnOnce() -> String) -> Result<bool> {
        let mut own = self.own();
        if own.is_some() {
            return Ok(true);
        }
        if !self.try_lock(FlockOperation::NonBlockingLockShared)? {
            return Ok(false);
        }
        let made = self.make(name());
        self.unlock();
        *own = Some(made?);
        Ok(true)
    }

    fn make(&self, name: String) -> Result<Own> {
        let path = format!("{HOLDS}/{name}");
        let make = || open(&self.pending, &path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL);
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
        Ok(Own {
            name,
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
                .filter(|name| !name.starts_with('.'))
            else {
                continue;
            };
            let lock = match open(&folder, name, OFlags::RDONLY) {
                Err(Errno::NOENT) => continue, // it has come to its end
                opened => opened?,
            };
            match fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => some = true,
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
        if self.holds.are_left().map_err(failed)? {
            self.count().await?;
        }
        let mut patience = Patience::new(PATIENCE, TRY_AGAIN);
        while !self.holds.try_begin(|| self.temporary_name()).map_err(failed)? {
            if !patience.again().await.map_err(trouble::busy)? {
                return Err(counting());
            }
        }
        Ok(())
    }

    /// The books know all that this connection has done.
    pub(in crate::files) fn rest(&self) {
        if let Some(own) = self.holds.own().take()
            && !own.spoiled
        {
            // Before the lock goes. What stays is counted once too often.
            let _ = fs::unlinkat(&self.pending, format!("{HOLDS}/{}", own.name), AtFlags::empty());
        }
    }

    /// What this connection has done can't be told to the books: it is to be counted.
    pub(super) fn spoil(&self) {
        if let Some(own) = &mut *self.holds.own() {
            own.spoiled = true;
        }
    }

    async fn alone(&self) -> Outcome<Alone<'_>> {
        let failed = |error| trouble::of("lock your folder", error);
        let mut patience = Patience::new(PATIENCE, TRY_AGAIN);
        while !self
            .holds
            .try_lock(FlockOperation::NonBlockingLockExclusive)
            .map_err(failed)?
        {
            if !patience.again().await.map_err(trouble::busy)? {
                return Err(counting());
            }
        }
        Ok(Alone(&self.holds))
    }

    /// Counts what is there, if this server has not done so yet, or somebody has ended in the middle of something: whatever was left
    /// undone ends here.
    pub(super) async fn count(&self) -> Outcome<()> {
        if !self.is_due().await? {
            return Ok(());
        }
        let _alone = self.alone().await?;
        if !self.is_due().await? {
            return Ok(());
        }
        let failed = |error| trouble::of("count your files", error);
        let (tree, pending, entries) = (self.root.clone(), self.pending.clone(), self.entries.clone());
        let party = self.first();
        let counted = off_loop_for(&party, move || {
            pending.sweep(SystemTime::now())?;
            let kept = amount_below(&tree.folder("")?)?;
            entries.set(kept.entries)?;
            Ok((kept.bytes, pending.recover()?))
        });
        let (used, reserved) = counted.await.map_err(trouble::busy)?.map_err(failed)?;
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

    async fn is_due(&self) -> Outcome<bool> {
        let usage = self.books.store.usage(&self.account).await;
        if usage.map_err(trouble::store)?.counted_by != self.books.server {
            return Ok(true);
        }
        let left = self.holds.are_left();
        left.map_err(|error| trouble::of("look who is at work in your folder", error))
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
    fn who_counts_has_nobody_beside_and_waits_for_nobody_who_works() {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, second) = (place(&folder, None), place(&folder, None));
        let begin = |place: &Place| place.holds.try_begin(|| place.temporary_name());
        let alone = block_on(first.alone())
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
