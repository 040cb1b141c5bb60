//! What of this machine is meant to be sent: files, folders with all that is in them, names with `*`.

use super::failure::Failure;
use super::wildcard;
use std::fs::{self, FileType};
use std::io;
use std::path::{Component, Path, PathBuf};

/// How deep folders may be within each other; the service takes no deeper paths.
const DEEPEST: usize = 64;

/// Something that was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A file, to be sent to this path.
    File {
        /// Where it is.
        local: PathBuf,
        /// Where it goes.
        remote: String,
        /// Whether a person named this very file, which may be a symbolic link then.
        named: bool,
    },
    /// A folder with nothing to send in it.
    EmptyFolder {
        /// Where it goes.
        remote: String,
    },
    /// Neither file nor folder: a symbolic link, a socket, a pipe or a device.
    Other {
        /// Where it is.
        local: PathBuf,
    },
}

/// Goes through files and folders, a folder at a time, in the order of their names.
#[derive(Debug)]
pub struct Walk {
    /// What is still to be looked at, or told, the next one last.
    open: Vec<Result<Step, Failure>>,
}

#[derive(Debug)]
struct Step {
    local: PathBuf,
    remote: String,
    depth: usize,
    /// What its folder says that it is.
    listed: Option<FileType>,
}

impl Walk {
    /// Of what a person named: where it is, and the path that it is to have.
    pub fn of(named: Vec<(PathBuf, String)>) -> Self {
        let step = |(local, remote)| {
            Ok(Step {
                local,
                remote,
                depth: 0,
                listed: None,
            })
        };
        Walk {
            open: named.into_iter().rev().map(step).collect(),
        }
    }

    fn look(&mut self, step: Step) -> Result<Option<Found>, Failure> {
        let Step {
            local,
            remote,
            depth,
            listed,
        } = step;
        let failed = |error: io::Error| Failure::disk("read", &local, error);
        // A person's own links are followed, those within a folder never: they may lead out of it, or around in it.
        // What is said to be a file is looked at when it is opened.
        let kind = match (depth, listed) {
            (_, Some(kind)) if kind.is_file() => Ok(kind),
            (0, _) => fs::metadata(&local).map(|facts| facts.file_type()),
            _ => fs::symlink_metadata(&local).map(|facts| facts.file_type()),
        };
        let kind = kind.map_err(failed)?;
        if kind.is_file() {
            let named = depth == 0;
            return Ok(Some(Found::File { local, remote, named }));
        }
        if !kind.is_dir() {
            return Ok(Some(Found::Other { local }));
        }
        if depth == DEEPEST {
            let why = format!("folders are more than {DEEPEST} deep within each other");
            return Err(Failure::ours("read", local.display(), why));
        }
        let mut inside = Vec::new();
        for entry in fs::read_dir(&local).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            inside.push((entry.file_name(), entry.file_type().ok()));
        }
        if inside.is_empty() {
            return Ok((!remote.is_empty()).then_some(Found::EmptyFolder { remote }));
        }
        inside.sort_unstable_by(|(a, _), (b, _)| b.cmp(a)); // the last one is looked at first
        for (name, listed) in inside {
            let local = local.join(&name);
            let Some(name) = name.to_str() else {
                let why = "its name is not UTF-8, so it can't have this name there";
                let failure = Failure::ours("send", local.display(), why).advise("rename it");
                self.open.push(Err(failure));
                continue;
            };
            let remote = join(&remote, name);
            let depth = depth + 1;
            self.open.push(Ok(Step {
                local,
                remote,
                depth,
                listed,
            }));
        }
        Ok(None)
    }
}

impl Iterator for Walk {
    type Item = Result<Found, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.open.pop()?.and_then(|step| self.look(step)) {
                Ok(None) => {}
                Ok(Some(found)) => return Some(Ok(found)),
                Err(failure) => return Some(Err(failure)),
            }
        }
    }
}

/// A path below another one, which may be the root.
pub fn join(folder: &str, name: &str) -> String {
    match (folder.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (false, true) => folder.to_owned(),
        (false, false) => format!("{folder}/{name}"),
    }
}

/// What a person means by this name: the file of exactly this name or, where there is none, those that the pattern
/// matches, in the order of their names.
///
/// # Errors
/// When there is no such thing, or a folder can't be read.
pub fn meant(text: &Path) -> Result<Vec<PathBuf>, Failure> {
    if text.symlink_metadata().is_ok() {
        return Ok(vec![text.to_owned()]);
    }
    let none = |why| Failure::ours("send", text.display(), why);
    let wild = text.to_str().is_some_and(wildcard::is_wild);
    if !wild {
        return Err(none("there is no such file or folder"));
    }
    let mut found = vec![PathBuf::new()];
    for part in text.components() {
        let pattern = match part {
            Component::Normal(name) => name.to_str().filter(|name| wildcard::is_wild(name)),
            _ => None,
        };
        let mut deeper = Vec::new();
        for folder in found {
            match pattern {
                Some(pattern) => matching(&folder, pattern, &mut deeper)?,
                None => deeper.push(folder.join(part)),
            }
        }
        found = deeper;
    }
    found.retain(|path| path.symlink_metadata().is_ok());
    match found.is_empty() {
        true => Err(none("no file or folder matches it")),
        false => Ok(found),
    }
}

fn matching(folder: &Path, pattern: &str, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let place = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotADirectory | io::ErrorKind::NotFound
            ) =>
        {
            return Ok(());
        }
        Err(error) => return Err(Failure::disk("read", place, error)),
    };
    let begin = found.len();
    for entry in entries {
        let name = entry
            .map_err(|error| Failure::disk("read", place, error))?
            .file_name();
        if name.to_str().is_some_and(|name| wildcard::matches(pattern, name)) {
            found.push(folder.join(name));
        }
    }
    found[begin..].sort_unstable();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |path: &str| folder.path().join(path);
        for name in ["d/e", "d/empty", "d/e/f"] {
            fs::create_dir_all(at(name)).expect("a folder");
        }
        for name in ["a.txt", "b.txt", "d/z", "d/e/f/deep"] {
            fs::write(at(name), name).expect("a file");
        }
        std::os::unix::fs::symlink("/etc", at("d/link")).expect("a link");
        folder
    }

    #[test]
    fn a_folder_is_gone_through_in_order_and_links_in_it_are_not_followed() {
        let folder = tree();
        let seen: Vec<String> = Walk::of(vec![(folder.path().join("d"), "to".to_owned())])
            .map(|found| match found.expect("readable") {
                Found::File { remote, .. } => remote,
                Found::EmptyFolder { remote } => format!("{remote}/"),
                Found::Other { local } => format!("other {}", local.file_name().expect("a name").display()),
            })
            .collect();
        assert_eq!(seen, ["to/e/f/deep", "to/empty/", "other link", "to/z"]);
    }

    #[test]
    fn a_name_that_is_no_utf8_stops_nothing_else() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().expect("a folder");
        let bad = std::ffi::OsStr::from_bytes(b"\xff");
        for name in [bad, "a".as_ref(), "b".as_ref()] {
            fs::write(folder.path().join(name), "x").expect("a file");
        }
        let found: Vec<_> = Walk::of(vec![(folder.path().to_owned(), String::new())])
            .map(|found| found.is_ok())
            .collect();
        assert_eq!(found, [true, true, false]);
    }

    #[test]
    fn patterns_are_expanded_where_no_shell_did() {
        let folder = tree();
        let meant = |text: &str| meant(&folder.path().join(text));
        let names = |text: &str| {
            let name = |path: PathBuf| path.file_name().expect("a name").display().to_string();
            meant(text)
                .expect("something")
                .into_iter()
                .map(name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names("*.txt"), ["a.txt", "b.txt"]);
        assert_eq!(names("d/*/f"), ["f"]);
        assert_eq!(names("a.txt"), ["a.txt"]);
        fs::write(folder.path().join("[x]"), "").expect("a file");
        assert_eq!(names("[x]"), ["[x]"], "a file of that very name");
        meant("*.gz").expect_err("none");
        meant("none").expect_err("none");
    }
}
