//! A peer that doesn't do its part is not waited for without end.

use super::behaviours;
use crate::client::{exchange, expect_no_more, receive_to_end, send, try_exchange};
use crate::process_facts::eventually;
use crate::served::Served;
use crate::spec::Spec;
use sockeye::Model;
use std::io::Write;

behaviours![
    a_peer_that_never_reads_is_given_up,
    a_peer_that_never_reads_a_file_is_given_up,
    a_peer_that_never_says_anything_is_given_up,
    both_ends_writing_hold_up_nobody_else,
];

fn expect_send_timeout(served: &mut Served, id: u64) {
    let reason = served.wait_for_closed_of(id).reason;
    assert!(reason.starts_with("timed out: send tcp://127.0.0.1:"), "{reason}");
    assert!(reason.ends_with("timed out after 300ms"), "{reason}");
}

fn a_peer_that_never_reads_is_given_up(model: Model) {
    let mut served = Served::of(&Spec::new(model, "moody").with("write", 300));
    let before = served.baseline();
    let lazy = served.connect();
    send(&lazy, b"spew");
    served.expect_alive();
    // In whichever order the two end: the first was the baseline's.
    assert_eq!(served.wait_for_closed_of(3).reason, "finished");
    expect_send_timeout(&mut served, 2);
    served.expect_alive();
    served.expect_back_at(before);
    drop(lazy);
}

fn a_peer_that_never_reads_a_file_is_given_up(model: Model) {
    // More than the kernel keeps for anybody, though nothing of it is on the disk.
    const LENGTH: u64 = 64 << 20;
    let file = tempfile::NamedTempFile::new().expect("a file");
    file.as_file().set_len(LENGTH).expect("a hole takes no room");
    let spec = Spec::new(model, "file").with("argument", file.path().display());
    let mut served = Served::of(&spec.with("write", 300));
    let lazy = served.connect();
    send(&lazy, format!("0 {LENGTH}\n"));
    let reason = served.wait_for_closed().reason;
    assert!(
        reason.starts_with("timed out: send file tcp://127.0.0.1:"),
        "{reason}"
    );
    assert!(reason.ends_with("timed out after 300ms"), "{reason}");
}

fn a_peer_that_never_says_anything_is_given_up(model: Model) {
    let mut served = Served::of(&Spec::new(model, "echo").with("idle", 300));
    let before = served.baseline();
    let silent = served.connect();
    // A machine that has no time for this test may be late with the words: that one is given up as well, and the next
    // one talks.
    let talks = || {
        let client = served.connect();
        try_exchange(&client, b"hello, and then nothing").then_some(client)
    };
    let talkative = eventually("talked in time", talks, Option::is_some);
    for client in [silent, talkative.expect("one that talked")] {
        assert!(receive_to_end(&client).is_empty());
        let reason = served.wait_for_closed().reason;
        assert!(reason.starts_with("timed out: recv tcp://127.0.0.1:"), "{reason}");
        assert!(reason.ends_with("timed out after 300ms"), "{reason}");
    }
    served.expect_back_at(before);
}

fn both_ends_writing_hold_up_nobody_else(model: Model) {
    let mut served = Served::of(&Spec::new(model, "moody").with("write", 300));
    let mut stubborn = served.connect();
    send(&stubborn, b"spew");
    let writer = std::thread::spawn(move || {
        let broken = loop {
            if let Err(error) = stubborn.write(&[b'y'; 100_000]) {
                break error;
            }
        };
        expect_no_more(&stubborn);
        broken
    });
    let bystander = served.connect();
    while !writer.is_finished() {
        exchange(&bystander, b"I am served meanwhile");
    }
    let broken = writer.join().expect("the writer's own thread");
    let expected = [
        std::io::ErrorKind::ConnectionReset,
        std::io::ErrorKind::BrokenPipe,
    ];
    assert!(expected.contains(&broken.kind()), "{broken}");
    expect_send_timeout(&mut served, 1);
}
