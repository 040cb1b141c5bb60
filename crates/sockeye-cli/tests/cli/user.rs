//! `sockeye user`.

mod quota;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::sockeye::{run, sockeye, words};

/// A file that nobody else may read.
pub(crate) fn secret(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("write");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("chmod");
    path.to_string_lossy().into_owned()
}

/// `sockeye user` on this folder.
pub(crate) fn user(data: &Path, args: &[&str]) -> Output {
    run(&[&["user", "--data", &data.to_string_lossy()], args].concat())
}

fn listed(data: &Path) -> String {
    String::from_utf8(user(data, &["list"]).stdout).expect("text")
}

#[test]
fn accounts_are_made_listed_disabled_and_enabled() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let password = secret(folder.path(), "password", "correct horse\n");
    let add = |name: &str| user(&data, &["add", name, "--password-file", &password]);
    let output = user(&data, &["list"]);
    assert!(
        words(&output).contains("nothing of a server's"),
        "{}",
        words(&output)
    );
    assert!(!data.exists(), "a name that was mistyped makes nothing");
    for name in ["anna", "张三"] {
        let output = add(name);
        assert!(output.status.success(), "{}", words(&output));
    }
    assert_eq!(listed(&data), "anna  enabled\n张三    enabled\n");
    assert!(user(&data, &["disable", "anna"]).status.success());
    assert_eq!(listed(&data), "anna  disabled\n张三    enabled\n");
    assert!(user(&data, &["enable", "anna"]).status.success());
    assert!(
        user(&data, &["passwd", "anna", "--password-file", &password])
            .status
            .success()
    );
    let json = user(&data, &["list", "--json"]).stdout;
    assert!(String::from_utf8_lossy(&json).contains(r#""disabled":false,"name":"anna""#));
    let code = user(&data, &["invite"]).stdout;
    assert_eq!(String::from_utf8_lossy(&code).trim().len(), 32);
    for (output, expected, exit) in [
        (add("anna"), "there is an account anna already", 1),
        (add("ANNA"), "differs from ANNA in capital letters alone", 1),
        (add("a/b"), "a name has 1 to 64 letters", 2),
        (user(&data, &["disable", "carl"]), "there is no account carl", 1),
        (user(&data, &["passwd", "carl"]), "there is no account carl", 1),
    ] {
        let words = words(&output);
        assert!(words.contains(expected), "{words}");
        assert_eq!(output.status.code(), Some(exit), "{words}");
        assert!(!words.contains("horse"), "{words}");
    }
}

#[test]
fn a_password_comes_from_nobody_elses_file_or_a_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let add = |file: &str| words(&user(&data, &["add", "anna", "--password-file", file]));
    let open = secret(folder.path(), "open", "correct horse\n");
    fs::set_permissions(&open, Permissions::from_mode(0o644)).expect("chmod");
    assert!(add(&open).contains("others may read it (its mode is 644); chmod 600"));
    let short = secret(folder.path(), "short", "horse\n");
    assert!(add(&short).contains("fewer than 8 characters"));
    assert!(add("/no/such").contains("read secret /no/such: no such file"));
    assert_eq!(listed(&data), "");
}

/// Types at a terminal, each line when it is asked for, and prints what is to be seen there.
const TYPIST: &str = r#"
import os, pty, signal, sys
signal.alarm(240)  # who waits this long has found a bug
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
for question, line in [(b"New password of anna: ", b"correct horzx\x7f\x7fse\n"), (b"The same again: ", b"correct horse\n")]:
    while question not in seen:
        seen += os.read(terminal, 1024)
    os.write(terminal, line)
try:
    while True:
        more = os.read(terminal, 1024)
        if not more:
            break
        seen += more
except OSError:
    pass
print(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[test]
fn a_password_is_typed_unseen() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let program = sockeye(&[]).get_program().to_owned();
    let mut typist = Command::new("python3");
    typist.args(["-c", TYPIST]).arg(program);
    typist.args(["user", "--data"]).arg(&data).args(["add", "anna"]);
    let output = typist.output().expect("python3");
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{seen} {}", words(&output));
    assert!(!seen.contains("horse") && !seen.contains("horz"), "{seen}");
    assert_eq!(listed(&data), "anna  enabled\n");
}
