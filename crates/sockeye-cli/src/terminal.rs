//! Words of peers, and times, for people at a terminal.

use std::io::{self, Write};
use std::sync::OnceLock;

use serde::Serialize;
use sockeye_proto::harmless;
pub(crate) use sockeye_proto::harmless::{lines, text as harmless};

/// Why standard output has not got all that was printed.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

/// Prints on standard output; false when that is closed, by `head` for one, which is nobody's failure, or can't be written to,
/// which makes the program [fail](unwritten) in the end.
pub(crate) fn print(text: &str) -> bool {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => true,
        Err(error) => {
            if error.kind() != io::ErrorKind::BrokenPipe {
                UNWRITTEN.get_or_init(|| error);
            }
            false
        }
    }
}

/// Why standard output has not got all that was printed, unless nobody wanted it.
pub(crate) fn unwritten() -> Option<&'static io::Error> {
    UNWRITTEN.get()
}

/// One object of JSON and a newline, for programs. What would steer a terminal is escaped, which JSON doesn't ask for.
pub(crate) fn json_line(object: &impl Serialize) -> String {
    // Nothing here has keys that are no strings, or numbers that JSON has not.
    let json = serde_json::to_string(object).unwrap_or_default();
    harmless::json(&json) + "\n"
}

/// The same for an object that people read, too: of many lines.
pub(crate) fn json_page(object: &impl Serialize) -> String {
    let json = serde_json::to_string_pretty(object).unwrap_or_default();
    harmless::json(&json) + "\n"
}

/// A time with three digits that matter.
pub(crate) fn format_micros(micros: u64) -> String {
    let milliseconds = micros as f64 / 1e3;
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{milliseconds:.2} ms"),
        10_000..100_000 => format!("{milliseconds:.1} ms"),
        100_000..1_000_000 => format!("{milliseconds:.0} ms"),
        _ => format!("{:.2} s", milliseconds / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn nothing_that_steers_a_terminal_gets_out() {
        let object = json!({"name": "a\u{9b}2J\x1b\x7f\n\u{202e}é🐟"});
        let line = json_line(&object);
        let expected = r#"{"name":"a\u009b2J\u001b\u007f\n\u202eé🐟"}"#;
        assert_eq!(line.strip_suffix('\n'), Some(expected));
        assert_eq!(serde_json::from_str::<Value>(&line).expect("JSON"), object);
    }

    #[test]
    fn times_are_short() {
        for (micros, text) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_234, "1.23 ms"),
            (12_345, "12.3 ms"),
            (123_456, "123 ms"),
            (1_234_567, "1.23 s"),
        ] {
            assert_eq!(format_micros(micros), text);
        }
    }
}
