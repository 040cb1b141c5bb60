//! What a client asks for.

use super::{Hash, Mtime, UploadName};
use serde::{Deserialize, Serialize};

/// What every request has. It is read first: what follows a frame must be dropped even when the rest can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The request's number; without it nothing is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// What is to be done.
    pub operate: String,
    /// How many raw bytes come right after the frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<u64>,
}

/// A whole request, as a client sends it: its number, and what is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request<T> {
    /// The answer will bear it, too.
    pub id: u64,
    /// The name of the operation.
    pub operate: &'static str,
    /// What the operation needs to know.
    #[serde(flatten)]
    pub about: T,
}

/// `hello`: the version that the client speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// See [`VERSION`](super::VERSION).
    pub version: u32,
}

/// `stat`: what is there?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Where.
    pub path: String,
}

/// `verify`: is the file on the disk what was uploaded?
pub type Verify = Stat;

/// `list`: what is in a folder?
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct List {
    /// The folder.
    pub path: String,
    /// The last path of the answer before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many entries at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Everything below, too.
    pub recursive: bool,
}

/// `mkdir`: make a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mkdir {
    /// The folder.
    pub path: String,
    /// Those above it, too; and it may be there already.
    #[serde(default)]
    pub parents: bool,
}

/// `remove`: a file or a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remove {
    /// What.
    pub path: String,
    /// A folder with all that is in it.
    #[serde(default)]
    pub recursive: bool,
}

/// `move`: give a file or folder another path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// What.
    pub path: String,
    /// Its path from now on.
    pub to: String,
    /// A file that is there is replaced.
    #[serde(default)]
    pub clobber: bool,
}

/// `upload`: begin a file, go on with it, or send a small one at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The upload's name; none if the bytes follow at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<UploadName>,
    /// Where the file is to be.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last changed.
    #[serde(default)]
    pub mtime: Mtime,
    /// Its hash, if it is known already.
    #[serde(default)]
    pub hash: Option<Hash>,
    /// A file that is there is replaced.
    #[serde(default)]
    pub clobber: bool,
    /// Whether all must be on the disk before the receipt.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub sync: bool,
    /// How many bytes come right behind it: all of a small file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<u64>,
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

/// `data`: the next bytes of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// Which upload.
    pub upload: UploadName,
    /// Where they begin.
    pub offset: u64,
    /// How many.
    pub follows: u64,
}

/// `commit`: the upload is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Which upload.
    pub upload: UploadName,
    /// Its hash, unless `upload` had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
}

/// `abandon`: forget an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandon {
    /// Which one.
    pub upload: UploadName,
}

/// `download`: a file's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Download {
    /// Which file.
    pub path: String,
    /// Where to begin.
    #[serde(default)]
    pub offset: u64,
    /// How many bytes; none for all.
    #[serde(default)]
    pub length: Option<u64>,
    /// What the file must still be.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

/// What a client knows of a file that it has a part of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// Its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When it was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtime: Option<Mtime>,
    /// Its hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
}

/// The old client's first frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegacyUpload {
    /// Always `upload`.
    pub operate: String,
    /// Who it says it is; nobody believes it.
    pub user: String,
}

/// The old client's second frame; the bytes come behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegacyFile {
    /// The file's name.
    pub filename: String,
    /// Its size.
    pub filesize: u64,
}
