//! Attempts to log in, and what failed ones cost.

use crate::auth::penalty::turns::{FURTHEST, Line, TURN, Turn};
use crate::auth::penalty::{Attempt, Early, Flight, InLine, Penalty};
use sqlx::{Row, SqliteConnection};
use std::time::Duration;

/// How many addresses of an account are remembered: a person's places of a few months.
const MAX_KNOWN: i64 = 16;

async fn is_known(conn: &mut SqliteConnection, attempt: &Attempt) -> sqlx::Result<bool> {
    let sql = "SELECT seen FROM known_addresses WHERE account = ? AND address = ?";
    // The same work for a name that nobody has.
    let found = sqlx::query(sql)
        .bind(attempt.account.unwrap_or(-1))
        .bind(attempt.whence());
    Ok(found.fetch_optional(conn).await?.is_some())
}

async fn penalty(conn: &mut SqliteConnection, bucket: i64) -> sqlx::Result<Penalty> {
    let sql = "SELECT failures, last, free_at, flying, begun FROM penalties WHERE bucket = ?";
    let Some(row) = sqlx::query(sql).bind(bucket).fetch_optional(conn).await? else {
        return Ok(Penalty::default());
    };
    Ok(Penalty {
        failures: row.try_get("failures")?,
        last: row.try_get("last")?,
        free_at: row.try_get("free_at")?,
        flying: row.try_get("flying")?,
        begun: row.try_get("begun")?,
    })
}

async fn set_penalty(conn: &mut SqliteConnection, bucket: i64, penalty: Penalty) -> sqlx::Result<()> {
    let sql = "INSERT INTO penalties (bucket, failures, last, free_at, flying, begun) VALUES (?, ?, ?, ?, ?, ?) \
               ON CONFLICT (bucket) DO UPDATE SET failures = excluded.failures, last = excluded.last, \
               free_at = excluded.free_at, flying = excluded.flying, begun = excluded.begun";
    let set = sqlx::query(sql)
        .bind(bucket)
        .bind(penalty.failures)
        .bind(penalty.last)
        .bind(penalty.free_at)
        .bind(penalty.flying)
        .bind(penalty.begun);
    set.execute(conn).await.map(drop)
}

pub(super) async fn begin(
    conn: &mut SqliteConnection,
    attempt: Attempt,
    now: i64,
) -> sqlx::Result<Result<Flight, Early>> {
    let known = is_known(conn, &attempt).await?;
    let line = attempt.line(known);
    let mut flying = Vec::new();
    let mut early = None;
    for (bucket, free) in attempt.buckets(known) {
        let penalty = penalty(conn, bucket).await?;
        early = match line {
            // Who has to wait for their address has no place in the line.
            Some(line) if line.name == bucket && early.is_none() => {
                in_line(conn, line, &penalty, free, now).await?
            }
            _ => early.max(penalty.early(now, free)),
        };
        flying.push((bucket, penalty.with_flight(now)));
    }
    if let Some(early) = early {
        return Ok(Err(early));
    }
    for (bucket, penalty) in flying {
        set_penalty(conn, bucket, penalty).await?;
    }
    Ok(Ok(Flight { attempt, known }))
}

/// Why an attempt can't be looked at now, if it can't; it has a turn then. If it can, its turn is used.
async fn in_line(
    conn: &mut SqliteConnection,
    who: InLine,
    penalty: &Penalty,
    free: i64,
    now: i64,
) -> sqlx::Result<Option<Early>> {
    let turn = line(conn, who, now).await?.turn(now, penalty);
    let wait = match turn {
        Turn::Anybodys => return Ok(penalty.early(now, free)),
        Turn::Own => {
            let sql = "DELETE FROM login_turns WHERE place = ?";
            sqlx::query(sql).bind(who.place).execute(conn).await?;
            return Ok(None);
        }
        Turn::Shared => return Ok(Some(Early::Crowded)),
        Turn::At(begins) => {
            promise(conn, who, begins, now).await?;
            begins - now
        }
        Turn::Taken => TURN,
    };
    Ok(Some(Early::Wait(Duration::from_millis(wait.unsigned_abs()))))
}

async fn line(conn: &mut SqliteConnection, who: InLine, now: i64) -> sqlx::Result<Line> {
    let own = sqlx::query("SELECT begins, asked FROM login_turns WHERE place = ? AND name = ?")
        .bind(who.place)
        .bind(who.name)
        .fetch_optional(&mut *conn)
        .await?;
    let last = sqlx::query("SELECT MAX(begins) FROM login_turns WHERE name = ? AND begins <= ?")
        .bind(who.name)
        .bind(now + FURTHEST)
        .fetch_one(conn)
        .await?;
    Ok(Line {
        own: own.as_ref().map(|row| row.try_get(0)).transpose()?,
        asked: own.map_or(Ok(0), |row| row.try_get(1))?,
        last: last.try_get(0)?,
    })
}

/// In place of an older one, but not of one that somebody else still has who fell in the same bucket.
async fn promise(conn: &mut SqliteConnection, who: InLine, begins: i64, now: i64) -> sqlx::Result<()> {
    let sql = "INSERT INTO login_turns (place, name, begins, asked) VALUES ($1, $2, $3, 1) \
               ON CONFLICT (place) DO UPDATE SET name = $2, begins = $3, \
               asked = CASE WHEN login_turns.name = $2 AND begins = $3 THEN asked + 1 ELSE 1 END \
               WHERE login_turns.name = $2 OR login_turns.begins <= $4 OR login_turns.begins > $5";
    let promised = sqlx::query(sql)
        .bind(who.place)
        .bind(who.name)
        .bind(begins)
        .bind(now - TURN)
        .bind(now + FURTHEST);
    promised.execute(conn).await.map(drop)
}

/// `end` says what becomes of each bucket, which so many failures are free in.
pub(super) async fn end(
    conn: &mut SqliteConnection,
    flight: Flight,
    end: impl Fn(Penalty, i64) -> Penalty + Send,
) -> sqlx::Result<()> {
    for (bucket, free) in flight.attempt.buckets(flight.known) {
        let penalty = penalty(conn, bucket).await?.without_flight();
        set_penalty(conn, bucket, end(penalty, free)).await?;
    }
    Ok(())
}

pub(super) async fn succeed(conn: &mut SqliteConnection, flight: Flight, now: i64) -> sqlx::Result<()> {
    end(conn, flight, |penalty, _| penalty).await?;
    let attempt = flight.attempt;
    let Some(account) = attempt.account else {
        return Ok(());
    };
    let sql = "INSERT INTO known_addresses (account, address, seen) VALUES (?, ?, ?) \
               ON CONFLICT (account, address) DO UPDATE SET seen = excluded.seen";
    sqlx::query(sql)
        .bind(account)
        .bind(attempt.whence())
        .bind(now)
        .execute(&mut *conn)
        .await?;
    let sql = "DELETE FROM known_addresses WHERE account = ? AND address NOT IN \
               (SELECT address FROM known_addresses WHERE account = ? ORDER BY seen DESC, address LIMIT ?)";
    let forgotten = sqlx::query(sql).bind(account).bind(account).bind(MAX_KNOWN);
    forgotten.execute(conn).await.map(drop)
}
