//! Patterns of a user, names of a server.

use super::{is_wild, matches};

/// Beyond this the slow way takes too long.
const SHORT: usize = 12;

/// The pattern, NUL, and the name.
pub(crate) fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (pattern, name) = text.split_once('\0').unwrap_or((text, text));
    let meant = matches(pattern, name);
    assert!(is_wild(pattern) || meant == (pattern == name));
    let letters = |text: &str| text.chars().collect::<Vec<_>>();
    if !pattern.contains('[') && pattern.chars().count() <= SHORT && name.chars().count() <= SHORT {
        let hidden = name.starts_with('.') && !pattern.starts_with('.');
        assert_eq!(meant, !hidden && slowly(&letters(pattern), &letters(name)));
    }
}

/// Every way that the stars may fall.
fn slowly(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=name.len()).any(|from| slowly(rest, &name[from..])),
        ([one, pattern @ ..], [other, name @ ..]) => (*one == '?' || one == other) && slowly(pattern, name),
        _ => false,
    }
}
