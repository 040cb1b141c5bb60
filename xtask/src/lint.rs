//! `cargo xtask lint`: the checks that need tools beyond the toolchain.

use anyhow::{Result, bail};

use crate::options::Options;
use crate::step;

/// A cargo-installed tool, what proves that it is there, and what it is asked.
struct Tool {
    package: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    finds: &'static str,
    /// Fetches something first: left out by `--offline`.
    online: bool,
}

const TOOLS: &[Tool] = &[
    Tool {
        package: "cargo-deny",
        program: "cargo-deny",
        args: &["--workspace", "check", "bans", "licenses", "sources"],
        finds: "licences and sources that do not suit, versions that double",
        online: false,
    },
    Tool {
        package: "cargo-deny",
        program: "cargo-deny",
        args: &["--workspace", "check", "advisories"],
        finds: "dependencies with a known weakness",
        online: true,
    },
    Tool {
        package: "typos-cli",
        program: "typos",
        args: &[],
        finds: "misspellings",
        online: false,
    },
    Tool {
        package: "taplo-cli",
        program: "taplo",
        args: &["fmt", "--check", "--diff"],
        finds: "TOML that is not in form",
        online: false,
    },
    Tool {
        package: "cargo-machete",
        program: "cargo-machete",
        args: &["crates", "xtask"],
        finds: "dependencies that nothing uses",
        online: false,
    },
];

pub(crate) const HELP: &str = "\
usage: cargo xtask lint [--install] [--offline]

Runs the checks that need more tools: cargo-deny (licences, sources, known weaknesses), typos (misspellings), taplo (the form
of TOML) and cargo-machete (dependencies that nothing uses). A tool that is missing is named and left out.

  --install   install the missing ones first, from the crates' registry: it takes minutes
  --offline   leave out what fetches something: the list of known weaknesses
";

/// Runs each tool that is there; all of them, before it fails for any.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse(args, &["--install", "--offline"], &[])?;
    if options.has("--install") {
        install()?;
    }
    let mut wrong = Vec::new();
    for tool in TOOLS.iter().filter(|t| !(t.online && options.has("--offline"))) {
        if !step::installed(tool.program) {
            println!("── {} is missing (it finds {})", tool.package, tool.finds);
            continue;
        }
        if let Err(e) = step::run(step::program(tool.program).args(tool.args)) {
            let advice = match tool.online {
                true => " (where the list can't be fetched, --offline leaves it out)",
                false => "",
            };
            wrong.push(format!("{e:#}{advice}"));
        }
    }
    let missing = missing();
    if !missing.is_empty() {
        println!(
            "not run: {0}; `cargo xtask lint --install` installs what is missing",
            missing.join(", ")
        );
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("; "));
    }
    Ok(())
}

fn missing() -> Vec<&'static str> {
    let mut names: Vec<_> = TOOLS
        .iter()
        .filter(|t| !step::installed(t.program))
        .map(|t| t.package)
        .collect();
    names.dedup();
    names
}

fn install() -> Result<()> {
    for package in missing() {
        step::run(step::cargo().args(["install", "--locked", package]))?;
    }
    Ok(())
}
