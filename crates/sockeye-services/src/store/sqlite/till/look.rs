//! What the books say.

use super::{CASH, SALES, good};
use crate::store::till::Report;
use sockeye_proto::money::{Money, Sum};
use sockeye_proto::shop::{Deal, Kind, Line};
use sqlx::{Connection, Row, SqliteConnection};

pub(super) async fn history(conn: &mut SqliteConnection, account: i64, most: u32) -> sqlx::Result<Vec<Deal>> {
    let look = "SELECT d.id, d.kind, d.amount, d.refunds, r.id \
                FROM shop_deals d LEFT JOIN shop_deals r ON r.refunds = d.id \
                WHERE d.account = $1 ORDER BY d.id DESC LIMIT $2";
    let rows = sqlx::query(look)
        .bind(account)
        .bind(most)
        .fetch_all(&mut *conn)
        .await?;
    let mut deals = Vec::with_capacity(rows.len());
    for row in rows {
        let number = row.try_get(0)?;
        let kind = match row.try_get(1)? {
            "purchase" => Kind::Purchase {
                lines: lines(conn, number).await?,
                refunded: row.try_get::<Option<i64>, _>(4)?.is_some(),
            },
            "refund" => Kind::Refund(row.try_get(3)?),
            _ => Kind::TopUp,
        };
        let amount = Money::from_cents(row.try_get(2)?);
        deals.push(Deal { number, kind, amount });
    }
    Ok(deals)
}

async fn lines(conn: &mut SqliteConnection, deal: i64) -> sqlx::Result<Vec<Line>> {
    let look = "SELECT g.name, l.count, l.count * l.price FROM shop_lines l JOIN shop_goods g ON g.id = l.good \
                WHERE l.deal = $1 ORDER BY g.id";
    let rows = sqlx::query(look).bind(deal).fetch_all(conn).await?;
    let line = |row: &sqlx::sqlite::SqliteRow| {
        Ok(Line {
            good: row.try_get(0)?,
            count: row.try_get(1)?,
            sum: Money::from_cents(row.try_get(2)?),
        })
    };
    rows.iter().map(line).collect()
}

/// One statement for all the figures, so that they are of one moment.
///
/// SQLite's `SUM` fails beyond 64 bits, which the entries of all customers can reach together. So amounts are added up in two parts,
/// their upper and their lower 32 bits. Where a sum is compared with a number of 64 bits both are put together by `*` and `+`, which
/// don't fail: what is too great becomes a number that is equal to none of those.
const FIGURES: &str = "\
SELECT (SELECT COUNT(*) FROM shop_deals), \
 s.high, s.low, c.high, c.low, o.high, o.low, \
 (SELECT COUNT(*) FROM shop_deals d WHERE \
  (SELECT COUNT(*) FROM shop_entries e WHERE e.deal = d.id) <> 2 OR \
  (SELECT SUM(amount) FROM shop_entries e WHERE e.deal = d.id) <> 0 OR \
  d.amount <> COALESCE((SELECT amount FROM shop_entries e WHERE e.deal = d.id AND e.account = d.account), d.amount + 1)), \
 (SELECT COUNT(*) FROM shop_accounts a \
  LEFT JOIN (SELECT account, SUM(amount >> 32) * 4294967296 + SUM(amount & 4294967295) AS sum \
   FROM shop_entries WHERE account > $2 GROUP BY account) e ON e.account = a.id \
  WHERE a.id > $2 AND a.balance <> COALESCE(e.sum, 0)), \
 (SELECT COUNT(*) FROM shop_goods g WHERE g.stock <> \
  (SELECT COALESCE(SUM(count), 0) FROM shop_deliveries v WHERE v.good = g.id) - \
  (SELECT COALESCE(SUM(count), 0) FROM shop_lines l WHERE l.good = g.id)), \
 (SELECT COUNT(*) FROM shop_deals d WHERE d.kind <> 'top-up' AND -d.amount <> \
  COALESCE((SELECT SUM(count * price) FROM shop_lines l WHERE l.deal = d.id), d.amount + 1)) \
FROM (SELECT COALESCE(SUM(amount >> 32), 0) AS high, COALESCE(SUM(amount & 4294967295), 0) AS low \
  FROM shop_entries WHERE account = $1) s, \
 (SELECT COALESCE(SUM(amount >> 32), 0) AS high, COALESCE(SUM(amount & 4294967295), 0) AS low \
  FROM shop_entries WHERE account = $2) c, \
 (SELECT COALESCE(SUM(balance >> 32), 0) AS high, COALESCE(SUM(balance & 4294967295), 0) AS low \
  FROM shop_accounts WHERE balance < 0) o";

pub(super) async fn report(conn: &mut SqliteConnection) -> sqlx::Result<Report> {
    let mut moment = conn.begin().await?;
    let goods = "SELECT name, price, stock, \
                 (SELECT COALESCE(SUM(count), 0) FROM shop_lines l WHERE l.good = g.id) FROM shop_goods g ORDER BY id";
    let goods = sqlx::query(goods).fetch_all(&mut *moment).await?;
    let figures = sqlx::query(FIGURES)
        .bind(SALES)
        .bind(CASH)
        .fetch_one(&mut *moment)
        .await?;
    moment.commit().await?;
    let goods: sqlx::Result<_> = goods
        .iter()
        .map(|row| Ok((good(row)?, row.try_get(3)?)))
        .collect();
    let cents = |high: usize, low: usize| -> sqlx::Result<i128> {
        let (high, low): (i64, i64) = (figures.try_get(high)?, figures.try_get(low)?);
        Ok((i128::from(high) << 32) + i128::from(low))
    };
    Ok(Report {
        goods: goods?,
        deals: figures.try_get(0)?,
        takings: Sum::from_cents(cents(1, 2)?),
        paid_in: Sum::from_cents(-cents(3, 4)?),
        owed: Sum::from_cents(-cents(5, 6)?),
        unbalanced: figures.try_get(7)?,
        wrong_balances: figures.try_get(8)?,
        wrong_stocks: figures.try_get(9)?,
        wrong_sums: figures.try_get(10)?,
    })
}
