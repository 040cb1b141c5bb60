//! A customer in the shop.

use super::{Shop, now};
use crate::auth::Session;
use crate::store::till::{Customer, Entered, MOST_LINES, Order, Receipt};
use crate::store::{Failure, Store};
use sockeye::Result;
use sockeye_proto::money::Money;
use sockeye_proto::shop::{Command, Goods, Key, Language, Line, MAX_COUNT, Said};
use std::sync::Arc;

/// How many deals a history tells of: what fits a screen.
const HISTORY: u32 = 20;

/// One customer, from the greeting to the farewell.
pub(super) struct Visit<'a> {
    shop: &'a Shop,
    store: Arc<dyn Store>,
    customer: Customer,
    /// Names of goods that there are, each once, at most [`MOST_LINES`].
    basket: Vec<(String, u32)>,
    /// Of who is logged in.
    session: Option<Session>,
}

/// What the shop says.
pub(super) struct Answer {
    pub(super) text: String,
    /// Nothing comes after it.
    pub(super) close: bool,
}

impl<'a> Visit<'a> {
    pub(super) async fn begin(shop: &'a Shop, user: Option<&Arc<str>>) -> Result<Self> {
        let session = match user.cloned() {
            Some(user) if shop.by_password => Some(Session::by_password(&shop.watch, user).await?),
            user => user.map(|user| Session::of(&shop.watch, user, None)),
        };
        Ok(Visit {
            session,
            store: shop.data.store()?,
            customer: Customer {
                account: None,
                may_owe: shop.credit || user.is_none(),
                user: user.map(|user| user.to_string()),
            },
            basket: Vec::new(),
            shop,
        })
    }

    pub(super) async fn greeting(&mut self) -> String {
        match self.store.goods().await {
            Ok(goods) => Goods(goods).greeting(),
            Err(failure) => told(&failure).words(Language::Chinese),
        }
    }

    /// Does what a message asks for, and says so in its language.
    pub(super) async fn answer(&mut self, message: &str) -> Answer {
        let (command, language) = Command::read(message);
        let said = match self.ended().await {
            Ok(true) => Ok(Said::Ended),
            Ok(false) => self.follow(command).await,
            Err(failure) => Err(failure),
        };
        let said = said.unwrap_or_else(|failure| told(&failure));
        Answer {
            close: matches!(said, Said::Bye | Said::Ended),
            text: said.words(language),
        }
    }

    /// Whether the login counts no longer.
    async fn ended(&mut self) -> Result<bool, Failure> {
        match &mut self.session {
            Some(session) => Ok(session.over().await?.is_some()),
            None => Ok(false),
        }
    }

    async fn follow(&mut self, command: Command) -> Result<Said, Failure> {
        Ok(match command {
            Command::Name(good) => match self.buy(vec![(good, 1)], None).await? {
                Said::Bought { balance, .. } => Said::BoughtOne { balance },
                other => other,
            },
            Command::Buy { count, good, key } => self.buy(vec![(good, count)], key).await?,
            Command::List => Said::Goods(Goods(self.store.goods().await?)),
            Command::Add { count, good } => self.add(good, count).await?,
            Command::Remove(good) => {
                self.basket.retain(|(name, _)| *name != good);
                self.basket().await?
            }
            Command::Basket => self.basket().await?,
            Command::Checkout(_) if self.basket.is_empty() => Said::BasketEmpty,
            Command::Checkout(key) => {
                let said = self.buy(self.basket.clone(), key).await?;
                if matches!(said, Said::Bought { .. }) {
                    self.basket.clear();
                }
                said
            }
            Command::Balance => Said::Balance(self.store.balance(self.customer.clone()).await?),
            Command::TopUp { .. } if !self.shop.top_up => Said::NoTopUp,
            Command::TopUp { amount, key } => self.top_up(amount, key).await?,
            Command::History => Said::History(self.store.history(self.customer.clone(), HISTORY).await?),
            Command::Refund(number) => self.refund(number).await?,
            Command::Help => Said::Help,
            Command::Bye => Said::Bye,
            Command::Wrong(wrong) => Said::Wrong(wrong),
        })
    }

    async fn buy(&mut self, lines: Vec<(String, u32)>, key: Option<Key>) -> Result<Said, Failure> {
        let order = Order {
            customer: self.customer.clone(),
            lines,
            key: key.map(|key| key.to_string()),
            at: now(),
        };
        let entered = self.store.buy(order).await?;
        Ok(self.said(entered, |receipt| Said::Bought {
            number: receipt.number,
            total: paid(&receipt),
            balance: receipt.balance,
        }))
    }

    async fn top_up(&mut self, amount: Money, key: Option<Key>) -> Result<Said, Failure> {
        let (customer, key) = (self.customer.clone(), key.map(|key| key.to_string()));
        let entered = self.store.top_up(customer, amount, key, now()).await?;
        Ok(self.said(entered, |receipt| Said::ToppedUp {
            balance: receipt.balance,
        }))
    }

    async fn refund(&mut self, number: i64) -> Result<Said, Failure> {
        match self.store.refund(self.customer.clone(), number, now()).await? {
            Entered::NoSuchDeal => Ok(Said::NoSuchDeal(number)),
            Entered::RefundedBefore => Ok(Said::RefundedBefore(number)),
            entered => Ok(self.said(entered, |receipt| Said::Refunded {
                amount: receipt.amount,
                balance: receipt.balance,
            })),
        }
    }

    async fn add(&mut self, good: String, count: u32) -> Result<Said, Failure> {
        if !self.store.goods().await?.iter().any(|there| there.name == good) {
            return Ok(Said::Missing);
        }
        let full = self.basket.len() == MOST_LINES;
        match self.basket.iter_mut().find(|(name, _)| *name == good) {
            Some((_, there)) => *there = (*there + count).min(MAX_COUNT),
            None if full => return Ok(Said::BasketFull { limit: MOST_LINES }),
            None => self.basket.push((good, count)),
        }
        self.basket().await
    }

    async fn basket(&self) -> Result<Said, Failure> {
        let goods = self.store.goods().await?;
        let mut total = Some(Money::ZERO);
        let mut lines = Vec::with_capacity(self.basket.len());
        for (name, count) in &self.basket {
            let price = goods
                .iter()
                .find(|good| good.name == *name)
                .map(|good| good.price);
            let sum = price.unwrap_or_default().times(*count);
            total = total.zip(sum).and_then(|(total, sum)| total.plus(sum));
            lines.push(Line {
                good: name.clone(),
                count: *count,
                sum: sum.unwrap_or_default(),
            });
        }
        Ok(total.map_or(Said::TooMuch, |total| Said::Basket { lines, total }))
    }

    /// Remembers the account that an answer tells of, and what to say of it. What a key has found again may be another
    /// visit's.
    fn said(&mut self, entered: Entered, done: impl FnOnce(Receipt) -> Said) -> Said {
        match entered {
            Entered::Done(receipt) => {
                if !receipt.repeated || self.customer.user.is_some() {
                    self.customer.account = Some(receipt.account);
                }
                done(receipt)
            }
            Entered::Missing(_) => Said::Missing,
            Entered::Fewer { good, left } => Said::Fewer { good, left },
            Entered::Short { total, balance } => Said::Short { total, balance },
            Entered::TooMuch => Said::TooMuch,
            Entered::KeyTaken => Said::KeyTaken,
            Entered::NoSuchDeal => Said::NoSuchDeal(0),
            Entered::RefundedBefore => Said::RefundedBefore(0),
        }
    }
}

fn paid(receipt: &Receipt) -> Money {
    Money::from_cents(-receipt.amount.cents())
}

/// Tells the keeper what the customer need not know.
fn told(failure: &Failure) -> Said {
    tracing::error!(%failure, "the shop's books");
    match failure.is_uncertain() {
        true => Said::Uncertain,
        false => Said::Unavailable,
    }
}
