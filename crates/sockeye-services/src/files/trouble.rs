//! What went wrong, in the protocol's codes and in sentences.

use rustix::io::Errno;
use sockeye_proto::files::{BadName, Code, Failure, Path};
use std::io;

/// What comes of a request.
pub(super) type Outcome<T> = Result<T, Failure>;

/// What the system says of something at a path.
pub(super) fn at(path: impl std::fmt::Display, error: Errno) -> Failure {
    let (code, message) = match error {
        Errno::NOENT => (Code::NotFound, format!("there is nothing at `{path}`")),
        Errno::NOTDIR => (Code::NotFolder, format!("`{path}` is no folder, or below a file")),
        Errno::ISDIR => (Code::IsFolder, format!("`{path}` is a folder")),
        Errno::EXIST => (Code::Exists, format!("there is something at `{path}` already")),
        Errno::NOTEMPTY => (Code::NotEmpty, format!("the folder `{path}` is not empty")),
        Errno::MLINK => (
            Code::Quota,
            format!("there is no room for one more file or folder at `{path}`; remove some first"),
        ),
        Errno::NAMETOOLONG => (
            Code::BadName,
            format!("`{path}` is too long for this file system"),
        ),
        Errno::LOOP | Errno::XDEV => (
            Code::NotFound,
            format!("`{path}` leads through a link or out of its disk; neither is followed"),
        ),
        _ => return of(format_args!("`{path}`"), error),
    };
    Failure::new(code, message)
}

/// What the system says of anything else.
pub(super) fn of(what: impl std::fmt::Display, error: Errno) -> Failure {
    let why = io::Error::from(error);
    match error {
        Errno::NOSPC | Errno::DQUOT => Failure::new(
            Code::Space,
            format!("{what}: the service's disk is full; ask who runs it, or try later"),
        ),
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => Failure::new(
            Code::Busy,
            format!("{what}: the service has too much to do; try again later ({why})"),
        ),
        _ => Failure::new(Code::Io, format!("{what}: {why}")),
    }
}

/// What the library or the store says.
pub(super) fn busy(error: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Busy, format!("{error}"))
}

/// The store failed.
pub(super) fn store(error: crate::store::Failure) -> Failure {
    Failure::new(Code::Io, format!("the service's books: {error}"))
}

/// Reads a path.
pub(super) fn path(text: &str) -> Outcome<Path> {
    Path::parse(text).map_err(|why| bad_name(text, why))
}

/// Reads the path of something that isn't the root.
pub(super) fn path_below(text: &str) -> Outcome<Path> {
    match path(text)? {
        root if root.is_root() => Err(Failure::new(
            Code::BadName,
            "the empty path is the root itself, which can't be changed",
        )),
        path => Ok(path),
    }
}

/// Reads the path of something in a folder, told from there.
pub(super) fn path_in(folder: &Path, text: &str) -> Outcome<Path> {
    match folder.below(text) {
        Ok(path) if path != *folder => Ok(path),
        Ok(_) => Err(Failure::new(
            Code::BadName,
            "the empty path is the folder itself, which is not in it",
        )),
        Err(why) => Err(bad_name(text, why)),
    }
}

pub(super) fn bad_name(text: &str, why: BadName) -> Failure {
    // A hostile path may be long and hold anything.
    let shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    Failure::new(Code::BadName, format!("`{shown}` is no path: {why}"))
}
