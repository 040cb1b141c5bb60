//! Rules from a message to its answer: the service `reply`.
//!
//! One rule a line; the first whose pattern matches the message gives the answer, and a message that
//! no rule matches gets none. A last rule `* => …` answers everything else.
//!
//! ```text
//! # What a line says                  what happens
//! hello        => hello to you       answer, and go on
//! 拜拜         =>! over               answer, and close the connection
//! quit         =>!                    close without a word
//! spam*        =>                     say nothing
//! /I am (\w+)/i => hello $1           a regular expression and what it captured
//! *            => 服务器已经收到你的信息
//! ```
//!
//! # Patterns
//!
//! A **glob** matches the whole message, case counts: `*` any text, `?` one character, `[a-z]` one
//! character of the set, `[!a-z]` one that is not. A backslash takes the meaning from the next sign:
//! `\*`, `\?`, `\[`, `\\`, `\=>`, and `\/` or `\#` at the start; `\n`, `\r` and `\t` are the
//! controls. Blanks around a pattern do not count; a blank that does is written `[ ]`.
//!
//! A **regular expression** stands between slashes and matches anywhere in the message unless it is
//! anchored (`^`, `$`); a slash within is written `\/`. After the second slash come the flags: `i` no
//! difference of case, `m` anchors at each line, `s` dot matches newlines too, `x` blanks in the
//! pattern do not count. The syntax is that of the crate [`regex`], which matches in time linear in
//! the message: no message makes a rule slow.
//!
//! # Answers
//!
//! `\n`, `\r`, `\t`, `\\`, `\;`, `\xHH` (an ASCII character) and `\u{H…}` (any) are escapes. Blanks
//! around an answer do not count; `\x20` does. `$0` is what matched, `$1` or `${1}` what the first
//! group captured, `${name}` a named group, `$$` a dollar. Nothing follows an answer but the newline
//! of a peer that ended its own message with one ([`Answer::followed_by`]).
//!
//! The mark of the close is part of the arrow, so no answer can be mistaken for it: `=> !` answers
//! with an exclamation mark.
//!
//! # From the command line
//!
//! There `;;` parts rules as a newline does ([`Rules::parse_inline`]): `hi => ho ;; * =>! bye`. An
//! answer with two semicolons is written `\;;` there.

mod answer;
mod pattern;

use std::borrow::Cow;

use answer::Template;
use pattern::Pattern;

/// The most rules of one set. Each message may be tried against all of them, so this bounds what one
/// message costs; a set of more is a program, and wants to be one.
pub const MAX_RULES: usize = 1000;

/// The most bytes of one rule: a screen of text for an answer, far more than a person's pattern.
pub const MAX_RULE: usize = 8 * 1024;

/// The most bytes that one compiled regular expression takes: enough for a hundred repetitions of a
/// Unicode class, and a bound on what a slip such as `(\w{99}){99}` may eat.
pub const MAX_COMPILED: usize = 1024 * 1024;

/// The most bytes of one answer, reached only by what `$0`, `$1`, … copy from the message: four
/// messages of the usual limit. A longer answer is cut there, between two characters.
pub const MAX_ANSWER: usize = 256 * 1024;

/// What to say to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The text; empty if the rule says nothing.
    pub text: String,
    /// Whether the connection is to be closed after it.
    pub close: bool,
}

impl Answer {
    /// The text with the newline that the peer expects after an answer
    /// ([`Message::newline`](crate::framing::Message::newline)).
    ///
    /// An answer that says nothing, or ends with a newline of its own, stays as it is.
    ///
    /// ```
    /// let rules = sockeye_proto::reply::Rules::parse(r"a => one
    /// b => two\n")?;
    /// let said = |message, newline| rules.answer(message).unwrap().followed_by(newline).into_owned();
    /// assert_eq!(said("a", ""), "one");
    /// assert_eq!(said("a", "\r\n"), "one\r\n");
    /// assert_eq!(said("b", "\n"), "two\n");
    /// # Ok::<(), sockeye_proto::reply::RulesError>(())
    /// ```
    pub fn followed_by(&self, newline: &str) -> Cow<'_, str> {
        if newline.is_empty() || self.text.is_empty() || self.text.ends_with('\n') {
            Cow::Borrowed(&self.text)
        } else {
            Cow::Owned(format!("{}{newline}", self.text))
        }
    }
}

/// An ordered set of rules. See the [module](self) for the syntax.
///
/// ```
/// use sockeye_proto::reply::Rules;
///
/// let rules = Rules::parse(r"
///     拜拜            =>! over
///     /^add (\d+)$/i  => added $1
///     *               => 服务器已经收到你的信息
/// ")?;
/// assert_eq!(rules.answer("ADD 12").unwrap().text, "added 12");
/// assert_eq!(rules.answer("你好").unwrap().text, "服务器已经收到你的信息");
/// let last = rules.answer("拜拜").unwrap();
/// assert_eq!((last.text.as_str(), last.close), ("over", true));
///
/// let error = Rules::parse("* => fine\nhello there").unwrap_err();
/// assert_eq!(error.to_string(), "rules, line 2: no `=>` in it: write PATTERN => ANSWER");
/// # Ok::<(), sockeye_proto::reply::RulesError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    pattern: Pattern,
    answer: Template,
    close: bool,
}

impl Rules {
    /// Reads rules from the text of a file: one a line, blank lines and lines that begin with `#`
    /// apart.
    ///
    /// # Errors
    ///
    /// The first rule that cannot be read, by the number of its line.
    pub fn parse(text: &str) -> Result<Rules, RulesError> {
        // An editor on Windows may have put a byte order mark in front.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Rules::from_lines(text.lines(), "line")
    }

    /// Reads rules from one argument of a command line: as [`parse`](Rules::parse), and `;;` parts
    /// rules too.
    ///
    /// ```
    /// use sockeye_proto::reply::Rules;
    ///
    /// let rules = Rules::parse_inline("ping => pong ;; * =>! thank you !")?;
    /// assert_eq!(rules.answer("ping").unwrap().text, "pong");
    /// assert_eq!(rules.answer("?").unwrap().text, "thank you !");
    /// # Ok::<(), sockeye_proto::reply::RulesError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first rule that cannot be read, by its number among the rules.
    pub fn parse_inline(text: &str) -> Result<Rules, RulesError> {
        let rules = text.lines().flat_map(split_at_semicolons);
        Rules::from_lines(rules, "rule")
    }

    fn from_lines<'a>(lines: impl Iterator<Item = &'a str>, unit: &'static str) -> Result<Rules, RulesError> {
        let mut rules = Vec::new();
        for (line, number) in lines.zip(1..) {
            let line = line.trim_matches(BLANKS);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let rule = Rule::parse(line).and_then(|rule| match rules.len() {
                MAX_RULES => Err(Problem::TooManyRules),
                _ => Ok(rule),
            });
            rules.push(rule.map_err(|problem| RulesError {
                unit,
                number,
                problem,
            })?);
        }
        Ok(Rules(rules))
    }

    /// The answer of the first rule whose pattern matches `message`, if there is one.
    pub fn answer(&self, message: &str) -> Option<Answer> {
        self.0.iter().find_map(|rule| rule.answer(message))
    }

    /// The bytes of every answer that don't depend on the message, in the order of the rules.
    pub fn literals(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|rule| rule.answer.expand(|_| ""))
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no rule, so that every message meets silence.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Rule {
    fn parse(line: &str) -> Result<Rule, Problem> {
        if line.len() > MAX_RULE {
            return Err(Problem::RuleTooLong);
        }
        let (pattern, rest) = pattern::split(line)?;
        let Some(rest) = rest.trim_start_matches(BLANKS).strip_prefix("=>") else {
            return Err(Problem::NoArrow);
        };
        let (close, answer) = match rest.strip_prefix('!') {
            Some(answer) => (true, answer),
            None => (false, rest),
        };
        let pattern = pattern.compile()?;
        let answer = Template::parse(answer.trim_matches(BLANKS), &pattern)?;
        Ok(Rule {
            pattern,
            answer,
            close,
        })
    }

    fn answer(&self, message: &str) -> Option<Answer> {
        let text = if self.answer.has_groups() {
            let groups = self.pattern.captures(message)?;
            self.answer.expand(|group| groups.group(group))
        } else {
            self.pattern
                .is_match(message)
                .then(|| self.answer.expand(|_| ""))?
        };
        Some(Answer {
            text,
            close: self.close,
        })
    }
}

/// What does not count around a pattern or an answer. CR is among them for files with CRLF.
const BLANKS: [char; 3] = [' ', '\t', '\r'];

/// The parts of a line between `;;`. A sign after a backslash is never one of the two semicolons.
fn split_at_semicolons(line: &str) -> Vec<&str> {
    let bytes = line.as_bytes();
    let (mut parts, mut begin, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'\\', ..] => at += 2,
            [b';', b';', ..] => {
                parts.push(&line[begin..at]);
                at += 2;
                begin = at;
            }
            _ => at += 1,
        }
    }
    parts.push(&line[begin..]);
    parts
}

/// A rule that cannot be read: which, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rules, {unit} {number}: {}", for_terminals(problem))]
pub struct RulesError {
    /// What `number` counts: `line` or `rule`.
    unit: &'static str,
    /// The line, or the rule of a command line, counted from 1.
    pub number: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// A problem quotes the rule, and a file of rules may come from anywhere: what would control a terminal is escaped.
fn for_terminals(problem: &Problem) -> String {
    let mut shown = String::new();
    for letter in problem.to_string().chars() {
        match letter.is_control() {
            true => shown.extend(letter.escape_debug()),
            false => shown.push(letter),
        }
    }
    shown
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// There is no arrow after the pattern.
    #[error("no `=>` in it: write PATTERN => ANSWER")]
    NoArrow,
    /// There is no pattern before the arrow.
    #[error("no pattern before `=>`: write * for any message, /^$/ for an empty one")]
    NoPattern,
    /// A regular expression has no second slash.
    #[error("no second `/`: close the regular expression, or write \\/ to begin a glob with a slash")]
    UnclosedRegex,
    /// A letter after a regular expression that is no flag.
    #[error("unknown flag `{0}` after the regular expression: use i, m, s or x")]
    Flag(char),
    /// The regular expression is malformed.
    #[error("regular expression: {0}")]
    Regex(String),
    /// The regular expression compiles to more than [`MAX_COMPILED`].
    #[error("regular expression too large: ask for fewer repetitions")]
    RegexTooLarge,
    /// A set of characters has no end.
    #[error("no `]` after `[`: close the set, or write \\[ for the sign")]
    UnclosedSet,
    /// A range of characters runs backwards.
    #[error("the range `{0}-{1}` runs backwards: write it as {1}-{0}")]
    Range(char, char),
    /// A backslash with a meaning that nobody gave it.
    #[error("unknown escape `{0}`: write \\\\ for a backslash; \\n, \\r, \\t, \\xHH and \\u{{H…}} are known")]
    Escape(String),
    /// A byte that is not ASCII.
    #[error("`{0}` is not ASCII: answers are text, write the character or its number as \\u{{H…}}")]
    NotAscii(String),
    /// A dollar that begins no group.
    #[error("a lone `$`: write $$ for a dollar sign, $1 or ${{name}} for a group")]
    Dollar,
    /// The pattern captures no such group.
    #[error("the pattern has no group `{0}`: only /(…)/ captures; write $$ for a dollar sign")]
    NoGroup(String),
    /// The rule has more than [`MAX_RULE`] bytes.
    #[error("longer than {MAX_RULE} bytes: shorten it")]
    RuleTooLong,
    /// There are more than [`MAX_RULES`] rules.
    #[error("more than {MAX_RULES} rules: let one pattern serve for many")]
    TooManyRules,
}
