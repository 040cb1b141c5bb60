use super::{Doing, Sqlite};
use crate::store::{Answer, MOST, Quotas, Reserved, Usage};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

fn whole(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX) // `MOST`
}

fn usage_of(row: &SqliteRow) -> sqlx::Result<Usage> {
    let bytes = |value: i64| u64::try_from(value).unwrap_or(0);
    Ok(Usage {
        used: bytes(row.try_get(0)?),
        reserved: bytes(row.try_get(1)?),
        limit: row.try_get::<Option<i64>, _>(2)?.map(bytes),
        counted_by: row.try_get(3)?,
    })
}

async fn look(conn: &mut SqliteConnection, owner: &str) -> sqlx::Result<Usage> {
    let row = sqlx::query("SELECT used, reserved, most, counted_by FROM quotas WHERE owner = ?")
        .bind(owner)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map_or(Ok(Usage::default()), usage_of)
}

async fn reserve(
    conn: &mut SqliteConnection,
    owner: &str,
    bytes: u64,
    usual: Option<u64>,
) -> sqlx::Result<Reserved> {
    // Differences, since a sum of the three may be beyond what can be counted.
    let granted = sqlx::query(
        "UPDATE quotas SET reserved = reserved + ?1 \
         WHERE owner = ?2 AND ?1 <= COALESCE(most, ?3, ?4) - MAX(used, 0) - reserved \
         RETURNING COALESCE(most, ?3) - MAX(used, 0) - reserved",
    );
    let granted = granted
        .bind(whole(bytes))
        .bind(owner)
        .bind(usual.map(whole))
        .bind(whole(MOST));
    match granted.fetch_optional(&mut *conn).await? {
        Some(row) => {
            let left: Option<i64> = row.try_get(0)?;
            Ok(Reserved::Granted(
                left.map(|left| u64::try_from(left).unwrap_or(0)),
            ))
        }
        None => look(conn, owner).await.map(Reserved::Refused),
    }
}

impl Quotas for Sqlite {
    fn usage<'a>(&'a self, owner: &str) -> Answer<'a, Usage> {
        let owner = owner.to_owned();
        self.read(move |conn| {
            let owner = owner.clone();
            Box::pin(async move { look(conn, &owner).await })
        })
    }

    fn reserve<'a>(&'a self, owner: &str, bytes: u64, usual: Option<u64>) -> Answer<'a, Reserved> {
        let owner = owner.to_owned();
        self.write_soon(move |conn| {
            let owner = owner.clone();
            Box::pin(async move { reserve(conn, &owner, bytes, usual).await })
        })
    }

    fn settle<'a>(&'a self, owner: &str, freed: u64, used: i64) -> Answer<'a, ()> {
        let owner = owner.to_owned();
        self.write_soon(move |conn| {
            // It may be below 0 for a while: files are removed by one connection before another has counted them.
            let settled = sqlx::query(
                "UPDATE quotas SET reserved = CASE WHEN reserved > ?1 THEN reserved - ?1 ELSE 0 END, used = used + ?2 \
                 WHERE owner = ?3",
            );
            run(settled.bind(whole(freed)).bind(used).bind(owner.clone()), conn)
        })
    }

    fn recount<'a>(&'a self, owner: &str, counted: Usage) -> Answer<'a, ()> {
        let owner = owner.to_owned();
        self.write_soon(move |conn| {
            let recounted = sqlx::query(
                "INSERT INTO quotas (owner, used, reserved, counted_by) VALUES (?, ?, ?, ?) ON CONFLICT (owner) DO UPDATE \
                 SET used = excluded.used, reserved = excluded.reserved, counted_by = excluded.counted_by",
            );
            let recounted = recounted
                .bind(owner.clone())
                .bind(whole(counted.used))
                .bind(whole(counted.reserved));
            run(recounted.bind(counted.counted_by), conn)
        })
    }

    fn limits(&self) -> Answer<'_, Vec<(String, u64)>> {
        self.read(|conn| {
            Box::pin(async move {
                let sql = "SELECT owner, most FROM quotas WHERE most IS NOT NULL ORDER BY owner";
                let rows = sqlx::query(sql).fetch_all(conn).await?;
                let limit = |row: &SqliteRow| {
                    Ok((
                        row.try_get(0)?,
                        u64::try_from(row.try_get::<i64, _>(1)?).unwrap_or(0),
                    ))
                };
                rows.iter().map(limit).collect()
            })
        })
    }

    fn set_limit<'a>(&'a self, owner: &str, limit: Option<u64>) -> Answer<'a, ()> {
        let owner = owner.to_owned();
        self.write(move |conn| {
            let set = sqlx::query(
                "INSERT INTO quotas (owner, most) VALUES (?, ?) ON CONFLICT (owner) DO UPDATE SET most = excluded.most",
            );
            run(set.bind(owner.clone()).bind(limit.map(whole)), conn)
        })
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn run<'c>(query: Query<'static>, conn: &'c mut SqliteConnection) -> Doing<'c, ()> {
    Box::pin(async move { query.execute(conn).await.map(drop) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn store(folder: &tempfile::TempDir) -> Arc<Sqlite> {
        Arc::new(Sqlite::open(&folder.path().join("db")).expect("a store"))
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
    }

    /// Two stores on one file are what two processes have.
    #[test]
    fn parallel_reservations_never_exceed_the_limit_by_a_byte() {
        let folder = tempfile::tempdir().expect("a folder");
        let stores = [store(&folder), store(&folder)];
        let counted = Usage {
            used: 100,
            counted_by: 7,
            ..Usage::default()
        };
        runtime().block_on(async { stores[0].recount("ann", counted).await.expect("a row") });
        let threads = (0..8_u64).map(|number| {
            let store = stores[number as usize % 2].clone();
            std::thread::spawn(move || {
                let mut random = fastrand::Rng::with_seed(number);
                let mut kept = 0;
                runtime().block_on(async {
                    for _ in 0..40 {
                        let bytes = random.u64(1..50);
                        match store.reserve("ann", bytes, Some(2000)).await.expect("an answer") {
                            Reserved::Granted(_) => kept += bytes,
                            Reserved::Refused(usage) => assert!(usage.used + usage.reserved + bytes > 2000),
                        }
                    }
                });
                kept
            })
        });
        let threads: Vec<_> = threads.collect();
        let kept: u64 = threads
            .into_iter()
            .map(|thread| thread.join().expect("a sum"))
            .sum();
        let usage = runtime().block_on(async { stores[1].usage("ann").await.expect("a row") });
        assert_eq!(usage.used + usage.reserved, 100 + kept);
        assert!(usage.used + usage.reserved <= 2000);
    }

    #[test]
    fn reservations_are_settled_and_limits_set() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(&folder);
        runtime().block_on(async {
            let counted = Usage {
                counted_by: 1,
                ..Usage::default()
            };
            store.recount("ann", counted).await.expect("a row");
            assert_eq!(
                store.reserve("ann", 60, Some(100)).await.expect("room"),
                Reserved::Granted(Some(40))
            );
            store.settle("ann", 60, 50).await.expect("a row");
            let refused = store.reserve("ann", 51, Some(100)).await.expect("an answer");
            assert_eq!(refused, Reserved::Refused(Usage { used: 50, ..counted }));
            store.set_limit("ann", Some(200)).await.expect("a row");
            store.set_limit("eve", None).await.expect("a row");
            let limits = store.limits().await.expect("rows");
            assert_eq!(limits, [("ann".to_owned(), 200)]);
            assert_eq!(
                store.reserve("ann", 51, Some(100)).await.expect("room"),
                Reserved::Granted(Some(99))
            );
            // Another connection removes what this one hasn't counted yet.
            store.settle("ann", 0, -101).await.expect("a row");
            let usage = store.usage("ann").await.expect("a row");
            assert_eq!((usage.used, usage.reserved, usage.limit), (0, 51, Some(200)));
            let refused = store.reserve("ann", 150, None).await.expect("an answer");
            assert_eq!(refused, Reserved::Refused(usage));
            store.settle("ann", 51, 51).await.expect("a row");
            let usage = store.usage("ann").await.expect("a row");
            assert_eq!((usage.used, usage.reserved), (0, 0));
            let all = store.reserve("ann", 200, None).await.expect("room");
            assert_eq!(all, Reserved::Granted(Some(0)));
            store.recount("bob", counted).await.expect("a row");
            assert_eq!(
                store.reserve("bob", 1 << 40, None).await.expect("room"),
                Reserved::Granted(None)
            );
        });
    }

    #[test]
    fn no_more_is_reserved_than_can_be_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(&folder);
        runtime().block_on(async {
            let counted = Usage {
                used: 7,
                counted_by: 1,
                ..Usage::default()
            };
            store.recount("ann", counted).await.expect("a row");
            let reserved = MOST - 8;
            let granted = store.reserve("ann", reserved, None).await.expect("room");
            assert_eq!(granted, Reserved::Granted(None));
            let full = Reserved::Refused(Usage { reserved, ..counted });
            for bytes in [2, (1 << 53) - 1, MOST, u64::MAX] {
                for limit in [None, Some(MOST), Some(u64::MAX)] {
                    let refused = store.reserve("ann", bytes, limit).await.expect("an answer");
                    assert_eq!(refused, full, "{bytes} of {limit:?}");
                }
            }
            // Files can grow under the hands of others; what can't be counted is not noted, and hurts nobody else.
            store
                .settle("ann", 0, i64::MAX)
                .await
                .expect_err("it can't be counted");
            assert_eq!(store.usage("ann").await.expect("a row").used, 7);
            store.settle("ann", reserved, 0).await.expect("a row");
            assert_eq!(store.usage("ann").await.expect("a row"), counted);
        });
    }
}
