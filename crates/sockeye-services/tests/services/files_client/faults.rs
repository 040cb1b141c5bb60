//! What goes wrong: connections that break, files that change, services that lie.

use super::standin::{Fault, Standin};
use super::{User, names};
use sockeye_services::files::client::Failure;
use std::fs;
use std::io::Write;

const MIB: usize = 1 << 20;
const UNIT: u64 = 16 << 20;

#[test]
fn an_upload_that_is_cut_goes_on_by_itself_where_it_was() {
    for service in Standin::each_way() {
        let user = User::of(&service);
        let bytes = user.file("f", 83 * MIB);
        service.fail(Fault::Cut(2 * UNIT + 5));
        service.fail(Fault::Cut(UNIT + 7));
        user.put(&[("f", "f")], 3).expect("sent");
        let kept = user.heard.only().result.expect("kept");
        assert!(service.state().files["f"].0 == bytes);
        assert_eq!(kept.hash, blake3::hash(&bytes).to_string());
        assert_eq!(kept.from, 3 * UNIT, "the last connection began there");
        assert_eq!((user.heard.again.get(), service.state().connections), (2, 3));
        let again = service.state().moved - bytes.len() as u64;
        assert!(again < 2 * UNIT, "{again} bytes were sent twice");
    }
}

#[test]
fn an_upload_goes_on_in_another_program() {
    for service in Standin::each_way() {
        let user = User::of(&service);
        let bytes = user.file("f", 83 * MIB);
        service.fail(Fault::Cut(2 * UNIT + 5));
        user.put(&[("f", "f")], 0).expect("all was tried");
        let lost = user.heard.only().result.expect_err("cut");
        assert!(matches!(lost, Failure::Lost(_)), "{lost}");
        assert!(!service.state().files.contains_key("f"));
        user.put(&[("f", "f")], 0).expect("sent");
        assert_eq!(user.heard.only().result.expect("kept").from, 2 * UNIT);
        assert!(service.state().files["f"].0 == bytes);
    }
}

#[test]
fn another_file_of_that_name_is_another_upload() {
    let service = Standin::start();
    let user = User::of(&service);
    user.file("f", 40 * MIB);
    service.fail(Fault::Cut(UNIT + 5));
    user.put(&[("f", "f")], 0).expect("all was tried");
    user.heard.only().result.expect_err("cut");
    let other = user.file("f", 41 * MIB);
    user.put(&[("f", "f")], 0).expect("sent");
    assert_eq!(user.heard.only().result.expect("kept").from, 0);
    assert!(service.state().files["f"].0 == other);
    let state = service.state();
    assert_eq!(
        (state.abandoned, state.uploads.len()),
        (1, 0),
        "nothing is left of the first"
    );
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_noticed() {
    for shrink in [false, true] {
        for service in Standin::each_way() {
            let user = User::of(&service);
            user.file("f", 20 * MIB);
            let path = user.path("f");
            service.fail(Fault::Happen(Box::new(move || {
                let mut file = fs::File::options().append(true).open(path).expect("open");
                match shrink {
                    true => file.set_len(1000).expect("cut"),
                    false => file.write_all(b"more").expect("written"),
                }
            })));
            user.put(&[("f", "f")], 2).expect("all was tried");
            let failure = user.heard.only().result.expect_err("changed").to_string();
            assert!(failure.contains("was changed"), "{failure}");
            let state = service.state();
            assert!(
                state.files.is_empty() && state.uploads.is_empty(),
                "nothing is left"
            );
            assert!(names(&user.path("notes/uploads")).is_empty());
        }
    }
}

#[test]
fn small_files_arrive_once_each_though_connections_break() {
    let service = Standin::start();
    let user = User::of(&service);
    for number in 0..3000 {
        user.file(&format!("d/{number:04}"), 100 + number % 100);
    }
    service
        .state()
        .files
        .insert("d/1500".to_owned(), (b"another".to_vec(), Default::default()));
    for bytes in [10_000, 100_000, 150_000] {
        service.fail(Fault::Cut(bytes));
    }
    user.put(&[("d", "d")], 3).expect("sent");
    let outcomes = user.heard.outcomes.take();
    assert_eq!(outcomes.len(), 3000);
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|o| o.result.is_err())
        .map(|o| o.path.as_str())
        .collect();
    assert_eq!(failed, ["d/1500"], "the one that was there");
    assert_eq!(service.state().files.len(), 3000);

    service.fail(Fault::Cut(50_000));
    service.fail(Fault::Cut(60_000));
    user.get("d", "back", "", 3).expect("fetched");
    user.heard.all_is_well(3000);
}

#[test]
fn a_download_that_is_cut_goes_on_where_it_was() {
    for retries in [0, 1] {
        for service in Standin::each_way() {
            let user = User::of(&service);
            let bytes = user.file("f", 83 * MIB);
            service
                .state()
                .files
                .insert("f".to_owned(), (bytes.clone(), Default::default()));
            service.fail(Fault::Cut(3 * UNIT + 5));
            let cut = user.get("f", "back", "f", retries);
            let outcome = user.heard.only();
            if retries == 0 {
                cut.expect_err("cut");
                outcome.result.expect_err("cut");
                assert_eq!(names(&user.path("back")).len(), 1, "a part, hidden");
                assert!(!user.path("back/f").exists());
                user.get("f", "back", "f", 0).expect("fetched");
                let kept = user.heard.only().result.expect("fetched");
                assert!(kept.from >= UNIT, "it went on at {}", kept.from);
            }
            assert!(fs::read(user.path("back/f")).expect("there") == bytes);
            assert_eq!(names(&user.path("back")), ["f"]);
        }
    }
}

#[test]
fn what_is_not_what_was_uploaded_is_not_kept() {
    for service in Standin::each_way() {
        let user = User::of(&service);
        for (name, size) in [("small", 1000), ("large", 40 * MIB)] {
            let bytes = user.file(name, size);
            service
                .state()
                .files
                .insert(name.to_owned(), (bytes, Default::default()));
            service.fail(Fault::Corrupt);
            user.get(name, "back", name, 0).expect("all was tried");
            let failure = user.heard.only().result.expect_err("other bytes").to_string();
            assert!(failure.contains("the hashes differ"), "{failure}");
            assert!(names(&user.path("back")).is_empty(), "{name}");
        }
    }
}

#[test]
fn no_name_of_a_service_leads_anywhere() {
    let service = Standin::start();
    let user = User::of(&service);
    for name in [
        "../x",
        "a/../../x",
        "/x",
        "a//x",
        ".",
        "a\\x",
        "a\nx",
        "a\u{1b}[2Jx",
        "",
    ] {
        service
            .state()
            .files
            .insert("d/f".to_owned(), (b"hostile".to_vec(), Default::default()));
        service.fail(Fault::Name(name));
        let failure = user
            .get("d", "back", "d", 0)
            .expect_err("a hostile name")
            .to_string();
        assert!(failure.contains("nobody can have"), "{failure}");
        assert!(!failure.contains(char::is_control), "{failure:?}");
        assert!(names(&user.path("back/d")).is_empty(), "{name}");
        assert_eq!(names(user.folder.path()), ["back"], "{name}");
    }
}

#[test]
fn a_list_that_begins_anew_has_an_end() {
    let service = Standin::start();
    let user = User::of(&service);
    for name in ["d/a", "d/b/c", "d/b-c"] {
        service
            .state()
            .files
            .insert(name.to_owned(), (Vec::new(), Default::default()));
    }
    user.get("d", "whole", "", 0).expect("an honest list");
    user.heard.all_is_well(3);
    service.fail(Fault::Again);
    service.fail(Fault::Again);
    let failure = user.get("d", "back", "", 0).expect_err("no end").to_string();
    assert!(failure.contains("named before"), "{failure}");
    user.heard.outcomes.take();
    service.fail(Fault::Name("z"));
    let failure = user.get("d", "other", "", 0).expect_err("no order").to_string();
    assert!(failure.contains("not in order"), "{failure}");
}

#[test]
fn no_number_of_a_service_takes_memory_or_is_believed() {
    let service = Standin::start();
    let user = User::of(&service);
    for (name, size) in [("small", 1000), ("large", 3 * MIB)] {
        let bytes = user.file(name, size);
        service
            .state()
            .files
            .insert(name.to_owned(), (bytes, Default::default()));
        service.fail(Fault::Announce(1 << 52));
        let tried = user.get(name, "back", name, 0);
        let failure = match tried {
            Err(failure) => failure,
            Ok(()) => user.heard.only().result.expect_err("a lie"),
        };
        assert!(failure.to_string().contains("the service sends"), "{failure}");
    }
}

#[test]
fn who_is_busy_is_asked_again() {
    let service = Standin::start();
    let user = User::of(&service);
    user.file("f", 2 * MIB);
    service.fail(Fault::Busy);
    user.put(&[("f", "f")], 1).expect("sent");
    user.heard.all_is_well(1);
    assert_eq!(
        service.state().connections,
        1,
        "the connection is as good as ever"
    );
}

#[test]
fn a_service_that_was_never_there_is_not_waited_for() {
    let user = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let mut user = User::of(&Standin::start());
        user.endpoint = format!("tcp://{}", listener.local_addr().expect("bound"));
        user
    };
    user.file("f", 10);
    let failure = user
        .put(&[("f", "f")], 9)
        .expect_err("nobody is there")
        .to_string();
    assert!(failure.contains("connection refused"), "{failure}");
    assert_eq!(user.heard.again.get(), 0);
}
