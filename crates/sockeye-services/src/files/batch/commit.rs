//! Files that are written out of sight, and get their names together.

use super::arriving::{Made, New, Whole};
use super::coming::Taken;
use super::{MOST_BYTES, MOST_FILES, WORTH};
use crate::files::place::{Complete, Filling, Hidden, Place, Publishing, Temporary};
use crate::files::tree::open;
use crate::files::trouble::{self, Outcome};
use rustix::fs::{self, OFlags};
use rustix::io::Errno;
use sockeye_proto::files::{Code, Failure, Receipt};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Up to so many files are forced to the disk one by one; more of them by one call for the whole file system, which may
/// have to wait for others' bytes, too.
const FEW: usize = 8;

/// Files that are made one after the other before they are written: each is a descriptor meanwhile.
const AT_ONCE: usize = 16;

/// Answers, in the order of their requests.
pub(in crate::files) type Answers = Vec<(Option<u64>, Outcome<Receipt>)>;

/// Those that get their names together.
pub(super) struct Batch {
    /// What is to be answered; nothing where the next of the files tells.
    answers: Vec<(Option<u64>, Option<Outcome<Receipt>>)>,
    files: Files,
    /// What is reserved for them.
    pub(super) bytes: u64,
    sync: bool,
    /// Some are in memory still: their folders are there, and wait for no more files.
    held: bool,
}

struct Files {
    new: Vec<Outcome<New>>,
    hidden: Arc<Hidden>,
    /// The paths that have come.
    paths: BTreeSet<String>,
}

/// What came of a batch.
pub(super) struct Committed {
    pub(super) answers: Answers,
    /// What is reserved no more, and how much more is kept instead.
    pub(super) freed: u64,
    pub(super) growth: i64,
}

impl Batch {
    pub(super) fn new(place: &Place) -> Self {
        let files = Files {
            new: Vec::new(),
            hidden: Arc::new(Hidden::of(place)),
            paths: BTreeSet::new(),
        };
        Batch {
            answers: Vec::new(),
            files,
            bytes: 0,
            sync: false,
            held: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether some are in memory still.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Whether nothing is gained when more come.
    pub(super) fn is_full(&self) -> bool {
        self.held || self.answers.len() >= MOST_FILES || self.bytes >= MOST_BYTES
    }

    /// Writes some more, in the background.
    pub(super) async fn write(mut self, place: Place, taken: Taken, sync: bool) -> Self {
        let mut new = Vec::new();
        for (id, outcome) in taken.waiting {
            let known = match outcome {
                Ok(Whole::There(receipt)) => Some(Ok(receipt)),
                Err(failure) => Some(Err(failure)),
                Ok(Whole::New(file)) => {
                    new.push(file);
                    None
                }
            };
            self.answers.push((id, known));
        }
        self.bytes += taken.bytes;
        self.sync |= sync;
        if new.is_empty() {
            return self;
        }
        self.files.write(&place, new, self.sync).await;
        let mut written = self.files.new.iter().flatten();
        self.held = written.any(|file| matches!(file, New::Held(_)));
        self
    }

    /// Gives all of them their names; the answers, in order. The books need not be asked where it is known that there is no limit.
    pub(super) async fn commit(self, place: Place, boundless: bool) -> Committed {
        let (receipts, growth) = keep(&place, self.files, self.sync, boundless).await;
        let mut receipts = receipts.into_iter();
        let lost = || Err(Failure::new(Code::Io, "nothing came of it"));
        let mut receipt = || receipts.next().unwrap_or_else(lost);
        let whole = |(id, known): (_, Option<_>)| (id, known.unwrap_or_else(&mut receipt));
        Committed {
            answers: self.answers.into_iter().map(whole).collect(),
            freed: self.bytes,
            growth,
        }
    }

    /// Nobody wants them any more.
    pub(super) fn forget(self, place: &Place) {
        self.files.called().for_each(|name| place.pending.unlink(&name));
    }
}

impl Files {
    /// Writes some more out of sight, half of them beside the others.
    async fn write(&mut self, place: &Place, new: Vec<New>, sync: bool) {
        let mut entered = |file: New| Next {
            is_first: self.enter(file.path().as_str()),
            file,
        };
        let mut new: Vec<Next> = new.into_iter().map(&mut entered).collect();
        let more = match new.len() >= WORTH {
            true => new.split_off(new.len() / 2),
            false => Vec::new(),
        };
        let some = write(place, new, &self.hidden, sync);
        let (some, others) = match more.is_empty() {
            true => (some.await, Vec::new()),
            false => tokio::join!(some, write(place, more, &self.hidden, sync)),
        };
        self.new.extend(some.into_iter().chain(others));
    }

    /// Notes a path; whether nothing before it had this path, or one below it.
    fn enter(&mut self, path: &str) -> bool {
        let below = format!("{path}/");
        let mut behind = self.paths.range(below.clone()..);
        let is_folder = behind.next().is_some_and(|next| next.starts_with(&below));
        self.paths.insert(path.to_owned()) && !is_folder
    }

    /// What they are called among the pending, where they have names.
    fn called(&self) -> impl Iterator<Item = String> {
        self.new.iter().flatten().filter_map(called)
    }

    /// Forces them to the disk.
    fn force(&self, place: &Place) -> Result<(), Errno> {
        if self.new.len() > FEW {
            return fs::syncfs(&place.pending);
        }
        self.new.iter().flatten().try_for_each(|file| match file {
            New::Written(Complete { temporary, .. }) => match temporary {
                Temporary::Called(name) | Temporary::Hidden(name) => {
                    fs::fsync(open(&place.pending, name, OFlags::RDONLY)?)
                }
                Temporary::Open { file, .. } => fs::fsync(file),
            },
            New::Held(_) => Ok(()), // what is to be forced is written before
        })?;
        self.hidden.force()
    }
}

/// A file that is to be written.
struct Next {
    file: New,
    /// It may be in a hidden folder, with which it gets its name before those that have come before it: they don't ask for the same.
    is_first: bool,
}

impl Next {
    fn make(&self, filling: &mut Filling<'_>) -> Outcome<Option<Made>> {
        match self.is_first {
            true => self.file.make(filling),
            false => Ok(None),
        }
    }
}

/// Writes files out of sight, in the background; what came of each.
async fn write(place: &Place, new: Vec<Next>, hidden: &Arc<Hidden>, sync: bool) -> Vec<Outcome<New>> {
    let count = new.len();
    let called: Vec<String> = new.iter().filter_map(|next| called(&next.file)).collect();
    let filled = hidden.clone();
    let write = move |place: &Place| {
        let (mut filling, mut written) = (filled.fill(place), Vec::with_capacity(count));
        let mut new = new.into_iter();
        while written.len() < count {
            let turn = filled.turn();
            let making = new.by_ref().take(AT_ONCE);
            let made: Vec<_> = making.map(|next| (next.make(&mut filling), next.file)).collect();
            drop(turn);
            let write = |(made, file): (Outcome<_>, New)| file.write(made?, place, &filling, sync);
            written.extend(made.into_iter().map(write));
        }
        Ok(written)
    };
    place.work(write).await.unwrap_or_else(|failure| {
        // The background itself may be what has failed, perhaps because too many wait for it: so it is done here.
        called.iter().for_each(|name| place.pending.unlink(name));
        hidden.scatter();
        (0..count).map(|_| Err(failure.clone())).collect()
    })
}

/// Gives new files their names; what came of each, and how much more is kept.
async fn keep(place: &Place, files: Files, sync: bool, boundless: bool) -> (Vec<Outcome<Receipt>>, i64) {
    if files.new.is_empty() {
        return (Vec::new(), 0);
    }
    let count = files.new.len();
    let called: Vec<String> = files.called().collect();
    let growth = Arc::new(AtomicI64::new(0));
    let kept = publish(place, files, (sync, boundless), growth.clone()).await;
    let receipts = kept.unwrap_or_else(|failure| {
        called.iter().for_each(|name| place.pending.unlink(name)); // as above
        vec![Err(failure); count]
    });
    (receipts, growth.load(Ordering::Acquire))
}

/// The same in the background; `growth` tells how much more is kept even if it fails.
async fn publish(
    place: &Place,
    files: Files,
    (sync, boundless): (bool, bool),
    growth: Arc<AtomicI64>,
) -> Outcome<Vec<Outcome<Receipt>>> {
    let files = match sync {
        true => {
            let forced = |place: &Place| match files.force(place) {
                Ok(()) => Ok(files),
                Err(error) => Err(trouble::of("force the files to the disk", error)),
            };
            place.work(forced).await?
        }
        false => files,
    };
    let naming = match boundless {
        true => place.naming_within(None).await,
        false => place.naming().await,
    };
    let naming = match naming {
        Ok(naming) => naming,
        Err(failure) => {
            // What they leave on the disk is no matter for this thread.
            let forgotten = move |_: &Place| {
                drop(files);
                Ok(())
            };
            let _ = place.work(forgotten).await;
            return Err(failure);
        }
    };
    let named = move |place: &Place| {
        let mut publishing = Publishing::begin(place, sync, naming, files.hidden);
        let mut receipts = Vec::new();
        for file in files.new {
            receipts.push(file.and_then(|file| file.publish(place, &mut publishing)));
            growth.store(publishing.growth, Ordering::Release);
        }
        Ok(publishing.end(receipts))
    };
    place.work_first(named).await
}

/// What it is called among the pending, where it has a name.
fn called(file: &New) -> Option<String> {
    match file {
        New::Written(complete) => complete.temporary.name(),
        New::Held(_) => None,
    }
}
