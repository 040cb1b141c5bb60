//! A disk that fails.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Client, OPEN, WAYS, hash};
use crate::faults::Faulty;
use crate::sockeye::{run, words};

/// What fails, and of which descriptors; whether a large file meets it, and which small ones (see [`WAYS`]).
struct Break {
    calls: &'static [&'static str],
    part: &'static str,
    large: bool,
    small: &'static [bool],
    /// Small ones go into a folder that is there.
    there: bool,
}

/// One that a large file meets.
const fn broken(calls: &'static [&'static str], part: &'static str, small: &'static [bool]) -> Break {
    Break {
        calls,
        part,
        large: true,
        small,
        there: false,
    }
}

const BREAKS: &[Break] = &[
    // Bytes, on their way into a file.
    broken(
        &["write", "pwrite64", "pwritev", "writev", "splice"],
        "/files/uploads/",
        &WAYS,
    ),
    broken(&["pwrite64", "splice"], ".part", &[]),
    // A file without a name: `/files/everybody/#7 (deleted)`.
    Break {
        calls: &["pwrite64"],
        part: "/files/everybody",
        large: false,
        small: &[false],
        there: true,
    },
    Break {
        calls: &["pwrite64"],
        part: "/files/uploads/",
        large: false,
        small: &[true],
        there: true,
    },
    // Bytes, on their way to the disk.
    broken(
        &["fsync", "fdatasync", "syncfs", "sync_file_range"],
        "/files/uploads/",
        &[true],
    ),
    broken(&["fsync", "syncfs"], "/files/uploads/", &[true]),
    broken(&["fdatasync"], "/files/uploads/", &[]),
    broken(&["fdatasync"], ".part", &[]),
    broken(&["fdatasync"], ".units", &[]),
    broken(&["fsync"], ".part", &[]),
    // Names.
    broken(&["renameat2", "renameat", "linkat"], "/files/everybody", &WAYS),
    broken(&["renameat2", "renameat", "linkat"], "/files/uploads", &[]),
    Break {
        calls: &["linkat"],
        part: "/files/everybody",
        large: false,
        small: &[false],
        there: true,
    },
    Break {
        calls: &["renameat2", "renameat"],
        part: "/files/everybody",
        large: false,
        small: &[true],
        there: true,
    },
];

const LARGE: usize = (1 << 20) + 7;
/// More than are forced to the disk one by one.
const MANY: usize = 20;

fn served(data: &Path, model: &str) -> Option<Faulty> {
    Faulty::serve(&["--data", &data.to_string_lossy(), "--model", model], OPEN)
}

/// A large file, as far as it gets.
fn put_large(client: &mut Client, path: &str, name: &str) -> Result<Value, String> {
    let bytes = vec![5; LARGE];
    let plan = json!({"upload": name, "path": path, "size": LARGE, "mtime": "7", "hash": hash(&bytes)});
    let begun = client.ask("upload", plan).expect("an answer")?;
    if let Some(receipt) = begun.get("receipt") {
        return Ok(receipt.clone()); // it had its name already
    }
    let offset = begun["offset"].as_u64().expect("an offset") as usize;
    let rest = &bytes[offset..];
    client
        .send(
            "data",
            json!({"upload": name, "offset": offset, "follows": rest.len()}),
        )
        .and_then(|()| client.raw(rest))
        .expect("sent");
    client.answer().expect("an answer").1?;
    client.ask("commit", json!({"upload": name})).expect("an answer")
}

/// Small ones, all at once.
fn put_small(client: &mut Client, folder: &str, count: usize, sync: bool) -> Vec<Result<Value, String>> {
    for number in 0..count {
        client
            .send_small(&format!("{folder}/{number}"), &[7; 500], sync)
            .expect("sent");
    }
    (0..count)
        .map(|_| client.answer().expect("an answer").1)
        .collect()
}

fn quota(client: &mut Client) -> Value {
    client
        .ask("quota", json!({}))
        .expect("an answer")
        .expect("a quota")
}

/// How many files are to be seen; no more and no less than they are is counted, and nothing is reserved.
#[track_caller]
fn counted(client: &mut Client) -> usize {
    let (count, sum) = listed(client);
    assert_eq!(quota(client), json!({"used": sum, "reserved": 0, "limit": null}));
    count
}

/// How many files are to be seen, and the sum of their sizes.
fn listed(client: &mut Client) -> (usize, u64) {
    let (mut count, mut sum, mut after) = (0, 0, Value::Null);
    loop {
        let about = json!({"path": "", "recursive": true, "after": after});
        let list = client.ask("list", about).expect("an answer").expect("a list");
        let entries = list["entries"].as_array().expect("entries");
        for file in entries.iter().filter(|entry| entry["kind"] == "file") {
            count += 1;
            sum += file["size"].as_u64().expect("a size");
        }
        if list["more"] != true {
            return (count, sum);
        }
        after = entries.last().expect("some")["path"].clone();
    }
}

#[test]
fn what_the_disk_has_not_taken_is_not_acknowledged_and_has_no_name() {
    not_acknowledged_under("epoll");
}

#[test]
fn nor_is_it_where_each_client_has_a_process() {
    not_acknowledged_under("process");
}

fn not_acknowledged_under(model: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(faulty) = served(folder.path(), model) else {
        return;
    };
    let mut client = Client::at(faulty.serving.address(0)).expect("a server");
    put_small(&mut client, "before", 1, true)
        .pop()
        .expect("one")
        .expect("the disk works");
    for (at, broken) in BREAKS.iter().enumerate() {
        let Break {
            calls,
            part,
            large,
            small,
            there: is_there,
        } = broken;
        for count in [1, MANY].into_iter().filter(|_| *is_there) {
            let about = json!({"path": format!("small{at}-{count}")});
            client
                .ask("mkdir", about)
                .expect("an answer")
                .expect("the disk works");
        }
        let (there, before) = (listed(&mut client), quota(&mut client));
        faulty.fail(calls, part);
        let name = format!("{at:032x}");
        if *large {
            let outcome = put_large(&mut client, &format!("large{at}"), &name);
            assert_eq!(outcome, Err("io".to_owned()), "{calls:?}");
        }
        for (sync, count) in small.iter().flat_map(|sync| [(*sync, 1), (*sync, MANY)]) {
            for outcome in put_small(&mut client, &format!("small{at}-{count}"), count, sync) {
                assert_eq!(
                    outcome,
                    Err("io".to_owned()),
                    "{calls:?}, {count} small ones, sync {sync}"
                );
            }
        }
        // It lives, and what is there can be had.
        assert_eq!(listed(&mut client), there, "{calls:?}");
        let mut other = Client::at(faulty.serving.address(0)).expect("a server");
        other
            .ask("stat", json!({"path": "before/0"}))
            .expect("an answer")
            .expect("it is there");
        let failed = faulty.mend();
        assert!(!failed.is_empty(), "nothing has failed: {calls:?}");
        eprintln!("{calls:?}: {} calls failed", failed.lines().count());
        let abandoned = client.ask("abandon", json!({"upload": name})).expect("an answer");
        let never_begun = Err("not-found".to_owned());
        assert!(abandoned.is_ok() || abandoned == never_begun, "{abandoned:?}");
        assert_eq!(quota(&mut client), before, "{calls:?}");
        // With a disk that works, so does everything.
        put_large(&mut client, &format!("large{at}"), &name).expect("a receipt");
        for sync in WAYS {
            for outcome in put_small(&mut client, &format!("small{at}-{sync}"), MANY, sync) {
                outcome.expect("a receipt");
            }
        }
    }
    let count = counted(&mut client);
    assert_eq!(count, 1 + BREAKS.len() * (1 + WAYS.len() * MANY));
}

#[test]
fn a_name_that_may_not_last_is_not_acknowledged_and_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(faulty) = served(folder.path(), "epoll") else {
        return;
    };
    let mut client = Client::at(faulty.serving.address(0)).expect("a server");
    client
        .ask("mkdir", json!({"path": "new"}))
        .expect("an answer")
        .expect("the disk works");
    // The files are forced to the disk, and their folder is not.
    faulty.fail(&["fsync"], "/files/everybody/new");
    for count in [1, MANY] {
        for outcome in put_small(&mut client, "new", count, true) {
            assert_eq!(outcome, Err("io".to_owned()), "{count} small ones");
        }
    }
    let name = "ab".repeat(16);
    assert_eq!(put_large(&mut client, "new/large", &name), Err("io".to_owned()));
    let removed = client.ask("remove", json!({"path": "new/0"})).expect("an answer");
    assert_eq!(removed, Err("io".to_owned()));
    let made = client
        .ask("mkdir", json!({"path": "new/folder"}))
        .expect("an answer");
    assert_eq!(made, Err("io".to_owned()));
    counted(&mut client);
    assert!(faulty.mend().contains("fsync"));
    // Who asks again has it, for good.
    for outcome in put_small(&mut client, "new", MANY, true) {
        outcome.expect("a receipt");
    }
    put_large(&mut client, "new/large", &name).expect("a receipt");
    let count = counted(&mut client);
    assert_eq!(count, MANY + 1);
}

#[test]
fn books_that_fail_are_told_and_right_again_for_who_comes_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(mut faulty) = served(folder.path(), "epoll") else {
        return;
    };
    let mut client = Client::at(faulty.serving.address(0)).expect("a server");
    put_small(&mut client, "before", 1, true)
        .pop()
        .expect("one")
        .expect("the disk works");
    // No file waits for the books to be on the disk, since each server counts anew.
    faulty.fail(&["fsync", "fdatasync"], "sockeye.db");
    for outcome in put_small(&mut client, "before", 1, true) {
        outcome.expect("a receipt");
    }
    faulty.mend();
    faulty.fail(&["write", "pwrite64"], "sockeye.db");
    assert_eq!(
        put_large(&mut client, "large", &"cd".repeat(16)),
        Err("io".to_owned())
    );
    for sync in WAYS {
        for outcome in put_small(&mut client, "small", MANY, sync) {
            assert_eq!(outcome, Err("io".to_owned()), "sync {sync}");
        }
    }
    assert_eq!(listed(&mut client), (1, 500));
    assert!(!faulty.mend().is_empty(), "nothing has failed");
    for outcome in put_small(&mut client, "before", 1, true) {
        outcome.expect("a receipt");
    }
    // What they were not told is counted.
    let mut next = Client::at(faulty.serving.address(0)).expect("a server");
    assert_eq!(
        quota(&mut next),
        json!({"used": 500, "reserved": 0, "limit": null})
    );
    faulty.serving.program.signal(Signal::TERM);
    drop(client);
    faulty.serving.program.end();
    let Some(faulty) = served(folder.path(), "epoll") else {
        return;
    };
    let mut client = Client::at(faulty.serving.address(0)).expect("a server");
    assert_eq!(
        quota(&mut client),
        json!({"used": 500, "reserved": 0, "limit": null})
    );
    put_large(&mut client, "large", &"cd".repeat(16)).expect("a receipt");
}

#[test]
fn our_client_says_what_has_failed_and_goes_on_when_it_works_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(faulty) = served(folder.path(), "epoll") else {
        return;
    };
    let source = folder.path().join("source");
    fs::write(&source, vec![9; LARGE]).expect("a file");
    let (source, endpoint) = (
        source.to_string_lossy(),
        format!("tcp://{}", faulty.serving.address(0)),
    );
    let put = || run(&["files", "put", &endpoint, &source]);
    faulty.fail(&["fdatasync"], "/files/uploads/");
    let failed = put();
    assert_eq!(failed.status.code(), Some(1), "{}", words(&failed));
    assert!(
        words(&failed).to_lowercase().contains("input/output error"),
        "{}",
        words(&failed)
    );
    assert!(!folder.path().join("files/everybody/source").exists());
    assert!(faulty.mend().contains("fdatasync"));
    let done = put();
    assert!(done.status.success(), "{}", words(&done));
    let kept = fs::read(folder.path().join("files/everybody/source")).expect("the file");
    assert!(kept == [9; LARGE]);
}
