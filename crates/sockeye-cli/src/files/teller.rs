//! What is said while transfers go on: a line that changes on a terminal, lines of JSON for programs, and what failed.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::rc::Rc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use sockeye_proto::files::Code;
use sockeye_services::files::client::{Failure, Outcome, Watch};

use crate::terminal::{self, harmless, json_line};

/// How often the line changes, in a second.
const FRAMES: u8 = 10;

/// What is told of a file on a terminal that has so many columns at the least. Its name takes what the rest leaves: a line that is
/// broken in two can't be drawn anew.
const FILE: [(u16, &str); 3] = [
    (
        100,
        "{prefix:10} {wide_msg} [{bar:24}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left",
    ),
    (
        64,
        "{prefix:10} {wide_msg} [{bar:10}] {percent:>3}% {binary_bytes_per_sec} {eta} left",
    ),
    (0, "{prefix:10} {wide_msg} {percent:>3}% {eta}"),
];
const MANY: &str = "{prefix:10} {wide_msg} {bytes} {binary_bytes_per_sec}";

/// What is being done, in the words of a line that changes and of a summary.
#[derive(Clone, Copy)]
pub(super) struct Verb {
    pub(super) doing: &'static str,
    pub(super) done: &'static str,
}

/// Tells people and programs how far it is.
pub(super) struct Teller {
    verb: Verb,
    /// Whether there are options to be advised: who chooses from a menu has none.
    has_options: bool,
    json: bool,
    bar: ProgressBar,
    /// Whether somebody sees the line: thousands of files go by faster than it can be told how many.
    seen: bool,
    /// When the first connection stood: what a person took to type a password doesn't count.
    begun: Cell<Option<Instant>>,
    /// Where the transfer of the present file began, if it is told of by itself.
    from: Cell<Option<u64>>,
    files: Cell<u64>,
    bytes: Cell<u64>,
    failed: Cell<u64>,
    /// The connection was lost while at work: how to go on is of use.
    pub(super) cut: Cell<bool>,
}

impl Teller {
    pub(super) fn new(verb: Verb, json: bool) -> Rc<Self> {
        Self::make(verb, json, true)
    }

    /// For a menu.
    pub(super) fn without_options(verb: Verb) -> Rc<Self> {
        Self::make(verb, false, false)
    }

    fn make(verb: Verb, json: bool, has_options: bool) -> Rc<Self> {
        let seen = io::stderr().is_terminal();
        let target = match seen {
            true => ProgressDrawTarget::stderr_with_hz(FRAMES),
            false => ProgressDrawTarget::hidden(),
        };
        // Nothing is drawn before there is something to tell: a question may come first.
        let bar = ProgressBar::with_draw_target(None, target)
            .with_style(style(MANY))
            .with_prefix(verb.doing);
        Rc::new(Teller {
            verb,
            has_options,
            json,
            bar,
            seen,
            begun: Cell::new(None),
            from: Cell::new(None),
            files: Cell::new(0),
            bytes: Cell::new(0),
            failed: Cell::new(0),
            cut: Cell::new(false),
        })
    }

    /// The line, for whoever has to take it away before the program ends.
    pub(super) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// What came of it all; whether all is well.
    pub(super) fn finish(&self) -> bool {
        self.bar.finish_and_clear();
        let (files, bytes, failed) = (self.files.get(), self.bytes.get(), self.failed.get());
        let took = self.begun.get().map_or(Duration::ZERO, |begun| begun.elapsed());
        if self.json {
            let seconds = (took.as_secs_f64() * 1e6).round() / 1e6;
            self.print(&json_line(
                &json!({"event": "summary", "files": files, "bytes": bytes, "failed": failed, "seconds": seconds}),
            ));
        } else if files > 0 {
            let rate = bytes as f64 / took.as_secs_f64().max(1e-6);
            let (size, rate) = (about(bytes as f64), about(rate));
            let (done, took) = (self.verb.done, took.as_secs_f64());
            let files = counted(files);
            self.print(&format!("{done} {files}, {size} in {took:.1} s ({rate}/s)\n"));
        }
        failed == 0
    }

    /// Something that concerns no single file went wrong.
    pub(super) fn failed(&self, failure: &Failure) {
        self.failed.set(self.failed.get() + 1);
        self.cut
            .set(self.cut.get() || matches!(failure, Failure::Lost(_)));
        match self.json {
            true => self.print(&json_line(&error(failure))),
            false => self.say(&format!("sockeye: {failure}")),
        }
    }

    /// What there is to be done about a file that the service refused.
    fn advice(&self, failure: &Failure) -> &'static str {
        match failure.code() {
            Some(Code::Exists) if self.has_options => "; replace it with --force",
            _ => "",
        }
    }

    /// A line on standard error, above the one that changes.
    fn say(&self, line: &str) {
        self.bar.suspend(|| crate::exit::tell(line));
    }

    fn print(&self, text: &str) {
        let write = || _ = terminal::print(text);
        match self.bar.is_hidden() {
            true => write(),
            false => self.bar.suspend(write),
        }
    }
}

fn counted(files: u64) -> String {
    let noun = if files == 1 { "file" } else { "files" };
    format!("{files} {noun}")
}

/// A number of bytes in three digits.
fn about(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    let digits = if value >= 100.0 || unit == 0 { 0 } else { 1 };
    format!("{value:.digits$} {}", units[unit])
}

/// What fits the terminal as it is now.
fn style_of_file() -> ProgressStyle {
    let columns = rustix::termios::tcgetwinsize(io::stderr()).map_or(80, |size| size.ws_col);
    let fits = FILE.iter().find(|(least, _)| columns >= *least);
    style(fits.map_or(MANY, |(_, template)| template))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// A failure for programs.
pub(super) fn error(failure: &Failure) -> serde_json::Value {
    match failure {
        Failure::Refused {
            code, message, path, ..
        } => {
            let mut line = json!({"event": "error", "error": {"code": code, "message": message}});
            if !path.is_empty() {
                line["path"] = path.as_str().into();
            }
            line
        }
        other => json!({"event": "error", "error": {"code": null, "message": other.to_string()}}),
    }
}

impl Watch for Teller {
    fn connected(&self) {
        self.begun.set(self.begun.get().or_else(|| Some(Instant::now())));
    }

    fn begin(&self, path: &str, size: u64, from: u64) {
        self.bar.set_style(style_of_file());
        self.bar.set_message(harmless(path));
        self.bar.set_prefix(self.verb.doing);
        self.bar.set_length(size);
        self.bar.set_position(from);
        self.bar.reset_eta();
        self.from.set(Some(from));
        if from > 0 && !self.json {
            let (there, all) = (about(from as f64), about(size as f64));
            let path = harmless(path);
            self.say(&format!("{path}: going on, {there} of {all} are there already"));
        }
    }

    fn hashed(&self, bytes: u64) {
        if self.bar.prefix() != "hashing" {
            self.bar.set_prefix("hashing");
            self.bar.set_position(0);
        }
        self.bar.inc(bytes);
    }

    fn moved(&self, bytes: u64) {
        if !self.seen {
            return;
        }
        if self.bar.prefix() == "hashing" {
            self.bar.set_prefix(self.verb.doing);
            self.bar.set_position(self.from.get().unwrap_or(0));
            self.bar.reset_eta();
        }
        self.bar.inc(bytes);
    }

    fn committing(&self, _: &str) {
        self.bar.set_prefix("committing");
        self.bar.tick();
    }

    fn again(&self, why: &Failure, pause: Duration) {
        if !self.json {
            let pause = sockeye::format_duration(pause);
            self.say(&format!("sockeye: {why}; trying again in {pause}"));
        }
    }

    fn done(&self, outcome: Outcome) {
        if self.from.take().is_some() {
            self.bar.set_style(style(MANY));
            self.bar.set_prefix(self.verb.doing);
        }
        let Outcome { path, local, result } = outcome;
        match result {
            Ok(kept) => {
                self.files.set(self.files.get() + u64::from(!kept.folder));
                self.bytes
                    .set(self.bytes.get() + kept.size.saturating_sub(kept.from));
                if self.json {
                    let kind = if kept.folder { "folder" } else { "file" };
                    self.print(&json_line(&json!({
                        "event": kind, "path": path, "local": local.to_string_lossy(), "size": kept.size,
                        "hash": kept.hash, "from": kept.from, "durable": kept.durable,
                    })));
                } else if self.seen {
                    self.bar.set_message(counted(self.files.get()));
                }
            }
            Err(failure) => {
                self.failed.set(self.failed.get() + 1);
                self.cut
                    .set(self.cut.get() || matches!(failure, Failure::Lost(_)));
                match self.json {
                    true => {
                        let mut line = error(&failure);
                        line["path"] = path.into();
                        line["local"] = local.to_string_lossy().into();
                        self.print(&json_line(&line));
                    }
                    false => self.say(&format!("sockeye: {failure}{}", self.advice(&failure))),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_at_the_most() {
        for (bytes, text) in [
            (0.0, "0 B"),
            (1023.0, "1023 B"),
            (1536.0, "1.5 KiB"),
            (3.2e9, "3.0 GiB"),
        ] {
            assert_eq!(about(bytes), text);
        }
    }
}
