//! There and back, under every model.

use std::fs;

use serde_json::Value;
use sockeye::Model;

use super::{Person, endpoint, service};

const MIB: usize = 1 << 20;

/// Lines of JSON.
fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn files_go_there_and_come_back_under_every_model() {
    for model in Model::ALL {
        let (serving, _data) = service(&format!("&model={model}"));
        let at = endpoint(&serving);
        let at = at.as_str();
        let person = Person::new();
        let large = person.file("d/large.bin", 20 * MIB);
        for number in 0..50 {
            person.file(&format!("d/small/{number}.txt"), number * 40);
        }
        fs::create_dir(person.path("d/empty")).expect("a folder");

        let told = person.does(&["put", at, "d", "d/small/7.txt", "docs/"]);
        assert!(told.starts_with("sent 52 files, "), "{model}: {told}");
        let told = person.does(&["ls", at, "docs", "--json"]);
        let names: Vec<_> = lines(&told).iter().map(|line| line["path"].clone()).collect();
        assert_eq!(names, ["7.txt", "d"], "{model}");
        let told = person.does(&["stat", at, "docs/d/large.bin", "--json"]);
        assert_eq!(lines(&told)[0]["size"], large.len(), "{model}");

        let told = person.does(&["get", at, "docs/d", "back/", "--json"]);
        let told = lines(&told);
        let summary = told.last().expect("a summary");
        assert_eq!(
            (&summary["files"], &summary["failed"]),
            (&51.into(), &0.into()),
            "{model}"
        );
        assert!(
            fs::read(person.path("back/d/large.bin")).expect("there") == large,
            "{model}"
        );
        assert_eq!(
            fs::read(person.path("back/d/small/49.txt")).expect("there").len(),
            49 * 40
        );
        assert!(person.path("back/d/empty").is_dir());
        person.does(&["get", at, "docs/d/small/1?.txt", "some/"]);
        assert_eq!(
            fs::read_dir(person.path("some")).expect("a folder").count(),
            10,
            "{model}"
        );

        person.does(&["mv", at, "docs/7.txt", "docs/d/"]);
        person.does(&["mkdir", "-p", at, "a/b"]);
        person.fails(&["rm", at, "docs"], 1);
        person.does(&["rm", at, "docs/d/small/*", "docs/d/small"]);
        let told = person.does(&["verify", at, "docs/d/*.*"]);
        assert_eq!(told.matches("as it was uploaded").count(), 2, "{model}: {told}");
        let told = person.does(&["quota", at, "--json"]);
        assert_eq!(lines(&told)[0]["used"], large.len() + 7 * 40, "{model}");
        person.does(&["rm", "-r", at, "docs", "a"]);
        assert_eq!(person.does(&["ls", "-r", at]), "", "{model}");
    }
}

#[test]
fn each_of_several_folders_is_listed_below_its_name() {
    let (serving, _data) = service("");
    let at = endpoint(&serving);
    let person = Person::new();
    for name in ["glad/one", "glum/two", "green"] {
        person.file(name, 10);
    }
    person.does(&["put", &at, "glad", "glum", "green"]);
    let names = |args: &[&str]| {
        let told = person.does(&[&["ls"], args].concat());
        let name = |line: &str| line.rsplit(' ').next().unwrap_or_default().to_owned();
        told.lines().map(name).collect::<Vec<_>>()
    };
    let all = ["green", "", "/glad:", "one", "", "/glum:", "two"];
    assert_eq!(names(&[&at, "g*"]), all);
    assert_eq!(names(&[&at, "glad", "glum"]), all[2..]);
    assert_eq!(names(&[&at, "gl[a]*"]), ["one"]);
    assert_eq!(names(&[&at]), ["glad/", "glum/", "green"]);
    let told = person.does(&["ls", &at, "--json", "g*"]);
    let told: Vec<_> = lines(&told)
        .iter()
        .map(|line| (line["folder"].clone(), line["path"].clone()))
        .collect();
    let expected = [
        (Value::Null, "green"),
        ("glad".into(), "one"),
        ("glum".into(), "two"),
    ];
    assert_eq!(told, expected.map(|(folder, path)| (folder, path.into())));
}

#[test]
fn only_the_first_name_of_all_is_the_services_own() {
    let (serving, _data) = service("");
    let at = endpoint(&serving);
    let person = Person::new();
    for name in ["a/.sockeye/b/f", "a/.sockeye/g", "a/z"] {
        person.file(name, 10);
    }
    person.does(&["put", &at, "a"]);
    let told = person.does(&["ls", "-r", &at, "a", "--json"]);
    let names: Vec<_> = lines(&told).iter().map(|line| line["path"].clone()).collect();
    assert_eq!(
        names,
        [".sockeye", ".sockeye/b", ".sockeye/b/f", ".sockeye/g", "z"]
    );
    person.does(&["get", &at, "a", "back/"]);
    for name in [".sockeye/b/f", ".sockeye/g", "z"] {
        assert!(person.path("back/a").join(name).is_file(), "{name}");
    }
    person.file(".sockeye/x", 10);
    let said = person.fails(&["put", &at, ".sockeye"], 1);
    assert!(said.contains("kept for the service"), "{said}");
}

#[test]
fn a_folder_is_verified_with_all_that_is_in_it() {
    let (serving, data) = service("");
    let at = endpoint(&serving);
    let person = Person::new();
    for name in ["d/one", "d/e/two", "d/e/three", "d/empty"] {
        person.file(name, if name == "d/empty" { 0 } else { 10 });
    }
    person.does(&["put", &at, "d"]);
    let told = person.does(&["verify", &at, "d"]);
    assert_eq!(told.matches("as it was uploaded").count(), 4, "{told}");
    // A disk that forgets changes no time.
    let damaged = data.path().join("files/everybody/d/e/two");
    let time = fs::metadata(&damaged).and_then(|facts| facts.modified());
    fs::write(&damaged, "other text").expect("written");
    let file = fs::File::options().write(true).open(&damaged).expect("there");
    file.set_modified(time.expect("a time")).expect("set");
    let output = person.run(&["verify", &at, "d", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let found = lines(&String::from_utf8(output.stdout).expect("text"));
    let damaged: Vec<_> = found.iter().filter(|line| line["matches"] == false).collect();
    assert_eq!((found.len(), damaged.len()), (4, 1), "{found:?}");
    assert_eq!(damaged[0]["path"], "d/e/two");
}

#[test]
fn what_is_no_file_is_never_replaced() {
    let (serving, _data) = service("");
    let at = endpoint(&serving);
    let person = Person::new();
    person.file("f", 10);
    person.does(&["put", &at, "f"]);
    rustix::fs::mkfifoat(rustix::fs::CWD, person.path("pipe"), rustix::fs::Mode::RWXU).expect("a pipe");
    let said = person.fails(&["get", "--force", &at, "f", "--to", "pipe"], 1);
    assert!(said.contains("pipe: it is no regular file"), "{said}");
    let kind = fs::symlink_metadata(person.path("pipe")).expect("still there");
    assert!(!kind.is_file());
}

#[test]
fn what_fails_for_one_file_stops_no_other() {
    let (serving, _data) = service("");
    let at = endpoint(&serving);
    let person = Person::new();
    for name in ["a", "b", "c"] {
        person.file(name, 10);
    }
    person.does(&["put", &at, "b"]);
    fs::write(person.path("b"), "another").expect("written");
    std::os::unix::fs::symlink("/etc/passwd", person.path("link")).expect("a link");
    fs::create_dir(person.path("d")).expect("a folder");
    std::os::unix::fs::symlink("/etc", person.path("d/link")).expect("a link");
    let said = person.fails(&["put", &at, "a", "b", "c", "d"], 1);
    assert!(
        said.contains("upload b: ")
            && said.contains("--force")
            && said.contains("neither a file nor a folder"),
        "{said}"
    );
    let told = person.does(&["ls", &at]);
    assert_eq!(told.lines().count(), 3, "{told}");
    person.does(&["put", &at, "--force", "b", "--to", "b"]);
    person.does(&["get", &at, "b"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let person = Person::new();
    person.file("a", 1);
    for (args, code, expected) in [
        (&["put", "tcp://127.0.0.1:1"][..], 2, "required"),
        (
            &["put", "tcp://127.0.0.1:1", "a", "a", "--to", "x"],
            2,
            "write `x/`",
        ),
        (&["put", "tcp://127.0.0.1:1", "a", "b"], 1, "write --to b"),
        (
            &["put", "tcp://127.0.0.1:1", "none*"],
            1,
            "no file or folder matches it",
        ),
        (&["put", "tcp://127.0.0.1:1", "--legacy", "a"], 2, "--user NAME"),
        (&["put", "nowhere", "a"], 2, "nowhere"),
        (&["put", "tcp://127.0.0.1:1", "a"], 1, "connection refused"),
        (&["put", "udp://127.0.0.1:1", "a"], 2, "needs a connection"),
        (&["ls", "tcp://127.0.0.1:1", "--user", ""], 2, "a user has a name"),
        (
            &["ls", "tcp://127.0.0.1:1", "--ca", "x"],
            2,
            "--ca is for tls:// endpoints",
        ),
        (&["ls", "tcp://127.0.0.1:1", "--password", "x"], 2, "--password"),
        (&["tcp://127.0.0.1:1"], 2, "the menu needs a terminal"),
    ] {
        let said = person.fails(args, code);
        assert!(said.contains(expected), "{args:?}: {said}");
    }
}
