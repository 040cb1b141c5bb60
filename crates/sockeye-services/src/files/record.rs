//! What is noted on a file itself: the hash that was proved when it came.
//!
//! It stands in an extended attribute beside the time of change that it holds for: a file that was changed since by other hands
//! has no hash. Where a file system keeps no such attributes, no hash is recorded.

use crate::files::tree::mtime_of;
use rustix::fs::{self, Timespec, Timestamps, XattrFlags};
use rustix::io::{Errno, Result};
use sockeye_proto::files::{Hash, Mtime};
use std::fs::File;

const NAME: &str = "user.sockeye.blake3";
/// A hash and a time: with its name it fits into the inode of an ext4, which costs no block.
const LENGTH: usize = 32 + 8;

/// Gives a complete file its time and its hash.
pub(super) fn write(file: &File, mtime: Mtime, hash: &Hash) -> Result<()> {
    let time = Timespec {
        tv_sec: mtime.0.div_euclid(1_000_000_000),
        tv_nsec: mtime.0.rem_euclid(1_000_000_000),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    fs::futimens(file, &times)?;
    // The file system may know of coarser times only, or of fewer.
    let kept = mtime_of(&fs::fstat(file)?);
    let mut value = [0; LENGTH];
    value[..32].copy_from_slice(&hash.0);
    value[32..].copy_from_slice(&kept.to_le_bytes());
    match fs::fsetxattr(file, NAME, &value, XattrFlags::empty()) {
        Err(Errno::NOTSUP | Errno::NOSPC | Errno::PERM) => Ok(()),
        other => other,
    }
}

/// The hash that is recorded, if it is one of what the file is now.
pub(super) fn of(file: &File) -> Option<Hash> {
    let mut value = [0; LENGTH];
    let length = fs::fgetxattr(file, NAME, &mut value).ok()?;
    let (hash, time) = value.split_first_chunk::<32>()?;
    let stat = fs::fstat(file).ok()?;
    (length == LENGTH && time == mtime_of(&stat).to_le_bytes()).then_some(Hash(*hash))
}
