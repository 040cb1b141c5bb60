//! Small files that came with their requests, and get their names together.
//!
//! The disk is waited for once for all of them, so that thousands of files cost little more than their bytes. Their
//! answers wait until then. Three things go on at a time: files [come](coming), those before them are written out of sight, and
//! those before these are forced to the disk and [named](commit). A batch ends when nothing more comes, or with a folder: one that
//! wasn't there gets its name as a whole, if it isn't too large. `arriving` is one file, `room` what is reserved.

mod arriving;
mod coming;
mod commit;
mod room;
#[cfg(test)]
mod tests;

use super::place::Place;
use super::trouble::Outcome;
use crate::background::Begun;
use arriving::{Arriving, New, Whole};
use coming::Coming;
use commit::{Batch, Committed};
use room::Room;
use sockeye_proto::files::{Code, Failure, Path, Receipt, Upload};
use std::future::poll_fn;
use std::task::{Context, Poll};

pub(super) use commit::Answers;

/// Files with which a batch ends, as a rule; up to half as many may come with the last of them. Their names fit in a few megabytes, however
/// long they are.
const MOST_FILES: usize = 1000;
/// Bytes of one batch: a second of a slow disk.
const MOST_BYTES: u64 = 64 << 20;
/// Files that are worth the way to another thread while more come: a millisecond of its work.
const WORTH: usize = 64;
/// Files of whole folders that are worth a commit while more come: with fewer of them the disk would be waited for too often.
const ENOUGH: usize = 128;

/// Each answer that waits: to which request, and the file or why there is none.
type Waiting = (Option<u64>, Outcome<Whole>);

/// The small files of one connection: a batch that is collected while the one before it is on its way to the disk.
#[derive(Default)]
pub(super) struct Small {
    coming: Coming,
    /// Some of those that came want to be on the disk.
    sync: bool,
    /// Nothing more comes just now: perhaps the peer waits for its answers.
    pausing: bool,
    /// Those before them; while more of it is written, it is there.
    batch: Option<Batch>,
    writing: Option<Begun<Batch>>,
    /// Some that were written last are in folders that are there.
    there: bool,
    /// Those before these.
    committing: Option<Begun<Committed>>,
    answers: Answers,
    room: Room,
}

/// What the beginning of a small file comes to.
pub(super) enum Beginning {
    Arriving(Arriving),
    Already(Receipt),
}

impl Small {
    /// Whether nobody waits for an answer.
    pub(super) fn is_idle(&self) -> bool {
        let is_at_work = self.writing.is_some() || self.committing.is_some();
        self.coming.len() == 0 && self.batch.is_none() && !is_at_work && self.answers.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.coming.is_full()
    }

    /// Reserves room for a file, and makes its temporary one if it is to be on the disk. A file that is there already, and has no
    /// room a second time, needs none.
    pub(super) async fn begin(&mut self, place: &Place, path: &Path, upload: &Upload) -> Outcome<Beginning> {
        place.hold().await?;
        let (size, sync) = (upload.size, upload.sync);
        match self.room.take(place, size).await {
            Ok(()) => {}
            Err(failure) if failure.code == Code::Quota => {
                let (path, hash) = (path.clone(), upload.hash);
                let look = move |place: &Place| {
                    let already = hash.and_then(|hash| place.already(&path, size, hash, sync));
                    already.ok_or(failure)
                };
                return Ok(Beginning::Already(place.work(look).await?));
            }
            Err(failure) => return Err(failure),
        }
        let arriving = Arriving::new(place, size).inspect_err(|_| self.room.put_back(size));
        Ok(Beginning::Arriving(arriving?))
    }

    fn push(&mut self, id: Option<u64>, outcome: Outcome<Whole>) {
        self.pausing = false;
        self.coming.push((id, outcome));
    }

    /// A file was there already; its answer waits for those before it.
    pub(super) fn is_there(&mut self, id: Option<u64>, receipt: Receipt) {
        self.push(id, Ok(Whole::There(receipt)));
    }

    /// A file is complete; its answer waits.
    pub(super) fn end(
        &mut self,
        id: Option<u64>,
        place: &Place,
        arriving: Arriving,
        path: Path,
        upload: &Upload,
    ) {
        let size = arriving.size;
        match arriving.finish(place, path, upload) {
            Ok(new) => {
                self.sync |= upload.sync;
                self.push(id, Ok(Whole::New(new)));
            }
            Err(failure) => {
                self.room.put_back(size);
                self.fail(id, failure);
            }
        }
    }

    /// A file did not come to its end.
    pub(super) fn undo(&mut self, place: &Place, arriving: Arriving) {
        self.room.put_back(arriving.size);
        arriving.undo(place);
    }

    /// A file failed; its answer waits for those before it.
    pub(super) fn fail(&mut self, id: Option<u64>, failure: Failure) {
        self.push(id, Err(failure));
    }

    /// Gives back what was reserved ahead: nothing more comes for now.
    pub(super) async fn give_back(&mut self, place: &Place) {
        self.room.give_back(place).await;
        place.rest();
    }

    /// Nothing more comes just now: all that was collected is to get its name.
    pub(super) async fn start(&mut self, place: &Place) {
        self.pausing = true;
        poll_fn(|cx| {
            self.drive(place, cx);
            Poll::Ready(())
        })
        .await;
    }

    /// Answers of batches that have got their names; without any it goes on with those that haven't. Nothing goes on unless it is asked for
    /// them, since each step begins when somebody has seen the end of the one before.
    pub(super) fn poll(&mut self, place: &Place, cx: &mut Context<'_>) -> Poll<Answers> {
        self.drive(place, cx);
        match self.answers.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(std::mem::take(&mut self.answers)),
        }
    }

    fn drive(&mut self, place: &Place, cx: &mut Context<'_>) {
        loop {
            if let Some(writing) = &mut self.writing
                && let Poll::Ready(batch) = writing.as_mut().poll(cx)
            {
                (self.writing, self.there) = (None, batch.is_held());
                self.batch = Some(batch);
            }
            if let Some(committing) = &mut self.committing
                && let Poll::Ready(mut committed) = committing.as_mut().poll(cx)
            {
                self.committing = None;
                self.room.note(committed.freed, committed.growth);
                self.answers.append(&mut committed.answers);
            }
            if !self.begin_next(place) {
                return;
            }
        }
    }

    /// Begins the next step, if there is one; it is to be polled then.
    fn begin_next(&mut self, place: &Place) -> bool {
        if self.writing.is_some() {
            return false;
        }
        let written = self.batch.as_ref().map_or(0, Batch::len);
        let is_full = self.batch.as_ref().is_some_and(Batch::is_full);
        // Where a folder ends, and enough with it. Where it was there, the next one would be shown with its rest, and be there, too.
        let end = self
            .coming
            .cut
            .filter(|cut| self.there || written + cut >= ENOUGH);
        let is_last = self.pausing && self.coming.len() == 0;
        if (is_full || is_last || end == Some(0))
            && self.committing.is_none()
            && let Some(batch) = self.batch.take()
        {
            let boundless = self.room.is_boundless();
            self.committing = Some(Box::pin(batch.commit(place.clone(), boundless)));
            return true;
        }
        let count = end.filter(|end| *end > 0).unwrap_or(self.coming.len());
        let is_worth = count >= WORTH || end.is_some_and(|end| end > 0) || self.pausing || self.is_full();
        if is_full || count == 0 || !is_worth {
            return false;
        }
        let (taken, sync) = (self.coming.take(count), self.sync);
        self.sync &= self.coming.len() > 0;
        let batch = self.batch.take().unwrap_or_else(|| Batch::new(place));
        self.writing = Some(Box::pin(batch.write(place.clone(), taken, sync)));
        true
    }

    /// Answers of batches that have got their names, if there are any.
    pub(super) async fn look(&mut self, place: &Place) -> Option<Answers> {
        poll_fn(|cx| {
            Poll::Ready(match self.poll(place, cx) {
                Poll::Ready(answers) => Some(answers),
                Poll::Pending => None,
            })
        })
        .await
    }

    /// Waits until there is room for another file.
    pub(super) async fn make_way(&mut self, place: &Place) -> Answers {
        poll_fn(|cx| {
            self.drive(place, cx);
            match self.is_full() {
                true => Poll::Pending,
                false => Poll::Ready(std::mem::take(&mut self.answers)),
            }
        })
        .await
    }

    /// Waits until nobody waits for an answer any more.
    pub(super) async fn finish(&mut self, place: &Place) -> Answers {
        let mut answers = Answers::new();
        self.pausing = true;
        while !self.is_idle() {
            answers.append(&mut poll_fn(|cx| self.poll(place, cx)).await);
        }
        answers
    }

    /// The connection broke: what is not about to get its name is forgotten, for nobody was told of it.
    pub(super) async fn abandon(&mut self, place: &Place) {
        let coming = self.coming.take(self.coming.len());
        let batch = match self.writing.take() {
            Some(writing) => Some(writing.await),
            None => self.batch.take(),
        };
        for (_, outcome) in coming.waiting {
            if let Ok(Whole::New(New::Written(complete))) = outcome {
                place.forget(&complete);
            }
        }
        let mut forgotten = 0;
        if let Some(batch) = batch {
            forgotten = batch.bytes;
            // Not on this thread: a thousand files are removed. If nobody takes it, it is done here as it is dropped.
            let forget = move |place: &Place| {
                batch.forget(place);
                Ok(())
            };
            let _ = place.work(forget).await;
        }
        self.room.put_back(coming.bytes + forgotten);
        self.finish(place).await;
        self.give_back(place).await;
    }
}
