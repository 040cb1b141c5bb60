//! The folder where services keep what must not be lost.
//!
//! One server has it at a time; tools may look into it, and change it, beside that.

use crate::store::{Failure, Sqlite, Store};
use rustix::process::{Pid, test_kill_process};
use sockeye::{Class, Error, Result};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The database, in the folder.
const BOOKS: &str = "sockeye.db";
/// What services keep is their owner's business.
const MODE: u32 = 0o700;
/// How long a server waits for what is left of one that was killed: its forked processes let their connections end first,
/// which takes the ten seconds of [`Limits::drain`](sockeye::Limits) at the most.
const PATIENCE: Duration = Duration::from_secs(12);
/// How often it looks meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// A handle on the folder; cheap to clone.
#[derive(Clone, Debug)]
pub struct Data(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    store: OnceLock<Arc<Sqlite>>,
    /// Another server had it, and was waited for.
    waited: AtomicBool,
    /// Held for as long as this server, or a process forked by it, lives.
    lock: Mutex<Option<File>>,
}

impl Data {
    /// The data in this folder, which is neither made nor looked at yet.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Data(Arc::new(Inner {
            folder: folder.into(),
            store: OnceLock::new(),
            waited: AtomicBool::new(false),
            lock: Mutex::default(),
        }))
    }

    /// The user's folder for it, by the XDG rules: `$XDG_DATA_HOME/sockeye`, else `~/.local/share/sockeye`.
    ///
    /// # Errors
    /// When there is no home.
    pub fn usual() -> Result<PathBuf> {
        let dirs = directories::ProjectDirs::from("", "", "sockeye").ok_or_else(|| {
            let why = "this user has no home";
            Error::new("find the data folder", Class::General, why.to_owned())
                .advise("name one with --data DIR")
        })?;
        Ok(dirs.data_dir().to_owned())
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// For a server: makes the folder where it is missing, keeps every other server out of it, and brings what is in it
    /// up to date. No thread of that is left when it returns, so that a server may fork.
    ///
    /// # Errors
    /// When another server has it, or it can't be written to.
    pub fn open(&self) -> Result<()> {
        let mut held = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            self.make()?;
            *held = Some(self.lock()?);
        }
        self.store_here().map(drop)
    }

    /// For a tool beside a server: as [`open`](Self::open), but keeps nobody out.
    ///
    /// # Errors
    /// When it can't be written to.
    pub fn visit(&self) -> Result<()> {
        self.make()?;
        self.store_here().map(drop)
    }

    /// For a tool that has nothing to begin: as [`visit`](Self::visit), but there must be something already. A name that was mistyped
    /// would get a folder and books of its own otherwise.
    ///
    /// # Errors
    /// When there is nothing of a server there, or it can't be written to.
    pub fn revisit(&self) -> Result<()> {
        if let Ok(false) = self.0.folder.join(BOOKS).try_exists() {
            let error = Error::new(
                "use data folder",
                Class::General,
                "there is nothing of a server's in it",
            );
            return Err(error
                .at(self.folder().display())
                .advise("name the folder that `sockeye serve` uses"));
        }
        self.visit()
    }

    /// What keeps accounts, goods and quotas.
    ///
    /// # Errors
    /// When it can't be opened; after [`open`](Self::open) or [`visit`](Self::visit) it is open already.
    pub fn store(&self) -> Result<Arc<dyn Store>> {
        Ok(self.store_here()?)
    }

    /// Does something with the store before the server begins. No thread of that is left when it returns, so that the
    /// server may fork.
    ///
    /// # Errors
    /// When the store fails.
    pub fn beforehand<T>(&self, job: impl AsyncFnOnce(&dyn Store) -> Result<T, Failure>) -> Result<T> {
        self.visit()?;
        let done = self.store_here()?.beforehand(job);
        done.map_err(|failure| failure.into_error("prepare the store", self.folder()))
    }

    fn store_here(&self) -> Result<Arc<Sqlite>> {
        if let Some(store) = self.0.store.get() {
            return Ok(store.clone());
        }
        let store = Arc::new(Sqlite::open(&self.0.folder.join(BOOKS))?);
        Ok(self.0.store.get_or_init(|| store).clone())
    }

    fn make(&self) -> Result<()> {
        if self.folder().exists() && !self.folder().is_dir() {
            let error = Error::new("use data folder", Class::General, "it is no folder".to_owned());
            return Err(error
                .at(self.folder().display())
                .advise("name another, or one that is not there yet"));
        }
        let made = DirBuilder::new().recursive(true).mode(MODE).create(self.folder());
        made.map_err(|error| self.failed("make data folder", error))
    }

    fn lock(&self) -> Result<File> {
        let path = self.folder().join("lock");
        let mut options = OpenOptions::new();
        let opened = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let mut file = opened.map_err(|error| self.failed("lock data folder", error))?;
        let until = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    let holder = holder(&mut file);
                    let waited = self.0.waited.load(Ordering::Relaxed) || Instant::now() >= until;
                    if waited || holder.is_none_or(|holder| test_kill_process(holder).is_ok()) {
                        self.0.waited.store(true, Ordering::Relaxed);
                        return Err(self.taken(holder));
                    }
                    std::thread::sleep(LOOK);
                }
                Err(TryLockError::Error(error)) => return Err(self.failed("lock data folder", error)),
            }
        }
        let noted = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        noted.map_err(|error| self.failed("lock data folder", error))?;
        Ok(file)
    }

    fn taken(&self, holder: Option<Pid>) -> Error {
        let holder = match holder {
            Some(holder) => format!("another server (process {holder}) has it"),
            None => "another server has it".to_owned(),
        };
        Error::new("lock data folder", Class::General, holder)
            .at(self.folder().display())
            .advise("stop that one, or name another folder with --data DIR")
    }

    fn failed(&self, op: &'static str, error: io::Error) -> Error {
        Error::io(op, error).at(self.folder().display())
    }
}

/// The server that has noted itself in the file.
fn holder(file: &mut File) -> Option<Pid> {
    let mut noted = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut noted));
    read.ok()?;
    Pid::from_raw(noted.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_second_server_is_kept_out_and_a_tool_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, second) = (Data::at(folder.path()), Data::at(folder.path()));
        std::fs::write(folder.path().join("sockeye.db"), "").expect("a file for everybody");
        first.open().expect("nobody has it");
        let kept = std::fs::metadata(folder.path().join("sockeye.db")).expect("a store");
        assert_eq!(kept.permissions().mode() & 0o777, 0o600);
        first.open().expect("it is ours");
        let error = second.open().expect_err("it is taken").to_string();
        assert!(
            error.contains(&format!("process {}", std::process::id())),
            "{error}"
        );
        second.visit().expect("tools may");
        drop(first);
        second.open().expect("it was given back");
    }
}
