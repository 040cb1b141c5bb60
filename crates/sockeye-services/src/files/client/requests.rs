//! The requests that are one question and one answer.

use super::failure::Failure;
use super::session::Session;
use serde::Serialize;
use sockeye_proto::files::{
    Abandon, Entry, List, Listed, Mkdir, Move, Nothing, Path, Remove, Stat, UploadName, Usage, Verified,
    Verify,
};

impl Session {
    /// What is at a path.
    ///
    /// # Errors
    /// When there is nothing, or the connection breaks; so with all that follow.
    pub async fn stat(&mut self, path: &str) -> Result<Entry, Failure> {
        let entry = self
            .ask(
                "stat",
                path,
                Stat {
                    path: path.to_owned(),
                },
            )
            .await?;
        harmless(entry, None)
    }

    /// A part of what is in a folder, after the path `after`.
    ///
    /// # Errors
    /// As [`stat`](Self::stat).
    pub async fn page(
        &mut self,
        path: &str,
        after: Option<&str>,
        recursive: bool,
    ) -> Result<Listed, Failure> {
        let about = List {
            path: path.to_owned(),
            after: after.map(str::to_owned),
            limit: None,
            recursive,
        };
        let mut page: Listed = self.ask("list", path, about).await?;
        let folder = Path::parse(path).map_err(|why| Failure::ours("list", path, why.to_string()))?;
        page.entries = page
            .entries
            .into_iter()
            .map(|entry| harmless(entry, Some(&folder)))
            .collect::<Result<_, _>>()?;
        // Else there would be no end to it.
        let places = page.entries.iter().map(|entry| place(&entry.path));
        if !after
            .map(place)
            .into_iter()
            .chain(places)
            .is_sorted_by(|one, next| one < next)
        {
            return Err(Failure::ours(
                "list",
                path,
                "the service names again what it has named before, or not in order",
            ));
        }
        if page.more && page.entries.is_empty() {
            return Err(Failure::ours(
                "list",
                path,
                "the service says that there is more, and nothing of it",
            ));
        }
        Ok(page)
    }

    /// Tells everything in a folder, in order.
    ///
    /// # Errors
    /// As [`stat`](Self::stat).
    pub async fn list(
        &mut self,
        path: &str,
        recursive: bool,
        mut tell: impl FnMut(Entry),
    ) -> Result<(), Failure> {
        let mut after: Option<String> = None;
        loop {
            let page = self.page(path, after.as_deref(), recursive).await?;
            after = page.entries.last().map(|entry| entry.path.clone());
            page.entries.into_iter().for_each(&mut tell);
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Makes a folder, and with `parents` those above it.
    ///
    /// # Errors
    /// As [`stat`](Self::stat).
    pub async fn mkdir(&mut self, path: &str, parents: bool) -> Result<(), Failure> {
        let about = Mkdir {
            path: path.to_owned(),
            parents,
        };
        self.tell("mkdir", path, about).await
    }

    /// Removes a file or an empty folder, and with `recursive` one with all that is in it.
    ///
    /// # Errors
    /// As [`stat`](Self::stat).
    pub async fn remove(&mut self, path: &str, recursive: bool) -> Result<(), Failure> {
        let about = Remove {
            path: path.to_owned(),
            recursive,
        };
        self.tell("remove", path, about).await
    }

    /// Gives a file or folder another path, and with `clobber` replaces a file that is there.
    ///
    /// # Errors
    /// As [`stat`](Self::stat).
    pub async fn rename(&mut self, path: &str, to: &str, clobber: bool) -> Result<(), Failure> {
        let (from, to) = (path.to_owned(), to.to_owned());
        let about = Move {
            path: from,
            to,
            clobber,
        };
        self.tell("move", path, about).await
    }

    /// How much the user keeps.
    ///
    /// # Errors
    /// As [`stat`](Self::stat).
    pub async fn quota(&mut self) -> Result<Usage, Failure> {
        self.ask("quota", "", Nothing {}).await
    }

    /// Has the service read a file and compare it with what was uploaded.
    ///
    /// # Errors
    /// As [`stat`](Self::stat).
    pub async fn verify(&mut self, path: &str) -> Result<Verified, Failure> {
        self.ask(
            "verify",
            path,
            Verify {
                path: path.to_owned(),
            },
        )
        .await
    }

    /// Discards an upload that will not be finished.
    pub(crate) async fn abandon(&mut self, upload: UploadName) -> Result<(), Failure> {
        self.tell("abandon", "", Abandon { upload }).await
    }

    /// Takes leave.
    ///
    /// # Errors
    /// As [`stat`](Self::stat).
    pub async fn exit(&mut self) -> Result<(), Failure> {
        self.tell("exit", "", Nothing {}).await
    }

    async fn tell(
        &mut self,
        operate: &'static str,
        path: &str,
        about: impl Serialize,
    ) -> Result<(), Failure> {
        let Nothing {} = self.ask(operate, path, about).await?;
        Ok(())
    }
}

/// What paths are in order of: their bytes, with `/` before all others. No name has a NUL.
fn place(path: &str) -> Vec<u8> {
    path.bytes()
        .map(|byte| if byte == b'/' { 0 } else { byte })
        .collect()
}

/// A path that a service names is a stranger's word: only one that could have been uploaded is believed, since it will be
/// shown on a terminal or become a name on this disk. What is in a folder has a path from there.
fn harmless(entry: Entry, folder: Option<&Path>) -> Result<Entry, Failure> {
    let path = match folder {
        None => Path::parse(&entry.path),
        Some(folder) => folder.below(&entry.path),
    };
    let why = match path {
        Ok(path) if folder != Some(&path) => return Ok(entry),
        Ok(_) => "it is the folder itself".to_owned(),
        Err(why) => why.to_string(),
    };
    let why = format!("the service names a path that nobody can have: {why}");
    Err(Failure::ours("list", entry.path.escape_debug(), why))
}
