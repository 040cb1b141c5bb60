//! Every request, and what it refuses.

use super::client::{Client, hash, models, name, plan, serve, serve_in};
use rustix::fs::{FlockOperation, flock};
use serde_json::json;
use sockeye::Model;
use sockeye_proto::frames::encode;
use sockeye_services::settings::Settings;

#[test]
fn a_whole_conversation_under_every_model() {
    for model in models() {
        eprintln!("under {model}");
        let served = serve(model, Settings::new());
        let mut client = Client::of(&served);
        let hello = client.get("hello", json!({"version": 1}));
        assert_eq!((&hello["version"], &hello["user"]), (&json!(1), &json!("local")));
        let receipt = client.small("a/s.txt", b"abc").expect("a receipt")["receipt"].clone();
        assert_eq!(receipt["hash"], hash(b"abc"));
        let big = super::client::noise(1, 100_000);
        let upload = plan(&name(1), "a/b.bin", &big);
        assert_eq!(client.get("upload", upload)["offset"], 0);
        assert_eq!(
            client.data(&name(1), 0, &big[..60_000]).expect("taken")["offset"],
            60_000
        );
        assert_eq!(
            client.data(&name(1), 60_000, &big[60_000..]).expect("taken")["offset"],
            100_000
        );
        let receipt = client.get("commit", json!({"upload": name(1)}))["receipt"].clone();
        assert_eq!(
            (&receipt["path"], &receipt["size"]),
            (&json!("a/b.bin"), &json!(100_000))
        );
        let stat = client.get("stat", json!({"path": "a/b.bin"}));
        let shown = json!({
            "path": "a/b.bin", "kind": "file", "size": 100_000, "mtime": "1000000007", "hash": hash(&big)
        });
        assert_eq!(stat, shown);
        let (answer, bytes) = client
            .download(json!({"path": "a/b.bin", "offset": 7}))
            .expect("bytes");
        assert!(bytes == big[7..] && answer["follows"] == 99_993 && answer["hash"] == hash(&big));
        let quota = client.get("quota", json!({}));
        assert_eq!(quota, json!({"used": 100_003, "reserved": 0, "limit": null}));
        let verified = client.get("verify", json!({"path": "a/b.bin"}));
        assert_eq!(
            (&verified["matches"], &verified["hash"]),
            (&json!(true), &json!(hash(&big)))
        );
        client.get("move", json!({"path": "a/b.bin", "to": "c"}));
        let list = client.get("list", json!({"path": "", "recursive": true}));
        let paths: Vec<&str> = list["entries"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|e| e["path"].as_str())
            .collect();
        assert_eq!(paths, ["a", "a/s.txt", "c"]);
        client.get("remove", json!({"path": "a", "recursive": true}));
        assert_eq!(client.get("quota", json!({}))["used"], 100_000);
        client.get("exit", json!({}));
        assert_eq!(client.frame(), None);
        assert_eq!(std::fs::read(served.file("c")).expect("the file"), big);
        assert!(
            served.pending().iter().all(|name| name.ends_with(".json")),
            "{:?}",
            served.pending()
        );
    }
}

#[test]
fn what_makes_no_sense_is_refused_and_the_dialogue_goes_on() {
    let served = serve(Model::default(), Settings::new());
    let mut client = Client::of(&served);
    client.small("file", b"x").expect("a receipt");
    client.get("mkdir", json!({"path": "folder"}));
    client.small("folder/inner", b"y").expect("a receipt");
    for (operate, about, code) in [
        ("dance", json!({}), "bad-request"),
        ("hello", json!({"version": 9}), "bad-request"),
        ("stat", json!({}), "bad-request"),
        ("stat", json!({"path": 5}), "bad-request"),
        ("stat", json!({"path": "none"}), "not-found"),
        ("stat", json!({"path": "file/below"}), "not-folder"),
        ("stat", json!({"path": "../x"}), "bad-name"),
        ("list", json!({"path": "file"}), "not-folder"),
        ("list", json!({"path": "", "after": "/"}), "bad-name"),
        ("mkdir", json!({"path": "folder"}), "exists"),
        ("mkdir", json!({"path": "none/below"}), "not-found"),
        ("mkdir", json!({"path": ""}), "bad-name"),
        ("mkdir", json!({"path": "file/x", "parents": true}), "not-folder"),
        ("remove", json!({"path": "folder"}), "not-empty"),
        ("remove", json!({"path": "none"}), "not-found"),
        ("move", json!({"path": "file", "to": "folder/inner"}), "exists"),
        (
            "move",
            json!({"path": "file", "to": "folder", "clobber": true}),
            "is-folder",
        ),
        (
            "move",
            json!({"path": "folder", "to": "folder/deeper"}),
            "bad-request",
        ),
        (
            "move",
            json!({"path": "folder", "to": "folder/inner", "clobber": true}),
            "bad-request",
        ),
        ("download", json!({"path": "folder"}), "is-folder"),
        ("download", json!({"path": "file", "offset": 2}), "bad-offset"),
        ("download", json!({"path": "file", "if": {"size": 2}}), "changed"),
        ("upload", json!({"path": "x", "size": 1}), "bad-request"),
        (
            "upload",
            json!({"path": "x", "size": 1, "upload": name(3), "sync": false}),
            "denied",
        ),
        (
            "upload",
            json!({"path": "x", "size": 1_u64 << 60, "upload": name(3)}),
            "bad-request",
        ),
        ("commit", json!({"upload": name(3)}), "not-found"),
        ("abandon", json!({"upload": name(3)}), "not-found"),
        (
            "login",
            json!({"mechanism": "SCRAM-SHA-256", "message": ""}),
            "denied",
        ),
    ] {
        assert_eq!(
            client.ask(operate, about.clone()),
            Err(code.to_owned()),
            "{operate} {about}"
        );
    }
    // What follows a refused request is read and dropped.
    client.send("stat", json!({"path": "none", "follows": 5}));
    client.raw(b"hello");
    assert_eq!(client.answer(), Err("not-found".into()));
    assert_eq!(client.data(&name(9), 0, b"bytes"), Err("not-found".into()));
    client.get(
        "move",
        json!({"path": "file", "to": "folder/inner", "clobber": true}),
    );
    assert_eq!(client.get("quota", json!({}))["used"], 1);
}

#[test]
fn who_waits_to_change_names_holds_up_nobody_else() {
    let served = serve(Model::default(), Settings::new());
    let mut first = Client::of(&served);
    first.small("a", b"abc").expect("a receipt");
    // Somebody else changes names for long.
    let root = std::fs::File::open(served.file("")).expect("the root");
    flock(&root, FlockOperation::LockExclusive).expect("a lock");
    let mut waiting: Vec<Client> = (0..12).map(|_| Client::of(&served)).collect();
    for (number, client) in waiting.iter_mut().enumerate() {
        match number % 4 {
            0 => client.send("remove", json!({"path": format!("b{number}")})),
            1 => client.send("move", json!({"path": format!("b{number}"), "to": "c"})),
            2 => client.send("mkdir", json!({"path": format!("e{number}/f"), "parents": true})),
            _ => client.send_small(&format!("d{number}"), b"x", json!({})),
        };
    }
    // What changes no names needs the same threads.
    for _ in 0..20 {
        first.get("verify", json!({"path": "a"}));
        first.get("list", json!({"path": ""}));
        Client::of(&served).get("stat", json!({"path": "a"}));
    }
    let names = std::fs::read_dir(served.file("")).expect("the root");
    assert_eq!(names.count(), 1, "nothing has come to be meanwhile");
    drop(root);
    for (number, client) in waiting.iter_mut().enumerate() {
        match number % 4 {
            2 | 3 => drop(client.answer().expect("it is done")),
            _ => assert_eq!(client.answer(), Err("not-found".into())),
        }
    }
}

#[test]
fn what_an_operator_has_put_too_deep_hurts_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let deep = folder.path().join("files/everybody").join(["d"; 100].join("/"));
    std::fs::create_dir_all(&deep).expect("folders");
    std::fs::write(deep.join("file"), "bytes").expect("a file");
    let served = serve_in(folder.path(), Model::default(), Settings::new());
    let mut client = Client::of(&served);
    assert_eq!(client.get("quota", json!({}))["used"], 5);
    let moved = client.ask("move", json!({"path": "d", "to": "e"}));
    assert_eq!(moved, Err("bad-name".into()));
    let list = client.get("list", json!({"path": "", "recursive": true}));
    assert_eq!(list["entries"].as_array().map(Vec::len), Some(64));
    client.get("remove", json!({"path": "d", "recursive": true}));
    assert_eq!(client.get("quota", json!({}))["used"], 0);
    assert_eq!(served.pending(), Vec::<String>::new());
}

#[test]
fn what_is_no_frame_is_the_end() {
    let served = serve(Model::default(), Settings::new());
    let frame = |text: &str| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    for bytes in [
        vec![0; 4],
        vec![0xff; 4],
        frame("no JSON"),
        frame("[1]"),
        frame(r#"{"id": -1, "operate": "exit"}"#),
        frame(r#"{"id": 9007199254740992, "operate": "exit"}"#),
        frame(r#"{"id": 1, "operate": "exit", "follows": 9007199254740992}"#),
    ] {
        let mut client = Client::of(&served);
        client.raw(&bytes);
        let answer = client.frame().expect("an answer");
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&json!(null), &json!("bad-frame"))
        );
        assert_eq!(client.frame(), None);
    }
    let mut client = Client::of(&served);
    client.raw(&encode(&json!({"operate": "stat", "path": "a"})).expect("a frame"));
    assert_eq!(client.frame(), None, "a request without an id gets no answer");
}

#[test]
fn folders_are_listed_in_order_and_in_pages() {
    let served = serve(Model::default(), Settings::new());
    let mut client = Client::of(&served);
    let mut expected = Vec::new();
    for folder in ["a", "a.b", "b"] {
        expected.push(folder.to_owned());
        for number in 0..30 {
            let path = format!("{folder}/{number:02}");
            std::fs::create_dir_all(served.file(folder)).expect("a folder");
            client.small(&path, b"x").expect("a receipt");
            expected.push(path);
        }
    }
    std::fs::write(served.file("b\nhidden"), "").expect("a file of the operator's");
    std::os::unix::fs::symlink("/etc", served.file("link")).expect("a link");
    for limit in [1, 7, 1000] {
        let (mut found, mut after) = (Vec::new(), json!(null));
        loop {
            let about = json!({"path": "", "recursive": true, "limit": limit, "after": after});
            let list = client.get("list", about);
            let entries = list["entries"].as_array().expect("a list");
            found.extend(
                entries
                    .iter()
                    .map(|entry| entry["path"].as_str().expect("a path").to_owned()),
            );
            match list["more"].as_bool().expect("whether there are more") {
                true => after = found.last().cloned().into(),
                false => break,
            }
        }
        assert_eq!(found, expected, "in pages of {limit}");
    }
    let list = client.get("list", json!({"path": "a", "after": "27"}));
    let hashes: Vec<_> = list["entries"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| &entry["hash"])
        .collect();
    assert_eq!(hashes, [&json!(hash(b"x")); 2]);
}
