//! What went wrong, by class: each has a word for programs and a sentence for people.

use std::io::ErrorKind;

use serde::Serialize;
use sockeye::{Class, Distrust, Error};

/// What is done one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Step {
    Resolve,
    Reverse,
    Service,
    Ping,
    Connect,
    Tls,
}

/// The classes of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// A host name or a service that nobody knows.
    Address,
    /// An address without a name.
    Host,
    Timeout,
    Refused,
    Unreachable,
    Denied,
    /// No such Unix socket.
    Missing,
    /// A certificate that isn't trusted.
    Untrusted,
    /// Any other trouble with the handshake.
    Tls,
    General,
}

impl Kind {
    pub(super) fn of(step: Step, error: &Error) -> Self {
        match (error.class(), error.io_kind()) {
            (Class::Address, _) => Self::Address,
            (Class::Host, _) => Self::Host,
            (Class::Timeout, _) => Self::Timeout,
            _ if Distrust::of(error).is_some() => Self::Untrusted,
            _ if step == Step::Tls => Self::Tls,
            (_, Some(ErrorKind::ConnectionRefused)) => Self::Refused,
            (
                _,
                Some(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown),
            ) => Self::Unreachable,
            (_, Some(ErrorKind::PermissionDenied)) => Self::Denied,
            (_, Some(ErrorKind::NotFound)) => Self::Missing,
            _ => Self::General,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Address => "the name was not found",
            Self::Host => "the address has no name",
            Self::Timeout => "there was no answer in time",
            Self::Refused => "the connection was refused",
            Self::Unreachable => "there is no way to it",
            Self::Denied => "the system does not allow it",
            Self::Missing => "there is no such socket",
            Self::Untrusted => "the certificate is not trusted",
            Self::Tls => "the TLS handshake failed",
            Self::General => "it failed",
        }
    }
}

/// Why a look failed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) kind: Kind,
    /// Operation, endpoint, cause and what to do.
    pub(super) message: String,
    /// The kernel's number, where it was the kernel that said no.
    pub(super) errno: Option<i32>,
}

impl Failure {
    pub(super) fn new(step: Step, error: &Error) -> Self {
        Failure {
            step,
            kind: Kind::of(step, error),
            message: error.to_string(),
            errno: error.raw_os_error(),
        }
    }

    /// For people: the class, then all that is known.
    pub(super) fn sentence(&self) -> String {
        format!("{}: {}", self.kind.sentence(), self.message)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_class_has_its_own_sentence() {
        let system = |kind: ErrorKind| Error::io("dial", io::Error::from(kind)).at("tcp://h:1");
        let mut sentences = Vec::new();
        for (step, error, kind) in [
            (
                Step::Resolve,
                Error::new("resolve", Class::Address, "no"),
                Kind::Address,
            ),
            (
                Step::Reverse,
                Error::new("look up", Class::Host, "no"),
                Kind::Host,
            ),
            (
                Step::Connect,
                Error::timed_out("dial", Duration::from_secs(1)),
                Kind::Timeout,
            ),
            (Step::Connect, system(ErrorKind::ConnectionRefused), Kind::Refused),
            (
                Step::Connect,
                system(ErrorKind::NetworkUnreachable),
                Kind::Unreachable,
            ),
            (Step::Connect, system(ErrorKind::PermissionDenied), Kind::Denied),
            (Step::Connect, system(ErrorKind::NotFound), Kind::Missing),
            (Step::Tls, system(ErrorKind::UnexpectedEof), Kind::Tls),
            (Step::Connect, system(ErrorKind::AddrNotAvailable), Kind::General),
        ] {
            let failure = Failure::new(step, &error);
            assert_eq!(failure.kind, kind, "{error}");
            assert!(failure.sentence().ends_with(&error.to_string()));
            assert!(!sentences.contains(&kind.sentence()), "{kind:?}");
            sentences.push(kind.sentence());
        }
    }
}
