//! Ctrl-C: what has been transferred stays, and how to go on is said.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit;

/// From now on, Ctrl-C (or SIGTERM) ends the program with a word on how to go on. Nothing needs to be saved then: what is
/// needed for that is on the disk at any time.
pub(super) fn watch(bar: ProgressBar) -> Result<()> {
    leave_with(move || {
        bar.finish_and_clear();
        format!("interrupted; to go on: {}", command())
    })
}

/// A transfer that was chosen from a menu is under way.
static TRANSFER: AtomicBool = AtomicBool::new(false);

/// That is so for as long as this lives.
pub(super) struct Transfer;

impl Transfer {
    pub(super) fn begin() -> Self {
        TRANSFER.store(true, Ordering::Relaxed);
        Transfer
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        TRANSFER.store(false, Ordering::Relaxed);
    }
}

/// The same for who has chosen from a menu. Between the choices, Ctrl-C is a key like others.
pub(super) fn watch_choices() -> Result<()> {
    leave_with(|| match TRANSFER.load(Ordering::Relaxed) {
        true => "\ninterrupted; the same choice goes on where it was".to_owned(),
        false => "\ninterrupted".to_owned(),
    })
}

fn leave_with(words: impl FnOnce() -> String + Send + 'static) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("catch signals")?;
    let listener = thread::Builder::new().name("sockeye-signals".to_owned());
    let listening = listener.spawn(move || {
        if signals.forever().next().is_some() {
            exit::tell(&words());
            std::process::exit(1);
        }
    });
    listening.context("start a thread").map(drop)
}

/// The command as it was given, to be given again.
pub(super) fn command() -> String {
    let words: Vec<String> = std::env::args_os()
        .map(|word| quoted(&word.to_string_lossy()))
        .collect();
    words.join(" ")
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_where_a_shell_would_read_something_else() {
        assert_eq!(quoted("tcp://127.0.0.1:9000"), "tcp://127.0.0.1:9000");
        assert_eq!(quoted("it's *"), r"'it'\''s *'");
        assert_eq!(quoted(""), "''");
    }
}
