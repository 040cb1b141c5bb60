//! Uploads in pieces: resumed, fenced, compared, forgotten.

use super::client::{Client, Served, hash, models, name, noise, plan, serve, serve_in, serve_secured};
use rustix::fs::{FlockOperation, flock};
use serde_json::json;
use sockeye::Model;
use sockeye_proto::files::UNIT;
use sockeye_services::settings::Settings;

const PIECE: usize = 1 << 20;

/// Sends bytes from an offset on, in pieces.
fn send_from(client: &mut Client, name: &str, bytes: &[u8], from: usize) {
    let mut at = from;
    for piece in bytes[from..].chunks(PIECE) {
        client.data(name, at as u64, piece).expect("taken");
        at += piece.len();
    }
}

fn quota(served: &Served) -> serde_json::Value {
    Client::of(served).get("quota", json!({}))
}

/// Plain, where bytes go past memory if the model can, and over TLS, where they never do.
fn either_way(model: Model) -> [Served; 2] {
    [
        serve(model, Settings::new()),
        serve_secured(model, Settings::new()),
    ]
}

#[test]
fn an_upload_goes_on_from_what_is_durable() {
    for served in models().flat_map(either_way) {
        let bytes = noise(2, 2 * UNIT as usize + 12_345);
        let upload = plan(&name(1), "deep/er/file", &bytes);
        let mut client = Client::of(&served);
        client.get("upload", upload.clone());
        send_from(&mut client, &name(1), &bytes[..UNIT as usize + 5 * PIECE], 0);
        // Cut in the middle of a piece.
        let offset = UNIT as usize + 5 * PIECE;
        client.send(
            "data",
            json!({"upload": name(1), "offset": offset, "follows": PIECE}),
        );
        client.raw(&bytes[offset..offset + 1000]);
        drop(client);
        let mut client = Client::of(&served);
        let durable = client.get("upload", upload.clone())["offset"]
            .as_u64()
            .expect("an offset");
        assert_eq!(durable, UNIT);
        assert_eq!(client.data(&name(1), 0, &bytes[..10]), Err("bad-offset".into()));
        send_from(&mut client, &name(1), &bytes, durable as usize);
        let receipt = client.get("commit", json!({"upload": name(1)}));
        assert_eq!(std::fs::read(served.file("deep/er/file")).expect("a file"), bytes);
        // An answer that was lost can be had once more.
        let again = Client::of(&served).get("upload", upload);
        assert_eq!(again["receipt"]["hash"], receipt["receipt"]["hash"]);
        assert_eq!(again["offset"], bytes.len());
        assert_eq!(
            quota(&served),
            json!({"used": bytes.len(), "reserved": 0, "limit": null})
        );
    }
}

#[test]
fn one_wrong_byte_anywhere_is_noticed() {
    let bytes = noise(10, UNIT as usize + 12_345);
    for served in either_way(Model::default()) {
        for at in [0, UNIT as usize - 1, UNIT as usize, bytes.len() - 1] {
            let mut client = Client::of(&served);
            client.get("upload", plan(&name(1), "file", &bytes));
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            send_from(&mut client, &name(1), &wrong, 0);
            let committed = client.ask("commit", json!({"upload": name(1)}));
            assert_eq!(committed, Err("mismatch".into()), "{at}");
        }
        assert_eq!(served.pending(), Vec::<String>::new());
    }
}

#[test]
fn a_new_connection_fences_the_one_before_it() {
    for model in models() {
        eprintln!("under {model}");
        let served = serve(model, Settings::new());
        let bytes = noise(3, 300_000);
        let upload = plan(&name(1), "file", &bytes);
        let (mut old, mut new) = (Client::of(&served), Client::of(&served));
        old.get("upload", upload.clone());
        old.send(
            "data",
            json!({"upload": name(1), "offset": 0, "follows": bytes.len()}),
        );
        old.raw(&bytes[..100_000]); // and no more: it is dead for all that anybody knows
        assert_eq!(new.get("upload", upload)["offset"], 0);
        old.raw(&bytes[100_000..]);
        assert_eq!(old.answer(), Err("fenced".into()));
        assert_eq!(
            old.ask("commit", json!({"upload": name(1)})),
            Err("fenced".into())
        );
        send_from(&mut new, &name(1), &bytes, 0);
        new.get("commit", json!({"upload": name(1)}));
        assert_eq!(std::fs::read(served.file("file")).expect("a file"), bytes);
    }
}

#[test]
fn sizes_around_a_unit_have_the_right_hash() {
    let unit = UNIT as usize;
    let bytes = noise(4, 2 * unit + 1);
    for served in either_way(Model::default()) {
        let mut client = Client::of(&served);
        for (number, size) in [0, 1, unit - 1, unit, unit + 1, 2 * unit, 2 * unit + 1]
            .into_iter()
            .enumerate()
        {
            let (name, path) = (name(number as u8), format!("f{size}"));
            client.get("upload", plan(&name, &path, &bytes[..size]));
            send_from(&mut client, &name, &bytes[..size], 0);
            client.get("commit", json!({"upload": name}));
            let verified = client.get("verify", json!({"path": path}));
            assert_eq!(verified["matches"], true, "{size}");
        }
    }
}

#[test]
fn a_source_that_changed_is_told() {
    let served = serve(Model::default(), Settings::new());
    let mut client = Client::of(&served);
    let (one, two) = (noise(5, 1000), noise(6, 1000));
    client.get("upload", plan(&name(1), "file", &one));
    assert_eq!(
        client.ask("upload", plan(&name(1), "file", &two)),
        Err("changed".into())
    );
    assert_eq!(
        client.ask("upload", plan(&name(1), "other", &one)),
        Err("changed".into())
    );
    // Other bytes than were declared are discarded.
    client.get("upload", plan(&name(1), "file", &one));
    client.data(&name(1), 0, &two).expect("taken");
    assert_eq!(
        client.ask("commit", json!({"upload": name(1)})),
        Err("mismatch".into())
    );
    assert_eq!(
        client.ask("stat", json!({"path": "file"})),
        Err("not-found".into())
    );
    assert_eq!(quota(&served), json!({"used": 0, "reserved": 0, "limit": null}));
    assert_eq!(served.pending(), Vec::<String>::new());
}

#[test]
fn an_upload_is_abandoned_by_whoever_knows_its_name() {
    let served = serve(Model::default(), Settings::new().set("quota", "1500"));
    let bytes = noise(7, 1000);
    let mut client = Client::of(&served);
    client.get("upload", plan(&name(1), "file", &bytes));
    assert_eq!(
        client.ask("upload", plan(&name(2), "other", &bytes)),
        Err("quota".into())
    );
    assert_eq!(
        quota(&served),
        json!({"used": 0, "reserved": 1000, "limit": 1500})
    );
    Client::of(&served).get("abandon", json!({"upload": name(1)}));
    assert_eq!(client.data(&name(1), 0, &bytes), Err("fenced".into()));
    assert_eq!(quota(&served), json!({"used": 0, "reserved": 0, "limit": 1500}));
    client.get("upload", plan(&name(2), "other", &bytes));
}

#[test]
fn of_many_that_begin_at_once_none_is_one_too_many() {
    let served = serve(Model::default(), Settings::new());
    let mut clients: Vec<Client> = (0..8).map(|_| Client::of(&served)).collect();
    for client in &mut clients {
        client.get("quota", json!({})); // all of them are at home
    }
    let pending = served.data.join("files/uploads/*everybody");
    for number in 1..1000 {
        std::fs::write(pending.join(format!("{number:032x}.part")), "").expect("an upload");
    }
    // Somebody changes names: until then nobody is let through to count.
    let root = std::fs::File::open(served.file("")).expect("the root");
    flock(&root, FlockOperation::LockExclusive).expect("a lock");
    for (client, number) in clients.iter_mut().zip(0xf0..) {
        client.send("upload", plan(&name(number), &format!("f{number}"), b"bytes"));
    }
    for _ in 0..20 {
        Client::of(&served).get("stat", json!({"path": ""}));
    }
    let left = served.pending();
    let parts = left.iter().filter(|name| name.ends_with(".part"));
    assert_eq!(parts.count(), 999);
    drop(root);
    let begun: Vec<_> = clients.iter_mut().map(Client::answer).collect();
    assert_eq!(begun.iter().filter(|begun| begun.is_ok()).count(), 1, "{begun:?}");
    let busy = begun.iter().filter(|begun| **begun == Err("busy".to_owned()));
    assert_eq!(busy.count(), 7, "{begun:?}");
    assert_eq!(quota(&served), json!({"used": 0, "reserved": 5, "limit": null}));
}

#[test]
fn a_commit_without_a_hash_ends_nothing() {
    let served = serve(Model::default(), Settings::new());
    let mut client = Client::of(&served);
    let mut upload = plan(&name(1), "file", b"bytes");
    upload["hash"] = json!(null);
    client.get("upload", upload);
    client.data(&name(1), 0, b"bytes").expect("taken");
    let commit = json!({"upload": name(1)});
    assert_eq!(client.ask("commit", commit), Err("bad-request".into()));
    let with_hash = json!({"upload": name(1), "hash": hash(b"bytes")});
    client.get("commit", with_hash);
    assert_eq!(std::fs::read(served.file("file")).expect("a file"), b"bytes");
}

#[test]
fn a_commit_that_comes_too_late_can_be_made_again() {
    let served = serve(Model::default(), Settings::new());
    let bytes = noise(8, 1000);
    let mut client = Client::of(&served);
    client.get("upload", plan(&name(1), "file", &bytes));
    assert_eq!(
        client.ask("commit", json!({"upload": name(1)})),
        Err("bad-offset".into())
    );
    client.data(&name(1), 0, &bytes).expect("taken");
    client.small("file", b"faster").expect("a receipt");
    assert_eq!(
        client.ask("commit", json!({"upload": name(1)})),
        Err("exists".into())
    );
    client.get("remove", json!({"path": "file"}));
    assert_eq!(
        client.get("upload", plan(&name(1), "file", &bytes))["offset"],
        1000
    );
    client.get("commit", json!({"upload": name(1)}));
    assert_eq!(client.get("quota", json!({}))["used"], 1000);
}

#[test]
fn what_is_there_already_is_not_sent() {
    let served = serve(Model::default(), Settings::new());
    let mut client = Client::of(&served);
    client.small("file", b"known").expect("a receipt");
    let begun = client.get("upload", plan(&name(1), "file", b"known"));
    assert_eq!(
        (&begun["offset"], &begun["receipt"]["path"]),
        (&json!(5), &json!("file"))
    );
    assert_eq!(
        client.ask("upload", plan(&name(2), "file", b"other")),
        Err("exists".into())
    );
}

#[test]
fn another_server_goes_on_with_what_it_finds() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = noise(9, UNIT as usize + 1000);
    let upload = plan(&name(1), "file", &bytes);
    {
        let served = serve_in(folder.path(), Model::default(), Settings::new());
        let mut client = Client::of(&served);
        client.get("upload", upload.clone());
        send_from(&mut client, &name(1), &bytes[..UNIT as usize + 1], 0);
    }
    let served = serve_in(folder.path(), Model::default(), Settings::new());
    let mut client = Client::of(&served);
    assert_eq!(client.get("upload", upload)["offset"], UNIT);
    send_from(&mut client, &name(1), &bytes, UNIT as usize);
    client.get("commit", json!({"upload": name(1)}));
    assert_eq!(std::fs::read(served.file("file")).expect("a file"), bytes);
}

#[test]
fn what_is_refused_leaves_nothing() {
    let served = serve(Model::default(), Settings::new().set("quota", "1000"));
    let mut client = Client::of(&served);
    client.send_small("there", b"bytes", json!({}));
    client.answer().expect("it fits");
    for number in 1..=5 {
        let too_much = plan(&name(number), "much", &[1; 2000]);
        assert_eq!(client.ask("upload", too_much), Err("quota".into()));
        let other = plan(&name(number), "there", b"other");
        assert_eq!(client.ask("upload", other), Err("exists".into()));
        let same = client.get("upload", plan(&name(number), "there", b"bytes"));
        assert_eq!(same["offset"], 5);
    }
    assert_eq!(served.pending(), Vec::<String>::new());
}
