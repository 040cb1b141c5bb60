//! Many small files to the service: sent one behind the other, while their receipts come in.

use super::Client;
use super::failure::Failure;
use super::put::How;
use super::session::Session;
use super::source::Source;
use super::upload::Sent;
use super::watch::{Kept, Outcome};
use sockeye_proto::files::{Begun, Hash, Mkdir, Mtime, Upload};
use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Files that may be sent ahead of their receipts: twice what the service commits together, so that it never waits.
const AHEAD: usize = 2000;
/// The same in bytes, which are kept to be sent again if the connection breaks.
const AHEAD_BYTES: usize = 64 << 20;
/// Bytes that are gathered before they are sent: many small files in few system calls.
const GATHER: usize = 256 << 10;

/// Memory of so much at the most is used for one file after the other: with more of it a few large files would be followed by many
/// small ones that keep theirs.
const REUSED: usize = 16 << 10;

/// A file that was read, or a folder with nothing in it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) local: PathBuf,
    pub(super) remote: String,
    /// `None` for a folder.
    pub(super) file: Option<Contents>,
}

#[derive(Debug)]
pub(super) struct Contents {
    bytes: Vec<u8>,
    hash: blake3::Hash,
    mtime: Mtime,
}

impl Item {
    /// Reads a small file whole; into memory of another that is no longer needed, if there is some.
    pub(super) fn read(source: &Source, remote: String, spent: &mut Vec<Vec<u8>>) -> Result<Self, Failure> {
        let mut bytes = spent.pop().unwrap_or_default();
        bytes.resize(source.identity.size as usize, 0);
        match source.file.read_exact_at(&mut bytes, 0) {
            Ok(()) => source.unchanged()?,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(source.has_changed()),
            Err(error) => return Err(Failure::disk("read", &source.path, error)),
        }
        let hash = blake3::hash(&bytes);
        let mtime = source.identity.mtime();
        Ok(Item {
            local: source.path.clone(),
            remote,
            file: Some(Contents { bytes, hash, mtime }),
        })
    }

    pub(super) fn weight(&self) -> usize {
        self.file.as_ref().map_or(0, |file| file.bytes.len())
    }

    fn push(&self, session: &mut Session, how: How) -> Result<(), Failure> {
        let path = self.remote.clone();
        let Some(Contents { bytes, hash, mtime }) = &self.file else {
            return session.push("mkdir", &self.remote, Mkdir { path, parents: true });
        };
        let size = bytes.len() as u64;
        let about = Upload {
            upload: None,
            path,
            size,
            mtime: *mtime,
            // With it, a file that has arrived before the connection broke isn't in its own way.
            hash: Some(Hash(*hash.as_bytes())),
            clobber: how.clobber,
            sync: how.sync,
            follows: Some(size),
        };
        session.push("upload", &self.remote, about)?;
        session.push_bytes(bytes);
        Ok(())
    }

    fn outcome(&self, answer: Result<Begun, Failure>, how: How) -> Result<Kept, Failure> {
        answer.and_then(|answer| match &self.file {
            None => Ok(Kept {
                folder: true,
                size: 0,
                hash: String::new(),
                from: 0,
                durable: true,
            }),
            Some(file) => {
                let receipt = answer.receipt;
                let receipt = receipt
                    .ok_or_else(|| Failure::ours("upload", &self.remote, "the service gives no receipt"))?;
                let sent = Sent {
                    path: &self.remote,
                    size: file.bytes.len() as u64,
                    hash: Hash(*file.hash.as_bytes()),
                    sync: how.sync,
                };
                sent.kept(&receipt, answer.offset.unwrap_or(0))
            }
        })
    }
}

/// What was sent, or is to be sent, and isn't known to have arrived.
#[derive(Debug, Default)]
pub(super) struct Pipeline {
    items: VecDeque<Item>,
    /// How many of them are sent, over the session of this number.
    sent: usize,
    session: u64,
    bytes: usize,
    /// What was read into for files that are answered: to have memory from the system again and again costs as much as reading them.
    spent: Vec<Vec<u8>>,
}

impl Pipeline {
    /// Sends these behind those before, and waits until few enough are unanswered.
    pub(super) async fn feed(
        &mut self,
        client: &mut Client,
        items: Vec<Item>,
        how: How,
    ) -> Result<(), Failure> {
        self.bytes += items.iter().map(Item::weight).sum::<usize>();
        self.items.extend(items);
        self.pump(client, how, AHEAD, AHEAD_BYTES).await
    }

    /// Memory that is no longer needed, to read into.
    pub(super) fn spent(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.spent)
    }

    /// Waits until everything is answered.
    pub(super) async fn finish(&mut self, client: &mut Client, how: How) -> Result<(), Failure> {
        self.pump(client, how, 0, 0).await
    }

    async fn pump(
        &mut self,
        client: &mut Client,
        how: How,
        count: usize,
        bytes: usize,
    ) -> Result<(), Failure> {
        if self.items.len() <= count && self.bytes <= bytes && self.sent == self.items.len() {
            return Ok(());
        }
        let watch = client.watch.clone();
        client
            .with(async |session| {
                if self.session != session.number {
                    // Another connection: everything is to be sent again, and what has arrived is answered at once.
                    (self.session, self.sent) = (session.number, 0);
                }
                while self.sent < self.items.len() {
                    self.items[self.sent].push(session, how)?;
                    watch.moved(self.items[self.sent].weight() as u64);
                    self.sent += 1;
                    if session.pending() >= GATHER {
                        session.drive().await?;
                        while let Some(answer) = session.come()? {
                            watch.done(self.settle(session, answer, how));
                        }
                    }
                }
                session.drive().await?;
                while self.items.len() > count || self.bytes > bytes {
                    let answer = session.answer().await?;
                    watch.done(self.settle(session, answer, how));
                }
                Ok(())
            })
            .await
    }

    /// The first of those that were sent is answered; a folder by nothing, which is a [`Begun`], too.
    fn settle(&mut self, session: &mut Session, answer: Result<Begun, Failure>, how: How) -> Outcome {
        session.advanced = true;
        self.sent -= 1;
        match self.items.pop_front() {
            Some(item) => {
                self.bytes -= item.weight();
                let result = item.outcome(answer, how);
                let bytes = item.file.map(|file| file.bytes);
                self.spent
                    .extend(bytes.filter(|bytes| bytes.capacity() <= REUSED));
                let (path, local) = (item.remote, item.local);
                Outcome { path, local, result }
            }
            // Answers are matched with requests before: this can't be.
            None => Outcome {
                path: String::new(),
                local: PathBuf::new(),
                result: Err(Failure::ours("upload", "", "an answer to nothing")),
            },
        }
    }
}
