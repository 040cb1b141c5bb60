use super::{on_this_thread, options};
use crate::store::Failure;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{ConnectOptions, Connection, SqlSafeStr};
use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// Its number, its name, and its SQL.
type Step = (i64, &'static str, &'static str);

/// In the order of their numbers; what was released never changes.
const ALL: [Step; 8] = [
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
    (
        8,
        "whole quotas",
        include_str!("../../../migrations/sqlite/0008_whole_quotas.sql"),
    ),
];

/// Makes the tables, or brings them up to date; no thread is left.
pub(super) fn run(path: &Path) -> Result<(), Failure> {
    for_its_owner(path).map_err(|error| Failure::new(error.to_string()))?;
    leaving_no_thread(|| on_this_thread(migrate(path, &ALL))?)
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

async fn migrate(path: &Path, steps: &[Step]) -> Result<(), Failure> {
    let told = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
    let mut conn = options(path).connect().await.map_err(|error| told(&error))?;
    let migration = |&(number, name, sql): &Step| {
        Migration::new(
            number,
            name.into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    };
    let done = Migrator::with_migrations(steps.iter().map(migration).collect())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Quotas, Sqlite, Usage};

    /// A sum beyond 2^63 stands there as a fraction.
    const SPOILT: &str = "INSERT INTO quotas (owner, used, reserved, most) \
                          VALUES ('ann', 1, 9223372036854775807 + 1, 100), ('bob', 9e300, 5, NULL), ('eve', 7, 5, NULL)";

    #[test]
    fn of_old_quotas_the_limits_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("db");
        let done = on_this_thread(async {
            migrate(&path, &ALL[..7]).await.expect("the tables as they were");
            let mut conn = options(&path).connect().await.expect("a connection");
            sqlx::query(SPOILT).execute(&mut conn).await.expect("rows");
            conn.close().await.expect("it is closed");
        });
        done.expect("a runtime");
        let store = Sqlite::open(&path).expect("the tables as they are");
        let usages = on_this_thread(async {
            (
                store.usage("ann").await,
                store.usage("bob").await,
                store.usage("eve").await,
            )
        });
        let (ann, bob, eve) = usages.expect("a runtime");
        let eve = eve.expect("a row");
        assert_eq!((eve.used, eve.reserved), (7, 5), "it may be in use just now");
        let limited = Usage {
            limit: Some(100),
            ..Usage::default()
        };
        assert_eq!(
            (ann.expect("a row"), bob.expect("no row")),
            (limited, Usage::default())
        );
    }
}
