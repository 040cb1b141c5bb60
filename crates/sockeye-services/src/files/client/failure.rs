//! What went wrong with a file, and whether another try is worth it.

use sockeye::{Class, Error};
use sockeye_proto::files::Code;
use sockeye_proto::harmless;
use std::path::Path;
use std::{fmt, io};

/// Why something could not be done.
#[derive(Debug)]
pub enum Failure {
    /// The service said no.
    Refused {
        /// What was asked for, such as `upload`.
        operate: &'static str,
        /// What it was about; empty where it was about no path.
        path: String,
        /// Why, for programs.
        code: Code,
        /// Why, for people.
        message: String,
    },
    /// There is no connection, or it broke: another one may do better.
    Lost(Error),
    /// Something on this machine, or an answer that makes no sense: another try would end alike.
    Ours(Error),
}

impl Failure {
    /// A file or folder of this machine.
    pub(crate) fn disk(op: &'static str, path: impl AsRef<Path>, cause: impl Into<io::Error>) -> Self {
        Failure::Ours(Error::io(op, cause).at(path.as_ref().display()))
    }

    pub(crate) fn ours(op: &'static str, what: impl fmt::Display, why: impl Into<String>) -> Self {
        Failure::Ours(Error::new(op, Class::General, why.into()).at(what))
    }

    /// The same with a word on what to do, where it is ours to say.
    #[must_use]
    pub(crate) fn advise(self, advice: impl Into<String>) -> Self {
        match self {
            Failure::Ours(error) => Failure::Ours(error.advise(advice)),
            other => other,
        }
    }

    /// The service's code, where the service said no.
    pub fn code(&self) -> Option<Code> {
        match self {
            Failure::Refused { code, .. } => Some(*code),
            Failure::Lost(_) | Failure::Ours(_) => None,
        }
    }

    /// Whether the same may succeed a moment later, over a new connection.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Failure::Lost(_) => true,
            Failure::Refused { code, .. } => *code == Code::Busy,
            Failure::Ours(_) => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Lost(error) | Failure::Ours(error) => error.fmt(f),
            Failure::Refused {
                operate,
                path,
                message,
                ..
            } => {
                // The service's words are a stranger's.
                let (path, said) = (harmless::text(path), harmless::text(message));
                match path.is_empty() {
                    true => write!(f, "{operate}: {said}"),
                    false => write!(f, "{operate} {path}: {said}"),
                }
            }
        }
    }
}

/// It tells all that it knows itself, so it names no source.
impl std::error::Error for Failure {}
