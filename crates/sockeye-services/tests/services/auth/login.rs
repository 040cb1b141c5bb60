//! Logins by password.

use super::{Accounts, PASSWORD, behind, client, dial, echoes};
use crate::serving::each_model;
use sockeye::{Connection, Handler, Model, Result, Server, block_on};
use sockeye_proto::frames;
use sockeye_services::auth::client::{change_password, log_in};
use sockeye_services::auth::{Dialogue, Gate, Guard, Guarded};
use std::sync::Arc;
use tokio::io::AsyncBufReadExt;

#[test]
fn who_knows_the_password_is_let_in_under_every_model() {
    let accounts = Accounts::of(&["anna"]);
    each_model(|model| {
        for endpoint in ["tcp://127.0.0.1:0", "tls://127.0.0.1:0"] {
            let served = behind(&accounts, endpoint, model);
            let talk = client(async {
                let mut conn = dial(&served).await?;
                log_in(&mut conn, "anna", PASSWORD).await?;
                echoes(&mut conn, "hello\n").await
            });
            talk.unwrap_or_else(|error| panic!("{model} {endpoint}: {error}"));
        }
    });
}

/// Says who it talks with.
struct Whoami;

impl Handler for Whoami {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        let user = conn.user().map_or("nobody", |user| user).to_owned();
        conn.send(user).await
    }
}

#[test]
fn the_service_knows_who_it_talks_with() {
    let accounts = Accounts::of(&["anna", "小明"]);
    let guard = Guard::scram(Arc::new(accounts.gate()));
    let server = Server::bind("tls://127.0.0.1:0").expect("bind");
    let running = server.start(Guarded::new(Whoami, guard)).expect("start");
    let (_, events) = std::sync::mpsc::channel();
    let served = crate::serving::Served { running, events };
    for name in ["anna", "小明"] {
        let said = client(async {
            let mut conn = dial(&served).await?;
            log_in(&mut conn, name, PASSWORD).await?;
            conn.recv().await
        });
        assert_eq!(&said.expect("an answer")[..], name.as_bytes());
    }
}

#[test]
fn the_wrong_password_and_the_wrong_name_are_told_in_the_same_words() {
    let accounts = Accounts::of(&["anna"]);
    let served = behind(&accounts, "tcp://127.0.0.1:0", Model::default());
    let try_it = |name: &str, password: &str| {
        let talk = client(async {
            let mut conn = dial(&served).await?;
            log_in(&mut conn, name, password).await
        });
        talk.expect_err("not let in").cause()
    };
    let known = try_it("anna", "wrong password");
    assert_eq!(known, "the user name or the password is wrong");
    assert_eq!(try_it("nobody", PASSWORD), known);
    assert_eq!(try_it("no such/name\n", PASSWORD), known);
}

#[test]
fn a_disabled_account_is_kept_out_until_it_is_enabled() {
    let accounts = Accounts::of(&["anna"]);
    let served = behind(&accounts, "tcp://127.0.0.1:0", Model::default());
    let store = accounts.data.store().expect("a store");
    let try_it = |password: &str| {
        client(async {
            let mut conn = dial(&served).await?;
            log_in(&mut conn, "anna", password).await
        })
    };
    let disable = |disabled| block_on(store.set_disabled("anna", disabled)).expect("a model");
    assert!(disable(true).expect("a store"));
    assert!(
        try_it(PASSWORD)
            .expect_err("kept out")
            .to_string()
            .contains("disabled")
    );
    // Who doesn't know the password learns nothing of that.
    assert!(
        try_it("a wrong one")
            .expect_err("kept out")
            .to_string()
            .contains("password is wrong")
    );
    assert!(disable(false).expect("a store"));
    try_it(PASSWORD).expect("let in");
}

/// A service that has the login among its own requests.
struct WithLogin(Arc<Gate>);

impl Handler for WithLogin {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        let mut dialogue = Dialogue::new(&self.0, conn);
        let mut decoder = frames::Decoder::new();
        loop {
            let bytes = conn.fill_buf().await?;
            if bytes.is_empty() {
                return Ok(());
            }
            let taken = decoder.push(bytes);
            conn.consume(taken);
            if let Some(frame) = decoder.next().expect("a frame") {
                let request = frames::decode(&frame).expect("JSON");
                let answer = dialogue.answer(&request).await;
                conn.send_all(&frames::encode(&answer).expect("short")).await?;
            }
        }
    }
}

#[test]
fn a_password_is_changed_by_who_has_logged_in() {
    let accounts = Accounts::of(&["anna"]);
    let gate = Arc::new(accounts.gate());
    let server = Server::bind("tcp://127.0.0.1:0").expect("bind");
    let running = server.start(WithLogin(gate)).expect("start");
    let (_, events) = std::sync::mpsc::channel();
    let served = crate::serving::Served { running, events };
    let stranger = client(async {
        let mut conn = dial(&served).await?;
        change_password(&mut conn, "something new").await
    });
    assert_eq!(stranger.expect_err("a stranger").cause(), "log in first");
    let change = client(async {
        let mut conn = dial(&served).await?;
        log_in(&mut conn, "anna", PASSWORD).await?;
        change_password(&mut conn, "something new").await?;
        let again = log_in(&mut conn, "anna", "something new").await;
        assert_eq!(
            again.expect_err("twice").cause(),
            "this connection has logged in already"
        );
        let mut conn = dial(&served).await?;
        assert!(log_in(&mut conn, "anna", PASSWORD).await.is_err());
        log_in(&mut conn, "anna", "something new").await
    });
    change.expect("another password");
}
