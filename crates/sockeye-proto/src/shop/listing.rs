//! The goods in one line, and back.

use super::Language;
use crate::money::Money;

/// A good as a customer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Good {
    /// Its name.
    pub name: String,
    /// What one costs.
    pub price: Money,
    /// How many there are; the greeting doesn't say.
    pub stock: Option<u32>,
}

const GREETING: (&str, &str) = ("目前商店还有:", "。请问您需要什么?");
const SOLD_OUT: &str = "目前商店的商品已售完。请问您需要什么?";
const CHINESE: (&str, &str) = ("商品:", "。");
const ENGLISH: (&str, &str) = ("Goods: ", ".");

/// Goods in the order in which the shop names them.
///
/// ```
/// use sockeye_proto::shop::{Good, Goods, Language};
///
/// let line = "目前商店还有:瓜子(4.5),西瓜(2),矿泉水(2.5)。请问您需要什么?";
/// let goods = Goods::read(line).expect("the greeting");
/// assert_eq!(goods.0[1].name, "西瓜");
/// assert_eq!(goods.greeting(), line);
///
/// let goods = Goods(vec![Good { stock: Some(3), ..goods.0[0].clone() }]);
/// assert_eq!(goods.list(Language::English), "Goods: 瓜子(4.5) 3 left.");
/// assert_eq!(Goods::read(&goods.list(Language::Chinese)), Some(goods));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Goods(pub Vec<Good>);

impl Goods {
    /// What the shop says on connect: those that are not known to be sold out.
    pub fn greeting(&self) -> String {
        let there = self.0.iter().filter(|good| good.stock != Some(0));
        let names: Vec<String> = there
            .map(|good| format!("{}({})", good.name, good.price))
            .collect();
        match names.is_empty() {
            true => SOLD_OUT.to_owned(),
            false => format!("{}{}{}", GREETING.0, names.join(","), GREETING.1),
        }
    }

    /// All of them with what is left of each.
    pub fn list(&self, language: Language) -> String {
        let (head, tail) = match language {
            Language::Chinese => CHINESE,
            Language::English => ENGLISH,
        };
        let names: Vec<String> = self.0.iter().map(|good| row(good, language)).collect();
        let parting = match language {
            Language::Chinese => ",",
            Language::English => ", ",
        };
        format!("{head}{}{tail}", names.join(parting))
    }

    /// The goods that a greeting or a list tells of; `None` when the line is neither.
    pub fn read(line: &str) -> Option<Goods> {
        if line == SOLD_OUT {
            return Some(Goods::default());
        }
        let within = [GREETING, CHINESE, ENGLISH]
            .into_iter()
            .find_map(|(head, tail)| line.strip_prefix(head)?.strip_suffix(tail))?;
        if within.is_empty() {
            return Some(Goods::default());
        }
        let goods: Option<Vec<Good>> = within
            .split(',')
            .map(|part| read_row(part.trim_start()))
            .collect();
        goods.map(Goods)
    }
}

fn row(good: &Good, language: Language) -> String {
    let left = match (good.stock, language) {
        (None, _) => String::new(),
        (Some(0), Language::Chinese) => "售完".to_owned(),
        (Some(0), Language::English) => " sold out".to_owned(),
        (Some(stock), Language::Chinese) => format!("余{stock}"),
        (Some(stock), Language::English) => format!(" {stock} left"),
    };
    format!("{}({}){left}", good.name, good.price)
}

fn read_row(part: &str) -> Option<Good> {
    let (name, rest) = part.split_once('(')?;
    let (price, left) = rest.split_once(')')?;
    let stock = match left.trim_start() {
        "" => None,
        "售完" | "sold out" => Some(0),
        left => {
            let number = left.strip_prefix('余').or_else(|| left.strip_suffix(" left"))?;
            Some(number.parse().ok()?)
        }
    };
    Some(Good {
        name: name.to_owned(),
        price: price.parse().ok()?,
        stock,
    })
}
