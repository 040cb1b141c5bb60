//! Standard output that can't be written is told, and is a failure; a pipe that was closed is neither.

use std::fs::File;
use std::process::{Output, Stdio};

use crate::serve::Serving;
use crate::sockeye::{run, sockeye, words};

/// How long a load is put on a server, in seconds: a machine that has no time for it needs more.
const WINDOWS: [&str; 3] = ["0.1", "3", "100"];

/// What prints something, of a server's or of this machine.
fn all([echo, packets, files]: &[String; 3]) -> Vec<String> {
    let port = packets.rsplit(':').next().expect("a port");
    vec![
        format!("ask {packets} hello --timeout 300s"),
        format!("ask {packets} hello --timeout 300s --json"),
        "broadcast --list".to_owned(),
        "broadcast --list --json".to_owned(),
        format!("broadcast hello --to 127.0.0.1 --port {port}"),
        format!("info {echo}"),
        format!("info {echo} --json"),
        format!("files ls {files}"),
        format!("files quota {files} --json"),
        format!("bench {echo} --connections 1 --seconds WINDOW"),
        "--help".to_owned(),
        "files --help".to_owned(),
    ]
}

fn into(line: &str, window: &str, out: impl Into<Stdio>) -> Output {
    let line = line.replace("WINDOW", window);
    let mut program = sockeye(&line.split(' ').collect::<Vec<_>>());
    program.stdout(out).stderr(Stdio::piped());
    program.output().expect("it starts")
}

#[test]
fn what_can_not_be_written_is_a_failure() {
    let data = tempfile::tempdir().expect("a folder");
    let data = data.path().to_str().expect("a name");
    let listeners = [
        "echo@tcp://127.0.0.1:0",
        "echo@udp://127.0.0.1:0",
        "files@tcp://127.0.0.1:0?auth=none",
    ];
    let server = Serving::start(&["--data", data], &listeners);
    let at = [0, 1, 2].map(|number| {
        server.at[number]
            .split(' ')
            .nth(1)
            .expect("an endpoint")
            .to_owned()
    });
    let made = run(&["files", "mkdir", &at[2], "photos"]);
    assert!(made.status.success(), "{}", words(&made));
    for line in all(&at) {
        let full = File::options().write(true).open("/dev/full").expect("full(4)");
        let output = into(&line, WINDOWS[0], full);
        let told = words(&output);
        assert_eq!(output.status.code(), Some(1), "{line}: {told}");
        let is_told = told.contains("write standard output: No space left");
        assert!(is_told || line.ends_with("--help"), "{line}: {told}");
        let into_nowhere = |window: &&str| {
            let (reader, writer) = std::io::pipe().expect("a pipe");
            drop(reader);
            let output = into(&line, window, writer);
            eprintln!("{line}: {}", words(&output));
            output.status.success()
        };
        assert!(WINDOWS.iter().any(into_nowhere), "{line}");
    }
}
