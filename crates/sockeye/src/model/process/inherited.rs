//! What a forked process must not keep of this program's other servers: for as long as it did, a port would stay open whose
//! server is gone, and nobody would see that the calling process is gone.

use rustix::fs::fstat;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A descriptor, and what it was when it was told of: its number may be another's by now.
#[derive(Clone, Copy)]
struct Kept {
    fd: RawFd,
    is: (u64, u64),
}

static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

fn kept() -> MutexGuard<'static, Vec<Kept>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Device and inode of what a number stands for now.
fn identity(fd: RawFd) -> Option<(u64, u64)> {
    // SAFETY: it is only asked what the number stands for, be it nothing.
    #[allow(unsafe_code)]
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    fstat(fd).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

impl Kept {
    fn is_there(&self) -> bool {
        identity(self.fd) == Some(self.is)
    }
}

/// This is a server's own: forked processes are to close it, but for those of that server.
pub(crate) fn keep_to_itself(fd: BorrowedFd<'_>) {
    let fd = fd.as_raw_fd();
    if let Some(is) = identity(fd) {
        let mut kept = kept();
        kept.retain(|one| one.fd != fd && one.is_there());
        kept.push(Kept { fd, is });
    }
}

/// In a forked process: closes all of those but its server's own.
pub(super) fn close_all_but(own: &[RawFd]) {
    for one in kept().drain(..) {
        if !own.contains(&one.fd) && one.is_there() {
            super::signals::close(one.fd);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    #[test]
    fn a_number_that_belongs_to_another_by_now_is_left_alone() {
        let first = TcpListener::bind("127.0.0.1:0").expect("a port");
        let other = TcpListener::bind("127.0.0.1:0").expect("a port");
        keep_to_itself(first.as_fd());
        let one = |fd: RawFd| kept().iter().copied().find(|one| one.fd == fd);
        let told = one(first.as_raw_fd()).expect("it was told of");
        assert!(told.is_there());
        // The same number for something else.
        let mut first = std::os::fd::OwnedFd::from(first);
        rustix::io::dup2(&other, &mut first).expect("dup2");
        assert!(!told.is_there());
    }
}
