//! The store in one file, by SQLite (<https://sqlite.org>).
//!
//! | file | what it does |
//! |---|---|
//! | [`engine`] | the thread that has the connections; writes that wait for each other share a transaction |
//! | [`migrations`] | brings the tables up to date |
//! | [`accounts`], [`till`], [`quotas`] | the parts of the store, in SQL |

mod accounts;
mod engine;
mod migrations;
mod quotas;
mod till;

use super::{Answer, Failure, Store};
use engine::{Engine, Reading, Writing};
use sqlx::SqliteConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// What a job does with a connection.
pub(crate) type Doing<'c, T> = Pin<Box<dyn Future<Output = sqlx::Result<T>> + Send + 'c>>;

/// How long a transaction waits for another process': forked processes of one server take turns, and each turn is
/// milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// A store in a file.
pub struct Sqlite {
    path: PathBuf,
    /// This process' connections; those of the process that it was forked from are not its to use.
    engine: Mutex<Option<Engine>>,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sqlite({})", self.path.display())
    }
}

impl Sqlite {
    /// The store in this file, made where it is missing, and brought up to date. No connection and no thread is left.
    ///
    /// # Errors
    /// When it can't be read or written, or a newer version of this program has made it.
    pub fn open(path: &Path) -> sockeye::Result<Self> {
        migrations::run(path).map_err(|failure| failure.into_error("open store", path))?;
        Ok(Sqlite {
            path: path.to_owned(),
            engine: Mutex::new(None),
        })
    }

    /// Does a job in a transaction, together with others that wait. The answer comes when it is durable.
    ///
    /// When the transaction of a group fails, each of its jobs is done again alone. So a job may be called twice, and one that
    /// refuses what it was asked says so in its answer, before it has written anything.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        job: impl for<'c> Fn(&'c mut SqliteConnection) -> Doing<'c, T> + Send + 'static,
    ) -> Answer<'_, T> {
        let (tell, told) = oneshot::channel();
        let sent = self.with_engine(|engine| engine.write(Box::new(Writing::new(job, tell))));
        answer(sent, told)
    }

    /// The same for what need not outlive a power failure: it may be answered before it is on the disk.
    pub(crate) fn write_soon<T: Send + 'static>(
        &self,
        job: impl for<'c> Fn(&'c mut SqliteConnection) -> Doing<'c, T> + Send + 'static,
    ) -> Answer<'_, T> {
        let (tell, told) = oneshot::channel();
        let sent = self.with_engine(|engine| engine.write(Box::new(Writing::soon(job, tell))));
        answer(sent, told)
    }

    /// Reads what was written.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        job: impl for<'c> Fn(&'c mut SqliteConnection) -> Doing<'c, T> + Send + 'static,
    ) -> Answer<'_, T> {
        let (tell, told) = oneshot::channel();
        let sent = self.with_engine(|engine| engine.read(Box::new(Reading::new(job, tell))));
        answer(sent, told)
    }

    /// Does something with the store before anybody else does; no thread is left.
    pub(crate) fn beforehand<T>(
        &self,
        job: impl AsyncFnOnce(&dyn Store) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        migrations::leaving_no_thread(|| {
            let own = Sqlite {
                path: self.path.clone(),
                engine: Mutex::new(None),
            };
            on_this_thread(job(&own))?
        })
    }

    fn with_engine(&self, send: impl FnOnce(&Engine) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        if engine.as_ref().is_none_or(|engine| !engine.is_at_work()) {
            *engine = Some(Engine::start(&self.path)?);
        }
        engine.as_ref().map_or(Ok(()), send)
    }
}

fn answer<'a, T: Send + 'static>(
    sent: Result<(), Failure>,
    told: oneshot::Receiver<Result<T, Failure>>,
) -> Answer<'a, T> {
    Box::pin(async move {
        sent?;
        told.await
            .unwrap_or_else(|_| Err(Failure::uncertain("the thread that keeps the store has ended")))
    })
}

/// Acknowledged means durable: with `FULL` a commit is on the disk when it returns, in WAL mode by one fsync.
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(PATIENCE)
}

/// Runs the calls of this database on this thread.
fn on_this_thread<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.map_err(|error| Failure::new(format!("start the store's runtime: {error}")))?;
    Ok(runtime.block_on(future))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_panics_ends_its_thread_and_not_the_store() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Sqlite {
            path: folder.path().join("store"),
            engine: Mutex::new(None),
        };
        let panics = store.read(|_| -> Doing<'_, ()> { panic!("as the test wants it") });
        let told = sockeye::block_on(panics).expect("the model runs");
        assert!(told.expect_err("nothing was read").is_uncertain());
        // What comes while the thread is on its way out is told the same.
        loop {
            let one = store.read(|conn| {
                Box::pin(async move { sqlx::query_scalar::<_, i64>("SELECT 1").fetch_one(conn).await })
            });
            match sockeye::block_on(one).expect("the model runs") {
                Ok(one) => break assert_eq!(one, 1),
                Err(failure) => assert!(failure.is_uncertain(), "{failure:?}"),
            }
        }
    }
}
