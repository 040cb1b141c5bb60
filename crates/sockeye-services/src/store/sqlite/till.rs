//! The shop's books in SQL.
//!
//! | file | what it does |
//! |---|---|
//! | [`enter`] | writes deals: purchases, refunds, top-ups |
//! | [`goods`] | what a keeper does |
//! | [`look`] | balances, histories, and the report |
//! | [`measure`] | what the database alone can do, to compare with |
//!
//! Rows are touched in one order everywhere: the customer's account, then goods by their number.

mod enter;
mod goods;
mod look;
mod measure;

use super::Sqlite;
use crate::store::till::{Customer, Entered, Keeping, Kept, Offer, Order, Report, Till};
use crate::store::{Answer, Failure};
use sockeye_proto::money::Money;
use sockeye_proto::shop::{Deal, Good};
use sqlx::{Row, SqliteConnection};
use std::time::Duration;

/// The account of what was sold.
const SALES: i64 = 1;
/// The account of money brought in.
const CASH: i64 = 2;

impl Sqlite {
    /// For measurements: purchases of a good in this store without the store, on one connection, `batch` of them in
    /// each transaction. How many became durable in a second.
    ///
    /// # Errors
    /// When the database fails.
    #[doc(hidden)]
    pub fn bare_purchases(
        &self,
        good: &str,
        customers: usize,
        batch: usize,
        time: Duration,
    ) -> Result<f64, Failure> {
        measure::bare(&self.path, good, customers, batch, time)
    }
}

impl Till for Sqlite {
    fn goods(&self) -> Answer<'_, Vec<Good>> {
        self.read(|conn| Box::pin(goods::all(conn)))
    }

    fn buy(&self, order: Order) -> Answer<'_, Entered> {
        self.write(move |conn| {
            let order = order.clone();
            Box::pin(async move { enter::purchase(conn, &order).await })
        })
    }

    fn top_up(&self, customer: Customer, amount: Money, key: Option<String>, at: i64) -> Answer<'_, Entered> {
        self.write(move |conn| {
            let (customer, key) = (customer.clone(), key.clone());
            Box::pin(async move { enter::top_up(conn, &customer, amount, key.as_deref(), at).await })
        })
    }

    fn refund(&self, customer: Customer, number: i64, at: i64) -> Answer<'_, Entered> {
        self.write(move |conn| {
            let customer = customer.clone();
            Box::pin(async move { enter::refund(conn, &customer, number, at).await })
        })
    }

    fn balance(&self, customer: Customer) -> Answer<'_, Money> {
        self.read(move |conn| {
            let customer = customer.clone();
            Box::pin(async move {
                Ok(account(conn, &customer)
                    .await?
                    .map_or(Money::ZERO, |(_, balance)| balance))
            })
        })
    }

    fn history(&self, customer: Customer, most: u32) -> Answer<'_, Vec<Deal>> {
        self.read(move |conn| {
            let customer = customer.clone();
            Box::pin(async move {
                match account(conn, &customer).await? {
                    Some((id, _)) => look::history(conn, id, most).await,
                    None => Ok(Vec::new()),
                }
            })
        })
    }

    fn offer(&self, goods: Vec<Offer>, first: bool, at: i64) -> Answer<'_, ()> {
        self.write(move |conn| {
            let offers = goods.clone();
            Box::pin(async move { goods::offer(conn, &offers, first, at).await })
        })
    }

    fn keep(&self, what: Keeping, at: i64) -> Answer<'_, Kept> {
        self.write(move |conn| {
            let what = what.clone();
            Box::pin(async move { goods::keep(conn, &what, at).await })
        })
    }

    fn report(&self) -> Answer<'_, Report> {
        self.read(|conn| Box::pin(look::report(conn)))
    }
}

/// A customer's account and balance, if there is one yet.
async fn account(conn: &mut SqliteConnection, customer: &Customer) -> sqlx::Result<Option<(i64, Money)>> {
    let query = match (customer.account, &customer.user) {
        (Some(id), _) => sqlx::query("SELECT id, balance FROM shop_accounts WHERE id = $1").bind(id),
        (None, Some(name)) => {
            sqlx::query("SELECT id, balance FROM shop_accounts WHERE name = $1").bind(name.clone())
        }
        (None, None) => return Ok(None),
    };
    let row = query.fetch_optional(conn).await?;
    row.map(|row| Ok((row.try_get(0)?, Money::from_cents(row.try_get(1)?))))
        .transpose()
}

/// The good of a row of name, price, stock.
fn good(row: &sqlx::sqlite::SqliteRow) -> sqlx::Result<Good> {
    Ok(Good {
        name: row.try_get(0)?,
        price: Money::from_cents(row.try_get(1)?),
        stock: Some(row.try_get(2)?),
    })
}
