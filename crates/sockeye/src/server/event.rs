//! What a server tells of itself, for logs and metrics.

use crate::Address;
use std::fmt;

/// Something that happened to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A connection was accepted.
    Opened {
        /// Its number, counted from 1 by the server.
        id: u64,
        /// Who came.
        peer: Address,
    },
    /// A connection is gone; each `Opened` has one.
    Closed {
        /// Its number.
        id: u64,
        /// Who it was.
        peer: Address,
        /// Bytes that the peer sent (under TLS: as they travelled).
        received: u64,
        /// Bytes that the peer was sent.
        sent: u64,
        /// Why it ended.
        reason: Reason,
    },
    /// A connection was closed at the door.
    Refused {
        /// Who came.
        peer: Address,
        /// Which limit it met.
        why: String,
    },
    /// No connection could be accepted, for instance because no descriptor is left. The server waits a moment and goes
    /// on.
    AcceptFailed {
        /// What the kernel said.
        error: String,
    },
    /// The server can't accept any more and ends; under `process` when the process that accepted was killed.
    Failed {
        /// What happened.
        error: String,
    },
    /// A handler of datagrams failed, or one was dropped.
    PacketFailed {
        /// Who had sent it.
        peer: Address,
        /// What went wrong.
        reason: Reason,
    },
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The handler returned.
    Finished,
    /// A deadline passed: the peer said nothing, or took nothing, for too long.
    TimedOut(String),
    /// The handler returned an error.
    Failed(String),
    /// The handler panicked.
    Panicked(String),
    /// The server stopped and didn't wait any longer.
    Cut,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Finished => f.write_str("finished"),
            Reason::TimedOut(what) => write!(f, "timed out: {what}"),
            Reason::Failed(what) => write!(f, "failed: {what}"),
            Reason::Panicked(what) => write!(f, "panicked: {what}"),
            Reason::Cut => f.write_str("cut off by the stopping server"),
        }
    }
}
