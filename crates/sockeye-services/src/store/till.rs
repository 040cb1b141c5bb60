//! The shop's books: goods, what customers have and owe, and the ledger.
//!
//! Whatever moves is written down twice, as [`Report`] can tell: what a customer pays the shop gets, and what leaves the
//! shop is on some bill.

use super::Answer;
use sockeye_proto::money::{Money, Sum};
use sockeye_proto::shop::{Deal, Good, GoodName};

/// The most that a balance may come to, either way, and the most of a price: sums of a million of them are far from the
/// end of 64 bits.
pub const MOST_MONEY: Money = Money::from_cents(1_000_000_000_000);
/// The most pieces of a good that there may be.
pub const MOST_STOCK: u32 = 1_000_000_000;
/// The most goods of a shop: all of them are named in the line that greets each customer.
pub const MOST_GOODS: usize = 1000;
/// The most different goods of one purchase; each costs the writer some statements.
pub const MOST_LINES: usize = 100;

/// Who buys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customer {
    /// The number of the account, once an answer has told it: it saves looking the name up.
    pub account: Option<i64>,
    /// The user's name; a visitor has none, and an account from the first deal to the end of the visit.
    pub user: Option<String>,
    /// Whether the balance may be less than nothing.
    pub may_owe: bool,
}

/// What somebody wants to buy.
#[derive(Clone, Debug)]
pub struct Order {
    /// Who pays.
    pub customer: Customer,
    /// Names of goods, each once, and how many of each; at most [`MOST_LINES`].
    pub lines: Vec<(String, u32)>,
    /// With a key, the same order is bought once, however often it is sent.
    pub key: Option<String>,
    /// Now, in milliseconds since 1970.
    pub at: i64,
}

/// What was entered into the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The number of the deal.
    pub number: i64,
    /// The customer's account.
    pub account: i64,
    /// What it added to the balance.
    pub amount: Money,
    /// The balance after it.
    pub balance: Money,
    /// It was entered before, and found by its key.
    pub repeated: bool,
}

/// The answer to whoever wants something entered; nothing was, unless it is [`Done`](Entered::Done).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entered {
    /// It is entered, now or (by its key) before.
    Done(Receipt),
    /// There is no such good, or none of it left.
    Missing(String),
    /// There are fewer pieces than wanted.
    Fewer {
        /// Of this good.
        good: String,
        /// So many are left.
        left: u32,
    },
    /// The customer may not owe.
    Short {
        /// What it would have cost.
        total: Money,
        /// What there is.
        balance: Money,
    },
    /// Beyond [`MOST_MONEY`].
    TooMuch,
    /// The key came with another request before.
    KeyTaken,
    /// The customer made no such purchase.
    NoSuchDeal,
    /// It was refunded before.
    RefundedBefore,
}

/// A good for sale, as its keeper knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its name.
    pub name: GoodName,
    /// What one costs.
    pub price: Money,
    /// How many there are in the beginning.
    pub stock: u32,
}

/// What a keeper does to the goods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// A new good.
    Add(Offer),
    /// Another price.
    Price(String, Money),
    /// More pieces, or fewer: what was lost.
    Restock(String, i64),
}

/// The answer to a keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is done, and this is the good now.
    Done(Good),
    /// A good of this name is there already.
    There,
    /// No good has this name.
    Unknown,
    /// There would be less than nothing of it, or over [`MOST_STOCK`]; this many there are.
    BadStock(u32),
    /// The price is less than nothing or over [`MOST_MONEY`].
    BadPrice,
    /// There are [`MOST_GOODS`] already.
    Full,
}

/// The state of the books. Each of the last four is nothing (0) in books that are right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Each good and how many of it were sold, those given back apart.
    pub goods: Vec<(Good, i64)>,
    /// Purchases, refunds and top-ups.
    pub deals: i64,
    /// What was sold for, refunds apart.
    pub takings: Sum,
    /// What customers have put in.
    pub paid_in: Sum,
    /// What customers owe together.
    pub owed: Sum,
    /// Deals whose entries don't add up to nothing, or aren't two.
    pub unbalanced: i64,
    /// Customers whose balance isn't the sum of their entries.
    pub wrong_balances: i64,
    /// Goods whose stock isn't what was delivered less what was sold.
    pub wrong_stocks: i64,
    /// Purchases and refunds whose amount isn't the sum of their lines.
    pub wrong_sums: i64,
}

impl Report {
    /// Whether everything agrees.
    pub fn is_right(&self) -> bool {
        [
            self.unbalanced,
            self.wrong_balances,
            self.wrong_stocks,
            self.wrong_sums,
        ] == [0; 4]
    }
}

/// The goods, what customers have and owe, and the ledger.
pub trait Till {
    /// Every good, in the order in which they came.
    fn goods(&self) -> Answer<'_, Vec<Good>>;

    /// All that an order names, or nothing of it.
    fn buy(&self, order: Order) -> Answer<'_, Entered>;

    /// Money from a customer; a key and the time are as in an [`Order`].
    fn top_up(&self, customer: Customer, amount: Money, key: Option<String>, at: i64) -> Answer<'_, Entered>;

    /// The goods of a purchase back for what they cost.
    fn refund(&self, customer: Customer, number: i64, at: i64) -> Answer<'_, Entered>;

    /// What a customer has or owes.
    fn balance(&self, customer: Customer) -> Answer<'_, Money>;

    /// A customer's last deals, at most so many, the latest first.
    fn history(&self, customer: Customer, most: u32) -> Answer<'_, Vec<Deal>>;

    /// Goods of a list: those that are new come in with their stock, the others get the list's price. With `first`,
    /// only if there are no goods at all.
    fn offer(&self, goods: Vec<Offer>, first: bool, at: i64) -> Answer<'_, ()>;

    /// What a keeper does, while the shop is open or not.
    fn keep(&self, what: Keeping, at: i64) -> Answer<'_, Kept>;

    /// Looks through all of the books.
    fn report(&self) -> Answer<'_, Report>;
}
