//! The tutorial's client, as a Python program.

use super::client::{Client, Served, serve, serve_patiently};
use serde_json::json;
use sockeye::Model;
use sockeye_proto::frames::encode;
use sockeye_services::settings::Settings;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

/// Sends two frames and the bytes, and reads nothing.
const PROGRAM: &str = r#"
import json, socket, struct, sys
host, port, user, name, size = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])
def frame(value):
    text = json.dumps(value, ensure_ascii=False).encode("utf-8")
    return struct.pack("<I", len(text)) + text
peer = socket.create_connection((host, port))
peer.sendall(frame({"operate": "upload", "user": user}))
peer.sendall(frame({"filename": name, "filesize": size}))
try:
    peer.sendall(b"x" * size)
    peer.shutdown(socket.SHUT_WR)
    while peer.recv(4096): pass
except OSError:
    pass
"#;

fn upload(served: &Served, user: &str, name: &str, size: usize) {
    let at = served.endpoint.host_port().expect("an IP address").to_string();
    let (host, port) = at.rsplit_once(':').expect("a port");
    let mut python = Command::new("python3");
    let python = python.args(["-c", PROGRAM, host, port, user, name, &size.to_string()]);
    assert!(python.status().expect("python3 starts").success());
}

#[test]
fn its_files_come_where_they_are_allowed() {
    for model in super::client::models() {
        eprintln!("under {model}");
        let settings = Settings::new()
            .set("anonymous", "true")
            .set("anonymous-quota", "1000000");
        let served = serve(model, settings);
        let folder = served.data.join("files/anonymous");
        upload(&served, "xiaoming", "电影.mp4", 300_000);
        let path = folder.join("xiaoming/电影.mp4");
        assert_eq!(std::fs::read(&path).expect("the file"), [b'x'; 300_000]);
        upload(&served, "xiaoming", "电影.mp4", 1000);
        assert_eq!(std::fs::metadata(&path).expect("the file").len(), 1000);
        for (user, name) in [
            ("..", "x"),
            ("a/b", "x"),
            ("xiaoming", "../../etc/passwd"),
            ("", "x"),
            ("xiaoming", ""),
        ] {
            upload(&served, user, name, 10);
        }
        upload(&served, "xiaoming", "too-much", 1_000_000);
        let names: Vec<_> = std::fs::read_dir(&folder).expect("a folder").collect();
        assert_eq!(names.len(), 1);
        assert_eq!(
            std::fs::read_dir(folder.join("xiaoming"))
                .expect("a folder")
                .count(),
            1
        );
        assert_eq!(served.pending_of("*anonymous"), Vec::<String>::new());
        assert_eq!(
            Client::of(&served).get("quota", json!({}))["used"],
            0,
            "no account has its files"
        );
    }
}

#[test]
fn one_that_trickles_is_given_up_and_so_is_its_room() {
    let settings = Settings::new()
        .set("anonymous", "true")
        .set("anonymous-quota", "4MiB");
    let served = serve_patiently(Duration::from_secs(2), settings);
    let mut client = Client::of(&served);
    client.raw(&encode(&json!({"operate": "upload", "user": "xiaoming"})).expect("a frame"));
    client.raw(&encode(&json!({"filename": "slow.mp4", "filesize": 3 << 20})).expect("a frame"));
    // This much comes in time, but on a machine that has none for it: then it is given up before.
    let much = [&vec![b'x'; 1 << 20][..], b"and"].concat();
    let _ = client.stream.write_all(&much);
    assert!(client.frame().is_none(), "it is closed");
    let folder = served.data.join("files");
    assert!(!folder.join("anonymous/xiaoming").exists());
    // Each of its words is given as long.
    let fast = folder.join("anonymous/xiaoming/fast.mp4");
    let comes = |_| {
        upload(&served, "xiaoming", "fast.mp4", 2 << 20);
        fast.exists()
    };
    assert!((0..40).any(comes));
    assert_eq!(served.pending_of("*anonymous"), Vec::<String>::new());
}

#[test]
fn nobody_holds_room_that_he_does_not_fill() {
    let settings = Settings::new()
        .set("anonymous", "true")
        .set("anonymous-quota", "4MiB");
    let served = serve(Model::default(), settings);
    let begin = || {
        let mut client = Client::of(&served);
        client.raw(&encode(&json!({"operate": "upload", "user": "hog"})).expect("a frame"));
        client.raw(&encode(&json!({"filename": "huge.mp4", "filesize": 4 << 20})).expect("a frame"));
        client.raw(b"x");
        client
    };
    let under_way = || {
        let pending = served.pending_of("*anonymous");
        pending.iter().filter(|name| name.starts_with("old-")).count()
    };
    let wait_for = |count| {
        while under_way() != count {
            std::thread::yield_now();
        }
    };
    let _hog = begin();
    wait_for(1);
    upload(&served, "xiaoming", "a.mp4", 2 << 20);
    let folder = served.data.join("files/anonymous/xiaoming");
    assert!(folder.join("a.mp4").exists(), "what was only announced is free");
    // Of one that has filled the rest nothing is kept, though more is to come.
    let mut other = begin();
    wait_for(2);
    other.raw(&vec![b'x'; 1 << 20]);
    wait_for(1);
    upload(&served, "xiaoming", "b.mp4", 1 << 20);
    assert!(folder.join("b.mp4").exists(), "what was refused is free");
}

#[test]
fn it_is_sent_away_elsewhere() {
    let served = serve(Model::default(), Settings::new());
    upload(&served, "xiaoming", "a.mp4", 10);
    assert!(!served.data.join("files/anonymous").exists());
}
