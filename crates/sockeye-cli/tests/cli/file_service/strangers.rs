//! Peers that mean no good, and too many of them.

use std::fs;

use rustix::process::{Resource, Rlimit};
use serde_json::json;
use sockeye_proto::frames::encode;

use super::{Client, OPEN, WAYS};
use crate::serve::Serving;

const PEERS: usize = 1000;
/// As much as each that stops in the middle of a small file has sent.
const STOPPED: usize = (1 << 20) - 1;
/// The most that all peers together may cost, in bytes: 25 KiB each are their connections.
const COST: u64 = 80 << 20;

/// How much memory a process has, in bytes.
fn memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .expect("its memory");
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .expect("a number")
        .parse()
        .expect("a number");
    kib << 10
}

#[test]
fn a_thousand_peers_that_declare_4_gib_cost_next_to_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_string_lossy();
    let serving = Serving::start(&["--data", &data, "--model", "epoll"], &[OPEN]);
    let mut first = Client::at(serving.address(0)).expect("a server");
    first.send_small("warm", b"up", true).expect("sent");
    first.answer().expect("an answer").1.expect("a receipt");
    let before = memory(serving.program.child.id());
    let mut peers = Vec::new();
    for number in 0..PEERS {
        let mut peer = Client::at(serving.address(0)).expect("room");
        match number % 5 {
            // A frame that is just allowed, and hardly begun.
            0 => peer.raw(&65_536_u32.to_le_bytes()).and_then(|()| peer.raw(b"{")),
            1 => peer.raw(&u32::MAX.to_le_bytes()),
            2 => {
                let name = format!("{number:032x}");
                let plan = json!({
                    "upload": name, "path": format!("f{number}"), "size": 1_u64 << 32, "mtime": "0", "hash": null
                });
                peer.ask("upload", plan).expect("an answer").expect("it begins");
                peer.send("data", json!({"upload": name, "offset": 0, "follows": 1_u64 << 32}))
            }
            3 => {
                // All of these together would be 200 MiB.
                let about = json!({
                    "path": format!("s{number}"), "size": STOPPED + 1, "mtime": "0", "hash": null, "follows": STOPPED + 1,
                    "sync": false
                });
                peer.send("upload", about).and_then(|()| peer.raw(&[7; STOPPED]))
            }
            _ => {
                let frame = json!({"id": 1, "operate": "stat", "path": "x", "follows": 1_u64 << 32});
                peer.raw(&encode(&frame).expect("a frame")).and_then(|()| peer.raw(b"some"))
            }
        }
        .expect("sent");
        peers.push(peer);
    }
    // Whoever is served after them knows that they were, too.
    first.send_small("more", b"still", true).expect("sent");
    first.answer().expect("an answer").1.expect("a receipt");
    let grown = memory(serving.program.child.id()).saturating_sub(before);
    assert!(grown < COST, "{grown} bytes");
    drop(peers);
}

#[test]
fn without_descriptors_it_refuses_and_lives() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_string_lossy();
    let serving = Serving::start(&["--data", &data, "--model", "epoll"], &[OPEN]);
    let address = serving.address(0);
    let mut client = Client::at(address).expect("a server");
    client.send_small("before", b"x", true).expect("sent");
    client.answer().expect("an answer").1.expect("a receipt");
    // What is open stays open, and nothing more.
    let process = rustix::process::Pid::from_child(&serving.program.child);
    let all = rustix::process::getrlimit(Resource::Nofile);
    let set = |current| {
        let limit = Rlimit {
            current,
            maximum: all.maximum,
        };
        rustix::process::prlimit(Some(process), Resource::Nofile, limit).expect("a limit");
    };
    set(Some(3));
    for (path, sync) in ["a", "b"]
        .into_iter()
        .flat_map(|path| WAYS.map(|sync| (path, sync)))
    {
        client.send_small(path, b"x", sync).expect("sent");
        assert_eq!(client.answer().expect("an answer").1, Err("busy".to_owned()));
    }
    let listed = client.ask("list", json!({"path": ""})).expect("an answer");
    assert_eq!(listed, Err("busy".to_owned()));
    set(all.current);
    for (path, sync) in ["a", "b"].into_iter().zip(WAYS) {
        client.send_small(path, b"x", sync).expect("sent");
        client.answer().expect("an answer").1.expect("a receipt");
    }
}
