//! Wrong answers to challenges: who guesses from one address has to wait, under every model.

use std::process::Command;

use super::{models, secret};
use crate::sockeye::{installed, sockeye, words};

/// An address that is no loopback's, in a network of its own that goes when the program ends.
const APART: &str = "ip link set lo up && ip address add 192.0.2.1/32 dev lo && exec \"$@\"";

/// Starts a server, answers its challenges wrongly, and says how many it was asked until it was sent away at once; and what becomes
/// of the right answer then.
const GUESSER: &str = r#"
import hmac, socket, subprocess, sys
server = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE, text=True)
try:
    for line in server.stderr:
        if line.startswith("listening "):
            port = int(line.split("://")[1].rsplit(":", 1)[1])
            break
    def ask(right):
        s = socket.create_connection(("192.0.2.1", port))
        s.settimeout(240)
        challenge = b""
        while len(challenge) < 32:
            some = s.recv(32 - len(challenge))
            if not some:
                return None
            challenge += some
        s.sendall(hmac.new(b"hush" if right else b"wrong", challenge, "md5").hexdigest().encode() + b"words")
        back = b""
        while some := s.recv(64):
            back += some
            if back == b"words":
                break
        return back
    assert ask(True) == b"words"
    guesses = 0
    while guesses < 1000 and ask(False) is not None:
        guesses += 1
    print(guesses, ask(True))
finally:
    server.kill()
"#;

#[test]
fn guesses_from_one_address_are_counted_under_every_model() {
    if !rustix::process::geteuid().is_root() || !installed("python3") || !installed("ip") {
        eprintln!("left out: only root can have a network of its own");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let hush = secret(folder.path(), "secret", "hush\n");
    for model in models() {
        let listener = format!(
            "echo@tcp://192.0.2.1:0?model={model}&auth=challenge&digest=md5&secret-file={hush}&insecure=true"
        );
        let serve = sockeye(&["serve", &listener]);
        let mut apart = Command::new("unshare");
        apart
            .args(["--net", "sh", "-c", APART, "sh", "python3", "-c", GUESSER])
            .arg(serve.get_program())
            .args(serve.get_args());
        let output = apart.output().expect("it starts");
        // Those that are free, and the one after which the first wait begins.
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said, "201 None\n", "{model}: {}", words(&output));
    }
}
