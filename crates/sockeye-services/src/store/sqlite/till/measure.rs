//! What the database can do when nobody stands between it and its work.

use super::super::{on_this_thread, options};
use super::enter;
use crate::store::Failure;
use crate::store::till::{Customer, Entered, Order};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::path::Path;
use std::time::{Duration, Instant};

/// Purchases one after the other on one connection, so many in each transaction, until the time is over: how many
/// became durable in a second.
pub(crate) fn bare(
    path: &Path,
    good: &str,
    customers: usize,
    batch: usize,
    time: Duration,
) -> Result<f64, Failure> {
    let told = |error: sqlx::Error| Failure::new(error.to_string());
    on_this_thread(async {
        let mut conn = options(path).connect().await.map_err(told)?;
        let mut orders: Vec<Order> = (0..customers).map(|_| order(good)).collect();
        let (start, mut done) = (Instant::now(), 0);
        while start.elapsed() < time {
            for from in (0..customers).step_by(batch.max(1)) {
                let until = customers.min(from + batch.max(1));
                transaction(&mut conn, &mut orders[from..until])
                    .await
                    .map_err(told)?;
                done += until - from;
            }
        }
        let took = start.elapsed();
        conn.close().await.map_err(told)?;
        Ok(done as f64 / took.as_secs_f64())
    })?
}

fn order(good: &str) -> Order {
    Order {
        customer: Customer {
            may_owe: true,
            ..Customer::default()
        },
        lines: vec![(good.to_owned(), 1)],
        key: None,
        at: 0,
    }
}

async fn transaction(conn: &mut SqliteConnection, orders: &mut [Order]) -> sqlx::Result<()> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *conn).await?;
    for order in orders {
        match enter::purchase(conn, order).await? {
            Entered::Done(receipt) => order.customer.account = Some(receipt.account),
            refused => return Err(sqlx::Error::Protocol(format!("no purchase: {refused:?}"))),
        }
    }
    sqlx::query("COMMIT").execute(conn).await.map(drop)
}
