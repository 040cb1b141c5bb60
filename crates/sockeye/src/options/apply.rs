//! Setting options on a socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::net::{AddressFamily, sockopt};
use socket2::SockRef;

use super::{Membership, Options, raw};
use crate::error::{Error, Result};
use crate::resolve::interface_index;

impl Options {
    /// Sets what must be there before an address is bound, listened to or dialled: `reuse_address`, `reuse_port`,
    /// `only_v6`, `device`, `mark`, the buffers (a TCP window is scaled by them when a connection begins), fast open,
    /// `congestion` and `defer_accept`. `mptcp` was needed even earlier, see [`is_mptcp`](Options::is_mptcp).
    ///
    /// # Errors
    /// The first option that the kernel refuses, by its C name: `set SO_MARK: operation not permitted`.
    pub fn apply_before_bind(&self, fd: impl AsFd) -> Result<()> {
        let fd = fd.as_fd();
        let tcp = libc::IPPROTO_TCP;
        set("set SO_REUSEADDR", self.reuse_address, |on| {
            sockopt::set_socket_reuseaddr(fd, on)
        })?;
        set("set SO_REUSEPORT", self.reuse_port, |on| {
            sockopt::set_socket_reuseport(fd, on)
        })?;
        set("set IPV6_V6ONLY", self.only_v6, |on| {
            sockopt::set_ipv6_v6only(fd, on)
        })?;
        set("set SO_BINDTODEVICE", self.device.as_deref(), |name| {
            SockRef::from(&fd).bind_device(Some(name.as_bytes()))
        })?;
        set("set SO_MARK", self.mark, |mark| SockRef::from(&fd).set_mark(mark))?;
        set("set SO_RCVBUF", self.receive_buffer, |size| {
            sockopt::set_socket_recv_buffer_size(fd, buffer(size))
        })?;
        set("set SO_SNDBUF", self.send_buffer, |size| {
            sockopt::set_socket_send_buffer_size(fd, buffer(size))
        })?;
        set("set TCP_FASTOPEN", self.fast_open, |queue| {
            raw::set_int(fd, tcp, libc::TCP_FASTOPEN, queue)
        })?;
        set("set TCP_FASTOPEN_CONNECT", self.fast_open_connect, |on| {
            raw::set_int(fd, tcp, libc::TCP_FASTOPEN_CONNECT, on.into())
        })?;
        set("set TCP_CONGESTION", self.congestion.as_deref(), |name| {
            sockopt::set_tcp_congestion(fd, name)
        })?;
        set("set TCP_DEFER_ACCEPT", self.defer_accept, |time| {
            raw::set_int(fd, tcp, libc::TCP_DEFER_ACCEPT, whole_seconds(time))
        })
    }

    /// Sets everything else, on a listener, a connection or a datagram socket, before or after it is bound or dialled
    /// (before is better: the first packets go by it). Connections inherit from the listener that accepts them, all
    /// but [`quickack`](Options::quickack), so that nothing is left to do for each.
    ///
    /// # Errors
    /// The first option that the kernel refuses, by its C name: `set TCP_NODELAY: operation not supported`.
    pub fn apply(&self, fd: impl AsFd) -> Result<()> {
        let fd = fd.as_fd();
        set("set SO_LINGER", self.linger, |time| {
            sockopt::set_socket_linger(fd, time)
        })?;
        set("set SO_BROADCAST", self.broadcast, |on| {
            sockopt::set_socket_broadcast(fd, on)
        })?;
        set("set SO_TIMESTAMPNS", self.timestamps, |on| {
            raw::set_int(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, on.into())
        })?;
        self.apply_tcp(fd)?;
        self.apply_ip(fd)?;
        // Last, because the kernel derives a priority of its own whenever IP_TOS is set.
        set("set SO_PRIORITY", self.priority, |number| {
            SockRef::from(&fd).set_priority(number)
        })
    }

    /// Sets on a connection what it does not inherit from its listener: `quickack`. One call, and none when the option is
    /// not set.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn apply_to_accepted(&self, fd: impl AsFd) -> Result<()> {
        set("set TCP_QUICKACK", self.quickack, |on| {
            sockopt::set_tcp_quickack(fd.as_fd(), on)
        })
    }

    fn apply_tcp(&self, fd: BorrowedFd<'_>) -> Result<()> {
        let probes = self.keepalive_time.is_some()
            || self.keepalive_interval.is_some()
            || self.keepalive_count.is_some();
        let keepalive = self.keepalive.or(probes.then_some(true));
        set("set TCP_NODELAY", self.nodelay, |on| {
            sockopt::set_tcp_nodelay(fd, on)
        })?;
        set("set TCP_QUICKACK", self.quickack, |on| {
            sockopt::set_tcp_quickack(fd, on)
        })?;
        set("set TCP_USER_TIMEOUT", self.user_timeout, |time| {
            let milliseconds = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
            sockopt::set_tcp_user_timeout(fd, milliseconds)
        })?;
        set("set SO_KEEPALIVE", keepalive, |on| {
            sockopt::set_socket_keepalive(fd, on)
        })?;
        set("set TCP_KEEPIDLE", self.keepalive_time, |time| {
            sockopt::set_tcp_keepidle(fd, time)
        })?;
        set("set TCP_KEEPINTVL", self.keepalive_interval, |time| {
            sockopt::set_tcp_keepintvl(fd, time)
        })?;
        set("set TCP_KEEPCNT", self.keepalive_count, |count| {
            sockopt::set_tcp_keepcnt(fd, count)
        })
    }

    fn apply_ip(&self, fd: BorrowedFd<'_>) -> Result<()> {
        let v6 = sockopt::socket_domain(fd).is_ok_and(|family| family == AddressFamily::INET6);
        if v6 {
            set("set IPV6_UNICAST_HOPS", self.ttl, |hops| {
                sockopt::set_ipv6_unicast_hops(fd, Some(hops))
            })?;
            set("set IPV6_TCLASS", self.tos, |tos| {
                sockopt::set_ipv6_tclass(fd, tos.into())
            })?;
            set("set IPV6_MULTICAST_HOPS", self.multicast_ttl, |hops| {
                sockopt::set_ipv6_multicast_hops(fd, hops.into())
            })?;
            set("set IPV6_MULTICAST_LOOP", self.multicast_loop, |on| {
                sockopt::set_ipv6_multicast_loop(fd, on)
            })?;
            set("set IPV6_RECVPKTINFO", self.packet_info, |on| {
                raw::set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, on.into())
            })?;
        }
        // A socket of IPv6 speaks IPv4 as well, with these settings.
        let only_v6 = v6 && sockopt::ipv6_v6only(fd).unwrap_or(false);
        if !only_v6 {
            set("set IP_TTL", self.ttl, |ttl| sockopt::set_ip_ttl(fd, ttl.into()))?;
            set("set IP_TOS", self.tos, |tos| sockopt::set_ip_tos(fd, tos))?;
            set("set IP_PKTINFO", self.packet_info, |on| {
                raw::set_int(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, on.into())
            })?;
        }
        if !v6 {
            set("set IP_MULTICAST_TTL", self.multicast_ttl, |ttl| {
                sockopt::set_ip_multicast_ttl(fd, ttl.into())
            })?;
            set("set IP_MULTICAST_LOOP", self.multicast_loop, |on| {
                sockopt::set_ip_multicast_loop(fd, on)
            })?;
        }
        if let Some(interface) = &self.multicast_interface {
            let index = interface_index(interface).map_err(|error| error.renamed("set IP_MULTICAST_IF"))?;
            match v6 {
                true => set("set IPV6_MULTICAST_IF", Some(index), |index| {
                    sockopt::set_ipv6_multicast_if(fd, index)
                })?,
                false => set("set IP_MULTICAST_IF", Some(index), |index| {
                    sockopt::set_ip_multicast_if_with_ifindex(
                        fd,
                        &Ipv4Addr::UNSPECIFIED,
                        &Ipv4Addr::UNSPECIFIED,
                        index,
                    )
                })?,
            }
        }
        self.joins.iter().try_for_each(|membership| join(fd, membership))
    }
}

fn join(fd: BorrowedFd<'_>, membership: &Membership) -> Result<()> {
    let index = membership.interface.as_deref().map_or(Ok(0), interface_index);
    let index = index.map_err(|error| error.renamed("join group").at(membership))?;
    let joined = match membership.group {
        IpAddr::V4(group) => set("set IP_ADD_MEMBERSHIP", Some(group), |group| {
            sockopt::set_ip_add_membership_with_ifindex(fd, &group, &Ipv4Addr::UNSPECIFIED, index)
        }),
        IpAddr::V6(group) => set("set IPV6_JOIN_GROUP", Some(group), |group| {
            sockopt::set_ipv6_add_membership(fd, &group, index)
        }),
    };
    joined.map_err(|error| error.at(membership))
}

/// Sets one option if it is wanted.
fn set<T, E: Into<io::Error>>(
    op: &'static str,
    value: Option<T>,
    call: impl FnOnce(T) -> Result<(), E>,
) -> Result<()> {
    match value.map(call) {
        None | Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(refused(op, error.into())),
    }
}

fn refused(op: &'static str, error: io::Error) -> Error {
    let code = error.raw_os_error();
    let advice = match (code, op) {
        (Some(libc::EPERM), _) => "it needs root, or the capability CAP_NET_ADMIN",
        (Some(libc::ENOENT), "set TCP_CONGESTION") => {
            "/proc/sys/net/ipv4/tcp_available_congestion_control lists those there are"
        }
        (Some(libc::ENODEV), "set SO_BINDTODEVICE") => "`ip link` lists the interfaces there are",
        (Some(libc::ENODEV), _) => "name the interface, there is no route to choose it by",
        (Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP), _) => "this kind of socket does not have the option",
        _ => return Error::io(op, error),
    };
    Error::io(op, error).advise(advice)
}

/// The kernel takes a C `int`, and cuts what is over its own limits (`net.core.rmem_max`) by itself.
fn buffer(size: usize) -> usize {
    size.min(i32::MAX as usize)
}

/// Rounded up, for what the kernel counts in seconds: a short time must not become none.
fn whole_seconds(time: Duration) -> u32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
