//! Where to listen or whom to dial, as a text: `tcp://127.0.0.1:8080`, `unix:@echo`.

mod ascii;
mod given;
mod host_port;
#[cfg(test)]
mod tests;
mod unix;

use std::fmt;
use std::str::FromStr;

pub(crate) use ascii::ascii_name;
pub use given::ToEndpoint;
pub use host_port::{Host, HostPort, MAX_HOST_NAME, Port};
pub use unix::{MAX_UNIX_NAME, UnixName};

use crate::address::Address;
use crate::error::{Class, Error, Result};

/// Where to listen or whom to dial.
///
/// | text | what |
/// |---|---|
/// | `tcp://HOST:PORT` | a TCP connection |
/// | `tls://HOST:PORT` | TLS over TCP |
/// | `udp://HOST:PORT` | UDP datagrams |
/// | `unix:///PATH`, `unix:./PATH`, `unix:@NAME` | a Unix stream, by path or abstract name |
/// | `unixgram:…` | Unix datagrams, named alike |
/// | `unixseq:…` | a Unix connection that keeps messages apart (`SOCK_SEQPACKET`), named alike |
/// | `vsock://CID:PORT` | a stream between a machine and its virtual machines |
///
/// `HOST` is a name, an IPv4 address, an IPv6 address in brackets (with its scope: `[fe80::1%eth0]`), or empty for all
/// interfaces. `PORT` is a number, 0 for one that the system chooses, or a service's name. A `CID` is a number,
/// `local` (1), `host` (2), or empty for any. Bytes that would not survive in a Unix name are written as `%` and two
/// hexadecimal digits. What [`Display`](fmt::Display) prints, [`FromStr`] reads back. Other families are used by
/// adopting a descriptor that was made elsewhere.
///
/// ```
/// use sockeye::Endpoint;
/// let endpoint: Endpoint = "tcp://[::1]:http".parse()?;
/// assert_eq!(endpoint.scheme(), "tcp");
/// assert_eq!(endpoint.with_port(8080).to_string(), "tcp://[::1]:8080");
///
/// let error = "tcp://localhost".parse::<Endpoint>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "parse endpoint tcp://localhost: the port is missing; write tcp://HOST:PORT, such as tcp://127.0.0.1:8080"
/// );
/// # Ok::<(), sockeye::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `tcp://`: a stream ([tcp(7)](https://man7.org/linux/man-pages/man7/tcp.7.html)).
    Tcp(HostPort),
    /// `tls://`: TLS over TCP.
    Tls(HostPort),
    /// `udp://`: packets ([udp(7)](https://man7.org/linux/man-pages/man7/udp.7.html)).
    Udp(HostPort),
    /// `unix:`: a stream within the machine ([unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)).
    Unix(UnixName),
    /// `unixgram:`: packets within the machine.
    UnixGram(UnixName),
    /// `unixseq:`: a connection within the machine that keeps messages apart (each of 256 KiB at the most; receiving a
    /// longer one fails).
    UnixSeq(UnixName),
    /// `vsock://`: a stream ([vsock(7)](https://man7.org/linux/man-pages/man7/vsock.7.html)).
    Vsock {
        /// The machine: 1 this one, 2 the host, others its guests, `u32::MAX` any.
        cid: u32,
        /// The port; 0 lets the system choose when listening.
        port: u32,
    },
}

impl Endpoint {
    /// Every scheme there is.
    pub const SCHEMES: [&str; 7] = ["tcp", "tls", "udp", "unix", "unixgram", "unixseq", "vsock"];

    /// The part before the colon, such as `tcp`.
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "tcp",
            Self::Tls(_) => "tls",
            Self::Udp(_) => "udp",
            Self::Unix(_) => "unix",
            Self::UnixGram(_) => "unixgram",
            Self::UnixSeq(_) => "unixseq",
            Self::Vsock { .. } => "vsock",
        }
    }

    /// Whether it has connections (listen, accept, dial). `unixseq` has them too, though it keeps messages apart.
    pub fn is_stream(&self) -> bool {
        !self.is_packet()
    }

    /// Whether it has single packets without a connection: `udp` and `unixgram`.
    pub fn is_packet(&self) -> bool {
        matches!(self, Self::Udp(_) | Self::UnixGram(_))
    }

    /// The host and port of `tcp`, `tls` and `udp`.
    pub fn host_port(&self) -> Option<&HostPort> {
        match self {
            Self::Tcp(at) | Self::Tls(at) | Self::Udp(at) => Some(at),
            Self::Unix(_) | Self::UnixGram(_) | Self::UnixSeq(_) | Self::Vsock { .. } => None,
        }
    }

    /// The name of `unix`, `unixgram` and `unixseq`.
    pub fn unix_name(&self) -> Option<&UnixName> {
        match self {
            Self::Unix(name) | Self::UnixGram(name) | Self::UnixSeq(name) => Some(name),
            Self::Tcp(_) | Self::Tls(_) | Self::Udp(_) | Self::Vsock { .. } => None,
        }
    }

    /// The port's number, when it has one: not Unix sockets, services by name, or vsock ports over 65,535.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Vsock { port, .. } => u16::try_from(*port).ok(),
            _ => match self.host_port()?.port {
                Port::Number(number) => Some(number),
                Port::Service(_) => None,
            },
        }
    }

    /// The same endpoint at another port; Unix sockets have none and stay as they are.
    #[must_use]
    pub fn with_port(&self, number: u16) -> Self {
        let mut endpoint = self.clone();
        match &mut endpoint {
            Self::Tcp(at) | Self::Tls(at) | Self::Udp(at) => at.port = Port::Number(number),
            Self::Vsock { port, .. } => *port = number.into(),
            Self::Unix(_) | Self::UnixGram(_) | Self::UnixSeq(_) => {}
        }
        endpoint
    }

    /// The endpoint of the same scheme at this address: what a listener says of itself once it is bound. Where scheme
    /// and address do not go together, it stays as it is.
    ///
    /// ```
    /// let asked: sockeye::Endpoint = "tcp://localhost:0".parse()?;
    /// let bound = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let got = asked.with_address(&sockeye::local_address(&bound)?);
    /// assert_eq!(got.to_string(), format!("tcp://{}", bound.local_addr()?));
    /// # Ok::<(), sockeye::Error>(())
    /// ```
    #[must_use]
    pub fn with_address(&self, address: &Address) -> Self {
        match (self, address) {
            (Self::Tcp(_), Address::Inet(inet)) => Self::Tcp((*inet).into()),
            (Self::Tls(_), Address::Inet(inet)) => Self::Tls((*inet).into()),
            (Self::Udp(_), Address::Inet(inet)) => Self::Udp((*inet).into()),
            (Self::Unix(_), Address::Unix(Some(name))) => Self::Unix(name.clone()),
            (Self::UnixGram(_), Address::Unix(Some(name))) => Self::UnixGram(name.clone()),
            (Self::UnixSeq(_), Address::Unix(Some(name))) => Self::UnixSeq(name.clone()),
            (Self::Vsock { .. }, Address::Vsock { cid, port }) => Self::Vsock {
                cid: *cid,
                port: *port,
            },
            _ => self.clone(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme())?;
        match self {
            Self::Tcp(at) | Self::Tls(at) | Self::Udp(at) => write!(f, "://{at}"),
            Self::Unix(name) | Self::UnixGram(name) | Self::UnixSeq(name) => {
                let absolute = matches!(name, UnixName::Path(path) if path.is_absolute());
                write!(f, ":{}{name}", if absolute { "//" } else { "" })
            }
            Self::Vsock {
                cid: libc::VMADDR_CID_ANY,
                port,
            } => write!(f, "://:{port}"),
            Self::Vsock { cid, port } => write!(f, "://{cid}:{port}"),
        }
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        read(text).map_err(|wrong| {
            let error = Error::new("parse endpoint", Class::General, wrong.why);
            error.at(text.escape_debug()).advise(wrong.advice)
        })
    }
}

/// What is wrong with a text, and how to write it.
struct Wrong {
    why: String,
    advice: String,
}

fn read(text: &str) -> Result<Endpoint, Wrong> {
    let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
    let inet = |make: fn(HostPort) -> Endpoint| {
        let read = behind_slashes(rest).and_then(HostPort::read);
        read.map(make).map_err(|why| Wrong {
            why,
            advice: format!("write {scheme}://HOST:PORT, such as {scheme}://127.0.0.1:8080"),
        })
    };
    let unix = |make: fn(UnixName) -> Endpoint| {
        read_unix(rest).map(make).map_err(|why| Wrong {
            why,
            advice: format!("write {scheme}:///PATH, {scheme}:./PATH or {scheme}:@NAME"),
        })
    };
    match scheme {
        "tcp" => inet(Endpoint::Tcp),
        "tls" => inet(Endpoint::Tls),
        "udp" => inet(Endpoint::Udp),
        "unix" => unix(Endpoint::Unix),
        "unixgram" => unix(Endpoint::UnixGram),
        "unixseq" => unix(Endpoint::UnixSeq),
        "vsock" => behind_slashes(rest).and_then(read_vsock).map_err(|why| Wrong {
            why,
            advice: "write vsock://CID:PORT, such as vsock://2:1024".to_owned(),
        }),
        _ => Err(unknown_scheme(text, scheme)),
    }
}

fn behind_slashes(rest: &str) -> Result<&str, String> {
    rest.strip_prefix("//")
        .ok_or_else(|| "`//` is missing behind the scheme".to_owned())
}

fn read_unix(rest: &str) -> Result<UnixName, String> {
    let tail = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(_) => return Err("a path behind `//` starts with a third `/`".to_owned()),
        None => rest,
    };
    UnixName::parse(tail)
}

fn read_vsock(tail: &str) -> Result<Endpoint, String> {
    let (cid, port) = tail.rsplit_once(':').ok_or("the port is missing")?;
    let cid = match cid {
        "" => libc::VMADDR_CID_ANY,
        "local" => libc::VMADDR_CID_LOCAL,
        "host" => libc::VMADDR_CID_HOST,
        number => digits(number).ok_or("the context (CID) is no number of 32 bits")?,
    };
    let port = digits(port).ok_or("the port is no number of 32 bits")?;
    Ok(Endpoint::Vsock { cid, port })
}

/// A number without the sign that the standard library would take.
fn digits(text: &str) -> Option<u32> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// Guesses what was meant by a text that no known scheme opens.
fn unknown_scheme(text: &str, scheme: &str) -> Wrong {
    let missing = |advice| Wrong {
        why: "the scheme is missing".to_owned(),
        advice,
    };
    if let Ok(at) = HostPort::read(text) {
        return missing(format!("write tcp://{at}, tls://{at} or udp://{at}"));
    }
    if text.starts_with(['/', '@', '.'])
        && let Ok(name) = UnixName::parse(text)
    {
        return missing(format!("write {}", Endpoint::Unix(name)));
    }
    if scheme.is_empty() {
        return missing("write SCHEME://HOST:PORT, such as tcp://127.0.0.1:8080".to_owned());
    }
    let lower = scheme.to_ascii_lowercase();
    let advice = match Endpoint::SCHEMES.contains(&lower.as_str()) {
        true => format!("write {lower} in lower case"),
        false => format!("the schemes are {}", Endpoint::SCHEMES.join(", ")),
    };
    Wrong {
        why: format!("the scheme `{}` is unknown", scheme.escape_debug()),
        advice,
    }
}
