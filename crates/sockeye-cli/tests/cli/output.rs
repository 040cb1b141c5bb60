//! Standard output that can't be written is told, and is a failure; a pipe that was closed is neither.

use std::fs::File;
use std::process::Stdio;

use crate::sockeye::{Background, run, sockeye, words};

/// What prints something, of a server's or of this machine.
fn all(echo: &str, files: &str) -> Vec<Vec<String>> {
    let udp = echo.replacen("tcp:", "udp:", 1);
    let lines = [
        format!("ask {udp} hello"),
        format!("ask {udp} hello --json"),
        "broadcast --list".to_owned(),
        "broadcast --list --json".to_owned(),
        format!(
            "broadcast hello --to 127.0.0.1 --port {}",
            udp.rsplit(':').next().unwrap_or_default()
        ),
        format!(
            "info {} {}",
            "127.0.0.1",
            echo.rsplit(':').next().unwrap_or_default()
        ),
        format!(
            "info {} {} --json",
            "127.0.0.1",
            echo.rsplit(':').next().unwrap_or_default()
        ),
        format!("files ls {files}"),
        format!("files quota {files} --json"),
        format!("bench {echo} --seconds 0.1 --connections 1"),
        "--help".to_owned(),
        "files --help".to_owned(),
    ];
    lines
        .iter()
        .map(|line| line.split(' ').map(str::to_owned).collect())
        .collect()
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
    for args in all(&echo, &files) {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let full = File::options().write(true).open("/dev/full").expect("full(4)");
        let output = sockeye(&args)
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .expect("it starts");
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", words(&output));
        if !args.contains(&"--help") {
            assert!(
                words(&output).contains("write standard output: No space left"),
                "{}",
                words(&output)
            );
        }
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = sockeye(&args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("it starts");
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", words(&output));
    }
}
