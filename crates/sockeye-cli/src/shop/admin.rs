//! What the keeper of a shop does, beside a server that runs or without one.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::json;
use sockeye::block_on;
use sockeye_proto::shop::{Good, Goods};
use sockeye_services::data::Data;
use sockeye_services::shop::now;
use sockeye_services::store::Store;
use sockeye_services::store::till::{
    Customer, Entered, Keeping, Kept, MOST_GOODS, MOST_MONEY, MOST_STOCK, Offer, Report,
};

use super::What;
use super::table::{columns, of_goods};
use crate::exit::Usage;
use crate::terminal::print;

pub(super) fn run(folder: Option<PathBuf>, what: What) -> Result<ExitCode> {
    let is_named = folder.is_some();
    let data = Data::at(folder.map_or_else(Data::usual, Ok)?);
    match what {
        What::Add { .. } => data.visit()?,
        _ if is_named => data.revisit()?,
        _ => data.visit()?,
    }
    let store = data.store()?;
    let keeping = match what {
        What::Add { name, price, stock } => Keeping::Add(Offer { name, price, stock }),
        What::Price { name, price } => Keeping::Price(name, price),
        What::Restock { name, count } => Keeping::Restock(name, count),
        What::TopUp { user, amount } => return top_up(&*store, user, amount),
        What::Report { json } => return report(&*store, json),
    };
    let kept = block_on(store.keep(keeping.clone(), now()))??;
    let good = done(kept, &keeping)?;
    say(&of_goods(&Goods(vec![good])));
    Ok(ExitCode::SUCCESS)
}

fn done(kept: Kept, keeping: &Keeping) -> Result<Good> {
    let name = match keeping {
        Keeping::Add(offer) => offer.name.as_str(),
        Keeping::Price(name, _) | Keeping::Restock(name, _) => name,
    };
    match kept {
        Kept::Done(good) => Ok(good),
        Kept::There => bail!("add {name}: it is on sale already; change it with `price` and `restock`"),
        Kept::Unknown => bail!("there is no good `{}`; `report` lists them", name.escape_debug()),
        Kept::BadStock(there) => bail!("restock {name}: {there} are there, and 0 to {MOST_STOCK} may be"),
        Kept::BadPrice => Err(Usage::new(format!("{name}: a price is from 0 to {MOST_MONEY}")).into()),
        Kept::Full => {
            bail!("add {name}: the shop has {MOST_GOODS} goods already, as many as it can name in a line")
        }
    }
}

fn top_up(store: &dyn Store, user: String, amount: sockeye_proto::money::Money) -> Result<ExitCode> {
    if amount.cents() <= 0 {
        return Err(Usage::new("top-up: write an amount of more than 0").into());
    }
    if block_on(store.account(&user))??.is_none() {
        bail!(
            "there is no user `{}`; `sockeye user list` lists them",
            user.escape_debug()
        );
    }
    let customer = Customer {
        user: Some(user.clone()),
        ..Customer::default()
    };
    match block_on(store.top_up(customer, amount, None, now()))?? {
        Entered::Done(receipt) => say(&format!("{user} has {}", receipt.balance)),
        _ => bail!("top-up {user}: a balance is at most {MOST_MONEY}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn report(store: &dyn Store, as_json: bool) -> Result<ExitCode> {
    let report = block_on(store.report())??;
    say(&match as_json {
        true => in_json(&report),
        false => in_words(&report),
    });
    Ok(match report.is_right() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn in_words(report: &Report) -> String {
    let head = ["", "price", "left", "sold"].map(str::to_owned);
    let rows = report.goods.iter().map(|(good, sold)| {
        let stock = good.stock.unwrap_or_default();
        [
            good.name.clone(),
            good.price.to_string(),
            stock.to_string(),
            sold.to_string(),
        ]
    });
    let table = columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    let wrong: Vec<String> = findings(report)
        .into_iter()
        .filter(|(_, count)| *count != 0)
        .map(|(what, count)| format!("{what}: {count}"))
        .collect();
    let books = match wrong.as_slice() {
        [] => "the books agree".to_owned(),
        wrong => format!("THE BOOKS DO NOT AGREE: {}", wrong.join(", ")),
    };
    format!(
        "{table}\n\n{}; taken {}, paid in {}, owed by customers {}\n{books}",
        deals(report.deals),
        report.takings,
        report.paid_in,
        report.owed
    )
}

fn findings(report: &Report) -> [(&'static str, i64); 4] {
    [
        ("unbalanced deals", report.unbalanced),
        ("wrong balances", report.wrong_balances),
        ("wrong stocks", report.wrong_stocks),
        ("wrong sums", report.wrong_sums),
    ]
}

fn deals(number: i64) -> String {
    match number {
        1 => "1 deal".to_owned(),
        number => format!("{number} deals"),
    }
}

/// A number, or a text of digits where it has more than 64 bits.
fn cents(sum: sockeye_proto::money::Sum) -> serde_json::Value {
    match i64::try_from(sum.cents()) {
        Ok(cents) => cents.into(),
        Err(_) => sum.cents().to_string().into(),
    }
}

/// Amounts are in cents, as in the books.
fn in_json(report: &Report) -> String {
    let goods: Vec<_> = report
        .goods
        .iter()
        .map(|(good, sold)| {
            json!({ "name": good.name, "price": good.price.cents(), "stock": good.stock, "sold": sold })
        })
        .collect();
    let wrong: serde_json::Map<_, _> = findings(report)
        .into_iter()
        .map(|(what, count)| (what.to_owned(), count.into()))
        .collect();
    json!({
        "goods": goods,
        "deals": report.deals,
        "takings": cents(report.takings),
        "paid_in": cents(report.paid_in),
        "owed": cents(report.owed),
        "right": report.is_right(),
        "findings": wrong,
    })
    .to_string()
}

fn say(text: &str) {
    print(&format!("{text}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_deal_is_no_deals() {
        assert_eq!(deals(0), "0 deals");
        assert_eq!(deals(1), "1 deal");
        let report = Report {
            deals: 1,
            unbalanced: 1,
            ..Report::default()
        };
        let said = in_words(&report);
        assert!(said.contains("\n1 deal; taken 0,"), "{said}");
        assert!(
            said.ends_with("THE BOOKS DO NOT AGREE: unbalanced deals: 1"),
            "{said}"
        );
    }
}
