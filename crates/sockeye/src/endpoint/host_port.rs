//! `HOST:PORT`, as it stands behind `tcp://`, `tls://` and `udp://`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::error::{Class, Error, Result};

/// The longest host name in bytes (RFC 1035, section 2.3.4: 255 on the wire, which is 253 written with dots).
pub const MAX_HOST_NAME: usize = 253;

/// The longest service name in bytes. RFC 6335 says 15; service tables in use hold longer ones.
const MAX_SERVICE_NAME: usize = 64;

/// The longest name of a network interface in bytes: `IFNAMSIZ` without its NUL.
const MAX_INTERFACE_NAME: usize = 15;

/// A host and a port.
///
/// ```
/// use sockeye::{Host, HostPort, Port};
/// let web: HostPort = "[fe80::1%eth0]:http".parse()?;
/// assert_eq!(web.host, Host::V6("fe80::1".parse().unwrap(), Some("eth0".into())));
/// assert_eq!(web.port, Port::Service("http".into()));
/// # Ok::<(), sockeye::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Which machine or interface.
    pub host: Host,
    /// Which port there.
    pub port: Port,
}

/// The part before the colon.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// Nothing: every interface when listening, this machine when dialling.
    Any,
    /// A name that the system's resolver knows.
    Name(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, and its scope (RFC 4007): the name or the number of an interface, which link-local
    /// addresses need.
    V6(Ipv6Addr, Option<String>),
}

/// The part behind the colon.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Port {
    /// A number; 0 lets the system choose when listening.
    Number(u16),
    /// A name of the system's service table, such as `http`.
    Service(String),
}

impl Host {
    /// Who a certificate must be for: an address without its scope, and `localhost` where no host is named.
    ///
    /// ```
    /// let at: sockeye::HostPort = "[fe80::1%eth0]:443".parse()?;
    /// assert_eq!(at.host.server_name(), "fe80::1");
    /// # Ok::<(), sockeye::Error>(())
    /// ```
    pub fn server_name(&self) -> String {
        match self {
            Self::Any => "localhost".to_owned(),
            Self::V6(address, _) => address.to_string(),
            Self::Name(_) | Self::V4(_) => self.to_string(),
        }
    }
}

impl HostPort {
    /// Reads `HOST:PORT`, or says what is wrong with it.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        if let Some(odd) = text.find(['/', '?', '#', '@']) {
            return Err(format!("`{}` does not belong into HOST:PORT", &text[odd..=odd]));
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (literal, rest) = rest.split_once(']').ok_or("the closing `]` is missing")?;
                let port = match rest.strip_prefix(':') {
                    Some(port) => port,
                    None if rest.is_empty() => return Err("the port is missing".to_owned()),
                    None => return Err("a `:` and the port must follow the `]`".to_owned()),
                };
                (read_v6(literal)?, port)
            }
            None => {
                let (host, port) = text.rsplit_once(':').ok_or("the port is missing")?;
                if host.contains(':') {
                    return Err("an IPv6 address stands in brackets, such as [::1]:80".to_owned());
                }
                (read_host(host)?, port)
            }
        };
        Ok(Self {
            host,
            port: read_port(port)?,
        })
    }
}

fn read_host(text: &str) -> Result<Host, String> {
    if text.is_empty() {
        return Ok(Host::Any);
    }
    if let Ok(address) = text.parse() {
        return Ok(Host::V4(address));
    }
    if text.len() > MAX_HOST_NAME {
        return Err(format!(
            "the host name has {} bytes, the most is {MAX_HOST_NAME}",
            text.len()
        ));
    }
    let odd = |letter: char| {
        letter.is_whitespace() || letter.is_control() || matches!(letter, '[' | ']' | '%' | '\\')
    };
    match text.chars().find(|letter| odd(*letter)) {
        Some(letter) => Err(format!(
            "`{}` does not belong into a host name",
            letter.escape_debug()
        )),
        None => Ok(Host::Name(text.to_owned())),
    }
}

fn read_v6(text: &str) -> Result<Host, String> {
    let (address, scope) = match text.split_once('%') {
        Some((address, scope)) => (address, Some(scope)),
        None => (text, None),
    };
    let address = address
        .parse()
        .map_err(|_| "what stands in brackets is no IPv6 address".to_owned())?;
    if let Some(scope) = scope {
        let odd = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '%';
        if scope.is_empty() || scope.len() > MAX_INTERFACE_NAME || scope.contains(odd) {
            return Err("the scope behind `%` is no interface name, such as eth0, or number".to_owned());
        }
    }
    Ok(Host::V6(address, scope.map(str::to_owned)))
}

fn read_port(text: &str) -> Result<Port, String> {
    if text.is_empty() {
        return Err("the port is missing".to_owned());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = text.parse();
        return number
            .map(Port::Number)
            .map_err(|_| format!("port {text} is greater than 65535"));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    let named = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    if named && text.len() <= MAX_SERVICE_NAME && text.bytes().all(plain) {
        return Ok(Port::Service(text.to_owned()));
    }
    Err(format!(
        "`{}` is neither a port number nor a service name",
        text.escape_debug()
    ))
}

impl FromStr for HostPort {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::read(text).map_err(|why| {
            let error = Error::new("parse address", Class::General, why).at(text.escape_debug());
            error.advise("write HOST:PORT, such as 127.0.0.1:8080")
        })
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V4(v4) => Host::V4(*v4.ip()),
            SocketAddr::V6(v6) => {
                let scope = (v6.scope_id() != 0).then(|| v6.scope_id().to_string());
                Host::V6(*v6.ip(), scope)
            }
        };
        Self {
            host,
            port: Port::Number(address.port()),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => Self::V6(v6, None),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            // The only host that brackets set off from the port.
            host @ Host::V6(..) => write!(f, "[{host}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

/// Without brackets: `fe80::1%eth0`.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => address.fmt(f),
            Self::V6(address, None) => address.fmt(f),
            Self::V6(address, Some(scope)) => write!(f, "{address}%{scope}"),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Service(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_wrong() {
        let long = format!("{}:80", "x".repeat(MAX_HOST_NAME + 1));
        for (text, why) in [
            ("h", "the port is missing"),
            ("h:", "the port is missing"),
            ("[::1]", "the port is missing"),
            ("[::1]80", "a `:` and the port must follow"),
            ("[::1", "the closing `]` is missing"),
            ("::1:80", "an IPv6 address stands in brackets"),
            ("[h]:80", "no IPv6 address"),
            ("[::1%]:80", "the scope"),
            ("[::1%averyverylonginterface]:80", "the scope"),
            ("h:65536", "port 65536 is greater than 65535"),
            ("h:99999999999999999999", "is greater than 65535"),
            ("h:-1", "neither a port number nor a service name"),
            ("h:80/", "`/` does not belong"),
            ("user@h:80", "`@` does not belong"),
            ("a b:80", "` ` does not belong into a host name"),
            ("a\u{1b}:80", "`\\u{1b}` does not belong"),
            (&long, "254 bytes"),
        ] {
            let error = HostPort::read(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn standard_addresses_convert() {
        for text in ["127.0.0.1:80", "[::1]:0", "[fe80::1%3]:443"] {
            let address: SocketAddr = text.parse().expect(text);
            assert_eq!(HostPort::from(address).to_string(), text);
            assert_eq!(HostPort::read(text), Ok(address.into()));
        }
    }
}
