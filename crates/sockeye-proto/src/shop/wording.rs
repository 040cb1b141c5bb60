//! What the shop says.

use super::{Goods, Language, MAX_COUNT, MAX_KEY, Wrong};
use crate::money::Money;

/// So many of a good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its name.
    pub good: String,
    /// How many.
    pub count: u32,
    /// What all of them cost.
    pub sum: Money,
}

/// What a deal was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goods for money, and whether they were given back.
    Purchase {
        /// The goods.
        lines: Vec<Line>,
        /// They were given back since.
        refunded: bool,
    },
    /// Goods given back, those of this purchase.
    Refund(i64),
    /// Money from the customer.
    TopUp,
}

/// A deal of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deal {
    /// Its number.
    pub number: i64,
    /// What it was.
    pub kind: Kind,
    /// What it added to the balance.
    pub amount: Money,
}

/// The answer to a command, not yet in words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words are in `words`, right below")]
pub enum Said {
    Goods(Goods),
    /// To a name alone.
    BoughtOne {
        balance: Money,
    },
    Bought {
        number: i64,
        total: Money,
        balance: Money,
    },
    /// There is no such good, or none of it.
    Missing,
    /// There are fewer than were asked for.
    Fewer {
        good: String,
        left: u32,
    },
    /// The customer can't pay.
    Short {
        total: Money,
        balance: Money,
    },
    Basket {
        lines: Vec<Line>,
        total: Money,
    },
    BasketFull {
        limit: usize,
    },
    /// A checkout with nothing in the basket.
    BasketEmpty,
    Balance(Money),
    ToppedUp {
        balance: Money,
    },
    /// The customer can't put money in here.
    NoTopUp,
    History(Vec<Deal>),
    Refunded {
        amount: Money,
        balance: Money,
    },
    /// The customer made no purchase of this number.
    NoSuchDeal(i64),
    RefundedBefore(i64),
    /// Its key came with another request before.
    KeyTaken,
    /// A sum beyond what the books can hold.
    TooMuch,
    /// The login counts no longer.
    Ended,
    Help,
    Bye,
    Wrong(Wrong),
    /// The books can't be written or read.
    Unavailable,
    /// Nobody knows whether it was written into the books.
    Uncertain,
}

/// Whether an answer is a refusal: those begin with 抱歉 or Sorry, and no other does.
pub fn is_refusal(answer: &str) -> bool {
    answer.starts_with("抱歉") || answer.starts_with("Sorry")
}

const HELP_CHINESE: &str = "\
直接说商品名即买一件;也可以说:商品、买 [数量] 商品名、加入 [数量] 商品名、取出 商品名、购物篮、结账、余额、充值 金额、历史、退货 单号、拜拜。";
const HELP_ENGLISH: &str = "\
Say the name of a good to buy one, or: list; buy [N] GOOD; add [N] GOOD; remove GOOD; basket; checkout; balance; \
top up AMOUNT; history; refund NUMBER; bye. `#KEY` behind buy, checkout or top up makes it safe to repeat.";

impl Said {
    /// In words: one line.
    pub fn words(&self, language: Language) -> String {
        match language {
            Language::Chinese => self.chinese(),
            Language::English => self.english(),
        }
    }

    fn chinese(&self) -> String {
        match self {
            Said::Goods(goods) => goods.list(Language::Chinese),
            Said::BoughtOne { balance } => format!("购买成功,余额 {balance}"),
            Said::Bought {
                number,
                total,
                balance,
            } => format!("购买成功,单号 {number},共 {total},余额 {balance}"),
            Said::Missing => "抱歉,您购买的商品目前没有,请选购其他的。".to_owned(),
            Said::Fewer { good, left } => format!("抱歉,{good}只剩 {left} 个。"),
            Said::Short { total, balance } => format!("抱歉,余额不足:需要 {total},余额 {balance}。"),
            Said::Basket { lines, .. } if lines.is_empty() => "购物篮是空的。".to_owned(),
            Said::Basket { lines, total } => format!("购物篮:{},共 {total}", listed(lines, ",")),
            Said::BasketFull { limit } => format!("抱歉,购物篮最多放 {limit} 种商品。"),
            Said::BasketEmpty => "抱歉,购物篮是空的。".to_owned(),
            Said::Balance(balance) => format!("余额 {balance}"),
            Said::ToppedUp { balance } => format!("充值成功,余额 {balance}"),
            Said::NoTopUp => "抱歉,这里不能充值,请联系店主。".to_owned(),
            Said::History(deals) if deals.is_empty() => "还没有记录。".to_owned(),
            Said::History(deals) => joined(deals, ";", deal_chinese),
            Said::Refunded { amount, balance } => format!("退货成功,退款 {amount},余额 {balance}"),
            Said::NoSuchDeal(number) => format!("抱歉,您没有单号为 {number} 的购买。"),
            Said::RefundedBefore(number) => format!("抱歉,单号 {number} 已经退过货。"),
            Said::KeyTaken => "抱歉,这个 #键 已用于另一个请求。".to_owned(),
            Said::TooMuch => "抱歉,金额太大。".to_owned(),
            Said::Ended => "抱歉,您的账户已停用或密码已更改,请重新登录。".to_owned(),
            Said::Help => HELP_CHINESE.to_owned(),
            Said::Bye => "欢迎下次光临".to_owned(),
            Said::Wrong(wrong) => wrong_chinese(*wrong),
            Said::Unavailable => "抱歉,小店暂时无法记账,没有成交,请稍后再试。".to_owned(),
            Said::Uncertain => "抱歉,小店记账出错,不知是否成交,请先查看历史。".to_owned(),
        }
    }

    fn english(&self) -> String {
        match self {
            Said::Goods(goods) => goods.list(Language::English),
            Said::BoughtOne { balance } => format!("Bought; balance {balance}."),
            Said::Bought {
                number,
                total,
                balance,
            } => format!("Bought as number {number} for {total}; balance {balance}."),
            Said::Missing => "Sorry, we have none of that; please choose something else.".to_owned(),
            Said::Fewer { good, left } => format!("Sorry, only {left} of {good} left."),
            Said::Short { total, balance } => {
                format!("Sorry, that is {total}, and your balance is {balance}.")
            }
            Said::Basket { lines, .. } if lines.is_empty() => "Your basket is empty.".to_owned(),
            Said::Basket { lines, total } => format!("Your basket: {}; {total} in all.", listed(lines, ", ")),
            Said::BasketFull { limit } => format!("Sorry, a basket holds {limit} different goods."),
            Said::BasketEmpty => "Sorry, your basket is empty.".to_owned(),
            Said::Balance(balance) => format!("Balance {balance}."),
            Said::ToppedUp { balance } => format!("Topped up; balance {balance}."),
            Said::NoTopUp => "Sorry, money is not taken here; ask the keeper of the shop.".to_owned(),
            Said::History(deals) if deals.is_empty() => "Nothing yet.".to_owned(),
            Said::History(deals) => joined(deals, "; ", deal_english) + ".",
            Said::Refunded { amount, balance } => format!("Refunded {amount}; balance {balance}."),
            Said::NoSuchDeal(number) => format!("Sorry, you made no purchase of number {number}."),
            Said::RefundedBefore(number) => format!("Sorry, number {number} was refunded before."),
            Said::KeyTaken => "Sorry, this #KEY came with another request before.".to_owned(),
            Said::TooMuch => "Sorry, that is too much money for our books.".to_owned(),
            Said::Ended => {
                "Sorry, your account was disabled, or its password changed; log in again.".to_owned()
            }
            Said::Help => HELP_ENGLISH.to_owned(),
            Said::Bye => "Come again!".to_owned(),
            Said::Wrong(wrong) => wrong_english(*wrong),
            Said::Unavailable => {
                "Sorry, the books can't be written at the moment, so nothing was done; try again later."
                    .to_owned()
            }
            Said::Uncertain => {
                "Sorry, the books failed and it may or may not be done; look at your history first."
                    .to_owned()
            }
        }
    }
}

fn joined<T>(parts: &[T], parting: &str, words: impl Fn(&T) -> String) -> String {
    parts.iter().map(words).collect::<Vec<_>>().join(parting)
}

fn listed(lines: &[Line], parting: &str) -> String {
    joined(lines, parting, |line| {
        format!("{}×{}({})", line.count, line.good, line.sum)
    })
}

fn deal_chinese(deal: &Deal) -> String {
    let Deal { number, amount, .. } = deal;
    match &deal.kind {
        Kind::Purchase { lines, refunded } => {
            let after = if *refunded { "(已退货)" } else { "" };
            format!("{number}号 {} {amount}{after}", listed(lines, ","))
        }
        Kind::Refund(of) => format!("{number}号 退货{of}号 {amount}"),
        Kind::TopUp => format!("{number}号 充值 {amount}"),
    }
}

fn deal_english(deal: &Deal) -> String {
    let Deal { number, amount, .. } = deal;
    match &deal.kind {
        Kind::Purchase { lines, refunded } => {
            let after = if *refunded { " (refunded)" } else { "" };
            format!("number {number}: {} {amount}{after}", listed(lines, ", "))
        }
        Kind::Refund(of) => format!("number {number}: refund of {of} {amount}"),
        Kind::TopUp => format!("number {number}: top-up {amount}"),
    }
}

fn wrong_chinese(wrong: Wrong) -> String {
    match wrong {
        Wrong::NoGood => "抱歉,请说商品名,例如:买 2 西瓜".to_owned(),
        Wrong::Count => format!("抱歉,数量应为 1 到 {MAX_COUNT}。"),
        Wrong::Amount => "抱歉,请说金额,例如:充值 10.5".to_owned(),
        Wrong::Number => "抱歉,请说单号,例如:退货 12".to_owned(),
        Wrong::Key => format!("抱歉,# 之后应为 1 到 {MAX_KEY} 个字母、数字或 - _ ."),
    }
}

fn wrong_english(wrong: Wrong) -> String {
    match wrong {
        Wrong::NoGood => "Sorry, say which good, as in: buy 2 西瓜".to_owned(),
        Wrong::Count => format!("Sorry, a number of pieces is from 1 to {MAX_COUNT}."),
        Wrong::Amount => "Sorry, say how much, as in: top up 10.5".to_owned(),
        Wrong::Number => "Sorry, say which purchase, as in: refund 12".to_owned(),
        Wrong::Key => format!("Sorry, after # come 1 to {MAX_KEY} letters, digits, - _ or ."),
    }
}
