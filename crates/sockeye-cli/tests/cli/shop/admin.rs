//! The keeper of a shop.

use std::path::Path;
use std::process::Output;

use super::{Customer, UTF8, open};
use crate::sockeye::{run, words};

fn admin(data: &Path, args: &[&str]) -> Output {
    let data = data.to_string_lossy();
    run(&[&["shop", "admin", "--data", &data], args].concat())
}

#[test]
fn goods_change_beside_a_server_that_runs() {
    for model in ["process", "epoll"] {
        let folder = tempfile::tempdir().expect("a folder");
        let serving = open(folder.path(), model, UTF8);
        let mut customer = Customer::enter(&serving).expect("a shop");
        for (args, line) in [
            (&["add", "green tea", "3.05", "1"][..], "  green tea   3.05     1"),
            (&["price", "西瓜", "2.5"], "  西瓜    2.5  1000"),
            (&["restock", "西瓜", "-990"], "  西瓜    2.5    10"),
        ] {
            let output = admin(folder.path(), args);
            assert_eq!(output.status.code(), Some(0), "{}", words(&output));
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(said.lines().any(|said| said == line), "{said}");
        }
        assert_eq!(customer.ask("green tea").as_deref(), Some("购买成功,余额 -3.05"));
        assert_eq!(
            customer.ask("buy 11 西瓜").as_deref(),
            Some("Sorry, only 10 of 西瓜 left.")
        );
        assert_eq!(
            customer.ask("buy 10 西瓜").as_deref(),
            Some("Bought as number 2 for 25; balance -28.05.")
        );
        let report = admin(folder.path(), &["report"]);
        let said = String::from_utf8_lossy(&report.stdout).into_owned();
        for line in [
            "  green tea   3.05     0     1",
            "2 deals; taken 28.05, paid in 0, owed by customers 28.05",
            "the books agree",
        ] {
            assert!(said.lines().any(|said| said == line), "{said}");
        }
        let report = admin(folder.path(), &["report", "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&report.stdout).expect("JSON");
        assert_eq!((&json["takings"], &json["right"]), (&2805.into(), &true.into()));
        assert_eq!(json["goods"][1]["stock"], 0);
    }
}

#[test]
fn a_keeper_is_told_what_cannot_be() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(open(folder.path(), "epoll", UTF8));
    for (args, code, told) in [
        (&["price", "rocket", "1"][..], 1, "there is no good `rocket`"),
        (&["add", "西瓜", "1"], 1, "it is on sale already"),
        (&["restock", "西瓜", "-1001"], 1, "1000 are there"),
        (&["price", "西瓜", "-1"], 2, "a price is from 0"),
        (&["add", "7up", "1"], 2, "is no name for a good"),
        (&["add", "list", "1"], 2, "is no name for a good"),
        (&["price", "西瓜", "cheap"], 2, "is no amount"),
        (&["top-up", "ann", "0"], 2, "more than 0"),
        (&["top-up", "ann", "20.5"], 1, "there is no user `ann`"),
    ] {
        let output = admin(folder.path(), args);
        assert_eq!(output.status.code(), Some(code), "{args:?} {}", words(&output));
        assert!(words(&output).contains(told), "{}", words(&output));
    }
}

#[test]
fn a_second_server_is_kept_out_of_the_books() {
    let folder = tempfile::tempdir().expect("a folder");
    let _serving = open(folder.path(), "process", UTF8);
    let output = run(&["serve", "--data", &folder.path().to_string_lossy(), UTF8]);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("another server"), "{}", words(&output));
}
