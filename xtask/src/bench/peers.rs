//! The folder with the reference servers and the load generator: a script that builds them, a script that runs them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use super::comparisons::Comparison;
use super::turns;
use crate::options::{Options, Usage};
use crate::step;

/// Which references are built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    /// Those in C, with the load generator.
    C,
    /// And those in Rust (Tokio, monoio).
    Rust,
    /// And those in Go, and whatever else the folder's script builds.
    All,
}

impl Set {
    pub(super) fn parse(name: &str) -> Result<Self> {
        match name {
            "c" => Ok(Self::C),
            "rust" => Ok(Self::Rust),
            "all" => Ok(Self::All),
            other => Err(Usage(format!("--peers-set: no `{other}` (there are: c rust all)")).into()),
        }
    }
}

/// The Rust references: the folder of each and its programs, as the folder's own script builds them.
const RUST: &[(&str, &[&str])] = &[("rs", &["tokio_echo"]), ("rsu", &["monoio_echo"])];

/// Where the peers are and where they are built.
pub(super) struct Peers {
    folder: PathBuf,
    work: PathBuf,
}

impl Peers {
    /// The peers in `folder`, if it is one.
    pub(super) fn at(folder: &Path) -> Option<Self> {
        let folder = folder.canonicalize().ok()?;
        let complete = folder.join("servers/build.sh").is_file() && folder.join("harness/bench.py").is_file();
        complete.then(|| Self {
            folder,
            work: target().join("peers"),
        })
    }

    /// Builds the programs of the set.
    pub(super) fn build(&self, set: Set) -> Result<()> {
        fs::create_dir_all(&self.work).with_context(|| format!("create {}", self.work.display()))?;
        let script = self.folder.join("servers/build.sh");
        let what = if set == Set::All { "all" } else { "c" };
        step::run(self.prepare("sh").arg(script).arg(what)).context("build the reference servers")?;
        if set == Set::Rust {
            RUST.iter()
                .try_for_each(|(folder, programs)| self.build_rust(folder, programs))?;
        }
        Ok(())
    }

    fn build_rust(&self, folder: &str, programs: &[&str]) -> Result<()> {
        let out = self.work.join("cargo");
        let manifest = self.folder.join("servers").join(folder).join("Cargo.toml");
        let mut cargo = step::cargo();
        cargo
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(manifest)
            .env("CARGO_TARGET_DIR", &out);
        for program in programs {
            cargo.args(["--bin", program]);
        }
        step::run(&mut cargo)?;
        for program in programs {
            let (from, to) = (
                out.join("release").join(program),
                self.work.join("bin").join(program),
            );
            fs::copy(&from, &to).with_context(|| format!("copy {}", from.display()))?;
        }
        Ok(())
    }

    /// Whether the reference of this name has been built.
    pub(super) fn has(&self, reference: &str) -> bool {
        let program = match reference {
            r if r.starts_with("tokio") => "tokio_echo",
            "monoio" => "monoio_echo",
            _ => "cserv",
        };
        self.work.join("bin").join(program).is_file()
    }

    /// Runs the rounds; returns the lines of JSON that they left.
    pub(super) fn measure(
        &self,
        comparison: &Comparison,
        servers: &[String],
        cases: &[&str],
        options: &Options,
    ) -> Result<String> {
        let results = self.work.join("results");
        fs::create_dir_all(&results).with_context(|| format!("create {}", results.display()))?;
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let out = results.join(format!("{}-{since}.jsonl", comparison.what));
        if comparison.in_turns {
            let (built, programs) = (|reference: &str| self.has(reference), self.work.join("bin"));
            return turns::measure(comparison, cases, built, &programs, options, &out);
        }
        let mut python = self.prepare("python3");
        python
            .arg(self.folder.join("harness/bench.py"))
            .arg(comparison.what);
        python
            .args(["--only", &servers.join(","), "--cases", &cases.join(",")])
            .arg("--out")
            .arg(&out);
        for option in ["--rounds", "--secs", "--conns", "--quiet", "--tries"] {
            if let Some(value) = options.value(option) {
                python.args([option, value]);
            }
        }
        step::run(&mut python)?;
        if !out.is_file() {
            bail!("{} was not written", out.display());
        }
        fs::read_to_string(&out).with_context(|| format!("read {}", out.display()))
    }

    fn prepare(&self, program: &str) -> Command {
        let mut command = step::program(program);
        // The script names no target for the load generator's build but its own.
        command.env("PEERS_WORK", &self.work).env("SOCKEYE", sockeye());
        command
    }
}

/// The binary as released.
pub(super) fn sockeye() -> PathBuf {
    target().join("release/sockeye")
}

/// Cargo's folder for what it builds.
pub(super) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| step::root().join("target"), |dir| step::root().join(dir))
}
