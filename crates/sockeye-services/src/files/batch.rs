//! Small files that came with their requests, and get their names together.
//!
//! The disk is waited for once for all of them, so that thousands of files cost little more than their bytes. Their
//! answers wait until then. `arriving` is one of them, `commit` what is done with all, `room` what is reserved.

mod arriving;
mod commit;
mod room;

use super::place::Place;
use super::trouble::Outcome;
use crate::background::{Begun, begun};
use arriving::{Arriving, New, Whole};
use commit::Committed;
use room::Room;
use sockeye_proto::files::{Code, Failure, Path, Receipt, Upload};
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

pub(super) use commit::Answers;

/// Files of one batch: their names fit in a megabyte.
const MOST_FILES: usize = 1000;
/// Bytes of one batch: a second of a slow disk.
const MOST_BYTES: u64 = 64 << 20;
/// Files of one batch that come to be in memory first, because nobody wants them to be on the disk: enough to be worth the way
/// to another thread, and
const MOST_HELD: usize = 256;
/// in bytes, little enough for many connections to have some of the [memory](super::budget).
const MOST_HELD_BYTES: usize = 1 << 20;

/// Each answer that waits: to which request, and the file or why there is none.
type Waiting = (Option<u64>, Outcome<Whole>);

/// The small files of one connection: a batch that is collected while the one before it is on its way to the disk.
#[derive(Default)]
pub(super) struct Small {
    batch: Batch,
    committing: Option<Begun<Committed>>,
    room: Room,
}

#[derive(Default)]
struct Batch {
    waiting: Vec<Waiting>,
    bytes: u64,
    /// How many of the files are in memory, and their bytes.
    held: usize,
    held_bytes: usize,
    sync: bool,
}

/// What the beginning of a small file comes to.
pub(super) enum Beginning {
    Arriving(Arriving),
    Already(Receipt),
}

impl Small {
    /// Whether nobody waits for an answer.
    pub(super) fn is_idle(&self) -> bool {
        self.batch.waiting.is_empty() && self.committing.is_none()
    }

    pub(super) fn is_full(&self) -> bool {
        let batch = &self.batch;
        let full_of_held = batch.held >= MOST_HELD || batch.held_bytes >= MOST_HELD_BYTES;
        full_of_held || batch.waiting.len() >= MOST_FILES || batch.bytes >= MOST_BYTES
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
        let arriving = Arriving::new(place, size, sync).inspect_err(|_| self.room.put_back(size));
        Ok(Beginning::Arriving(arriving?))
    }

    /// A file was there already; its answer waits for those before it.
    pub(super) fn is_there(&mut self, id: Option<u64>, receipt: Receipt) {
        self.batch.waiting.push((id, Ok(Whole::There(receipt))));
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
                if let New::Held(held) = &new {
                    self.batch.held += 1;
                    self.batch.held_bytes += held.bytes.len();
                }
                self.batch.sync |= upload.sync;
                self.batch.bytes += size;
                self.batch.waiting.push((id, Ok(Whole::New(new))));
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
        self.batch.waiting.push((id, Err(failure)));
    }

    /// Gives back what was reserved ahead: nothing more comes for now.
    pub(super) async fn give_back(&mut self, place: &Place) {
        self.room.give_back(place).await;
        place.rest();
    }

    /// Begins to commit what was collected, unless a batch is on its way already.
    pub(super) async fn start(&mut self, place: &Place) {
        if self.committing.is_some() || self.batch.waiting.is_empty() {
            return;
        }
        let (batch, boundless) = (std::mem::take(&mut self.batch), self.room.is_boundless());
        self.committing = Some(begun(batch.commit(place.clone(), boundless)).await);
    }

    /// The answers of the batch that is on its way; without one it never comes. The batch goes on only while it is asked for
    /// them, since each step of it begins when somebody has seen the end of the one before.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answers> {
        let Some(committing) = &mut self.committing else {
            return Poll::Pending;
        };
        let committed = ready!(committing.as_mut().poll(cx));
        self.committing = None;
        self.room.note(committed.freed, committed.growth);
        Poll::Ready(committed.answers)
    }

    /// The answers of the batch that is on its way, if they are there.
    pub(super) async fn look(&mut self) -> Option<Answers> {
        poll_fn(|cx| {
            Poll::Ready(match self.poll(cx) {
                Poll::Ready(answers) => Some(answers),
                Poll::Pending => None,
            })
        })
        .await
    }

    /// Waits for the batch that is on its way, and sends the one that is full after it.
    pub(super) async fn make_way(&mut self, place: &Place) -> Answers {
        let answers = match self.committing.is_some() {
            true => poll_fn(|cx| self.poll(cx)).await,
            false => Answers::new(),
        };
        self.start(place).await;
        answers
    }

    /// Waits until nobody waits for an answer any more.
    pub(super) async fn finish(&mut self, place: &Place) -> Answers {
        let mut answers = Answers::new();
        while !self.is_idle() {
            self.start(place).await;
            answers.append(&mut poll_fn(|cx| self.poll(cx)).await);
        }
        answers
    }

    /// The connection broke: what was collected last is forgotten, for nobody was told of it.
    pub(super) async fn abandon(&mut self, place: &Place) {
        let batch = std::mem::take(&mut self.batch);
        for (_, outcome) in &batch.waiting {
            if let Ok(Whole::New(New::Written(complete))) = outcome {
                place.forget(complete);
            }
        }
        self.room.put_back(batch.bytes);
        self.finish(place).await;
        self.give_back(place).await;
    }
}
