//! `cargo xtask …`: the chores of the house.
//!
//! | command | what it does | where |
//! |---|---|---|
//! | `test`  | everything that has to pass: tidy, fmt, clippy, the tests, the doctests | `test.rs`, `tally.rs` |
//! | `setup` | installs the Debian packages that the tests use, where they are missing | `setup.rs` |
//! | `tidy`  | checks what ARCHITECTURE.md says is absent | `tidy.rs`, `tidy/` |
//! | `lint`  | the checks that need more tools: cargo-deny, typos, taplo, cargo-machete | `lint.rs` |
//! | `fuzz`  | searches for inputs that break a parser, guided by coverage | `fuzz.rs` |
//! | `torture` | kills services under load, and counts what is left | `torture.rs` |
//! | `bench` | measures the models beside the reference servers, for docs/performance.md | `bench.rs`, `bench/` |
//!
//! It depends on nothing of the workspace: it has to build when nothing else does.
#![allow(clippy::print_stdout, reason = "these are programs for a terminal")]

mod bench;
mod fuzz;
mod lint;
mod options;
mod setup;
mod step;
mod tally;
mod test;
mod tidy;
mod torture;

use std::process::ExitCode;

use options::Usage;

const HELP: &str = "\
usage: cargo xtask COMMAND

  test  [--no-setup] [-- FILTER…]   tidy, fmt, clippy, the tests and the doctests
  setup [--bench]                   install what the tests use (and what bench builds with)
  tidy                              check the rules of ARCHITECTURE.md
  lint  [--install] [--offline]     cargo-deny, typos, taplo, cargo-machete
  fuzz  [TARGET…] [--seconds N]     search for inputs that break a parser
  torture [--quick] [--kills N]     kill services under load, and count what is left
  bench [OPTIONS]                   measure beside the reference servers; `bench --help` lists the options
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = args
        .split_first()
        .map_or(("help", &[][..]), |(c, rest)| (c.as_str(), rest));
    let outcome = match command {
        "test" => test::run(rest),
        "setup" => setup::run(rest),
        "tidy" => tidy::run(rest),
        "lint" => lint::run(rest),
        "fuzz" => fuzz::run(rest),
        "torture" => torture::run(rest),
        "bench" => bench::run(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(Usage(format!("no command `{other}`\n{HELP}")).into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xtask {command}: {e:#}");
            ExitCode::from(if e.is::<Usage>() { 2 } else { 1 })
        }
    }
}
