//! Values with a form of their own in JSON: hashes, times, names of uploads.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a text is no such value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WrongValue(&'static str);

/// A BLAKE3 hash: 64 lower-case hexadecimal digits.
///
/// ```
/// use sockeye_proto::files::Hash;
/// let text = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
/// assert_eq!(text.parse::<Hash>()?.to_string(), text);
/// assert!(text.to_uppercase().parse::<Hash>().is_err());
/// # Ok::<(), sockeye_proto::files::WrongValue>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(pub [u8; 32]);

/// The name of an upload, of its client's choice: 16 bytes at random, as 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UploadName(pub [u8; 16]);

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z, a string of digits in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mtime(pub i64);

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    }
}

fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    let pairs = bytes.iter().map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    pairs.flatten().collect()
}

/// The three ways between a value, its text and JSON.
macro_rules! spelt {
    ($type:ident, $why:literal, $read:expr, $write:expr) => {
        impl FromStr for $type {
            type Err = WrongValue;

            fn from_str(text: &str) -> Result<Self, WrongValue> {
                let read: fn(&str) -> Option<$type> = $read;
                read(text).ok_or(WrongValue($why))
            }
        }

        impl TryFrom<String> for $type {
            type Error = WrongValue;

            fn try_from(text: String) -> Result<Self, WrongValue> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> String {
                let write: fn($type) -> String = $write;
                write(value)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&String::from(*self))
            }
        }
    };
}

spelt!(
    Hash,
    "a hash has 64 lower-case hexadecimal digits",
    |text| from_hex(text).map(Hash),
    |hash| to_hex(&hash.0)
);
spelt!(
    UploadName,
    "the name of an upload has 32 lower-case hexadecimal digits",
    |text| from_hex(text).map(UploadName),
    |name| to_hex(&name.0)
);
spelt!(
    Mtime,
    "a time is a string of digits, nanoseconds since 1970",
    |text| match text.starts_with('+') {
        true => None,
        false => text.parse().ok().map(Mtime),
    },
    |time| time.0.to_string()
);
