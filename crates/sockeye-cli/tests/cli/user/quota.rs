//! How much of files one user may keep.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{listed, secret, user};
use crate::serve::Serving;
use crate::sockeye::{sockeye, words};

/// Each client puts files of this size.
const FILE: u64 = 30_000;
const FILES: usize = 20;
const CLIENTS: usize = 5;
/// No multiple of a file's size, and far less than all of them.
const QUOTA: u64 = 1_000_000;

/// The sizes of all files below a folder.
fn kept(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry"));
    let size = |entry: fs::DirEntry| match entry.metadata().expect("a file") {
        facts if facts.is_dir() => kept(&entry.path()),
        facts => facts.len(),
    };
    entries.map(size).sum()
}

/// That somebody was refused for this limit.
#[track_caller]
fn is_over(ended: &Output, limit: &str) {
    let words = words(ended);
    assert_eq!(ended.status.code(), Some(1), "{words}");
    assert!(words.contains(&format!("over your limit of {limit}")), "{words}");
}

/// A data folder with two accounts, a folder to put there, and their password.
fn prepare(folder: &Path) -> (PathBuf, PathBuf, String) {
    let (data, source) = (folder.join("data"), folder.join("source"));
    let password = secret(folder, "password", "correct horse\n");
    for name in ["anna", "bert"] {
        let added = user(&data, &["add", name, "--password-file", &password]);
        assert!(added.status.success(), "{}", words(&added));
    }
    fs::create_dir(&source).expect("a folder");
    for number in 0..FILES {
        fs::write(source.join(format!("f{number}")), vec![7; FILE as usize]).expect("a file");
    }
    (data, source, password)
}

#[test]
fn an_own_quota_goes_before_the_listeners_and_parallel_uploads_stay_below_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, source, password) = prepare(folder.path());
    let listener = "files@tcp://127.0.0.1:0?quota=100KB";
    let mut serving = Serving::start(&["--data", &data.to_string_lossy()], &[listener]);
    let endpoint = format!("tcp://{}", serving.address(0));
    let put = |who: &str, to: &str| -> Child {
        let mut command = sockeye(&[
            "files",
            "put",
            &endpoint,
            "--user",
            who,
            "--password-file",
            &password,
        ]);
        command.args(["--to", to]).arg(&source);
        command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts")
    };
    // While it runs.
    let set = user(&data, &["quota", "anna", "1000kB"]);
    assert!(set.status.success(), "{}", words(&set));
    assert_eq!(listed(&data), "anna  enabled  quota 1000000B\nbert  enabled\n");
    let clients: Vec<Child> = (0..CLIENTS)
        .map(|number| put("anna", &format!("c{number}/")))
        .collect();
    let mut refused = 0;
    for client in clients {
        let ended = client.wait_with_output().expect("its end");
        if !ended.status.success() {
            refused += 1;
            is_over(&ended, "1000000");
        }
    }
    assert!(refused >= CLIENTS - 1, "there is room for one of them: {refused}");
    // Whose quota is the listener's.
    is_over(&put("bert", "c/").wait_with_output().expect("its end"), "100000");
    // And so is hers again.
    assert!(user(&data, &["quota", "anna", "none"]).status.success());
    assert_eq!(listed(&data), "anna  enabled\nbert  enabled\n");
    is_over(&put("anna", "d/").wait_with_output().expect("its end"), "100000");
    serving.program.signal(Signal::TERM);
    serving.program.end();
    for (name, quota, least) in [("anna", QUOTA, QUOTA / 2), ("bert", 100_000, FILE)] {
        let used = kept(&data.join("files/users").join(name));
        assert!((least..=quota).contains(&used), "{name}: {used}");
        let shown = user(&data, &["quota", name, "--json"]).stdout;
        let shown: Value = serde_json::from_slice(&shown).expect("JSON");
        assert_eq!(
            shown,
            json!({"name": name, "quota": null, "used": used, "reserved": 0})
        );
    }
    let said = user(&data, &["quota", "anna"]).stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(
        said.starts_with("anna has no quota of their own, and keeps "),
        "{said}"
    );
}

#[test]
fn what_is_no_quota_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let password = secret(folder.path(), "password", "correct horse\n");
    assert!(
        user(&data, &["add", "anna", "--password-file", &password])
            .status
            .success()
    );
    for (args, expected, exit) in [
        (&["quota", "carl"][..], "there is no account carl", 1),
        (&["quota", "carl", "1GiB"], "there is no account carl", 1),
        (&["quota", "anna", "many"], "parse size", 2),
        (&["quota", "anna", "16EiB"], "", 2),
    ] {
        let output = user(&data, args);
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {}", words(&output));
        assert!(words(&output).contains(expected), "{}", words(&output));
    }
    assert_eq!(listed(&data), "anna  enabled\n");
}
