//! Who a client is, and whom it trusts: peers and servers that prove it to each other.

mod farewells;
mod guesses;
mod unsaid;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use sockeye::Model;

use crate::serve::Serving;
use crate::sockeye::{run, sockeye, words};
use crate::user::{secret, user};

/// The client of old, with its first words in the segment of the digest.
const OLD_CLIENT: &str = r#"
import hmac, socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
challenge = b""
while len(challenge) < 32:
    challenge += s.recv(32 - len(challenge))
s.sendall(hmac.new(b"hush", challenge, "md5").hexdigest().encode() + b"first words")
back = b""
while len(back) < 11:
    more = s.recv(64)
    if not more:
        break
    back += more
print(back.decode())
"#;

/// The models that this machine allows.
fn models() -> impl Iterator<Item = Model> {
    let allowed = |model: &Model| !model.shares_memory() || sockeye::run(*model, async {}).is_ok();
    Model::ALL.into_iter().filter(allowed)
}

#[test]
fn old_clients_prove_themselves_under_every_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let hush = secret(folder.path(), "secret", "hush\n");
    for model in models() {
        let listener =
            format!("echo@tcp://127.0.0.1:0?model={model}&auth=challenge&digest=md5&secret-file={hush}");
        let serving = Serving::start(&[], &[&listener]);
        let output = Command::new("python3")
            .args([&["-c", OLD_CLIENT], &serving.words(0)[..]].concat())
            .output();
        let output = output.expect("python3");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "first words\n",
            "{model}: {output:?}"
        );
    }
}

/// A visit to a shop, with these words on standard input.
fn shop(config: &Path, endpoint: &str, options: &[&str], script: &str) -> Output {
    let mut command = sockeye(&[&["shop", endpoint], options].concat());
    command.env("XDG_CONFIG_HOME", config);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    // It may have been refused before it read anything.
    let _ = std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), script.as_bytes());
    child.wait_with_output().expect("its end")
}

#[test]
fn customers_log_in_under_every_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let (right, wrong) = (
        secret(folder.path(), "right", "correct horse\n"),
        secret(folder.path(), "wrong", "battery staple\n"),
    );
    assert!(
        user(&data, &["add", "anna", "--password-file", &right])
            .status
            .success()
    );
    for model in models() {
        let listener = format!("shop@tcp://127.0.0.1:0?model={model}&auth=scram");
        let serving = Serving::start(&["--data", &data.to_string_lossy()], &[&listener]);
        let endpoint = format!("tcp://{}", serving.address(0));
        let visit = |password: &str| {
            let options = ["--user", "anna", "--password-file", password];
            shop(folder.path(), &endpoint, &options, "balance\n")
        };
        let output = visit(&right);
        assert!(output.status.success(), "{model}: {}", words(&output));
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).lines().count(),
            1,
            "{model}"
        );
        let refused = words(&visit(&wrong));
        assert!(
            refused.contains("the user name or the password is wrong"),
            "{model}: {refused}"
        );
        assert!(!refused.contains("battery"), "{refused}");
    }
}

#[test]
fn a_certificate_is_known_again_and_a_change_of_it_stops_us() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, config) = (folder.path().join("data"), folder.path().join("config"));
    let password = secret(folder.path(), "password", "correct horse\n");
    assert!(
        user(&data, &["add", "anna", "--password-file", &password])
            .status
            .success()
    );
    let serve = |port: &str| {
        let listener = format!("shop@tls://127.0.0.1:{port}?auth=scram");
        Serving::start(&["--data", &data.to_string_lossy()], &[&listener])
    };
    let mut serving = serve("0");
    let endpoint = format!("tls://{}", serving.address(0));
    let port = serving.words(0)[1].to_owned();
    let fingerprint = serving.program.line_with("certificate:");
    let fingerprint = fingerprint
        .split_whitespace()
        .nth(1)
        .expect("a fingerprint")
        .to_owned();
    let visit = |options: &[&str]| {
        let who = ["--user", "anna", "--password-file", &password];
        shop(&config, &endpoint, &[&who, options].concat(), "balance\n")
    };
    let first = visit(&[]);
    assert!(first.status.success(), "{}", words(&first));
    assert!(
        words(&first).contains("is new here") && words(&first).contains(&fingerprint),
        "{}",
        words(&first)
    );
    // The server begins anew with the same certificate.
    serving.program.signal(Signal::TERM);
    serving.program.end();
    let mut serving = serve(&port);
    let again = visit(&[]);
    assert!(again.status.success(), "{}", words(&again));
    assert_eq!(words(&again), "");
    // And with another one.
    serving.program.signal(Signal::TERM);
    serving.program.end();
    fs::remove_file(data.join("tls-127-0-0-1.pem")).expect("its certificate");
    let serving = serve(&port);
    let stopped = visit(&[]);
    assert_eq!(stopped.status.code(), Some(1));
    let told = words(&stopped);
    for part in [
        "another certificate than before",
        &fingerprint,
        "remove the line",
        "pins",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!visit(&["--fingerprint", &fingerprint]).status.success());
    let now = serving.program.line_with("certificate:");
    let now = now.split_whitespace().nth(1).expect("a fingerprint");
    let told = visit(&["--fingerprint", now]);
    assert!(told.status.success(), "{}", words(&told));
}

#[test]
fn somebody_registers_where_it_is_open_and_by_invitation() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let password = secret(folder.path(), "password", "correct horse\n");
    let code = String::from_utf8(user(&data, &["invite"]).stdout).expect("text");
    let code = secret(folder.path(), "code", &code);
    let listeners =
        ["open", "invite", "closed"].map(|who| format!("shop@tcp://127.0.0.1:0?auth=scram&register={who}"));
    let listeners: Vec<&str> = listeners.iter().map(String::as_str).collect();
    let serving = Serving::start(&["--data", &data.to_string_lossy()], &listeners);
    let register = |at: usize, name: &str, more: &[&str]| {
        let endpoint = format!("tcp://{}", serving.address(at));
        let args = [
            "user",
            "register",
            &endpoint,
            "--user",
            name,
            "--password-file",
            &password,
        ];
        words(&run(&[&args, more].concat()))
    };
    assert!(register(0, "anna", &[]).contains("anna is registered at tcp://"));
    assert!(register(0, "anna", &[]).contains("there is an account of this name already"));
    assert!(register(1, "bert", &[]).contains("an invitation is needed"));
    assert!(register(1, "bert", &["--invitation-file", &code]).contains("bert is registered"));
    assert!(register(1, "carl", &["--invitation-file", &code]).contains("it was used"));
    assert!(register(2, "carl", &[]).contains("by the operator alone"));
}

#[test]
fn what_a_listener_cannot_ask_for_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let hush = secret(folder.path(), "secret", "hush\n");
    for (listener, expected) in [
        (
            "echo@udp://127.0.0.1:0?auth=scram".to_owned(),
            "there are no connections",
        ),
        (
            "echo@tcp://127.0.0.1:0?auth=magic".to_owned(),
            "write none, challenge, scram or cert",
        ),
        (
            "echo@tcp://127.0.0.1:0?auth=challenge".to_owned(),
            "secret-file=PATH",
        ),
        (
            "shop@tcp://0.0.0.0:0?auth=scram".to_owned(),
            "insist with insecure=true",
        ),
        (
            "shop@tcp://0.0.0.0:0".to_owned(),
            "shop@tcp://0.0.0.0:0?auth=none",
        ),
        (
            "echo@tcp://0.0.0.0:0".to_owned(),
            "Serve it as echo@tls://0.0.0.0:0",
        ),
        (
            format!("echo@tls://0.0.0.0:0?auth=challenge&digest=md5&secret-file={hush}"),
            "a digest by MD5",
        ),
        (
            "echo@tcp://127.0.0.1:0?insecure=perhaps".to_owned(),
            "write true or false",
        ),
    ] {
        let output = run(&["serve", &listener]);
        assert_eq!(output.status.code(), Some(2), "{listener}");
        assert!(
            words(&output).contains(expected),
            "{listener}: {}",
            words(&output)
        );
    }
    let listener = format!("echo@tcp://0.0.0.0:0?auth=challenge&secret-file={hush}&insecure=true");
    let program = crate::sockeye::Background::start(sockeye(&["serve", &listener]));
    let warning = program.line_with("warning: ");
    assert!(
        warning.contains("whoever listens in reads everything"),
        "{warning}"
    );
}
