//! Where one owner's files are, and what they count. How a complete file gets its name is [`publishing`].

mod entries;
mod hidden;
mod holds;
mod owner;
mod publishing;
mod temporary;

use super::pending::Pending;
use super::tree::{Quiet, Tree, folder_in, mtime_of, open};
use super::trouble::{self, Outcome};
use super::{Books, record};
use crate::background::{Party, off_loop_for};
use crate::patience::Patience;
use crate::store::{MOST, Reserved};
use entries::Entries;
use holds::Holds;
use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;
use sockeye_proto::files::{Code, Failure, Hash, Mtime, Path, Receipt};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub(super) use entries::Naming;
pub(super) use hidden::{Filling, Hidden};
pub(super) use owner::Owner;
pub(super) use publishing::Publishing;
pub(super) use temporary::{Complete, Temporary};

/// How often a connection tries to be the one that changes names.
const TRY_AGAIN: Duration = Duration::from_millis(5);
/// How long it tries to be the one that changes names: others move a folder of a million files meanwhile, or give a thousand
/// files their names on a disk that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// An owner's root, its uploads and its page in the books.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) root: Arc<Tree>,
    pub(super) pending: Pending,
    pub(super) books: Arc<Books>,
    entries: Arc<Entries>,
    holds: Arc<Holds>,
    account: Arc<str>,
    /// Who asks for what is done here.
    pub(super) party: Party,
    usual_limit: Option<u64>,
    /// A number of its own, at random: temporary files bear it.
    pub(super) tag: u64,
}

impl Place {
    /// The place of an owner, made where it is missing, and counted once by each server.
    pub(super) async fn of(
        owner: &Owner,
        party: Party,
        books: &Arc<Books>,
        usual_limit: Option<u64>,
    ) -> Outcome<Self> {
        let (folder, account) = (books.folder.clone(), Arc::<str>::from(owner.account()));
        let (whose, account_name) = (owner.clone(), account.clone());
        let opened = off_loop_for(&party, move || open_folders(&folder, &whose, &account_name)).await;
        let opened = opened.map_err(trouble::busy)?;
        let (root, pending, entries) = opened.map_err(|error| trouble::of("open your folder", error))?;
        let mut tag = [0; 8];
        getrandom::fill(&mut tag)
            .map_err(|error| Failure::new(Code::Io, format!("random numbers: {error}")))?;
        let (tag, pending) = (u64::from_le_bytes(tag), Pending::of(pending));
        let place = Place {
            tag,
            root: Arc::new(Tree::of(root)),
            holds: Arc::new(Holds::among(pending.clone(), tag)),
            pending,
            books: books.clone(),
            entries: Arc::new(Entries::of(entries)),
            account,
            party,
            usual_limit,
        };
        place.count().await?;
        Ok(place)
    }

    /// What is kept, and what may be.
    pub(super) async fn usage(&self) -> Outcome<sockeye_proto::files::Usage> {
        let usage = self
            .books
            .store
            .usage(&self.account)
            .await
            .map_err(trouble::store)?;
        Ok(sockeye_proto::files::Usage {
            used: usage.used,
            reserved: usage.reserved,
            limit: usage.limit.or(self.usual_limit),
        })
    }

    /// Reserves room; says how much is left, where there is a limit.
    pub(super) async fn reserve(&self, bytes: u64) -> Outcome<Option<u64>> {
        self.hold().await?;
        let reserved = self
            .books
            .store
            .reserve(&self.account, bytes, self.usual_limit)
            .await;
        // Of an error nobody knows whether it came before.
        match reserved.inspect_err(|_| self.spoil()).map_err(trouble::store)? {
            Reserved::Granted(left) => Ok(left),
            Reserved::Refused(usage) => {
                let limit = usage.limit.or(self.usual_limit).unwrap_or(MOST);
                let why = format!(
                    "{bytes} bytes more than the {} that you keep and the {} that are on their way would be over your \
                     limit of {limit}; remove something first",
                    usage.used, usage.reserved
                );
                Err(Failure::new(Code::Quota, why))
            }
        }
    }

    /// Gives back what was reserved, and counts what is kept. When the books fail, it is counted anew later.
    pub(super) async fn settle(&self, freed: u64, growth: i64) {
        if (freed, growth) != (0, 0)
            && let Err(error) = self.books.store.settle(&self.account, freed, growth).await
        {
            tracing::warn!(account = &*self.account, %error, "the quota is wrong until it is counted anew");
            self.spoil();
        }
    }

    /// Does something with the place that may wait for the disk.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Place) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        let place = self.clone();
        let done = off_loop_for(&self.party, move || job(&place)).await;
        done.map_err(trouble::busy)?
    }

    /// The same, for who keeps others from the place meanwhile.
    pub(super) async fn work_first<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Place) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        let (place, party) = (self.clone(), self.first());
        let done = off_loop_for(&party, move || job(&place)).await;
        done.map_err(trouble::busy)?
    }

    /// Whose such a job is: where several have a place in common, none of them, or all would wait behind what one of them wants besides.
    fn first(&self) -> Party {
        match &self.party {
            Party::Peer(_) => Party::Own,
            party => party.clone(),
        }
    }

    /// Waits until nobody else changes names, and no thread waits with it: there are few, and they are everybody's.
    pub(super) async fn quiet(&self) -> Outcome<Quiet> {
        self.hold().await?;
        let failed = |error| trouble::of("lock your folder", error);
        let mut patience = Patience::new(PATIENCE, TRY_AGAIN);
        loop {
            if let Some(quiet) = self.root.try_quiet().map_err(failed)? {
                return Ok(quiet);
            }
            if !patience.again().await.map_err(trouble::busy)? {
                let why = "another connection of yours changes names, or counts, and doesn't come to an end; try again";
                return Err(Failure::new(Code::Busy, why));
            }
        }
    }

    /// The receipt of a file that is there already with this size and hash; with `sync` it is on the disk then.
    pub(super) fn already(&self, path: &Path, size: u64, hash: Hash, sync: bool) -> Option<Receipt> {
        let (file, stat) = self.root.file(path).ok()?;
        if stat.st_size as u64 != size || record::of(&file) != Some(hash) {
            return None;
        }
        if sync {
            fs::fsync(&file).and_then(|()| self.force_name(path)).ok()?;
        }
        Some(Receipt {
            path: path.to_string(),
            size,
            hash,
            mtime: Mtime(mtime_of(&stat)),
            time: now(),
            durable: sync,
        })
    }

    /// Forces the name of something to the disk: whoever gave it that may have been killed before.
    pub(super) fn force_name(&self, path: &Path) -> rustix::io::Result<()> {
        match self.root.spot(path) {
            Ok(spot) => fs::fsync(&spot.folder)?,
            Err(Errno::NOENT | Errno::NOTDIR) => {} // it was moved or removed since
            Err(error) => return Err(error),
        }
        let (parent, _) = path.split().unwrap_or_default();
        self.root.force_above([parent])?;
        fs::fsync(&self.pending)
    }

    /// Refuses what could not get its name at the end anyhow.
    pub(super) fn check_free(&self, path: &Path, clobber: bool) -> Outcome<()> {
        match self.root.look(path) {
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(trouble::at(path, error)),
            Ok((None, _)) => Err(trouble::at(path, Errno::ISDIR)),
            Ok((Some(_), _)) if clobber => Ok(()),
            Ok((Some(_), _)) => Err(trouble::at(path, Errno::EXIST)),
        }
    }
}

/// The time, in nanoseconds since 1970.
pub(super) fn now() -> Mtime {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Mtime(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// The folder `users/NAME`, `everybody` or `anonymous`, `uploads/ACCOUNT`, and the file `entries/ACCOUNT`.
fn open_folders(
    folder: &std::path::Path,
    owner: &Owner,
    account: &str,
) -> rustix::io::Result<(OwnedFd, OwnedFd, File)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let data = fs::open(folder, flags, Mode::empty())?;
    match fs::mkdirat(&data, "files", Mode::RWXU) {
        Ok(()) => fs::fsync(&data)?,
        Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    // It may be another disk; below it there is one only.
    let files = fs::openat(&data, "files", flags, Mode::empty())?;
    let root = match owner {
        Owner::User(name) => folder_in(folder_in(&files, "users")?, name)?,
        Owner::Everybody => folder_in(&files, "everybody")?,
        Owner::Anonymous => folder_in(&files, "anonymous")?,
    };
    let pending = folder_in(folder_in(&files, "uploads")?, account)?;
    let flags = OFlags::RDWR | OFlags::CREATE;
    let entries = open(folder_in(&files, "entries")?, account, flags)?;
    Ok((root, pending, File::from(entries)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::background::begun;
    use crate::data::Data;

    /// Everybody's place in a folder of a test, as another server would open it.
    pub(in crate::files) fn place(folder: &tempfile::TempDir, limit: Option<u64>) -> Place {
        place_of(&Owner::Everybody, folder, limit)
    }

    fn place_of(owner: &Owner, folder: &tempfile::TempDir, limit: Option<u64>) -> Place {
        let data = Data::at(folder.path());
        data.open().expect("a data folder");
        let books = Arc::new(Books {
            folder: folder.path().to_owned(),
            store: data.store().expect("a store"),
            server: 1,
        });
        let party = owner.party(&sockeye::Address::Unix(None));
        let place = sockeye::block_on(Place::of(owner, party, &books, limit));
        place.expect("a model").expect("a place")
    }

    #[test]
    fn what_one_account_has_done_holds_up_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let of = |name: &str| place_of(&Owner::User(name.into()), &folder, None);
        let (ann, bob) = (of("ann"), of("bob"));
        let gate = Arc::new(std::sync::Mutex::new(()));
        let shut = gate.lock().expect("nobody has it");
        sockeye::block_on(async {
            let mut held = Vec::new();
            for _ in 0..20 {
                let (ann, gate) = (ann.clone(), gate.clone());
                let waits = move |_: &Place| {
                    drop(gate.lock().expect("no panic"));
                    Ok(())
                };
                held.push(begun(async move { ann.work(waits).await }).await);
            }
            bob.work(|_| Ok(())).await.expect("it is his turn");
            drop(shut);
            for work in held {
                work.await.expect("all is done in the end");
            }
        })
        .expect("a model");
    }
}
