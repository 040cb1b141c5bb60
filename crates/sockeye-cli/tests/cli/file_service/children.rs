//! One connection's process is killed, and the server goes on.

use std::fs;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{Client, WAYS};
use crate::dice::Dice;
use crate::serve::Serving;
use crate::sockeye::PATIENCE;

const LIMIT: usize = 16 << 20;
const PIECE: usize = 300_000;
/// Small files of which some have been answered when it is killed, some have got their names, and some are on their way.
const BURST: usize = 20;
const ROUNDS: u64 = 12;

/// The processes whose parent is this one.
fn children(parent: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).expect("a process");
    let of_task = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let lists: Vec<String> = tasks.flatten().map(of_task).collect();
    let pids = lists.iter().flat_map(|list| list.split_whitespace());
    pids.map(|pid| pid.parse().expect("a number")).collect()
}

fn sum_of(folder: &std::path::Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries.map(|entry| entry.metadata().expect("a file").len()).sum()
}

#[test]
fn what_a_killed_connection_had_reserved_is_free_while_the_server_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, mut dice) = (folder.path().to_string_lossy(), Dice::new());
    let listener = format!("files@tcp://127.0.0.1:0?auth=none&no-sync=true&quota={LIMIT}");
    let serving = Serving::start(&["--data", &data, "--model", "process"], &[&listener]);
    let root = folder.path().join("files/everybody");
    for round in 0..ROUNDS {
        let sync = WAYS[round as usize % WAYS.len()];
        let mut client = Client::at(serving.address(0)).expect("a server");
        for number in 0..BURST {
            client
                .send_small(&format!("f{number}"), &[7; PIECE], sync)
                .expect("sent");
        }
        // And one that stays in the middle.
        let about = json!({"path": "half", "size": PIECE, "mtime": "7", "follows": PIECE, "sync": sync});
        client
            .send("upload", about)
            .and_then(|()| client.raw(&[7; PIECE / 2]))
            .expect("sent");
        for _ in 0..dice.below(BURST as u64) {
            client.answer().expect("an answer").1.expect("a receipt");
        }
        let [acceptor] = children(serving.program.child.id())[..] else {
            panic!("there is one process that accepts");
        };
        for child in children(acceptor) {
            let pid = Pid::from_raw(child.cast_signed()).expect("a process");
            let _ = kill_process(pid, Signal::KILL); // that of the client before may have ended by itself
        }
        while client.answer().is_some() {}
        let until = Instant::now() + PATIENCE;
        while !children(acceptor).is_empty() {
            assert!(Instant::now() < until, "it lives on");
            std::thread::yield_now();
        }

        // The next client has all that the files leave, to the byte.
        let mut client = Client::at(serving.address(0)).expect("the server goes on");
        let usage = client
            .ask("quota", json!({}))
            .expect("an answer")
            .expect("a quota");
        let used = sum_of(&root);
        assert_eq!(
            usage,
            json!({"used": used, "reserved": 0, "limit": LIMIT}),
            "round {round}"
        );
        let mut left = LIMIT as u64 - used;
        let mut number = 0;
        while left > 0 {
            let size = left.min(1 << 20);
            client
                .send_small(&format!("g{number}"), &vec![1; size as usize], false)
                .expect("sent");
            client.answer().expect("an answer").1.expect("there is room");
            (left, number) = (left - size, number + 1);
        }
        client.send_small("one", b"1", false).expect("sent");
        assert_eq!(client.answer().expect("an answer").1, Err("quota".to_owned()));
        for entry in fs::read_dir(&root).expect("a folder").flatten() {
            let path = entry.file_name().into_string().expect("a name");
            client
                .ask("remove", json!({"path": path}))
                .expect("an answer")
                .expect("removed");
        }
    }
}
