//! Rules, from a user's file or command line, and a peer's message.

use sockeye_proto::reply::{MAX_ANSWER, MAX_RULES, Rules};

/// Rules are read or refused, and what they answer is within its limit. What is wrong with one says where, and carries no
/// control character to a terminal.
pub(crate) fn rules_are_read_or_refused(text: &str, message: &str) {
    for read in [Rules::parse(text), Rules::parse_inline(text)] {
        match read {
            Ok(rules) => {
                assert!(rules.len() <= MAX_RULES && rules.literals().count() == rules.len());
                if let Some(answer) = rules.answer(message) {
                    assert!(answer.text.len() <= MAX_ANSWER);
                }
            }
            Err(error) => {
                assert!(error.number >= 1);
                assert!(!error.to_string().contains(char::is_control), "{error:?}");
            }
        }
    }
}

/// A glob in which every sign is escaped matches its own text and nothing else.
pub(crate) fn an_escaped_glob_matches_its_own_text_only(text: &str, other: &str) {
    let glob: String = text
        .chars()
        .map(|sign| match sign {
            '\n' => r"\n".to_owned(),
            '\r' => r"\r".to_owned(),
            '\t' => r"\t".to_owned(),
            ' ' => "[ ]".to_owned(),
            sign if sign.is_ascii_punctuation() => format!("\\{sign}"),
            sign => sign.to_string(),
        })
        .collect();
    // Not in the first line, where a byte order mark is the file's and not the pattern's.
    let rules = Rules::parse(&format!("\n{glob} => yes")).expect("a rule");
    assert!(rules.answer(text).is_some());
    assert_eq!(rules.answer(other).is_some(), other == text);
}

/// Rules, NUL, and a message.
pub(crate) fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (rules, message) = text.split_once('\0').unwrap_or((text, ""));
    rules_are_read_or_refused(rules, message);
    // Longer ones are refused as rules.
    if (1..1000).contains(&message.len()) {
        an_escaped_glob_matches_its_own_text_only(message, rules);
    }
}
