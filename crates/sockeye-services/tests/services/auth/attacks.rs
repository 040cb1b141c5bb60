//! What people try who don't know the password.

use super::{Accounts, PASSWORD, behind, client, dial, echoes, guarded, keys};
use crate::serving::{Peer, each_model};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sockeye::{Address, Connection, Dialer, Endpoint, Handler, Model, Result, Server, TlsClient, block_on};
use sockeye_proto::frames;
use sockeye_proto::scram::{Client, KEY, Keys, PLAIN, PLUS};
use sockeye_services::auth::client::log_in;
use sockeye_services::auth::penalty::{Attempt, Early};
use sockeye_services::auth::{Dialogue, Gate, Guard};
use std::future::{Future, poll_fn};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, copy_bidirectional};

/// A request over a connection, and its answer.
async fn ask(conn: &mut Connection, request: &Value) -> Result<Value> {
    conn.send_all(&frames::encode(request).expect("short")).await?;
    let mut head = [0; 4];
    conn.read_exact(&mut head).await?;
    let mut frame = vec![0; u32::from_le_bytes(head) as usize];
    conn.read_exact(&mut frame).await?;
    Ok(frames::decode(&frame).expect("JSON"))
}

fn login(mechanism: &str, message: &[u8]) -> Value {
    json!({"id": 1, "operate": "login", "mechanism": mechanism, "message": STANDARD.encode(message)})
}

fn proof(message: &[u8]) -> Value {
    json!({"id": 2, "operate": "proof", "message": STANDARD.encode(message)})
}

fn message(answer: &Value) -> Vec<u8> {
    let message = answer["ok"]["message"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"));
    STANDARD.decode(message).expect("base64")
}

fn code(answer: &Value) -> &str {
    answer["error"]["code"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
}

/// A dialogue with somebody on this machine, under a model.
fn dialogue_of(gate: &Arc<Gate>) -> Dialogue {
    let (ours, _) = UnixStream::pair().expect("a pair");
    Dialogue::new(gate, &Connection::adopt(ours.into()).expect("a connection"))
}

/// One guess, by who knows how to make keys of guesses in advance.
async fn guess(dialogue: &mut Dialogue, user: &str, guess: u16) -> Value {
    let (mut scram, first) = Client::begin(user, None, &[7; 18]);
    let challenge = message(&dialogue.answer(&login(PLAIN, &first)).await);
    let question = scram.read(&challenge).expect("a question");
    let mut salted = [0; KEY];
    salted[..2].copy_from_slice(&guess.to_le_bytes());
    let guess = scram.prove(&question, &Keys::of(&salted));
    dialogue.answer(&proof(&guess)).await
}

/// All through the dialogue itself.
const GUESSES: u16 = 10_000;

#[test]
fn guessing_goes_on_at_a_pace_at_which_it_is_hopeless() {
    // Each guess is noted on the disk: one that is memory is faster, where there is one.
    let accounts = Accounts::below(Path::new("/dev/shm"), &["anna"]);
    let now = Arc::new(AtomicI64::new(1_000_000));
    let clock = now.clone();
    let gate = Arc::new(
        accounts
            .gate()
            .clock(Arc::new(move || clock.load(Ordering::Relaxed))),
    );
    for (user, guesses) in [("anna", GUESSES), ("nobody", 60)] {
        let begun = now.load(Ordering::Relaxed);
        let guessing = async {
            let (mut looked_at, mut sent) = (0, 0);
            while looked_at < guesses {
                let answer = guess(&mut dialogue_of(&gate), user, looked_at).await;
                sent += 1;
                match code(&answer) {
                    "denied" => looked_at += 1,
                    // The guesser comes again at the very moment when it may.
                    "wait" => {
                        let seconds = answer["error"]["seconds"].as_i64().expect("how long");
                        assert!((1..=31).contains(&seconds), "nobody is kept out for ever");
                        now.fetch_add(seconds * 1000, Ordering::Relaxed);
                    }
                    other => panic!("{other}: {answer}"),
                }
            }
            sent
        };
        let sent: i64 = block_on(guessing).expect("a model");
        // The first twenty are free; then each has to wait, soon for half a minute: 10,000 take days.
        let waits = i64::from(guesses) - 21;
        assert_eq!(sent, i64::from(guesses) + waits, "{user}");
        let took = now.load(Ordering::Relaxed) - begun;
        assert!(took > (waits - 5) * 30_000, "{user}: {took}");
    }
    assert!(now.load(Ordering::Relaxed) > 3 * 24 * 60 * 60 * 1000, "days");
    // Its owner waits half a minute, and is let in.
    now.fetch_add(31_000, Ordering::Relaxed);
    let served = guarded("tcp://127.0.0.1:0", Model::default(), Guard::scram(gate));
    let owner = client(async { log_in(&mut dial(&served).await?, "anna", PASSWORD).await });
    owner.expect("the right password");
}

/// All of them at once.
async fn together<T>(all: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.into_iter().map(|one| (Box::pin(one), None)).collect();
    poll_fn(|cx| {
        for (one, done) in &mut all {
            if done.is_none()
                && let Poll::Ready(outcome) = one.as_mut().poll(cx)
            {
                *done = Some(outcome);
            }
        }
        match all.iter().all(|(_, done)| done.is_some()) {
            true => Poll::Ready(all.iter_mut().filter_map(|(_, done)| done.take()).collect()),
            false => Poll::Pending,
        }
    })
    .await
}

#[test]
fn many_guesses_at_the_same_time_count_each_other() {
    let accounts = Accounts::of(&["anna"]);
    let gate = Arc::new(accounts.gate().clock(Arc::new(|| 1_000_000)));
    let guesses = (0..100).map(async |number| {
        let mut dialogue = dialogue_of(&gate);
        code(&guess(&mut dialogue, "anna", number).await).to_owned()
    });
    let codes = block_on(together(guesses)).expect("a model");
    let denied = codes.iter().filter(|code| *code == "denied").count();
    assert_eq!(
        denied, 21,
        "the free ones, and the one whose wait the others have to wait for"
    );
}

#[test]
fn many_logins_at_the_same_time_are_no_failures() {
    let accounts = Accounts::of(&["anna"]);
    let served = guarded(
        "tcp://127.0.0.1:0",
        Model::default(),
        Guard::scram(Arc::new(accounts.gate())),
    );
    let logins = (0..64).map(async |_| log_in(&mut dial(&served).await?, "anna", PASSWORD).await);
    for outcome in block_on(together(logins)).expect("a model") {
        outcome.expect("the right password");
    }
}

#[test]
fn an_owner_is_let_in_where_they_were_before() {
    let accounts = Accounts::of(&["anna"]);
    let store = accounts.data.store().expect("a store");
    let at = |text: &str| Address::Inet(text.parse().expect("an address"));
    let from = |whence: &str| Attempt::new(&[1; 32], "anna", Some(1), &at(whence));
    block_on(async {
        let attempt = from("192.0.2.1:1000");
        let flight = store.attempt(attempt, 0).await.expect("a store");
        let flight = flight.expect("the first one");
        store.attempt_succeeded(flight, 0).await.expect("a store");
        // A thousand machines guess.
        for number in 0..100 {
            let attempt = from(&format!("198.51.100.{number}:9"));
            if let Ok(flight) = store.attempt(attempt, 1).await.expect("a store") {
                store.attempt_failed(flight, 1).await.expect("a store");
            }
        }
        let stranger = store.attempt(from("203.0.113.1:9"), 2).await.expect("a store");
        let early = stranger.expect_err("it has to wait");
        assert!(early > Early::Crowded && early <= Early::Wait(Duration::from_secs(30)));
        let owner = store.attempt(from("192.0.2.1:2000"), 2).await.expect("a store");
        owner.expect("where they were before");
    })
    .expect("a model");
}

#[test]
fn an_unknown_user_looks_like_a_known_one() {
    let accounts = Accounts::of(&["anna"]);
    let gate = Arc::new(accounts.gate());
    let ask = |user: &str| {
        let (_, first) = Client::begin(user, None, &[7; 18]);
        let answer = block_on(async { dialogue_of(&gate).answer(&login(PLAIN, &first)).await });
        let challenge = String::from_utf8(message(&answer.expect("a model"))).expect("text");
        let parts: Vec<String> = challenge.split(',').map(str::to_owned).collect();
        (parts[1].clone(), parts[2].clone())
    };
    let (anna, nobody, other) = (ask("anna"), ask("nobody"), ask("other"));
    assert_eq!(ask("nobody"), nobody, "the same each time");
    assert_ne!(nobody.0, other.0);
    assert_eq!((anna.0.len(), &anna.1), (nobody.0.len(), &nobody.1));
    // Also for another process with the same accounts.
    let gate = Arc::new(accounts.gate());
    let (_, first) = Client::begin("nobody", None, &[7; 18]);
    let again = block_on(async { dialogue_of(&gate).answer(&login(PLAIN, &first)).await }).expect("a model");
    assert!(String::from_utf8_lossy(&message(&again)).contains(&nobody.0));
}

/// Passes on whatever is said, in both directions.
struct Relay(Endpoint);

impl Handler for Relay {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        let unverified = TlsClient::unverified()?;
        let mut onward = Dialer::new().tls(unverified).dial(&self.0).await?;
        let _ = copy_bidirectional(conn, &mut onward).await; // either may have enough of it
        Ok(())
    }
}

#[test]
fn a_relay_is_found_out() {
    let accounts = Accounts::of(&["anna"]);
    let served = behind(&accounts, "tls://127.0.0.1:0", Model::default());
    let relay = Server::bind("tls://127.0.0.1:0").expect("bind");
    let relay = relay.start(Relay(served.running.endpoint())).expect("start");
    let talk = client(async {
        // The client believes any certificate: the worst case.
        let dialer = Dialer::new().tls(TlsClient::unverified()?);
        let mut conn = dialer.dial(&relay.endpoint()).await?;
        log_in(&mut conn, "anna", PASSWORD).await
    });
    talk.expect_err("the proof is bound to another session");
    let talk = client(async {
        let mut conn = dial(&served).await?;
        log_in(&mut conn, "anna", PASSWORD).await?;
        echoes(&mut conn, "without the relay").await
    });
    talk.expect("let in");
}

#[test]
fn over_tls_nothing_less_than_the_binding_will_do() {
    let accounts = Accounts::of(&["anna"]);
    let served = behind(&accounts, "tls://127.0.0.1:0", Model::default());
    let talk = client(async {
        let (_, plain) = Client::begin("anna", None, &[7; 18]);
        let unsupported = [b"y", &plain[1..]].concat();
        for (mechanism, first) in [(PLAIN, &plain), (PLUS, &plain), (PLAIN, &unsupported)] {
            let mut conn = dial(&served).await?;
            let answer = ask(&mut conn, &login(mechanism, first)).await?;
            assert_eq!(code(&answer), "mechanism", "{mechanism}");
        }
        Ok(())
    });
    talk.expect("answers");
}

#[test]
fn a_recorded_login_is_of_no_use() {
    let accounts = Accounts::of(&["anna"]);
    let served = behind(&accounts, "tcp://127.0.0.1:0", Model::default());
    // What a client once sent, to the byte.
    let (mut scram, first) = Client::begin("anna", None, &[7; 18]);
    let recorded = client(async {
        let mut conn = dial(&served).await?;
        let challenge = message(&ask(&mut conn, &login(PLAIN, &first)).await?);
        let question = scram.read(&challenge).expect("a question");
        let recorded = proof(&scram.prove(&question, &keys(&question.salt, question.iterations)));
        let verdict = ask(&mut conn, &recorded).await?;
        scram.confirm(&message(&verdict)).expect("let in");
        Ok(recorded)
    });
    let recorded = recorded.expect("let in");
    let talk = client(async {
        let mut conn = dial(&served).await?;
        ask(&mut conn, &login(PLAIN, &first)).await?;
        let answer = ask(&mut conn, &recorded).await?;
        assert_eq!(code(&answer), "denied");
        // Nor twice in one connection, nor without asking first.
        assert_eq!(code(&ask(&mut conn, &recorded).await?), "malformed");
        Ok(())
    });
    talk.expect("answers");
}

#[test]
fn a_stolen_store_logs_nobody_in() {
    let accounts = Accounts::of(&["anna"]);
    let store = accounts.data.store().expect("a store");
    let account = block_on(store.account("anna"))
        .expect("a model")
        .expect("a store");
    let stolen = account.expect("an account").verifier;
    let gate = Arc::new(accounts.gate());
    for key in [stolen.stored_key, stolen.server_key] {
        let answer = block_on(async {
            let mut dialogue = dialogue_of(&gate);
            let (mut scram, first) = Client::begin("anna", None, &[7; 18]);
            let challenge = message(&dialogue.answer(&login(PLAIN, &first)).await);
            let question = scram.read(&challenge).expect("a question");
            dialogue
                .answer(&proof(&scram.prove(&question, &Keys::of(&key))))
                .await
        });
        assert_eq!(code(&answer.expect("a model")), "denied");
    }
}

#[test]
fn proofs_that_are_cut_too_long_or_no_proofs_are_denied_and_end_the_connection() {
    let accounts = Accounts::of(&["anna"]);
    each_model(|model| {
        let served = behind(&accounts, "tcp://127.0.0.1:0", model);
        let talk = client(async {
            let mut conn = dial(&served).await?;
            for wrong in [&b"c=biws"[..], &[b'x'; 4000], b""] {
                let (_, first) = Client::begin("anna", None, &[7; 18]);
                ask(&mut conn, &login(PLAIN, &first)).await?;
                assert_eq!(code(&ask(&mut conn, &proof(wrong)).await?), "denied");
            }
            assert!(conn.recv().await?.is_empty(), "three are enough");
            Ok(())
        });
        talk.unwrap_or_else(|error| panic!("{model}: {error}"));
        assert!(served.next_reason().contains("it failed too often"), "{model}");
    });
}

#[test]
fn no_frame_makes_the_server_hold_more_than_a_login_needs() {
    let accounts = Accounts::of(&[]);
    let served = behind(&accounts, "tcp://127.0.0.1:0", Model::default());
    for (frame, words) in [
        (u32::MAX.to_le_bytes().to_vec(), "failed: log in"),
        (0_u32.to_le_bytes().to_vec(), "failed: log in"),
        (
            [&60_000_u32.to_le_bytes()[..], &[b' '; 9000]].concat(),
            "more than 8192 bytes",
        ),
        (
            frames::encode(&json!("no request")).expect("short"),
            "the peer left",
        ),
        ([&2_u32.to_le_bytes()[..], b"{x"].concat(), "failed: log in"),
    ] {
        let mut peer = Peer::of(&served);
        peer.send(frame);
        peer.close_write();
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut peer.0, &mut rest); // it may be reset
        let reason = served.next_reason();
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn a_login_that_never_ends_is_given_up() {
    let accounts = Accounts::of(&["anna"]);
    each_model(|model| {
        let guard = Guard::scram(Arc::new(accounts.gate())).limit(Duration::from_millis(50));
        let served = guarded("tcp://127.0.0.1:0", model, guard);
        let mut slow = Peer::of(&served);
        slow.send([9, 0]);
        slow.expect_end("");
        assert_eq!(served.next_reason(), "timed out: log in: timed out after 50ms");
    });
}

#[test]
fn no_request_does_more_than_fail() {
    let accounts = Accounts::below(Path::new("/dev/shm"), &["anna"]);
    let gate = Arc::new(accounts.gate());
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut value = move |good: Value| match random.u8(..40) {
        0 => json!(null),
        1 => json!(random.i64(..)),
        2 => json!([good]),
        3 => json!({ "a": good }),
        4 => json!("x".repeat(random.usize(..9000))),
        5 => json!(STANDARD.encode((0..random.usize(..99)).map(|_| random.u8(..)).collect::<Vec<_>>())),
        6 => {
            let mut text: Vec<char> = good.as_str().unwrap_or("").chars().collect();
            text.insert(random.usize(..=text.len()), random.char('\0'..'\u{200}'));
            json!(text.into_iter().collect::<String>())
        }
        _ => good,
    };
    let asked = block_on(async {
        let mut told = std::collections::BTreeMap::<String, u32>::new();
        for _ in 0..3000 {
            let mut dialogue = dialogue_of(&gate);
            for operate in ["login", "proof", "register", "password"] {
                let request = json!({
                    "id": value(json!(1)), "operate": operate, "user": value(json!("bert")),
                    "mechanism": value(json!(PLAIN)), "message": value(json!(STANDARD.encode("n,,n=anna,r=abc"))),
                    "invite": value(json!(null)), "salt": value(json!(STANDARD.encode([1; 16]))),
                    "iterations": value(json!(600_000)), "stored_key": value(json!(STANDARD.encode([1; 32]))),
                    "server_key": value(json!(STANDARD.encode([1; 32]))),
                });
                let answer = dialogue.answer(&request).await;
                let known = answer["error"]["code"].as_str().unwrap_or("ok");
                *told.entry(format!("{operate} {known}")).or_default() += 1;
                assert!(
                    dialogue.user().is_none() && known != "unavailable",
                    "{request}: {answer}"
                );
            }
        }
        told
    });
    let told = asked.expect("a model");
    for some in [
        "login ok",
        "login malformed",
        "proof denied",
        "register closed",
        "password login",
    ] {
        assert!(told.contains_key(some), "{told:?}");
    }
}

#[test]
fn a_request_that_makes_no_sense_is_answered_so() {
    let accounts = Accounts::of(&["anna"]);
    let gate = Arc::new(accounts.gate());
    let verifier = json!({"salt": STANDARD.encode([1; 16]), "iterations": 600_000, "stored_key": STANDARD.encode([1; 32]),
        "server_key": STANDARD.encode([1; 32])});
    let with = |operate: &str, change: Value| {
        let mut request =
            json!({"id": [7, "x"], "operate": operate, "user": "bert", "mechanism": PLAIN, "message": ""});
        for part in [&verifier, &change] {
            for (name, value) in part.as_object().expect("an object") {
                request[name] = value.clone();
            }
        }
        request
    };
    for (request, expected) in [
        (json!(null), "malformed"),
        (json!([1, 2]), "malformed"),
        (json!({"operate": "dance"}), "malformed"),
        (with("login", json!({"message": 5})), "malformed"),
        (with("login", json!({"message": "?"})), "malformed"),
        (
            with("login", json!({"message": STANDARD.encode("n,,n=anna")})),
            "malformed",
        ),
        (
            with(
                "login",
                json!({"message": STANDARD.encode("p=tls-unique,,n=anna,r=x")}),
            ),
            "mechanism",
        ),
        (with("proof", json!({})), "malformed"),
        (with("register", json!({})), "closed"),
        (with("register", json!({"iterations": 599_999})), "weak"),
        (with("register", json!({"iterations": 4_000_000_000_u32})), "weak"),
        (with("register", json!({"iterations": -1})), "malformed"),
        (
            with("register", json!({"salt": STANDARD.encode([1; 15])})),
            "weak",
        ),
        (
            with("register", json!({"salt": STANDARD.encode([1; 65])})),
            "weak",
        ),
        (
            with("register", json!({"stored_key": STANDARD.encode([1; 31])})),
            "malformed",
        ),
        (with("password", json!({})), "login"),
    ] {
        let answer = block_on(async { dialogue_of(&gate).answer(&request).await }).expect("a model");
        assert_eq!(code(&answer), expected, "{request}");
        assert_eq!(
            answer.get("id"),
            Some(request.get("id").unwrap_or(&Value::Null)),
            "{request}"
        );
    }
}
