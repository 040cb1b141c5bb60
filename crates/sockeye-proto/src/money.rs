//! Money: whole cents, never a floating-point number.

use std::fmt;
use std::str::FromStr;

/// An amount of money in cents; a debt is negative.
///
/// It prints without trailing zeros, and reads what a person writes:
///
/// ```
/// use sockeye_proto::money::Money;
///
/// let price: Money = "4.50".parse()?;
/// assert_eq!(price, Money::from_cents(450));
/// assert_eq!(price.to_string(), "4.5");
/// assert_eq!(price.times(2).map(|sum| sum.to_string()).as_deref(), Some("9"));
/// assert_eq!(Money::from_cents(-205).to_string(), "-2.05");
/// assert_eq!(
///     "0.001".parse::<Money>().unwrap_err().to_string(),
///     "`0.001` is no amount: write it with two decimals at the most, such as 4.5"
/// );
/// # Ok::<(), sockeye_proto::money::NotMoney>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(i64);

impl Money {
    /// Nothing.
    pub const ZERO: Money = Money(0);

    /// So many cents.
    pub const fn from_cents(cents: i64) -> Money {
        Money(cents)
    }

    /// How many cents it is.
    pub const fn cents(self) -> i64 {
        self.0
    }

    /// The sum; `None` when no number of cents can tell it.
    pub const fn plus(self, other: Money) -> Option<Money> {
        match self.0.checked_add(other.0) {
            Some(cents) => Some(Money(cents)),
            None => None,
        }
    }

    /// The difference; `None` as for [`plus`](Self::plus).
    pub const fn minus(self, other: Money) -> Option<Money> {
        match self.0.checked_sub(other.0) {
            Some(cents) => Some(Money(cents)),
            None => None,
        }
    }

    /// So many times as much; `None` as for [`plus`](Self::plus).
    pub const fn times(self, count: u32) -> Option<Money> {
        match self.0.checked_mul(count as i64) {
            Some(cents) => Some(Money(cents)),
            None => None,
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_cents(f, self.0 < 0, self.0.unsigned_abs().into())
    }
}

/// What any number of amounts add up to.
///
/// ```
/// use sockeye_proto::money::{Money, Sum};
///
/// let sum = Sum::from_cents(3 * i128::from(i64::MAX));
/// assert_eq!(sum.to_string(), "276701161105643274.21");
/// assert_eq!(Sum::from_cents(-205), Money::from_cents(-205));
/// assert_eq!(Sum::from_cents(-200).to_string(), "-2");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(i128);

impl Sum {
    /// So many cents.
    pub const fn from_cents(cents: i128) -> Sum {
        Sum(cents)
    }

    /// How many cents it is.
    pub const fn cents(self) -> i128 {
        self.0
    }
}

impl From<Money> for Sum {
    fn from(money: Money) -> Sum {
        Sum(money.0.into())
    }
}

impl PartialEq<Money> for Sum {
    fn eq(&self, other: &Money) -> bool {
        *self == Sum::from(*other)
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_cents(f, self.0 < 0, self.0.unsigned_abs())
    }
}

fn write_cents(f: &mut fmt::Formatter<'_>, negative: bool, cents: u128) -> fmt::Result {
    let sign = if negative { "-" } else { "" };
    let (whole, cents) = (cents / 100, cents % 100);
    let text = match (cents / 10, cents % 10) {
        (0, 0) => format!("{sign}{whole}"),
        (tens, 0) => format!("{sign}{whole}.{tens}"),
        (tens, ones) => format!("{sign}{whole}.{tens}{ones}"),
    };
    f.pad(&text)
}

/// A text that is no amount of money, or one of more digits than there is money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no amount: write it with two decimals at the most, such as 4.5", .0.escape_debug())]
pub struct NotMoney(pub String);

/// Digits, and after a point one or two more; a sign may stand before them.
impl FromStr for Money {
    type Err = NotMoney;

    fn from_str(text: &str) -> Result<Self, NotMoney> {
        read(text).ok_or_else(|| NotMoney(text.to_owned()))
    }
}

fn read(text: &str) -> Option<Money> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
    let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
        // Read as a negative number, for there is one more of those.
        true => format!("-{digits}").parse::<i64>().ok(),
        false => None,
    };
    let (whole, cents) = (number(whole)?, number(decimals)?);
    let cents = match decimals.len() {
        1 => cents * 10,
        2 => cents,
        _ => return None,
    };
    let debt = whole.checked_mul(100)?.checked_add(cents)?;
    let cents = if negative { Some(debt) } else { debt.checked_neg() };
    cents.map(Money)
}
