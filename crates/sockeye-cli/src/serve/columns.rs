//! Two columns of text, for help and for errors.

use std::fmt::Write;

/// What every terminal has.
const WIDTH: usize = 80;

/// A line of two columns, the second broken between words; a first one that is too wide has a line of its own.
pub(super) fn row(text: &mut String, width: usize, left: &str, right: &str) {
    let mut line = match left.len() <= width {
        true => format!("  {left:width$} "),
        false => format!("  {left}\n  {:width$} ", ""),
    };
    let mut length = width + 3;
    for word in right.split(' ') {
        let added = word.chars().count() + 1;
        if length + added > WIDTH && length > width + 3 {
            let _ = write!(line, "\n  {:width$} ", ""); // writing to a String can't fail
            length = width + 3;
        }
        line.push(' ');
        line.push_str(word);
        length += added;
    }
    text.push_str(&line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::row;

    #[test]
    fn lines_are_broken_between_words() {
        let mut text = String::new();
        row(&mut text, 5, "a", &["word"; 20].join(" "));
        row(&mut text, 5, "longer", "b");
        let words = |count| ["word"; 20][..count].join(" ");
        let expected = format!(
            "  a      {}\n         {}\n  longer\n         b\n",
            words(14),
            words(6)
        );
        assert_eq!(text, expected);
    }
}
