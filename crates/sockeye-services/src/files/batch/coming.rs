//! Small files that came, and wait to be written.

use super::arriving::Whole;
use super::{MOST_BYTES, Waiting};

/// Files that come to be in memory: enough to be worth the way to another thread, and
const MOST_HELD: usize = 512;
/// in bytes, little enough for many connections to have some of the [memory](super::super::budget).
const MOST_HELD_BYTES: usize = 2 << 20;

#[derive(Default)]
pub(super) struct Coming {
    waiting: Vec<Waiting>,
    bytes: u64,
    held_bytes: usize,
    /// The folder of the last file, and where its files begin; nothing where they began before these.
    folder: String,
    pub(super) cut: Option<usize>,
}

/// Some of them, and the bytes that are reserved for them.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) waiting: Vec<Waiting>,
    pub(super) bytes: u64,
}

impl Coming {
    pub(super) fn push(&mut self, one: Waiting) {
        if let (_, Ok(Whole::New(new))) = &one {
            if new.folder() != self.folder {
                new.folder().clone_into(&mut self.folder);
                self.cut = Some(self.waiting.len());
            }
            self.bytes += new.size();
            self.held_bytes += new.held_bytes();
        }
        self.waiting.push(one);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MOST_HELD || self.held_bytes >= MOST_HELD_BYTES || self.bytes >= MOST_BYTES
    }

    /// Takes so many of them, those that came first.
    pub(super) fn take(&mut self, count: usize) -> Taken {
        let rest = self.waiting.split_off(count);
        let waiting = std::mem::replace(&mut self.waiting, rest);
        let new = |waiting: &[Waiting]| {
            let new = waiting.iter().filter_map(|(_, outcome)| match outcome {
                Ok(Whole::New(new)) => Some((new.size(), new.held_bytes())),
                _ => None,
            });
            new.fold((0, 0), |(sizes, held), (size, bytes)| {
                (sizes + size, held + bytes)
            })
        };
        let (bytes, _) = new(&waiting);
        (self.bytes, self.held_bytes) = new(&self.waiting);
        self.cut = self.cut.and_then(|cut| cut.checked_sub(count));
        Taken { waiting, bytes }
    }
}
