//! A disk that is full.

use std::fs;
use std::path::PathBuf;

use super::{Customer, UTF8};
use crate::serve::Serving;

/// A small file system with a ballast that can be thrown out, seen by the server alone.
const SMALL: &str =
    "mount -t tmpfs -o size=3m none \"$0\" && head -c 1m /dev/zero > \"$0/ballast\" && exec \"$@\"";

#[test]
fn a_full_disk_is_told_and_survived() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can mount a small file system");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().to_string_lossy();
    let serving = Serving::apart(SMALL, &at, UTF8);
    let mut customer = Customer::enter(&serving).expect("a shop");
    let mut bought = 0;
    let refusal = loop {
        match customer.ask("buy 1 瓜子").expect("an answer") {
            answer if answer.starts_with("Bought") => bought += 1,
            other => break other,
        }
        assert!(bought < 1000, "1000 goods and 3 MiB have no end");
    };
    let words = "Sorry, the books can't be written at the moment, so nothing was done; try again later.";
    assert_eq!(refusal, words);
    assert!(bought > 0);
    // It lives: what needs no room is answered, to others too.
    let balance = format!(
        "Balance {}.",
        sockeye_proto::money::Money::from_cents(-450 * bought)
    );
    assert_eq!(customer.ask("balance").as_deref(), Some(balance.as_str()));
    let mut other = Customer::enter(&serving).expect("a shop");
    let left = format!("瓜子(4.5) {} left", 1000 - bought);
    assert!(other.ask("list").expect("an answer").contains(&left));
    // With room again, it sells again.
    let ballast = format!("/proc/{}/root{at}/ballast", serving.program.child.id());
    fs::remove_file(PathBuf::from(ballast)).expect("the ballast");
    let answer = customer.ask("buy 1 瓜子").expect("an answer");
    let number = format!("Bought as number {} for 4.5;", bought + 1);
    assert!(answer.starts_with(&number), "{answer}");
}
