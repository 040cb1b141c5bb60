//! Files and folders from the service.

use super::Client;
use super::download;
use super::failure::Failure;
use super::hashing::{self, Units};
use super::place::Folder;
use super::small::Small;
use super::walk::join;
use super::watch::{Kept, Outcome};
use crate::background::off_loop;
use sockeye_proto::files::{Entry, Hash, Kind, MAX_INLINE, Path};

/// How files are fetched.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Replace what is there.
    pub clobber: bool,
    /// Force everything to the disk before it counts as done.
    pub sync: bool,
}

/// A file that is to be fetched.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) path: String,
    /// The folder for it, below the one that a person named.
    pub(super) parent: String,
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) hash: Option<Hash>,
}

impl Wanted {
    fn new(path: String, place: &str, entry: &Entry) -> Self {
        let (parent, name) = place.rsplit_once('/').unwrap_or(("", place));
        Wanted {
            path,
            parent: parent.to_owned(),
            name: name.to_owned(),
            size: entry.size.unwrap_or(0),
            hash: entry.hash,
        }
    }

    /// The folder for it.
    pub(super) fn folder(&self, base: &Folder) -> Result<Folder, Failure> {
        base.below(self.parent.split('/').filter(|name| !name.is_empty()))
    }

    pub(super) fn outcome(self, base: &Folder, result: Result<Kept, Failure>) -> Outcome {
        let local = base.path_of(&join(&self.parent, &self.name));
        let path = self.path;
        Outcome { path, local, result }
    }
}

impl Client {
    /// Fetches a file, or a folder with all that is in it, and gives it this name in the folder; with an empty name a
    /// folder's content goes into the folder itself. Each file is told of by [`Watch::done`](super::Watch::done); what
    /// fails for one of them is told there.
    ///
    /// # Errors
    /// When there is nothing at the path, or the connection is lost for good.
    pub async fn get(&mut self, path: &str, base: &Folder, name: &str, keep: Keep) -> Result<(), Failure> {
        let entry = self.with(async |session| session.stat(path).await).await?;
        if entry.kind == Kind::File {
            // Only what may be a name there is taken for one here.
            let valid = Path::name(name)
                .map_err(|why| Failure::ours("write", name.escape_debug(), why.to_string()))?;
            let wanted = Wanted::new(path.to_owned(), valid.as_str(), &entry);
            return self.fetch(base, vec![wanted], keep).await;
        }
        if !name.is_empty() {
            base.child(name)?;
        }
        let mut after: Option<String> = None;
        loop {
            let page = self
                .with(async |session| session.page(path, after.as_deref(), true).await)
                .await?;
            let mut wanted = Vec::new();
            for entry in &page.entries {
                let place = join(name, &entry.path);
                match entry.kind {
                    Kind::File => wanted.push(Wanted::new(join(path, &entry.path), &place, entry)),
                    Kind::Folder => {
                        // It may stay empty. What fails here fails for each file in it.
                        let _ = base.below(place.split('/'));
                    }
                }
            }
            after = page.entries.last().map(|entry| entry.path.clone());
            self.fetch(base, wanted, keep).await?;
            if !page.more {
                return Ok(());
            }
        }
    }

    async fn fetch(&mut self, base: &Folder, wanted: Vec<Wanted>, keep: Keep) -> Result<(), Failure> {
        let watch = self.watch.clone();
        let (mut little, mut large) = (Vec::new(), Vec::new());
        for one in wanted {
            match look(base, &one, keep).await {
                Ok(None) if one.size <= MAX_INLINE && one.hash.is_some() => little.push(one),
                Ok(None) => large.push(one),
                Ok(Some(kept)) => watch.done(one.outcome(base, Ok(kept))),
                Err(failure) => watch.done(one.outcome(base, Err(failure))),
            }
        }
        large.extend(Small::new(base.clone(), keep).fetch(self, little).await?);
        for one in large {
            let result = download::get(self, base, &one, keep).await;
            let failure = match &result {
                Err(Failure::Lost(_)) => true,
                Err(_) | Ok(_) => false,
            };
            watch.done(one.outcome(base, result));
            if failure {
                let why = "the connection was lost; the files after this one are left out";
                return Err(Failure::ours("get", "", why));
            }
        }
        Ok(())
    }
}

/// Whether something has the file's name already: the very file, which needn't be fetched, or another one.
async fn look(base: &Folder, wanted: &Wanted, keep: Keep) -> Result<Option<Kept>, Failure> {
    let folder = wanted.folder(base)?;
    if keep.clobber {
        folder.expect_replaceable(&wanted.name)?;
        return Ok(None);
    }
    if !folder.has(&wanted.name) {
        return Ok(None);
    }
    let (name, size) = (wanted.name.clone(), wanted.size);
    let Some(hash) = wanted.hash else {
        return Err(folder.taken(&name));
    };
    let read = {
        let folder = folder.clone();
        off_loop(move || {
            let file = folder.existing(&name)?;
            let same_size = file
                .metadata()
                .is_ok_and(|facts| facts.is_file() && facts.len() == size);
            same_size
                .then(|| hashing::whole(&file, size, &mut Units::new()).ok().flatten())
                .flatten()
        })
        .await
        .map_err(Failure::Ours)?
    };
    match read {
        Some(found) if found == hash => Ok(Some(Kept {
            folder: false,
            size,
            hash: found.to_string(),
            from: size,
            durable: true,
        })),
        _ => Err(folder.taken(&wanted.name)),
    }
}
