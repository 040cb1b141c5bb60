//! What the kernel tells of a message beside its bytes.

use super::arrival::{self, Arrival};
use super::local_end::{self, Control, LocalEnd, space};
use crate::address::{Address, local_address};
use crate::options::raw;
use libc::{in_pktinfo, in6_pktinfo};
use std::ffi::c_int;
use std::mem::size_of;
use std::os::fd::BorrowedFd;

#[derive(Default)]
pub(super) struct Told {
    /// Where it came to.
    pub(super) local: Option<LocalEnd>,
    /// When.
    pub(super) arrived: Option<Arrival>,
    /// The length of the datagrams that came as this one message; the last may be shorter. As a rule it is one.
    pub(super) joined: Option<usize>,
}

/// Has the kernel tell what is wanted of each datagram, and tells how much room that takes, in words of 8 bytes, at whose
/// alignment the kernel writes.
pub(crate) fn ask(fd: BorrowedFd<'_>) -> usize {
    let Ok(Address::Inet(bound)) = local_address(fd) else {
        return 0;
    };
    let (ends, times) = (local_end::ask(fd, bound.ip()), arrival::is_asked(fd));
    let bytes = usize::from(ends) * Control::SIZE + usize::from(times) * space::<libc::timespec>();
    bytes.div_ceil(size_of::<u64>())
}

/// Lets datagrams of one peer that follow each other come as one message, where the socket can (`UDP_GRO`, udp(7)): nearly all
/// that a datagram costs is its way here. Returns how many words more that takes.
pub(super) fn join(fd: BorrowedFd<'_>) -> usize {
    let joins = super::can_cut(fd) && raw::set_int(fd, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok();
    usize::from(joins) * space::<c_int>().div_ceil(size_of::<u64>())
}

impl Told {
    #[allow(unsafe_code)]
    pub(super) fn read(header: &libc::msghdr) -> Told {
        let mut told = Told::default();
        // SAFETY: the kernel has written control messages, as many bytes as the header says.
        let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
        // SAFETY: it is null, or points to a control message.
        while let Some(message) = unsafe { next.as_ref() } {
            match (message.cmsg_level, message.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let v4 = data::<in_pktinfo>(message);
                    told.local = v4.map(|v4| LocalEnd::and_v4(told.local, v4)).or(told.local);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let v6 = data::<in6_pktinfo>(message);
                    told.local = v6.map(|v6| LocalEnd::and_v6(told.local, v6)).or(told.local);
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    told.arrived = data::<libc::timespec>(message).and_then(Arrival::of);
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let length = data::<c_int>(message).and_then(|length| usize::try_from(length).ok());
                    told.joined = length.filter(|length| *length > 0);
                }
                _ => {}
            }
            // SAFETY: as the first one.
            next = unsafe { libc::CMSG_NXTHDR(header, message) };
        }
        told
    }
}

/// What a control message holds, if all of it is there: the kernel cuts the last one off where there is no room for it
/// (`MSG_CTRUNC`). `T` is what the kernel writes for messages of its kind, and any bytes are one.
#[allow(unsafe_code)]
fn data<T: Copy>(message: &libc::cmsghdr) -> Option<T> {
    let is_whole = message.cmsg_len >= size_of::<libc::cmsghdr>() + size_of::<T>();
    // SAFETY: a control message has its data behind it, if any.
    let data = unsafe { libc::CMSG_DATA(message) };
    // SAFETY: as many bytes are there.
    is_whole.then(|| unsafe { data.cast::<T>().read_unaligned() })
}
