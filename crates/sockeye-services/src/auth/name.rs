//! Names of accounts.

use std::borrow::Cow;

/// The most characters of a name: any more than that nobody types.
pub const MAX_NAME: usize = 64;
/// The most bytes: a folder may be named after it, and its name has 255 with what is put around it.
const MAX_BYTES: usize = 192;

/// Whether an account may be named so: 1 to 64 letters (of any script), digits, `.`, `_` and `-`, no dot first; and in the one
/// form in which Unicode writes it (NFKC), so that no two names look the same for that.
///
/// ```
/// use sockeye_services::auth::is_name;
/// assert!(is_name("anna") && is_name("小明") && is_name("a.b-c_1"));
/// assert!(!is_name("") && !is_name(".ssh") && !is_name("a/b") && !is_name("a b"));
/// ```
pub fn is_name(text: &str) -> bool {
    let allowed = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-');
    text.len() <= MAX_BYTES
        && (1..=MAX_NAME).contains(&text.chars().count())
        && !text.starts_with('.')
        && text.chars().all(allowed)
        && stringprep::saslprep(text).is_ok_and(|prepared| prepared == Cow::Borrowed(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_folders_can_be_called() {
        for good in ["a", "Anna-Maria", "张三", "ünal", "x_1.y", "9"] {
            assert!(is_name(good), "{good}");
        }
        let long = "a".repeat(MAX_NAME + 1);
        for bad in [
            "",
            ".",
            "..",
            ".a",
            "a/b",
            "a\\b",
            "a\0",
            "a\n",
            "a b",
            "u\u{308}nal",
            "ﬁ",
            "a@b",
            &long,
        ] {
            assert!(!is_name(bad), "{bad:?}");
        }
        assert!(is_name(&long[1..]));
        assert!(!is_name(&"𠀀".repeat(MAX_NAME)), "too long for a folder");
    }
}
