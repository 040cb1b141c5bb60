//! Accounts, in SQL.

mod attempts;

use super::Sqlite;
use crate::auth::penalty::{Attempt, Early, Flight};
use crate::store::Answer;
use crate::store::accounts::{Account, Accounts, Added, InvitationHash, MAX_INVITATIONS};
use sockeye_proto::scram::{KEY, Verifier};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, SqliteConnection};

impl Accounts for Sqlite {
    fn account(&self, name: &str) -> Answer<'_, Option<Account>> {
        let name = name.to_owned();
        self.read(move |conn| {
            let name = name.clone();
            Box::pin(async move {
                let sql = "SELECT * FROM accounts WHERE name = ?";
                let row = sqlx::query(sql).bind(name).fetch_optional(conn).await?;
                row.as_ref().map(account).transpose()
            })
        })
    }

    fn accounts(&self) -> Answer<'_, Vec<Account>> {
        self.read(|conn| {
            Box::pin(async move {
                let sql = "SELECT * FROM accounts ORDER BY name";
                let rows = sqlx::query(sql).fetch_all(conn).await?;
                rows.iter().map(account).collect()
            })
        })
    }

    fn add_account(
        &self,
        name: &str,
        verifier: Verifier,
        invitation: Option<InvitationHash>,
        now: i64,
    ) -> Answer<'_, Added> {
        let name = name.to_owned();
        self.write(move |conn| {
            let (name, verifier) = (name.clone(), verifier.clone());
            Box::pin(add(conn, name, verifier, invitation, now))
        })
    }

    fn set_verifier(&self, name: &str, verifier: Verifier) -> Answer<'_, bool> {
        let name = name.to_owned();
        self.write(move |conn| {
            let (name, verifier) = (name.clone(), verifier.clone());
            Box::pin(async move {
                let sql = "UPDATE accounts SET salt = ?, iterations = ?, stored_key = ?, server_key = ? WHERE name = ?";
                let done = with_verifier(sql, &verifier).bind(name).execute(conn).await?;
                Ok(done.rows_affected() > 0)
            })
        })
    }

    fn change_verifier(&self, name: &str, proved: Option<[u8; KEY]>, verifier: Verifier) -> Answer<'_, bool> {
        let name = name.to_owned();
        self.write(move |conn| {
            let (name, verifier) = (name.clone(), verifier.clone());
            Box::pin(async move {
                let sql = "UPDATE accounts SET salt = ?, iterations = ?, stored_key = ?, server_key = ? \
                           WHERE name = ? AND disabled = 0 AND stored_key = COALESCE(?, stored_key)";
                let changed = with_verifier(sql, &verifier)
                    .bind(name)
                    .bind(proved.map(|key| key.to_vec()));
                Ok(changed.execute(conn).await?.rows_affected() > 0)
            })
        })
    }

    fn account_changes(&self) -> Answer<'_, i64> {
        self.read(|conn| {
            Box::pin(async move {
                let sql = "SELECT number FROM account_changes";
                sqlx::query(sql).fetch_one(conn).await?.try_get(0)
            })
        })
    }

    fn set_disabled(&self, name: &str, disabled: bool) -> Answer<'_, bool> {
        let name = name.to_owned();
        self.write(move |conn| {
            let name = name.clone();
            Box::pin(async move {
                let sql = "UPDATE accounts SET disabled = ? WHERE name = ?";
                let done = sqlx::query(sql).bind(i64::from(disabled)).bind(name);
                Ok(done.execute(conn).await?.rows_affected() > 0)
            })
        })
    }

    fn add_invitation(&self, code: InvitationHash, now: i64) -> Answer<'_, bool> {
        self.write(move |conn| {
            Box::pin(async move {
                let count = sqlx::query("SELECT COUNT(*) FROM invitations")
                    .fetch_one(&mut *conn)
                    .await?;
                if count.try_get::<i64, _>(0)? >= MAX_INVITATIONS {
                    return Ok(false);
                }
                let sql = "INSERT INTO invitations (code, created) VALUES (?, ?)";
                sqlx::query(sql)
                    .bind(code.to_vec())
                    .bind(now)
                    .execute(conn)
                    .await?;
                Ok(true)
            })
        })
    }

    fn secret(&self, name: &'static str, fresh: [u8; 32]) -> Answer<'_, [u8; 32]> {
        self.write(move |conn| {
            Box::pin(async move {
                let sql = "INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING";
                sqlx::query(sql)
                    .bind(name)
                    .bind(fresh.to_vec())
                    .execute(&mut *conn)
                    .await?;
                let sql = "SELECT value FROM secrets WHERE name = ?";
                bytes(&sqlx::query(sql).bind(name).fetch_one(conn).await?, "value")
            })
        })
    }

    fn attempt(&self, attempt: Attempt, now: i64) -> Answer<'_, Result<Flight, Early>> {
        self.write(move |conn| Box::pin(attempts::begin(conn, attempt, now)))
    }

    fn attempt_succeeded(&self, flight: Flight, now: i64) -> Answer<'_, ()> {
        self.write(move |conn| Box::pin(attempts::succeed(conn, flight, now)))
    }

    fn attempt_failed(&self, flight: Flight, now: i64) -> Answer<'_, ()> {
        self.write(move |conn| {
            Box::pin(attempts::end(conn, flight, move |penalty, free| {
                penalty.after_failure(now, free)
            }))
        })
    }
}

/// A statement whose first values are those of a verifier.
fn with_verifier(sql: &'static str, verifier: &Verifier) -> Query<'static, sqlx::Sqlite, SqliteArguments> {
    sqlx::query(sql)
        .bind(verifier.salt.clone())
        .bind(i64::from(verifier.iterations))
        .bind(verifier.stored_key.to_vec())
        .bind(verifier.server_key.to_vec())
}

fn bytes<const N: usize>(row: &SqliteRow, column: &str) -> sqlx::Result<[u8; N]> {
    let value: Vec<u8> = row.try_get(column)?;
    let wrong = |value: Vec<u8>| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("it has {} bytes and not {N}", value.len()).into(),
    };
    value.try_into().map_err(wrong)
}

fn account(row: &SqliteRow) -> sqlx::Result<Account> {
    Ok(Account {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        verifier: Verifier {
            salt: row.try_get("salt")?,
            iterations: row.try_get("iterations")?,
            stored_key: bytes(row, "stored_key")?,
            server_key: bytes(row, "server_key")?,
        },
        disabled: row.try_get::<i64, _>("disabled")? != 0,
        created: row.try_get("created")?,
    })
}

async fn add(
    conn: &mut SqliteConnection,
    name: String,
    verifier: Verifier,
    invitation: Option<InvitationHash>,
    now: i64,
) -> sqlx::Result<Added> {
    let folded = name.to_lowercase();
    let sql = "SELECT id FROM accounts WHERE folded = ?";
    let taken = sqlx::query(sql)
        .bind(folded.clone())
        .fetch_optional(&mut *conn)
        .await?
        .is_some();
    // Only who is invited learns whether there is such an account.
    if let Some(code) = invitation.map(|code| code.to_vec()) {
        let sql = "SELECT code FROM invitations WHERE code = ?";
        if sqlx::query(sql)
            .bind(code.clone())
            .fetch_optional(&mut *conn)
            .await?
            .is_none()
        {
            return Ok(Added::Uninvited);
        }
        if !taken {
            let sql = "DELETE FROM invitations WHERE code = ?";
            sqlx::query(sql).bind(code).execute(&mut *conn).await?;
        }
    }
    if taken {
        return Ok(Added::Taken);
    }
    let sql = "INSERT INTO accounts (name, folded, salt, iterations, stored_key, server_key, created) \
               VALUES (?, ?, ?, ?, ?, ?, ?)";
    sqlx::query(sql)
        .bind(name)
        .bind(folded)
        .bind(verifier.salt.clone())
        .bind(i64::from(verifier.iterations))
        .bind(verifier.stored_key.to_vec())
        .bind(verifier.server_key.to_vec())
        .bind(now)
        .execute(conn)
        .await?;
    Ok(Added::Done)
}
