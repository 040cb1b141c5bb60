//! What stands in a certificate (X.509, RFC 5280).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use x509_parser::der_parser::Oid;
use x509_parser::objects::{oid_registry, oid2sn};
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// One certificate of a chain.
#[derive(Debug, Serialize)]
pub(super) struct Certificate {
    /// The SHA-256 digest of the whole, 64 hexadecimal digits.
    pub(super) sha256: String,
    /// Why nothing more can be said of it.
    pub(super) unreadable: Option<String>,
    #[serde(flatten)]
    pub(super) words: Option<Words>,
}

/// What it says.
#[derive(Debug, Serialize)]
pub(super) struct Words {
    pub(super) subject: String,
    pub(super) issuer: String,
    /// The names and addresses that it is for (subject alternative names).
    pub(super) names: Vec<String>,
    pub(super) serial: String,
    pub(super) not_before: String,
    pub(super) not_after: String,
    /// Whole days until it ends; below zero when it has ended.
    pub(super) days_left: i64,
    pub(super) key: String,
    pub(super) key_bits: Option<usize>,
    pub(super) signature: String,
}

impl Certificate {
    pub(super) fn read(der: &[u8]) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let sha256 = sockeye::fingerprint(der)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        match X509Certificate::from_der(der) {
            Ok((_, certificate)) => Certificate {
                sha256,
                unreadable: None,
                words: Some(words(&certificate, now)),
            },
            Err(error) => Certificate {
                sha256,
                unreadable: Some(error.to_string()),
                words: None,
            },
        }
    }
}

fn words(certificate: &X509Certificate<'_>, now: i64) -> Words {
    let names = match certificate.subject_alternative_name() {
        Ok(Some(names)) => names.value.general_names.iter().map(name).collect(),
        Ok(None) | Err(_) => Vec::new(),
    };
    let (key, key_bits) = key(certificate.public_key());
    let validity = certificate.validity();
    Words {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        names,
        serial: certificate.raw_serial_as_string(),
        not_before: date(validity.not_before),
        not_after: date(validity.not_after),
        days_left: validity
            .not_after
            .timestamp()
            .saturating_sub(now)
            .div_euclid(SECONDS_PER_DAY),
        key,
        key_bits,
        signature: short_name(&certificate.signature_algorithm.algorithm),
    }
}

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            (*name).to_owned()
        }
        GeneralName::IPAddress(bytes) => address(bytes),
        other => other.to_string(),
    }
}

fn address(bytes: &[u8]) -> String {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Ipv4Addr::from(four).to_string();
    }
    match <[u8; 16]>::try_from(bytes) {
        Ok(sixteen) => Ipv6Addr::from(sixteen).to_string(),
        Err(_) => format!("an address of {} bytes", bytes.len()),
    }
}

/// The kind of key and how long it is.
fn key(info: &SubjectPublicKeyInfo<'_>) -> (String, Option<usize>) {
    let algorithm = info.algorithm.algorithm.to_id_string();
    match algorithm.as_str() {
        "1.3.101.112" => return ("Ed25519".to_owned(), Some(256)),
        "1.3.101.113" => return ("Ed448".to_owned(), Some(456)),
        _ => {}
    }
    match info.parsed() {
        Ok(PublicKey::RSA(key)) => ("RSA".to_owned(), Some(key.key_size())),
        Ok(PublicKey::EC(_)) => {
            let curve = info
                .algorithm
                .parameters
                .as_ref()
                .and_then(|curve| curve.as_oid().ok());
            match curve.map(|curve| curve.to_id_string()).as_deref() {
                Some("1.2.840.10045.3.1.7") => ("ECDSA P-256".to_owned(), Some(256)),
                Some("1.3.132.0.34") => ("ECDSA P-384".to_owned(), Some(384)),
                Some("1.3.132.0.35") => ("ECDSA P-521".to_owned(), Some(521)),
                Some(other) => (format!("ECDSA {other}"), None),
                None => ("ECDSA".to_owned(), None),
            }
        }
        _ => (short_name(&info.algorithm.algorithm), None),
    }
}

/// The usual name of an algorithm, else its number.
fn short_name(algorithm: &Oid<'_>) -> String {
    match oid2sn(algorithm, oid_registry()) {
        Ok(name) => name.to_owned(),
        Err(_) => algorithm.to_id_string(),
    }
}

/// As RFC 3339 writes it, in UTC.
fn date(time: ASN1Time) -> String {
    let time = time.to_datetime();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

#[cfg(test)]
mod tests {
    use sockeye::TlsServer;

    use super::*;

    #[test]
    fn a_certificate_is_read() {
        let server = TlsServer::self_signed(&["localhost", "127.0.0.1", "::1"]).expect("a certificate");
        let read = Certificate::read(server.certificate_der());
        assert_eq!(read.sha256.len(), 64);
        let words = read.words.expect("it is one");
        assert_eq!(words.subject, "CN=Sockeye");
        assert_eq!(words.issuer, words.subject);
        assert_eq!(words.names, ["localhost", "127.0.0.1", "::1"]);
        assert_eq!((words.key.as_str(), words.key_bits), ("ECDSA P-256", Some(256)));
        assert_eq!(words.signature, "ecdsa-with-SHA256");
        // A whole year from the second in which it was made.
        assert!((364..=365).contains(&words.days_left), "{}", words.days_left);
        assert!(words.not_before < words.not_after);
    }

    #[test]
    fn days_are_whole_and_go_below_zero() {
        let server = TlsServer::self_signed(&["localhost"]).expect("a certificate");
        let (_, certificate) = X509Certificate::from_der(server.certificate_der()).expect("it is one");
        let end = certificate.validity().not_after.timestamp();
        for (before_the_end, days) in [(SECONDS_PER_DAY, 1), (SECONDS_PER_DAY - 1, 0), (-1, -1)] {
            assert_eq!(words(&certificate, end - before_the_end).days_left, days);
        }
    }

    #[test]
    fn what_is_no_certificate_has_a_digest_only() {
        let read = Certificate::read(b"abc");
        assert!(read.sha256.starts_with("ba7816bf"));
        assert!(read.unreadable.is_some() && read.words.is_none());
    }
}
