//! Many small files without waiting for answers.

use super::client::{Client, hash, merge, models, outcome, serve};
use serde_json::{Value, json};
use sockeye::Model;
use sockeye_services::settings::Settings;

/// Whether the disk is waited for: files take another way to it where nobody does.
const WAYS: [bool; 2] = [true, false];

fn lenient() -> Settings {
    Settings::new().set("no-sync", "true")
}

fn small(
    client: &mut Client,
    path: &str,
    bytes: &[u8],
    mut more: Value,
    sync: bool,
) -> Result<Value, String> {
    merge(&mut more, json!({"sync": sync}));
    client.send_small(path, bytes, more);
    client.answer()
}

#[test]
fn thousands_are_sent_at_once_and_answered_in_order() {
    for (model, sync) in models().flat_map(|model| WAYS.map(|sync| (model, sync))) {
        eprintln!("under {model}, sync {sync}");
        let served = serve(model, lenient());
        let mut client = Client::of(&served);
        let mut writer = client.twin();
        let sender = std::thread::spawn(move || {
            for number in 0..600_u32 {
                let more = if number % 100 == 99 {
                    json!({"sync": sync, "hash": hash(b"other")})
                } else {
                    json!({"sync": sync})
                };
                writer.send_small(&format!("d{}/f{number}", number % 7), &number.to_le_bytes(), more);
            }
            writer.send("quota", json!({}));
        });
        for number in 0..600_u32 {
            let answer = client.frame().expect("an answer");
            assert_eq!(answer["id"], number + 1);
            match outcome(&answer) {
                Ok(ok) => {
                    assert_eq!(ok["receipt"]["hash"], hash(&number.to_le_bytes()));
                    assert_eq!(ok["receipt"].get("durable").is_none(), sync, "{ok}");
                }
                Err(code) => assert!(number % 100 == 99 && code == "mismatch", "{number}: {code}"),
            }
        }
        let quota = client.frame().expect("an answer");
        assert_eq!(
            quota["ok"],
            json!({"used": 4 * 594, "reserved": 0, "limit": null})
        );
        sender.join().expect("all is sent");
        assert_eq!(
            std::fs::read(served.file("d6/f6")).expect("a file"),
            6_u32.to_le_bytes()
        );
        assert_eq!(served.pending(), Vec::<String>::new());
    }
}

/// More than a batch; so one is on its way when the next one is collected.
const SENT: usize = 300;

#[test]
fn who_stops_in_the_middle_of_a_file_has_the_answers_of_those_before_it() {
    for (model, sync) in models().flat_map(|model| WAYS.map(|sync| (model, sync))) {
        eprintln!("under {model}, sync {sync}");
        let served = serve(model, lenient());
        let mut client = Client::of(&served);
        let path = |number: usize| format!("d{}/f{number}", number % 7);
        for number in 0..SENT {
            client.send_small(&path(number), b"bytes", json!({"sync": sync}));
        }
        let about = json!({"path": "last", "size": 2, "mtime": "7", "follows": 2, "sync": sync});
        client.send("upload", about);
        client.raw(b"x");
        for number in 0..SENT {
            let answer = client.frame().expect("an answer");
            assert_eq!(answer["id"], number + 1);
            outcome(&answer).expect("a receipt");
            assert!(served.file(&path(number)).exists());
        }
        client.raw(b"y");
        client.answer().expect("a receipt");
    }
}

#[test]
fn what_another_connection_removes_before_it_is_counted_is_counted_by_nobody() {
    for sync in WAYS {
        let served = serve(Model::default(), lenient());
        let [mut ours, mut theirs] = [(), ()].map(|()| Client::of(&served));
        for number in 0..3 {
            ours.send_small(&format!("f{number}"), &[7; 1000], json!({"sync": sync}));
        }
        let about = json!({"path": "last", "size": 10, "mtime": "7", "follows": 10, "sync": sync});
        ours.send("upload", about);
        for _ in 0..3 {
            outcome(&ours.frame().expect("an answer")).expect("a receipt");
        }
        for number in 0..3 {
            theirs.get("remove", json!({"path": format!("f{number}")}));
        }
        ours.raw(&[7; 10]);
        ours.answer().expect("a receipt");
        let quota = json!({"used": 10, "reserved": 0, "limit": null});
        assert_eq!(ours.get("quota", json!({})), quota, "sync {sync}");
    }
}

#[test]
fn a_file_that_is_there_stays_unless_the_client_says_otherwise() {
    for sync in WAYS {
        let served = serve(Model::default(), lenient());
        let mut client = Client::of(&served);
        let mut put = |path: &str, bytes: &[u8], more| small(&mut client, path, bytes, more, sync);
        put("a", b"one", json!({})).expect("a receipt");
        assert_eq!(put("a", b"two", json!({})), Err("exists".into()));
        put("a", b"one", json!({})).expect("it is that very file");
        put("a", b"longer", json!({"clobber": true})).expect("a receipt");
        assert_eq!(std::fs::read(served.file("a")).expect("a file"), b"longer");
        assert_eq!(put("a/below", b"x", json!({})), Err("not-folder".into()));
        assert_eq!(put("../out", b"x", json!({})), Err("bad-name".into()));
        put("new/folder/b", b"", json!({})).expect("a receipt");
        assert_eq!(
            put("new", b"x", json!({"clobber": true})),
            Err("is-folder".into())
        );
        assert_eq!(
            client.get("quota", json!({})),
            json!({"used": 6, "reserved": 0, "limit": null})
        );
        assert_eq!(served.pending(), Vec::<String>::new());
    }
}

#[test]
fn the_limit_is_met_to_the_byte() {
    WAYS.into_iter().for_each(limit_is_met);
}

fn limit_is_met(sync: bool) {
    let served = serve(Model::default(), lenient().set("quota", "1000"));
    let mut client = Client::of(&served);
    for number in 0..10 {
        client.send_small(&format!("f{number}"), &[number; 99], json!({"sync": sync}));
    }
    let ids: Vec<Value> = (0..10).map(|_| client.frame().expect("an answer")).collect();
    assert!(ids.iter().all(|answer| answer.get("ok").is_some()), "{ids:?}");
    assert_eq!(
        small(&mut client, "over", &[0; 11], json!({}), sync),
        Err("quota".into())
    );
    small(&mut client, "just", &[0; 10], json!({}), sync).expect("a receipt");
    assert_eq!(
        client.get("quota", json!({})),
        json!({"used": 1000, "reserved": 0, "limit": 1000})
    );
    // What is there already needs no room for it twice, and is answered in its turn.
    client.send_small("f1", &[1; 99], json!({"sync": sync, "hash": hash(&[1; 99])}));
    client.send_small("f1", &[2; 99], json!({"sync": sync, "hash": hash(&[2; 99])}));
    client.send_small("f2", &[2; 99], json!({"sync": sync, "hash": hash(&[2; 99])}));
    let answers: Vec<_> = (0..3)
        .map(|_| outcome(&client.frame().expect("an answer")))
        .collect();
    let [Ok(first), Err(code), Ok(last)] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert_eq!(
        (&first["receipt"]["path"], &code[..], &last["receipt"]["path"]),
        (&json!("f1"), "quota", &json!("f2"))
    );
    client.get("remove", json!({"path": "f0"}));
    small(&mut client, "again", &[1; 99], json!({}), sync).expect("a receipt");
}
