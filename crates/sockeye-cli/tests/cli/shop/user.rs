//! A customer with an account.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::open;
use super::script::{said, say};
use crate::sockeye::{run, words};

const GUARDED: &str = "shop@tcp://127.0.0.1:0?auth=scram";

/// Makes an account; the file of its password.
fn user(data: &Path, name: &str) -> String {
    let file = data.join(format!("{name}.password"));
    fs::write(&file, format!("the password of {name}")).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("its owner's alone");
    let file = file.to_string_lossy().into_owned();
    let data = data.to_string_lossy();
    let output = run(&["user", "--data", &data, "add", name, "--password-file", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    file
}

#[test]
fn a_balance_outlives_the_visit_and_the_server() {
    for model in ["process", "epoll"] {
        let folder = tempfile::tempdir().expect("a folder");
        let [ann, bob] = ["ann", "bob"].map(|name| user(folder.path(), name));
        let listener = format!("{GUARDED}&top-up=false");
        for (listener, name, file, lines, answers) in [
            (
                GUARDED,
                "ann",
                &ann,
                "buy 1 西瓜\ntop up 5\nbuy 1 西瓜 #k\n",
                "Sorry, that is 2, and your balance is 0.\nTopped up; balance 5.\nBought as number 2 for 2; balance 3.\n",
            ),
            (
                GUARDED,
                "ann",
                &ann,
                "buy 1 西瓜 #k\nbalance\n",
                "Bought as number 2 for 2; balance 3.\nBalance 3.\n",
            ),
            (
                GUARDED,
                "bob",
                &bob,
                "balance\nrefund 2\n",
                "Balance 0.\nSorry, you made no purchase of number 2.\n",
            ),
            (GUARDED, "ann", &ann, "refund 2\n", "Refunded 2; balance 5.\n"),
            (
                &listener,
                "bob",
                &bob,
                "top up 1\n",
                "Sorry, money is not taken here; ask the keeper of the shop.\n",
            ),
        ] {
            let serving = open(folder.path(), model, listener);
            let output = say(
                &[serving.address(0), "--user", name, "--password-file", file],
                lines,
            );
            assert_eq!(said(&output), answers, "{}", words(&output));
        }
    }
}

#[test]
fn who_may_owe_is_the_keeper_s_choice_and_a_stranger_stays_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let ann = user(folder.path(), "ann");
    let serving = open(folder.path(), "epoll", &format!("{GUARDED}&credit=true"));
    let output = say(
        &[serving.address(0), "--user", "ann", "--password-file", &ann],
        "西瓜\n",
    );
    assert_eq!(said(&output), "购买成功,余额 -2\n", "{}", words(&output));
    let output = say(
        &[serving.address(0), "--user", "bob", "--password-file", &ann],
        "西瓜\n",
    );
    assert_eq!(
        (output.status.code(), said(&output).as_str()),
        (Some(1), ""),
        "{}",
        words(&output)
    );
    let data = folder.path().to_string_lossy();
    let output = run(&["shop", "admin", "--data", &data, "top-up", "ann", "12"]);
    assert_eq!(said(&output), "ann has 10\n");
}
