//! Numbers that a server shares with the processes that it forks.

use crate::error::{Error, Result};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// So many numbers, all of them 0, in memory that this process and all that are forked from it from now on have in
/// common. It takes up room as it is written to, and is never given back: it is for what lasts as long as a server.
///
/// # Errors
/// When the system has no memory for them.
///
/// ```
/// use std::sync::atomic::Ordering;
/// let numbers = sockeye::shared_numbers(1000)?;
/// numbers[999].fetch_add(5, Ordering::Relaxed);
/// assert_eq!(numbers[999].load(Ordering::Relaxed), 5);
/// # Ok::<(), sockeye::Error>(())
/// ```
#[allow(unsafe_code)]
pub fn shared_numbers(count: usize) -> Result<&'static [AtomicU64]> {
    let failed = |error| Error::io("share memory", error);
    let size = count.checked_mul(size_of::<AtomicU64>());
    let start = zeros(size.ok_or_else(|| failed(io::ErrorKind::OutOfMemory.into()))?).map_err(failed)?;
    // SAFETY: it is that large, aligned to a page, never unmapped, and zeros are what atomic integers may be; whatever
    // process writes to it does so through these atomics.
    Ok(unsafe { std::slice::from_raw_parts(start.cast::<AtomicU64>().as_ptr(), count) })
}

/// A new mapping of zeros, aligned to a page, which forked processes share.
#[allow(unsafe_code)]
pub(crate) fn zeros(size: usize) -> io::Result<NonNull<u8>> {
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_SHARED | libc::MAP_ANONYMOUS,
    );
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), size, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(start.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}
