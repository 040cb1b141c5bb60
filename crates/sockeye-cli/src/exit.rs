//! Exit codes, and how a failure is told: 0 done, 1 the network or the peer failed, 2 usage.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::terminal::{json_line, lines};

/// The arguments can't be had together, or one of them has no meaning: exit code 2.
///
/// Return it from a subcommand's `run` (`return Err(Usage::new("…").into())`), anywhere in the chain of causes.
#[derive(Debug)]
pub(crate) struct Usage(String);

impl Usage {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Usage(why.into())
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Tells why it failed on standard error, and the exit code for it.
pub(crate) fn failed(error: &anyhow::Error) -> ExitCode {
    tell(&format!("sockeye: {}", words(error)));
    match error.chain().any(|cause| cause.is::<Usage>()) {
        true => ExitCode::from(2),
        false => ExitCode::FAILURE,
    }
}

/// An error and its causes in one line. A [`sockeye::Error`] tells of its causes itself.
pub(crate) fn words(error: &anyhow::Error) -> String {
    let mut said = Vec::new();
    for cause in error.chain() {
        said.push(cause.to_string());
        if cause.is::<sockeye::Error>() || cause.is::<Usage>() {
            break;
        }
    }
    said.join(": ")
}

/// Help, the version, or what is wrong with the arguments: clap says it, and whether that is a failure.
pub(crate) fn told_by_clap(error: &clap::Error) -> ExitCode {
    match error.print() {
        Err(unwritten) if unwritten.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        // Whoever closed the terminal has seen enough.
        _ => u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
    }
}

/// Words on standard error; some may be a stranger's, so none of them steers the terminal. A closed standard error is nobody's failure: `eprintln!` would panic.
pub(crate) fn tell(words: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", lines(words));
}

/// One object of JSON on standard error, for programs.
pub(crate) fn tell_json(object: &impl Serialize) {
    let _ = io::stderr().lock().write_all(json_line(object).as_bytes());
}
