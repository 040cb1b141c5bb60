//! The legacy challenge, by the programs that people have.

use super::{client, dial, echoes, guarded};
use crate::serving::{Peer, each_model};
use sockeye::Model;
use sockeye_proto::challenge::Digest;
use sockeye_services::auth::client::answer_challenge;
use sockeye_services::auth::{Guard, Policy, Scheme, Secret};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;
use zeroize::Zeroizing;

const SECRET: &[u8] = b"we both know this";

pub(crate) fn policy(digest: Digest) -> Policy {
    Policy {
        scheme: Scheme::Challenge,
        secret: Some(Secret {
            digest,
            bytes: Zeroizing::new(SECRET.to_vec()).into(),
        }),
        ..Policy::default()
    }
}

fn guard(digest: Digest) -> Guard {
    Guard::new(&policy(digest), None)
        .expect("a secret")
        .expect("a guard")
}

/// The client of old: it answers the challenge, and says its first word in the same breath.
const OLD_CLIENT: &str = r#"
import hmac, socket, sys
host, port, digest = sys.argv[1], int(sys.argv[2]), sys.argv[3]
s = socket.create_connection((host, port))
challenge = b""
while len(challenge) < 32:
    challenge += s.recv(32 - len(challenge))
s.sendall(hmac.new(b"we both know this", challenge, digest).hexdigest().encode() + b"first words")
back = b""
while len(back) < 11:
    back += s.recv(64)
print(back.decode())
"#;

/// The server of old: it says `welcome` to who answered well, and hangs up on others.
const OLD_SERVER: &str = r#"
import hmac, os, socket, sys
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(1)
print(listener.getsockname()[1], flush=True)
for _ in range(2):
    s, _ = listener.accept()
    challenge = os.urandom(32)
    s.sendall(challenge)
    expected = hmac.new(b"we both know this", challenge, sys.argv[1]).hexdigest().encode()
    answer = b""
    while len(answer) < len(expected):
        answer += s.recv(len(expected) - len(answer))
    if hmac.compare_digest(answer, expected):
        s.sendall(b"welcome")
    s.close()
"#;

#[test]
fn old_clients_are_let_in_with_their_first_words() {
    each_model(|model| {
        for digest in Digest::ALL {
            let served = guarded("tcp://127.0.0.1:0", model, guard(digest));
            let address = served.address();
            let output = Command::new("python3")
                .args([
                    "-c",
                    OLD_CLIENT,
                    &address.ip().to_string(),
                    &address.port().to_string(),
                ])
                .arg(digest.to_string())
                .output()
                .expect("python3");
            let words = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(words, "first words\n", "{model} {digest}: {output:?}");
        }
    });
}

#[test]
fn old_servers_let_our_client_in() {
    for digest in Digest::ALL {
        let mut server = Command::new("python3")
            .args(["-c", OLD_SERVER, &digest.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut line = String::new();
        let mut said = BufReader::new(server.stdout.take().expect("a pipe"));
        said.read_line(&mut line).expect("its port");
        let endpoint = format!("tcp://127.0.0.1:{}", line.trim());
        for (secret, expected) in [(SECRET, &b"welcome"[..]), (b"something else", b"")] {
            let heard = client(async {
                let mut conn = sockeye::dial(&endpoint).await?;
                answer_challenge(&mut conn, digest, secret).await?;
                conn.recv().await
            });
            assert_eq!(heard.expect("an answer")[..], *expected, "{digest}");
        }
        server.wait().expect("its end");
    }
}

#[test]
fn our_own_client_is_let_in_too() {
    let served = guarded("tls://127.0.0.1:0", Model::default(), guard(Digest::Sha256));
    let talk = client(async {
        let mut conn = dial(&served).await?;
        answer_challenge(&mut conn, Digest::Sha256, SECRET).await?;
        assert_eq!(conn.user(), None);
        echoes(&mut conn, "hello\n").await
    });
    talk.expect("let in");
}

/// What somebody makes of a challenge.
type Answer = fn(&[u8; 32]) -> Vec<u8>;

#[test]
fn nothing_but_the_digest_itself_lets_anybody_in() {
    let served = guarded("tcp://127.0.0.1:0", Model::default(), guard(Digest::Sha256));
    let answers: [Answer; 6] = [
        |challenge| {
            Digest::Sha256
                .answer(SECRET, challenge)
                .to_uppercase()
                .into_bytes()
        },
        |challenge| Digest::Sha256.answer(b"a guess", challenge).into_bytes(),
        // The server's own words.
        |challenge| challenge.repeat(2),
        // Of another challenge.
        |_| Digest::Sha256.answer(SECRET, &[0; 32]).into_bytes(),
        |challenge| format!("\n{}", Digest::Sha256.answer(SECRET, challenge)).into_bytes(),
        |challenge| Digest::Md5.answer(SECRET, challenge).repeat(2).into_bytes(),
    ];
    for answer in answers {
        let mut peer = Peer::of(&served);
        let mut challenge = [0; 32];
        peer.0.read_exact(&mut challenge).expect("a challenge");
        peer.send(answer(&challenge));
        peer.expect_end("");
        let reason = served.next_reason();
        assert!(
            reason.contains("the digest of the challenge is wrong"),
            "{reason}"
        );
    }
}

#[test]
fn each_challenge_is_another() {
    let served = guarded("tcp://127.0.0.1:0", Model::default(), guard(Digest::Md5));
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        let mut challenge = [0; 32];
        Peer::of(&served)
            .0
            .read_exact(&mut challenge)
            .expect("a challenge");
        assert!(seen.insert(challenge));
    }
}

#[test]
fn who_hangs_up_or_takes_too_long_is_given_up() {
    each_model(|model| {
        let quick = guard(Digest::Md5).limit(Duration::from_millis(50));
        let served = guarded("tcp://127.0.0.1:0", model, quick);
        let mut slow = Peer::of(&served);
        let mut challenge = [0; 32];
        slow.0.read_exact(&mut challenge).expect("a challenge");
        slow.send("0123"); // and no more
        slow.expect_end("");
        assert_eq!(served.next_reason(), "timed out: log in: timed out after 50ms");
    });
    let served = guarded("tcp://127.0.0.1:0", Model::default(), guard(Digest::Md5));
    let mut cut = Peer::of(&served);
    cut.send("0123456789abcdef");
    cut.close_write();
    let mut challenge = [0; 32];
    cut.0.read_exact(&mut challenge).expect("a challenge");
    cut.expect_end("");
    assert!(served.next_reason().starts_with("failed: log in"));
}
