//! How a report is laid out on a terminal: a column of labels, a column of words, the times at the right edge.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

pub(super) use crate::terminal::{format_micros, harmless};

/// The width that everything fits in, but for addresses that are longer.
const WIDTH: usize = 80;
const LABELS: usize = 10;
const TIMES: usize = 9;
/// Two pairs of a name and a value share a line.
const PAIR: usize = (WIDTH - LABELS) / 2;
const NAMES: usize = 19;

/// What a piece of text means, which is what its colour says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Label,
    Good,
    Warn,
    Bad,
    Dim,
}

impl Ink {
    /// The attributes of ECMA-48's SGR.
    fn code(self) -> Option<&'static str> {
        match self {
            Ink::Plain => None,
            Ink::Label => Some("1;36"),
            Ink::Good => Some("32"),
            Ink::Warn => Some("33"),
            Ink::Bad => Some("31"),
            Ink::Dim => Some("2"),
        }
    }
}

/// A page, with colours or without.
pub(super) struct Page {
    colours: bool,
}

impl Page {
    /// With colours where standard output is a terminal that has them, and nobody minds (`NO_COLOR`).
    pub(super) fn for_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let plain = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        Page {
            colours: io::stdout().is_terminal() && !unwanted && !plain,
        }
    }

    fn ink(&self, ink: Ink, text: &str) -> String {
        match ink.code().filter(|_| self.colours && !text.is_empty()) {
            Some(code) => format!("\x1b[{code}m{text}\x1b[0m"),
            None => text.to_owned(),
        }
    }

    /// One line: pieces of text behind a label, and how long it took.
    pub(super) fn row(&self, label: &str, pieces: &[(Ink, String)], took_us: Option<u64>) -> String {
        let mut line = self.ink(Ink::Label, label);
        line.push_str(&" ".repeat(LABELS.saturating_sub(label.chars().count())));
        let mut width = LABELS;
        for (ink, text) in pieces {
            let text = harmless(text);
            width += text.chars().count();
            line.push_str(&self.ink(*ink, &text));
        }
        if let Some(took_us) = took_us {
            let time = format_micros(took_us);
            let gap = (WIDTH - TIMES).saturating_sub(width).max(1);
            let _ = write!(line, "{:gap$}", "");
            line.push_str(&self.ink(Ink::Dim, &format!("{time:>TIMES$}")));
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }

    /// As many lines as the items need, with commas between them.
    pub(super) fn list(&self, label: &str, head: &str, items: &[String]) -> String {
        let room = WIDTH - LABELS - head.chars().count();
        let mut lines = vec![String::new()];
        for (index, item) in items.iter().enumerate() {
            let comma = if index + 1 < items.len() { "," } else { "" };
            let item = format!("{item}{comma}");
            let line = lines.last().map_or(0, |line| line.chars().count());
            if line > 0 && line + 1 + item.chars().count() > room {
                lines.push(String::new());
            }
            if let Some(line) = lines.last_mut() {
                let space = if line.is_empty() { "" } else { " " };
                line.push_str(space);
                line.push_str(&item);
            }
        }
        let mut text = String::new();
        for (index, line) in lines.into_iter().enumerate() {
            let (label, head) = if index == 0 { (label, head) } else { ("", "") };
            let head = format!("{head:0$}", WIDTH - LABELS - room);
            text.push_str(&self.row(label, &[(Ink::Dim, head), (Ink::Plain, line)], None));
        }
        text
    }

    /// Names and values, two pairs a line; a pair that is too long for its half has a line to itself.
    pub(super) fn pairs(&self, label: &str, pairs: &[(&str, String)]) -> String {
        let mut text = String::new();
        let mut line: Vec<(Ink, String)> = Vec::new();
        let flush = |line: &mut Vec<(Ink, String)>, text: &mut String| {
            if !line.is_empty() {
                let label = if text.is_empty() { label } else { "" };
                text.push_str(&self.row(label, &std::mem::take(line), None));
            }
        };
        for (name, value) in pairs {
            let room = PAIR - NAMES;
            let long = value.chars().count() >= room;
            if long {
                flush(&mut line, &mut text);
            }
            line.push((Ink::Dim, format!("{name:<NAMES$}")));
            line.push((Ink::Plain, format!("{value:<room$}")));
            if long || line.len() == 4 {
                flush(&mut line, &mut text);
            }
        }
        flush(&mut line, &mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Page = Page { colours: false };

    #[test]
    fn times_stand_at_the_right_edge() {
        let row = PLAIN.row("connect", &[(Ink::Plain, "127.0.0.1:80".to_owned())], Some(1234));
        assert_eq!(row.trim_end().chars().count(), WIDTH);
        assert!(
            row.starts_with("connect   127.0.0.1:80 ") && row.ends_with(" 1.23 ms\n"),
            "{row}"
        );
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        let pieces = [(Ink::Good, "connected".to_owned())];
        assert!(!PLAIN.row("x", &pieces, Some(1)).contains('\x1b'));
        let row = Page { colours: true }.row("x", &pieces, None);
        assert_eq!(row, "\x1b[1;36mx\x1b[0m         \x1b[32mconnected\x1b[0m\n");
    }

    #[test]
    fn a_peer_cannot_steer_the_terminal() {
        let row = PLAIN.row("x", &[(Ink::Plain, "a\x1b[2Jb\n\u{202e}c".to_owned())], None);
        assert_eq!(row, "x         a\\u{1b}[2Jb\\n\\u{202e}c\n");
    }

    #[test]
    fn lists_are_broken_and_aligned() {
        let items: Vec<String> = (0..30)
            .map(|number| format!("host{number}.example.org"))
            .collect();
        let text = PLAIN.list("", "names  ", &items);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(
            text.lines()
                .skip(1)
                .all(|line| line.starts_with("                 host")),
            "{text}"
        );
        assert_eq!(text.matches("host").count(), 30);
        assert!(text.ends_with("host29.example.org\n"), "{text}");
    }

    #[test]
    fn pairs_share_lines_unless_they_are_long() {
        let pair = |name, value: &str| (name, value.to_owned());
        let long = "x".repeat(40);
        let text = PLAIN.pairs(
            "p",
            &[
                pair("a", "1"),
                pair("b", "2"),
                pair("c", "3"),
                pair("d", &long),
                pair("e", "4"),
            ],
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(
            lines[0].starts_with("p         a ") && lines[0].contains(" b "),
            "{text}"
        );
        assert!(lines[2].ends_with(&long), "{text}");
    }
}
