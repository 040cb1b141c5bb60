//! Small files that came with their requests, and get their names together.
//!
//! The disk is waited for once for all of them, so that thousands of files cost little more than their bytes. Their
//! answers wait until then.

use super::place::{Complete, Place, Temporary};
use super::record;
use super::tree::{Quiet, write_at};
use super::trouble::{self, Outcome};
use rustix::fs::{self, AtFlags, OFlags};
use rustix::io::Errno;
use sockeye_proto::files::{Code, Failure, Hash, Mtime, Path, Receipt, Upload};
use std::collections::BTreeMap;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Files of one batch: their names fit in a megabyte.
const MOST_FILES: usize = 1000;
/// Bytes of one batch: a second of a slow disk.
const MOST_BYTES: u64 = 64 << 20;
/// Up to so many files are forced to the disk one by one; more of them by one call for the whole file system, which may
/// have to wait for others' bytes, too.
const FEW: usize = 8;

/// Files of one batch that come to be in memory first, because nobody wants them to be on the disk: enough to be worth the way
/// to another thread, and
const MOST_HELD: usize = 128;
/// in bytes, little enough for thousands of connections.
const MOST_HELD_BYTES: u64 = 512 << 10;

/// Each answer that waits: to which request, and the file or why there is none.
type Waiting = (Option<u64>, Outcome<Whole>);
/// Answers, in the order of their requests.
pub(super) type Answers = Vec<(Option<u64>, Outcome<Receipt>)>;
type Committing = Pin<Box<dyn Future<Output = Committed>>>;

/// What came of a batch.
struct Committed {
    answers: Answers,
    /// What is reserved no more, and how much more is kept instead.
    freed: u64,
    growth: i64,
}

/// The small files of one connection: a batch that is collected while the one before it is on its way to the disk.
#[derive(Default)]
pub(super) struct Small {
    batch: Batch,
    committing: Option<Committing>,
    /// What is reserved and no file has taken yet.
    spare: u64,
    /// What the books haven't been told of batches: until then what was reserved for them counts.
    freed: u64,
    growth: i64,
    /// How much more could be reserved when that was last asked; unknown before, and `Some(None)` without a limit.
    room: Option<Option<u64>>,
}

#[derive(Default)]
struct Batch {
    waiting: Vec<Waiting>,
    bytes: u64,
    /// How many of the files are in memory.
    held: usize,
    sync: bool,
}

/// A file that has come to its end.
enum Whole {
    Written(Complete),
    Held(Held),
}

/// One that is in memory.
struct Held {
    path: Path,
    bytes: Vec<u8>,
    mtime: Mtime,
    hash: Option<Hash>,
    clobber: bool,
}

/// A small file whose bytes are coming.
pub(super) struct Arriving {
    size: u64,
    target: Target,
}

/// Where its bytes go. Those that are to be on the disk are written at once, so that it can begin.
enum Target {
    Disk(Box<Writing>),
    Memory(Vec<u8>),
}

struct Writing {
    file: File,
    temporary: String,
    hasher: blake3::Hasher,
    at: u64,
}

impl Small {
    /// Whether nobody waits for an answer.
    pub(super) fn is_idle(&self) -> bool {
        self.batch.waiting.is_empty() && self.committing.is_none()
    }

    pub(super) fn is_full(&self) -> bool {
        let Batch {
            waiting, bytes, held, ..
        } = &self.batch;
        let full_of_held = *held >= MOST_HELD || *held > 0 && *bytes >= MOST_HELD_BYTES;
        full_of_held || waiting.len() >= MOST_FILES || *bytes >= MOST_BYTES
    }

    /// Reserves room for a file, and makes its temporary one if it is to be on the disk.
    pub(super) async fn begin(&mut self, place: &Place, size: u64, sync: bool) -> Outcome<Arriving> {
        if self.spare < size {
            self.reserve(place, size).await?;
        }
        let target = match sync {
            true => {
                let temporary = place.temporary_name();
                let file = place.pending.temporary(&temporary).map_err(of_file)?;
                Target::Disk(Box::new(Writing {
                    file,
                    temporary,
                    hasher: blake3::Hasher::new(),
                    at: 0,
                }))
            }
            false => Target::Memory(Vec::new()), // it grows as they come
        };
        self.spare -= size;
        Ok(Arriving { size, target })
    }

    /// Reserves ahead when a second file comes and there is plenty of room; near the limit exactly what is needed.
    async fn reserve(&mut self, place: &Place, size: u64) -> Outcome<()> {
        self.settle(place).await;
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
        self.freed += std::mem::take(&mut self.spare);
        self.settle(place).await;
    }

    /// Tells the books what came of the batches: once for many, since each time takes a while of the disk's.
    async fn settle(&mut self, place: &Place) {
        let (freed, growth) = (std::mem::take(&mut self.freed), std::mem::take(&mut self.growth));
        place.settle(freed, growth).await;
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
        let whole = match arriving.target {
            Target::Disk(writing) => writing.finish(place, path, upload, size).map(Whole::Written),
            Target::Memory(bytes) => {
                self.batch.held += 1;
                Ok(Whole::Held(Held {
                    path,
                    bytes,
                    mtime: upload.mtime,
                    hash: upload.hash,
                    clobber: upload.clobber,
                }))
            }
        };
        match whole {
            Ok(whole) => {
                self.batch.sync |= upload.sync;
                self.batch.bytes += size;
                self.batch.waiting.push((id, Ok(whole)));
            }
            Err(failure) => {
                self.spare += size;
                self.fail(id, failure);
            }
        }
    }

    /// A file did not come to its end.
    pub(super) fn undo(&mut self, place: &Place, arriving: Arriving) {
        if let Target::Disk(writing) = arriving.target {
            place.pending.unlink(&writing.temporary);
        }
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
        let committed = ready!(committing.as_mut().poll(cx));
        self.committing = None;
        self.freed += committed.freed;
        self.growth += committed.growth;
        Poll::Ready(committed.answers)
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
        for (_, outcome) in &batch.waiting {
            if let Ok(Whole::Written(complete)) = outcome {
                place.forget(complete);
            }
        }
        self.spare += batch.bytes;
        self.finish(place).await;
        self.give_back(place).await;
    }
}

impl Batch {
    /// Gives all of them their names; the answers, in order.
    async fn commit(self, place: Place) -> Committed {
        let Batch {
            waiting,
            bytes: freed,
            held,
            sync,
        } = self;
        let (ids, wholes): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let written = match held > 0 {
            true => write_all(&place, wholes).await,
            false => write(&place, wholes),
        };
        let files: Arc<[Complete]> = written.iter().flatten().cloned().collect();
        let named = commit(&place, &files, sync).await;
        let (receipts, growth) =
            named.unwrap_or_else(|failure| (vec![Err(failure); files.len()], undo(&place, &files)));
        let mut receipts = receipts.into_iter();
        let lost = || Err(Failure::new(Code::Io, "nothing came of it"));
        let receipt = |file: Outcome<Complete>| file.and_then(|_| receipts.next().unwrap_or_else(lost));
        let answers = ids.into_iter().zip(written.into_iter().map(receipt)).collect();
        Committed {
            answers,
            freed,
            growth,
        }
    }
}

/// What came of files, and how much more is kept.
type Named = (Vec<Outcome<Receipt>>, i64);

/// Writes those that are in memory: one half of them here, one there, since making files is a processor's work.
async fn write_all(place: &Place, mut wholes: Vec<Outcome<Whole>>) -> Vec<Outcome<Complete>> {
    let rest = wholes.split_off(wholes.len() / 2);
    let half = async |wholes: Vec<Outcome<Whole>>| {
        let count = wholes.len();
        let written = place.work(move |place| Ok(write(place, wholes))).await;
        written.unwrap_or_else(|failure| vec![Err(failure); count])
    };
    let (mut written, others) = tokio::join!(half(wholes), half(rest));
    written.extend(others);
    written
}

fn write(place: &Place, wholes: Vec<Outcome<Whole>>) -> Vec<Outcome<Complete>> {
    let mut folders = BTreeMap::new();
    let mut write = |whole| match whole {
        Whole::Written(complete) => Ok(complete),
        Whole::Held(held) => held.write(place, &mut folders),
    };
    wholes
        .into_iter()
        .map(|whole| whole.and_then(&mut write))
        .collect()
}

fn publish(place: &Place, files: &[Complete], sync: bool, quiet: Quiet) -> Named {
    let (receipts, growth) = place.publish(files, sync, quiet);
    for (file, receipt) in files.iter().zip(&receipts) {
        if receipt.is_err() {
            place.forget(file);
        }
    }
    (receipts, growth)
}

fn of_file(error: Errno) -> Failure {
    trouble::of("write the file", error)
}

fn check(declared: Option<Hash>, hash: Hash) -> Outcome<()> {
    match declared.filter(|wanted| *wanted != hash) {
        Some(other) => {
            let why = format!("what came has the hash {hash}, and {other} was declared");
            Err(Failure::new(Code::Mismatch, why))
        }
        None => Ok(()),
    }
}

impl Arriving {
    pub(super) fn take(&mut self, bytes: &[u8]) -> Outcome<()> {
        match &mut self.target {
            Target::Memory(held) => held.extend_from_slice(bytes),
            Target::Disk(writing) => {
                writing.hasher.update(bytes);
                write_at(&writing.file, bytes, writing.at).map_err(of_file)?;
                writing.at += bytes.len() as u64;
            }
        }
        Ok(())
    }
}

impl Writing {
    fn finish(self, place: &Place, path: Path, upload: &Upload, size: u64) -> Outcome<Complete> {
        let hash = Hash(*self.hasher.finalize().as_bytes());
        let recorded = check(upload.hash, hash)
            .and_then(|()| record::write(&self.file, upload.mtime, &hash).map_err(of_file));
        if let Err(failure) = recorded {
            place.pending.unlink(&self.temporary);
            return Err(failure);
        }
        Ok(Complete {
            path,
            temporary: Temporary::Called(self.temporary),
            size,
            mtime: upload.mtime,
            hash,
            clobber: upload.clobber,
        })
    }
}

impl Held {
    /// Writes it to a file that has no name yet; one that is near where it is to be, so that the disk keeps them together.
    fn write(self, place: &Place, folders: &mut BTreeMap<String, Option<OwnedFd>>) -> Outcome<Complete> {
        let hash = Hash(*blake3::hash(&self.bytes).as_bytes());
        check(self.hash, hash)?;
        let (parent, _) = self.path.split().unwrap_or_default();
        if !folders.contains_key(parent) {
            // Where there is none it is made together with the name.
            folders.insert(parent.to_owned(), place.root.folder(parent).ok());
        }
        let folder = folders.get(parent).and_then(Option::as_ref);
        let (file, temporary) = place.unnamed(folder).map_err(of_file)?;
        let written = write_at(&file, &self.bytes, 0).and_then(|()| record::write(&file, self.mtime, &hash));
        let complete = Complete {
            path: self.path,
            temporary: temporary.unwrap_or_else(|| Temporary::Open(Arc::new(file))),
            size: self.bytes.len() as u64,
            mtime: self.mtime,
            hash,
            clobber: self.clobber,
        };
        match written {
            Ok(()) => Ok(complete),
            Err(error) => {
                place.forget(&complete);
                Err(of_file(error))
            }
        }
    }
}

/// Forces files to the disk and gives them their names; what came of each, and how much more is kept. If it fails as a whole,
/// files may be left without a name.
async fn commit(place: &Place, files: &Arc<[Complete]>, sync: bool) -> Outcome<Named> {
    if sync {
        let files = files.clone();
        let forced = move |place: &Place| {
            force(place, &files).map_err(|error| trouble::of("force the files to the disk", error))
        };
        place.work(forced).await?;
    }
    let quiet = place.quiet().await?;
    let files = files.clone();
    let named = move |place: &Place| Ok(publish(place, &files, sync, quiet));
    place.work(named).await
}

/// Forgets files that got no name; says how much more is kept by those that did. It is done here: the background is what has
/// failed, perhaps because too many wait for it.
fn undo(place: &Place, files: &[Complete]) -> i64 {
    let is_named = |file: &&Complete| match &file.temporary {
        Temporary::Called(name) => fs::unlinkat(&place.pending, name, AtFlags::empty()) == Err(Errno::NOENT),
        Temporary::Open(file) => fs::fstat(file).is_ok_and(|stat| stat.st_nlink > 0),
    };
    let named = files.iter().filter(is_named);
    named.map(|file| file.size as i64).sum()
}

fn force(place: &Place, files: &[Complete]) -> Result<(), Errno> {
    if files.len() > FEW {
        return fs::syncfs(&place.pending);
    }
    files.iter().try_for_each(|file| match &file.temporary {
        Temporary::Called(name) => {
            let opened = super::tree::open(&place.pending, name, OFlags::RDONLY)?;
            fs::fsync(opened)
        }
        Temporary::Open(file) => fs::fsync(file),
    })
}
