//! What may be a path: names of files below a user's own root.

use std::fmt;

/// The most bytes of a name: what Linux' file systems take.
pub const MAX_NAME: usize = 255;
/// The most bytes of a path: Linux' own limit.
pub const MAX_PATH: usize = 4096;
/// The most names in a path: whoever walks a tree holds a descriptor for each.
pub const MAX_DEPTH: usize = 64;
/// The first name of no path: kept for the service.
pub const RESERVED: &str = ".sockeye";

/// A path below a root, by the rules of the protocol: names parted by `/`, none of them able to lead out.
///
/// ```
/// use sockeye_proto::files::Path;
///
/// let path = Path::parse("reports/2026/a.txt")?;
/// assert_eq!(path.names().collect::<Vec<_>>(), ["reports", "2026", "a.txt"]);
/// assert_eq!(path.split(), Some(("reports/2026", "a.txt")));
/// assert!(Path::parse("")?.is_root());
/// for hostile in ["../a", "/a", "a//b", "a/./b", "a\\b", "a\0b", ".sockeye/x"] {
///     assert!(Path::parse(hostile).is_err());
/// }
/// # Ok::<(), sockeye_proto::files::BadName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Path(String);

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// When it is none; the text says why.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        if text.is_empty() {
            return Ok(Path::default());
        }
        if text.len() > MAX_PATH {
            return Err(BadName("a path has at most 4096 bytes"));
        }
        let mut depth = 0;
        for name in text.split('/') {
            check(name)?;
            depth += 1;
        }
        if depth > MAX_DEPTH {
            return Err(BadName("a path has at most 64 names"));
        }
        if text.split('/').next() == Some(RESERVED) {
            return Err(BadName("`.sockeye` is kept for the service"));
        }
        Ok(Path(text.to_owned()))
    }

    /// Reads a path of one name.
    ///
    /// # Errors
    /// When it is none; the text says why.
    pub fn name(text: &str) -> Result<Self, BadName> {
        check(text)?;
        Path::parse(text)
    }

    /// Its names, from the root on; none for the root.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|name| !name.is_empty())
    }

    /// The folder and the name in it; nothing for the root.
    pub fn split(&self) -> Option<(&str, &str)> {
        match self.0.rsplit_once('/') {
            Some(parts) => Some(parts),
            None if self.is_root() => None,
            None => Some(("", &self.0)),
        }
    }

    /// The path of something below it.
    ///
    /// # Errors
    /// When that is no name, or the path becomes too long.
    pub fn join(&self, name: &str) -> Result<Path, BadName> {
        check(name)?;
        self.below(name)
    }

    /// The path of something whose path from here is this one: of a folder that is not the root, `.sockeye` may be the first name.
    ///
    /// ```
    /// # use sockeye_proto::files::Path;
    /// let project = Path::parse("project")?;
    /// assert_eq!(project.below(".sockeye/a")?.as_str(), "project/.sockeye/a");
    /// assert!(Path::default().below(".sockeye/a").is_err());
    /// # Ok::<(), sockeye_proto::files::BadName>(())
    /// ```
    ///
    /// # Errors
    /// When that is no path, or it becomes too long.
    pub fn below(&self, path: &str) -> Result<Path, BadName> {
        match (self.is_root(), path.is_empty()) {
            (_, true) => Ok(self.clone()),
            (true, false) => Path::parse(path),
            (false, false) => Path::parse(&format!("{}/{path}", self.0)),
        }
    }

    /// Whether it is the root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn check(name: &str) -> Result<(), BadName> {
    Err(BadName(match name {
        "" => "a path has no empty name, and no `/` at its ends",
        "." | ".." => "a path has no `.` or `..` in it",
        _ if name.len() > MAX_NAME => "a name has at most 255 bytes",
        _ if name.contains('\\') => "a name has no backslash",
        _ if name.contains('/') => "a name has no `/`",
        _ if name.chars().any(char::is_control) => "a name has no control characters",
        _ if name.chars().any(is_noncharacter) => "a name has no noncharacters",
        _ => return Ok(()),
    }))
}

/// Unicode keeps 66 code points for no character at all (section 23.7).
fn is_noncharacter(letter: char) -> bool {
    let code = u32::from(letter);
    (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

/// Why a path can't be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadName(&'static str);
