//! Goods, and what a keeper does to them.

use super::good;
use crate::store::till::{Keeping, Kept, MOST_GOODS, MOST_MONEY, MOST_STOCK, Offer};
use sockeye_proto::money::Money;
use sockeye_proto::shop::Good;
use sqlx::{Row, SqliteConnection};

pub(super) async fn all(conn: &mut SqliteConnection) -> sqlx::Result<Vec<Good>> {
    let rows = sqlx::query("SELECT name, price, stock FROM shop_goods ORDER BY id")
        .fetch_all(conn)
        .await?;
    rows.iter().map(good).collect()
}

pub(super) async fn offer(
    conn: &mut SqliteConnection,
    goods: &[Offer],
    first: bool,
    at: i64,
) -> sqlx::Result<()> {
    let there = all(conn).await?;
    if first && !there.is_empty() {
        return Ok(());
    }
    for offer in goods {
        match there.iter().find(|good| good.name == offer.name.as_str()) {
            None => add(conn, offer, at).await?,
            Some(good) if good.price != offer.price => price(conn, &good.name, offer.price).await?,
            Some(_) => {}
        }
    }
    Ok(())
}

pub(super) async fn keep(conn: &mut SqliteConnection, what: &Keeping, at: i64) -> sqlx::Result<Kept> {
    let name = match what {
        Keeping::Add(offer) => offer.name.as_str(),
        Keeping::Price(name, _) | Keeping::Restock(name, _) => name,
    };
    let look =
        sqlx::query("SELECT name, price, stock, id FROM shop_goods WHERE name = $1").bind(name.to_owned());
    let found = look.fetch_optional(&mut *conn).await?;
    let id: Option<i64> = found.as_ref().map(|row| row.try_get(3)).transpose()?;
    let found = found.as_ref().map(good).transpose()?.zip(id);
    let fits = |price: &Money| (Money::ZERO..=MOST_MONEY).contains(price);
    match (what, found) {
        (Keeping::Add(_), Some(_)) => Ok(Kept::There),
        (Keeping::Add(offer), None) if !fits(&offer.price) => Ok(Kept::BadPrice),
        (Keeping::Add(offer), None) if offer.stock > MOST_STOCK => Ok(Kept::BadStock(0)),
        (Keeping::Add(_), None) if all(conn).await?.len() >= MOST_GOODS => Ok(Kept::Full),
        (Keeping::Add(offer), None) => {
            add(conn, offer, at).await?;
            Ok(Kept::Done(Good {
                name: name.to_owned(),
                price: offer.price,
                stock: Some(offer.stock),
            }))
        }
        (_, None) => Ok(Kept::Unknown),
        (Keeping::Price(_, new), Some(_)) if !fits(new) => Ok(Kept::BadPrice),
        (Keeping::Price(_, new), Some((good, _))) => {
            price(conn, name, *new).await?;
            Ok(Kept::Done(Good { price: *new, ..good }))
        }
        (Keeping::Restock(_, count), Some((good, id))) => {
            let there = good.stock.unwrap_or_default();
            let stock = i64::from(there)
                .checked_add(*count)
                .and_then(|stock| u32::try_from(stock).ok());
            let Some(stock) = stock.filter(|stock| *stock <= MOST_STOCK) else {
                return Ok(Kept::BadStock(there));
            };
            deliver(conn, id, *count, at).await?;
            Ok(Kept::Done(Good {
                stock: Some(stock),
                ..good
            }))
        }
    }
}

async fn add(conn: &mut SqliteConnection, offer: &Offer, at: i64) -> sqlx::Result<()> {
    let new = sqlx::query("INSERT INTO shop_goods (name, price, stock) VALUES ($1, $2, 0)");
    let new = new.bind(offer.name.to_string()).bind(offer.price.cents());
    let id = new.execute(&mut *conn).await?.last_insert_rowid();
    deliver(conn, id, offer.stock.into(), at).await
}

async fn deliver(conn: &mut SqliteConnection, good: i64, count: i64, at: i64) -> sqlx::Result<()> {
    let deliver = "UPDATE shop_goods SET stock = stock + $2 WHERE id = $1; \
                   INSERT INTO shop_deliveries (good, count, at) VALUES ($1, $2, $3)";
    let deliver = sqlx::query(deliver).bind(good).bind(count).bind(at);
    deliver.execute(conn).await.map(drop)
}

async fn price(conn: &mut SqliteConnection, name: &str, price: Money) -> sqlx::Result<()> {
    let change = sqlx::query("UPDATE shop_goods SET price = $2 WHERE name = $1");
    let change = change.bind(name.to_owned()).bind(price.cents());
    change.execute(conn).await.map(drop)
}
