//! From an endpoint to the addresses that it stands for, and from an address to a name.
//!
//! The system is asked with [getaddrinfo(3)], which blocks for as long as the name servers take. The asynchronous
//! functions ask on [threads of their own](MAX_LOOKUPS) instead, so that they work under every model.
//!
//! [getaddrinfo(3)]: https://man7.org/linux/man-pages/man3/getaddrinfo.3.html

mod lookup_threads;
mod order;
mod system;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use rustix::net::{AddressFamily, SocketType};

pub use lookup_threads::{MAX_LOOKUPS, MAX_WAITING_LOOKUPS};
pub use order::{interleave, interleave_by};
pub use system::LookupError;

use crate::address::Address;
use crate::endpoint::{Endpoint, Host, HostPort, Port, ascii_name};
use crate::error::{Class, Error, Result};
use crate::services::{Protocol, Source, service_by_name};

/// One address that an endpoint stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The address, with its port.
    pub address: Address,
    /// Who said so.
    pub source: Source,
    /// The host's official name, when the system was asked and gave one.
    pub canonical: Option<String>,
}

/// The addresses that an endpoint stands for, in the order to try them: as the system sorts them (RFC 6724).
///
/// `passive` is for listening: an empty host then stands for all interfaces, `[::]` before `0.0.0.0` (the former takes
/// IPv4 in as well unless told otherwise), else for this machine. Addresses that are written out never go to the
/// system. A Unix name or vsock address stands for itself.
///
/// This blocks: asynchronous code calls [`resolve`].
///
/// # Errors
/// [`Class::Address`] when there is no such host, service or interface, or when nobody knows for now; the cause is
/// then a [`LookupError`] if the system gave it.
///
/// ```
/// use sockeye::{Source, resolve_blocking};
/// let found = resolve_blocking(&"tcp://127.0.0.1:http".parse()?, false)?;
/// assert_eq!(found[0].address.to_string(), "127.0.0.1:80");
/// assert_eq!(found[0].source, Source::Literal);
/// # Ok::<(), sockeye::Error>(())
/// ```
pub fn resolve_blocking(endpoint: &Endpoint, passive: bool) -> Result<Vec<Resolved>> {
    answer(endpoint, passive).map_err(|error| error.at(endpoint))
}

/// [`resolve_blocking`] on a thread of its own: for asynchronous code, under any model. What needs no lookup is answered
/// at once.
///
/// # Errors
/// Those of [`resolve_blocking`], and [`Class::General`] when [`MAX_WAITING_LOOKUPS`] others wait already.
pub async fn resolve(endpoint: &Endpoint, passive: bool) -> Result<Vec<Resolved>> {
    if !needs_lookup(endpoint) {
        return resolve_blocking(endpoint, passive);
    }
    let owned = endpoint.clone();
    let found = lookup_threads::run(move || resolve_blocking(&owned, passive)).await;
    found.map_err(|error| error.at(endpoint))?
}

/// The host name of an IP address ([getnameinfo(3)]). This blocks: asynchronous code calls [`host_name`].
///
/// [getnameinfo(3)]: https://man7.org/linux/man-pages/man3/getnameinfo.3.html
///
/// # Errors
/// [`Class::Host`] when it has none, when nobody knows for now, or when it is no IP address.
pub fn host_name_blocking(address: &Address) -> Result<String> {
    match address {
        Address::Inet(inet) => system::name_of(*inet).map_err(|error| error.at(inet.ip())),
        other => {
            let error = Error::new(
                "look up name of",
                Class::Host,
                "only IP addresses have host names",
            );
            Err(error.at(other))
        }
    }
}

/// [`host_name_blocking`] on a thread of its own: for asynchronous code, under any model.
///
/// # Errors
/// Those of [`host_name_blocking`], and [`Class::General`] when [`MAX_WAITING_LOOKUPS`] others wait already.
pub async fn host_name(address: &Address) -> Result<String> {
    let owned = address.clone();
    let found = lookup_threads::run(move || host_name_blocking(&owned)).await;
    found.map_err(|error| error.at(address))?
}

/// Whether a file or a name server must be asked, which may block.
fn needs_lookup(endpoint: &Endpoint) -> bool {
    endpoint
        .host_port()
        .is_some_and(|at| matches!(at.host, Host::Name(_)) || matches!(at.port, Port::Service(_)))
}

fn answer(endpoint: &Endpoint, passive: bool) -> Result<Vec<Resolved>> {
    let literal = |address| Resolved {
        address,
        source: Source::Literal,
        canonical: None,
    };
    match endpoint {
        Endpoint::Tcp(at) | Endpoint::Tls(at) => inet(at, Protocol::Tcp, passive),
        Endpoint::Udp(at) => inet(at, Protocol::Udp, passive),
        Endpoint::Unix(name) | Endpoint::UnixGram(name) | Endpoint::UnixSeq(name) => {
            name.check()
                .map_err(|why| Error::new("resolve", Class::General, why))?;
            Ok(vec![literal(Address::Unix(Some(name.clone())))])
        }
        // Port 0 asks the system to choose, as everywhere; vsock(7) spells that differently.
        Endpoint::Vsock { cid, port: 0 } if passive => Ok(vec![literal(Address::Vsock {
            cid: *cid,
            port: libc::VMADDR_PORT_ANY,
        })]),
        Endpoint::Vsock { cid, port } => Ok(vec![literal(Address::Vsock {
            cid: *cid,
            port: *port,
        })]),
    }
}

fn inet(at: &HostPort, protocol: Protocol, passive: bool) -> Result<Vec<Resolved>> {
    let port = port_number(&at.port, protocol)?;
    let literal = |address: SocketAddr| Resolved {
        address: Address::Inet(address),
        source: Source::Literal,
        canonical: None,
    };
    let hosts: [IpAddr; 2] = match passive {
        true => [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()],
        false => [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()],
    };
    Ok(match &at.host {
        Host::Any => hosts.map(|host| literal(SocketAddr::new(host, port))).into(),
        Host::V4(host) => vec![literal(SocketAddr::new((*host).into(), port))],
        Host::V6(host, scope) => {
            let scope = scope.as_deref().map_or(Ok(0), interface_index)?;
            vec![literal(SocketAddrV6::new(*host, port, 0, scope).into())]
        }
        Host::Name(name) => {
            let found = system::addresses_of(&ascii_name(name)?, protocol)?;
            let resolved = |mut address: SocketAddr| {
                address.set_port(port);
                let canonical = found.canonical.clone();
                Resolved {
                    address: Address::Inet(address),
                    source: Source::System,
                    canonical,
                }
            };
            found.addresses.iter().copied().map(resolved).collect()
        }
    })
}

fn port_number(port: &Port, protocol: Protocol) -> Result<u16> {
    match port {
        Port::Number(number) => Ok(*number),
        Port::Service(name) => service_by_name(name, protocol)
            .map(|service| service.port)
            .ok_or_else(|| {
                let why = format!("no service of {protocol} is called `{name}`");
                Error::new("resolve", Class::Address, why).advise("write the port as a number")
            }),
    }
}

/// The number of an interface, by its name or the number itself (RFC 4007, section 11).
pub(crate) fn interface_index(scope: &str) -> Result<u32> {
    if let Ok(number) = scope.parse() {
        return Ok(number);
    }
    // Interfaces are asked for through any socket (netdevice(7)).
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::DGRAM, None);
    let found = socket.and_then(|socket| rustix::net::netdevice::name_to_index(&socket, scope));
    found.map_err(|errno| match errno {
        rustix::io::Errno::NODEV => {
            let why = format!("no network interface is called `{scope}`");
            Error::new("resolve", Class::Address, why).advise("`ip link` lists those there are")
        }
        other => Error::io("resolve", other),
    })
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn texts(endpoint: &str, passive: bool) -> Vec<String> {
        let endpoint = endpoint.parse().expect(endpoint);
        let found = resolve_blocking(&endpoint, passive).expect("an answer");
        found
            .iter()
            .map(|one| format!("{} {}", one.address, one.source))
            .collect()
    }

    fn on_this_thread<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(future)
    }

    #[test]
    fn literals_stand_for_themselves() {
        assert_eq!(texts("tcp://127.0.0.1:80", false), ["127.0.0.1:80 literal"]);
        assert_eq!(texts("tls://[::1]:0", true), ["[::1]:0 literal"]);
        assert_eq!(texts("udp://[fe80::1%1]:5", false), ["[fe80::1%1]:5 literal"]);
        assert_eq!(texts("udp://[fe80::1%lo]:5", false), ["[fe80::1%1]:5 literal"]);
        assert_eq!(texts("unix:@x", true), ["@x literal"]);
        assert_eq!(texts("vsock://2:80", false), ["vsock 2:80 literal"]);
        assert_eq!(texts("vsock://:0", true), ["vsock 4294967295:4294967295 literal"]);
    }

    #[test]
    fn an_empty_host_is_everywhere_or_here() {
        assert_eq!(
            texts("tcp://:80", true),
            ["[::]:80 literal", "0.0.0.0:80 literal"]
        );
        assert_eq!(
            texts("tcp://:80", false),
            ["[::1]:80 literal", "127.0.0.1:80 literal"]
        );
    }

    #[test]
    fn services_are_those_of_the_protocol() {
        assert_eq!(texts("udp://127.0.0.1:syslog", false), ["127.0.0.1:514 literal"]);
        let endpoint = "tcp://127.0.0.1:who".parse().expect("an endpoint");
        let error = resolve_blocking(&endpoint, false).expect_err("who is of UDP");
        assert_eq!(error.class(), Class::Address);
        let text =
            "resolve tcp://127.0.0.1:who: no service of tcp is called `who`; write the port as a number";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn names_come_from_the_system_with_their_port() {
        let endpoint = "tcp://localhost:4711".parse().expect("an endpoint");
        let blocking = resolve_blocking(&endpoint, false).expect("localhost");
        assert!(
            blocking
                .iter()
                .all(|one| one.source == Source::System && one.address.is_loopback())
        );
        assert!(
            blocking
                .iter()
                .all(|one| one.address.port() == Some(4711) && one.canonical.is_some())
        );
        assert_eq!(
            on_this_thread(resolve(&endpoint, false)).expect("localhost"),
            blocking
        );
    }

    #[test]
    fn an_impossible_name_is_an_address_error_with_advice() {
        // A label of 64 bytes cannot be asked for in DNS, so no server is.
        let endpoint = format!("tcp://{}.invalid:80", "x".repeat(64))
            .parse()
            .expect("an endpoint");
        let error = on_this_thread(resolve(&endpoint, false)).expect_err("no such host");
        assert_eq!(error.class(), Class::Address);
        assert!(error.advice().is_some(), "{error}");
        assert!(
            error.source().is_some_and(|cause| cause.is::<LookupError>()),
            "{error:?}"
        );
    }

    #[test]
    fn an_unknown_interface_is_named() {
        let endpoint = "tcp://[fe80::1%nosuch0]:80".parse().expect("an endpoint");
        let error = resolve_blocking(&endpoint, false).expect_err("no such interface");
        assert_eq!(error.class(), Class::Address);
        assert!(
            error
                .to_string()
                .contains("no network interface is called `nosuch0`"),
            "{error}"
        );
    }

    #[test]
    fn literals_are_answered_at_once() {
        let endpoint = "tcp://127.0.0.1:80".parse().expect("an endpoint");
        let mut future = pin!(resolve(&endpoint, false));
        let first = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(first, Poll::Ready(Ok(_))));
    }

    #[test]
    fn loopback_has_a_name_and_a_unix_socket_has_none() {
        let loopback = Address::Inet(([127, 0, 0, 1], 80).into());
        match on_this_thread(host_name(&loopback)) {
            Ok(name) => assert!(!name.is_empty()),
            Err(error) => assert_eq!(error.class(), Class::Host),
        }
        let error = on_this_thread(host_name(&Address::Unix(None))).expect_err("no IP address");
        assert_eq!(error.class(), Class::Host);
    }
}
