//! A disk that fails under the shop's books, and a shop without descriptors.

use std::path::Path;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use sockeye_proto::money::Money;

use super::kills::{report, stock_up};
use super::{Customer, UTF8, open};
use crate::faults::Faulty;

const UNCERTAIN: &str = "Sorry, the books failed and it may or may not be done; look at your history first.";
const UNAVAILABLE: &str =
    "Sorry, the books can't be written at the moment, so nothing was done; try again later.";

const STOCK: u32 = 1000;

/// Stock and money are conserved, and so much was sold.
fn check(folder: &Path, sold: i64) {
    let report = report(folder);
    assert!(report.is_right(), "{report:?}");
    let (melon, melons) = &report.goods[0];
    assert_eq!(*melons, sold);
    assert_eq!(i64::from(melon.stock.expect("a stock")), i64::from(STOCK) - sold);
    assert_eq!(report.takings, Money::from_cents(200 * sold));
}

#[test]
fn a_purchase_that_the_disk_has_not_taken_is_not_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    stock_up(folder.path(), STOCK);
    let data = folder.path().to_string_lossy();
    let Some(faulty) = Faulty::serve(&["--data", &data, "--model", "epoll"], UTF8) else {
        return;
    };
    let mut customer = Customer::enter(&faulty.serving).expect("a shop");
    let buy = |number: usize| format!("buy 1 西瓜 #key{number}");
    let mut sold = 0;
    for (round, (calls, words)) in [
        (&["fsync", "fdatasync"][..], UNCERTAIN),
        (&["write", "pwrite64", "pwritev", "writev"], UNAVAILABLE),
        (
            &["fsync", "fdatasync", "write", "pwrite64", "ftruncate"],
            UNAVAILABLE,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let bought = customer.ask(&buy(sold)).expect("an answer");
        assert!(bought.starts_with("Bought as number "), "{bought}");
        sold += 1;
        faulty.fail(calls, "sockeye.db");
        for _ in 0..3 {
            let refused = customer.ask(&buy(sold)).expect("an answer");
            assert!(refused == words || refused == UNCERTAIN, "{calls:?}: {refused}");
        }
        // It lives: what is only looked at is told, to others too.
        let mut other = Customer::enter(&faulty.serving).expect("a shop");
        assert!(other.ask("list").expect("an answer").contains("西瓜(2)"));
        let failed = faulty.mend();
        assert!(failed.lines().count() >= 3, "{calls:?}: {failed}");
        // The same purchase again is made once, whatever became of it before.
        let bought = customer.ask(&buy(sold)).expect("an answer");
        assert!(bought.starts_with("Bought as number "), "round {round}: {bought}");
        assert_eq!(customer.ask(&buy(sold)), Some(bought));
        sold += 1;
    }
    // The last one fails, and the server is killed before it can do anything about it.
    faulty.fail(&["fsync", "fdatasync"], "sockeye.db");
    assert_eq!(customer.ask(&buy(sold)).as_deref(), Some(UNCERTAIN));
    drop(faulty);
    let serving = open(folder.path(), "epoll", UTF8);
    let mut customer = Customer::enter(&serving).expect("a shop");
    for number in 0..=sold {
        let bought = customer.ask(&buy(number)).expect("an answer");
        assert!(bought.starts_with("Bought as number "), "{bought}");
    }
    check(folder.path(), sold as i64 + 1);
}

#[test]
fn without_descriptors_it_lives_and_sells_again_when_there_are_some() {
    let folder = tempfile::tempdir().expect("a folder");
    stock_up(folder.path(), STOCK);
    let serving = open(folder.path(), "epoll", UTF8);
    let process = Some(Pid::from_child(&serving.program.child));
    let all = getrlimit(Resource::Nofile);
    let set = |current| {
        let limit = Rlimit {
            current,
            maximum: all.maximum,
        };
        prlimit(process, Resource::Nofile, limit).expect("a limit");
    };
    let mut first = Customer::enter(&serving).expect("a shop");
    let buy = |customer: &mut Customer| customer.ask("buy 1 西瓜").expect("an answer");
    assert!(buy(&mut first).starts_with("Bought as number 1 "));
    // What is open stays open, and nothing more.
    set(Some(3));
    assert!(
        buy(&mut first).starts_with("Bought as number 2 "),
        "its books are open"
    );
    let address = serving.address(0);
    let late = std::thread::scope(|scope| {
        let late = scope.spawn(|| Customer::at(address));
        assert!(buy(&mut first).starts_with("Bought as number 3 "));
        set(all.current);
        late.join().expect("an end")
    });
    // Who came meanwhile was waited with, or sent away; who comes now is served.
    drop(late);
    let mut other = Customer::enter(&serving).expect("a shop");
    assert!(buy(&mut other).starts_with("Bought as number 4 "));
    assert!(buy(&mut first).starts_with("Bought as number 5 "));
    check(folder.path(), 5);
}

#[test]
fn books_that_cannot_be_opened_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    stock_up(folder.path(), STOCK);
    let data = folder.path().to_string_lossy();
    let Some(faulty) = Faulty::serve(&["--data", &data, "--model", "epoll"], UTF8) else {
        return;
    };
    faulty.fail(
        &["fsync", "fdatasync", "write", "pwrite64", "ftruncate"],
        "sockeye.db",
    );
    // Its books were never open in this server.
    let apology = "抱歉,小店暂时无法记账,没有成交,请稍后再试。";
    let mut customer = Customer::greeted(faulty.serving.address(0), apology).expect("a greeting");
    let refused = customer.ask("buy 1 西瓜").expect("an answer");
    assert!(refused == UNAVAILABLE || refused == UNCERTAIN, "{refused}");
    faulty.mend();
    check(folder.path(), 0);
    let bought = customer.ask("buy 1 西瓜").expect("an answer");
    assert!(bought.starts_with("Bought as number 1 "), "{bought}");
    check(folder.path(), 1);
}
