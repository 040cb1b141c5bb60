//! Names with `*`, `?` and `[…]` in them, as a shell reads them.

#[cfg(any(test, fuzzing))]
pub(crate) mod property;

/// Whether a text is more than a plain name.
pub fn is_wild(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether a name is one that the pattern means: `*` stands for any characters, `?` for one, `[a-z]` for one of these,
/// `[!a-z]` for one of the others. As in a shell, a leading dot is meant only by a dot.
///
/// ```
/// use sockeye_services::files::client::wildcard::matches;
/// assert!(matches("*.t?t", "a.txt") && matches("[a-c]*", "b") && !matches("*", ".hidden"));
/// ```
pub fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on when it doesn't fit: behind the last star, which then stands for one character more. No earlier star
    // needs to be tried again, so that no pattern takes longer than pattern times name.
    let mut again = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            again = Some((p, n));
            p += 1;
        } else if let Some(next) = one(&pattern, p, name[n]) {
            (p, n) = (next, n + 1);
        } else if let Some((star, stood)) = again {
            again = Some((star, stood + 1));
            (p, n) = (star + 1, stood + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Where the pattern goes on if what stands at `p` means this character.
fn one(pattern: &[char], p: usize, c: char) -> Option<usize> {
    match pattern.get(p)? {
        '?' => Some(p + 1),
        '[' => match class(&pattern[p + 1..], c) {
            Some((meant, length)) => meant.then_some(p + 1 + length),
            None => (c == '[').then_some(p + 1), // it is never closed: a bracket like any character
        },
        own => (*own == c).then_some(p + 1),
    }
}

/// Whether the class means the character, and how long it is with its closing bracket; `None` where it has none.
fn class(inside: &[char], c: char) -> Option<(bool, usize)> {
    let others = matches!(inside.first(), Some('!' | '^'));
    let begin = usize::from(others);
    // A bracket in the first place stands for itself.
    let end = (begin + 1..inside.len()).find(|at| inside[*at] == ']')?;
    let (mut at, mut meant) = (begin, false);
    while at < end {
        if at + 2 < end && inside[at + 1] == '-' {
            meant |= (inside[at]..=inside[at + 2]).contains(&c);
            at += 3;
        } else {
            meant |= inside[at] == c;
            at += 1;
        }
    }
    Some((meant != others, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("", "", true),
            ("*", "", true),
            ("*", "a.txt", true),
            ("*.txt", "a.txt", true),
            ("*.txt", "a.txt.gz", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("?", "字", true),
            ("?", "", false),
            ("[0-9]*", "7up", true),
            ("[!0-9]*", "7up", false),
            ("[^0-9]*", "up", true),
            ("[]]", "]", true),
            ("[a", "[a", true),
            ("*", ".profile", false),
            (".*", ".profile", true),
            ("a[x-", "a[x-", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        assert!(!matches(&"*a".repeat(100), &"a".repeat(99)));
        assert!(!matches(&format!("{}b", "a*".repeat(200)), &"a".repeat(2000)));
    }
}
