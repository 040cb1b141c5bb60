//! Standard output that can't be written is told, and is a failure; a pipe that was closed is neither.

use std::fs::File;
use std::process::{Output, Stdio};

use crate::sockeye::{Background, run, sockeye, words};

/// What prints something, of a server's or of this machine.
fn all(port: &str, files: &str) -> Vec<String> {
    vec![
        format!("ask udp://127.0.0.1:{port} hello"),
        format!("ask udp://127.0.0.1:{port} hello --json"),
        "broadcast --list".to_owned(),
        "broadcast --list --json".to_owned(),
        format!("broadcast hello --to 127.0.0.1 --port {port}"),
        format!("info 127.0.0.1 {port}"),
        format!("info 127.0.0.1 {port} --json"),
        format!("files ls {files}"),
        format!("files quota {files} --json"),
        format!("bench tcp://127.0.0.1:{port} --seconds 0.1 --connections 1"),
        "--help".to_owned(),
        "files --help".to_owned(),
    ]
}

fn into(args: &[&str], out: impl Into<Stdio>) -> Output {
    let mut program = sockeye(args);
    program.stdout(out).stderr(Stdio::piped());
    program.output().expect("it starts")
}

#[test]
fn what_can_not_be_written_is_a_failure() {
    let data = tempfile::tempdir().expect("a folder");
    let data = data.path().to_str().expect("a name");
    let listeners = ["echo@tcp://127.0.0.1:0", "files@tcp://127.0.0.1:0?auth=none"];
    let server = Background::start(sockeye(&[&["serve", "--data", data], &listeners[..]].concat()));
    let mut at = [(); 2].map(|()| server.line_with("listening"));
    at.sort();
    let [echo, files] = at.map(|line| line.split(' ').nth(2).expect("an endpoint").to_owned());
    let port = echo.rsplit(':').next().expect("a port");
    let udp = format!("echo@udp://127.0.0.1:{port}");
    let packets = Background::start(sockeye(&["serve", &udp]));
    packets.line_with("listening");
    let made = run(&["files", "mkdir", &files, "photos"]);
    assert!(made.status.success(), "{}", words(&made));
    for line in all(port, &files) {
        let args: Vec<&str> = line.split(' ').collect();
        let full = File::options().write(true).open("/dev/full").expect("full(4)");
        let output = into(&args, full);
        let told = words(&output);
        assert_eq!(output.status.code(), Some(1), "{line}: {told}");
        let is_told = told.contains("write standard output: No space left");
        assert!(is_told || line.ends_with("--help"), "{line}: {told}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = into(&args, writer);
        assert_eq!(output.status.code(), Some(0), "{line}: {}", words(&output));
    }
}
