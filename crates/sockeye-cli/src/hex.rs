//! Fingerprints as people write them.

/// Lower-case digits, nothing in between.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A fingerprint in digits of either case, with or without colons between its bytes.
pub(crate) fn parse_fingerprint(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "write the 64 hexadecimal digits of a SHA-256 fingerprint".to_owned();
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(wrong);
    let bytes: Result<Vec<u8>, String> = digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Ok((digit(*high)? << 4 | digit(*low)?) as u8),
            _ => Err(wrong()),
        })
        .collect();
    bytes?.try_into().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_written_in_several_ways() {
        let digits = "0aFf".repeat(16);
        let colons: Vec<&str> = (0..32).map(|at| &digits[2 * at..2 * at + 2]).collect();
        let read = parse_fingerprint(&digits).expect("digits");
        assert_eq!(parse_fingerprint(&colons.join(":")), Ok(read));
        assert_eq!(hex(&read), digits.to_lowercase());
        for bad in [
            "",
            "0a",
            "zz",
            &digits[1..],
            &format!("{digits}00"),
            &digits.replace('F', "g"),
        ] {
            assert!(parse_fingerprint(bad).is_err(), "{bad}");
        }
    }
}
