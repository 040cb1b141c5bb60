//! Figures as people read them: three digits and a unit; names with an end.

/// What stands where there is no figure.
pub(super) const NONE: &str = "–";

/// A number per second: `812`, `48.9k`, `2.56M`.
pub(super) fn count(value: f64) -> String {
    scaled(value, &[(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")])
}

/// Seconds: `5.02 µs`, `1.20 ms`.
pub(super) fn time(seconds: f64) -> String {
    scaled(
        seconds,
        &[(1.0, " s"), (1e-3, " ms"), (1e-6, " µs"), (1e-9, " ns")],
    )
}

/// Bytes: `1.70 KiB`.
pub(super) fn bytes(value: f64) -> String {
    let units = [
        (1_073_741_824.0, " GiB"),
        (1_048_576.0, " MiB"),
        (1024.0, " KiB"),
        (1.0, " B"),
    ];
    scaled(value, &units)
}

/// A size as it was asked for, exactly: `64 B`, `16 KiB`.
pub(super) fn size(bytes: usize) -> String {
    let text = sockeye::format_size(bytes as u64);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    format!("{number} {unit}")
}

/// A ratio: `1.00`.
pub(super) fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

/// A count beside all that there were, in per cent: the two digits behind the point tell one in ten thousand.
pub(super) fn percent(count: u64, all: u64) -> f64 {
    match all {
        0 => 0.0,
        _ => count as f64 * 100.0 / all as f64,
    }
}

/// The beginning of a text, where all of it finds no room.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// With the greatest unit that leaves at least one, and three digits.
fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    // What would round to the next unit's first number belongs there: 999.7 is 1.00k.
    let fits = |(unit, _): &&(f64, &str)| value >= unit * 0.9995;
    let last = units.last();
    let Some((unit, name)) = units.iter().find(fits).or(last) else {
        return value.to_string();
    };
    let number = value / unit;
    let digits = match number {
        n if n >= 99.95 => 0,
        n if n >= 9.995 => 1,
        n if *unit == 1.0 && name.is_empty() && n.fract() == 0.0 => 0,
        _ => 2,
    };
    format!("{number:.digits$}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        for (value, text) in [
            (0.0, "0"),
            (7.0, "7"),
            (812.4, "812"),
            (999.7, "1.00k"),
            (48_912.0, "48.9k"),
            (2_560_000.0, "2.56M"),
        ] {
            assert_eq!(count(value), text);
        }
        assert_eq!(time(5.02e-6), "5.02 µs");
        assert_eq!(time(0.012), "12.0 ms");
        assert_eq!(time(0.4e-9), "0.40 ns");
        assert_eq!(bytes(1740.8), "1.70 KiB");
        assert_eq!(bytes(300.0), "300 B");
        assert_eq!(size(16_384), "16 KiB");
        assert_eq!((percent(1, 4), percent(0, 0)), (25.0, 0.0));
    }

    #[test]
    fn long_names_are_cut_by_characters() {
        assert_eq!(shortened("чат-сервер", 4), "чат…");
        assert_eq!(shortened("abcd", 4), "abcd");
    }
}
