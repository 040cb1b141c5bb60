//! What the service answers.

use super::{Hash, Mtime, UploadName};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// An answer: to which request, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Members<T>", bound(deserialize = "T: Deserialize<'de>"))]
pub struct Answer<T> {
    /// The request's number; none where no frame could be read.
    pub id: Option<u64>,
    /// What came of it.
    pub done: Done<T>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done<T> {
    /// It is done.
    Ok(T),
    /// It is not.
    Error(Failure),
}

/// The members of an answer, as they stand in JSON. (A flattened enum would say the same, and have each of them copied before it is read.)
#[derive(Deserialize)]
struct Members<T> {
    id: Option<u64>,
    ok: Option<T>,
    error: Option<Failure>,
}

impl<T> TryFrom<Members<T>> for Answer<T> {
    type Error = &'static str;

    fn try_from(members: Members<T>) -> Result<Self, &'static str> {
        let id = members.id;
        let done = match (members.ok, members.error) {
            (Some(value), None) => Done::Ok(value),
            (None, Some(failure)) => Done::Error(failure),
            _ => return Err("an answer has either `ok` or `error`"),
        };
        Ok(Answer { id, done })
    }
}

impl<T: Serialize> Serialize for Answer<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_struct("Answer", 2)?;
        members.serialize_field("id", &self.id)?;
        match &self.done {
            Done::Ok(value) => members.serialize_field("ok", value)?,
            Done::Error(failure) => members.serialize_field("error", failure)?,
        }
        members.end()
    }
}

impl<T> From<Result<T, Failure>> for Done<T> {
    fn from(result: Result<T, Failure>) -> Self {
        match result {
            Ok(value) => Done::Ok(value),
            Err(failure) => Done::Error(failure),
        }
    }
}

impl<T> From<Done<T>> for Result<T, Failure> {
    fn from(done: Done<T>) -> Self {
        match done {
            Done::Ok(value) => Ok(value),
            Done::Error(failure) => Err(failure),
        }
    }
}

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Failure {
    /// For programs.
    pub code: Code,
    /// A sentence for people.
    pub message: String,
}

impl Failure {
    /// One of this kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Failure { code, message }
    }
}

/// The kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// No frame, or no JSON object in it.
    BadFrame,
    /// A member is missing or wrong, or nobody knows the operation.
    BadRequest,
    /// The path can't be had.
    BadName,
    /// The bytes begin where nobody waits for them.
    BadOffset,
    /// Not logged in, or not allowed.
    Denied,
    /// There is nothing at the path, or no such upload.
    NotFound,
    /// There is something at the path.
    Exists,
    /// A folder is where a file is meant.
    IsFolder,
    /// A file is where a folder is meant.
    NotFolder,
    /// The folder has something in it.
    NotEmpty,
    /// More than the user may keep.
    Quota,
    /// The disk is full.
    Space,
    /// The file, or the source of an upload, is another one now.
    Changed,
    /// The bytes don't have the hash that was declared.
    Mismatch,
    /// Another connection has taken the upload over.
    Fenced,
    /// The account isn't any more what it was at the login.
    Ended,
    /// Too much at once: try again.
    Busy,
    /// The disk failed.
    Io,
    /// One that a later version added.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What a file or folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// To `mkdir`, `remove`, `move`, `abandon`, `exit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Nothing {}

/// To `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The version that is spoken.
    pub version: u32,
    /// The program and its version.
    pub server: String,
    /// The mechanisms of `login`.
    pub mechanisms: Vec<String>,
    /// `open`, `invite` or `closed`.
    pub register: String,
    /// Who the connection has proved to be.
    pub user: Option<String>,
    /// See [`UNIT`](super::UNIT).
    pub unit: u64,
    /// See [`MAX_INLINE`](super::MAX_INLINE).
    pub max_inline: u64,
}

/// To `stat`, and in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it is.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// A file's size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When it was changed.
    pub mtime: Mtime,
    /// A file's hash, where it is recorded; a folder has none.
    #[serde(default)]
    pub hash: Option<Hash>,
}

/// To `list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// In order.
    pub entries: Vec<Entry>,
    /// Whether there are more.
    pub more: bool,
}

/// To `quota`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The sizes of all files.
    pub used: u64,
    /// What unfinished uploads have reserved.
    pub reserved: u64,
    /// How much both may be.
    pub limit: Option<u64>,
}

/// To `verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The file's size.
    pub size: u64,
    /// What its bytes hash to now.
    pub hash: Hash,
    /// What was proved at the upload.
    pub recorded: Option<Hash>,
    /// Whether they are the same.
    pub matches: Option<bool>,
}

/// To `upload` and `commit`: where to go on, or the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Begun {
    /// The upload's name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<UploadName>,
    /// So many bytes need not be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The file is there: nothing is left to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// To `data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// So much has come.
    pub offset: u64,
    /// So much is on the disk.
    pub durable: u64,
}

/// What the service gives for a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Where it is.
    pub path: String,
    /// Its size.
    pub size: u64,
    /// Its hash.
    pub hash: Hash,
    /// When it was last changed.
    pub mtime: Mtime,
    /// When it was committed.
    pub time: Mtime,
    /// Whether it is on the disk; false only where that wasn't asked for.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub durable: bool,
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

/// To `download`; the bytes follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Downloaded {
    /// Where it is.
    pub path: String,
    /// The size of the whole file.
    pub size: u64,
    /// When it was changed.
    pub mtime: Mtime,
    /// The hash of the whole file, where it is recorded.
    pub hash: Option<Hash>,
    /// Where the bytes begin.
    pub offset: u64,
    /// How many follow.
    pub follows: u64,
}
