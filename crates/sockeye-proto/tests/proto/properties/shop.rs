//! What customers say, and the shop's lists as a client reads them.

use sockeye_proto::money::Money;
use sockeye_proto::shop::{Command, GoodName, Goods, Language, MAX_COUNT, MAX_NAME};
use sockeye_proto::text::Encoding;

/// What is understood can be said again, in the one form that says it.
pub(crate) fn holds(message: &[u8]) {
    for encoding in [Encoding::UTF_8, Encoding::GBK, Encoding::GB18030] {
        let text = encoding.decode(message);
        understood(&text);
        listed(&text);
        match text.parse::<Money>() {
            Ok(money) => assert_eq!(money.to_string().parse(), Ok(money)),
            Err(error) => assert!(!error.to_string().contains(char::is_control), "{error:?}"),
        }
        if let Ok(name) = text.parse::<GoodName>() {
            assert!(text.chars().count() <= MAX_NAME);
            assert_eq!(Command::read(&text).0, Command::Name(name.to_string()));
        }
    }
}

fn understood(text: &str) {
    let (command, _) = Command::read(text);
    let key = |key: &Option<_>| key.as_ref().map_or(String::new(), |key| format!(" #{key}"));
    // The measure word isn't part of a name that follows a number, and what follows `#` is a key: no good has it in its name.
    let none = |good: &str| good.starts_with('个') || good.contains('#');
    let again = match &command {
        Command::Buy { good, .. } | Command::Add { good, .. } | Command::Remove(good) if none(good) => return,
        Command::Buy {
            count,
            good,
            key: marked,
        } => format!("buy {count} {good}{}", key(marked)),
        Command::Add { count, good } => format!("add {count} {good}"),
        Command::Remove(good) => format!("remove {good}"),
        Command::Checkout(marked) => format!("checkout{}", key(marked)),
        Command::TopUp { amount, key: marked } => {
            assert!(*amount > Money::ZERO);
            format!("top up {amount}{}", key(marked))
        }
        Command::Refund(number) => format!("refund {number}"),
        Command::Name(name) => name.clone(),
        Command::List
        | Command::Basket
        | Command::Balance
        | Command::History
        | Command::Help
        | Command::Bye
        | Command::Wrong(_) => return,
    };
    if let Command::Buy { count, .. } | Command::Add { count, .. } = command {
        assert!((1..=MAX_COUNT).contains(&count));
    }
    assert_eq!(Command::read(&again).0, command, "{again:?}");
}

fn listed(line: &str) {
    let Some(goods) = Goods::read(line) else { return };
    for language in [Language::Chinese, Language::English] {
        assert_eq!(Goods::read(&goods.list(language)).as_ref(), Some(&goods));
    }
}
