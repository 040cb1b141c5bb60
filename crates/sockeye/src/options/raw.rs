//! The socket options that neither rustix nor socket2 wraps, and the one call that reads them.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets an option whose value is a C `int` (setsockopt(2)).
#[allow(unsafe_code)]
pub(crate) fn set_int(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: u32) -> io::Result<()> {
    let value = c_int::try_from(value).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open while it is borrowed, and the value is an `int` that outlives the call.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), length) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Reads an option whose value is a C `int`.
pub(crate) fn int(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<c_int> {
    let mut value = [0; size_of::<c_int>()];
    bytes(fd, level, name, &mut value)?;
    Ok(c_int::from_ne_bytes(value))
}

/// How many bytes were sent that the peer's machine (of a Unix socket: the peer) doesn't have yet (`SIOCOUTQ`, tcp(7)).
#[allow(unsafe_code)]
pub(crate) fn unsent(fd: BorrowedFd<'_>) -> io::Result<c_int> {
    let mut count: c_int = 0;
    // SAFETY: the descriptor is open while it is borrowed, and the kernel writes an `int`.
    match unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) } {
        0 => Ok(count),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Reads an option of any type (getsockopt(2)); returns how many bytes it has, at most the buffer's.
#[allow(unsafe_code)]
pub(crate) fn bytes(fd: BorrowedFd<'_>, level: c_int, name: c_int, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = libc::socklen_t::try_from(buffer.len()).unwrap_or(libc::socklen_t::MAX);
    let start = buffer.as_mut_ptr().cast();
    // SAFETY: the descriptor is open while it is borrowed, and the kernel writes at most `length` bytes to the buffer.
    let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, start, &raw mut length) };
    match result {
        0 => Ok(buffer.len().min(length as usize)),
        _ => Err(io::Error::last_os_error()),
    }
}
