//! One large file from the service: hashed while it comes, and to go on with after anything.

use super::failure::Failure;
use super::get::{Keep, Wanted};
use super::hashing;
use super::notes::{Note, key};
use super::place::{Folder, set_mtime};
use super::session::Session;
use super::small::{mismatch, part_name};
use super::watch::{Kept, Watch};
use super::{Client, Who};
use crate::background::{begun, off_loop};
use crate::files::pending::this_boot;
use crate::files::units::{self, Passing};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sockeye::Error;
use sockeye_proto::files::{Code, Condition, Download, Downloaded, Hash, Mtime, UNIT};
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Bytes that are received between two looks at how far it is.
const STEP: u64 = 4 << 20;

/// What is noted of a download: what the file was when it began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Header {
    endpoint: String,
    user: String,
    path: String,
    local: String,
    size: u64,
    mtime: Mtime,
    hash: Option<Hash>,
    /// Units are forced to the disk before they are noted.
    #[serde(default)]
    sync: bool,
    /// Where they aren't: from which start of the system on they are there. After another one nobody knows which are.
    #[serde(default)]
    boot: Option<String>,
}

impl Header {
    /// Whether what was noted is true still.
    fn holds(&self) -> bool {
        self.sync || (self.boot.is_some() && self.boot.as_deref() == this_boot())
    }
}

/// A download under way.
struct Downloading {
    who: Who,
    wanted: Wanted,
    keep: Keep,
    folder: Folder,
    part: String,
    file: Arc<File>,
    note: Note<Header>,
    /// How much was there when it began.
    from: u64,
}

/// Fetches a file, or the rest of it.
pub(super) async fn get(
    client: &mut Client,
    base: &Folder,
    wanted: &Wanted,
    keep: Keep,
) -> Result<Kept, Failure> {
    let watch = client.watch.clone();
    let mut one = Downloading::new(client.who.clone(), wanted.clone(), wanted.folder(base)?, keep)?;
    one.look(&*watch).await?;
    let mut come = client
        .with(async |session| one.come(session, &*watch).await)
        .await;
    if come.as_ref().is_ok_and(Option::is_none) && one.from > 0 {
        // What was there from an earlier time may be at fault: once more, from the beginning.
        one.restart()?;
        come = client
            .with(async |session| one.come(session, &*watch).await)
            .await;
    }
    let Some(kept) = come? else {
        let failure = mismatch(&wanted.path);
        one.folder.remove(&one.part);
        one.note.forget();
        return Err(failure);
    };
    one.finish().await?;
    Ok(kept)
}

impl Downloading {
    fn new(who: Who, wanted: Wanted, folder: Folder, keep: Keep) -> Result<Self, Failure> {
        let part = part_name(&wanted.path, &wanted.name);
        let local = folder.path_of(&wanted.name);
        let local = std::path::absolute(&local).unwrap_or(local);
        let words = [
            who.endpoint.as_bytes(),
            who.user.as_bytes(),
            wanted.path.as_bytes(),
            local.as_os_str().as_encoded_bytes(),
        ];
        let note: Note<Header> = Note::open(who.notes.join("downloads").join(key(&words)), &wanted.path)?;
        let file = Arc::new(folder.part(&part)?);
        let mut one = Downloading {
            who,
            wanted,
            keep,
            folder,
            part,
            file,
            note,
            from: 0,
        };
        if !one.note.header.as_ref().is_some_and(Header::holds) {
            one.restart()?;
        }
        Ok(one)
    }

    /// Reads what is there already, once: somebody may have written to it, or the disk may have lost some. From the first unit on
    /// that isn't what was noted, all is fetched again.
    async fn look(&mut self, watch: &dyn Watch) -> Result<(), Failure> {
        let Some(size) = self.note.header.as_ref().map(|header| header.size) else {
            return Ok(());
        };
        let mut good = 0;
        if !self.note.units.is_empty() {
            watch.begin(&self.wanted.path, size, 0);
        }
        while let Some(noted) = self.note.units.get(good) {
            let (file, number) = (self.file.clone(), good as u64);
            let read = off_loop(move || units::of_file(&file, number, size)).await;
            let read = read.map_err(Failure::Ours)?;
            if read.map_err(|error| self.disk("read", error))?.as_ref() != Some(noted) {
                break;
            }
            watch.hashed(UNIT);
            good += 1;
        }
        self.note.cut(good)?;
        // Nothing behind it is known, and it must not outlast the end of a shorter file.
        let (there, end) = (self.length()?, size.min(self.units() * UNIT));
        match end {
            0 => self.restart(),
            _ if there > end => self.file.set_len(end).map_err(|error| self.disk("write", error)),
            _ => Ok(()),
        }
    }

    fn length(&self) -> Result<u64, Failure> {
        let facts = self.file.metadata();
        Ok(facts.map_err(|error| self.disk("read", error))?.len())
    }

    /// Forgets what has come.
    fn restart(&mut self) -> Result<(), Failure> {
        self.note.header = None;
        self.note.units.clear();
        match self.length()? {
            // A file that is cut to nothing is written back by ext4 as soon as it is closed, even if it was empty before.
            0 => Ok(()),
            _ => self.file.set_len(0).map_err(|error| self.disk("write", error)),
        }
    }

    fn units(&self) -> u64 {
        self.note.units.len() as u64
    }

    fn disk(&self, op: &'static str, error: io::Error) -> Failure {
        Failure::disk(op, self.folder.path_of(&self.wanted.name), error)
    }

    /// Receives the rest, and checks all of it; `None` if it is not what it should be.
    async fn come(&mut self, session: &mut Session, watch: &dyn Watch) -> Result<Option<Kept>, Failure> {
        let answer = match self.ask(session).await {
            Err(failure) if matches!(failure.code(), Some(Code::Changed | Code::BadOffset)) => {
                self.restart()?;
                self.ask(session).await?
            }
            answer => answer?,
        };
        self.from = answer.offset;
        watch.begin(&self.wanted.path, answer.size, answer.offset);
        session.midway = true;
        self.receive(session, answer.offset, answer.size, watch).await?;
        session.midway = false;
        watch.committing(&self.wanted.path);
        let expected = match answer.hash {
            Some(hash) => hash,
            None => session.verify(&self.wanted.path).await?.hash,
        };
        let (file, mut units) = (self.file.clone(), self.note.units.clone());
        let read = off_loop(move || hashing::whole(&file, answer.size, &mut units)).await;
        let hash = read
            .map_err(Failure::Ours)?
            .map_err(|error| self.disk("read", error))?;
        if hash != Some(expected) {
            return Ok(None);
        }
        set_mtime(&self.file, answer.mtime);
        Ok(Some(Kept {
            folder: false,
            size: answer.size,
            hash: expected.to_string(),
            from: self.from,
            durable: self.keep.sync,
        }))
    }

    /// Asks for what is missing of the file that was begun.
    async fn ask(&mut self, session: &mut Session) -> Result<Downloaded, Failure> {
        let path = self.wanted.path.clone();
        let offset = self.units() * UNIT;
        let known = self.note.header.as_ref();
        let condition = known.map(|known| Condition {
            size: Some(known.size),
            mtime: Some(known.mtime),
            hash: known.hash,
        });
        let offset = known.map_or(offset, |known| offset.min(known.size));
        let about = Download {
            path: path.clone(),
            offset,
            length: None,
            condition,
        };
        session.push("download", &path, about)?;
        session.say().await?;
        let answer: Downloaded = session.answer().await??;
        if answer.offset != offset || answer.offset.checked_add(answer.follows) != Some(answer.size) {
            session.midway = true;
            return Err(Failure::ours(
                "download",
                path,
                "the service sends something else than was asked for",
            ));
        }
        if self.note.header.is_none() {
            let local = self.folder.path_of(&self.wanted.name);
            self.note.begin(Header {
                endpoint: self.who.endpoint.clone(),
                user: self.who.user.clone(),
                path,
                local: local.display().to_string(),
                size: answer.size,
                mtime: answer.mtime,
                hash: answer.hash,
                sync: self.keep.sync,
                boot: this_boot().filter(|_| !self.keep.sync).map(str::to_owned),
            })?;
        }
        Ok(answer)
    }

    /// Receives a unit while the one before is forced to the disk, and hashed if it wasn't as it came; notes those that are done.
    async fn receive(
        &mut self,
        session: &mut Session,
        mut at: u64,
        size: u64,
        watch: &dyn Watch,
    ) -> Result<(), Failure> {
        // As it was begun: a note says it of all its units.
        let sync = self.note.header.as_ref().is_some_and(|header| header.sync);
        // The unit that has come and isn't noted.
        let mut ready = None;
        while at < size || ready.is_some() {
            let file = self.file.clone();
            let hashed = async move {
                match ready {
                    // What is noted is believed after a power cut, so it is on the disk first.
                    Some((number, passed)) => off_loop(move || {
                        if sync {
                            file.sync_data()?;
                        }
                        units::of_written(&file, number, size, passed)
                    })
                    .await
                    .map(Some),
                    None => Ok(None),
                }
            };
            // Begun now: the first wait for the connection may block this thread.
            let hashed = begun(hashed).await;
            let end = size.min((at / UNIT + 1) * UNIT);
            let mut passing = Passing::new(size);
            let come = self.unit(session, at, end, &mut passing, watch);
            let (come, hashed) = tokio::join!(come, hashed);
            if let Some(value) = hashed.map_err(Failure::Ours)? {
                let value = value.map_err(|error| self.disk("read", error))?;
                let torn = || Failure::ours("read", &self.wanted.name, "somebody has cut what had come");
                self.note.add(vec![value.ok_or_else(torn)?])?;
            }
            come?;
            ready = (at < end).then(|| (at / UNIT, passing.finish(end)));
            at = end;
        }
        Ok(())
    }

    async fn unit(
        &self,
        session: &mut Session,
        mut at: u64,
        end: u64,
        passing: &mut Passing,
        watch: &dyn Watch,
    ) -> Result<(), Failure> {
        while at < end {
            let until = end.min(at + STEP);
            let begun = at;
            while at < until {
                let seen = |bytes: &[u8]| passing.update(at, bytes);
                let come = session
                    .conn
                    .recv_file_seen(&self.file, at, until - at, seen)
                    .await;
                match come {
                    Ok(0) => {
                        watch.moved(at - begun);
                        return Err(session.closed());
                    }
                    Ok(come) => at += come,
                    Err(error) if is_disk(&error) => {
                        let errno = error.raw_os_error().unwrap_or_default();
                        return Err(self.disk("write", io::Error::from_raw_os_error(errno)));
                    }
                    Err(error) => return Err(Failure::Lost(error)),
                }
            }
            watch.moved(at - begun);
            session.advanced = true;
        }
        Ok(())
    }

    /// Forces it to the disk, and gives it its name.
    async fn finish(self) -> Result<(), Failure> {
        let done = off_loop(move || {
            if self.keep.sync {
                self.file.sync_all().map_err(|error| self.disk("sync", error))?;
            }
            self.folder
                .publish(&self.part, &self.wanted.name, self.keep.clobber)?;
            if self.keep.sync {
                self.folder.sync()?;
            }
            self.note.forget();
            Ok(())
        });
        done.await.map_err(Failure::Ours)?
    }
}

/// Whether it is this machine's disk that failed, and not the connection.
fn is_disk(error: &Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::IO | Errno::ROFS)
    )
}
