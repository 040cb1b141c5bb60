//! What a customer says.

use crate::money::Money;
use std::fmt;

/// The most pieces of one good that are asked for at once: more than a shop has, and far from where sums end.
pub const MAX_COUNT: u32 = 1_000_000;

/// The most characters of a [`Key`]: an UUID has 36.
pub const MAX_KEY: usize = 64;

/// The language that a customer speaks, and is answered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// 中文, also of whoever says nothing but the name of a good.
    Chinese,
    /// English.
    English,
}

/// What a client marks a request with that it may have to send again: `buy 2 西瓜 #6f1c`. Letters, digits, `-`, `_`,
/// `.`, 1 to 64 of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    /// The key, if it is one.
    pub fn new(text: &str) -> Option<Key> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        (!text.is_empty() && text.len() <= MAX_KEY && text.chars().all(fits)).then(|| Key(text.to_owned()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a message asks for.
///
/// ```
/// use sockeye_proto::shop::{Command, Language};
///
/// assert_eq!(Command::read("瓜子"), (Command::Name("瓜子".into()), Language::Chinese));
/// let three = Command::Buy { count: 3, good: "瓜子".into(), key: None };
/// assert_eq!(Command::read("buy 3 瓜子"), (three.clone(), Language::English));
/// assert_eq!(Command::read("买3个瓜子"), (three, Language::Chinese));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// No command: the name of a good that one of is wanted, or nonsense.
    Name(String),
    /// What there is.
    List,
    /// So many of a good.
    Buy {
        /// From 1 to [`MAX_COUNT`].
        count: u32,
        /// Its name.
        good: String,
        /// What the client marks the request with.
        key: Option<Key>,
    },
    /// So many of a good into the basket.
    Add {
        /// From 1 to [`MAX_COUNT`].
        count: u32,
        /// Its name.
        good: String,
    },
    /// All of a good out of the basket.
    Remove(String),
    /// What is in the basket.
    Basket,
    /// All that is in the basket.
    Checkout(Option<Key>),
    /// What the customer has or owes.
    Balance,
    /// Money from the customer.
    TopUp {
        /// More than nothing.
        amount: Money,
        /// What the client marks the request with.
        key: Option<Key>,
    },
    /// The customer's last deals.
    History,
    /// The goods of a purchase back for their price.
    Refund(i64),
    /// What can be said.
    Help,
    /// The end.
    Bye,
    /// A command with something wrong about it.
    Wrong(Wrong),
}

/// What is wrong with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It names no good.
    NoGood,
    /// The number of pieces is 0, or over [`MAX_COUNT`].
    Count,
    /// What should be an amount of money is none, or not more than nothing.
    Amount,
    /// What should be the number of a purchase is none.
    Number,
    /// What follows `#` is no [`Key`].
    Key,
}

#[derive(Clone, Copy)]
enum Verb {
    List,
    Buy,
    Add,
    Remove,
    Basket,
    Checkout,
    Balance,
    TopUp,
    History,
    Refund,
    Help,
    Bye,
}

impl Verb {
    fn wants_more(self) -> bool {
        matches!(
            self,
            Verb::Buy | Verb::Add | Verb::Remove | Verb::TopUp | Verb::Refund
        )
    }
}

/// Every verb: its English words, its Chinese ones.
const VERBS: [(Verb, &[&str], &[&str]); 12] = [
    (
        Verb::List,
        &["list", "goods", "prices"],
        &["商品", "列表", "价目"],
    ),
    (Verb::Buy, &["buy"], &["买", "购买"]),
    (Verb::Add, &["add"], &["加入"]),
    (Verb::Remove, &["remove"], &["取出"]),
    (Verb::Basket, &["basket", "cart"], &["购物篮", "购物车"]),
    (Verb::Checkout, &["checkout"], &["结账", "结算"]),
    (Verb::Balance, &["balance"], &["余额"]),
    (Verb::TopUp, &["top up", "top-up", "topup"], &["充值"]),
    (Verb::History, &["history"], &["历史", "记录"]),
    (Verb::Refund, &["refund"], &["退货", "退款"]),
    (Verb::Help, &["help", "?"], &["帮助", "\u{ff1f}"]),
    (Verb::Bye, &["bye", "quit", "exit"], &["拜拜", "再见"]),
];

impl Command {
    /// Reads a message. It never fails: what is no command is a [`Name`](Command::Name).
    pub fn read(message: &str) -> (Command, Language) {
        let message = message.trim();
        let (said, key) = match message.rsplit_once('#') {
            Some((said, key)) => (said.trim_end(), Some(Key::new(key))),
            None => (message, None),
        };
        let (verb, rest, language) = match verb(said) {
            Some(found) => found,
            // A name with a key can only be meant as a purchase.
            None if matches!(key, Some(Some(_))) => (Verb::Buy, said, Language::Chinese),
            None => return (Command::Name(message.to_owned()), Language::Chinese),
        };
        let command = match key {
            Some(None) => Err(Wrong::Key),
            Some(key) => command(verb, rest, key),
            None => command(verb, rest, None),
        };
        (command.unwrap_or_else(Command::Wrong), language)
    }
}

/// The verb that a message begins with, and what follows it.
fn verb(said: &str) -> Option<(Verb, &str, Language)> {
    for (verb, english, chinese) in VERBS {
        let fits = |rest: &str| verb.wants_more() || rest.is_empty();
        for word in english {
            let Some((head, rest)) = said.split_at_checked(word.len()) else {
                continue;
            };
            let ends = rest.is_empty() || rest.starts_with(char::is_whitespace);
            if ends && head.eq_ignore_ascii_case(word) && fits(rest) {
                return Some((verb, rest.trim_start(), Language::English));
            }
        }
        for word in chinese {
            if let Some(rest) = said.strip_prefix(word).filter(|rest| fits(rest)) {
                return Some((verb, rest.trim_start(), Language::Chinese));
            }
        }
    }
    None
}

fn command(verb: Verb, rest: &str, key: Option<Key>) -> Result<Command, Wrong> {
    Ok(match verb {
        Verb::List => Command::List,
        Verb::Buy => {
            let (count, good) = pieces(rest)?;
            Command::Buy { count, good, key }
        }
        Verb::Add => {
            let (count, good) = pieces(rest)?;
            Command::Add { count, good }
        }
        Verb::Remove if rest.is_empty() => return Err(Wrong::NoGood),
        Verb::Remove => Command::Remove(rest.to_owned()),
        Verb::Basket => Command::Basket,
        Verb::Checkout => Command::Checkout(key),
        Verb::Balance => Command::Balance,
        Verb::TopUp => {
            let amount = rest.parse().ok().filter(|amount| *amount > Money::ZERO);
            let amount = amount.ok_or(Wrong::Amount)?;
            Command::TopUp { amount, key }
        }
        Verb::History => Command::History,
        Verb::Refund => Command::Refund(rest.parse().map_err(|_| Wrong::Number)?),
        Verb::Help => Command::Help,
        Verb::Bye => Command::Bye,
    })
}

/// The measure word for anything: `三个西瓜`. Others begin names of goods (`包子`).
const PIECES: char = '个';

/// A number that may be left out, and a name.
fn pieces(rest: &str) -> Result<(u32, String), Wrong> {
    let (count, name) = counted(rest);
    let name = name.trim_start();
    match count {
        _ if name.is_empty() => Err(Wrong::NoGood),
        Some(count) if (1..=MAX_COUNT).contains(&count) => Ok((count, name.to_owned())),
        Some(_) => Err(Wrong::Count),
        None => Ok((1, name.to_owned())),
    }
}

/// What a text begins with: digits, or one Chinese numeral and the measure word.
fn counted(text: &str) -> (Option<u32>, &str) {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if digits > 0 {
        let (number, name) = text.split_at(digits);
        let count = number.parse().unwrap_or(u32::MAX); // no number of pieces, either
        let name = name.trim_start();
        return (Some(count), name.strip_prefix(PIECES).unwrap_or(name));
    }
    let mut chars = text.chars();
    let numeral = chars.next().and_then(numeral);
    match (numeral, chars.as_str().strip_prefix(PIECES)) {
        (Some(count), Some(name)) => (Some(count), name),
        _ => (None, text),
    }
}

fn numeral(c: char) -> Option<u32> {
    let at = "一二三四五六七八九十".chars().position(|numeral| numeral == c);
    match c {
        '两' => Some(2),
        _ => Some(at? as u32 + 1),
    }
}
