//! Socket options as data: collected from a program or a query, then applied to a socket.

mod apply;
mod fields;
pub(crate) mod raw;
mod read;
#[cfg(test)]
mod tests;
mod text;

use std::net::IpAddr;
use std::str::FromStr;
use std::{fmt, time::Duration};

pub use fields::Options;

use crate::error::{Class, Error, Result};
use text::FromText;

impl Options {
    /// No option set: the socket keeps the system's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Joins a multicast group; may be called for several. `IP_ADD_MEMBERSHIP`, `IPV6_JOIN_GROUP`; as text
    /// `join=239.1.2.3%eth0`.
    #[must_use]
    pub fn join(mut self, group: Membership) -> Self {
        self.joins.push(group);
        self
    }

    /// Sets an option by its name, as a query such as `?nodelay=false&keepalive=60s` has it. Tells whether there is an
    /// option of that name.
    ///
    /// The names are those of the methods, [`Options::NAMES`]; a hyphen is as good as an underscore. Switches take
    /// `true`, `on`, `yes`, `1`, and nothing at all; durations `50us`, `200ms`, `5s`, `2m`; sizes `64KiB`. Besides,
    /// `keepalive=60s` means `keepalive=true&keepalive_time=60s`, `linger=off` takes lingering away, and `join` may
    /// come several times.
    ///
    /// # Errors
    /// [`Class::General`]: the value makes no sense; the error says which would.
    ///
    /// ```
    /// let mut options = sockeye::Options::new();
    /// assert!(options.set("nodelay", "true")?);
    /// assert!(options.set("congestion", "reno")?);
    /// assert!(!options.set("encoding", "gbk")?);
    /// let error = options.set("send_buffer", "big").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "set option send_buffer=big: it does not start with a number; write 512, 64KiB, 10MiB or 1GB"
    /// );
    /// # Ok::<(), sockeye::Error>(())
    /// ```
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool> {
        let plain = name.replace('-', "_");
        let known = match plain.as_str() {
            "join" => value.parse().map(|group| {
                self.joins.push(group);
                true
            }),
            "keepalive" if bool::from_text(value).is_err() => Duration::from_text(value).map(|time| {
                self.keepalive = Some(true);
                self.keepalive_time = Some(time);
                true
            }),
            _ => self.set_field(&plain, value),
        };
        known.map_err(|error| {
            error
                .renamed("set option")
                .at(format_args!("{name}={}", value.escape_debug()))
        })
    }

    /// Whether the socket is to be made with `IPPROTO_MPTCP`, which cannot be changed afterwards.
    pub fn is_mptcp(&self) -> bool {
        self.mptcp == Some(true)
    }
}

/// A multicast group to join, on one interface or on the one that the routes point to.
///
/// ```
/// let group: sockeye::Membership = "239.1.2.3%eth0".parse()?;
/// assert_eq!(group.interface.as_deref(), Some("eth0"));
/// assert_eq!(group.to_string(), "239.1.2.3%eth0");
/// assert!("127.0.0.1".parse::<sockeye::Membership>().is_err());
/// # Ok::<(), sockeye::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The group: `224.0.0.0/4` (RFC 5771) or `ff00::/8` (RFC 4291).
    pub group: IpAddr,
    /// The name or number of the interface.
    pub interface: Option<String>,
}

impl FromStr for Membership {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (group, interface) = match text.split_once('%') {
            Some((group, interface)) => (group, Some(interface)),
            None => (text, None),
        };
        let wrong = |why| {
            let error = Error::new("parse group", Class::General, why).at(text.escape_debug());
            error.advise("write GROUP or GROUP%INTERFACE, such as 239.1.2.3%eth0 or ff02::1%eth0")
        };
        let group: IpAddr = group.parse().map_err(|_| wrong("it is no IP address"))?;
        if !group.is_multicast() {
            return Err(wrong("it is no multicast address"));
        }
        if interface.is_some_and(str::is_empty) {
            return Err(wrong("the interface is missing"));
        }
        Ok(Self {
            group,
            interface: interface.map(str::to_owned),
        })
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.interface {
            Some(interface) => write!(f, "{}%{interface}", self.group),
            None => self.group.fmt(f),
        }
    }
}
