//! What the books say.

use super::{CASH, SALES, good};
use crate::store::till::Report;
use sockeye_proto::money::Money;
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
const FIGURES: &str = "\
SELECT (SELECT COUNT(*) FROM shop_deals), \
 (SELECT COALESCE(SUM(amount), 0) FROM shop_entries WHERE account = $1), \
 (SELECT COALESCE(-SUM(amount), 0) FROM shop_entries WHERE account = $2), \
 (SELECT COALESCE(-SUM(balance), 0) FROM shop_accounts WHERE balance < 0), \
 (SELECT COUNT(*) FROM shop_deals d WHERE \
  (SELECT COUNT(*) FROM shop_entries e WHERE e.deal = d.id) <> 2 OR \
  (SELECT SUM(amount) FROM shop_entries e WHERE e.deal = d.id) <> 0 OR \
  d.amount <> COALESCE((SELECT amount FROM shop_entries e WHERE e.deal = d.id AND e.account = d.account), d.amount + 1)), \
 (SELECT COUNT(*) FROM shop_accounts a \
  LEFT JOIN (SELECT account, SUM(amount) AS sum FROM shop_entries GROUP BY account) e ON e.account = a.id \
  WHERE a.id > $2 AND a.balance <> COALESCE(e.sum, 0)), \
 (SELECT COUNT(*) FROM shop_goods g WHERE g.stock <> \
  (SELECT COALESCE(SUM(count), 0) FROM shop_deliveries v WHERE v.good = g.id) - \
  (SELECT COALESCE(SUM(count), 0) FROM shop_lines l WHERE l.good = g.id)), \
 (SELECT COUNT(*) FROM shop_deals d WHERE d.kind <> 'top-up' AND -d.amount <> \
  COALESCE((SELECT SUM(count * price) FROM shop_lines l WHERE l.deal = d.id), d.amount + 1))";

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
    let money = |at: usize| figures.try_get(at).map(Money::from_cents);
    Ok(Report {
        goods: goods?,
        deals: figures.try_get(0)?,
        takings: money(1)?,
        paid_in: money(2)?,
        owed: money(3)?,
        unbalanced: figures.try_get(4)?,
        wrong_balances: figures.try_get(5)?,
        wrong_stocks: figures.try_get(6)?,
        wrong_sums: figures.try_get(7)?,
    })
}
