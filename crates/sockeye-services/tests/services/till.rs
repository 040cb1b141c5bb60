//! The shop's books: what users may, and what a report finds.

use sockeye::block_on;
use sockeye_proto::money::Money;
use sockeye_proto::shop::Kind;
use sockeye_services::data::Data;
use sockeye_services::store::till::{Customer, Entered, Offer, Order, Receipt};
use sockeye_services::store::{Failure, Store};
use std::sync::Arc;

struct Books {
    store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
}

fn books() -> Books {
    let folder = tempfile::tempdir().expect("a folder");
    let data = Data::at(folder.path());
    data.open().expect("nobody has it");
    let melon = Offer {
        name: "西瓜".parse().expect("a name"),
        price: Money::from_cents(200),
        stock: 10,
    };
    let store = data.store().expect("open");
    wait(store.offer(vec![melon], true, 0));
    Books {
        store,
        _folder: folder,
    }
}

fn wait<T>(answer: impl Future<Output = Result<T, Failure>>) -> T {
    block_on(answer).expect("a model").expect("an answer")
}

fn user(name: &str) -> Customer {
    Customer {
        user: Some(name.to_owned()),
        ..Customer::default()
    }
}

impl Books {
    fn buy(&self, customer: &Customer, count: u32, key: Option<&str>) -> Entered {
        wait(self.store.buy(Order {
            customer: customer.clone(),
            lines: vec![("西瓜".to_owned(), count)],
            key: key.map(str::to_owned),
            at: 0,
        }))
    }

    /// Behind the shop's back.
    fn alter(&self, sql: &str) {
        let status = std::process::Command::new("python3")
            .args([
                "-c",
                "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.commit()",
            ])
            .arg(self._folder.path().join("sockeye.db"))
            .arg(sql)
            .status()
            .expect("python3");
        assert!(status.success());
    }

    fn top_up(&self, customer: &Customer, cents: i64) -> Receipt {
        let entered = wait(
            self.store
                .top_up(customer.clone(), Money::from_cents(cents), None, 0),
        );
        done(entered)
    }
}

#[track_caller]
fn done(entered: Entered) -> Receipt {
    match entered {
        Entered::Done(receipt) => receipt,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_user_has_a_balance_for_good_and_may_not_owe() {
    let books = books();
    let [ann, bob] = ["ann", "bob"].map(user);
    let short = |total, balance| Entered::Short {
        total: Money::from_cents(total),
        balance: Money::from_cents(balance),
    };
    assert_eq!(books.buy(&ann, 1, None), short(200, 0));
    books.top_up(&ann, 500);
    let receipt = done(books.buy(&ann, 2, None));
    assert_eq!((receipt.amount.cents(), receipt.balance.cents()), (-400, 100));
    assert_eq!(books.buy(&ann, 1, None), short(200, 100));
    // Her account is known by its number, too.
    let known = Customer {
        account: Some(receipt.account),
        ..ann.clone()
    };
    assert_eq!(books.buy(&known, 1, None), short(200, 100));
    assert_eq!(wait(books.store.balance(ann)), Money::from_cents(100));
    assert_eq!(wait(books.store.balance(bob.clone())), Money::ZERO);
    let owing = Customer { may_owe: true, ..bob };
    assert_eq!(done(books.buy(&owing, 3, None)).balance.cents(), -600);
    let report = wait(books.store.report());
    assert!(report.is_right(), "{report:?}");
    assert_eq!(
        (
            report.owed.cents(),
            report.takings.cents(),
            report.paid_in.cents()
        ),
        (600, 1000, 500)
    );
}

#[test]
fn nobody_refunds_what_is_another_s_or_refunds_twice() {
    let books = books();
    let [ann, bob] = ["ann", "bob"].map(user);
    books.top_up(&ann, 400);
    books.top_up(&bob, 400);
    let bought = done(books.buy(&ann, 2, None));
    let refund = |customer: &Customer| wait(books.store.refund(customer.clone(), bought.number, 0));
    assert_eq!(refund(&bob), Entered::NoSuchDeal);
    assert_eq!(refund(&Customer::default()), Entered::NoSuchDeal);
    assert_eq!(done(refund(&ann)).balance.cents(), 400);
    assert_eq!(refund(&ann), Entered::RefundedBefore);
    let history = wait(books.store.history(ann, 2));
    assert_eq!(history[0].kind, Kind::Refund(bought.number));
    assert!(matches!(history[1].kind, Kind::Purchase { refunded: true, .. }));
    let report = wait(books.store.report());
    assert!(report.is_right(), "{report:?}");
    assert_eq!(report.goods[0].0.stock, Some(10));
}

#[test]
fn keys_are_a_user_s_own() {
    let books = books();
    let [ann, bob] = ["ann", "bob"].map(user);
    books.top_up(&ann, 1000);
    books.top_up(&bob, 1000);
    let first = done(books.buy(&ann, 1, Some("k")));
    let again = done(books.buy(&ann, 1, Some("k")));
    assert_eq!((again.number, again.repeated), (first.number, true));
    assert!(!done(books.buy(&bob, 1, Some("k"))).repeated);
    assert_eq!(books.buy(&ann, 2, Some("k")), Entered::KeyTaken);
    // A refused order leaves its key free.
    assert!(matches!(
        books.buy(&ann, 9, Some("l")),
        Entered::Fewer { left: 8, .. }
    ));
    assert!(!done(books.buy(&ann, 1, Some("l"))).repeated);
}

/// A report that can't find anything would prove nothing: every kind of damage is found.
#[test]
fn a_report_finds_what_is_wrong() {
    for (damage, found) in [
        ("UPDATE shop_goods SET stock = stock + 1", [0, 0, 1, 0]),
        (
            "UPDATE shop_accounts SET balance = balance + 1 WHERE id > 2",
            [0, 1, 0, 0],
        ),
        ("DELETE FROM shop_entries WHERE account = 1", [1, 0, 0, 0]),
        (
            "UPDATE shop_entries SET amount = amount + 1 WHERE account = 1",
            [1, 0, 0, 0],
        ),
        ("UPDATE shop_lines SET price = price + 1", [0, 0, 0, 1]),
        ("DELETE FROM shop_lines", [0, 0, 1, 1]),
        ("DELETE FROM shop_entries", [1, 1, 0, 0]),
        ("UPDATE shop_deals SET amount = amount - 1", [1, 0, 0, 1]),
    ] {
        let books = books();
        let owing = Customer {
            may_owe: true,
            ..user("ann")
        };
        done(books.buy(&owing, 2, None));
        assert!(wait(books.store.report()).is_right());
        books.alter(damage);
        let report = wait(books.store.report());
        let wrong = [
            report.unbalanced,
            report.wrong_balances,
            report.wrong_stocks,
            report.wrong_sums,
        ];
        assert_eq!(wrong, found, "{damage}");
        assert!(!report.is_right());
    }
}

/// Visitors can bring as much, in millions of visits.
#[test]
fn a_report_counts_beyond_64_bits() {
    let books = books();
    books.alter(
        "WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 1004)
         INSERT INTO shop_accounts (id, balance) SELECT i, 4000000000000000001 FROM n;
         INSERT INTO shop_deals (id, account, kind, amount, balance, at)
         SELECT id, id, 'top-up', balance, balance, 0 FROM shop_accounts WHERE id >= 1000;
         INSERT INTO shop_entries SELECT id, account, amount FROM shop_deals;
         INSERT INTO shop_entries SELECT id, 2, -amount FROM shop_deals;",
    );
    let report = wait(books.store.report());
    assert!(report.is_right(), "{report:?}");
    assert_eq!(report.paid_in.cents(), 5 * 4_000_000_000_000_000_001);
    books.alter("UPDATE shop_entries SET amount = amount - 1 WHERE deal = 1000");
    let report = wait(books.store.report());
    assert_eq!((report.unbalanced, report.wrong_balances), (1, 1));
}
