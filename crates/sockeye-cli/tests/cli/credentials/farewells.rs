//! Clients take leave over TLS: a server sees an end, and not a connection that has just broken off.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::serve::Serving;
use crate::sockeye::{sockeye, words};
use crate::user::secret;

/// Runs a client with these words on its standard input.
fn client(config: &Path, args: &[&str], script: &str) -> Output {
    let mut command: Command = sockeye(args);
    command.env("XDG_CONFIG_HOME", config).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let _ = child.stdin.take().expect("a pipe").write_all(script.as_bytes()); // it may not want to read
    child.wait_with_output().expect("its end")
}

#[test]
fn a_server_sees_every_client_take_leave() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, config) = (folder.path().join("data"), folder.path());
    let (right, wrong) = (
        secret(folder.path(), "right", "correct horse\n"),
        secret(folder.path(), "wrong", "battery staple\n"),
    );
    let file = folder.path().join("f");
    fs::write(&file, "contents").expect("written");
    let file = file.to_string_lossy();
    let listeners = [
        "echo@tls://127.0.0.1:0?auth=none",
        "files@tls://127.0.0.1:0?register=open",
        "shop@tls://127.0.0.1:0?auth=scram&register=open",
        "shop@tls://127.0.0.1:0?auth=none",
    ];
    let serving = Serving::start(&["-v", "--data", &data.to_string_lossy()], &listeners);
    // What keeps something keeps its certificate, too, which all such listeners have.
    let pin = serving.program.line_with("certificate:");
    let pin = [
        "--fingerprint",
        pin.split_whitespace().nth(1).expect("a fingerprint"),
    ];
    let certificate = data.join("tls-127-0-0-1.pem").to_string_lossy().into_owned();
    let [echo, files, shop, open] = [0, 1, 2, 3].map(|at| format!("tls://{}", serving.address(at)));
    let user = |name: &'static str| ["--user", name, "--password-file", &right];
    let (anna, berta, carl) = (user("anna"), user("berta"), user("carl"));
    let unknown = ["--user", "anna", "--password-file", &wrong];
    let all: &[(&[&[&str]], &str, i32)] = &[
        (&[&["files", "register", &files], &anna, &pin], "", 0),
        (&[&["files", "register", &files], &anna, &pin], "", 1),
        (&[&["user", "register", &files], &berta, &pin], "", 0),
        (&[&["user", "register", &shop], &carl, &pin], "", 0),
        (&[&["files", "login", &files], &unknown, &pin], "", 1),
        (&[&["files", "put", &files, &file], &anna, &pin], "", 0),
        (&[&["files", "ls", &files], &anna, &pin], "", 0),
        (&[&["files", "ls", &files, "nosuch"], &anna, &pin], "", 1),
        (&[&["files", "get", &files, "nosuch"], &anna, &pin], "", 1),
        (&[&["shop", &shop], &carl, &pin], "balance\n", 0),
        (&[&["shop", &open], &pin], "balance\nbye\n", 0),
        (&[&["shop", &open], &pin], "buy 1 of nothing\n", 1),
        (&[&["info", &files, "--tls", "--ca", &certificate]], "", 0),
    ];
    // Who makes an account at a door and doesn't come in has left it.
    let orderly = |args: &[&str]| {
        let closed = serving.program.line_with("closed");
        let left = ["reason=finished", "the peer left"];
        assert!(left.iter().any(|why| closed.contains(why)), "{args:?}: {closed}");
    };
    for (args, script, code) in all {
        let args = args.concat();
        let output = client(config, &args, script);
        assert_eq!(output.status.code(), Some(*code), "{args:?}: {}", words(&output));
        orderly(&args);
    }
    // A machine that has no time for a load needs a longer window, after which nothing is on its way.
    let served = |seconds: &&str| {
        let load = "bench --insecure -c 1 -s 64 -d 1 --warm-up 0.001 --rounds 1 --seconds".split(' ');
        let load: Vec<&str> = load.chain([*seconds, echo.as_str()]).collect();
        let done = client(config, &load, "").status.success();
        match done {
            true => orderly(&load),
            false => drop(serving.program.line_with("closed")),
        }
        done
    };
    assert!(["0.01", "1", "100"].iter().any(served));
}
