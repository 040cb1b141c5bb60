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

/// Each login derives a key, which takes seconds of a debug build: so there are two, and all is asked in them.
#[test]
fn a_balance_outlives_the_visit_and_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let ann = user(folder.path(), "ann");
    let data = folder.path().to_string_lossy();
    for (model, options, lines, answers) in [
        (
            "process",
            "",
            "buy 1 西瓜\ntop up 5\nbuy 1 西瓜 #k\n西瓜\n瓜子\n",
            "Sorry, that is 2, and your balance is 0.\nTopped up; balance 5.\nBought as number 2 for 2; balance 3.\n\
             购买成功,余额 1\n抱歉,余额不足:需要 4.5,余额 1。\n",
        ),
        (
            "epoll",
            "&top-up=false&credit=true",
            "buy 1 西瓜 #k\nbalance\nrefund 3\n瓜子\ntop up 1\n",
            "Bought as number 2 for 2; balance 3.\nBalance 1.\nRefunded 2; balance 3.\n购买成功,余额 -1.5\n\
             Sorry, money is not taken here; ask the keeper of the shop.\n",
        ),
    ] {
        let serving = open(folder.path(), model, &format!("{GUARDED}{options}"));
        let output = say(
            &[serving.address(0), "--user", "ann", "--password-file", &ann],
            lines,
        );
        assert_eq!(said(&output), answers, "{}", words(&output));
    }
    let output = run(&["shop", "admin", "--data", &data, "top-up", "ann", "12"]);
    assert_eq!(said(&output), "ann has 10.5\n");
}
