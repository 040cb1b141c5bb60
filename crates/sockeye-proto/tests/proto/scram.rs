//! SCRAM, attacked.

use proptest::prelude::*;
use sockeye_proto::scram::{
    Accepted, Client, ClientFirst, Failed, KEY, Keys, MIN_ITERATIONS, PLAIN, PLUS, Server, Verifier,
};

/// The keys of a password; what PBKDF2 makes of it is no matter here.
fn keys(password: &str) -> Keys {
    let mut salted = [0; KEY];
    salted[..password.len()].copy_from_slice(password.as_bytes());
    Keys::of(&salted)
}

fn verifier(password: &str) -> Verifier {
    keys(password).verifier(vec![5; 16], MIN_ITERATIONS)
}

/// A client that has sent its first message to a server, which has answered.
fn begin(binding: Option<[u8; KEY]>, random: u8) -> (Client, Server, Vec<u8>) {
    let (client, first) = Client::begin("anna", binding, &[random; 18]);
    let first = ClientFirst::read(&first).expect("a first message");
    assert_eq!(first.user, "anna");
    let challenged = Server::challenge(
        client.mechanism(),
        first,
        verifier("right"),
        binding,
        &[random ^ 9; 18],
    );
    let (server, challenge) = challenged.expect("a challenge");
    (client, server, challenge)
}

fn prove(client: &mut Client, challenge: &[u8], password: &str) -> Vec<u8> {
    let question = client.read(challenge).expect("a question");
    assert_eq!(question.iterations, MIN_ITERATIONS);
    client.prove(&question, &keys(password))
}

#[test]
fn who_knows_the_password_gets_in_and_learns_that_the_server_knows_it_too() {
    for binding in [None, Some([3; KEY])] {
        let (mut client, server, challenge) = begin(binding, 1);
        let proof = prove(&mut client, &challenge, "right");
        let Accepted { message } = server.verify(&proof).expect("the right password");
        client.confirm(&message).expect("the right server");
    }
}

#[test]
fn a_wrong_password_is_a_wrong_proof() {
    let (mut client, server, challenge) = begin(None, 1);
    let proof = prove(&mut client, &challenge, "wrong");
    assert_eq!(server.verify(&proof).err(), Some(Failed::Proof));
}

#[test]
fn a_recorded_proof_is_of_no_use() {
    let (mut client, server, challenge) = begin(None, 1);
    let proof = prove(&mut client, &challenge, "right");
    server.verify(&proof).expect("the first time");
    // The same first message again: the server's part of the nonce is another.
    let (_, first) = Client::begin("anna", None, &[1; 18]);
    let first = ClientFirst::read(&first).expect("a first message");
    let (server, _) =
        Server::challenge(PLAIN, first, verifier("right"), None, &[7; 18]).expect("a challenge");
    assert_eq!(server.verify(&proof).err(), Some(Failed::Nonce));
}

#[test]
fn a_servers_own_words_prove_nothing_to_it() {
    let (mut client, server, challenge) = begin(None, 1);
    // What a server says is no proof, whichever of its words it is.
    assert_eq!(server.verify(&challenge).err(), Some(Failed::Malformed));
    let (_, server, _) = begin(None, 1);
    assert_eq!(server.verify(b"v=AAAA").err(), Some(Failed::Malformed));
    // And a client takes none of its own for the server's.
    let proof = prove(&mut client, &challenge, "right");
    assert_eq!(client.confirm(&proof), Err(Failed::Malformed));
}

#[test]
fn a_proof_is_good_in_one_tls_session_alone() {
    // A relay has one session with the client and another with the server.
    let (mut client, first) = Client::begin("anna", Some([1; KEY]), &[1; 18]);
    let first = ClientFirst::read(&first).expect("a first message");
    let challenged = Server::challenge(PLUS, first, verifier("right"), Some([2; KEY]), &[2; 18]);
    let (server, challenge) = challenged.expect("a challenge");
    let proof = prove(&mut client, &challenge, "right");
    assert_eq!(server.verify(&proof).err(), Some(Failed::Relayed));
}

#[test]
fn nobody_talks_a_client_or_a_server_out_of_the_binding() {
    let refused = |mechanism, message: &[u8], binding| {
        let first = ClientFirst::read(message)?;
        Server::challenge(mechanism, first, verifier("right"), binding, &[2; 18]).map(drop)
    };
    let tls = Some([2; KEY]);
    for message in [&b"n,,n=anna,r=abc"[..], b"y,,n=anna,r=abc"] {
        assert_eq!(
            refused(PLAIN, message, tls),
            Err(Failed::Binding),
            "over TLS without binding"
        );
        assert_eq!(
            refused(PLUS, message, tls),
            Err(Failed::Binding),
            "the name of the other"
        );
        assert_eq!(refused(PLUS, message, None), Err(Failed::Binding), "no TLS");
        assert_eq!(refused(PLAIN, message, None), Ok(()));
    }
    let bound = b"p=tls-exporter,,n=anna,r=abc";
    assert_eq!(refused(PLAIN, bound, tls), Err(Failed::Binding));
    assert_eq!(refused(PLUS, bound, None), Err(Failed::Binding));
    assert_eq!(
        refused(PLUS, b"p=tls-unique,,n=anna,r=abc", tls),
        Err(Failed::Binding)
    );
    assert_eq!(
        refused("SCRAM-SHA-1", b"n,,n=anna,r=abc", None),
        Err(Failed::Binding)
    );
    // A flag that was changed on the way is part of what is signed.
    let (mut client, first) = Client::begin("anna", None, &[1; 18]);
    let changed = String::from_utf8(first).expect("text").replacen('n', "y", 1);
    let first = ClientFirst::read(changed.as_bytes()).expect("a first message");
    let (server, challenge) =
        Server::challenge(PLAIN, first, verifier("right"), None, &[2; 18]).expect("one");
    let proof = prove(&mut client, &challenge, "right");
    assert_eq!(server.verify(&proof).err(), Some(Failed::Relayed));
}

#[test]
fn a_stolen_verifier_logs_nobody_in() {
    let stolen = verifier("right");
    // The thief takes what is kept for the keys themselves.
    for guess in [stolen.stored_key, stolen.server_key] {
        let (mut client, server, challenge) = begin(None, 1);
        let question = client.read(&challenge).expect("a question");
        let proof = client.prove(&question, &Keys::of(&guess));
        assert_eq!(server.verify(&proof).err(), Some(Failed::Proof));
    }
}

#[test]
fn a_client_is_not_made_to_give_its_password_away_or_to_work_for_hours() {
    let (client, _) = Client::begin("anna", None, &[1; 18]);
    let nonce = "AQEBAQEBAQEBAQEBAQEBAQEB";
    let asked = |rest: &str| client.read(format!("r={nonce}x,{rest}").as_bytes()).map(drop);
    let salt = "s=AAAAAAAAAAAAAAAAAAAAAA==";
    assert_eq!(asked(&format!("{salt},i=600000")), Ok(()));
    for count in [
        "1",
        "4096",
        "599999",
        "10000001",
        "4294967296",
        "0600000",
        "+600000",
        "",
        "-1",
    ] {
        assert_eq!(
            asked(&format!("{salt},i={count}")),
            Err(Failed::Derivation),
            "{count}"
        );
    }
    assert_eq!(asked("s=AAAA,i=600000"), Err(Failed::Derivation));
    assert_eq!(asked("s=?,i=600000"), Err(Failed::Malformed));
    for nonce in ["other", nonce] {
        let challenge = format!("r={nonce},{salt},i=600000");
        assert_eq!(
            client.read(challenge.as_bytes()).err(),
            Some(Failed::Nonce),
            "not what we sent and more"
        );
    }
    assert_eq!(
        client
            .read(format!("m=x,r={nonce}x,{salt},i=600000").as_bytes())
            .err(),
        Some(Failed::Unsupported)
    );
}

#[test]
fn a_server_that_does_not_know_the_account_is_found_out() {
    let (mut client, _, challenge) = begin(None, 1);
    assert_eq!(
        client.confirm(b"v=AAAA"),
        Err(Failed::ServerProof),
        "before anything was proved"
    );
    prove(&mut client, &challenge, "right");
    let zeros = format!("v={}=", "A".repeat(43));
    for verdict in ["v=", "v=AAAA", "v=?", &zeros] {
        assert_eq!(
            client.confirm(verdict.as_bytes()),
            Err(Failed::ServerProof),
            "{verdict}"
        );
    }
    assert_eq!(client.confirm(b"e=other-error"), Err(Failed::Malformed));
}

#[test]
fn proofs_that_are_cut_or_too_long_are_refused() {
    let (mut client, server, challenge) = begin(None, 1);
    let proof = prove(&mut client, &challenge, "right");
    drop(server);
    for length in 0..proof.len() {
        let (_, server, _) = begin(None, 1);
        server.verify(&proof[..length]).expect_err("it was cut");
    }
    for more in [&b"="[..], b"A", b"AAAA", &[b'A'; 5000]] {
        let (_, server, _) = begin(None, 1);
        server
            .verify(&[&proof, more].concat())
            .expect_err("it is too long");
    }
}

#[test]
fn names_are_escaped_and_nobody_acts_for_another() {
    let (_, first) = Client::begin("a=b,c", None, &[1; 18]);
    assert!(first.starts_with(b"n,,n=a=3Db=2Cc,r="));
    assert_eq!(ClientFirst::read(&first).expect("a first message").user, "a=b,c");
    for bad in [
        "n,,n=a=2Db,r=x",
        "n,,n=a=,r=x",
        "n,,n=,r=x",
        "n,,r=x",
        "n,,n=a,r=",
        "n,n=a,r=x",
        "",
        "n,,m=1,n=a,r=x",
    ] {
        ClientFirst::read(bad.as_bytes()).expect_err(bad);
    }
    assert_eq!(
        ClientFirst::read(b"n,a=root,n=anna,r=x"),
        Err(Failed::Unsupported)
    );
    assert_eq!(ClientFirst::read(&[b'n'; 5000]), Err(Failed::Malformed));
    assert_eq!(ClientFirst::read(b"n,,n=\xff,r=x"), Err(Failed::Malformed));
}

proptest! {
    #[test]
    fn a_proof_with_another_letter_in_it_is_none(at in 0_usize..200, letter in 0x21_u8..0x7f) {
        let (mut client, server, challenge) = begin(Some([1; KEY]), 1);
        let mut proof = prove(&mut client, &challenge, "right");
        let at = at % proof.len();
        prop_assume!(proof[at] != letter);
        proof[at] = letter;
        prop_assert!(server.verify(&proof).is_err());
    }
}
