//! Deals entered into the books: each is one transaction, perhaps with others.
//!
//! Every call is a trip to the database's own thread, which takes longer than most statements: so statements that
//! need no answer travel together.

use super::{CASH, SALES, account};
use crate::store::till::{Customer, Entered, MOST_MONEY, Order, Receipt};
use sockeye_proto::money::Money;
use sqlx::{Row, SqliteConnection};

/// A line of an order with what the shop knows of it.
struct Piece {
    good: i64,
    count: u32,
    price: i64,
}

/// What is about to be entered.
struct Entry<'a> {
    kind: &'static str,
    customer: &'a Customer,
    /// The customer's account and balance, if there is one yet.
    account: Option<(i64, Money)>,
    /// The account at the other end.
    other: i64,
    /// What it adds to the balance.
    amount: Money,
    refunds: Option<i64>,
    key: Option<&'a str>,
    at: i64,
}

pub(super) async fn purchase(conn: &mut SqliteConnection, order: &Order) -> sqlx::Result<Entered> {
    let wanted = match repeated(conn, &order.customer, order.key.as_deref()).await? {
        Some((number, "purchase", receipt)) => {
            let same = same_lines(conn, number, order).await?;
            return Ok(if same {
                Entered::Done(receipt)
            } else {
                Entered::KeyTaken
            });
        }
        Some(_) => return Ok(Entered::KeyTaken),
        None => Wanted::of(conn, order).await?,
    };
    let (account, pieces, total) = match wanted {
        Wanted::Refused(why) => return Ok(why),
        Wanted::There {
            account,
            pieces,
            total,
        } => (account, pieces, total),
    };
    let entry = Entry {
        kind: "purchase",
        customer: &order.customer,
        account,
        other: SALES,
        amount: Money::from_cents(-total.cents()),
        refunds: None,
        key: order.key.as_deref(),
        at: order.at,
    };
    let receipt = match enter(conn, entry).await? {
        Entered::Done(receipt) => receipt,
        refused => return Ok(refused),
    };
    for piece in pieces {
        let take = "UPDATE shop_goods SET stock = stock - $2 WHERE id = $1; \
                    INSERT INTO shop_lines (deal, good, count, price) VALUES ($3, $1, $2, $4)";
        let take = sqlx::query(take).bind(piece.good).bind(piece.count);
        take.bind(receipt.number)
            .bind(piece.price)
            .execute(&mut *conn)
            .await?;
    }
    Ok(Entered::Done(receipt))
}

/// An order looked up.
enum Wanted {
    There {
        account: Option<(i64, Money)>,
        /// By their number.
        pieces: Vec<Piece>,
        total: Money,
    },
    Refused(Entered),
}

impl Wanted {
    async fn of(conn: &mut SqliteConnection, order: &Order) -> sqlx::Result<Self> {
        let customer = &order.customer;
        // Who has bought before is looked up together with the goods.
        let mut account = match customer.account {
            Some(_) => None,
            None => account(conn, customer).await?,
        };
        let (mut pieces, mut total) = (Vec::with_capacity(order.lines.len()), Some(Money::ZERO));
        for (name, count) in &order.lines {
            let look = "SELECT g.id, g.price, g.stock, a.id, a.balance \
                        FROM shop_goods g LEFT JOIN shop_accounts a ON a.id = $2 WHERE g.name = $1";
            let look = sqlx::query(look).bind(name.clone()).bind(customer.account);
            let found = look.fetch_optional(&mut *conn).await?;
            let stock = match &found {
                Some(row) => row.try_get(2)?,
                None => 0,
            };
            let Some(row) = found.filter(|_| stock >= *count) else {
                let good = name.clone();
                return Ok(Wanted::Refused(match stock {
                    0 => Entered::Missing(good),
                    left => Entered::Fewer { good, left },
                }));
            };
            let (good, price): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            if let (Some(id), Some(balance)) = (row.try_get(3)?, row.try_get(4)?) {
                account = Some((id, Money::from_cents(balance)));
            }
            let sum = Money::from_cents(price).times(*count);
            total = total.zip(sum).and_then(|(total, sum)| total.plus(sum));
            pieces.push(Piece {
                good,
                count: *count,
                price,
            });
        }
        pieces.sort_by_key(|piece| piece.good);
        Ok(match total {
            Some(total) => Wanted::There {
                account,
                pieces,
                total,
            },
            None => Wanted::Refused(Entered::TooMuch),
        })
    }
}

pub(super) async fn top_up(
    conn: &mut SqliteConnection,
    customer: &Customer,
    amount: Money,
    key: Option<&str>,
    at: i64,
) -> sqlx::Result<Entered> {
    match repeated(conn, customer, key).await? {
        Some((_, "top-up", receipt)) if receipt.amount == amount => return Ok(Entered::Done(receipt)),
        Some(_) => return Ok(Entered::KeyTaken),
        None => {}
    }
    let entry = Entry {
        kind: "top-up",
        customer,
        account: account(conn, customer).await?,
        other: CASH,
        amount,
        refunds: None,
        key,
        at,
    };
    enter(conn, entry).await
}

pub(super) async fn refund(
    conn: &mut SqliteConnection,
    customer: &Customer,
    number: i64,
    at: i64,
) -> sqlx::Result<Entered> {
    let Some((id, balance)) = account(conn, customer).await? else {
        return Ok(Entered::NoSuchDeal);
    };
    let look = "SELECT d.amount, r.id FROM shop_deals d LEFT JOIN shop_deals r ON r.refunds = d.id \
                WHERE d.id = $1 AND d.account = $2 AND d.kind = 'purchase'";
    let found = sqlx::query(look)
        .bind(number)
        .bind(id)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(row) = found else {
        return Ok(Entered::NoSuchDeal);
    };
    if row.try_get::<Option<i64>, _>(1)?.is_some() {
        return Ok(Entered::RefundedBefore);
    }
    let paid: i64 = row.try_get(0)?;
    let entry = Entry {
        kind: "refund",
        customer,
        account: Some((id, balance)),
        other: SALES,
        amount: Money::from_cents(-paid),
        refunds: Some(number),
        key: None,
        at,
    };
    let receipt = match enter(conn, entry).await? {
        Entered::Done(receipt) => receipt,
        refused => return Ok(refused),
    };
    let back = "INSERT INTO shop_lines (deal, good, count, price) \
                SELECT $2, good, -count, price FROM shop_lines WHERE deal = $1 ORDER BY good; \
                UPDATE shop_goods SET stock = stock + \
                (SELECT l.count FROM shop_lines l WHERE l.deal = $1 AND l.good = shop_goods.id) \
                WHERE id IN (SELECT good FROM shop_lines WHERE deal = $1)";
    sqlx::query(back)
        .bind(number)
        .bind(receipt.number)
        .execute(conn)
        .await?;
    Ok(Entered::Done(receipt))
}

/// Enters a deal that may be: the deal, its two entries, and the customer's new balance. What may not be is refused
/// before anything is written.
async fn enter(conn: &mut SqliteConnection, entry: Entry<'_>) -> sqlx::Result<Entered> {
    let before = entry.account.map_or(Money::ZERO, |(_, balance)| balance);
    let within = |balance: &Money| (-MOST_MONEY.cents()..=MOST_MONEY.cents()).contains(&balance.cents());
    let Some(balance) = before.plus(entry.amount).filter(within) else {
        return Ok(Entered::TooMuch);
    };
    if !entry.customer.may_owe && entry.amount < Money::ZERO && balance < Money::ZERO {
        let total = Money::from_cents(-entry.amount.cents());
        return Ok(Entered::Short {
            total,
            balance: before,
        });
    }
    let account = match entry.account {
        Some((id, _)) => id,
        None => {
            let new =
                sqlx::query("INSERT INTO shop_accounts (name) VALUES ($1)").bind(entry.customer.user.clone());
            new.execute(&mut *conn).await?.last_insert_rowid()
        }
    };
    let book = "UPDATE shop_accounts SET balance = $2 WHERE id = $1; \
                INSERT INTO shop_deals (account, kind, amount, balance, refunds, whose, key, at) \
                VALUES ($1, $4, $3, $2, $5, $6, $7, $8); \
                INSERT INTO shop_entries (deal, account, amount) \
                VALUES (last_insert_rowid(), $1, $3), (last_insert_rowid(), $9, -$3)";
    let whose = entry.key.map(|_| whose(entry.customer));
    let book = sqlx::query(book)
        .bind(account)
        .bind(balance.cents())
        .bind(entry.amount.cents())
        .bind(entry.kind)
        .bind(entry.refunds)
        .bind(whose)
        .bind(entry.key.map(str::to_owned))
        .bind(entry.at)
        .bind(entry.other);
    let number = book.execute(conn).await?.last_insert_rowid();
    Ok(Entered::Done(Receipt {
        number,
        account,
        amount: entry.amount,
        balance,
        repeated: false,
    }))
}

/// Whose keys a customer's are: a visitor comes back as another one, so visitors have theirs together.
fn whose(customer: &Customer) -> String {
    customer.user.clone().unwrap_or_default()
}

/// The deal that came with this key before.
async fn repeated(
    conn: &mut SqliteConnection,
    customer: &Customer,
    key: Option<&str>,
) -> sqlx::Result<Option<(i64, &'static str, Receipt)>> {
    let Some(key) = key else {
        return Ok(None);
    };
    let look = "SELECT id, kind, account, amount, balance FROM shop_deals WHERE whose = $1 AND key = $2";
    let found = sqlx::query(look).bind(whose(customer)).bind(key.to_owned());
    let Some(row) = found.fetch_optional(conn).await? else {
        return Ok(None);
    };
    let number = row.try_get(0)?;
    let kind = match row.try_get(1)? {
        "purchase" => "purchase",
        _ => "top-up", // a refund has no key
    };
    let receipt = Receipt {
        number,
        account: row.try_get(2)?,
        amount: Money::from_cents(row.try_get(3)?),
        balance: Money::from_cents(row.try_get(4)?),
        repeated: true,
    };
    Ok(Some((number, kind, receipt)))
}

async fn same_lines(conn: &mut SqliteConnection, deal: i64, order: &Order) -> sqlx::Result<bool> {
    let look = "SELECT g.name, l.count FROM shop_lines l JOIN shop_goods g ON g.id = l.good \
                WHERE l.deal = $1 ORDER BY g.name";
    let rows = sqlx::query(look).bind(deal).fetch_all(conn).await?;
    let bought: sqlx::Result<Vec<(String, u32)>> = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect();
    let mut wanted = order.lines.clone();
    wanted.sort();
    Ok(bought? == wanted)
}
