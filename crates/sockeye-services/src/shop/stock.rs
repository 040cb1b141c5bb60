//! The goods that a shop begins with.

#[cfg(any(test, fuzzing))]
pub(crate) mod property;

use crate::store::till::{MOST_GOODS, MOST_MONEY, MOST_STOCK, Offer};
use serde::Deserialize;
use sockeye::{Class, Error, Result};
use sockeye_proto::money::Money;
use sockeye_proto::shop::GoodName;
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;

/// The greatest file of goods that is read: a thousand goods with a comment on each.
const MAX_FILE: u64 = 1 << 20;

/// What is in the shop when nobody has put anything there, with prices in cents: enough for a class of learners, and
/// few enough to see them run out.
const USUAL: [(&str, i64); 3] = [("瓜子", 450), ("西瓜", 200), ("矿泉水", 250)];
const USUAL_STOCK: u32 = 1000;

pub(super) fn usual() -> Result<Vec<Offer>> {
    let offer = |(name, cents): (&str, i64)| {
        let name = name.parse::<GoodName>();
        Ok(Offer {
            name: name.map_err(|error| Error::new("stock the shop", Class::General, error))?,
            price: Money::from_cents(cents),
            stock: USUAL_STOCK,
        })
    };
    USUAL.into_iter().map(offer).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    good: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    price: Price,
    #[serde(default)]
    stock: u32,
}

/// A number is read as the text that it is written as: `4.1` is 410 cents and no binary fraction near it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Price {
    Whole(i64),
    Broken(f64),
    Text(String),
}

/// Reads a file of goods; an error says what is wrong with it.
pub(super) fn read(path: &str) -> Result<Vec<Offer>, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text);
    if read.map_err(|error| error.to_string())? as u64 > MAX_FILE {
        return Err("it has more than 1 MiB, which no list of goods has".to_owned());
    }
    parse(&text)
}

fn parse(text: &str) -> Result<Vec<Offer>, String> {
    let page: Page = toml::from_str(text).map_err(|error| place_of(text, &error))?;
    if page.good.is_empty() {
        return Err(
            "there is no good in it: write [[good]], name = \"…\", price = 4.5, stock = 10".to_owned(),
        );
    }
    if page.good.len() > MOST_GOODS {
        return Err(format!(
            "it has {} goods, and a shop has room for {MOST_GOODS}",
            page.good.len()
        ));
    }
    let goods: Vec<Offer> = page.good.into_iter().map(offer).collect::<Result<_, _>>()?;
    let mut seen = HashSet::new();
    match goods.iter().find(|good| !seen.insert(&good.name)) {
        Some(twice) => Err(format!("`{}` stands there twice", twice.name)),
        None => Ok(goods),
    }
}

/// What is wrong, and in which line, but no value that stands there: it may be another file than was meant, and a secret.
fn place_of(text: &str, error: &toml::de::Error) -> String {
    let message = error.message();
    let message = match message.rsplit_once(", expected ") {
        Some((_, expected)) if message.starts_with("invalid ") => format!("expected {expected}"),
        _ => message.to_owned(),
    };
    let line = error.span().and_then(|span| text.get(..span.start));
    match line {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    }
}

fn offer(row: Row) -> Result<Offer, String> {
    let name: GoodName = row.name.parse().map_err(|error| format!("{error}"))?;
    let price = match row.price {
        Price::Whole(number) => number.to_string(),
        Price::Broken(number) => number.to_string(),
        Price::Text(text) => text,
    };
    let price: Money = price.parse().map_err(|error| format!("{name}: {error}"))?;
    if !(Money::ZERO..=MOST_MONEY).contains(&price) {
        return Err(format!("{name}: a price is from 0 to {MOST_MONEY}, not {price}"));
    }
    if row.stock > MOST_STOCK {
        return Err(format!("{name}: a stock is at most {MOST_STOCK}"));
    }
    Ok(Offer {
        name,
        price,
        stock: row.stock,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Rows that are nearly right.
        #[test]
        fn no_file_of_goods_does_more_than_fail(
            rows in prop::collection::vec(("(\\[\\[good\\]\\]|\\[good\\]|)", "(name|price|stock|x)", "[\"0-9.e+-]{0,9}|\"[瓜糖a-z0-9 ]{0,9}\"|nan|inf|[0-9]{15,25}"), 0..9),
        ) {
            let rows: String = rows.iter().map(|(head, name, value)| format!("{head}\n{name} = {value}\n")).collect();
            property::holds(rows.as_bytes());
        }

        #[test]
        fn a_file_of_goods_that_was_damaged_is_read_or_refused(at in 0..60_usize, length in 0..9_usize, with in "[\\]\"=#0-9\n糖]{0,3}") {
            let good = "[[good]]\nname = \"sugar\"\nprice = 4.1\nstock = 7\n";
            let at = at % good.len();
            let text = format!("{}{with}{}", &good[..at], &good[(at + length).min(good.len())..]);
            property::holds(text.as_bytes());
        }
    }

    #[test]
    fn a_file_of_goods_is_read_to_the_cent() {
        let text = "[[good]]\nname = \"瓜子\"\nprice = 4.1\nstock = 7\n\
                    [[good]]\nname = \"green tea\"\nprice = 3\n[[good]]\nname = \"糖\"\nprice = \"0.05\"";
        let goods = parse(text).expect("goods");
        let told: Vec<_> = goods
            .iter()
            .map(|good| (good.name.as_str(), good.price.cents(), good.stock))
            .collect();
        assert_eq!(told, [("瓜子", 410, 7), ("green tea", 300, 0), ("糖", 5, 0)]);
        assert_eq!(usual().expect("goods").len(), 3);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, words) in [
            ("", "there is no good in it"),
            ("[[goods]]", "unknown field"),
            (
                "[[good]]\nname = \"7up\"\nprice = 1",
                "`7up` is no name for a good",
            ),
            ("[[good]]\nname = \"糖\"\nprice = 0.001", "no amount"),
            ("[[good]]\nname = \"糖\"\nprice = -1", "a price is from 0"),
            ("[[good]]\nname = \"糖\"\nprice = 1e300", "糖"),
            ("[[good]]\nname = \"糖\"\nprice = 1\nstock = -1", "line 4: "),
            (
                "[[good]]\nname = \"糖\"\nprice = 1\nstock = 4000000000",
                "at most",
            ),
            (
                "[[good]]\nname = \"糖\"\nprice = 1\n[[good]]\nname = \"糖\"\nprice = 1",
                "twice",
            ),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(words), "{error}");
        }
    }
}
