//! The right side of a rule: text with escapes and groups.

use super::pattern::Pattern;
use super::{MAX_ANSWER, Problem};

/// An answer, ready to be filled in.
#[derive(Debug, Clone, Default)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Group(usize),
}

impl Template {
    /// Reads an answer, whose groups must be ones of `pattern`.
    pub(super) fn parse(answer: &str, pattern: &Pattern) -> Result<Template, Problem> {
        let mut template = Template::default();
        let mut rest = answer;
        while let Some(sign) = rest.chars().next() {
            rest = &rest[sign.len_utf8()..];
            match sign {
                '\\' => {
                    let literal;
                    (literal, rest) = unescape(rest)?;
                    template.push(literal);
                }
                '$' if rest.starts_with('$') => {
                    rest = &rest[1..];
                    template.push('$');
                }
                '$' => {
                    let name;
                    (name, rest) = group_name(rest)?;
                    let group = pattern.group(name);
                    let group = group.ok_or_else(|| Problem::NoGroup(name.to_owned()))?;
                    template.0.push(Part::Group(group));
                }
                literal => template.push(literal),
            }
        }
        Ok(template)
    }

    fn push(&mut self, literal: char) {
        match self.0.last_mut() {
            Some(Part::Text(text)) => text.push(literal),
            Some(Part::Group(_)) | None => self.0.push(Part::Text(literal.into())),
        }
    }

    pub(super) fn has_groups(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Group(_)))
    }

    /// The answer with its groups filled in, at most [`MAX_ANSWER`] bytes of it.
    pub(super) fn expand<'a>(&'a self, group: impl Fn(usize) -> &'a str) -> String {
        let mut answer = String::new();
        for part in &self.0 {
            let text = match part {
                Part::Text(text) => text,
                Part::Group(number) => group(*number),
            };
            let room = MAX_ANSWER - answer.len();
            answer.push_str(&text[..text.floor_char_boundary(room)]);
            if text.len() > room {
                break;
            }
        }
        answer
    }
}

/// The character that an escape stands for, its backslash read already, and what follows it.
fn unescape(rest: &str) -> Result<(char, &str), Problem> {
    let unknown = |length: usize| {
        let seen: String = rest.chars().take(length).collect();
        Problem::Escape(format!("\\{seen}"))
    };
    let mut signs = rest.chars();
    let literal = match signs.next() {
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some(sign @ ('\\' | ';' | '$')) => sign,
        Some('x') => {
            let digits = rest.get(1..3).ok_or_else(|| unknown(3))?;
            let code = hex(digits).ok_or_else(|| unknown(3))?;
            if code > 0x7f {
                return Err(Problem::NotAscii(format!("\\x{digits}")));
            }
            signs = rest[3..].chars();
            char::from_u32(code).ok_or_else(|| unknown(3))?
        }
        Some('u') => {
            let inner = rest[1..]
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'));
            let (digits, after) = inner.ok_or_else(|| unknown(2))?;
            signs = after.chars();
            hex(digits)
                .and_then(char::from_u32)
                .ok_or_else(|| unknown(digits.len() + 3))?
        }
        _ => return Err(unknown(1)),
    };
    Ok((literal, signs.as_str()))
}

/// The value of hexadecimal digits and nothing else: the standard parser would take a sign.
fn hex(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| plain)
}

/// The number or name of a group, its dollar read already, and what follows it.
fn group_name(rest: &str) -> Result<(&str, &str), Problem> {
    if let Some(braced) = rest.strip_prefix('{') {
        return braced.split_once('}').ok_or(Problem::Dollar);
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    match digits {
        0 => Err(Problem::Dollar),
        _ => Ok(rest.split_at(digits)),
    }
}
