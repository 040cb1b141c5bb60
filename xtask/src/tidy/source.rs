//! A Rust file as the rules see it: code with comments and the inside of strings blanked, the comments apart,
//! and which lines are tests.

/// One Rust file.
pub(super) struct Source {
    /// From the workspace's root.
    pub(super) path: String,
    /// The code; as many lines as the file has.
    pub(super) code: String,
    /// The comments; as many lines.
    pub(super) comments: String,
    /// Whether each line belongs to tests.
    tests: Vec<bool>,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        let tests = test_lines(path, &code);
        Self {
            path: path.to_owned(),
            code,
            comments,
            tests,
        }
    }

    /// The number, from 1, of the line that byte `at` of the code stands on.
    pub(super) fn line(&self, at: usize) -> usize {
        self.code.as_bytes()[..at].iter().filter(|&&b| b == b'\n').count() + 1
    }

    /// Whether line `number` (from 1) belongs to tests.
    pub(super) fn is_test(&self, number: usize) -> bool {
        self.tests.get(number - 1).copied().unwrap_or(false)
    }

    /// Where `needle` stands in the code as a whole path or word: not inside a longer name, not the end of a longer path.
    pub(super) fn words<'a>(&'a self, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
        let code = self.code.as_str();
        code.match_indices(needle).map(|(at, _)| at).filter(move |&at| {
            let (before, after) = (&code[..at], &code[at + needle.len()..]);
            let starts = !needle.starts_with(in_name) || !before.ends_with(|c| in_name(c) || c == ':');
            let ends = !needle.ends_with(in_name) || !after.starts_with(in_name);
            starts && ends
        })
    }
}

/// Whether the character can stand in a name.
pub(super) fn in_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The byte of `code` where the bracket that opens at byte `open` closes.
pub(super) fn closing(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0;
    for (i, b) in code.bytes().enumerate().skip(open) {
        match b {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth == 1 => return Some(i),
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Tests by place (`tests/`, `benches/`, `fuzz/`, `tests.rs`) or by `#[cfg(test)]`.
fn test_lines(path: &str, code: &str) -> Vec<bool> {
    let by_place = path
        .split('/')
        .any(|part| ["tests", "benches", "fuzz", "tests.rs"].contains(&part));
    let mut lines = vec![by_place; code.lines().count()];
    for marker in ["#[cfg(test)]", "#[cfg(all(test"] {
        for (at, _) in code.match_indices(marker) {
            let end = item_end(code, at).unwrap_or(code.len());
            let number = |at: usize| code[..at].matches('\n').count();
            let (first, last) = (number(at), number(end).min(lines.len().saturating_sub(1)));
            lines[first..=last].fill(true);
        }
    }
    lines
}

/// Where the item whose attribute stands at `at` ends: its `;`, or the bracket that closes its body.
fn item_end(code: &str, at: usize) -> Option<usize> {
    let mut i = at;
    loop {
        match code.as_bytes().get(i)? {
            b'{' => return closing(code, i),
            b';' => return Some(i),
            b'(' | b'[' => i = closing(code, i)?,
            _ => {}
        }
        i += 1;
    }
}

/// The text's code and its comments, each with blanks where the other (or the inside of a string) stands.
fn split(text: &str) -> (String, String) {
    let chars: Vec<char> = text.chars().collect();
    let mut out = Split::default();
    let mut i = 0;
    while i < chars.len() {
        let rest = &chars[i..];
        let in_a_name = i > 0 && in_name(chars[i - 1]);
        let (kind, length) = match rest {
            ['/', '/', ..] => (
                Kind::Comment,
                rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
            ),
            ['/', '*', ..] => (Kind::Comment, block_comment(rest)),
            ['"', ..] => (Kind::Text, string(rest)),
            ['r' | 'b' | 'c', ..] if !in_a_name => match raw_string(rest) {
                Some(length) => (Kind::Text, length),
                None => (Kind::Code, 1),
            },
            ['\'', ..] => match character(rest) {
                Some(length) => (Kind::Text, length),
                None => (Kind::Code, 1),
            },
            _ => (Kind::Code, 1),
        };
        for &c in &rest[..length] {
            out.push(&kind, c);
        }
        i += length;
    }
    (out.code, out.comments)
}

enum Kind {
    Code,
    Comment,
    Text,
}

#[derive(Default)]
struct Split {
    code: String,
    comments: String,
}

impl Split {
    fn push(&mut self, kind: &Kind, c: char) {
        let (code, comment) = match kind {
            _ if c == '\n' => ('\n', '\n'),
            Kind::Code => (c, ' '),
            Kind::Comment => (' ', c),
            Kind::Text => (' ', ' '),
        };
        self.code.push(code);
        self.comments.push(comment);
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut i) = (0, 0);
    while i < rest.len() {
        match rest[i..] {
            ['/', '*', ..] => (depth, i) = (depth + 1, i + 2),
            ['*', '/', ..] if depth == 1 => return i + 2,
            ['*', '/', ..] => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
    }
    rest.len()
}

fn string(rest: &[char]) -> usize {
    let mut i = 1;
    while i < rest.len() {
        match rest[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    rest.len()
}

/// The length of `r"…"`, `r#"…"#`, `br"…"`, `cr"…"`, if it is one.
fn raw_string(rest: &[char]) -> Option<usize> {
    let prefix = rest.iter().take(2).position(|&c| c == 'r')? + 1;
    let hashes = rest[prefix..].iter().take_while(|&&c| c == '#').count();
    if rest.get(prefix + hashes) != Some(&'"') {
        return None;
    }
    let body = prefix + hashes + 1;
    let closes = |i: usize| {
        rest[i] == '"' && rest[i + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes
    };
    let end = (body..rest.len())
        .find(|&i| closes(i))
        .map_or(rest.len(), |i| i + 1 + hashes);
    Some(end)
}

/// The length of a character literal; none where the quote begins a lifetime.
fn character(rest: &[char]) -> Option<usize> {
    match rest {
        ['\'', '\\', _, tail @ ..] => Some(3 + tail.iter().position(|&c| c == '\'').map_or(0, |i| i + 1)),
        ['\'', _, '\'', ..] => Some(3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::new("crates/x/src/lib.rs", text).code
    }

    #[test]
    fn strings_and_comments_are_blank() {
        for (text, seen) in [
            (r#"a("b\"c") // d"#, "a(      )     "),
            (r##"r#"x"y"# z"##, "         z"),
            (r#"br"x" r#type"#, "      r#type"),
            ("/* a /* b */ c */d", "                 d"),
            ("&'a str, '\"', '\\'', b'x'", "&'a str,    ,     , b   "),
        ] {
            assert_eq!(code(text), seen, "{text}");
        }
    }

    #[test]
    fn lines_of_tests() {
        let source = Source::new(
            "crates/x/src/lib.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests {\n  x\n}\nfn b() {}\n",
        );
        assert_eq!(
            (1..=6).map(|n| source.is_test(n)).collect::<Vec<_>>(),
            [false, true, true, true, true, false]
        );
        assert!(Source::new("crates/x/tests/a/b.rs", "fn a() {}").is_test(1));
    }

    #[test]
    fn words_are_whole() {
        let source = Source::new("a.rs", "unsafe_code unsafe std::thread::sleep thread::sleep");
        assert_eq!(source.words("unsafe").collect::<Vec<_>>(), [12]);
        assert_eq!(source.words("thread::sleep").count(), 1);
    }
}
