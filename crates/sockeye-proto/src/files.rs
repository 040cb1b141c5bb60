//! The file service's words: requests, answers, paths and errors, the same for the service and its clients.
//!
//! `docs/protocols/files.md` says what they mean. Frames are [`frames`](crate::frames); [`Head`] is what is read of every
//! request first, since the bytes that follow a frame come even when the rest of it makes no sense.

mod answer;
mod path;
mod request;
mod value;

pub use answer::{
    Answer, Begun, Code, Done, Downloaded, Entry, Failure, Greeting, Kind, Listed, Nothing, Receipt,
    Received, Usage, Verified,
};
pub use path::{BadName, MAX_DEPTH, MAX_NAME, MAX_PATH, Path, RESERVED};
pub use request::{
    Abandon, Commit, Condition, Data, Download, Head, Hello, LegacyFile, LegacyUpload, List, Mkdir, Move,
    Remove, Request, Stat, Upload, Verify,
};
pub use value::{Hash, Mtime, UploadName, WrongValue};

/// The version of the dialogue that this is.
pub const VERSION: u32 = 1;

/// An upload's durable offset is a multiple of this, or its size: 16 MiB. A subtree of BLAKE3 (2^14 chunks of 1 KiB), so
/// that what is verified needs no second reading; and few enough waits for the disk to keep it busy.
pub const UNIT: u64 = 16 << 20;

/// The largest file that comes in one request with its bytes: less than a second to send again after a cut on any line that
/// is still of use.
pub const MAX_INLINE: u64 = 1 << 20;

/// The most bytes that one `data` may bring.
pub const MAX_PIECE: u64 = 1 << 32;

/// The greatest id of a request, and the greatest size: integers beyond 2^53 - 1 are rounded by many readers of JSON.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// The most entries in an answer to `list`.
pub const MAX_LISTED: usize = 1000;
