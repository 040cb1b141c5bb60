//! From a socket to a file without a look at the bytes: through a pipe, by splice(2).

use crate::model::PIPE;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What is written to a file at once. ext4 takes memory for it in one piece, up to 2 MiB, and free memory in large pieces is what the host of a
/// virtual machine takes back (docs/performance.md).
const WRITTEN: usize = 128 << 10;

/// Both ends.
pub(super) struct Pipe {
    pub(super) filled: OwnedFd,
    pub(super) open: OwnedFd,
}

thread_local! {
    /// One for a thread is enough: between two operations it is empty.
    static SPARE: RefCell<Option<Pipe>> = const { RefCell::new(None) };
}

impl Pipe {
    pub(super) fn take() -> io::Result<Self> {
        if let Some(pipe) = SPARE.take() {
            return Ok(pipe);
        }
        // Not one that never waits: Unix sockets would take that for the call's own wish (splice(2) itself says whether it waits).
        let (filled, open) = pipe_with(PipeFlags::CLOEXEC)?;
        // Without the right to more a pipe holds 64 KiB, which only takes more calls.
        let _ = fcntl_setpipe_size(&open, PIPE);
        Ok(Pipe { filled, open })
    }

    /// It must be empty.
    pub(super) fn give_back(self) {
        SPARE.set(Some(self));
    }

    /// Moves `count` bytes to a file. On an error, what the file didn't take is returned with it, and the pipe is empty.
    pub(super) fn pour(
        &self,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> Result<(), (io::Error, Vec<u8>)> {
        let (mut at, end) = (offset, offset + count as u64);
        while at < end {
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            // It moves `at` along.
            match splice(
                &self.filled,
                None,
                file,
                Some(&mut at),
                left.min(WRITTEN),
                SpliceFlags::MOVE,
            ) {
                Ok(0) => return Err((io::ErrorKind::WriteZero.into(), self.rest(left))),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err((error.into(), self.rest(left))),
            }
        }
        Ok(())
    }

    fn rest(&self, count: usize) -> Vec<u8> {
        let mut rest = Vec::with_capacity(count);
        while rest.len() < count {
            match rustix::io::read(self.filled.as_fd(), spare_capacity(&mut rest)) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => break, // it holds no more than was put into it
            }
        }
        rest
    }
}
