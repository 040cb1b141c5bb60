//! Reading back what a socket's options are.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, ipproto, sockopt};
use socket2::SockRef;

use super::{Options, raw};
use crate::units::{format_duration, format_size};

/// The options that were read, in the order of reading.
struct List {
    found: Vec<(&'static str, String)>,
}

impl List {
    /// Keeps what the kernel told; a socket that lacks the option refuses, and the list goes without it.
    fn add<T: ToString, E>(&mut self, name: &'static str, value: Result<T, E>) {
        if let Ok(value) = value {
            self.found.push((name, value.to_string()));
        }
    }
}

impl Options {
    /// What the kernel says of the options that exist for this socket's family and type, named as in
    /// [`set`](Options::set). Options without a value, such as no bound device, are left out.
    ///
    /// ```
    /// let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// let options = sockeye::Options::read(&socket);
    /// assert!(options.contains(&("broadcast", "false".to_owned())));
    /// assert!(!options.iter().any(|(name, _)| *name == "nodelay"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn read(fd: impl AsFd) -> Vec<(&'static str, String)> {
        let fd = fd.as_fd();
        let family = sockopt::socket_domain(fd).unwrap_or(AddressFamily::UNSPEC);
        let stream = sockopt::socket_type(fd).is_ok_and(|kind| kind == SocketType::STREAM);
        let inet = matches!(family, AddressFamily::INET | AddressFamily::INET6);
        let mut list = List { found: Vec::new() };
        read_any(fd, &mut list);
        if stream && inet {
            read_tcp(fd, &mut list);
        }
        match family {
            AddressFamily::INET => read_v4(fd, &mut list),
            AddressFamily::INET6 => read_v6(fd, &mut list),
            _ => {}
        }
        if inet && !stream {
            list.add("broadcast", sockopt::socket_broadcast(fd));
            let timestamps = raw::int(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS);
            list.add("timestamps", timestamps.map(|on| on != 0));
            read_multicast(fd, family, &mut list);
        }
        list.found
    }
}

fn read_any(fd: BorrowedFd<'_>, list: &mut List) {
    list.add("reuse_address", sockopt::socket_reuseaddr(fd));
    list.add("reuse_port", sockopt::socket_reuseport(fd));
    list.add(
        "receive_buffer",
        sockopt::socket_recv_buffer_size(fd).map(|size| format_size(size as u64)),
    );
    list.add(
        "send_buffer",
        sockopt::socket_send_buffer_size(fd).map(|size| format_size(size as u64)),
    );
    if let Ok(Some(device)) = SockRef::from(&fd).device() {
        list.found
            .push(("device", String::from_utf8_lossy(&device).into_owned()));
    }
    list.add("mark", SockRef::from(&fd).mark());
    list.add("priority", SockRef::from(&fd).priority());
    let linger = sockopt::socket_linger(fd);
    list.add(
        "linger",
        linger.map(|time| time.map_or("off".to_owned(), format_duration)),
    );
}

fn read_tcp(fd: BorrowedFd<'_>, list: &mut List) {
    let tcp = libc::IPPROTO_TCP;
    let protocol = sockopt::socket_protocol(fd);
    list.add("mptcp", protocol.map(|protocol| protocol == Some(ipproto::MPTCP)));
    list.add("nodelay", sockopt::tcp_nodelay(fd));
    list.add("quickack", sockopt::tcp_quickack(fd));
    list.add("congestion", sockopt::tcp_congestion(fd));
    let user_timeout = sockopt::tcp_user_timeout(fd);
    list.add(
        "user_timeout",
        user_timeout.map(|time| format_duration(Duration::from_millis(time.into()))),
    );
    list.add("keepalive", sockopt::socket_keepalive(fd));
    list.add("keepalive_time", sockopt::tcp_keepidle(fd).map(format_duration));
    list.add(
        "keepalive_interval",
        sockopt::tcp_keepintvl(fd).map(format_duration),
    );
    list.add("keepalive_count", sockopt::tcp_keepcnt(fd));
    list.add("fast_open", raw::int(fd, tcp, libc::TCP_FASTOPEN));
    list.add(
        "fast_open_connect",
        raw::int(fd, tcp, libc::TCP_FASTOPEN_CONNECT).map(|on| on != 0),
    );
    let defer = raw::int(fd, tcp, libc::TCP_DEFER_ACCEPT);
    list.add(
        "defer_accept",
        defer.map(|time| format_duration(Duration::from_secs(time.unsigned_abs().into()))),
    );
}

fn read_v4(fd: BorrowedFd<'_>, list: &mut List) {
    list.add("ttl", sockopt::ip_ttl(fd));
    list.add("tos", sockopt::ip_tos(fd));
}

fn read_v6(fd: BorrowedFd<'_>, list: &mut List) {
    list.add("only_v6", sockopt::ipv6_v6only(fd));
    list.add("ttl", sockopt::ipv6_unicast_hops(fd));
    list.add("tos", sockopt::ipv6_tclass(fd));
}

fn read_multicast(fd: BorrowedFd<'_>, family: AddressFamily, list: &mut List) {
    if family == AddressFamily::INET6 {
        let told = raw::int(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO);
        list.add("packet_info", told.map(|on| on != 0));
        list.add("multicast_ttl", sockopt::ipv6_multicast_hops(fd));
        list.add("multicast_loop", sockopt::ipv6_multicast_loop(fd));
        // 0 is no interface in particular.
        let interface = sockopt::ipv6_multicast_if(fd).ok().filter(|index| *index != 0);
        list.add("multicast_interface", interface.ok_or(()));
    } else {
        let told = raw::int(fd, libc::IPPROTO_IP, libc::IP_PKTINFO);
        list.add("packet_info", told.map(|on| on != 0));
        list.add("multicast_ttl", sockopt::ip_multicast_ttl(fd));
        list.add("multicast_loop", sockopt::ip_multicast_loop(fd));
    }
}
