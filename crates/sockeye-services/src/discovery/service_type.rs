//! Kinds of services.

use sockeye::{Class, Error, Result};
use std::fmt;
use std::str::FromStr;

/// What the names of Sockeye's own begin with.
const OWN: &str = "_sockeye-";
/// A label of a name in the DNS (RFC 1035, section 2.3.4). RFC 6763 asks for 16 bytes, which old types exceed.
const MAX_LABEL: usize = 63;

/// A type of service, such as `_ipp._tcp`.
///
/// ```
/// use sockeye_services::discovery::ServiceType;
/// let files = ServiceType::of("files", false);
/// assert_eq!(files.to_string(), "_sockeye-files._tcp");
/// assert_eq!(files.service(), Some("files"));
/// assert_eq!("_ipp._tcp.local.".parse::<ServiceType>()?.service(), None);
/// assert!("ipp".parse::<ServiceType>().is_err());
/// # Ok::<(), sockeye::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceType {
    /// With its underscore, in lower case: the DNS knows no other.
    label: String,
    packets: bool,
}

impl ServiceType {
    /// The type of a service of Sockeye's, over connections or in packets.
    pub fn of(service: &str, packets: bool) -> Self {
        ServiceType {
            label: format!("{OWN}{}", service.to_ascii_lowercase()),
            packets,
        }
    }

    /// Which of Sockeye's services it is.
    pub fn service(&self) -> Option<&str> {
        self.label.strip_prefix(OWN)
    }

    /// Whether it is one of packets.
    pub fn is_packet(&self) -> bool {
        self.packets
    }

    /// As the link knows it.
    pub(super) fn domain(&self) -> String {
        format!("{self}.local.")
    }
}

impl fmt::Display for ServiceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.label, if self.packets { "_udp" } else { "_tcp" })
    }
}

impl FromStr for ServiceType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let error = Error::new("parse service type", Class::General, "it is no type of DNS-SD");
            error
                .at(text.escape_debug())
                .advise("write one such as _ipp._tcp")
        };
        let plain = text.trim_end_matches('.').to_ascii_lowercase();
        let plain = plain.strip_suffix(".local").unwrap_or(&plain);
        let (label, protocol) = plain.split_once('.').ok_or_else(wrong)?;
        let name = label.strip_prefix('_').ok_or_else(wrong)?;
        let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        let packets = match protocol {
            "_tcp" => false,
            "_udp" => true,
            _ => return Err(wrong()),
        };
        if name.is_empty() || label.len() > MAX_LABEL || !name.chars().all(fits) {
            return Err(wrong());
        }
        let label = label.to_owned();
        Ok(ServiceType { label, packets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;

    #[test]
    fn types_are_read_as_they_are_written() {
        for (text, read) in [
            ("_ipp._tcp", "_ipp._tcp"),
            ("_IPP._TCP.local.", "_ipp._tcp"),
            ("_sockeye-echo._udp.", "_sockeye-echo._udp"),
        ] {
            assert_eq!(text.parse::<ServiceType>().expect(text).to_string(), read);
        }
        let long = format!("_{}._tcp", "a".repeat(MAX_LABEL));
        for text in [
            "",
            "_",
            "ipp",
            "_ipp",
            "ipp._tcp",
            "_._tcp",
            "_a b._tcp",
            "_a._sub._ipp._tcp",
            "_a._sctp",
            &long,
        ] {
            let error = text.parse::<ServiceType>().expect_err(text).to_string();
            assert!(error.ends_with("write one such as _ipp._tcp"), "{error}");
        }
    }

    #[test]
    fn every_service_has_a_name_that_fits() {
        for service in catalog::ALL {
            let kind = ServiceType::of(service.name, false);
            assert!(
                kind.label.len() <= 16,
                "{kind}: RFC 6335 has 15 bytes and an underscore"
            );
            assert_eq!(kind.to_string().parse::<ServiceType>().expect("a type"), kind);
        }
    }
}
