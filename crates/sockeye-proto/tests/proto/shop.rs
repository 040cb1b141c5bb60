//! The dialogue of the shop.

use crate::properties::shop::holds;
use proptest::prelude::*;
use sockeye_proto::money::Money;
use sockeye_proto::shop::{
    Command, Deal, Good, GoodName, Goods, Key, Kind, Language, Line, MAX_COUNT, MAX_NAME, Said, Wrong,
    is_refusal,
};

use Language::{Chinese, English};

fn buy(count: u32, good: &str, key: Option<&str>) -> Command {
    Command::Buy {
        count,
        good: good.to_owned(),
        key: key.map(|key| Key::new(key).expect("a key")),
    }
}

fn name(text: &str) -> Command {
    Command::Name(text.to_owned())
}

fn top_up(cents: i64, key: Option<&str>) -> Command {
    Command::TopUp {
        amount: Money::from_cents(cents),
        key: key.map(|key| Key::new(key).expect("a key")),
    }
}

#[test]
fn commands_are_read_in_both_languages() {
    for (text, command, language) in [
        ("西瓜", name("西瓜"), Chinese),
        ("  西瓜\r", name("西瓜"), Chinese),
        ("", name(""), Chinese),
        ("green tea", name("green tea"), Chinese),
        ("LIST", Command::List, English),
        ("商品", Command::List, Chinese),
        ("list it", name("list it"), Chinese),
        ("listen", name("listen"), Chinese),
        ("buy 西瓜", buy(1, "西瓜", None), English),
        ("Buy 2 green tea", buy(2, "green tea", None), English),
        ("buy 2green tea", buy(2, "green tea", None), English),
        ("buyer", name("buyer"), Chinese),
        ("买西瓜", buy(1, "西瓜", None), Chinese),
        ("购买 3 西瓜", buy(3, "西瓜", None), Chinese),
        ("买3个西瓜", buy(3, "西瓜", None), Chinese),
        ("买两个西瓜", buy(2, "西瓜", None), Chinese),
        ("买十个西瓜", buy(10, "西瓜", None), Chinese),
        ("买八宝粥", buy(1, "八宝粥", None), Chinese),
        ("买2包子", buy(2, "包子", None), Chinese),
        ("buy 2 西瓜 #a-1", buy(2, "西瓜", Some("a-1")), English),
        ("西瓜 #a.1_", buy(1, "西瓜", Some("a.1_")), Chinese),
        ("西瓜 # a", name("西瓜 # a"), Chinese),
        ("buy 西瓜 #", Command::Wrong(Wrong::Key), English),
        ("buy", Command::Wrong(Wrong::NoGood), English),
        ("买 7", Command::Wrong(Wrong::NoGood), Chinese),
        ("buy 0 x", Command::Wrong(Wrong::Count), English),
        ("buy 1000001 x", Command::Wrong(Wrong::Count), English),
        ("buy 99999999999 x", Command::Wrong(Wrong::Count), English),
        (
            "加入2西瓜",
            Command::Add {
                count: 2,
                good: "西瓜".into(),
            },
            Chinese,
        ),
        ("remove 西瓜", Command::Remove("西瓜".into()), English),
        ("remove", Command::Wrong(Wrong::NoGood), English),
        ("checkout #k", Command::Checkout(Key::new("k")), English),
        ("结账", Command::Checkout(None), Chinese),
        ("top up 4.5", top_up(450, None), English),
        ("topup 4.5 #k", top_up(450, Some("k")), English),
        ("充值4", top_up(400, None), Chinese),
        ("top up 0", Command::Wrong(Wrong::Amount), English),
        ("top up a lot", Command::Wrong(Wrong::Amount), English),
        ("refund 12", Command::Refund(12), English),
        ("退货12", Command::Refund(12), Chinese),
        ("refund it", Command::Wrong(Wrong::Number), English),
        ("?", Command::Help, English),
        ("\u{ff1f}", Command::Help, Chinese),
        ("拜拜", Command::Bye, Chinese),
        ("quit", Command::Bye, English),
    ] {
        assert_eq!(Command::read(text), (command, language), "{text}");
    }
}

#[test]
fn a_name_is_what_can_be_bought_by_saying_it() {
    for text in ["瓜子", "green tea", "A&W", "五香-瓜子", &"长".repeat(MAX_NAME)] {
        let named: GoodName = text.parse().expect(text);
        assert_eq!(named.as_str(), text);
    }
    for text in [
        "",
        " 瓜子",
        "瓜子 ",
        "7up",
        "-1",
        "list",
        "Bye",
        "买单",
        "余额",
        "buy it",
        "a,b",
        "a(b)",
        "a#b",
        "a。",
        "a\u{ff0c}b",
        "a\nb",
        "a\tb",
        "a\u{7}",
        "a\u{fffd}",
        &"长".repeat(MAX_NAME + 1),
    ] {
        let error = text.parse::<GoodName>().expect_err(text).to_string();
        assert!(error.contains("is no name for a good"), "{error}");
    }
}

#[test]
fn the_sentences_of_the_tutorial_are_those() {
    let balance = Money::from_cents(-200);
    for (said, words) in [
        (Said::BoughtOne { balance }, "购买成功,余额 -2"),
        (Said::Missing, "抱歉,您购买的商品目前没有,请选购其他的。"),
        (Said::Bye, "欢迎下次光临"),
    ] {
        assert_eq!(said.words(Chinese), words);
    }
    let good = |name: &str, cents, stock| Good {
        name: name.to_owned(),
        price: Money::from_cents(cents),
        stock: Some(stock),
    };
    let goods = Goods(vec![
        good("瓜子", 450, 1),
        good("西瓜", 200, 0),
        good("矿泉水", 250, 9),
    ]);
    assert_eq!(
        goods.greeting(),
        "目前商店还有:瓜子(4.5),矿泉水(2.5)。请问您需要什么?"
    );
    assert_eq!(
        goods.list(Chinese),
        "商品:瓜子(4.5)余1,西瓜(2)售完,矿泉水(2.5)余9。"
    );
    let sold_out = Goods(vec![good("西瓜", 200, 0)]).greeting();
    assert_eq!(sold_out, "目前商店的商品已售完。请问您需要什么?");
    assert_eq!(Goods::read(&sold_out), Some(Goods::default()));
}

#[test]
fn refusals_begin_with_an_apology_and_nothing_else_does() {
    let (total, balance) = (Money::from_cents(450), Money::ZERO);
    let line = Line {
        good: "西瓜".to_owned(),
        count: 2,
        sum: total,
    };
    let deal = Deal {
        number: 1,
        kind: Kind::TopUp,
        amount: total,
    };
    let fine = [
        Said::Goods(Goods::default()),
        Said::BoughtOne { balance },
        Said::Bought {
            number: 1,
            total,
            balance,
        },
        Said::Basket {
            lines: vec![line],
            total,
        },
        Said::Basket { lines: vec![], total },
        Said::Balance(balance),
        Said::ToppedUp { balance },
        Said::History(vec![deal]),
        Said::History(vec![]),
        Said::Refunded {
            amount: total,
            balance,
        },
        Said::Help,
        Said::Bye,
    ];
    let refusals = [
        Said::Missing,
        Said::Fewer {
            good: "西瓜".to_owned(),
            left: 1,
        },
        Said::Short { total, balance },
        Said::BasketFull { limit: 1 },
        Said::BasketEmpty,
        Said::NoTopUp,
        Said::NoSuchDeal(1),
        Said::RefundedBefore(1),
        Said::KeyTaken,
        Said::TooMuch,
        Said::Wrong(Wrong::NoGood),
        Said::Wrong(Wrong::Count),
        Said::Wrong(Wrong::Amount),
        Said::Wrong(Wrong::Number),
        Said::Wrong(Wrong::Key),
        Said::Unavailable,
        Said::Uncertain,
    ];
    for language in [Chinese, English] {
        for said in &fine {
            assert!(!is_refusal(&said.words(language)), "{said:?}");
        }
        for said in &refusals {
            assert!(is_refusal(&said.words(language)), "{said:?}");
        }
        for said in fine.iter().chain(&refusals) {
            assert!(!said.words(language).contains(['\n', '\r']), "one line: {said:?}");
        }
    }
}

fn a_name() -> impl Strategy<Value = String> {
    let words = "[a-zA-Z\u{4e00}-\u{9fff}][a-z0-9 \u{4e00}-\u{9fff}&'.-]{0,38}";
    words.prop_filter("a name", |text| text.parse::<GoodName>().is_ok())
}

fn a_good() -> impl Strategy<Value = Good> {
    (
        a_name(),
        0..=1_000_000_000_000_i64,
        proptest::option::of(any::<u32>()),
    )
        .prop_map(|(name, cents, stock)| Good {
            name,
            price: Money::from_cents(cents),
            stock,
        })
}

proptest! {
    #[test]
    fn words_near_commands_are_no_trouble(
        verb in "(buy|top up|refund|add|买|充值|退货|加入|list|checkout)",
        rest in "[ 0-9#.个两三-]{0,12}",
    ) {
        holds(format!("{verb}{rest}").as_bytes());
    }

    #[test]
    fn amounts_are_read_as_they_are_printed(cents in any::<i64>()) {
        let money = Money::from_cents(cents);
        let text = money.to_string();
        prop_assert_eq!(text.parse::<Money>(), Ok(money));
        prop_assert!(!text.contains('.') || !text.ends_with('0'), "{}", text);
    }

    #[test]
    fn sums_are_right_or_none(a in any::<i64>(), b in any::<i64>(), count in any::<u32>()) {
        let [x, y] = [a, b].map(Money::from_cents);
        prop_assert_eq!(x.plus(y).map(Money::cents), a.checked_add(b));
        prop_assert_eq!(x.minus(y).map(Money::cents), a.checked_sub(b));
        prop_assert_eq!(x.times(count).map(Money::cents), a.checked_mul(i64::from(count)));
    }

    #[test]
    fn lists_are_read_as_they_are_written(goods in proptest::collection::vec(a_good(), 0..8)) {
        let goods = Goods(goods);
        for language in [Chinese, English] {
            prop_assert_eq!(Goods::read(&goods.list(language)), Some(goods.clone()));
        }
        let mut greeted = goods.clone();
        greeted.0.retain(|good| good.stock != Some(0));
        greeted.0.iter_mut().for_each(|good| good.stock = None);
        prop_assert_eq!(Goods::read(&goods.greeting()), Some(greeted));
    }

    #[test]
    fn every_name_can_be_said_bought_and_put_into_the_basket(good in a_name(), count in 1..=MAX_COUNT, key in "[A-Za-z0-9._-]{1,64}") {
        prop_assert_eq!(Command::read(&good).0, name(&good));
        for verb in ["buy", "买"] {
            let read = Command::read(&format!("{verb} {count} {good} #{key}")).0;
            // The measure word isn't part of a name that follows a number.
            let plain = good.strip_prefix('个').unwrap_or(&good).trim_start();
            prop_assert_eq!(read, if plain.is_empty() { Command::Wrong(Wrong::NoGood) } else { buy(count, plain, Some(&key)) });
        }
    }
}

#[test]
fn amounts_that_are_none() {
    for text in [
        "",
        "-",
        "+",
        ".",
        "1.",
        ".5",
        "1.234",
        "1,5",
        "1e3",
        "½",
        "١",
        "--1",
        "+-1",
        "92233720368547758.08",
        "1 ",
    ] {
        assert!(text.parse::<Money>().is_err(), "{text}");
    }
    assert_eq!("-92233720368547758.08".parse(), Ok(Money::from_cents(i64::MIN)));
    assert_eq!("+1.5".parse(), Ok(Money::from_cents(150)));
}
