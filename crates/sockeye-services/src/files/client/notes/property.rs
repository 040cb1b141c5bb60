//! Notes of transfers, as a crash or somebody else may have left them.

use super::{MAX_HEADER, read};
use rustix::fs::{MemfdFlags, memfd_create};
use serde_json::Value;
use std::fs::File;
use std::io::{Seek, Write};

/// What is read of a note is all that is left of it, and is read again as the same.
pub(crate) fn holds(data: &[u8]) {
    let mut file = File::from(memfd_create("note", MemfdFlags::CLOEXEC).expect("memory"));
    file.write_all(data).expect("room");
    file.rewind().expect("a position");
    let (header, units) = read::<Value>(&file).expect("nothing fails here");
    if header.is_none() {
        assert!(units.is_empty());
        return;
    }
    let length = file.metadata().expect("a length").len();
    let head = length - 65 * units.len() as u64;
    assert!((2..=MAX_HEADER).contains(&head) && length <= data.len() as u64);
    assert_eq!(
        file.stream_position().expect("a position"),
        length,
        "more is written behind it"
    );
    file.rewind().expect("a position");
    assert_eq!(read::<Value>(&file).expect("nothing fails here"), (header, units));
}
