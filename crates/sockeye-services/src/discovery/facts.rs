//! What Sockeye's services say of themselves in a TXT record (RFC 6763, section 6).

#[cfg(any(test, fuzzing))]
pub(crate) mod property;

/// The version of what the other keys mean, which stands first.
const TXT_VERSION: (&str, &str) = ("txtvers", "1");
/// The longest value that is kept: the longest of ours are the 64 digits of a fingerprint.
const MAX_VALUE: usize = 64;

/// What a service says of itself. It is a hint, and no more: anybody on the link can say it.
///
/// | key | |
/// |---|---|
/// | `txtvers` | 1, and first |
/// | `v` | the version of Sockeye |
/// | `tls` | it speaks TLS; the SHA-256 fingerprint of its certificate |
/// | `auth` | what is to be proved: `challenge`, `scram`, `cert`; `none` |
/// | `encoding` | the encoding of its texts, where it has any |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The version of Sockeye.
    pub version: Option<String>,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The fingerprint of its certificate.
    pub fingerprint: Option<[u8; 32]>,
    /// What is to be proved.
    pub auth: Option<String>,
    /// The encoding of its texts.
    pub encoding: Option<String>,
}

impl Facts {
    /// As keys and values, in the order in which they stand in the record.
    pub(super) fn to_txt(&self) -> Vec<(&'static str, String)> {
        let (key, value) = TXT_VERSION;
        let mut txt = vec![(key, value.to_owned())];
        let digits = |bytes: &[u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let tls = self
            .tls
            .then(|| self.fingerprint.as_ref().map(digits).unwrap_or_default());
        for (key, value) in [
            ("v", self.version.clone()),
            ("tls", tls),
            ("auth", self.auth.clone()),
            ("encoding", self.encoding.clone()),
        ] {
            txt.extend(value.map(|value| (key, value)));
        }
        txt
    }

    /// Out of a record. What can't be read, or is of another version, says nothing but that there is TLS.
    pub(super) fn of_txt(txt: &[(String, Vec<u8>)]) -> Self {
        let value = |key: &str| {
            let entry = txt.iter().find(|(known, _)| known.eq_ignore_ascii_case(key));
            entry.map(|(_, value)| value.as_slice())
        };
        let tls = value("tls");
        if value(TXT_VERSION.0) != Some(TXT_VERSION.1.as_bytes()) {
            return Facts {
                tls: tls.is_some(),
                ..Facts::default()
            };
        }
        let text = |key| {
            let value = value(key).filter(|value| !value.is_empty() && value.len() <= MAX_VALUE);
            value.and_then(|value| String::from_utf8(value.to_owned()).ok())
        };
        Facts {
            version: text("v"),
            tls: tls.is_some(),
            fingerprint: tls.and_then(bytes),
            auth: text("auth"),
            encoding: text("encoding"),
        }
    }
}

fn bytes(digits: &[u8]) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = digits.chunks_exact(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8))
        .collect();
    bytes.filter(|_| digits.len() == 64)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(txt: &[(&str, &str)]) -> Facts {
        let txt: Vec<_> = txt
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()))
            .collect();
        Facts::of_txt(&txt)
    }

    #[test]
    fn what_is_said_is_understood() {
        let facts = Facts {
            version: Some("0.1.0".to_owned()),
            tls: true,
            fingerprint: Some([0xab; 32]),
            auth: Some("scram".to_owned()),
            encoding: Some("gbk".to_owned()),
        };
        let txt = facts.to_txt();
        assert_eq!(txt[0], ("txtvers", "1".to_owned()));
        let txt: Vec<_> = txt.iter().map(|(key, value)| (*key, value.as_str())).collect();
        assert_eq!(heard(&txt), facts);
        assert_eq!(heard(&[("txtvers", "1")]), Facts::default());
    }

    #[test]
    fn what_makes_no_sense_says_nothing() {
        let long = "x".repeat(MAX_VALUE + 1);
        let facts = heard(&[("TXTVERS", "1"), ("tls", "0a"), ("auth", &long), ("v", "")]);
        assert_eq!(
            facts,
            Facts {
                tls: true,
                ..Facts::default()
            }
        );
        let facts = heard(&[("txtvers", "2"), ("tls", "x"), ("auth", "scram")]);
        assert_eq!(
            facts,
            Facts {
                tls: true,
                ..Facts::default()
            }
        );
    }
}
