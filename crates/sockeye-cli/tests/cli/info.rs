//! `sockeye info`.

mod ping;
mod reach;
mod tls;
mod words;

pub(crate) use reach::closed_port;

use std::process::Output;

use serde_json::Value;

use crate::sockeye::{run, words};

/// Runs `sockeye info`.
fn info(args: &[&str]) -> Output {
    run(&[&["info"], args].concat())
}

/// What it says, for people.
fn page(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// What it found, for programs, and its exit code.
#[track_caller]
fn found(args: &[&str]) -> (Value, Option<i32>) {
    let output = info(&[args, &["--json"]].concat());
    let report = serde_json::from_slice(&output.stdout);
    (
        report.unwrap_or_else(|error| panic!("{error}: {}", words(&output))),
        output.status.code(),
    )
}
