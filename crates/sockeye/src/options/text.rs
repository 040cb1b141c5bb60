//! An option's value from its text.

use std::time::Duration;

use crate::error::{Class, Error, Result};
use crate::units::{parse_duration, parse_size};

/// A type that an option's value can have.
pub(super) trait FromText: Sized {
    fn from_text(text: &str) -> Result<Self>;
}

fn wrong(why: &str, advice: &str) -> Error {
    Error::new("set option", Class::General, why).advise(advice)
}

impl FromText for bool {
    fn from_text(text: &str) -> Result<Self> {
        match text {
            "" | "true" | "on" | "yes" | "1" => Ok(true),
            "false" | "off" | "no" | "0" => Ok(false),
            _ => Err(wrong("it is neither true nor false", "write true or false")),
        }
    }
}

impl FromText for u8 {
    fn from_text(text: &str) -> Result<Self> {
        text.parse()
            .map_err(|_| wrong("it is no number from 0 to 255", "write it in digits"))
    }
}

impl FromText for u32 {
    fn from_text(text: &str) -> Result<Self> {
        let hexadecimal = text
            .strip_prefix("0x")
            .map(|digits| u32::from_str_radix(digits, 16));
        let number = hexadecimal.unwrap_or_else(|| text.parse());
        number.map_err(|_| {
            wrong(
                "it is no number of 32 bits",
                "write it in digits, or as 0x and hexadecimal digits",
            )
        })
    }
}

/// A size in bytes.
impl FromText for usize {
    fn from_text(text: &str) -> Result<Self> {
        let size = parse_size(text)?;
        usize::try_from(size).map_err(|_| wrong("that is too much", "write 512, 64KiB or 10MiB"))
    }
}

impl FromText for Duration {
    fn from_text(text: &str) -> Result<Self> {
        parse_duration(text)
    }
}

/// A duration, or nothing.
impl FromText for Option<Duration> {
    fn from_text(text: &str) -> Result<Self> {
        match text {
            "off" | "no" | "false" => Ok(None),
            _ => parse_duration(text).map(Some),
        }
    }
}

/// A name: of an interface, of an algorithm.
impl FromText for String {
    fn from_text(text: &str) -> Result<Self> {
        match text.is_empty() || text.contains('\0') {
            true => Err(wrong("the name is missing", "write a name")),
            false => Ok(text.to_owned()),
        }
    }
}
