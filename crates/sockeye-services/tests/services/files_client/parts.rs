//! What is there of a file that was cut is not believed without a look.

use super::standin::{Fault, Standin};
use super::{User, names};
use sockeye_services::files::client::get::Keep;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

const MIB: usize = 1 << 20;
const UNIT: u64 = 16 << 20;

/// A download that was cut when some units were there; the file's bytes.
fn cut(service: &Standin, user: &User, keep: Keep) -> Vec<u8> {
    let bytes = user.file("f", 83 * MIB);
    let file = (bytes.clone(), Default::default());
    service.state().files.insert("f".to_owned(), file);
    service.fail(Fault::Cut(4 * UNIT));
    user.get_as("f", "back", "f", 0, keep).expect_err("cut");
    user.heard.only().result.expect_err("cut");
    bytes
}

const SYNC: Keep = Keep {
    clobber: false,
    sync: true,
};
const NO_SYNC: Keep = Keep { sync: false, ..SYNC };

/// The only file in a folder.
fn only(folder: PathBuf) -> PathBuf {
    let names = names(&folder);
    assert_eq!(names.len(), 1, "{names:?}");
    folder.join(&names[0])
}

fn part(user: &User) -> fs::File {
    let path = only(user.path("back"));
    fs::File::options().write(true).open(path).expect("a part")
}

#[test]
fn a_unit_that_somebody_wrote_to_is_fetched_again() {
    let service = Standin::start();
    let user = User::of(&service);
    let bytes = cut(&service, &user, SYNC);
    part(&user)
        .write_all_at(b"TAMPERED BY ANOTHER", UNIT + 1000)
        .expect("written");
    user.get("f", "back", "f", 0).expect("fetched");
    let kept = user.heard.only().result.expect("fetched");
    assert_eq!(kept.from, UNIT, "the first one is as it was");
    assert!(fs::read(user.path("back/f")).expect("there") == bytes);
    assert_eq!(kept.hash, blake3::hash(&bytes).to_string());
}

#[test]
fn a_part_that_is_shorter_or_longer_becomes_the_file() {
    for length in [5, UNIT + 5, 99 * MIB as u64] {
        let service = Standin::start();
        let user = User::of(&service);
        let bytes = cut(&service, &user, SYNC);
        part(&user).set_len(length).expect("another length");
        user.get("f", "back", "f", 0).expect("fetched");
        let kept = user.heard.only().result.expect("fetched");
        assert_eq!(kept.from > 0, length > UNIT, "{length}");
        assert!(fs::read(user.path("back/f")).expect("there") == bytes, "{length}");
    }
}

#[test]
fn a_note_that_is_damaged_is_not_believed() {
    let service = Standin::start();
    let user = User::of(&service);
    let bytes = cut(&service, &user, SYNC);
    let note = only(user.path("notes/downloads"));
    let text = fs::read_to_string(&note).expect("a note");
    let (first, rest) = text.split_once('\n').expect("lines");
    let wrong: String = rest.chars().map(|c| if c == 'a' { 'b' } else { c }).collect();
    fs::write(&note, format!("{first}\n{wrong}")).expect("written");
    user.get("f", "back", "f", 0).expect("fetched");
    assert_eq!(user.heard.only().result.expect("fetched").from, 0);
    assert!(fs::read(user.path("back/f")).expect("there") == bytes);
}

#[test]
fn what_was_not_forced_to_the_disk_is_gone_when_the_system_starts_anew() {
    for (keep, expected) in [(SYNC, true), (NO_SYNC, false)] {
        let service = Standin::start();
        let user = User::of(&service);
        cut(&service, &user, keep);
        let note = only(user.path("notes/downloads"));
        let text = fs::read_to_string(&note).expect("a note");
        let (first, rest) = text.split_once('\n').expect("lines");
        let mut header: serde_json::Value = serde_json::from_str(first).expect("JSON");
        assert_eq!(
            (&header["sync"], header["boot"].is_null()),
            (&keep.sync.into(), keep.sync)
        );
        header["boot"] = "an earlier one".into();
        fs::write(&note, format!("{header}\n{rest}")).expect("written");
        user.get("f", "back", "f", 0).expect("fetched");
        let kept = user.heard.only().result.expect("fetched");
        assert_eq!(kept.from > 0, expected);
    }
}
