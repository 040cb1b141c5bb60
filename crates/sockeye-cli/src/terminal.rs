//! Words of peers, and times, for people at a terminal.

use std::io::{self, Write};
use std::sync::OnceLock;

use serde::Serialize;

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

/// One object of JSON and a newline, for programs. JSON lets control characters beyond the first 32 stand as they are; they are
/// escaped all the same, for a terminal would obey them.
pub(crate) fn json_line(object: &impl Serialize) -> String {
    // Nothing here has keys that are no strings, or numbers that JSON has not.
    let json = serde_json::to_string(object).unwrap_or_default();
    let mut line = String::with_capacity(json.len() + 1);
    for letter in json.chars() {
        match steers(letter) {
            true => line.push_str(&format!("\\u{:04x}", u32::from(letter))),
            false => line.push(letter),
        }
    }
    line + "\n"
}

/// Whether a terminal does something else with it than to show it. Marks that turn the direction of writing could make a name look
/// like another. None is beyond the first 65,536 characters.
fn steers(letter: char) -> bool {
    let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    letter.is_control() || turns
}

/// What comes from a peer must not steer the terminal: control characters are written out.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if steers(letter) {
            out.extend(letter.escape_default());
        } else {
            out.push(letter);
        }
    }
    out
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
        assert_eq!(harmless("a\u{9b}\n\u{202e}é"), "a\\u{9b}\\n\\u{202e}é");
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
