//! Files of a batch get their names together.

use super::Batch;
use super::arriving::{New, Whole};
use crate::files::place::{Complete, Place, Publishing, Temporary};
use crate::files::tree::open;
use crate::files::trouble::{self, Outcome};
use rustix::fs::{self, OFlags};
use rustix::io::Errno;
use sockeye_proto::files::{Code, Failure, Receipt};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Up to so many files are forced to the disk one by one; more of them by one call for the whole file system, which may
/// have to wait for others' bytes, too.
const FEW: usize = 8;

/// Answers, in the order of their requests.
pub(in crate::files) type Answers = Vec<(Option<u64>, Outcome<Receipt>)>;

/// What came of a batch.
pub(super) struct Committed {
    pub(super) answers: Answers,
    /// What is reserved no more, and how much more is kept instead.
    pub(super) freed: u64,
    pub(super) growth: i64,
}

impl Batch {
    /// Gives all of them their names; the answers, in order. The books need not be asked where it is known that there is no limit.
    pub(super) async fn commit(self, place: Place, boundless: bool) -> Committed {
        let mut files = Vec::new();
        let mut answer = |(id, outcome)| match outcome {
            Ok(Whole::There(receipt)) => (id, Some(Ok(receipt))),
            Err(failure) => (id, Some(Err(failure))),
            Ok(Whole::New(new)) => {
                files.push(new);
                (id, None)
            }
        };
        let answers: Vec<_> = self.waiting.into_iter().map(&mut answer).collect();
        let (receipts, growth) = keep(&place, files, self.sync, boundless).await;
        let mut receipts = receipts.into_iter();
        let lost = || Err(Failure::new(Code::Io, "nothing came of it"));
        let mut receipt = || receipts.next().unwrap_or_else(lost);
        let whole = |(id, known): (_, Option<_>)| (id, known.unwrap_or_else(&mut receipt));
        Committed {
            answers: answers.into_iter().map(whole).collect(),
            freed: self.bytes,
            growth,
        }
    }
}

/// Gives new files their names; what came of each, and how much more is kept.
async fn keep(place: &Place, files: Vec<New>, sync: bool, boundless: bool) -> (Vec<Outcome<Receipt>>, i64) {
    if files.is_empty() {
        return (Vec::new(), 0);
    }
    let count = files.len();
    let called: Vec<String> = files.iter().filter_map(called).collect();
    let growth = Arc::new(AtomicI64::new(0));
    let kept = publish(place, files, (sync, boundless), growth.clone()).await;
    let receipts = kept.unwrap_or_else(|failure| {
        // The background itself may be what has failed, perhaps because too many wait for it: so it is done here.
        called.iter().for_each(|name| place.pending.unlink(name));
        vec![Err(failure); count]
    });
    (receipts, growth.load(Ordering::Acquire))
}

/// The same in the background; `growth` tells how much more is kept even if it fails.
async fn publish(
    place: &Place,
    files: Vec<New>,
    (sync, boundless): (bool, bool),
    growth: Arc<AtomicI64>,
) -> Outcome<Vec<Outcome<Receipt>>> {
    let files = match sync {
        true => place.work(move |place| forced(place, files)).await?,
        false => files.into_iter().map(Ok).collect(),
    };
    let called: Vec<String> = files.iter().flatten().filter_map(called).collect();
    let forget = |_: &Failure| called.iter().for_each(|name| place.pending.unlink(name));
    let naming = match boundless {
        true => place.naming_within(None).await,
        false => place.naming().await,
    };
    let naming = naming.inspect_err(forget)?;
    let named = move |place: &Place| {
        let mut publishing = Publishing::begin(place, sync, naming);
        let mut receipts = Vec::new();
        for file in files {
            receipts.push(file.and_then(|file| file.publish(place, &mut publishing)));
            growth.store(publishing.growth, Ordering::Release);
        }
        Ok(publishing.end(receipts))
    };
    place.work_first(named).await.inspect_err(forget)
}

/// What it is called among the pending, where it has a name.
fn called(file: &New) -> Option<String> {
    match file {
        New::Written(complete) => complete.temporary.name(),
        New::Held(_) => None,
    }
}

/// Forces files to the disk.
fn forced(place: &Place, files: Vec<New>) -> Outcome<Vec<Outcome<New>>> {
    let written: Vec<_> = files.into_iter().map(|file| file.written(place)).collect();
    let files: Vec<&Complete> = written.iter().flatten().collect();
    let forced = force(place, &files).inspect_err(|_| {
        let named = files.iter().filter_map(|file| file.temporary.name());
        named.for_each(|name| place.pending.unlink(&name));
    });
    forced.map_err(|error| trouble::of("force the files to the disk", error))?;
    let new = |file: Outcome<_>| file.map(New::Written);
    Ok(written.into_iter().map(new).collect())
}

fn force(place: &Place, files: &[&Complete]) -> Result<(), Errno> {
    if files.len() > FEW {
        return fs::syncfs(&place.pending);
    }
    files.iter().try_for_each(|file| match &file.temporary {
        Temporary::Called(name) => fs::fsync(open(&place.pending, name, OFlags::RDONLY)?),
        Temporary::Open { file, .. } => fs::fsync(file),
    })
}
