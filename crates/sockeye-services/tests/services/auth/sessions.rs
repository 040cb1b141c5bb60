//! What becomes of who is logged in when their account is changed.

use super::{Accounts, PASSWORD, client, dial, keys};
use crate::serving::Served;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sockeye::{Connection, Result, Server, block_on};
use sockeye_proto::scram::{Client, Keys, PLAIN};
use sockeye_services::auth::client::log_in;
use sockeye_services::auth::{Dialogue, Gate, Guard, NOTICE, Over, Policy, Scheme, new_verifier};
use sockeye_services::catalog::{self, How};
use sockeye_services::settings::Settings;
use std::cell::OnceCell;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Accounts of a server whose clock stands still until it is set.
struct Sessions {
    accounts: Accounts,
    gate: Arc<Gate>,
    clock: Arc<AtomicI64>,
    derived: OnceCell<Keys>,
}

impl Sessions {
    fn new() -> Self {
        let accounts = Accounts::of(&["anna", "bert"]);
        let clock = Arc::new(AtomicI64::new(1_000_000));
        let shown = clock.clone();
        let gate = accounts
            .gate()
            .clock(Arc::new(move || shown.load(Ordering::Relaxed)));
        Sessions {
            accounts,
            gate: Arc::new(gate),
            clock,
            derived: OnceCell::new(),
        }
    }

    fn after(&self, millis: i64) {
        self.clock.fetch_add(millis, Ordering::Relaxed);
    }

    /// A login that lacks its proof, and that.
    async fn begin(&self, user: &str) -> (Dialogue, Value) {
        let (ours, _) = UnixStream::pair().expect("a pair");
        let conn = Connection::adopt(ours.into()).expect("a connection");
        let mut dialogue = Dialogue::new(&self.gate, &conn);
        assert_eq!(dialogue.ended().await.expect("a store"), None, "nobody yet");
        let (mut scram, first) = Client::begin(user, None, &[7; 18]);
        let request = json!({"operate": "login", "mechanism": PLAIN, "message": STANDARD.encode(first)});
        let challenge = dialogue.answer(&request).await["ok"]["message"].clone();
        let challenge = STANDARD.decode(challenge.as_str().expect("a message"));
        let question = scram.read(&challenge.expect("base64")).expect("a question");
        let keys = self
            .derived
            .get_or_init(|| keys(&question.salt, question.iterations));
        let proof = STANDARD.encode(scram.prove(&question, keys));
        (dialogue, json!({"operate": "proof", "message": proof}))
    }

    async fn enter(&self, user: &str) -> Dialogue {
        let (mut dialogue, proof) = self.begin(user).await;
        let answer = dialogue.answer(&proof).await;
        assert_eq!(answer["ok"]["user"], user, "{answer}");
        dialogue
    }
}

/// A request for another password.
fn other_password() -> Value {
    let verifier = new_verifier("something new").expect("a good password");
    json!({"operate": "password", "salt": STANDARD.encode(&verifier.salt), "iterations": verifier.iterations,
        "stored_key": STANDARD.encode(verifier.stored_key), "server_key": STANDARD.encode(verifier.server_key)})
}

#[test]
fn a_login_that_began_before_a_change_of_the_password_is_none() {
    let proved = block_on(async {
        let sessions = Sessions::new();
        let (mut held_back, proof) = sessions.begin("anna").await;
        let changed = sessions.enter("anna").await.answer(&other_password()).await;
        assert!(changed["ok"].is_object(), "{changed}");
        held_back.answer(&proof).await
    });
    let proved = proved.expect("a model");
    assert_eq!(proved["error"]["code"], "denied", "{proved}");
}

async fn ended(dialogue: &mut Dialogue) -> Option<Over> {
    dialogue.ended().await.expect("a store")
}

#[test]
fn a_disabled_account_is_noticed_in_time_and_its_password_stays() {
    let sessions = Sessions::new();
    let notice = i64::try_from(NOTICE.as_millis()).expect("seconds");
    block_on(async {
        let (mut anna, mut bert) = (sessions.enter("anna").await, sessions.enter("bert").await);
        assert_eq!((ended(&mut anna).await, ended(&mut bert).await), (None, None));
        // By another program, such as `sockeye user disable`.
        let beside = sockeye_services::data::Data::at(sessions.accounts.data.folder());
        let store = beside.store().expect("a store");
        assert!(store.set_disabled("anna", true).await.expect("disabled"));
        // Whether it was noticed or not.
        let refused = anna.answer(&other_password()).await;
        assert_eq!(refused["error"]["code"], "ended", "{refused}");
        assert!(anna.over());
        sessions.after(notice);
        assert_eq!(ended(&mut anna).await, Some(Over::Disabled));
        assert_eq!(ended(&mut bert).await, None, "it is another's account");
        assert!(store.set_disabled("anna", false).await.expect("enabled"));
        let _ = sessions.enter("anna").await; // by the same password
    })
    .expect("a model");
}

#[test]
fn another_password_ends_the_other_sessions_of_the_account() {
    let sessions = Sessions::new();
    let notice = i64::try_from(NOTICE.as_millis()).expect("seconds");
    block_on(async {
        let (mut here, mut there) = (sessions.enter("anna").await, sessions.enter("anna").await);
        assert_eq!((ended(&mut here).await, ended(&mut there).await), (None, None));
        let changed = here.answer(&other_password()).await;
        assert!(changed["ok"].is_object(), "{changed}");
        sessions.after(notice);
        assert_eq!(ended(&mut here).await, None);
        assert_eq!(ended(&mut there).await, Some(Over::Changed));
        let refused = there.answer(&other_password()).await;
        assert_eq!(refused["error"]["code"], "ended", "{refused}");
    })
    .expect("a model");
}

#[test]
fn a_shop_takes_leave_of_a_disabled_account() -> Result<()> {
    let accounts = Accounts::of(&["anna"]);
    let mut settings = Settings::new().set("encoding", "utf-8");
    settings.data = Some(accounts.data.clone());
    settings.auth = Policy {
        scheme: Scheme::Scram,
        ..Policy::default()
    };
    let shop = catalog::named("shop").expect("a service");
    let guard = Guard::scram(Arc::new(accounts.gate()));
    let starter = (shop.make)(&settings)?;
    let running = starter.start_as(
        Server::bind("tcp://127.0.0.1:0")?,
        How {
            guard: Some(guard),
            ..How::default()
        },
    )?;
    let (_, events) = std::sync::mpsc::channel();
    let served = Served { running, events };
    let store = accounts.data.store()?;
    let heard = client(async {
        let mut conn = dial(&served).await?;
        log_in(&mut conn, "anna", PASSWORD).await?;
        let greeting = conn.recv().await?;
        assert!(greeting.ends_with("?".as_bytes()), "{greeting:?}");
        assert!(store.set_disabled("anna", true).await?);
        conn.send_all(b"top up 5\n").await?;
        let mut heard = Vec::new();
        loop {
            match conn.recv().await? {
                end if end.is_empty() => return Ok(heard),
                more => heard.extend_from_slice(&more),
            }
        }
    });
    let words = String::from_utf8_lossy(&heard?).into_owned();
    assert_eq!(
        words,
        "Sorry, your account was disabled, or its password changed; log in again.\n"
    );
    Ok(())
}
