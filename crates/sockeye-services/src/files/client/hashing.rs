//! A file's hash by its units, so that what was hashed once needn't be read again.

use super::failure::Failure;
use super::source::Source;
use crate::background::off_loop;
use crate::files::units::{self, Unit, Value};
use sockeye_proto::files::{Hash, UNIT};
use std::collections::VecDeque;
use std::fs::File;
use std::future::{Future, poll_fn, ready};
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

/// How much is read at once: enough for BLAKE3 to hash 16 chunks side by side many times, and within a core's own cache.
const READ: usize = 256 << 10;

/// How far sending and hashing may be apart: memory keeps that much.
const NEAR: u64 = 4 * UNIT;
/// Units that are hashed at the same time.
const TOGETHER: usize = 2;

/// The values of a file's units from its beginning on.
pub(crate) type Units = Vec<Value>;

/// Feeds the bytes of `file` from `offset` to `end` to `hasher`; false if it ends before.
fn feed(unit: &mut Unit, file: &File, mut offset: u64, end: u64) -> io::Result<bool> {
    let mut buffer = vec![0; READ.min((end - offset) as usize)];
    while offset < end {
        let room = buffer.len().min((end - offset) as usize);
        match file.read_at(&mut buffer[..room], offset) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                unit.update(&buffer[..count]);
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// The value of a unit; `None` if the file ends before.
pub(crate) fn unit(file: &File, number: u64, size: u64) -> io::Result<Option<Value>> {
    let mut unit = Unit::new(number, size);
    let begin = number * UNIT;
    let whole = feed(&mut unit, file, begin, size.min(begin + UNIT))?;
    Ok(whole.then(|| unit.finish()))
}

/// The hash of a whole file, of which some units are known already; `None` if it ends before `size`.
pub(crate) fn whole(file: &File, size: u64, known: &mut Units) -> io::Result<Option<Hash>> {
    for number in known.len() as u64..units::count(size) {
        match unit(file, number, size)? {
            Some(value) => known.push(value),
            None => return Ok(None),
        }
    }
    Ok(Some(units::whole(known)))
}

type Work = Pin<Box<dyn Future<Output = sockeye::Result<Result<Units, Failure>>>>>;

/// A source that is hashed beside its being sent. Neither waits for the other, as long as they stay near each other: then its
/// pages are fetched from the disk only once.
pub(crate) struct Beside {
    source: Arc<Source>,
    /// Units that nobody has begun with start at this one, and end before that.
    next: u64,
    end: u64,
    running: VecDeque<Work>,
}

impl Beside {
    /// From the unit of this number on.
    pub(crate) fn new(source: Arc<Source>, next: u64) -> Self {
        let end = units::count(source.identity.size);
        Beside {
            source,
            next,
            end,
            running: VecDeque::new(),
        }
    }

    /// Goes on, now that everything before `sent` is sent; returns the units that have become known, in order.
    pub(crate) async fn on(&mut self, sent: u64) -> Result<Units, Failure> {
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
            let mut work: Work = Box::pin(off_loop(move || of_source(&source, number, number + 1)));
            // It begins when it is first asked for.
            if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
                work = Box::pin(ready(done));
            }
            self.running.push_back(work);
            self.next += 1;
        }
    }
}

/// Units of a source from `first` to before `end`.
pub(crate) fn of_source(source: &Source, first: u64, end: u64) -> Result<Units, Failure> {
    let unit = |number| match unit(&source.file, number, source.identity.size) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(source.has_changed()),
        Err(error) => Err(Failure::disk("read", &source.path, error)),
    };
    (first..end).map(unit).collect()
}
