//! Durations and sizes as people write them: `200ms`, `5s`, `64KiB`.
//!
//! Both are a whole number and a unit, without a space. Fractions are not taken: the next smaller unit says the same
//! without rounding. What [`format_duration`] and [`format_size`] print, the parsers read back exactly.

use std::time::Duration;

use crate::error::{Class, Error, Result};

/// Units of time in nanoseconds, greatest first.
const TIMES: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Binary units of size in bytes, greatest first: these are what [`format_size`] prints.
const SIZES: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Decimal units of size in bytes (SI), read but never printed.
const DECIMAL_SIZES: [(&str, u64); 4] = [
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
];

/// Reads a duration: a whole number and `h`, `m`, `s`, `ms`, `us` (or `µs`) or `ns`; a bare `0` needs no unit.
///
/// # Errors
/// [`Class::General`] when the text is anything else, or more than [`Duration::MAX`].
///
/// ```
/// use std::time::Duration;
/// assert_eq!(sockeye::parse_duration("50us")?, Duration::from_micros(50));
/// assert_eq!(sockeye::parse_duration("2m")?, Duration::from_secs(120));
/// let error = sockeye::parse_duration("5").unwrap_err();
/// assert_eq!(error.to_string(), "parse duration 5: the unit is missing; write 5s, 200ms, 50us or 2m");
/// # Ok::<(), sockeye::Error>(())
/// ```
pub fn parse_duration(text: &str) -> Result<Duration> {
    let wrong = |why: &str| {
        let error = Error::new("parse duration", Class::General, why).at(text.escape_debug());
        error.advise("write 5s, 200ms, 50us or 2m")
    };
    let (number, unit) = split(text).map_err(&wrong)?;
    let unit = match unit {
        "" if number == 0 => 1,
        "" => return Err(wrong("the unit is missing")),
        "µs" | "μs" => 1_000,
        _ => find(&TIMES, unit).ok_or_else(|| wrong("the unit is unknown"))?,
    };
    let nanoseconds = u128::from(number) * unit;
    let seconds = u64::try_from(nanoseconds / 1_000_000_000).map_err(|_| wrong("that is too long"))?;
    Ok(Duration::new(seconds, (nanoseconds % 1_000_000_000) as u32))
}

/// Prints a duration with the greatest unit that divides it; [`parse_duration`] reads it back when it fits in a
/// `u64` of that unit, which every duration under 584 years does.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(sockeye::format_duration(Duration::from_millis(1500)), "1500ms");
/// assert_eq!(sockeye::format_duration(Duration::from_secs(60)), "1m");
/// ```
pub fn format_duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    let (unit, size) = greatest(&TIMES, |size| nanoseconds.is_multiple_of(size));
    format!("{}{unit}", nanoseconds / size)
}

/// Reads a number of bytes: bare or with `B`; `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024); `KB`, `MB`, `GB`, `TB`
/// (powers of 1000). `K`, `M`, `G` alone mean the powers of 1024. Upper and lower case are the same.
///
/// # Errors
/// [`Class::General`] when the text is anything else, or more than 2⁶⁴ − 1 bytes.
///
/// ```
/// assert_eq!(sockeye::parse_size("64KiB")?, 65_536);
/// assert_eq!(sockeye::parse_size("64KB")?, 64_000);
/// assert_eq!(sockeye::parse_size("512")?, 512);
/// # Ok::<(), sockeye::Error>(())
/// ```
pub fn parse_size(text: &str) -> Result<u64> {
    let wrong = |why: &str| {
        let error = Error::new("parse size", Class::General, why).at(text.escape_debug());
        error.advise("write 512, 64KiB, 10MiB or 1GB")
    };
    let (number, unit) = split(text).map_err(&wrong)?;
    let unit = match unit {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" | "m" => 1 << 20,
        "G" | "g" => 1 << 30,
        _ => find(&SIZES, unit)
            .or_else(|| find(&DECIMAL_SIZES, unit))
            .ok_or_else(|| wrong("the unit is unknown"))?,
    };
    number.checked_mul(unit).ok_or_else(|| wrong("that is too much"))
}

/// Prints a number of bytes with the greatest binary unit that divides it; [`parse_size`] reads it back.
///
/// ```
/// assert_eq!(sockeye::format_size(65_536), "64KiB");
/// assert_eq!(sockeye::format_size(1_000), "1000B");
/// ```
pub fn format_size(bytes: u64) -> String {
    if bytes == 0 {
        return "0B".to_owned();
    }
    let (unit, size) = greatest(&SIZES, |size| bytes.is_multiple_of(size));
    format!("{}{unit}", bytes / size)
}

/// Parts the leading digits from the unit behind them.
fn split(text: &str) -> Result<(u64, &str), &'static str> {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    if digits.is_empty() {
        return Err("it does not start with a number");
    }
    Ok((digits.parse().map_err(|_| "the number is too great")?, unit))
}

fn find<N: Copy>(units: &[(&str, N)], name: &str) -> Option<N> {
    units
        .iter()
        .find(|(unit, _)| unit.eq_ignore_ascii_case(name))
        .map(|(_, size)| *size)
}

/// The first unit that fits, else the last of the table, which is 1 and divides everything.
fn greatest<N: Copy>(units: &[(&'static str, N)], fits: impl Fn(N) -> bool) -> (&'static str, N) {
    let found = units.iter().find(|(_, size)| fits(*size));
    *found.unwrap_or(&units[units.len() - 1])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_take_every_unit() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("7ns", 7),
            ("50us", 50_000),
            ("50µs", 50_000),
            ("200ms", 200_000_000),
            ("5s", 5_000_000_000),
            ("2m", 120_000_000_000),
            ("1h", 3_600_000_000_000),
        ] {
            assert_eq!(
                parse_duration(text).expect(text),
                Duration::from_nanos(nanoseconds),
                "{text}"
            );
        }
    }

    #[test]
    fn durations_refuse_what_is_unclear() {
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "1.5s",
            "5 s",
            "5parsecs",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            let error = parse_duration(text).expect_err(text);
            assert!(error.advice().is_some(), "{text}");
        }
    }

    #[test]
    fn sizes_take_binary_and_decimal_units() {
        for (text, bytes) in [
            ("0", 0),
            ("9B", 9),
            ("64KiB", 65_536),
            ("64k", 65_536),
            ("2M", 2 << 20),
            ("3gib", 3 << 30),
            ("5MB", 5_000_000),
        ] {
            assert_eq!(parse_size(text).expect(text), bytes, "{text}");
        }
        for text in [
            "",
            "K",
            "-1",
            "1.5K",
            "1 K",
            "5XB",
            "18446744073709551615K",
            "99999999999999999999",
        ] {
            parse_size(text).expect_err(text);
        }
    }

    proptest! {
        #[test]
        fn durations_round_trip(seconds in 0..1_u64 << 33, nanoseconds in 0..1_000_000_000_u32) {
            let duration = Duration::new(seconds, nanoseconds);
            prop_assert_eq!(parse_duration(&format_duration(duration))?, duration);
            let whole = Duration::from_secs(seconds);
            prop_assert_eq!(parse_duration(&format_duration(whole))?, whole);
        }

        #[test]
        fn sizes_round_trip(bytes: u64, shift in 0..50_u32) {
            let bytes = bytes >> shift << shift;
            prop_assert_eq!(parse_size(&format_size(bytes))?, bytes);
        }
    }
}
