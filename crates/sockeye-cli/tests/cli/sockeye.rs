//! The binary under test.

use std::process::{Command, Output, Stdio};

/// A command that will run the binary, with nothing on its standard input and no surprises in its environment.
pub(crate) fn sockeye(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    command.args(args).stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

/// Runs it to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    sockeye(args).output().expect("the binary starts")
}
