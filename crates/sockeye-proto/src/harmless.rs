//! Words of a peer, so that a terminal shows them and does nothing else: the one place that says which characters are
//! harmful.
//!
//! ```
//! use sockeye_proto::harmless::{json, lines, text};
//!
//! assert_eq!(text("名\u{1b}[2J\n\u{202e}"), r"名\u{1b}[2J\n\u{202e}");
//! assert_eq!(lines("one\ntwo\u{9b}"), "one\ntwo\\u{9b}");
//! assert_eq!(json("\"\u{9b}\u{2028}\""), r#""\u009b\u2028""#);
//! ```

/// Whether a terminal does something else with it than to show it. These are the control characters (U+0000 to U+001F, U+007F to
/// U+009F), the marks that turn the direction of writing, which could make a name look like another (Unicode UAX #9), and the
/// separators of lines and paragraphs, with which a name would forge a line. None is beyond the first 65,536 characters.
pub fn steers(letter: char) -> bool {
    let turns = matches!(
        letter,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    letter.is_control() || turns || matches!(letter, '\u{2028}' | '\u{2029}')
}

/// A text in one line, with what is harmful in it written out, as `\u{9b}`.
pub fn text(text: &str) -> String {
    written(text, |letter| {
        steers(letter).then(|| letter.escape_default().to_string())
    })
}

/// The same for a text of several lines, which stay lines.
pub fn lines(text: &str) -> String {
    written(text, |letter| {
        (steers(letter) && letter != '\n').then(|| letter.escape_default().to_string())
    })
}

/// The same for JSON, which then says what it said, as `\u009b`: by itself JSON lets all but the first 32 characters stand.
/// Newlines are none of its strings'.
pub fn json(json: &str) -> String {
    written(json, |letter| {
        (steers(letter) && letter != '\n').then(|| format!("\\u{:04x}", u32::from(letter)))
    })
}

fn written(text: &str, instead: impl Fn(char) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match instead(letter) {
            Some(words) => out.push_str(&words),
            None => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_written_out_and_nothing_else() {
        let turns =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        for letter in (0..0x20)
            .chain(0x7f..0xa0)
            .filter_map(char::from_u32)
            .chain(turns.chars())
            .chain("\u{2028}\u{2029}".chars())
        {
            let one = letter.to_string();
            for shown in [text(&one), lines(&one), json(&one)] {
                assert!(
                    shown.is_ascii() && shown.starts_with('\\') || shown == "\n",
                    "{letter:?}: {shown:?}"
                );
            }
            let quoted = json(&serde_json::to_string(&one).expect("JSON"));
            assert!(!quoted.contains(steers), "{quoted:?}");
            assert_eq!(serde_json::from_str::<String>(&quoted).expect("JSON"), one);
        }
        for harmless in ["a b", "é", "字。", "🐟", "👩\u{200d}🚀", "עברית", "\\n", "\u{a0}"] {
            assert_eq!([text(harmless), lines(harmless), json(harmless)], [harmless; 3]);
        }
    }
}
