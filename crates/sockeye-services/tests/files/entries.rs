//! How many files and folders there may be.

use super::client::{Client, name, plan, serve_in};
use serde_json::json;
use sockeye::Model;
use sockeye_services::settings::Settings;

/// What there may be however few bytes may be kept.
const MOST: usize = 1000;

#[test]
fn empty_files_and_folders_have_a_limit_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = || Settings::new().set("quota", "4").set("no-sync", "true");
    let full = || Err("quota".to_owned());
    {
        let served = serve_in(folder.path(), Model::default(), settings());
        let mut client = Client::of(&served);
        client.get("mkdir", json!({"path": "a/b/c", "parents": true}));
        // The folder of the files is one, and there is room for one more.
        let files = MOST - 3 - 1 - 1;
        for number in 0..files {
            client.send_small(&format!("d/{number}"), b"", json!({"sync": false}));
        }
        for _ in 0..files {
            let answer = client.frame().expect("an answer");
            assert!(answer.get("ok").is_some(), "{answer}");
        }
        let two = client.ask("mkdir", json!({"path": "e/f", "parents": true}));
        assert_eq!(two, full());
        client.get("stat", json!({"path": "e"})); // so far there was room
        assert_eq!(client.ask("mkdir", json!({"path": "f"})), full());
        assert_eq!(client.ask("mkdir", json!({"path": "e"})), Err("exists".into()));
        client.get("mkdir", json!({"path": "a/b/c", "parents": true}));
        assert_eq!(client.small("f", b""), full());
        assert_eq!(client.small("d/0", b"x"), Err("exists".into()));
        client.send_small("d/0", b"x", json!({"clobber": true}));
        client.answer().expect("it takes another's place");
        // One that comes in pieces waits for room.
        client.get("upload", plan(&name(1), "g", b"y"));
        client.data(&name(1), 0, b"y").expect("taken");
        assert_eq!(client.ask("commit", json!({"upload": name(1)})), full());
        client.get("move", json!({"path": "d/1", "to": "d/2", "clobber": true}));
        client.get("upload", plan(&name(1), "g", b"y"));
        client.get("commit", json!({"upload": name(1)}));
    }
    // Another server counts the same.
    let served = serve_in(folder.path(), Model::default(), settings());
    let mut client = Client::of(&served);
    assert_eq!(client.small("f", b""), full());
    client.get("remove", json!({"path": "a", "recursive": true}));
    client.get("remove", json!({"path": "e"}));
    client.get("remove", json!({"path": "d/3"}));
    for number in 0..5 {
        client
            .small(&format!("f{number}"), b"")
            .expect("as many are gone");
    }
    assert_eq!(client.small("f", b""), full());
    assert_eq!(client.get("quota", json!({}))["used"], 2);
}
