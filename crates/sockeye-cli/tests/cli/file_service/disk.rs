//! A disk that is full.

use serde_json::json;

use super::{Client, OPEN, WAYS, hash};
use crate::serve::Serving;

/// A file system of a megabyte for the files, seen by the server alone.
const SMALL: &str = "mkdir -p \"$0/files\" && mount -t tmpfs -o size=1m none \"$0/files\" && exec \"$@\"";

#[test]
fn a_full_disk_is_told_and_survived() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can mount a small file system");
        return;
    }
    WAYS.into_iter().for_each(full_disk);
}

fn full_disk(sync: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().to_string_lossy();
    let serving = Serving::apart(SMALL, &at, OPEN);
    let mut client = Client::at(serving.address(0)).expect("a server");

    // A large file: what came before the end of the disk is given up, and the connection goes on.
    let bytes = vec![5; 2 << 20];
    let name = "ab".repeat(16);
    let plan =
        json!({"upload": name, "path": "large", "size": bytes.len(), "mtime": "7", "hash": hash(&bytes)});
    client.ask("upload", plan).expect("an answer").expect("it begins");
    client
        .send(
            "data",
            json!({"upload": name, "offset": 0, "follows": bytes.len()}),
        )
        .and_then(|()| client.raw(&bytes))
        .expect("sent");
    assert_eq!(client.answer().expect("an answer").1, Err("space".to_owned()));
    let stat = client.ask("stat", json!({"path": "large"})).expect("an answer");
    assert_eq!(stat, Err("not-found".to_owned()), "nothing partial is to be seen");
    let abandoned = client.ask("abandon", json!({"upload": name})).expect("an answer");
    abandoned.expect("it is forgotten");

    // Small ones, until there is no room; each is there as a whole or not at all.
    let (mut kept, mut refused) = (0, 0);
    for number in 0..40 {
        client
            .send_small(&format!("s{number}"), &[7; 50_000], sync)
            .expect("sent");
        match client.answer().expect("an answer").1 {
            Ok(_) => kept += 1,
            Err(code) => {
                assert_eq!(code, "space");
                refused += 1;
            }
        }
    }
    assert!(kept > 5 && refused > 5, "{kept} kept, {refused} refused");
    let quota = client
        .ask("quota", json!({}))
        .expect("an answer")
        .expect("a quota");
    assert_eq!(
        quota,
        json!({"used": kept * 50_000, "reserved": 0, "limit": null})
    );

    // With room again it goes on.
    client
        .ask("remove", json!({"path": "s0"}))
        .expect("an answer")
        .expect("removed");
    client.send_small("again", &[7; 40_000], sync).expect("sent");
    client.answer().expect("an answer").1.expect("a receipt");
}
