//! The names of ports: `http` is 80.
//!
//! TCP and UDP have tables of their own: port 514 is `shell` over TCP and `syslog` over UDP. The system's table
//! (`/etc/services`, [services(5)](https://man7.org/linux/man-pages/man5/services.5.html)) is asked first; a small
//! table here answers for the classic services on machines that have none.

use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt;

/// How many bytes one entry of the system's table may take with all its aliases.
const MAX_ENTRY: usize = 64 * 1024;

/// The protocol whose table is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Protocol {
    fn name(self) -> &'static CStr {
        match self {
            Self::Tcp => c"tcp",
            Self::Udp => c"udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// It was written out: nobody was asked.
    Literal,
    /// The system: its files, name servers and whatever else
    /// [nsswitch.conf(5)](https://man7.org/linux/man-pages/man5/nsswitch.conf.5.html) names.
    System,
    /// Sockeye's own table of services.
    Table,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Literal => "literal",
            Self::System => "system",
            Self::Table => "table",
        })
    }
}

/// An entry of a table of services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The official name, also when it was found by an alias.
    pub name: String,
    /// The port.
    pub port: u16,
    /// The protocol that it was asked for.
    pub protocol: Protocol,
    /// Whose table it is.
    pub source: Source,
}

/// The port of a service, by its name or an alias. This reads a file, so it may block for as long as a disk takes.
///
/// ```
/// use sockeye::{Protocol, service_port};
/// assert_eq!(service_port("http", Protocol::Tcp), Some(80));
/// assert_eq!(service_port("syslog", Protocol::Udp), Some(514));
/// assert_eq!(service_port("no-such-service", Protocol::Tcp), None);
/// ```
pub fn service_port(name: &str, protocol: Protocol) -> Option<u16> {
    service_by_name(name, protocol).map(|service| service.port)
}

/// The name of the service at a port.
///
/// ```
/// use sockeye::{Protocol, service_name};
/// assert_eq!(service_name(514, Protocol::Udp).as_deref(), Some("syslog"));
/// assert_eq!(service_name(514, Protocol::Tcp).as_deref(), Some("shell"));
/// ```
pub fn service_name(port: u16, protocol: Protocol) -> Option<String> {
    service_by_port(port, protocol).map(|service| service.name)
}

/// [`service_port`], with the official name and where it came from.
pub fn service_by_name(name: &str, protocol: Protocol) -> Option<Service> {
    system_by_name(name, protocol).or_else(|| table_entry(protocol, |entry| entry.0 == name))
}

/// [`service_name`], with where it came from.
pub fn service_by_port(port: u16, protocol: Protocol) -> Option<Service> {
    system_by_port(port, protocol).or_else(|| table_entry(protocol, |entry| entry.1 == port))
}

/// Which protocols an entry of the table is for.
#[derive(Clone, Copy, PartialEq)]
enum Over {
    Tcp,
    Udp,
    Both,
}

/// The classic services (IANA's registry of service names), enough for every service and example of this project.
const TABLE: [(&str, u16, Over); 40] = [
    ("echo", 7, Over::Both),
    ("discard", 9, Over::Both),
    ("systat", 11, Over::Tcp),
    ("daytime", 13, Over::Both),
    ("qotd", 17, Over::Both),
    ("chargen", 19, Over::Both),
    ("ftp-data", 20, Over::Tcp),
    ("ftp", 21, Over::Tcp),
    ("ssh", 22, Over::Tcp),
    ("telnet", 23, Over::Tcp),
    ("smtp", 25, Over::Tcp),
    ("time", 37, Over::Both),
    ("whois", 43, Over::Tcp),
    ("domain", 53, Over::Both),
    ("bootps", 67, Over::Udp),
    ("bootpc", 68, Over::Udp),
    ("tftp", 69, Over::Udp),
    ("gopher", 70, Over::Tcp),
    ("finger", 79, Over::Tcp),
    ("http", 80, Over::Tcp),
    ("pop3", 110, Over::Tcp),
    ("sunrpc", 111, Over::Both),
    ("nntp", 119, Over::Tcp),
    ("ntp", 123, Over::Udp),
    ("imap2", 143, Over::Tcp),
    ("imap", 143, Over::Tcp),
    ("snmp", 161, Over::Both),
    ("irc", 194, Over::Both),
    ("ldap", 389, Over::Both),
    ("https", 443, Over::Both),
    ("exec", 512, Over::Tcp),
    ("biff", 512, Over::Udp),
    ("login", 513, Over::Tcp),
    ("who", 513, Over::Udp),
    ("shell", 514, Over::Tcp),
    ("syslog", 514, Over::Udp),
    ("submission", 587, Over::Tcp),
    ("imaps", 993, Over::Tcp),
    ("pop3s", 995, Over::Tcp),
    ("socks", 1080, Over::Tcp),
];

fn table_entry(protocol: Protocol, wanted: impl Fn(&(&str, u16, Over)) -> bool) -> Option<Service> {
    let over = match protocol {
        Protocol::Tcp => Over::Tcp,
        Protocol::Udp => Over::Udp,
    };
    let found = TABLE
        .iter()
        .find(|entry| wanted(entry) && [over, Over::Both].contains(&entry.2))?;
    Some(Service {
        name: found.0.to_owned(),
        port: found.1,
        protocol,
        source: Source::Table,
    })
}

// The `libc` crate knows only the calls without `_r`, whose answers every thread overwrites. Both glibc and musl have
// these, with this signature (getservent_r(3)).
#[allow(unsafe_code)]
unsafe extern "C" {
    fn getservbyname_r(
        name: *const c_char,
        protocol: *const c_char,
        entry: *mut libc::servent,
        buffer: *mut c_char,
        length: usize,
        found: *mut *mut libc::servent,
    ) -> c_int;
    fn getservbyport_r(
        port: c_int,
        protocol: *const c_char,
        entry: *mut libc::servent,
        buffer: *mut c_char,
        length: usize,
        found: *mut *mut libc::servent,
    ) -> c_int;
}

#[allow(unsafe_code)]
fn system_by_name(name: &str, protocol: Protocol) -> Option<Service> {
    let name = CString::new(name).ok()?;
    ask_system(protocol, |entry, buffer, found| {
        let (start, length) = (buffer.as_mut_ptr().cast(), buffer.len());
        // SAFETY: both names end in NUL, `start` and `length` are one buffer, and all outlive the call.
        unsafe {
            getservbyname_r(
                name.as_ptr(),
                protocol.name().as_ptr(),
                entry,
                start,
                length,
                found,
            )
        }
    })
}

#[allow(unsafe_code)]
fn system_by_port(port: u16, protocol: Protocol) -> Option<Service> {
    // The call takes the port in network order.
    let port = c_int::from(port.to_be());
    ask_system(protocol, |entry, buffer, found| {
        let (start, length) = (buffer.as_mut_ptr().cast(), buffer.len());
        // SAFETY: the protocol's name ends in NUL, `start` and `length` are one buffer, and all outlive the call.
        unsafe { getservbyport_r(port, protocol.name().as_ptr(), entry, start, length, found) }
    })
}

/// Asks with a buffer that grows until the entry fits.
#[allow(unsafe_code)]
fn ask_system(
    protocol: Protocol,
    ask: impl Fn(&mut libc::servent, &mut [u8], &mut *mut libc::servent) -> c_int,
) -> Option<Service> {
    let mut buffer = vec![0; 1024];
    loop {
        let mut entry = libc::servent {
            s_name: std::ptr::null_mut(),
            s_aliases: std::ptr::null_mut(),
            s_port: 0,
            s_proto: std::ptr::null_mut(),
        };
        let mut found = std::ptr::null_mut();
        match ask(&mut entry, &mut buffer, &mut found) {
            0 if found.is_null() || entry.s_name.is_null() => return None,
            0 => {
                // SAFETY: the call succeeded, so the name is a string with a NUL in `buffer`, which still lives.
                let name = unsafe { CStr::from_ptr(entry.s_name) };
                let name = name.to_str().ok()?.to_owned();
                let port = u16::from_be(entry.s_port as u16);
                return Some(Service {
                    name,
                    port,
                    protocol,
                    source: Source::System,
                });
            }
            libc::ERANGE if buffer.len() < MAX_ENTRY => buffer.resize(buffer.len() * 2, 0),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_and_udp_have_tables_of_their_own() {
        for (name, port, protocol) in [
            ("echo", 7, Protocol::Tcp),
            ("echo", 7, Protocol::Udp),
            ("domain", 53, Protocol::Udp),
            ("login", 513, Protocol::Tcp),
            ("who", 513, Protocol::Udp),
            ("shell", 514, Protocol::Tcp),
            ("syslog", 514, Protocol::Udp),
        ] {
            assert_eq!(service_port(name, protocol), Some(port), "{name}/{protocol}");
            let entry = table_entry(protocol, |entry| entry.0 == name).expect("in the table");
            assert_eq!((entry.port, entry.source), (port, Source::Table));
        }
        assert_eq!(service_port("who", Protocol::Tcp), None);
        assert_eq!(table_entry(Protocol::Tcp, |entry| entry.0 == "syslog"), None);
    }

    #[test]
    fn a_port_has_a_name() {
        assert_eq!(service_name(7, Protocol::Tcp).as_deref(), Some("echo"));
        assert_eq!(service_name(513, Protocol::Udp).as_deref(), Some("who"));
        assert_eq!(service_name(65_533, Protocol::Udp), None);
    }

    #[test]
    fn the_system_goes_first() {
        let has_table = std::fs::read_to_string("/etc/services").is_ok_and(|text| text.contains("http"));
        let service = service_by_name("http", Protocol::Tcp).expect("everybody knows http");
        let expected = if has_table { Source::System } else { Source::Table };
        assert_eq!(
            (service.name.as_str(), service.port, service.source),
            ("http", 80, expected)
        );
    }

    #[test]
    fn odd_names_are_unknown() {
        for name in ["", "\0", "a\0b", "no such service", "80"] {
            assert_eq!(service_port(name, Protocol::Tcp), None, "{name:?}");
        }
    }
}
