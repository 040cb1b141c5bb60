//! Files of a batch get their names together.

use super::Batch;
use super::arriving::{Whole, Written, write};
use crate::files::place::{Complete, Naming, Place, Temporary};
use crate::files::tree::open;
use crate::files::trouble::{self, Outcome};
use rustix::fs::{self, AtFlags, OFlags};
use rustix::io::Errno;
use sockeye_proto::files::{Code, Failure, Receipt};
use std::sync::Arc;

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

/// What came of files, and how much more is kept.
type Named = (Vec<Outcome<Receipt>>, i64);

impl Batch {
    /// Gives all of them their names; the answers, in order.
    pub(super) async fn commit(self, place: Place) -> Committed {
        let Batch {
            waiting,
            bytes: freed,
            held,
            sync,
            ..
        } = self;
        let (ids, wholes): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let written = match held > 0 {
            true => write_all(&place, wholes).await,
            false => write(&place, wholes),
        };
        let new = |file: &Written| match file {
            Written::New(complete) => Some(complete.clone()),
            Written::There(_) => None,
        };
        let files: Arc<[Complete]> = written.iter().flatten().filter_map(new).collect();
        let named = commit(&place, &files, sync).await;
        let (receipts, growth) =
            named.unwrap_or_else(|failure| (vec![Err(failure); files.len()], undo(&place, &files)));
        let mut receipts = receipts.into_iter();
        let lost = || Err(Failure::new(Code::Io, "nothing came of it"));
        let receipt = |file: Outcome<Written>| match file? {
            Written::New(_) => receipts.next().unwrap_or_else(lost),
            Written::There(receipt) => Ok(receipt),
        };
        let answers = ids.into_iter().zip(written.into_iter().map(receipt)).collect();
        Committed {
            answers,
            freed,
            growth,
        }
    }
}

/// Writes those that are in memory: one half of them here, one there, since making files is a processor's work.
async fn write_all(place: &Place, mut wholes: Vec<Outcome<Whole>>) -> Vec<Outcome<Written>> {
    let rest = wholes.split_off(wholes.len() / 2);
    let half = async |wholes: Vec<Outcome<Whole>>| {
        let count = wholes.len();
        let written = place.work(move |place| Ok(write(place, wholes))).await;
        written.unwrap_or_else(|failure| (0..count).map(|_| Err(failure.clone())).collect())
    };
    let (mut written, others) = tokio::join!(half(wholes), half(rest));
    written.extend(others);
    written
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
    let naming = place.naming().await?;
    let files = files.clone();
    let named = move |place: &Place| Ok(publish(place, &files, sync, naming));
    place.work_first(named).await
}

fn publish(place: &Place, files: &[Complete], sync: bool, naming: Naming) -> Named {
    let (receipts, growth) = place.publish(files, sync, naming);
    for (file, receipt) in files.iter().zip(&receipts) {
        if receipt.is_err() {
            place.forget(file);
        }
    }
    (receipts, growth)
}

/// Forgets files that got no name; says how much more is kept by those that did. It is done here: the background is what has
/// failed, perhaps because too many wait for it.
fn undo(place: &Place, files: &[Complete]) -> i64 {
    let is_named = |file: &&Complete| match &file.temporary {
        Temporary::Called(name) => fs::unlinkat(&place.pending, name, AtFlags::empty()) == Err(Errno::NOENT),
        Temporary::Open { file, .. } => fs::fstat(file).is_ok_and(|stat| stat.st_nlink > 0),
    };
    let named = files.iter().filter(is_named);
    named.map(|file| file.size as i64).sum()
}

fn force(place: &Place, files: &[Complete]) -> Result<(), Errno> {
    if files.len() > FEW {
        return fs::syncfs(&place.pending);
    }
    files.iter().try_for_each(|file| match &file.temporary {
        Temporary::Called(name) => fs::fsync(open(&place.pending, name, OFlags::RDONLY)?),
        Temporary::Open { file, .. } => fs::fsync(file),
    })
}
