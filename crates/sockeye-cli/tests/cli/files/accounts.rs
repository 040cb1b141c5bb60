//! Names and passwords, over TCP and over TLS.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::Person;
use crate::serve::Serving;
use crate::sockeye::installed;

/// A file that only its owner may read.
fn secret(person: &Person, name: &str, words: &str) {
    let path = person.path(name);
    fs::write(&path, words).expect("written");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("its owner's");
}

#[test]
fn an_account_is_made_and_used_over_tls_whose_certificate_is_met_for_the_first_time() {
    let data = tempfile::tempdir().expect("a folder");
    let folder = data.path().to_str().expect("a path in UTF-8");
    let serving = Serving::start(&["--data", folder], &["files@tls://127.0.0.1:0?register=open"]);
    let at = format!("tls://{}", serving.address(0));
    let person = Person::new();
    secret(&person, "right", "correct horse battery staple");
    secret(&person, "wrong", "incorrect horse battery staple");
    person.file("f", 3 << 20);
    let register = person
        .command(&["register", &at, "--user", "ann", "--password-file", "right"])
        .output();
    let said = crate::sockeye::words(&register.expect("the binary starts"));
    assert!(
        said.contains("is new here") && said.contains("ann has an account now"),
        "{said}"
    );
    person.does(&["login", &at, "--user", "ann", "--password-file", "right"]);
    let second = [
        "register",
        &at,
        "--user",
        "bo",
        "--password-file",
        "right",
        "--json",
    ];
    assert_eq!(
        person.does(&second),
        "{\"event\":\"registered\",\"user\":\"bo\"}\n"
    );
    let told = person.run(&second);
    assert_eq!(told.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert!(
        told["error"]["message"]
            .as_str()
            .is_some_and(|why| why.contains("already")),
        "{told}"
    );
    let said = person.fails(&["login", &at, "--user", "ann", "--password-file", "wrong"], 1);
    assert!(!said.contains("horse"), "{said}");
    let said = person.fails(&["ls", &at], 1);
    assert!(said.contains("log"), "{said}");
    let put = person
        .command(&["put", &at, "--user", "ann", "f"])
        .env("SOCKEYE_PASSWORD_FILE", person.path("right"))
        .output()
        .expect("the binary starts");
    assert!(put.status.success(), "{}", crate::sockeye::words(&put));
    assert!(data.path().join("files/users/ann/f").is_file());
}

/// Types what a person types, when it is asked for.
const TYPIST: &str = r#"
import os, pty, select, sys
answers = [(b"> ", b"5\n"), (b"for all): ", b"\n"), (b"> ", b"3\n"), (b"here: ", b"f\n"), (b"none): ", b"box\n"),
           (b"> ", b"5\n"), (b"for all): ", b"box\n"), (b"> ", b"what\n"), (b"> ", b"6\n")]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
heard = at = b""
while True:
    try:
        some = os.read(terminal, 4096)
    except OSError:
        break
    if not some:
        break
    heard += some
    at += some
    while answers and answers[0][0] in at:
        question, answer = answers.pop(0)
        at = at[at.index(question) + len(question):]
        os.write(terminal, answer)
sys.stdout.write(heard.decode("utf-8", "replace"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// Has a script run `sockeye files` at a terminal of this kind.
fn at_terminal(person: &Person, kind: &str, script: &str, args: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new("python3");
    command.args(["-c", script, env!("CARGO_BIN_EXE_sockeye"), "files"]);
    command.args(args).current_dir(person.folder.path());
    command
        .env("TERM", kind)
        .env("XDG_STATE_HOME", person.path(".state"));
    command.output().expect("it starts")
}

#[test]
fn a_menu_for_who_gave_no_command() {
    if !installed("python3") {
        return;
    }
    let (serving, data) = super::service("");
    let person = Person::new();
    person.file("f", 1000);
    let at = super::endpoint(&serving);
    let output = at_terminal(&person, "dumb", TYPIST, &[&at]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("sent 1 file, ") && said.contains("`what` is no choice"),
        "{said}"
    );
    assert!(data.path().join("files/everybody/box/f").is_file(), "{said}");
}

/// How wide what is drawn is at the most, on a terminal of 40 columns: what a carriage return or a newline begins anew is a line.
const MEASURE: &str = r#"
import fcntl, os, pty, re, struct, sys, termios, unicodedata
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
heard = b""
while True:
    try:
        some = os.read(terminal, 4096)
    except OSError:
        break
    if not some:
        break
    heard += some
text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", heard.decode())
wide = lambda c: 2 if unicodedata.east_asian_width(c) in "WF" else 1
print(max(sum(map(wide, line)) for line in re.split(r"[\r\n]", text) if "\u6587" in line))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[test]
fn the_line_that_changes_fits_the_terminal_whatever_its_letters() {
    if !installed("python3") {
        return;
    }
    let (serving, _data) = super::service("");
    let person = Person::new();
    let name = "文".repeat(30);
    person.file(&name, 8 << 20);
    let at = super::endpoint(&serving);
    let output = at_terminal(&person, "xterm", MEASURE, &["put", &at, &name]);
    let said = crate::sockeye::words(&output);
    assert!(output.status.success(), "{said}");
    let width: usize = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .expect("a number");
    assert!(width <= 40, "{width} columns");
}
