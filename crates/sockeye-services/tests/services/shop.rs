//! `shop`: row S2, and what it has beyond.

use crate::serving::{Peer, Served, each_model, serve};
use sockeye::{Model, block_on, dial};
use sockeye_proto::money::Money;
use sockeye_proto::text::Encoding;
use sockeye_services::data::Data;
use sockeye_services::settings::Settings;
use sockeye_services::shop::{Shop, client::Client};
use sockeye_services::store::till::{Keeping, Kept, Offer, Report};
use sockeye_services::text::Manner;
use std::thread;
use tempfile::TempDir;

const GREETING: &str = "目前商店还有:瓜子(4.5),西瓜(2),矿泉水(2.5)。请问您需要什么?";
const MISSING: &str = "抱歉,您购买的商品目前没有,请选购其他的。";

/// A shop with a folder of its own.
struct Open {
    served: Served,
    data: Data,
    _folder: TempDir,
}

fn open(model: Model, set: impl FnOnce(Settings) -> Settings) -> Open {
    let folder = tempfile::tempdir().expect("a folder");
    let data = Data::at(folder.path());
    data.open().expect("nobody has it");
    let mut settings = set(Settings::new());
    settings.data = Some(data.clone());
    Open {
        served: serve("shop", "tcp://127.0.0.1:0", model, settings),
        data,
        _folder: folder,
    }
}

impl Open {
    /// A customer who speaks lines of UTF-8, after the greeting.
    fn customer(&self) -> Peer {
        let mut peer = Peer::of(&self.served);
        peer.expect(GREETING);
        peer
    }

    fn report(&self) -> Report {
        let store = self.data.store().expect("open");
        let report = block_on(store.report()).expect("a model").expect("a report");
        assert!(report.is_right(), "{report:?}");
        report
    }

    fn keep(&self, what: Keeping) -> Kept {
        let store = self.data.store().expect("open");
        block_on(store.keep(what, 0)).expect("a model").expect("kept")
    }
}

fn utf8(settings: Settings) -> Settings {
    settings.set("encoding", "utf-8")
}

/// Says each line and expects its answer.
#[track_caller]
fn talk(peer: &mut Peer, lines: &[(&str, &str)]) {
    for (line, answer) in lines {
        peer.send(format!("{line}\n"));
        peer.expect(format!("{answer}\n"));
    }
}

#[test]
fn an_old_client_gets_the_sentences_of_the_tutorial_and_no_newline() {
    let gbk = Encoding::GBK;
    each_model(|model| {
        let shop = open(model, |settings| settings);
        let mut peer = Peer::of(&shop.served);
        peer.expect(gbk.encode(GREETING));
        for (good, answer) in [
            ("西瓜", "购买成功,余额 -2"),
            ("瓜子", "购买成功,余额 -6.5"),
            ("电视机", MISSING),
        ] {
            peer.send(gbk.encode(good));
            peer.expect(gbk.encode(answer));
        }
        peer.send(gbk.encode("拜拜"));
        peer.expect_end(gbk.encode("欢迎下次光临"));
        let report = shop.report();
        assert_eq!((report.deals, report.takings), (2, Money::from_cents(650).into()));
        assert_eq!(report.owed, Money::from_cents(650));
    });
}

#[test]
fn commands_are_answered_in_their_language() {
    let shop = open(Model::default(), utf8);
    let mut peer = shop.customer();
    talk(
        &mut peer,
        &[
            ("西瓜", "购买成功,余额 -2"),
            ("BUY 2 瓜子", "Bought as number 2 for 9; balance -11."),
            ("买三个矿泉水", "购买成功,单号 3,共 7.5,余额 -18.5"),
            ("top up 20", "Topped up; balance 1.5."),
            ("充值 0.5", "充值成功,余额 2"),
            ("balance", "Balance 2."),
            ("余额", "余额 2"),
            ("refund 2", "Refunded 9; balance 11."),
            ("refund 2", "Sorry, number 2 was refunded before."),
            ("退货 99", "抱歉,您没有单号为 99 的购买。"),
            ("refund 4", "Sorry, you made no purchase of number 4."),
            (
                "history",
                "number 6: refund of 2 9; number 5: top-up 0.5; number 4: top-up 20; \
                 number 3: 3×矿泉水(7.5) -7.5; number 2: 2×瓜子(9) -9 (refunded); number 1: 1×西瓜(2) -2.",
            ),
            (
                "list",
                "Goods: 瓜子(4.5) 1000 left, 西瓜(2) 999 left, 矿泉水(2.5) 997 left.",
            ),
            ("商品", "商品:瓜子(4.5)余1000,西瓜(2)余999,矿泉水(2.5)余997。"),
            ("buy", "Sorry, say which good, as in: buy 2 西瓜"),
            ("buy 0 西瓜", "Sorry, a number of pieces is from 1 to 1000000."),
            (
                "buy 99999999999999999999 西瓜",
                "Sorry, a number of pieces is from 1 to 1000000.",
            ),
            ("buy 1000000 西瓜", "Sorry, only 999 of 西瓜 left."),
            (
                "buy television",
                "Sorry, we have none of that; please choose something else.",
            ),
            ("top up -5", "Sorry, say how much, as in: top up 10.5"),
            ("充值 99999999999999", "抱歉,金额太大。"),
            ("what?", MISSING),
            ("", MISSING),
        ],
    );
    peer.send("bye\n");
    peer.expect_end("Come again!\n");
    let report = shop.report();
    assert_eq!(report.paid_in, Money::from_cents(2050));
    assert_eq!(report.takings, Money::from_cents(950));
}

#[test]
fn a_basket_is_bought_whole_or_not_at_all() {
    let shop = open(Model::default(), utf8);
    let mut peer = shop.customer();
    talk(
        &mut peer,
        &[
            ("checkout", "Sorry, your basket is empty."),
            ("add 2 西瓜", "Your basket: 2×西瓜(4); 4 in all."),
            ("加入 瓜子", "购物篮:2×西瓜(4),1×瓜子(4.5),共 8.5"),
            (
                "add television",
                "Sorry, we have none of that; please choose something else.",
            ),
            ("add 3 西瓜", "Your basket: 5×西瓜(10), 1×瓜子(4.5); 14.5 in all."),
            (
                "add 2000 矿泉水",
                "Your basket: 5×西瓜(10), 1×瓜子(4.5), 2000×矿泉水(5000); 5014.5 in all.",
            ),
            ("checkout", "Sorry, only 1000 of 矿泉水 left."),
            ("balance", "Balance 0."),
            (
                "remove 矿泉水",
                "Your basket: 5×西瓜(10), 1×瓜子(4.5); 14.5 in all.",
            ),
            ("结账", "购买成功,单号 1,共 14.5,余额 -14.5"),
            ("basket", "Your basket is empty."),
            ("refund 1", "Refunded 14.5; balance 0."),
        ],
    );
    let report = shop.report();
    assert_eq!(report.takings, Money::ZERO);
    assert!(
        report
            .goods
            .iter()
            .all(|(good, sold)| good.stock == Some(1000) && *sold == 0)
    );
}

#[test]
fn a_key_makes_a_request_safe_to_repeat() {
    let shop = open(Model::default(), utf8);
    let bought = "Bought as number 1 for 4; balance -4.";
    let mut peer = shop.customer();
    talk(
        &mut peer,
        &[
            ("buy 2 西瓜 #k-1", bought),
            ("buy 2 西瓜 #k-1", bought),
            (
                "buy 3 西瓜 #k-1",
                "Sorry, this #KEY came with another request before.",
            ),
            (
                "top up 2 #k-1",
                "Sorry, this #KEY came with another request before.",
            ),
            ("top up 4 #k-2", "Topped up; balance 0."),
            ("top up 4 #k-2", "Topped up; balance 0."),
            ("西瓜 #k-3", "购买成功,单号 3,共 2,余额 -2"),
            (
                "buy 西瓜 #not a key",
                "Sorry, after # come 1 to 64 letters, digits, - _ or .",
            ),
        ],
    );
    drop(peer);
    // Cut off before the answer came: the client asks again on another connection, and owes nothing there.
    let mut again = shop.customer();
    talk(
        &mut again,
        &[
            ("buy 2 西瓜 #k-1", bought),
            ("balance", "Balance 0."),
            ("refund 1", "Sorry, you made no purchase of number 1."),
        ],
    );
    assert_eq!(shop.report().deals, 3);
}

#[test]
fn ten_melons_are_sold_to_64_customers_ten_times() {
    each_model(|model| {
        let shop = open(model, utf8);
        let [sold_out, ten] = [-1000, 10].map(|count| Keeping::Restock("西瓜".to_owned(), count));
        for change in [sold_out, ten] {
            assert!(matches!(shop.keep(change), Kept::Done(_)));
        }
        let address = format!("tcp://{}", shop.served.address());
        let answers: Vec<String> = thread::scope(|scope| {
            let customers: Vec<_> = (0..64).map(|_| scope.spawn(|| one_melon(&address))).collect();
            customers
                .into_iter()
                .map(|customer| customer.join().expect("an answer"))
                .collect()
        });
        let bought = answers.iter().filter(|answer| *answer == "Bought as").count();
        let refused = answers.iter().filter(|answer| *answer == "Sorry, we").count();
        assert_eq!((bought, refused), (10, 54), "{answers:?}");
        let report = shop.report();
        let (melon, sold) = &report.goods[1];
        assert_eq!((melon.stock, *sold), (Some(0), 10));
        assert_eq!(report.takings, Money::from_cents(2000));
    });
}

/// The first two words of the answer.
fn one_melon(address: &str) -> String {
    let asked = block_on(async {
        let mut conn = dial(address).await?;
        let mut client = Client::new(&mut conn, Manner::default());
        client.hear().await?;
        client.ask("buy 1 西瓜").await
    });
    let answer = asked.expect("a model").expect("a connection").expect("an answer");
    answer.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_keeper_changes_the_goods_of_an_open_shop() {
    let shop = open(Model::default(), utf8);
    let mut peer = shop.customer();
    let price = |cents| Money::from_cents(cents);
    let offer = |name: &str, price, stock| Offer {
        name: name.parse().expect("a name"),
        price,
        stock,
    };
    let done = |name: &str, cents, stock| {
        Kept::Done(sockeye_proto::shop::Good {
            name: name.to_owned(),
            price: price(cents),
            stock: Some(stock),
        })
    };
    let tea = "green tea".to_owned();
    assert_eq!(
        shop.keep(Keeping::Add(offer(&tea, price(305), 1))),
        done(&tea, 305, 1)
    );
    assert_eq!(shop.keep(Keeping::Add(offer(&tea, price(1), 1))), Kept::There);
    talk(
        &mut peer,
        &[("green tea", "购买成功,余额 -3.05"), ("green tea", MISSING)],
    );
    assert_eq!(
        shop.keep(Keeping::Price(tea.clone(), price(100))),
        done(&tea, 100, 0)
    );
    assert_eq!(shop.keep(Keeping::Restock(tea.clone(), 5)), done(&tea, 100, 5));
    talk(
        &mut peer,
        &[("buy 5 green tea", "Bought as number 2 for 5; balance -8.05.")],
    );
    assert_eq!(shop.keep(Keeping::Restock(tea.clone(), -1)), Kept::BadStock(0));
    assert_eq!(
        shop.keep(Keeping::Restock(tea.clone(), i64::MAX)),
        Kept::BadStock(0)
    );
    assert_eq!(shop.keep(Keeping::Price(tea, price(-1))), Kept::BadPrice);
    assert_eq!(
        shop.keep(Keeping::Price("糖".to_owned(), price(1))),
        Kept::Unknown
    );
    shop.report();
    drop(peer);
    // What is sold out isn't in the greeting.
    shop.customer();
}

#[test]
fn a_file_of_goods_sets_prices_and_keeps_stocks() {
    let page = |price: &str| format!("[[good]]\nname = \"糖\"\nprice = {price}\nstock = 7\n");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let folder = tempfile::tempdir().expect("a folder");
    let data = Data::at(folder.path());
    for (price, greeting, answer) in [
        (
            "0.5",
            "目前商店还有:糖(0.5)。请问您需要什么?",
            "商品:糖(0.5)余6。\n",
        ),
        (
            "0.25",
            "目前商店还有:糖(0.25)。请问您需要什么?",
            "商品:糖(0.25)余5。\n",
        ),
    ] {
        std::fs::write(file.path(), page(price)).expect("written");
        let mut settings = utf8(Settings::new()).set("goods", file.path().to_string_lossy());
        settings.data = Some(data.clone());
        let served = serve("shop", "tcp://127.0.0.1:0", Model::default(), settings);
        let mut peer = Peer::of(&served);
        peer.expect(greeting);
        peer.send("糖\n商品\n拜拜\n");
        peer.expect(format!("购买成功,余额 -{price}\n{answer}欢迎下次光临\n"));
    }
}

#[test]
fn nothing_that_a_peer_sends_hurts_the_shop() {
    let shop = open(Model::default(), |settings| settings);
    let gbk = Encoding::GBK;
    for hostile in [
        b"\xff\xfe\x00\x80\n".to_vec(),
        b"'; DROP TABLE shop_goods; --\n".to_vec(),
        gbk.encode("买 1 '西瓜'; DELETE FROM shop_accounts\n")
            .into_owned(),
        format!("buy {}\n", "9".repeat(60_000)).into_bytes(),
        format!("{}\n", "x".repeat(60_000)).into_bytes(),
        b"buy -1 x\nrefund -9223372036854775808\nrefund 99999999999999999999\ntop up 1e9\n".to_vec(),
        vec![b'#'; 1000],
    ] {
        let mut peer = Peer::of(&shop.served);
        peer.send(&hostile);
        peer.close_write();
        let mut said = Vec::new();
        std::io::Read::read_to_end(&mut peer.0, &mut said).expect("answers and the end");
        let said = gbk.decode(&said).into_owned();
        let answers = said.strip_prefix(GREETING).expect("the greeting");
        assert!(answers.contains("抱歉") || answers.contains("Sorry"), "{answers}");
    }
    let mut peer = Peer::of(&shop.served);
    peer.send(vec![b'x'; 70_000]);
    let refusal = "error: message over the limit of 65536 bytes: send shorter messages\n";
    peer.expect_end(gbk.encode(&format!("{GREETING}{refusal}")));
    assert_eq!(shop.report().deals, 0);
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    let refused = |name: &str, value: &str, packets| {
        let mut settings = Settings::new().set(name, value);
        settings.data = Some(Data::at("/nowhere"));
        settings.packets = packets;
        Shop::from_settings(&settings).err().expect(value).to_string()
    };
    for (name, value, packets, words) in [
        ("encoding", "klingon", false, "unknown encoding `klingon`"),
        ("credit", "maybe", false, "set credit=maybe"),
        ("top-up", "2", false, "set top-up=2"),
        (
            "goods",
            "/no/such/file",
            false,
            "set goods=/no/such/file: No such file",
        ),
        ("credit", "true", true, "a customer is a connection"),
    ] {
        let error = refused(name, value, packets);
        assert!(error.contains(words), "{error}");
    }
    let error = Shop::from_settings(&Settings::new())
        .err()
        .expect("no data")
        .to_string();
    assert!(error.contains("no data folder"), "{error}");
}
