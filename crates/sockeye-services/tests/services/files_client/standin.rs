//! A stand-in for the service of files, which keeps everything in memory and does wrong what a test wants it to.

use super::tunnel;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_proto::files::{self, *};
use sockeye_proto::frames::{Decoder, decode, encode};
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Entries of an answer to `list`: they fit a frame.
const PAGE: usize = 200;

/// Something that goes wrong, once.
pub(crate) enum Fault {
    /// The connection is closed when so many bytes of files have come over it, or gone.
    Cut(u64),
    /// A download's bytes are others than those that were uploaded.
    Corrupt,
    /// A list names this path.
    Name(&'static str),
    /// An answer to a download announces so many bytes.
    Announce(u64),
    /// This happens when the next piece of a large file is announced.
    Happen(Box<dyn FnOnce() + Send>),
    /// The answer is `busy`.
    Busy,
    /// A receipt says something else than what has come.
    Receipt(fn(&mut Receipt)),
    /// A list begins anew, and says that there is more.
    Again,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) files: BTreeMap<String, (Vec<u8>, Mtime)>,
    pub(crate) folders: Vec<String>,
    pub(crate) uploads: HashMap<UploadName, (Upload, Vec<u8>)>,
    pub(crate) abandoned: usize,
    pub(crate) connections: usize,
    /// Bytes of files that have come, or gone.
    pub(crate) moved: u64,
    pub(crate) faults: Vec<Fault>,
}

impl State {
    fn fault<T>(&mut self, wanted: impl Fn(&Fault) -> bool, give: impl Fn(Fault) -> Option<T>) -> Option<T> {
        let at = self.faults.iter().position(wanted)?;
        give(self.faults.remove(at))
    }

    fn receipt(&mut self, about: &Upload, hash: Hash) -> Receipt {
        let mut receipt = Receipt {
            path: about.path.clone(),
            size: about.size,
            hash,
            mtime: about.mtime,
            time: Mtime(0),
            durable: about.sync,
        };
        let lie = self.fault(
            |fault| matches!(fault, Fault::Receipt(_)),
            |fault| match fault {
                Fault::Receipt(lie) => Some(lie),
                _ => None,
            },
        );
        if let Some(lie) = lie {
            lie(&mut receipt);
        }
        receipt
    }
}

pub(crate) struct Standin {
    pub(crate) endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Standin {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let endpoint = format!("tcp://{}", listener.local_addr().expect("bound"));
        let state = Arc::new(Mutex::new(State::default()));
        let own = state.clone();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let state = own.clone();
                lock(&state).connections += 1;
                std::thread::spawn(move || {
                    let (input, moved) = (Decoder::new(), 0);
                    let _ = Talk {
                        stream,
                        state,
                        input,
                        rest: Vec::new(),
                        moved,
                    }
                    .talk(); // it ends as it likes
                });
            }
        });
        Standin { endpoint, state }
    }

    /// One that is met plainly, and one over TLS.
    pub(crate) fn each_way() -> [Self; 2] {
        let mut secured = Self::start();
        secured.endpoint = tunnel::to(secured.endpoint);
        [Self::start(), secured]
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.state().faults.push(fault);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Talk {
    stream: TcpStream,
    state: Arc<Mutex<State>>,
    input: Decoder,
    /// Received and not looked at.
    rest: Vec<u8>,
    moved: u64,
}

type Said<T> = Result<T, files::Failure>;

impl Talk {
    fn talk(&mut self) -> std::io::Result<()> {
        loop {
            let frame = loop {
                let count = self.input.push(&self.rest);
                self.rest.drain(..count);
                match self.input.next().expect("a frame") {
                    Some(frame) => break frame,
                    None => self.more()?,
                }
            };
            self.request(&frame)?;
        }
    }

    fn more(&mut self) -> std::io::Result<()> {
        let mut some = vec![0; 1 << 18];
        match self.stream.read(&mut some)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.rest.extend(&some[..count]);
                Ok(())
            }
        }
    }

    /// Raw bytes, handed to `take` as they come.
    fn raw(&mut self, mut count: u64, mut take: impl FnMut(&mut State, &[u8])) -> std::io::Result<()> {
        while count > 0 {
            if self.rest.is_empty() {
                self.more()?;
            }
            let ours = self.rest.len().min(count as usize);
            let some: Vec<u8> = self.rest.drain(..ours).collect();
            take(&mut lock(&self.state), &some);
            self.count(ours as u64)?;
            count -= ours as u64;
        }
        Ok(())
    }

    /// Counts bytes of files, and cuts where that is wanted.
    fn count(&mut self, count: u64) -> std::io::Result<()> {
        let mut state = lock(&self.state);
        state.moved += count;
        self.moved += count;
        let limit = |fault: &Fault| matches!(fault, Fault::Cut(limit) if *limit <= self.moved);
        match state.fault(limit, Some) {
            None => Ok(()),
            Some(_) => Err(std::io::ErrorKind::ConnectionAborted.into()),
        }
    }

    fn request(&mut self, frame: &[u8]) -> std::io::Result<()> {
        let head: Head = decode(frame).expect("a request");
        let id = head.id;
        let body = frame;
        match head.operate.as_str() {
            "upload" if head.follows.is_some() => self.inline(id, of(body)),
            "upload" => {
                let said = self.begin(of(body));
                self.answer(id, said)
            }
            "data" => self.data(id, of(body)),
            "commit" => {
                let said = self.commit(of(body));
                self.answer(id, said)
            }
            "abandon" => {
                let about: Abandon = of(body);
                lock(&self.state).abandoned += 1;
                lock(&self.state).uploads.remove(&about.upload);
                self.answer(id, Ok(Nothing {}))
            }
            "download" => self.download(id, of(body)),
            "stat" => {
                let said = self.stat(&of::<Stat>(body).path);
                self.answer(id, said)
            }
            "list" => {
                let said = self.list(&of(body));
                self.answer(id, said)
            }
            "mkdir" => {
                lock(&self.state).folders.push(of::<Mkdir>(body).path);
                self.answer(id, Ok(Nothing {}))
            }
            _ => self.answer(id, Ok(Nothing {})),
        }
    }

    fn answer<T: Serialize>(&mut self, id: Option<u64>, said: Said<T>) -> std::io::Result<()> {
        let frame = encode(&Answer {
            id,
            done: Done::from(said),
        })
        .expect("short");
        self.stream.write_all(&frame)
    }

    fn inline(&mut self, id: Option<u64>, about: Upload) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        self.raw(about.size, |_, some| bytes.extend_from_slice(some))?;
        let said = self.keep(&about, bytes, about.hash);
        self.answer(id, said)
    }

    fn keep(&mut self, about: &Upload, bytes: Vec<u8>, hash: Option<Hash>) -> Said<Begun> {
        let found = Hash(*blake3::hash(&bytes).as_bytes());
        if hash != Some(found) || bytes.len() as u64 != about.size {
            return Err(files::Failure::new(Code::Mismatch, "not those bytes"));
        }
        let mut state = lock(&self.state);
        let there = state.files.get(&about.path);
        if !about.clobber && there.is_some_and(|(there, _)| *there != bytes) {
            return Err(files::Failure::new(Code::Exists, "there is something"));
        }
        state.files.insert(about.path.clone(), (bytes, about.mtime));
        Ok(Begun {
            receipt: Some(state.receipt(about, found)),
            ..Begun::default()
        })
    }

    fn begin(&mut self, about: Upload) -> Said<Begun> {
        let name = about.upload.expect("a name");
        let mut state = lock(&self.state);
        if state.fault(|fault| matches!(fault, Fault::Busy), Some).is_some() {
            return Err(files::Failure::new(Code::Busy, "try again"));
        }
        if let Some((there, _)) = state.files.get(&about.path)
            && !about.clobber
        {
            let hash = Hash(*blake3::hash(there).as_bytes());
            if about.hash != Some(hash) {
                return Err(files::Failure::new(Code::Exists, "there is something"));
            }
            return Ok(Begun {
                receipt: Some(state.receipt(&about, hash)),
                offset: Some(about.size),
                ..Begun::default()
            });
        }
        let (_, bytes) = state
            .uploads
            .entry(name)
            .or_insert_with(|| (about.clone(), Vec::new()));
        // What was received of a unit that isn't whole is not durable.
        bytes.truncate(bytes.len() / UNIT as usize * UNIT as usize);
        Ok(Begun {
            upload: Some(name),
            offset: Some(bytes.len() as u64),
            ..Begun::default()
        })
    }

    fn data(&mut self, id: Option<u64>, about: Data) -> std::io::Result<()> {
        let happen = lock(&self.state).fault(
            |fault| matches!(fault, Fault::Happen(_)),
            |fault| match fault {
                Fault::Happen(happen) => Some(happen),
                _ => None,
            },
        );
        if let Some(happen) = happen {
            happen();
        }
        let mut fits = true;
        let mut at = about.offset;
        self.raw(about.follows, |state, some| {
            match state.uploads.get_mut(&about.upload) {
                Some((_, bytes)) if bytes.len() as u64 == at => bytes.extend_from_slice(some),
                _ => fits = false,
            }
            at += some.len() as u64;
        })?;
        let said = match fits {
            true => Ok(Received {
                offset: at,
                durable: at / UNIT * UNIT,
            }),
            false => Err(files::Failure::new(Code::BadOffset, "nobody waits for it")),
        };
        self.answer(id, said)
    }

    fn commit(&mut self, about: Commit) -> Said<Begun> {
        let found = lock(&self.state).uploads.remove(&about.upload);
        let (upload, bytes) = found.ok_or_else(|| files::Failure::new(Code::NotFound, "no such upload"))?;
        self.keep(&upload, bytes, about.hash.or(upload.hash))
    }

    fn download(&mut self, id: Option<u64>, about: Download) -> std::io::Result<()> {
        let found = lock(&self.state).files.get(&about.path).cloned();
        let Some((mut bytes, mtime)) = found else {
            return self.answer::<Nothing>(id, Err(files::Failure::new(Code::NotFound, "nothing there")));
        };
        let hash = Hash(*blake3::hash(&bytes).as_bytes());
        let size = bytes.len() as u64;
        if about.condition.is_some_and(|known| known.hash != Some(hash)) {
            return self.answer::<Nothing>(id, Err(files::Failure::new(Code::Changed, "it is another one")));
        }
        if lock(&self.state)
            .fault(|fault| matches!(fault, Fault::Corrupt), Some)
            .is_some()
        {
            bytes[size as usize / 2] ^= 1;
        }
        let mut follows = (size - about.offset).min(about.length.unwrap_or(u64::MAX));
        let honest = follows;
        let announced = lock(&self.state).fault(
            |fault| matches!(fault, Fault::Announce(_)),
            |fault| match fault {
                Fault::Announce(count) => Some(count),
                _ => None,
            },
        );
        if let Some(count) = announced {
            follows = count;
        }
        let (path, offset) = (about.path, about.offset);
        self.answer(
            id,
            Ok(Downloaded {
                path,
                size,
                mtime,
                hash: Some(hash),
                offset,
                follows,
            }),
        )?;
        for piece in bytes[offset as usize..(offset + honest) as usize].chunks(1 << 16) {
            self.stream.write_all(piece)?;
            self.count(piece.len() as u64)?;
        }
        Ok(())
    }

    fn entry(&self, path: &str, shown: &str) -> Option<Entry> {
        let state = lock(&self.state);
        let file = state.files.get(path);
        let below = format!("{path}/");
        let is_folder = || {
            path.is_empty()
                || state
                    .folders
                    .iter()
                    .any(|folder| folder == path || folder.starts_with(&below))
                || state.files.keys().any(|name| name.starts_with(&below))
        };
        let (kind, mtime) = match file {
            Some((_, mtime)) => (Kind::File, *mtime),
            None if is_folder() => (Kind::Folder, Mtime(0)),
            None => return None,
        };
        Some(Entry {
            path: shown.to_owned(),
            kind,
            size: file.map(|(bytes, _)| bytes.len() as u64),
            mtime,
            hash: file.map(|(bytes, _)| Hash(*blake3::hash(bytes).as_bytes())),
        })
    }

    fn stat(&mut self, path: &str) -> Said<Entry> {
        let missing = || files::Failure::new(Code::NotFound, "nothing there");
        self.entry(path, path).ok_or_else(missing)
    }

    fn list(&mut self, about: &List) -> Said<Listed> {
        let named = lock(&self.state).fault(
            |fault| matches!(fault, Fault::Name(_)),
            |fault| match fault {
                Fault::Name(name) => Some(name),
                _ => None,
            },
        );
        let mut below = std::collections::BTreeSet::new();
        let prefix = if about.path.is_empty() {
            String::new()
        } else {
            format!("{}/", about.path)
        };
        {
            let state = lock(&self.state);
            for name in state.files.keys().chain(&state.folders) {
                let Some(rest) = name.strip_prefix(&prefix) else {
                    continue;
                };
                for (at, _) in rest.match_indices('/') {
                    below.insert(rest[..at].to_owned());
                }
                below.insert(rest.to_owned());
            }
        }
        let mut names: Vec<String> = below.into_iter().collect();
        names.retain(|name| about.recursive || !name.contains('/'));
        names.sort_by_key(|name| name.replace('/', "\0"));
        let again = lock(&self.state)
            .fault(|fault| matches!(fault, Fault::Again), Some)
            .is_some();
        if let Some(after) = about.after.as_ref().filter(|_| !again) {
            let place = after.replace('/', "\0");
            names.retain(|name| name.replace('/', "\0") > place);
        }
        let more = again || names.len() > PAGE;
        names.truncate(PAGE);
        let mut entries: Vec<Entry> = names
            .iter()
            .filter_map(|name| self.entry(&format!("{prefix}{name}"), name))
            .collect();
        if let (Some(name), Some(first)) = (named, entries.first_mut()) {
            first.path = name.to_owned();
        }
        Ok(Listed { entries, more })
    }
}

fn of<T: DeserializeOwned>(frame: &[u8]) -> T {
    decode(frame).expect("its members")
}
