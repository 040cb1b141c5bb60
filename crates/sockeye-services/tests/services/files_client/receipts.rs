//! A receipt is compared with what was sent.

use super::standin::{Fault, Standin};
use super::{User, names};
use sockeye_proto::files::{Hash, Receipt};
use sockeye_services::files::client::Failure;
use sockeye_services::files::client::put::How;

const MIB: usize = 1 << 20;

/// What a receipt says instead.
type Lie = fn(&mut Receipt);

#[test]
fn a_receipt_of_something_else_is_a_failure() {
    let lies: [(Lie, &str); 4] = [
        (|receipt| receipt.hash = Hash([0; 32]), "the hash 0000"),
        (|receipt| receipt.size += 1, "bytes with the hash"),
        (
            |receipt| receipt.path = "else\u{9b}where".to_owned(),
            "its path is else\\u{9b}where",
        ),
        (|receipt| receipt.durable = false, "it isn't on the disk"),
    ];
    for (name, size) in [("small", 1000), ("middle", 3 * MIB), ("large", 17 * MIB)] {
        for (lie, expected) in lies {
            let service = Standin::start();
            let user = User::of(&service);
            user.file(name, size);
            service.fail(Fault::Receipt(lie));
            user.put(&[(name, name)], 3).expect("all was tried");
            let failure = user.heard.only().result.expect_err("a lie");
            assert!(failure.to_string().contains(expected), "{name}: {failure}");
            assert!(
                matches!(failure, Failure::Ours(_)),
                "another try is of no use: {failure}"
            );
            // Of what is there already, too.
            service.fail(Fault::Receipt(lie));
            user.put(&[(name, name)], 0).expect("all was tried");
            user.heard.only().result.expect_err("a lie");
            user.put(&[(name, name)], 0).expect("the truth");
            user.heard.all_is_well(1);
        }
    }
}

#[test]
fn what_need_not_be_on_the_disk_may_be_elsewhere_and_what_must_is_sent_for_that() {
    let service = Standin::start();
    let user = User::of(&service);
    user.file("f", 40 * MIB);
    let how = |sync| How { clobber: false, sync };
    service.fail(Fault::Cut(17 * MIB as u64));
    user.put_as(&[("f", "f")], 0, how(false)).expect("all was tried");
    user.heard.only().result.expect_err("cut");
    user.put_as(&[("f", "f")], 0, how(true)).expect("sent");
    let kept = user.heard.only().result.expect("kept");
    assert_eq!(
        (kept.from, kept.durable),
        (0, true),
        "the first one would never be on the disk"
    );
    assert_eq!(service.state().abandoned, 1);

    user.file("g", 10);
    user.put_as(&[("g", "g")], 0, how(false)).expect("sent");
    assert!(!user.heard.only().result.expect("kept").durable);
    assert!(names(&user.path("notes/uploads")).is_empty());
}
