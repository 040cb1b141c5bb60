//! The address of one end of a socket, as the kernel says it.

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;

use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix, getpeername, getsockname};

use crate::endpoint::UnixName;
use crate::error::{Error, Result};

/// The bytes before a Unix address' name: `sun_family`.
const UNIX_HEADER: usize = 2;

/// A socket's own address or its peer's.
///
/// It prints like the tail of an endpoint:
///
/// ```
/// use sockeye::{Address, UnixName};
/// let inet: Address = "[::1]:80".parse::<std::net::SocketAddr>()?.into();
/// assert_eq!(inet.to_string(), "[::1]:80");
/// assert_eq!(inet.endpoint("tcp"), "tcp://[::1]:80");
/// assert_eq!(Address::Unix(Some(UnixName::Abstract(b"echo".to_vec()))).to_string(), "@echo");
/// assert_eq!(Address::Unix(None).to_string(), "(unnamed)");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// IPv4 or IPv6 ([ip(7)], [ipv6(7)]).
    ///
    /// [ip(7)]: https://man7.org/linux/man-pages/man7/ip.7.html
    /// [ipv6(7)]: https://man7.org/linux/man-pages/man7/ipv6.7.html
    Inet(SocketAddr),
    /// A Unix socket ([unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)); clients and socket pairs have no
    /// name.
    Unix(Option<UnixName>),
    /// A machine and its virtual machines ([vsock(7)](https://man7.org/linux/man-pages/man7/vsock.7.html)).
    Vsock {
        /// The machine: 1 this one, 2 the host, others its guests, `u32::MAX` any.
        cid: u32,
        /// The port; `u32::MAX` lets the kernel choose.
        port: u32,
    },
    /// Any other family, of a descriptor that was made elsewhere.
    Unknown {
        /// Its `AF_…` number; 0 when the kernel names none.
        family: u16,
    },
}

impl Address {
    /// The IP address, of IPv4 and IPv6 sockets.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Inet(address) => Some(address.ip()),
            Self::Unix(_) | Self::Vsock { .. } | Self::Unknown { .. } => None,
        }
    }

    /// The port, of IPv4 and IPv6 sockets.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Inet(address) => Some(address.port()),
            Self::Unix(_) | Self::Vsock { .. } | Self::Unknown { .. } => None,
        }
    }

    /// Whether nobody beyond this machine can be at this address: `127.0.0.0/8` also when mapped into IPv6, `::1`,
    /// Unix sockets, and vsock's local machine (1).
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Inet(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
            Self::Vsock { cid, .. } => *cid == libc::VMADDR_CID_LOCAL,
            Self::Unknown { .. } => false,
        }
    }

    /// The text of the endpoint of this scheme at this address, such as `tcp://127.0.0.1:8080`, for messages. An
    /// address that no endpoint can name prints in its own words behind the scheme: `unix:(unnamed)`.
    pub fn endpoint(&self, scheme: &str) -> String {
        match self {
            Self::Unix(Some(name @ UnixName::Path(_))) => {
                let tail = name.to_string();
                let slashes = if tail.starts_with('/') { "//" } else { "" };
                format!("{scheme}:{slashes}{tail}")
            }
            Self::Vsock {
                cid: libc::VMADDR_CID_ANY,
                port,
            } => format!("{scheme}://:{port}"),
            Self::Vsock { cid, port } => format!("{scheme}://{cid}:{port}"),
            Self::Inet(_) => format!("{scheme}://{self}"),
            Self::Unix(_) | Self::Unknown { .. } => format!("{scheme}:{self}"),
        }
    }

    /// The form that rustix' calls take.
    ///
    /// # Errors
    /// A Unix name that is too long, or an address of an unknown family.
    pub fn to_any(&self) -> Result<SocketAddrAny> {
        let made = match self {
            Self::Inet(address) => Ok(SocketAddrAny::from(*address)),
            Self::Unix(None) => Ok(SocketAddrUnix::new_unnamed().as_any()),
            Self::Unix(Some(UnixName::Path(path))) => SocketAddrUnix::new(path).map(|unix| unix.as_any()),
            Self::Unix(Some(UnixName::Abstract(name))) => {
                SocketAddrUnix::new_abstract_name(name).map(|unix| unix.as_any())
            }
            Self::Vsock { cid, port } => Ok(vsock(*cid, *port)),
            Self::Unknown { .. } => Err(Errno::AFNOSUPPORT),
        };
        made.map_err(|errno| Error::io("use address", errno).at(self))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(Some(name)) => name.fmt(f),
            Self::Unix(None) => f.write_str("(unnamed)"),
            Self::Vsock { cid, port } => write!(f, "vsock {cid}:{port}"),
            Self::Unknown { family } => write!(f, "(address of family {family})"),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Inet(address)
    }
}

impl TryFrom<&Address> for SocketAddrAny {
    type Error = Error;

    fn try_from(address: &Address) -> Result<Self> {
        address.to_any()
    }
}

impl Address {
    /// Reads what a rustix call gave. Nothing that a peer can do makes this fail: what cannot be read is
    /// [`Address::Unknown`].
    ///
    /// rustix' own conversion is not used for Unix addresses, because it panics on a peer bound to a path that fills
    /// all 108 bytes, and cannot tell an unnamed socket from an empty abstract name.
    pub fn from_any(any: &SocketAddrAny) -> Self {
        let family = any.address_family();
        let bytes = address_bytes(any);
        if family == AddressFamily::UNIX {
            return Self::Unix(unix_name(bytes.get(UNIX_HEADER..).unwrap_or_default()));
        }
        if family == AddressFamily::VSOCK
            && let Some((port, cid)) = word(bytes, 4).zip(word(bytes, 8))
        {
            return Self::Vsock { cid, port };
        }
        let unknown = Self::Unknown {
            family: family.as_raw(),
        };
        inet_of(bytes).map_or(unknown, Self::Inet)
    }
}

/// The address of IP that the kernel has written, if it is one.
pub(crate) fn inet_of(bytes: &[u8]) -> Option<SocketAddr> {
    match AddressFamily::from_raw(u16::from_ne_bytes(*bytes.first_chunk()?)) {
        AddressFamily::INET => inet(bytes),
        AddressFamily::INET6 => inet6(bytes),
        _ => None,
    }
}

/// `struct sockaddr_in`: family, port, address, padding. Read in place, for every packet has one and a copy of all that an
/// address may have would cost more.
fn inet(bytes: &[u8]) -> Option<SocketAddr> {
    let bytes: &[u8; size_of::<libc::sockaddr_in>()] = bytes.first_chunk()?;
    let [_, _, p, q, a, b, c, d, ..] = *bytes;
    Some(SocketAddr::from(([a, b, c, d], u16::from_be_bytes([p, q]))))
}

/// `struct sockaddr_in6`: family, port, flow information, address, scope.
fn inet6(bytes: &[u8]) -> Option<SocketAddr> {
    let bytes: &[u8; size_of::<libc::sockaddr_in6>()] = bytes.first_chunk()?;
    let port = u16::from_be_bytes([bytes[2], bytes[3]]);
    let ip: &[u8; 16] = bytes[8..].first_chunk()?;
    let flow = u32::from_be(word(bytes, 4)?);
    Some(SocketAddrV6::new(Ipv6Addr::from(*ip), port, flow, word(bytes, 24)?).into())
}

/// The name in what follows `sun_family`: nothing is unnamed, a leading NUL is abstract, all else a path.
fn unix_name(bytes: &[u8]) -> Option<UnixName> {
    match bytes {
        [] => None,
        [0, name @ ..] => Some(UnixName::Abstract(name.to_vec())),
        path => {
            let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
            Some(UnixName::Path(OsString::from_vec(path[..end].to_vec()).into()))
        }
    }
}

/// The 32 bits at this place, in the machine's order.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    four.try_into().ok().map(u32::from_ne_bytes)
}

/// The bytes of an address that are there.
#[allow(unsafe_code)]
fn address_bytes(any: &SocketAddrAny) -> &[u8] {
    // SAFETY: `SocketAddrAny` keeps its first `addr_len` bytes initialised, and the slice borrows it.
    unsafe { std::slice::from_raw_parts(any.as_ptr().cast(), any.addr_len() as usize) }
}

/// Neither rustix nor the standard library make vsock addresses.
#[allow(unsafe_code)]
fn vsock(cid: u32, port: u32) -> SocketAddrAny {
    // `struct sockaddr_vm`: family, reserved, port, cid, flags and padding.
    let mut bytes = [0; size_of::<libc::sockaddr_vm>()];
    bytes[..2].copy_from_slice(&AddressFamily::VSOCK.as_raw().to_ne_bytes());
    bytes[4..8].copy_from_slice(&port.to_ne_bytes());
    bytes[8..12].copy_from_slice(&cid.to_ne_bytes());
    // SAFETY: all of `bytes` is initialised and laid out as a vsock address; `read` copies them byte by byte.
    unsafe { SocketAddrAny::read(bytes.as_ptr().cast(), bytes.len() as u32) }
}

/// The address that a socket is bound to (getsockname(2)); with port 0, what the system chose.
///
/// # Errors
/// The descriptor is no socket.
///
/// ```
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let address = sockeye::local_address(&listener)?;
/// assert!(address.is_loopback());
/// assert_eq!(address.port(), Some(listener.local_addr()?.port()));
/// # Ok::<(), sockeye::Error>(())
/// ```
pub fn local_address(fd: impl AsFd) -> Result<Address> {
    match getsockname(fd) {
        Ok(any) => Ok(Address::from_any(&any)),
        Err(errno) => Err(Error::io("getsockname", errno)),
    }
}

/// The address of the other end (getpeername(2)).
///
/// # Errors
/// The descriptor is no socket, or not connected (`ENOTCONN`).
pub fn peer_address(fd: impl AsFd) -> Result<Address> {
    match getpeername(fd) {
        Ok(Some(any)) => Ok(Address::from_any(&any)),
        Ok(None) => Ok(Address::Unknown { family: 0 }),
        Err(errno) => Err(Error::io("getpeername", errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use proptest::prelude::*;

    use super::*;

    fn round_trip(address: &Address) -> Address {
        Address::from_any(&address.to_any().expect("an address of a known family"))
    }

    #[test]
    fn every_family_goes_to_rustix_and_back() {
        for address in [
            Address::Inet(([127, 0, 0, 1], 80).into()),
            Address::Inet(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 80, 0, 2).into()),
            Address::Unix(None),
            Address::Unix(Some(UnixName::Path("/run/x".into()))),
            Address::Unix(Some(UnixName::Path("x".repeat(108).into()))),
            Address::Unix(Some(UnixName::Abstract(b"a\0b".to_vec()))),
            Address::Unix(Some(UnixName::Abstract(Vec::new()))),
            Address::Vsock { cid: 2, port: 1024 },
        ] {
            assert_eq!(round_trip(&address), address);
        }
        let error = Address::Unknown { family: 29 }
            .to_any()
            .expect_err("no such family");
        assert_eq!(error.raw_os_error(), Some(libc::EAFNOSUPPORT));
        let long = Address::Unix(Some(UnixName::Abstract(vec![b'x'; 108])));
        long.to_any().expect_err("too long");
    }

    #[test]
    fn prints_as_the_tail_of_an_endpoint() {
        for (address, text, endpoint) in [
            (
                Address::Inet(([127, 0, 0, 1], 80).into()),
                "127.0.0.1:80",
                "s://127.0.0.1:80",
            ),
            (
                Address::Inet(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 80, 0, 2).into()),
                "[::1%2]:80",
                "s://[::1%2]:80",
            ),
            (
                Address::Unix(Some(UnixName::Abstract(b"n".to_vec()))),
                "@n",
                "s:@n",
            ),
            (Address::Unix(Some(UnixName::Path("/p".into()))), "/p", "s:///p"),
            (Address::Unix(Some(UnixName::Path("./p".into()))), "./p", "s:./p"),
            (Address::Unix(None), "(unnamed)", "s:(unnamed)"),
            (Address::Vsock { cid: 2, port: 80 }, "vsock 2:80", "s://2:80"),
            (
                Address::Unknown { family: 29 },
                "(address of family 29)",
                "s:(address of family 29)",
            ),
        ] {
            assert_eq!(address.to_string(), text);
            assert_eq!(address.endpoint("s"), endpoint);
        }
    }

    #[test]
    fn loopback_is_what_stays_on_the_machine() {
        for (text, expected) in [
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
        ] {
            let address: Address = text.parse::<SocketAddr>().expect(text).into();
            assert_eq!(address.is_loopback(), expected, "{text}");
        }
        assert!(Address::Unix(None).is_loopback());
        assert!(!Address::Vsock { cid: 2, port: 1 }.is_loopback());
    }

    #[test]
    fn both_ends_of_a_connection_agree() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("connect");
        let (far, _) = listener.accept().expect("accept");
        assert_eq!(
            local_address(&near).expect("near"),
            peer_address(&far).expect("far")
        );
        assert_eq!(
            peer_address(&near).expect("near"),
            local_address(&listener).expect("listener")
        );
        let error = peer_address(&listener).expect_err("a listener has no peer");
        assert_eq!(error.raw_os_error(), Some(libc::ENOTCONN));
    }

    #[test]
    fn a_peer_with_the_longest_path_is_read() {
        let folder = std::env::temp_dir().join(format!("sockeye-address-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("x".repeat(107 - folder.as_os_str().as_bytes().len()));
        let full = Address::Unix(Some(UnixName::Path(path)));
        let socket = UnixDatagram::unbound().expect("a socket");
        rustix::net::bind(&socket, &full.to_any().expect("108 bytes")).expect("bind");
        let read = local_address(&socket);
        std::fs::remove_dir_all(&folder).expect("remove the folder");
        assert_eq!(read.expect("getsockname"), full);
    }

    proptest! {
        /// Whatever a kernel or an unknown family writes is read and printed, and goes back as it came.
        #[test]
        fn no_bytes_of_the_kernel_panic(
            family in prop_oneof![
                proptest::sample::select(vec![libc::AF_INET, libc::AF_INET6, libc::AF_UNIX, libc::AF_VSOCK]),
                0..i32::from(u16::MAX),
            ],
            rest in proptest::collection::vec(any::<u8>(), 0..126),
        ) {
            let bytes = [&(family as u16).to_ne_bytes(), &rest[..]].concat();
            let mut storage = [0_u64; 16];
            for (word, bytes) in storage.iter_mut().zip(bytes.chunks(8)) {
                let mut eight = [0; 8];
                eight[..bytes.len()].copy_from_slice(bytes);
                *word = u64::from_ne_bytes(eight);
            }
            // SAFETY: the storage is as large and as aligned as any address, and all of it initialised.
            #[allow(unsafe_code)]
            let any = unsafe { SocketAddrAny::read(storage.as_ptr().cast(), bytes.len() as u32) };
            let address = Address::from_any(&any);
            let _ = (address.to_string(), address.endpoint("s"), address.is_loopback(), address.port());
            if let Ok(back) = address.to_any() {
                prop_assert_eq!(Address::from_any(&back), address);
            }
        }
    }

    #[test]
    fn a_socket_pair_is_unnamed() {
        let (one, other) = UnixStream::pair().expect("a pair");
        assert_eq!(local_address(&one).expect("one"), Address::Unix(None));
        assert_eq!(peer_address(&other).expect("other"), Address::Unix(None));
    }
}
