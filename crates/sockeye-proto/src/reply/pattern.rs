//! The left side of a rule: a glob or a regular expression.

use std::fmt::Write as _;

use regex::{Captures, Regex, RegexBuilder};

use super::{BLANKS, MAX_COMPILED, Problem};

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// A glob without a wildcard: this very text. The commonest kind, and the cheapest to keep.
    Exact(String),
    /// A glob with wildcards.
    Glob(Regex),
    /// A regular expression of the user's.
    Regex(Regex),
}

/// The text of a pattern, not yet compiled.
pub(super) enum Source<'a> {
    Glob(&'a str),
    Regex { expression: &'a str, flags: &'a str },
}

/// What a match can be asked for.
pub(super) enum Groups<'a> {
    Whole(&'a str),
    Captured(Captures<'a>),
}

/// Parts a rule into its pattern and the rest, which begins at the arrow unless it is missing.
pub(super) fn split(line: &str) -> Result<(Source<'_>, &str), Problem> {
    if let Some(rest) = line.strip_prefix('/') {
        let end = find_unescaped(rest, "/").ok_or(Problem::UnclosedRegex)?;
        let (expression, rest) = (&rest[..end], &rest[end + 1..]);
        let flags = rest
            .find(|c: char| BLANKS.contains(&c) || c == '=')
            .unwrap_or(rest.len());
        let (flags, rest) = rest.split_at(flags);
        return Ok((Source::Regex { expression, flags }, rest));
    }
    let arrow = find_unescaped(line, "=>").ok_or(Problem::NoArrow)?;
    let (glob, rest) = line.split_at(arrow);
    match glob.trim_end_matches(BLANKS) {
        "" => Err(Problem::NoPattern),
        glob => Ok((Source::Glob(glob), rest)),
    }
}

/// Where `what` (ASCII) first stands in `text` with no backslash before it that is itself a sign.
fn find_unescaped(text: &str, what: &str) -> Option<usize> {
    let (bytes, mut at) = (text.as_bytes(), 0);
    while at < bytes.len() {
        if bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at..].starts_with(what.as_bytes()) {
            return Some(at);
        } else {
            at += 1;
        }
    }
    None
}

impl Source<'_> {
    pub(super) fn compile(&self) -> Result<Pattern, Problem> {
        match self {
            Source::Glob(glob) => compile_glob(glob),
            Source::Regex { expression, flags } => {
                let mut builder = RegexBuilder::new(expression);
                for flag in flags.chars() {
                    match flag {
                        'i' => builder.case_insensitive(true),
                        'm' => builder.multi_line(true),
                        's' => builder.dot_matches_new_line(true),
                        'x' => builder.ignore_whitespace(true),
                        other => return Err(Problem::Flag(other)),
                    };
                }
                build(&mut builder).map(Pattern::Regex)
            }
        }
    }
}

impl Pattern {
    pub(super) fn is_match(&self, message: &str) -> bool {
        match self {
            Pattern::Exact(text) => text == message,
            Pattern::Glob(regex) | Pattern::Regex(regex) => regex.is_match(message),
        }
    }

    pub(super) fn captures<'a>(&self, message: &'a str) -> Option<Groups<'a>> {
        match self {
            Pattern::Exact(_) | Pattern::Glob(_) => self.is_match(message).then_some(Groups::Whole(message)),
            Pattern::Regex(regex) => regex.captures(message).map(Groups::Captured),
        }
    }

    /// The number of the group with this number or name.
    pub(super) fn group(&self, name: &str) -> Option<usize> {
        let number = name.parse().ok();
        match self {
            Pattern::Exact(_) | Pattern::Glob(_) => number.filter(|&group| group == 0),
            Pattern::Regex(regex) => number
                .filter(|&group| group < regex.captures_len())
                .or_else(|| regex.capture_names().position(|known| known == Some(name))),
        }
    }
}

impl Groups<'_> {
    /// What the group captured; empty if it took no part in the match.
    pub(super) fn group(&self, group: usize) -> &str {
        match self {
            Groups::Whole(message) => message,
            Groups::Captured(captures) => captures.get(group).map_or("", |found| found.as_str()),
        }
    }
}

fn build(builder: &mut RegexBuilder) -> Result<Regex, Problem> {
    // Each thread that matches keeps a cache of automaton states per expression, up to this size
    // (the crate's default is 2 MiB, and there may be a thousand rules).
    builder.size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED / 4);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => Problem::RegexTooLarge,
        // The crate draws the place over several lines; the last one names the error.
        other => {
            let text = other.to_string();
            let cause = text.lines().last().unwrap_or_default();
            Problem::Regex(cause.trim_start_matches("error: ").to_owned())
        }
    })
}

/// Translates a glob: as a text if it has no wildcard, else as an expression for the whole message.
fn compile_glob(glob: &str) -> Result<Pattern, Problem> {
    let mut text = String::new();
    let mut expression = String::from(r"(?s)\A");
    let mut wild = false;
    let mut signs = glob.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            '[' => signs = translate_set(signs.as_str(), &mut expression)?.chars(),
            _ => {
                let literal = if sign == '\\' {
                    unescape(signs.next())?
                } else {
                    sign
                };
                text.push(literal);
                push_literal(literal, &mut expression);
                continue;
            }
        }
        wild = true;
    }
    if !wild {
        return Ok(Pattern::Exact(text));
    }
    expression.push_str(r"\z");
    build(&mut RegexBuilder::new(&expression)).map(Pattern::Glob)
}

/// Translates a set whose `[` has been read, and returns what follows its `]`. A `]` that stands
/// first is a member, as in every shell.
fn translate_set<'a>(set: &'a str, expression: &mut String) -> Result<&'a str, Problem> {
    expression.push('[');
    let mut rest = set;
    if let Some(members) = rest.strip_prefix(['!', '^']) {
        expression.push('^');
        rest = members;
    }
    let mut first = true;
    loop {
        if !first && let Some(after) = rest.strip_prefix(']') {
            expression.push(']');
            return Ok(after);
        }
        first = false;
        let low;
        (low, rest) = member(rest)?;
        push_literal(low, expression);
        // A hyphen before the end stands for itself.
        if let Some(range) = rest.strip_prefix('-').filter(|range| !range.starts_with(']')) {
            let high;
            (high, rest) = member(range)?;
            if low > high {
                return Err(Problem::Range(low, high));
            }
            expression.push('-');
            push_literal(high, expression);
        }
    }
}

/// The first member of a set, and what follows it.
fn member(set: &str) -> Result<(char, &str), Problem> {
    let mut signs = set.chars();
    let member = match signs.next().ok_or(Problem::UnclosedSet)? {
        '\\' => unescape(signs.next())?,
        sign => sign,
    };
    Ok((member, signs.as_str()))
}

/// What a sign means after a backslash, in a glob.
fn unescape(sign: Option<char>) -> Result<char, Problem> {
    match sign {
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some(sign) if !sign.is_ascii_alphanumeric() => Ok(sign),
        Some(letter) => Err(Problem::Escape(format!("\\{letter}"))),
        None => Err(Problem::Escape("\\".to_owned())),
    }
}

/// Writes a character so that it means itself anywhere in an expression.
fn push_literal(literal: char, expression: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(expression, r"\u{{{:x}}}", u32::from(literal));
}
