//! A file's hash by its units, so that what was hashed once needn't be read again.

use super::failure::Failure;
use super::source::Source;
use crate::background::{Begun, begun, off_loop};
use crate::files::units::{self, Passing, Value};
use sockeye_proto::files::{Hash, UNIT};
use std::collections::VecDeque;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

/// How far sending and hashing may be apart: memory keeps that much.
const NEAR: u64 = 4 * UNIT;
/// Units that are hashed at the same time.
const TOGETHER: usize = 2;

/// The values of a file's units from its beginning on.
pub(crate) type Units = Vec<Value>;

/// The hash of a whole file, of which some units are known already; `None` if it ends before `size`.
pub(crate) fn whole(file: &File, size: u64, known: &mut Units) -> io::Result<Option<Hash>> {
    for number in known.len() as u64..units::count(size) {
        match units::of_file(file, number, size)? {
            Some(value) => known.push(value),
            None => return Ok(None),
        }
    }
    Ok(Some(units::whole(known)))
}

/// The hashes of a source's units while it is sent.
pub(crate) enum Hashing {
    /// Its bytes go past this program's memory.
    Beside(Beside),
    Passed(Passed),
}

impl Hashing {
    /// From the unit of this number on. The source is sent from `at` on; `seen` is whether all of that passes through memory.
    pub(crate) fn new(source: &Arc<Source>, next: u64, at: u64, seen: bool) -> Self {
        match seen {
            true => Hashing::Passed(Passed {
                passing: Passing::new(source.identity.size),
                size: source.identity.size,
                at,
                next,
                known: Units::new(),
            }),
            false => Hashing::Beside(Beside::new(source.clone(), next)),
        }
    }

    /// The next of the bytes that pass through memory.
    pub(crate) fn see(&mut self, bytes: &[u8]) {
        if let Hashing::Passed(passed) = self {
            passed.see(bytes);
        }
    }

    /// Goes on, now that everything before `sent` is sent; returns the units that have become known, in order.
    pub(crate) async fn on(&mut self, sent: u64) -> Result<Units, Failure> {
        match self {
            Hashing::Beside(beside) => beside.on(sent).await,
            Hashing::Passed(passed) => Ok(std::mem::take(&mut passed.known)),
        }
    }
}

/// A source that is hashed as its bytes pass. What is hashed is what was sent: so that the source has changed meanwhile shows in its
/// times and its size, or in units that were noted before.
pub(crate) struct Passed {
    passing: Passing,
    size: u64,
    /// Where the next byte is.
    at: u64,
    /// The first unit that isn't known.
    next: u64,
    known: Units,
}

impl Passed {
    fn see(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(UNIT - self.at % UNIT).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            let is_next = self.at / UNIT == self.next;
            if is_next {
                self.passing.update(self.at, now);
            }
            self.at += now.len() as u64;
            bytes = later;
            if is_next
                && (self.at.is_multiple_of(UNIT) || self.at == self.size)
                && let Some(value) = self.passing.finish(self.at)
            {
                self.known.push(value);
                self.next += 1;
            }
        }
    }
}

/// A source that is hashed beside its being sent. Neither waits for the other, as long as they stay near each other: then its
/// pages are fetched from the disk only once.
pub(crate) struct Beside {
    source: Arc<Source>,
    /// Units that nobody has begun with start at this one, and end before that.
    next: u64,
    end: u64,
    running: VecDeque<Begun<sockeye::Result<Result<Units, Failure>>>>,
}

impl Beside {
    fn new(source: Arc<Source>, next: u64) -> Self {
        let end = units::count(source.identity.size);
        Beside {
            source,
            next,
            end,
            running: VecDeque::new(),
        }
    }

    async fn on(&mut self, sent: u64) -> Result<Units, Failure> {
        let mut known = Units::new();
        loop {
            self.begin(sent.saturating_add(NEAR)).await;
            let first = self.next - self.running.len() as u64;
            let Some(oldest) = self.running.front_mut() else {
                return Ok(known);
            };
            let is_late = sent >= self.source.identity.size || sent >= (first * UNIT).saturating_add(NEAR);
            let done = match is_late {
                true => oldest.await,
                false => match poll_fn(|cx| Poll::Ready(oldest.as_mut().poll(cx))).await {
                    Poll::Ready(done) => done,
                    Poll::Pending => return Ok(known),
                },
            };
            self.running.pop_front();
            known.extend(done.map_err(Failure::Ours)??);
        }
    }

    /// Has units hashed that begin before `until`, few at a time.
    async fn begin(&mut self, until: u64) {
        while self.running.len() < TOGETHER && self.next < self.end && self.next * UNIT < until {
            let (source, number) = (self.source.clone(), self.next);
            let hashed = off_loop(move || of_source(&source, number, number + 1));
            self.running.push_back(begun(hashed).await);
            self.next += 1;
        }
    }
}

/// Units of a source from `first` to before `end`.
pub(crate) fn of_source(source: &Source, first: u64, end: u64) -> Result<Units, Failure> {
    let unit = |number| match units::of_file(&source.file, number, source.identity.size) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(source.has_changed()),
        Err(error) => Err(Failure::disk("read", &source.path, error)),
    };
    (first..end).map(unit).collect()
}
