//! What is told of transfers while they go on, and when they are over.

use super::failure::Failure;
use std::path::PathBuf;
use std::time::Duration;

/// Is told how far transfers are: on the thread that awaits them, so it must not take long.
pub trait Watch {
    /// There is a connection, and the service has let us in.
    fn connected(&self) {}
    /// The transfer of a file begins, or begins anew; `from` bytes of it are there already.
    fn begin(&self, path: &str, size: u64, from: u64) {
        let _ = (path, size, from);
    }
    /// So many bytes more were hashed.
    fn hashed(&self, bytes: u64) {
        let _ = bytes;
    }
    /// So many bytes more were sent or received.
    fn moved(&self, bytes: u64) {
        let _ = bytes;
    }
    /// All bytes have gone over: they are being checked and forced to the disk.
    fn committing(&self, path: &str) {
        let _ = path;
    }
    /// The connection broke, or the service is busy: after a pause it is tried again.
    fn again(&self, why: &Failure, pause: Duration) {
        let _ = (why, pause);
    }
    /// A file, or a folder with nothing in it, is over.
    fn done(&self, outcome: Outcome) {
        let _ = outcome;
    }
}

/// Nobody.
impl Watch for () {}

/// What came of one file.
#[derive(Debug)]
pub struct Outcome {
    /// Its path at the service.
    pub path: String,
    /// Where it is on this machine.
    pub local: PathBuf,
    /// What is there now, or why not.
    pub result: Result<Kept, Failure>,
}

/// A file that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Whether it is a folder, which has neither size nor hash.
    pub folder: bool,
    /// In bytes.
    pub size: u64,
    /// The BLAKE3 hash of what arrived, in hexadecimal digits.
    pub hash: String,
    /// How much of it was there before this began: all of it where nothing had to be sent.
    pub from: u64,
    /// Whether it outlives a power failure.
    pub durable: bool,
}
