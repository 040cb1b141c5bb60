//! What goes well.

use super::standin::Standin;
use super::{User, names};
use sockeye_proto::files::Mtime;
use std::fs;
use std::time::{Duration, SystemTime};

const MIB: usize = 1 << 20;

#[test]
fn files_of_every_size_go_there_and_come_back_whole() {
    for service in Standin::each_way() {
        let user = User::of(&service);
        let sizes = [0, 1, MIB, MIB + 1, 16 * MIB, 16 * MIB + 1, 40 * MIB];
        for size in sizes {
            user.file(&format!("d/{size}"), size);
        }
        fs::create_dir(user.path("d/empty")).expect("a folder");
        let old = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 5);
        let file = fs::File::options()
            .append(true)
            .open(user.path("d/1"))
            .expect("open");
        file.set_modified(old).expect("a time");

        user.put(&[("d", "to/d")], 0).expect("sent");
        user.heard.all_is_well(sizes.len() + 1);
        assert_eq!(
            service.state().files["to/d/1"].1,
            Mtime(1_000_000_000_000_000_005)
        );
        assert_eq!(service.state().connections, 1);

        user.get("to", "back", "", 0).expect("fetched");
        user.heard.all_is_well(sizes.len());
        for size in sizes {
            let name = format!("{size}");
            let (sent, come) = (user.path("d").join(&name), user.path("back/d").join(&name));
            assert!(
                fs::read(sent).expect("there") == fs::read(come).expect("there"),
                "{size}"
            );
        }
        let come = fs::metadata(user.path("back/d/1")).expect("there");
        assert_eq!(come.modified().expect("a time"), old);
        assert_eq!(
            names(&user.path("back/d")).len(),
            sizes.len() + 1,
            "no part is left"
        );
        assert!(user.path("back/d/empty").is_dir());
        assert!(
            names(&user.path("notes/uploads")).is_empty() && names(&user.path("notes/downloads")).is_empty()
        );

        // Once more: what is there already is neither sent nor fetched.
        let before = service.state().moved;
        user.put(&[("d", "to/d")], 0).expect("nothing to do");
        user.heard.all_is_well(sizes.len() + 1);
        user.get("to", "back", "", 0).expect("nothing to do");
        user.heard.all_is_well(sizes.len());
        let small = sizes.iter().filter(|size| **size <= MIB).sum::<usize>() as u64;
        assert_eq!(
            service.state().moved - before,
            small,
            "small files come with their request"
        );
    }
}

#[test]
fn thousands_of_small_files_need_one_connection() {
    let service = Standin::start();
    let user = User::of(&service);
    for number in 0..2500 {
        user.file(&format!("d/{:02}/{number}", number % 50), number % 300);
    }
    user.put(&[("d", "d")], 0).expect("sent");
    user.heard.all_is_well(2500);
    user.get("d", "back", "d", 0).expect("fetched");
    user.heard.all_is_well(2500);
    for number in 0..2500 {
        let name = format!("d/{:02}/{number}", number % 50);
        let (sent, come) = (
            fs::read(user.path(&name)),
            fs::read(user.path("back").join(&name)),
        );
        assert_eq!(sent.expect("there"), come.expect("there"), "{name}");
    }
    assert_eq!(service.state().connections, 2);
}

#[test]
fn what_is_there_already_is_not_replaced_unasked() {
    let service = Standin::start();
    let user = User::of(&service);
    for (name, size) in [("small", 10), ("large", 3 * MIB)] {
        user.file(name, size);
        user.put(&[(name, name)], 0).expect("sent");
        user.heard.all_is_well(1);
        user.file(name, size + 1);
        user.put(&[(name, name)], 0).expect("tried");
        let refused = user.heard.only().result.expect_err("it is there").to_string();
        assert!(refused.contains("there is something"), "{refused}");
        assert_eq!(service.state().files[name].0.len(), size);
        user.put_how(&[(name, name)], 0, true).expect("replaced");
        user.heard.all_is_well(1);
        assert_eq!(service.state().files[name].0.len(), size + 1);

        fs::create_dir_all(user.path("here")).expect("a folder");
        fs::write(user.path("here").join(name), "mine").expect("written");
        user.get(name, "here", name, 0).expect("tried");
        user.heard.only().result.expect_err("it is there");
        assert_eq!(fs::read(user.path("here").join(name)).expect("kept"), b"mine");
    }
    assert_eq!(names(&user.path("here")), ["large", "small"]);
}

#[test]
fn names_with_stars_are_looked_up() {
    let service = Standin::start();
    let user = User::of(&service);
    for name in ["a/x.txt", "a/y.txt", "a/z.bin", "b/x.txt", "[z]"] {
        service
            .state()
            .files
            .insert(name.to_owned(), (Vec::new(), Mtime(0)));
    }
    let ask = |pattern: &'static str| {
        let mut client = user.client(0);
        sockeye::block_on(async move { client.meant(pattern).await }).expect("a model")
    };
    for (pattern, expected) in [
        ("a/*.txt", vec!["a/x.txt", "a/y.txt"]),
        ("*/x.txt", vec!["a/x.txt", "b/x.txt"]),
        ("/a/", vec!["a"]),
        ("[z]", vec!["[z]"]),
        ("[ab]", vec!["a", "b"]),
        ("", vec![""]),
    ] {
        assert_eq!(ask(pattern).expect("something"), expected, "{pattern}");
    }
    let none = ask("*.none").expect_err("nothing");
    assert!(none.to_string().contains("nothing there matches"), "{none}");
}
