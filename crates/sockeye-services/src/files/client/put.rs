//! Files and folders to the service.

use super::Client;
use super::failure::Failure;
use super::pipeline::{Item, Pipeline};
use super::source::{Near, Source};
use super::upload;
use super::walk::{Found, Walk};
use super::watch::Outcome;
use crate::background::{begun, off_loop};
use sockeye_proto::files::{MAX_INLINE, Path};
use std::path::PathBuf;

/// Small files that are read together while others are sent: some milliseconds of work.
const BATCH: usize = 256;
/// So many at the beginning, so that the service is met while others are read.
const FIRST: usize = 16;
/// The same in bytes.
const BATCH_BYTES: u64 = 8 << 20;

/// How files are sent.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Replace what is there.
    pub clobber: bool,
    /// Have everything forced to the disk before it counts as done.
    pub sync: bool,
}

/// What was read together.
#[derive(Default)]
struct Batch {
    items: Vec<Item>,
    /// What could not be read.
    failed: Vec<Outcome>,
    /// A large file, which comes behind the small ones.
    large: Option<(Source, String)>,
    /// Nothing comes behind it.
    last: bool,
}

impl Client {
    /// Sends everything that was found. Each file is told of by [`Watch::done`](super::Watch::done); what fails for one
    /// of them is told there.
    ///
    /// # Errors
    /// What made it give up before all was tried: the connection was lost for good.
    pub async fn put(&mut self, walk: Walk, how: How) -> Result<(), Failure> {
        let mut pipeline = Pipeline::default();
        let mut gathered = off_loop(move || gather(walk, FIRST, Vec::new())).await;
        loop {
            let (batch, walk) = gathered.map_err(Failure::Ours)?;
            let watch = self.watch.clone();
            batch.failed.into_iter().for_each(|outcome| watch.done(outcome));
            if batch.last {
                return pipeline.finish(self, how).await;
            }
            // Begun now: the first wait for the connection may block this thread.
            let spent = pipeline.spent();
            let next = begun(off_loop(move || gather(walk, BATCH, spent))).await;
            let sent = async {
                pipeline.feed(self, batch.items, how).await?;
                if let Some((source, path)) = batch.large {
                    pipeline.finish(self, how).await?;
                    let local = source.path.clone();
                    let result = upload::put(self, source, &path, how).await;
                    let lost = matches!(result, Err(Failure::Lost(_)));
                    watch.done(Outcome { path, local, result });
                    if lost {
                        return Ok(false);
                    }
                }
                Ok::<_, Failure>(true)
            };
            let (sent, read) = tokio::join!(sent, next);
            if !sent? {
                return Ok(());
            }
            gathered = read;
        }
    }
}

/// Reads so many of the next small files, up to a large one.
fn gather(mut walk: Walk, most: usize, spent: Vec<Vec<u8>>) -> (Batch, Walk) {
    let mut reading = Reading {
        near: Near::default(),
        spent,
    };
    let mut batch = Batch::default();
    let mut bytes = 0;
    while batch.items.len() < most && bytes < BATCH_BYTES && batch.large.is_none() {
        let Some(found) = walk.next() else {
            batch.last = batch.items.is_empty();
            break;
        };
        let (local, path, read) = look(found, &mut reading);
        match read {
            Ok(Read::Item(item)) => {
                bytes += item.weight() as u64;
                batch.items.push(item);
            }
            Ok(Read::Large(source)) => batch.large = Some((source, path)),
            Err(failure) => {
                let result = Err(failure);
                batch.failed.push(Outcome { path, local, result });
            }
        }
    }
    (batch, walk)
}

/// What reading one file after the other makes use of.
struct Reading {
    near: Near,
    spent: Vec<Vec<u8>>,
}

enum Read {
    Item(Item),
    Large(Source),
}

fn look(found: Result<Found, Failure>, reading: &mut Reading) -> (PathBuf, String, Result<Read, Failure>) {
    match found {
        Err(failure) => (PathBuf::new(), String::new(), Err(failure)),
        Ok(Found::Other { local }) => {
            let why = "left out: it is neither a file nor a folder";
            let failure = Failure::ours("send", local.display(), why);
            (local, String::new(), Err(failure))
        }
        Ok(Found::EmptyFolder { remote }) => {
            let (local, file) = (PathBuf::new(), None);
            let item = allowed(&remote).map(|()| {
                let remote = remote.clone();
                Read::Item(Item { local, remote, file })
            });
            (PathBuf::new(), remote, item)
        }
        Ok(Found::File { local, remote, named }) => {
            let read = allowed(&remote).and_then(|()| open(&local, &remote, named, reading));
            (local, remote, read)
        }
    }
}

fn open(local: &std::path::Path, remote: &str, named: bool, reading: &mut Reading) -> Result<Read, Failure> {
    let source = match named {
        true => Source::named(local)?,
        false => Source::found(local, &mut reading.near)?,
    };
    match source.identity.size > MAX_INLINE {
        true => Ok(Read::Large(source)),
        false => Item::read(&source, remote.to_owned(), &mut reading.spent).map(Read::Item),
    }
}

/// Whether the service can take something by this path: asked before anything is read.
fn allowed(remote: &str) -> Result<(), Failure> {
    match Path::parse(remote) {
        Ok(_) => Ok(()),
        Err(why) => Err(Failure::ours("send to", remote.escape_debug(), why.to_string()).advise("rename it")),
    }
}
