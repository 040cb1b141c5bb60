//! `tls://` at one end and `tcp://` at the other: both are told so, and nobody is told of bytes that make no sense.

use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use sockeye::{Dialer, TlsClient};

use crate::serve::Serving;
use crate::sockeye::{sockeye, words};

const NO_TLS: &str = "does not speak TLS";

/// Runs a client to its end, with certificates of its own in mind: its exit code, and what it said.
fn client(config: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = sockeye(args);
    command.env("XDG_CONFIG_HOME", config).stdin(Stdio::null());
    let output = command.output().expect("it starts");
    // A load generator's findings are its results.
    let said = words(&output) + &String::from_utf8_lossy(&output.stdout);
    (output.status.code(), said)
}

#[test]
fn clients_and_servers_are_told_who_speaks_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let clear = [
        "files@tcp://127.0.0.1:0",
        "shop@tcp://127.0.0.1:0",
        "shop@tcp://127.0.0.1:0?auth=scram",
        "echo@tcp://127.0.0.1:0",
    ];
    let serving = Serving::start(&["-v", "--data", &data.to_string_lossy()], &clear);
    let at = |number: usize| format!("tls://{}", serving.address(number));
    let without = |number: usize| format!("use tcp://{}", serving.address(number));
    let bench = ["-c", "1", "--seconds", "0.01", "--warm-up", "0.001"];
    for (number, args, log) in [
        (0, &["files", "ls", &at(0)][..], "the other end speaks TLS"),
        (1, &["shop", &at(1)], ""),
        (2, &["shop", &at(2)], "the other end speaks TLS"),
        (3, &["info", &at(3), "--insecure"], ""),
        (3, &[&["bench", &at(3), "--insecure"], &bench[..]].concat(), ""),
    ] {
        let (code, said) = client(folder.path(), args);
        assert_eq!(code, Some(1), "{args:?}: {said}");
        assert!(
            said.contains(NO_TLS) && said.contains(&without(number)),
            "{args:?}: {said}"
        );
        let closed = serving.program.line_with("closed");
        assert!(closed.contains(log), "{args:?}: {closed}");
    }
}

#[test]
fn clients_without_tls_are_told_where_it_is_spoken() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let listeners = [
        "files@tls://127.0.0.1:0",
        "shop@tls://127.0.0.1:0?auth=scram",
        "echo@tls://127.0.0.1:0",
    ];
    let serving = Serving::start(&["--data", &data.to_string_lossy()], &listeners);
    let at = |number: usize| format!("tcp://{}", serving.address(number));
    let files = format!("use tls://{}", serving.address(0));
    let bench = ["-c", "1", "--seconds", "0.01", "--warm-up", "0.001"];
    let secret = crate::user::secret(folder.path(), "password", "correct horse\n");
    let mixed = "it takes tls:// at both ends";
    let login = ["--user", "anna", "--password-file", &secret];
    for (args, part) in [
        (&["files", "ls", &at(0)][..], files.as_str()),
        (&[&["files", "login", &at(0)], &login[..]].concat(), mixed),
        (&[&["bench", &at(2)], &bench[..]].concat(), mixed),
    ] {
        let (code, said) = client(folder.path(), args);
        assert_eq!(code, Some(1), "{args:?}: {said}");
        assert!(said.contains(part), "{args:?}: {said}");
        let closed = serving.program.line_with("closed");
        assert!(
            closed.contains(NO_TLS) && closed.contains("clients come here by tls://"),
            "{closed}"
        );
    }
    // A shop waits for TLS, and its customer for a greeting.
    let shop = crate::sockeye::Background::start(sockeye(&["shop", &at(1)]));
    shop.line_with(&format!(
        "one that speaks TLS waits for that: tls://{}",
        serving.address(1)
    ));
}

#[test]
fn a_peer_that_breaks_off_is_not_answered_with_documentation() {
    let serving = Serving::start(&["-v"], &["echo@tls://127.0.0.1:0"]);
    let endpoint = format!("tls://{}", serving.address(0));
    let tls = TlsClient::unverified().expect("a client");
    let conn = sockeye::block_on(Dialer::new().tls(tls).dial(&endpoint));
    let conn = conn.expect("it runs").expect("a connection");
    rustix::net::shutdown(&conn, rustix::net::Shutdown::Write).expect("the end of the stream");
    let closed = serving.program.line_with("closed");
    assert!(closed.contains("without the farewell of TLS"), "{closed}");
    assert!(!closed.contains("docs.rs"), "{closed}");
    drop(TcpStream::connect(serving.address(0)));
    let closed = serving.program.line_with("closed");
    assert!(!closed.contains("docs.rs"), "{closed}");
}
