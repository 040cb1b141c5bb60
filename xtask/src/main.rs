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

use anyhow::Result;
use options::Usage;

/// A chore: its name, what `--help` says of it, and what does it.
struct Command {
    name: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Result<()>,
}

const COMMANDS: [Command; 7] = [
    Command {
        name: "test",
        help: test::HELP,
        run: test::run,
    },
    Command {
        name: "setup",
        help: setup::HELP,
        run: setup::run,
    },
    Command {
        name: "tidy",
        help: tidy::HELP,
        run: tidy::run,
    },
    Command {
        name: "lint",
        help: lint::HELP,
        run: lint::run,
    },
    Command {
        name: "fuzz",
        help: fuzz::HELP,
        run: fuzz::run,
    },
    Command {
        name: "torture",
        help: torture::HELP,
        run: torture::run,
    },
    Command {
        name: "bench",
        help: bench::HELP,
        run: bench::run,
    },
];

const HELP: &str = "\
usage: cargo xtask COMMAND

  test  [--no-setup] [-- FILTER…]   tidy, fmt, clippy, the tests and the doctests
  setup [--bench]                   install what the tests use (and what bench builds with)
  tidy                              check the rules of ARCHITECTURE.md
  lint  [--install] [--offline]     cargo-deny, typos, taplo, cargo-machete
  fuzz  [TARGET…] [--seconds N]     search for inputs that break a parser
  torture [--quick] [--kills N]     kill services under load, and count what is left
  bench [OPTIONS]                   measure beside the reference servers

`cargo xtask COMMAND --help` tells more of each.
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = args
        .split_first()
        .map_or(("help", &[][..]), |(c, rest)| (c.as_str(), rest));
    let known = COMMANDS.iter().find(|known| known.name == command);
    let outcome = match known {
        Some(known) if is_asked_for_help(rest) => {
            print!("{}", known.help);
            Ok(())
        }
        Some(known) => (known.run)(rest),
        None if matches!(command, "help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(())
        }
        None => Err(Usage(format!("no command `{command}`\n{HELP}")).into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xtask {command}: {e:#}");
            ExitCode::from(if e.is::<Usage>() { 2 } else { 1 })
        }
    }
}

/// What follows `--` is for another program.
fn is_asked_for_help(args: &[String]) -> bool {
    let mut own = args.iter().take_while(|arg| *arg != "--");
    own.any(|arg| arg == "--help" || arg == "-h")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_tells_what_it_does() {
        for Command { name, help, .. } in &COMMANDS {
            assert!(help.starts_with(&format!("usage: cargo xtask {name}")), "{help}");
            assert!(HELP.contains(&format!("\n  {name} ")), "{name}");
            let line = HELP.lines().find(|line| line.starts_with(&format!("  {name} ")));
            let (options, _) = line.and_then(|line| line.rsplit_once("  ")).expect("a line");
            let options = options
                .split(['[', ']', ' '])
                .filter(|word| word.len() > 2 && word.starts_with("--"));
            options
                .for_each(|option| assert!(help.contains(&format!("\n  {option} ")), "{option} in {help}"));
        }
    }

    #[test]
    fn help_is_asked_for_by_its_own_options() {
        let asked = |words: &str| {
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            is_asked_for_help(&words)
        };
        assert!(asked("--help") && asked("--install -h"));
        assert!(!asked("") && !asked("-- --help"));
    }
}
