//! Users who log in: each has a root of their own.

use super::client::{Client, Served, serve};
use serde_json::json;
use sockeye::{Connection, Endpoint, Model, block_on, dial};
use sockeye_proto::frames::{Decoder, decode, encode};
use sockeye_services::auth::client::{log_in, register};
use sockeye_services::auth::{Policy, Register, Scheme};
use sockeye_services::data::Data;
use sockeye_services::settings::Settings;

async fn ask(conn: &mut Connection, request: serde_json::Value) -> serde_json::Value {
    conn.send_all(&encode(&request).expect("a frame"))
        .await
        .expect("send");
    let mut decoder = Decoder::new();
    loop {
        if let Some(frame) = decoder.next().expect("a good frame") {
            return decode(&frame).expect("JSON");
        }
        let chunk = conn.recv().await.expect("an answer");
        assert!(!chunk.is_empty(), "the end");
        decoder.push(&chunk);
    }
}

async fn enter(endpoint: &Endpoint, user: &str) -> Connection {
    let mut conn = dial(endpoint).await.expect("dial");
    register(&mut conn, user, "a long password", None)
        .await
        .expect("a new account");
    log_in(&mut conn, user, "a long password")
        .await
        .expect("the right password");
    conn
}

/// A service of accounts that anybody may open.
fn serve_users() -> Served {
    let mut settings = Settings::new();
    settings.auth = Policy {
        scheme: Scheme::Scram,
        register: Register::Open,
        secret: None,
    };
    serve(Model::default(), settings)
}

#[test]
fn each_user_has_a_root_and_strangers_have_none() {
    let served = serve_users();
    let mut stranger = Client::of(&served);
    let hello = stranger.get("hello", json!({"version": 1}));
    assert_eq!(
        (&hello["register"], &hello["mechanisms"]),
        (&json!("open"), &json!(["SCRAM-SHA-256"]))
    );
    for operate in ["list", "stat", "quota", "upload", "download", "data", "commit"] {
        let about = json!({"path": "a", "upload": "0".repeat(32), "size": 0, "offset": 0, "follows": 0});
        let code = stranger.ask(operate, about).expect_err("not logged in");
        assert!(code == "denied" || code == "not-found", "{operate}: {code}");
    }
    stranger.send_small("a", b"bytes", json!({}));
    assert_eq!(stranger.answer(), Err("denied".into()));
    stranger.get("hello", json!({"version": 1})); // the bytes were dropped
    // Before the bytes have come: they never may.
    for operate in ["upload", "data", "hello", "AUTH"] {
        let mut stranger = Client::of(&served);
        let about = json!({"path": "a", "upload": "0".repeat(32), "version": 1, "follows": 1_u64 << 40});
        assert_eq!(stranger.ask(operate, about), Err("denied".into()), "{operate}");
    }
    block_on(async {
        let mut ann = enter(&served.endpoint, "ann").await;
        let mut bob = enter(&served.endpoint, "bob").await;
        let made = ask(&mut ann, json!({"id": 1, "operate": "mkdir", "path": "hers"})).await;
        assert_eq!(made["ok"], json!({}));
        for path in ["hers", "../ann/hers"] {
            let stat = ask(&mut bob, json!({"id": 2, "operate": "stat", "path": path})).await;
            assert!(stat["error"].is_object(), "{stat}");
        }
        let hello = ask(&mut bob, json!({"id": 3, "operate": "hello", "version": 1})).await;
        assert_eq!(hello["ok"]["user"], "bob");
    })
    .expect("a model");
    assert!(served.data.join("files/users/ann/hers").is_dir());
}

#[test]
fn a_disabled_account_is_refused_by_the_next_request_and_the_connection_ends() {
    let served = serve_users();
    block_on(async {
        let mut ann = enter(&served.endpoint, "ann").await;
        let beside = Data::at(&served.data).store().expect("a store");
        assert!(beside.set_disabled("ann", true).await.expect("disabled"));
        let refused = ask(&mut ann, json!({"id": 1, "operate": "mkdir", "path": "hers"})).await;
        assert_eq!(
            (&refused["id"], &refused["error"]["code"]),
            (&json!(1), &json!("ended"))
        );
        assert!(ann.recv().await.expect("the end").is_empty());
    })
    .expect("a model");
    assert!(!served.data.join("files/users/ann/hers").exists());
}
