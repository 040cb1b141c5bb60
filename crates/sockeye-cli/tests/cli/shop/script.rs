//! A script as a customer.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Output, Stdio};
use std::thread;

use super::open;
use crate::sockeye::{installed, sockeye, words};

/// Runs `sockeye shop` with these lines on its standard input.
pub(super) fn say(args: &[&str], lines: &str) -> Output {
    let mut command = sockeye(&[&["shop"], args].concat());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let _ = stdin.write_all(lines.as_bytes()); // it may have failed, and ended, before it read
    drop(stdin);
    child.wait_with_output().expect("its end")
}

pub(super) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn each_line_is_answered_by_a_line() {
    for model in ["process", "coroutine"] {
        let folder = tempfile::tempdir().expect("a folder");
        let serving = open(folder.path(), model, "shop@tcp://127.0.0.1:0");
        let output = say(&[serving.address(0)], "buy 2 西瓜\n\n余额\nbye\nbuy 1 西瓜\n");
        assert_eq!(
            said(&output),
            "Bought as number 1 for 4; balance -4.\n余额 -4\nCome again!\n"
        );
        assert_eq!(output.status.code(), Some(0), "{}", words(&output));
        // A refusal is told by the exit code, and stops nothing.
        let output = say(&[serving.address(0)], "buy rocket\n西瓜");
        assert_eq!(
            said(&output),
            "Sorry, we have none of that; please choose something else.\n购买成功,余额 -2\n"
        );
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn an_encoding_may_be_named_and_must_be_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = open(folder.path(), "epoll", "shop@tcp://127.0.0.1:0?encoding=gb18030");
    let output = say(&[serving.address(0), "--encoding", "gb18030"], "瓜子\n");
    assert_eq!(said(&output), "购买成功,余额 -4.5\n");
    let output = say(&[serving.address(0), "--encoding", "klingon"], "瓜子\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(words(&output).contains("unknown encoding `klingon`"));
}

#[test]
fn what_fails_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address").to_string();
    let hangs_up = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a customer");
        stream.write_all(b"hello").expect("a greeting");
        let _ = stream.read(&mut [0; 64]);
    });
    let output = say(&[&address], "西瓜\n");
    hangs_up.join().expect("its end");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        words(&output).contains("the shop has hung up"),
        "{}",
        words(&output)
    );
    let output = say(&[&address], "西瓜\n");
    assert!(
        words(&output).contains("connection refused"),
        "{}",
        words(&output)
    );
    assert_eq!(output.status.code(), Some(1));
}

/// A server as it was before there was anything but the dialogue: no newline, no commands.
#[test]
fn a_shop_that_knows_no_newline_is_understood() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address").to_string();
    let shop = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a customer");
        stream.write_all("你好".as_bytes()).expect("a greeting");
        let mut heard = [0; 64];
        let count = stream.read(&mut heard).expect("a wish");
        stream
            .write_all("购买成功,余额 -2".as_bytes())
            .expect("an answer");
        String::from_utf8_lossy(&heard[..count]).into_owned()
    });
    let output = say(&[&address, "--encoding", "utf-8"], "西瓜\n");
    assert_eq!(said(&output), "购买成功,余额 -2\n");
    assert_eq!(shop.join().expect("its end"), "西瓜\n");
}

/// A terminal of the test's own, in which Python plays the person.
const PERSON: &str = r#"
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
def until(words):
    global seen
    while words.encode() not in seen:
        seen += os.read(fd, 4096)
    before, _, seen = seen.partition(words.encode())
    sys.stdout.write((before + words.encode()).decode("utf-8", "replace"))
# At the prompt the terminal is ready for what a person types.
for line in ("西瓜\r", "list\r", "\x04"):
    until("shop> ")
    os.write(fd, line.encode())
until("Come again!")
print()
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[test]
fn a_person_sees_a_table() {
    if !installed("python3") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let serving = open(folder.path(), "epoll", "shop@tcp://127.0.0.1:0");
    let shop = sockeye(&["shop", serving.address(0)]);
    let mut python = std::process::Command::new("python3");
    python
        .args(["-c", PERSON])
        .arg(shop.get_program())
        .args(shop.get_args());
    python
        .env("PYTHONIOENCODING", "utf-8")
        .env("XDG_STATE_HOME", folder.path());
    let output = python.output().expect("it starts");
    let seen = said(&output);
    assert!(seen.contains("price  left"), "{seen}{}", words(&output));
    assert!(seen.contains("  西瓜        2   999"), "{seen}");
    assert!(seen.trim_end().ends_with("\n0"), "{seen}");
    let history = std::fs::read_to_string(folder.path().join("sockeye/shop-history")).expect("kept");
    assert!(history.contains("西瓜\nlist\n"), "{history}");
}

#[test]
fn what_the_encoding_lacks_is_not_said_as_something_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = open(folder.path(), "epoll-lt", "shop@tcp://127.0.0.1:0");
    let output = say(&[serving.address(0)], "瓜子\n😀\n");
    assert_eq!(said(&output).lines().count(), 1, "{}", words(&output));
    assert!(words(&output).contains("gbk has no `😀`"), "{}", words(&output));
    assert_eq!(output.status.code(), Some(1));
}
