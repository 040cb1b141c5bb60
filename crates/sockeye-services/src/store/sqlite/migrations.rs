use super::{on_this_thread, options};
use crate::store::Failure;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{ConnectOptions, Connection, SqlSafeStr};
use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// In the order of their numbers; what was released never changes.
const ALL: [(i64, &str, &str); 7] = [
    (
        1,
        "accounts",
        include_str!("../../../migrations/sqlite/0001_accounts.sql"),
    ),
    (
        2,
        "shop",
        include_str!("../../../migrations/sqlite/0002_shop.sql"),
    ),
    (
        3,
        "quotas",
        include_str!("../../../migrations/sqlite/0003_quotas.sql"),
    ),
    (
        4,
        "debts",
        include_str!("../../../migrations/sqlite/0004_debts.sql"),
    ),
    (
        5,
        "flights",
        include_str!("../../../migrations/sqlite/0005_flights.sql"),
    ),
    (
        6,
        "turns",
        include_str!("../../../migrations/sqlite/0006_turns.sql"),
    ),
    (
        7,
        "account changes",
        include_str!("../../../migrations/sqlite/0007_account_changes.sql"),
    ),
];

/// Makes the tables, or brings them up to date; no thread is left.
pub(super) fn run(path: &Path) -> Result<(), Failure> {
    for_its_owner(path).map_err(|error| Failure::new(error.to_string()))?;
    leaving_no_thread(|| on_this_thread(migrate(path))?)
}

/// What is kept is nobody else's business, in whatever folder it is; the files beside it take its mode.
fn for_its_owner(path: &Path) -> io::Result<()> {
    const MODE: u32 = 0o600;
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(MODE).open(path)?;
    match file.metadata()?.permissions().mode() & 0o077 {
        0 => Ok(()),
        _ => file.set_permissions(Permissions::from_mode(MODE)),
    }
}

async fn migrate(path: &Path) -> Result<(), Failure> {
    let told = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
    let mut conn = options(path).connect().await.map_err(|error| told(&error))?;
    let migrations = ALL.map(|(number, name, sql)| {
        Migration::new(
            number,
            name.into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    });
    let done = Migrator::with_migrations(migrations.into())
        .run_direct(None, &mut conn, false)
        .await;
    let closed = conn.close().await;
    done.map_err(|error| told(&error))?;
    closed.map_err(|error| told(&error))
}

/// How long the threads behind closed connections may take to end.
const ENDING: Duration = Duration::from_secs(1);

/// Does what takes connections, and waits for the threads that these took: a program that forks is to be alone then.
pub(super) fn leaving_no_thread<T>(job: impl FnOnce() -> T) -> T {
    let before = threads();
    let done = job();
    let until = Instant::now() + ENDING;
    while threads() > before && Instant::now() < until {
        std::thread::sleep(Duration::from_micros(100));
    }
    done
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
