//! Many small files from the service: asked for ahead, checked, and written while the next ones come.

use super::Client;
use super::failure::Failure;
use super::get::{Keep, Wanted};
use super::notes::key;
use super::place::{Folder, set_mtime};
use super::session::Session;
use super::watch::{Kept, Outcome, Watch};
use crate::background::off_loop;
use sockeye_proto::files::{Download, Downloaded, Hash, MAX_INLINE, Mtime};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;

/// Files that are asked for ahead.
const AHEAD: usize = 256;
/// The bytes of such requests, as long as they aren't answered: what the sockets' buffers hold in any case, since nobody
/// reads while they are sent.
const AHEAD_BYTES: usize = 32 << 10;
/// What such a request has beside its path.
const REQUEST: usize = 100;
/// Files that are written, and forced to the disk, together.
const BATCH: usize = 1000;
/// The same in bytes.
const BATCH_BYTES: usize = 16 << 20;
/// Up to so many files are forced to the disk one by one; more, with everything else of the file system at once.
const FEW: usize = 8;

/// A file that has come.
struct Got {
    wanted: Wanted,
    bytes: Vec<u8>,
    hash: Hash,
    mtime: Mtime,
}

/// Small files on their way.
pub(super) struct Small {
    base: Folder,
    keep: Keep,
    queue: VecDeque<Wanted>,
    /// How many of the queue are asked for, over the session of this number.
    asked: usize,
    session: u64,
    /// Those that turned out not to be small, or to have no hash.
    others: Vec<Wanted>,
}

impl Small {
    pub(super) fn new(base: Folder, keep: Keep) -> Self {
        Small {
            base,
            keep,
            queue: VecDeque::new(),
            asked: 0,
            session: 0,
            others: Vec::new(),
        }
    }

    /// Fetches them, and returns those that are to be fetched each by itself.
    pub(super) async fn fetch(
        mut self,
        client: &mut Client,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<Wanted>, Failure> {
        self.queue.extend(wanted);
        let watch = client.watch.clone();
        let mut batch = Vec::new();
        while !self.queue.is_empty() || !batch.is_empty() {
            let (base, keep) = (self.base.clone(), self.keep);
            let write = async {
                match batch.is_empty() {
                    true => Ok(Vec::new()),
                    false => off_loop(move || write_all(&base, batch, keep)).await,
                }
            };
            let mut got = Vec::new();
            let come = client.with(async |session| self.collect(session, &mut got, &*watch).await);
            let (written, come) = tokio::join!(write, come);
            written
                .map_err(Failure::Ours)?
                .into_iter()
                .for_each(|outcome| watch.done(outcome));
            if let Err(failure) = come {
                // What has come is kept.
                let (base, keep) = (self.base.clone(), self.keep);
                let written = off_loop(move || write_all(&base, got, keep)).await;
                written
                    .map_err(Failure::Ours)?
                    .into_iter()
                    .for_each(|outcome| watch.done(outcome));
                return Err(failure);
            }
            batch = got;
        }
        Ok(self.others)
    }

    /// Receives a batch.
    async fn collect(
        &mut self,
        session: &mut Session,
        got: &mut Vec<Got>,
        watch: &dyn Watch,
    ) -> Result<(), Failure> {
        if self.session != session.number {
            (self.session, self.asked) = (session.number, 0);
        }
        let mut bytes = 0;
        while !self.queue.is_empty() && got.len() < BATCH && bytes < BATCH_BYTES {
            session.midway = true;
            self.ask_ahead(session).await?;
            let answer = session.answer::<Downloaded>().await?;
            let come = match answer {
                Ok(answer) if answer.follows > MAX_INLINE => {
                    return Err(Failure::ours(
                        "download",
                        &answer.path,
                        "the service sends more than was asked for",
                    ));
                }
                Ok(answer) => {
                    let mut bytes = Vec::new(); // it grows as they come
                    session
                        .receive(answer.follows, |some| {
                            bytes.extend_from_slice(some);
                            Ok(())
                        })
                        .await?;
                    watch.moved(answer.follows);
                    Ok((answer, bytes))
                }
                Err(failure) => Err(failure),
            };
            session.advanced = true;
            session.midway = session.unanswered() > 0;
            self.asked -= 1;
            let Some(wanted) = self.queue.pop_front() else {
                break;
            };
            match come {
                Err(failure) => watch.done(wanted.outcome(&self.base, Err(failure))),
                Ok((answer, _)) if answer.follows != answer.size || answer.hash.is_none() => {
                    self.others.push(wanted);
                }
                Ok((answer, some)) => match check(&wanted, &answer, &some) {
                    Err(failure) => watch.done(wanted.outcome(&self.base, Err(failure))),
                    Ok(hash) => {
                        bytes += some.len();
                        let mtime = answer.mtime;
                        got.push(Got {
                            wanted,
                            bytes: some,
                            hash,
                            mtime,
                        });
                    }
                },
            }
        }
        Ok(())
    }

    async fn ask_ahead(&mut self, session: &mut Session) -> Result<(), Failure> {
        // A long run at once, and not one more for each that has come.
        if self.asked > AHEAD / 2 || self.asked == self.queue.len() {
            return Ok(());
        }
        let size = |wanted: &Wanted| wanted.path.len() + REQUEST;
        let mut unanswered: usize = self.queue.iter().take(self.asked).map(size).sum();
        while self.asked < self.queue.len().min(AHEAD) && unanswered < AHEAD_BYTES {
            let path = self.queue[self.asked].path.clone();
            unanswered += size(&self.queue[self.asked]);
            let about = Download {
                path: path.clone(),
                offset: 0,
                length: Some(MAX_INLINE),
                condition: None,
            };
            session.push("download", &path, about)?;
            self.asked += 1;
        }
        session.say().await
    }
}

fn check(wanted: &Wanted, answer: &Downloaded, bytes: &[u8]) -> Result<Hash, Failure> {
    let hash = Hash(*blake3::hash(bytes).as_bytes());
    match answer.hash == Some(hash) {
        true => Ok(hash),
        false => Err(mismatch(&wanted.path)),
    }
}

pub(super) fn mismatch(path: &str) -> Failure {
    Failure::ours(
        "download",
        path,
        "what came is not what was uploaded: the hashes differ",
    )
    .advise("nothing was kept of it; `sockeye files verify` tells whether the service's disk is at fault")
}

/// Writes files under names of their own, forces them to the disk, and then gives them their names.
fn write_all(base: &Folder, batch: Vec<Got>, keep: Keep) -> Vec<Outcome> {
    let together = batch.len() > FEW;
    let mut written = Vec::new();
    let mut done = Vec::new();
    for got in batch {
        match write(base, &got, keep.sync && !together) {
            Ok((folder, part)) => written.push((got, folder, part)),
            Err(failure) => done.push(got.wanted.outcome(base, Err(failure))),
        }
    }
    let synced = |wanted: bool| match wanted {
        true => base.sync_all().map_err(|failure| failure.to_string()),
        false => Ok(()),
    };
    let on_disk = synced(keep.sync && together);
    let mut named = Vec::new();
    for (got, folder, part) in written {
        let name = &got.wanted.name;
        let result = match &on_disk {
            Ok(()) => folder.publish(&part, name, keep.clobber),
            Err(why) => Err(Failure::ours("sync", folder.path_of(name).display(), why.clone())),
        };
        if result.is_err() {
            folder.remove(&part);
        }
        let result = result.and_then(|()| match keep.sync && !together {
            true => folder.sync(),
            false => Ok(()),
        });
        named.push((got, result));
    }
    let on_disk = synced(keep.sync && together);
    done.extend(named.into_iter().map(|(got, result)| {
        let result = result.and_then(|()| match &on_disk {
            Ok(()) => Ok(Kept {
                folder: false,
                size: got.bytes.len() as u64,
                hash: got.hash.to_string(),
                from: 0,
                durable: keep.sync,
            }),
            Err(why) => Err(Failure::ours("sync", &got.wanted.name, why.clone())),
        });
        got.wanted.outcome(base, result)
    }));
    done
}

fn write(base: &Folder, got: &Got, sync: bool) -> Result<(Folder, String), Failure> {
    let folder = got.wanted.folder(base)?;
    let part = part_name(&got.wanted.path, &got.wanted.name);
    let mut file: File = folder.part(&part)?;
    let written = file.set_len(0).and_then(|()| file.write_all(&got.bytes));
    set_mtime(&file, got.mtime);
    let written = written.and_then(|()| match sync {
        true => file.sync_all(),
        false => Ok(()),
    });
    match written {
        Ok(()) => Ok((folder, part)),
        Err(error) => {
            folder.remove(&part);
            Err(Failure::disk("write", folder.path_of(&got.wanted.name), error))
        }
    }
}

/// The hidden name of a file that isn't whole yet.
pub(super) fn part_name(path: &str, name: &str) -> String {
    format!(".sockeye-{}.part", key(&[path.as_bytes(), name.as_bytes()]))
}
