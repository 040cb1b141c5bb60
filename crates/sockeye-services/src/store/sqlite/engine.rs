//! The thread that has the connections: one that writes, one that reads.
//!
//! A commit waits for the disk, and meanwhile others come that want to write: the next transaction takes them all. So the
//! disk is waited for once for a group, and each of it is told when that is over.

use super::{Doing, on_this_thread, options};
use crate::store::Failure;
use sqlx::{ConnectOptions, SqliteConnection};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;

/// Jobs of one transaction: a few milliseconds of work, so that nobody waits for long, and far beyond what makes the
/// wait for the disk small.
const GROUP: usize = 256;
/// Jobs that may wait: what comes then is refused at once rather than after its peer has given up.
const WAITING: usize = 8192;

/// SQLite's codes of errors after which nothing of the transaction was kept, even if it was its commit that failed: BUSY, LOCKED,
/// FULL, CONSTRAINT (<https://sqlite.org/rescode.html>).
const NOTHING_KEPT: [&str; 4] = ["5", "6", "13", "19"];

type Outcome<T> = Result<T, Failure>;

pub(super) trait Job: Send {
    /// Whether it is on the disk when its outcome is told.
    fn is_durable(&self) -> bool;
    fn run<'c>(&'c mut self, conn: &'c mut SqliteConnection) -> Doing<'c, ()>;
    fn tell(self: Box<Self>, outcome: Outcome<()>);
}

/// A job with its outcome, until the transaction is durable.
pub(super) struct Writing<F, T> {
    job: F,
    durable: bool,
    done: Option<T>,
    tell: oneshot::Sender<Outcome<T>>,
}

pub(super) use Writing as Reading;

impl<F, T> Writing<F, T> {
    pub(super) fn new(job: F, tell: oneshot::Sender<Outcome<T>>) -> Self {
        Writing {
            job,
            durable: true,
            done: None,
            tell,
        }
    }

    /// One whose outcome may be told before it is on the disk: a power failure may undo it, and nothing else.
    pub(super) fn soon(job: F, tell: oneshot::Sender<Outcome<T>>) -> Self {
        let durable = false;
        Writing {
            durable,
            ..Self::new(job, tell)
        }
    }
}

impl<F, T> Job for Writing<F, T>
where
    F: for<'c> Fn(&'c mut SqliteConnection) -> Doing<'c, T> + Send,
    T: Send,
{
    fn is_durable(&self) -> bool {
        self.durable
    }

    fn run<'c>(&'c mut self, conn: &'c mut SqliteConnection) -> Doing<'c, ()> {
        let doing = (self.job)(conn);
        let done = &mut self.done;
        Box::pin(async move {
            *done = Some(doing.await?);
            Ok(())
        })
    }

    fn tell(self: Box<Self>, outcome: Outcome<()>) {
        let Writing { done, tell, .. } = *self;
        let outcome = outcome.and_then(|()| done.ok_or_else(|| Failure::new("the store did nothing")));
        let _ = tell.send(outcome); // who wanted it may be gone
    }
}

type Queue = mpsc::Sender<Box<dyn Job>>;

/// The queues of the thread, and the process that has it. They are not dropped in another process: that would touch what
/// only the thread may.
pub(super) struct Engine {
    process: u32,
    writes: ManuallyDrop<Queue>,
    reads: ManuallyDrop<Queue>,
}

impl Engine {
    pub(super) fn start(path: &Path) -> Outcome<Self> {
        let (writes, wanted) = mpsc::channel(WAITING);
        let (reads, read) = mpsc::channel(WAITING);
        let path = path.to_owned();
        let thread = std::thread::Builder::new().name("sockeye-store".to_owned());
        let started = thread.spawn(move || {
            let both = async { tokio::join!(write_all(&path, wanted), read_all(&path, read)) };
            if let Err(error) = on_this_thread(both) {
                tracing::error!(%error, "the store can't be used");
            }
        });
        started.map_err(|error| Failure::new(format!("start the store's thread: {error}")))?;
        Ok(Engine {
            process: std::process::id(),
            writes: ManuallyDrop::new(writes),
            reads: ManuallyDrop::new(reads),
        })
    }

    fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }

    /// Whether it is this process' own, and its thread hasn't died of a job.
    pub(super) fn is_at_work(&self) -> bool {
        self.is_of_this_process() && !self.writes.is_closed() && !self.reads.is_closed()
    }

    pub(super) fn write(&self, job: Box<dyn Job>) -> Outcome<()> {
        send(&self.writes, job)
    }

    pub(super) fn read(&self, job: Box<dyn Job>) -> Outcome<()> {
        send(&self.reads, job)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.is_of_this_process() {
            // The thread ends when it has done what was sent.
            drop(std::mem::replace(&mut *self.writes, mpsc::channel(1).0));
            drop(std::mem::replace(&mut *self.reads, mpsc::channel(1).0));
        }
    }
}

fn send(queue: &Queue, job: Box<dyn Job>) -> Outcome<()> {
    queue.try_send(job).map_err(|error| match error {
        TrySendError::Full(_) => Failure::new("the store has too much to do; try again later"),
        TrySendError::Closed(_) => Failure::new("the thread that keeps the store has ended"),
    })
}

/// A connection that is made when it is needed, and anew after it broke.
struct Line {
    path: PathBuf,
    conn: Option<SqliteConnection>,
    /// Whether its commits wait for the disk.
    durable: bool,
}

impl Line {
    fn to(path: &Path) -> Self {
        Line {
            path: path.to_owned(),
            conn: None,
            durable: true,
        }
    }

    async fn conn(&mut self) -> sqlx::Result<&mut SqliteConnection> {
        let made = match self.conn.take() {
            Some(conn) => conn,
            None => {
                self.durable = true; // as `options` says
                options(&self.path).connect().await?
            }
        };
        Ok(self.conn.insert(made))
    }

    /// One whose commits wait for the disk, or don't. Those that do take what was written before to the disk, too: it is the
    /// same log.
    async fn conn_for(&mut self, durable: bool) -> sqlx::Result<&mut SqliteConnection> {
        self.conn().await?;
        if durable != self.durable {
            let conn = self.conn().await?;
            let pragma = match durable {
                true => "PRAGMA synchronous = FULL",
                false => "PRAGMA synchronous = NORMAL",
            };
            sqlx::query(pragma).execute(conn).await?;
            self.durable = durable;
        }
        self.conn().await
    }
}

async fn read_all(path: &Path, mut wanted: mpsc::Receiver<Box<dyn Job>>) {
    let mut line = Line::to(path);
    while let Some(mut job) = wanted.recv().await {
        let read = match line.conn().await {
            Ok(conn) => job.run(conn).await,
            Err(error) => Err(error),
        };
        if read.is_err() {
            line.conn = None;
        }
        job.tell(read.map_err(|error| Failure::new(words(&error))));
    }
}

async fn write_all(path: &Path, mut wanted: mpsc::Receiver<Box<dyn Job>>) {
    let mut line = Line::to(path);
    let mut group = Vec::new();
    while wanted.recv_many(&mut group, GROUP).await > 0 {
        match commit(&mut line, &mut group).await {
            Ok(()) => tell_all(&mut group, &Ok(())),
            // One of them has hurt the others.
            Err(failure) if group.len() > 1 && !failure.is_uncertain() => {
                for job in group.drain(..) {
                    let mut alone = vec![job];
                    let outcome = commit(&mut line, &mut alone).await;
                    tell_all(&mut alone, &outcome);
                }
            }
            Err(failure) => tell_all(&mut group, &Err(failure)),
        }
    }
}

fn tell_all(group: &mut Vec<Box<dyn Job>>, outcome: &Outcome<()>) {
    group.drain(..).for_each(|job| job.tell(outcome.clone()));
}

/// Does all of them in one transaction; when it returns without an error they are durable, if one of them is to be.
async fn commit(line: &mut Line, group: &mut [Box<dyn Job>]) -> Outcome<()> {
    let durable = group.iter().any(|job| job.is_durable());
    let conn = match line.conn_for(durable).await {
        Ok(conn) => conn,
        Err(error) => {
            line.conn = None;
            return Err(Failure::new(words(&error)));
        }
    };
    let done = do_all(conn, group).await;
    let outcome =
        match done {
            Ok(()) => sqlx::query("COMMIT")
                .execute(&mut *conn)
                .await
                .map(drop)
                .map_err(|error| match nothing_kept(&error) {
                    true => Failure::new(words(&error)),
                    false => Failure::uncertain(words(&error)),
                }),
            Err(error) => Err(Failure::new(words(&error))),
        };
    if outcome.is_err() {
        // A failed transaction may be over already. A connection that can't even say so is of no use.
        let _ = sqlx::query("ROLLBACK").execute(&mut *conn).await;
        line.conn = None;
    }
    outcome
}

async fn do_all(conn: &mut SqliteConnection, group: &mut [Box<dyn Job>]) -> sqlx::Result<()> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *conn).await?;
    for job in group {
        job.run(conn).await?;
    }
    Ok(())
}

fn nothing_kept(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| NOTHING_KEPT.contains(&&*code))
}

/// What the database says, without the library's frame around it.
fn words(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(error) => error.message().to_owned(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sqlite;
    use super::*;
    use sqlx::Row;
    use tokio::task::JoinSet;

    fn put(store: &Sqlite, number: i64) -> crate::store::Answer<'_, i64> {
        store.write(move |conn| {
            Box::pin(async move {
                sqlx::query("INSERT INTO kept (number) VALUES (?)")
                    .bind(number)
                    .execute(&mut *conn)
                    .await?;
                Ok(number)
            })
        })
    }

    fn count(store: &Sqlite) -> crate::store::Answer<'_, i64> {
        store.read(|conn| {
            Box::pin(async move {
                sqlx::query("SELECT COUNT(*) FROM kept")
                    .fetch_one(conn)
                    .await?
                    .try_get(0)
            })
        })
    }

    #[test]
    fn a_connection_waits_for_the_disk_only_where_somebody_wants_that() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("db");
        Sqlite::open(&path).expect("a store");
        let levels = on_this_thread(async {
            let (mut line, mut levels) = (Line::to(&path), Vec::new());
            for (durable, breaks) in [
                (true, false),
                (false, false),
                (false, false),
                (true, false),
                (false, true),
                (true, false),
            ] {
                let conn = line.conn_for(durable).await.expect("a connection");
                let row = sqlx::query("PRAGMA synchronous")
                    .fetch_one(conn)
                    .await
                    .expect("a level");
                levels.push(row.try_get::<i64, _>(0).expect("a number"));
                if breaks {
                    line.conn = None;
                }
            }
            levels
        });
        assert_eq!(
            levels.expect("a runtime"),
            [2, 1, 1, 2, 1, 2],
            "2 is FULL, 1 NORMAL"
        );
    }

    #[test]
    fn who_fails_in_a_group_fails_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = std::sync::Arc::new(Sqlite::open(&folder.path().join("db")).expect("a store"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let table = store.write(|conn| {
                Box::pin(async move {
                    let sql = "CREATE TABLE kept (number INTEGER PRIMARY KEY CHECK (number % 10 <> 7))";
                    sqlx::query(sql).execute(conn).await.map(drop)
                })
            });
            table.await.expect("a table");
            let mut all = JoinSet::new();
            for number in 0..200 {
                let store = store.clone();
                all.spawn(async move { (number, put(&store, number).await) });
            }
            let outcomes = all.join_all().await;
            for (number, outcome) in outcomes {
                assert_eq!(outcome.is_err(), number % 10 == 7, "{number}: {outcome:?}");
            }
            assert_eq!(count(&store).await.expect("a count"), 180);
        });
    }
}
