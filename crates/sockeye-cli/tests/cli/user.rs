//! `sockeye user`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use crate::sockeye::{run, words};

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
    assert_eq!(listed(&data), "");
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
