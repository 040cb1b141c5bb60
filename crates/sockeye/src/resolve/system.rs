//! The two calls of the C library that look names up.

use std::ffi::{CStr, CString, c_char, c_int};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::{io, ptr};

use rustix::net::SocketAddrAny;

use crate::error::{Class, Error, Result};
use crate::services::Protocol;

/// The most addresses of one name that are kept: a dialler that tried more would still be at it when its user has
/// gone, and a name server may send thousands.
const MAX_ADDRESSES: usize = 64;

/// A code of glibc (`<netdb.h>`) that the `libc` crate does not name.
const EAI_ADDRFAMILY: c_int = -9;

/// Why the system could not look something up: a code of [getaddrinfo(3)], as in Python's `gaierror`.
///
/// [getaddrinfo(3)]: https://man7.org/linux/man-pages/man3/getaddrinfo.3.html
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct LookupError {
    code: i32,
}

impl LookupError {
    /// The code, such as `EAI_NONAME` (−2).
    pub fn code(&self) -> i32 {
        self.code
    }

    fn text(self) -> String {
        match self.code {
            libc::EAI_NONAME => "no such host name".to_owned(),
            libc::EAI_NODATA | EAI_ADDRFAMILY => "the host name has no address".to_owned(),
            libc::EAI_AGAIN => "the name servers did not answer".to_owned(),
            libc::EAI_FAIL => "the name servers refused the question".to_owned(),
            libc::EAI_MEMORY => "out of memory".to_owned(),
            other => library_text(other),
        }
    }

    fn advice(self) -> &'static str {
        match self.code {
            libc::EAI_NONAME => "check its spelling or your DNS",
            libc::EAI_NODATA | EAI_ADDRFAMILY => "it exists, but its owner published no IPv4 or IPv6 address",
            libc::EAI_AGAIN => "check the network and /etc/resolv.conf, then try again",
            libc::EAI_FAIL => "check that the name can exist, then your DNS",
            _ => "try again, or write the address as a number",
        }
    }
}

/// The C library's own words for a code.
#[allow(unsafe_code)]
fn library_text(code: c_int) -> String {
    // SAFETY: it takes any number and returns a constant text, or none.
    let text = unsafe { libc::gai_strerror(code) };
    if text.is_null() {
        return format!("lookup error {code}");
    }
    // SAFETY: not null, hence a constant text that ends in NUL.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().to_lowercase()
}

/// The error of an operation whose call returned this code; `EAI_SYSTEM` leaves the reason in `errno`.
fn failure(op: &'static str, class: Class, code: c_int) -> Error {
    if code == libc::EAI_SYSTEM {
        return Error::new(op, class, io::Error::last_os_error());
    }
    let cause = LookupError { code };
    Error::new(op, class, cause).advise(cause.advice())
}

/// What the system knows of a host.
pub(super) struct Found {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) canonical: Option<String>,
}

/// The addresses of a host with port 0, none twice, in the system's order (RFC 6724).
#[allow(unsafe_code)]
pub(super) fn addresses_of(host: &str, protocol: Protocol) -> Result<Found> {
    let name = CString::new(host).map_err(|_| failure("resolve", Class::Address, libc::EAI_NONAME))?;
    let hints = libc::addrinfo {
        ai_flags: libc::AI_CANONNAME,
        ai_family: libc::AF_UNSPEC,
        // Without it every address would come once for each type of socket.
        ai_socktype: match protocol {
            Protocol::Tcp => libc::SOCK_STREAM,
            Protocol::Udp => libc::SOCK_DGRAM,
        },
        ai_protocol: 0,
        ai_addrlen: 0,
        ai_addr: ptr::null_mut(),
        ai_canonname: ptr::null_mut(),
        ai_next: ptr::null_mut(),
    };
    let mut first = ptr::null_mut();
    // SAFETY: the name ends in NUL, no service is asked for, and all pointers outlive the call.
    let code = unsafe { libc::getaddrinfo(name.as_ptr(), ptr::null(), &raw const hints, &raw mut first) };
    if code != 0 {
        return Err(failure("resolve", Class::Address, code));
    }
    let list = List { first };
    let mut found = Found {
        addresses: Vec::new(),
        canonical: None,
    };
    for entry in list.entries() {
        found.canonical = found.canonical.or_else(|| canonical(entry));
        match address(entry) {
            Some(address) if !found.addresses.contains(&address) => found.addresses.push(address),
            _ => {}
        }
        if found.addresses.len() == MAX_ADDRESSES {
            break;
        }
    }
    match found.addresses.is_empty() {
        true => Err(failure("resolve", Class::Address, libc::EAI_NODATA)),
        false => Ok(found),
    }
}

/// The answer of `getaddrinfo`, given back when dropped.
struct List {
    first: *mut libc::addrinfo,
}

impl List {
    fn entries(&self) -> Entries<'_> {
        Entries {
            next: self.first,
            _list: self,
        }
    }
}

#[allow(unsafe_code)]
impl Drop for List {
    fn drop(&mut self) {
        if !self.first.is_null() {
            // SAFETY: `getaddrinfo` made this list, and it is freed once.
            unsafe { libc::freeaddrinfo(self.first) };
        }
    }
}

struct Entries<'list> {
    next: *const libc::addrinfo,
    _list: &'list List,
}

#[allow(unsafe_code)]
impl<'list> Iterator for Entries<'list> {
    type Item = &'list libc::addrinfo;

    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: null, or an entry of the list, which outlives the iterator.
        let entry = unsafe { self.next.as_ref() }?;
        self.next = entry.ai_next;
        Some(entry)
    }
}

#[allow(unsafe_code)]
fn canonical(entry: &libc::addrinfo) -> Option<String> {
    if entry.ai_canonname.is_null() {
        return None;
    }
    // SAFETY: not null, hence a text that ends in NUL and belongs to the list.
    let name = unsafe { CStr::from_ptr(entry.ai_canonname) };
    name.to_str().ok().map(str::to_owned)
}

#[allow(unsafe_code)]
fn address(entry: &libc::addrinfo) -> Option<SocketAddr> {
    let length = entry.ai_addrlen as usize;
    if entry.ai_addr.is_null() {
        return None;
    }
    match entry.ai_family {
        libc::AF_INET if length >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: the family and the length say that there is such a structure; it is copied.
            let inet = unsafe { ptr::read_unaligned(entry.ai_addr.cast::<libc::sockaddr_in>()) };
            let ip = Ipv4Addr::from(u32::from_be(inet.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, 0).into())
        }
        libc::AF_INET6 if length >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: the family and the length say that there is such a structure; it is copied.
            let inet = unsafe { ptr::read_unaligned(entry.ai_addr.cast::<libc::sockaddr_in6>()) };
            let ip = Ipv6Addr::from(inet.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, 0, 0, inet.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// The host name of an address.
#[allow(unsafe_code)]
pub(super) fn name_of(address: SocketAddr) -> Result<String> {
    let op = "look up name of";
    let any = SocketAddrAny::from(address);
    let mut name: [c_char; libc::NI_MAXHOST as usize] = [0; _];
    // SAFETY: the address is as long as said, the buffer too, and no service is asked for.
    let code = unsafe {
        libc::getnameinfo(
            any.as_ptr().cast(),
            any.addr_len(),
            name.as_mut_ptr(),
            name.len() as _,
            ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    match code {
        0 => {
            let bytes: Vec<u8> = name
                .iter()
                .map(|letter| *letter as u8)
                .take_while(|byte| *byte != 0)
                .collect();
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        libc::EAI_NONAME => {
            let error = Error::new(op, Class::Host, "the address has no host name");
            Err(error.advise("its owner published none; the address works without"))
        }
        code => Err(failure(op, Class::Host, code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_words_and_advice() {
        for code in [
            -1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -12, -100, -101, -105, -9999, 5,
        ] {
            let error = failure("resolve", Class::Address, code);
            let text = error.to_string();
            assert!(
                text.len() > "resolve: ; ".len() && !text.contains("os error"),
                "{code}: {text}"
            );
            assert_eq!(error.class(), Class::Address);
        }
        let unknown = failure("resolve", Class::Address, libc::EAI_NONAME).at("tcp://h:80");
        assert_eq!(
            unknown.to_string(),
            "resolve tcp://h:80: no such host name; check its spelling or your DNS"
        );
    }

    #[test]
    fn localhost_is_loopback_and_comes_once() {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let found = addresses_of("localhost", protocol).expect("localhost");
            assert!(found.addresses.iter().all(|address| address.ip().is_loopback()));
            let mut addresses = found.addresses.clone();
            addresses.dedup();
            assert_eq!(addresses, found.addresses);
            assert!(found.canonical.is_some());
        }
    }

    #[test]
    fn a_name_with_a_nul_is_no_name() {
        let error = addresses_of("a\0b", Protocol::Tcp).err().expect("no such name");
        assert_eq!(error.class(), Class::Address);
    }
}
