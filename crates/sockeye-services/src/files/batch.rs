//! Small files that came with their requests, and get their names together.
//!
//! The disk is waited for once for all of them, so that thousands of files cost little more than their bytes. Their
//! answers wait until then.

use super::place::{Complete, Place};
use super::record;
use super::trouble::{self, Outcome};
use rustix::fs::{self, AtFlags, OFlags};
use rustix::io::Errno;
use sockeye_proto::files::{Code, Failure, Hash, Path, Receipt, Upload};
use std::fs::File;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

/// Files of one batch: their names fit in a megabyte.
const MOST_FILES: usize = 1000;
/// Bytes of one batch: a second of a slow disk.
const MOST_BYTES: u64 = 64 << 20;
/// Up to so many files are forced to the disk one by one; more of them by one call for the whole file system, which may
/// have to wait for others' bytes, too.
const FEW: usize = 8;

/// Each answer that waits: to which request, and the file or why there is none.
type Waiting = (Option<u64>, Outcome<Complete>);
/// Answers, in the order of their requests.
pub(super) type Answers = Vec<(Option<u64>, Outcome<Receipt>)>;
type Committing = Pin<Box<dyn Future<Output = Answers>>>;

/// The small files of one connection: a batch that is collected while the one before it is on its way to the disk.
#[derive(Default)]
pub(super) struct Small {
    batch: Batch,
    committing: Option<Committing>,
    /// What is reserved and no file has taken yet.
    spare: u64,
    /// How much more could be reserved when that was last asked; unknown before, and `Some(None)` without a limit.
    room: Option<Option<u64>>,
}

#[derive(Default)]
struct Batch {
    waiting: Vec<Waiting>,
    bytes: u64,
    sync: bool,
}

/// Tells the temporary files of one process apart.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// A small file whose bytes are coming.
pub(super) struct Arriving {
    file: File,
    temporary: String,
    hasher: blake3::Hasher,
    size: u64,
    at: u64,
}

impl Small {
    /// Whether nobody waits for an answer.
    pub(super) fn is_idle(&self) -> bool {
        self.batch.waiting.is_empty() && self.committing.is_none()
    }

    pub(super) fn is_full(&self) -> bool {
        self.batch.waiting.len() >= MOST_FILES || self.batch.bytes >= MOST_BYTES
    }

    /// Reserves room for a file, and makes its temporary one.
    pub(super) async fn begin(&mut self, place: &Place, size: u64) -> Outcome<Arriving> {
        if self.spare < size {
            self.reserve(place, size).await?;
        }
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let temporary = format!("small-{:x}-{serial:x}", place.tag);
        let file = place.pending.temporary(&temporary).map_err(of_file)?;
        self.spare -= size;
        Ok(Arriving {
            file,
            temporary,
            hasher: blake3::Hasher::new(),
            size,
            at: 0,
        })
    }

    /// Reserves ahead when a second file comes and there is plenty of room; near the limit exactly what is needed.
    async fn reserve(&mut self, place: &Place, size: u64) -> Outcome<()> {
        let ahead = match self.room {
            None => size,
            Some(None) => MOST_BYTES,
            Some(Some(room)) => MOST_BYTES.min(room / 16),
        };
        let wanted = ahead.max(size - self.spare);
        self.room = Some(place.reserve(wanted).await?);
        self.spare += wanted;
        Ok(())
    }

    /// Gives back what was reserved ahead: nothing more comes for now.
    pub(super) async fn give_back(&mut self, place: &Place) {
        self.room = None;
        place.settle(std::mem::take(&mut self.spare), 0).await;
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
        match arriving.finish(path, upload) {
            Ok(complete) => {
                self.batch.sync |= upload.sync;
                self.batch.bytes += size;
                self.batch.waiting.push((id, Ok(complete)));
            }
            Err((temporary, failure)) => {
                place.pending.unlink(&temporary);
                self.spare += size;
                self.fail(id, failure);
            }
        }
    }

    /// A file did not come to its end.
    pub(super) fn undo(&mut self, place: &Place, arriving: Arriving) {
        place.pending.unlink(&arriving.temporary);
        self.spare += arriving.size;
    }

    /// A file failed; its answer waits for those before it.
    pub(super) fn fail(&mut self, id: Option<u64>, failure: Failure) {
        self.batch.waiting.push((id, Err(failure)));
    }

    /// Begins to commit what was collected, unless a batch is on its way already.
    pub(super) fn start(&mut self, place: &Place) {
        if self.committing.is_none() && !self.batch.waiting.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            self.committing = Some(Box::pin(batch.commit(place.clone())));
        }
    }

    /// The answers of the batch that is on its way; without one it never comes.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answers> {
        let Some(committing) = &mut self.committing else {
            return Poll::Pending;
        };
        let answers = ready!(committing.as_mut().poll(cx));
        self.committing = None;
        Poll::Ready(answers)
    }

    /// Waits for the batch that is on its way, and sends the one that is full after it.
    pub(super) async fn make_way(&mut self, place: &Place) -> Answers {
        let answers = match self.committing.is_some() {
            true => poll_fn(|cx| self.poll(cx)).await,
            false => Answers::new(),
        };
        self.start(place);
        answers
    }

    /// Waits until nobody waits for an answer any more.
    pub(super) async fn finish(&mut self, place: &Place) -> Answers {
        let mut answers = Answers::new();
        while !self.is_idle() {
            self.start(place);
            answers.append(&mut poll_fn(|cx| self.poll(cx)).await);
        }
        answers
    }

    /// The connection broke: what was collected last is forgotten, for nobody was told of it.
    pub(super) async fn abandon(&mut self, place: &Place) {
        let batch = std::mem::take(&mut self.batch);
        let complete = batch
            .waiting
            .iter()
            .filter_map(|(_, outcome)| outcome.as_ref().ok());
        complete.for_each(|complete| place.pending.unlink(&complete.temporary));
        self.spare += batch.bytes;
        self.finish(place).await;
        self.give_back(place).await;
    }
}

impl Batch {
    /// Gives all of them their names; the answers, in order.
    async fn commit(self, place: Place) -> Answers {
        let Batch { waiting, bytes, sync } = self;
        let complete = waiting.iter().filter_map(|(_, outcome)| outcome.as_ref().ok());
        let files: Arc<[Complete]> = complete.cloned().collect();
        let (receipts, growth) = match commit(&place, &files, sync).await {
            Ok(done) => done,
            Err(failure) => (vec![Err(failure); files.len()], undo(&place, &files)),
        };
        place.settle(bytes, growth).await;
        let mut receipts = receipts.into_iter();
        let lost = || Err(Failure::new(Code::Io, "nothing came of it"));
        let answer =
            |(id, outcome): Waiting| (id, outcome.and_then(|_| receipts.next().unwrap_or_else(lost)));
        waiting.into_iter().map(answer).collect()
    }
}

fn of_file(error: Errno) -> Failure {
    trouble::of("write the file", error)
}

impl Arriving {
    pub(super) fn take(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.hasher.update(bytes);
        super::tree::write_at(&self.file, bytes, self.at).map_err(of_file)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn finish(self, path: Path, upload: &Upload) -> Result<Complete, (String, Failure)> {
        let hash = Hash(*self.hasher.finalize().as_bytes());
        if let Some(other) = upload.hash.filter(|wanted| *wanted != hash) {
            let why = format!("what came has the hash {hash}, and {other} was declared");
            return Err((self.temporary, Failure::new(Code::Mismatch, why)));
        }
        match record::write(&self.file, upload.mtime, &hash) {
            Ok(()) => Ok(Complete {
                path,
                temporary: self.temporary,
                size: upload.size,
                mtime: upload.mtime,
                hash,
                clobber: upload.clobber,
            }),
            Err(error) => Err((self.temporary, of_file(error))),
        }
    }
}

/// Forces files to the disk and gives them their names; what came of each, and how much more is kept. If it fails as a whole,
/// files may be left without a name.
async fn commit(place: &Place, files: &Arc<[Complete]>, sync: bool) -> Outcome<(Vec<Outcome<Receipt>>, i64)> {
    if sync {
        let files = files.clone();
        let forced = move |place: &Place| {
            force(place, &files).map_err(|error| trouble::of("force the files to the disk", error))
        };
        place.work(forced).await?;
    }
    let quiet = place.quiet().await?;
    let files = files.clone();
    let named = move |place: &Place| {
        let (receipts, growth) = place.publish(&files, sync, quiet);
        for (file, receipt) in files.iter().zip(&receipts) {
            if receipt.is_err() {
                place.pending.unlink(&file.temporary);
            }
        }
        Ok((receipts, growth))
    };
    place.work(named).await
}

/// Forgets files that got no name; says how much more is kept by those that did. It is done here: the background is what has
/// failed, perhaps because too many wait for it.
fn undo(place: &Place, files: &[Complete]) -> i64 {
    let unlink = |file: &Complete| fs::unlinkat(&place.pending, &file.temporary, AtFlags::empty());
    let named = files.iter().filter(|file| unlink(file) == Err(Errno::NOENT));
    named.map(|file| file.size as i64).sum()
}

fn force(place: &Place, files: &[Complete]) -> Result<(), Errno> {
    if files.len() > FEW {
        return fs::syncfs(&place.pending);
    }
    files.iter().try_for_each(|file| {
        let flags = OFlags::RDONLY;
        let opened = super::tree::open(&place.pending, &file.temporary, flags)?;
        fs::fsync(opened)
    })
}
