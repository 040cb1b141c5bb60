//! What a good may be called.

use super::{Command, Language};
use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// The most characters of a good's name: what fits a line beside its price.
pub const MAX_NAME: usize = 40;

/// Signs that stand between names in commands and answers, and those that Chinese keyboards make of them; a name has none.
const SIGNS: &str = ",;:()#\"`\u{3002}\u{ff0c}\u{ff1b}\u{ff1a}\u{ff08}\u{ff09}\u{ff03}";

/// The name of a good: 1 to 40 characters that begin with no digit, sign or blank, end with no blank, and have no sign
/// within that the dialogue itself uses. A name that reads as a [`Command`] is none.
///
/// ```
/// use sockeye_proto::shop::GoodName;
///
/// assert_eq!("矿泉水".parse::<GoodName>()?.as_str(), "矿泉水");
/// assert!("green tea".parse::<GoodName>().is_ok());
/// assert!("7up".parse::<GoodName>().is_err(), "would be mistaken for seven of them");
/// assert!("list".parse::<GoodName>().is_err(), "is a command");
/// # Ok::<(), sockeye_proto::shop::BadName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoodName(String);

impl GoodName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GoodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for GoodName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A text that is no name for a good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is no name for a good: write 1 to {MAX_NAME} characters, no digit first, none of , ; : ( ) # \" ` 。 within, no command",
    .0.escape_debug()
)]
pub struct BadName(pub String);

impl FromStr for GoodName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let first = text.chars().next().is_some_and(|first| first.is_alphabetic());
        let last = !text.ends_with(char::is_whitespace);
        // A blank is the only white space: others would end a line, or look like one.
        let within = |c: char| {
            !c.is_control() && !SIGNS.contains(c) && (c == ' ' || !c.is_whitespace()) && c != '\u{fffd}'
        };
        let bought_by_its_name =
            || Command::read(text) == (Command::Name(text.to_owned()), Language::Chinese);
        match first
            && last
            && text.chars().all(within)
            && text.chars().count() <= MAX_NAME
            && bought_by_its_name()
        {
            true => Ok(GoodName(text.to_owned())),
            false => Err(BadName(text.to_owned())),
        }
    }
}
