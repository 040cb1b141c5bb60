//! One large file to the service: in pieces, hashed while they are sent, and to go on with after anything.

use super::failure::Failure;
use super::hashing::{self, Hashing};
use super::notes::{Note, key};
use super::put::How;
use super::session::Session;
use super::source::{Identity, Source};
use super::watch::{Kept, Watch};
use super::{Client, Who};
use crate::background::off_loop;
use crate::files::units;
use serde::{Deserialize, Serialize};
use sockeye_proto::files::{
    Begun, Code, Commit, Data, Entry, Hash, Receipt, Received, UNIT, Upload, UploadName,
};
use sockeye_proto::harmless;
use std::sync::Arc;

/// Bytes of a piece: some units of hashing, and a tenth of a second of sending.
const PIECE: u64 = 64 << 20;
/// Pieces that may be sent ahead of their answers: so the line is never idle, and what is refused is noticed soon.
const AHEAD: usize = 2;
/// Bytes that are sent between two looks at how far it is.
const STEP: u64 = 4 << 20;
/// Bytes that are hashed and then sent: what was read is in the processor's cache still when it goes.
const BLOCK: u64 = units::READ as u64;
/// Units that are hashed between two looks at how far it is.
const UNITS: u64 = PIECE / UNIT;

/// What is noted of an upload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Header {
    upload: UploadName,
    endpoint: String,
    user: String,
    local: String,
    remote: String,
    source: Identity,
    /// It is to be on the disk at its end: the service keeps to what it was told first.
    #[serde(default)]
    sync: bool,
}

/// An upload under way.
pub(super) struct Uploading {
    source: Arc<Source>,
    remote: String,
    how: How,
    upload: UploadName,
    note: Note<Header>,
    /// The whole file's hash, once it is known.
    hash: Option<Hash>,
    /// How much was there when it began.
    from: u64,
}

/// Sends a file, or the rest of it.
pub(super) async fn put(
    client: &mut Client,
    source: Source,
    remote: &str,
    how: How,
) -> Result<Kept, Failure> {
    let (mut one, stale) = Uploading::new(&client.who, Arc::new(source), remote, how)?;
    if let Some(stale) = stale {
        // It would be kept, and count, for a week. Whether it is still there is no matter.
        let _ = client.with(async |session| session.abandon(stale).await).await;
    }
    let watch = client.watch.clone();
    let sent = client
        .with(async |session| one.send(session, &*watch).await)
        .await;
    match sent {
        Ok((receipt, hash)) => {
            let kept = one.sent(hash).kept(&receipt, one.from);
            one.note.forget(); // what is there isn't this upload's end, or is
            kept
        }
        Err(failure) => {
            let gone = match failure.code() {
                Some(Code::Changed | Code::Mismatch) => true,
                Some(_) => false,
                None => one.source.unchanged().is_err(),
            };
            if gone {
                let upload = one.upload;
                one.note.forget();
                let _ = client.with(async |session| session.abandon(upload).await).await;
            }
            Err(failure)
        }
    }
}

/// What was sent, for the receipt to be compared with.
pub(super) struct Sent<'a> {
    pub(super) path: &'a str,
    pub(super) size: u64,
    pub(super) hash: Hash,
    /// It is to be on the disk.
    pub(super) sync: bool,
}

impl Sent<'_> {
    /// What is told of it, if the receipt says that this has arrived.
    pub(super) fn kept(&self, receipt: &Receipt, from: u64) -> Result<Kept, Failure> {
        let why = if receipt.path != self.path {
            format!("its path is {}", harmless::text(&receipt.path))
        } else if (receipt.size, receipt.hash) != (self.size, self.hash) {
            let (size, hash) = (receipt.size, receipt.hash);
            format!("it has {size} bytes with the hash {hash}")
        } else if self.sync && !receipt.durable {
            "it isn't on the disk".to_owned()
        } else {
            return Ok(Kept {
                folder: false,
                size: receipt.size,
                hash: receipt.hash.to_string(),
                from,
                durable: receipt.durable,
            });
        };
        let why = format!("the service's receipt is not of what was sent: {why}");
        Err(Failure::ours("upload", self.path, why)
            .advise("don't rely on its being there: ask who runs the service"))
    }
}

impl Uploading {
    /// Finds the note of it, or begins one; and the name of an upload of what the file was before.
    fn new(
        who: &Who,
        source: Arc<Source>,
        remote: &str,
        how: How,
    ) -> Result<(Self, Option<UploadName>), Failure> {
        let local = std::path::absolute(&source.path).unwrap_or_else(|_| source.path.clone());
        let words = [
            who.endpoint.as_bytes(),
            who.user.as_bytes(),
            local.as_os_str().as_encoded_bytes(),
            remote.as_bytes(),
        ];
        let mut note: Note<Header> = Note::open(who.notes.join("uploads").join(key(&words)), remote)?;
        let known = note.header.clone();
        let wanted = Header {
            upload: known.as_ref().map_or_else(random, |known| Ok(known.upload))?,
            endpoint: who.endpoint.clone(),
            user: who.user.clone(),
            local: local.display().to_string(),
            remote: remote.to_owned(),
            source: source.identity.clone(),
            sync: how.sync || known.as_ref().is_some_and(|known| known.sync),
        };
        let (mut upload, mut stale) = (wanted.upload, None);
        if known.as_ref() != Some(&wanted) {
            stale = known.map(|known| known.upload);
            upload = random()?;
            note.begin(Header { upload, ..wanted })?;
        }
        let remote = remote.to_owned();
        let one = Uploading {
            source,
            remote,
            how,
            upload,
            note,
            hash: None,
            from: 0,
        };
        Ok((one, stale))
    }

    fn size(&self) -> u64 {
        self.source.identity.size
    }

    fn sent(&self, hash: Hash) -> Sent<'_> {
        let (path, size, sync) = (&self.remote, self.size(), self.how.sync);
        Sent {
            path,
            size,
            hash,
            sync,
        }
    }

    /// The receipt, and the hash of what was sent.
    async fn send(&mut self, session: &mut Session, watch: &dyn Watch) -> Result<(Receipt, Hash), Failure> {
        let units = units::count(self.size());
        if units <= 1 || self.note.units.len() as u64 == units {
            self.hash().await?; // little or nothing is left to read
        }
        let begun = match self.begin(session).await {
            Err(failure) if failure.code() == Some(Code::Exists) => {
                self.begin_over(session, failure, watch).await?
            }
            begun => begun?,
        };
        if let Some(receipt) = begun.receipt {
            self.from = self.size();
            self.catch_up(self.size(), watch).await?;
            let hash = self.hash().await?;
            self.source.unchanged()?;
            return Ok((receipt, hash));
        }
        let at = begun
            .offset
            .filter(|at| *at == self.size() || *at < self.size() && at % UNIT == 0);
        let at = at.ok_or_else(|| Failure::ours("upload", &self.remote, "the service resumes nowhere"))?;
        self.from = at;
        watch.begin(&self.remote, self.size(), at);
        self.catch_up(at, watch).await?;
        self.pieces(session, at, watch).await?;
        self.source.unchanged()?;
        watch.committing(&self.remote);
        let hash = self.hash().await?;
        let (upload, path) = (self.upload, &self.remote);
        let about = Commit {
            upload,
            hash: Some(hash),
        };
        let begun: Begun = session.ask("commit", path, about).await?;
        let receipt = begun.receipt;
        let receipt = receipt.ok_or_else(|| Failure::ours("commit", path, "the service gives no receipt"))?;
        Ok((receipt, hash))
    }

    async fn begin(&self, session: &mut Session) -> Result<Begun, Failure> {
        let about = Upload {
            upload: Some(self.upload),
            path: self.remote.clone(),
            size: self.size(),
            mtime: self.source.identity.mtime(),
            hash: self.hash,
            clobber: self.how.clobber,
            sync: self.how.sync,
            follows: None,
        };
        session.ask("upload", &self.remote, about).await
    }

    /// Something is there already. If it is this very file, that is no failure: with its hash, the service can tell.
    async fn begin_over(
        &mut self,
        session: &mut Session,
        failure: Failure,
        watch: &dyn Watch,
    ) -> Result<Begun, Failure> {
        let there: Entry = session.stat(&self.remote).await?;
        if self.hash.is_some() || there.hash.is_none() || there.size != Some(self.size()) {
            return Err(failure);
        }
        watch.begin(&self.remote, self.size(), 0);
        self.catch_up(self.size(), watch).await?;
        self.hash().await?;
        self.begin(session).await.map_err(|_| failure)
    }

    /// The hash of the whole file; what isn't hashed yet is read.
    async fn hash(&mut self) -> Result<Hash, Failure> {
        if let Some(hash) = self.hash {
            return Ok(hash);
        }
        let (source, mut units) = (self.source.clone(), self.note.units.clone());
        let read = off_loop(move || {
            let hash = hashing::whole(&source.file, source.identity.size, &mut units);
            hash.map(|hash| (hash, units))
        });
        let read = read.await.map_err(Failure::Ours)?;
        let (hash, units) = read.map_err(|error| Failure::disk("read", &self.source.path, error))?;
        let hash = hash.ok_or_else(|| self.source.has_changed())?;
        self.note.add(units[self.note.units.len()..].to_vec())?;
        self.hash = Some(hash);
        Ok(hash)
    }

    /// Hashes what was sent before, and isn't noted.
    async fn catch_up(&mut self, at: u64, watch: &dyn Watch) -> Result<(), Failure> {
        let wanted = units::count(at);
        loop {
            let first = self.note.units.len() as u64;
            if first >= wanted {
                return Ok(());
            }
            let source = self.source.clone();
            let read = off_loop(move || hashing::of_source(&source, first, wanted.min(first + UNITS))).await;
            let units = read.map_err(Failure::Ours)??;
            watch.hashed(units.len() as u64 * UNIT);
            self.note.add(units)?;
        }
    }

    /// Sends everything from `at` on, and hashes it meanwhile.
    async fn pieces(&mut self, session: &mut Session, mut at: u64, watch: &dyn Watch) -> Result<(), Failure> {
        let size = self.size();
        let known = self.note.units.len() as u64;
        let mut hashing = Hashing::new(size, known, at);
        while at < size {
            let count = PIECE.min(size - at);
            self.piece(session, at, count, &mut hashing, watch).await?;
            at += count;
        }
        heard(session, 0).await
    }

    async fn piece(
        &mut self,
        session: &mut Session,
        at: u64,
        count: u64,
        hashing: &mut Hashing,
        watch: &dyn Watch,
    ) -> Result<(), Failure> {
        let (upload, offset, follows) = (self.upload, at, count);
        session.push(
            "data",
            &self.remote,
            Data {
                upload,
                offset,
                follows,
            },
        )?;
        session.midway = true;
        session.drive().await?;
        let mut done = 0;
        while done < count {
            let step = STEP.min(count - done);
            self.step(session, at + done, step, hashing).await?;
            watch.moved(step);
            done += step;
            self.note.add(hashing.known())?;
        }
        session.midway = false;
        heard(session, AHEAD).await
    }

    /// Sends some bytes of one unit. What doesn't pass through memory anyhow is read a block before it is sent.
    async fn step(
        &self,
        session: &mut Session,
        mut at: u64,
        count: u64,
        hashing: &mut Hashing,
    ) -> Result<(), Failure> {
        let (end, passes) = (at + count, session.conn.sees_files());
        while at < end {
            let block = if passes { end - at } else { BLOCK.min(end - at) };
            if !passes {
                hashing.read(&self.source, block)?;
            }
            let seen = |bytes: &[u8]| hashing.see(bytes);
            let sending = session.conn.send_file_seen(&self.source.file, at, block, seen);
            if sending.await.map_err(Failure::Lost)? < block {
                return Err(self.source.has_changed());
            }
            at += block;
        }
        Ok(())
    }
}

/// Reads answers to `data` until no more than `ahead` are missing.
async fn heard(session: &mut Session, ahead: usize) -> Result<(), Failure> {
    while session.unanswered() > ahead {
        let Received { .. } = session.answer().await??;
        session.advanced = true;
    }
    Ok(())
}

fn random() -> Result<UploadName, Failure> {
    let mut name = [0; 16];
    getrandom::fill(&mut name).map_err(|error| Failure::ours("upload", "of a file", error.to_string()))?;
    Ok(UploadName(name))
}
