//! Memory that the machine really has.
//!
//! The host of a virtual machine takes back memory that is free, in blocks of 2 MiB, and gives it again page by page when it is written to
//! first, which costs more than all copies. Tools would be compared by that then, and who came first would pay for the others.

use std::hint::black_box;

use super::places;

/// A block that the kernel tells the host of when it is free (free page reporting).
const BLOCK: usize = 2 << 20;
/// What is kept of each, so that it is never free as a whole.
const POST: usize = 128 << 10;
/// As much as two large files take in the cache, and what a tool has beside them; half of what there is where that is less.
const FENCED: usize = 6 << 30;

/// Holds a little of each block of what large files will take: the rest is free, and stays the machine's.
pub(super) struct Fence {
    _posts: Vec<Vec<u8>>,
}

impl Fence {
    pub(super) fn new() -> Self {
        // Written to in this order, they mostly stand in it, too.
        let blocks = (0..FENCED.min(available() / 2) / BLOCK).map(|_| (vec![1; POST], vec![1; BLOCK - POST]));
        let (_posts, rest): (Vec<Vec<u8>>, Vec<Vec<u8>>) = blocks.unzip();
        drop(black_box(rest));
        Fence { _posts }
    }
}

/// How much there is for programs (proc_meminfo(5)); nothing where that isn't told.
fn available() -> usize {
    let facts = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = facts.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    kib.unwrap_or(0) << 10
}

/// Writes to as much memory as a large file takes in the cache, and lets it go.
pub(super) fn fill() {
    drop(black_box(vec![1_u8; places::BIG as usize / 4 * 5]));
}
