//! Many small files without waiting for answers.

use super::client::{Client, hash, models, outcome, serve};
use serde_json::{Value, json};
use sockeye::Model;
use sockeye_services::settings::Settings;

#[test]
fn thousands_are_sent_at_once_and_answered_in_order() {
    for model in models() {
        eprintln!("under {model}");
        let served = serve(model, Settings::new());
        let mut client = Client::of(&served);
        let mut writer = client.twin();
        let sender = std::thread::spawn(move || {
            for number in 0..600_u32 {
                let wrong = if number % 100 == 99 {
                    json!({"hash": hash(b"other")})
                } else {
                    json!({})
                };
                writer.send_small(
                    &format!("d{}/f{number}", number % 7),
                    &number.to_le_bytes(),
                    wrong,
                );
            }
            writer.send("quota", json!({}));
        });
        for number in 0..600_u32 {
            let answer = client.frame().expect("an answer");
            assert_eq!(answer["id"], number + 1);
            match outcome(&answer) {
                Ok(ok) => assert_eq!(ok["receipt"]["hash"], hash(&number.to_le_bytes())),
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

#[test]
fn a_file_that_is_there_stays_unless_the_client_says_otherwise() {
    let served = serve(Model::default(), Settings::new());
    let mut client = Client::of(&served);
    client.small("a", b"one").expect("a receipt");
    assert_eq!(client.small("a", b"two"), Err("exists".into()));
    client.small("a", b"one").expect("it is that very file");
    client.send_small("a", b"longer", json!({"clobber": true}));
    client.answer().expect("a receipt");
    assert_eq!(client.get("quota", json!({}))["used"], 6);
    client.get("mkdir", json!({"path": "folder"}));
    client.send_small("folder", b"x", json!({"clobber": true}));
    assert_eq!(client.answer(), Err("is-folder".into()));
    assert_eq!(client.small("a/below", b"x"), Err("not-folder".into()));
    assert_eq!(client.small("../out", b"x"), Err("bad-name".into()));
    assert_eq!(served.pending(), Vec::<String>::new());
}

#[test]
fn the_limit_is_met_to_the_byte() {
    let served = serve(Model::default(), Settings::new().set("quota", "1000"));
    let mut client = Client::of(&served);
    for number in 0..10 {
        client.send_small(&format!("f{number}"), &[number; 99], json!({}));
    }
    let ids: Vec<Value> = (0..10).map(|_| client.frame().expect("an answer")).collect();
    assert!(ids.iter().all(|answer| answer.get("ok").is_some()), "{ids:?}");
    assert_eq!(client.small("over", &[0; 11]), Err("quota".into()));
    client.small("just", &[0; 10]).expect("a receipt");
    assert_eq!(
        client.get("quota", json!({})),
        json!({"used": 1000, "reserved": 0, "limit": 1000})
    );
    client.get("remove", json!({"path": "f0"}));
    client.small("again", &[1; 99]).expect("a receipt");
}
