//! Values with a form of their own in JSON: hashes, times, names of uploads.

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

/// The name of an upload, of its client's choice: 16 bytes at random, as 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadName(pub [u8; 16]);

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z, a string of digits in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Mtime(pub i64);

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let pairs: &[[u8; 2]; N] = pairs.try_into().ok()?;
    let mut bytes = [0; N];
    let mut wrong = 0;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (DIGITS[usize::from(*high)], DIGITS[usize::from(*low)]);
        *byte = high << 4 | low & 15;
        wrong |= high | low;
    }
    (wrong < 16).then_some(bytes)
}

/// What each letter is worth; what is no digit 255.
const DIGITS: [u8; 256] = {
    let mut digits = [255; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0; 64];
    let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    let text = str::from_utf8(&text[..2 * bytes.len()]);
    f.pad(text.map_err(|_| fmt::Error)?) // they are ASCII
}

/// The ways between a value, its text and JSON; none of them needs memory for the text.
macro_rules! spelt {
    ($type:ident, $why:literal, $read:expr, $write:expr) => {
        impl FromStr for $type {
            type Err = WrongValue;

            fn from_str(text: &str) -> Result<Self, WrongValue> {
                let read: fn(&str) -> Option<$type> = $read;
                read(text).ok_or(WrongValue($why))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let write: fn(&$type, &mut fmt::Formatter<'_>) -> fmt::Result = $write;
                write(self, f)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a string: ")?;
                        f.write_str($why)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

spelt!(
    Hash,
    "a hash has 64 lower-case hexadecimal digits",
    |text| from_hex(text).map(Hash),
    |hash, f| write_hex(&hash.0, f)
);
spelt!(
    UploadName,
    "the name of an upload has 32 lower-case hexadecimal digits",
    |text| from_hex(text).map(UploadName),
    |name, f| write_hex(&name.0, f)
);
spelt!(
    Mtime,
    "a time is a string of digits, nanoseconds since 1970",
    |text| match text.starts_with('+') {
        true => None,
        false => text.parse().ok().map(Mtime),
    },
    |time, f| write!(f, "{}", time.0)
);
