//! `cargo xtask fuzz`: inputs that break a parser are searched for, guided by what each input makes run.
//!
//! Each target of fuzz/src/bin is run for a while, from what is kept in fuzz/seeds and from what earlier searches have left in
//! fuzz/corpus. The properties of the tests are tried with many cases, too. It needs no other toolchain than the tests do: what
//! guides the search is an option of the compiler's, and only sanitizers, of which safe code has little use, aren't stable.

use std::fs;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use crate::options::{Options, Usage};
use crate::step;

/// For how long each target is run: what a change has broken is mostly found within seconds.
const SECONDS: u32 = 60;
/// How many cases each property is tried with: forty times as many as a test run does.
const CASES: u32 = 10_000;
/// No input may take longer, in seconds: they are short, and no message makes a parser slow.
const TIMEOUT: u32 = 10;
/// The most memory of a target in MiB: they need a tenth of it, and a length that was only declared would need more.
const MEMORY: u32 = 512;

pub(crate) const HELP: &str = "\
usage: cargo xtask fuzz [TARGET…] [--seconds N]

Searches for inputs that break a parser, guided by coverage; installs cargo-fuzz where it is missing. Without a target: all of them, one after another, and the properties of the tests with many cases.

  --seconds N   each target for so long (60)
";

/// What came of a target.
#[derive(Default)]
struct Course {
    executions: String,
    /// The input that broke it.
    finding: Option<String>,
}

/// Searches, and tells what was found.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let named = args.iter().take_while(|arg| !arg.starts_with('-')).count();
    let (named, rest) = args.split_at(named);
    let options = Options::parse(rest, &[], &["--seconds"])?;
    let seconds = options.count("--seconds")?.unwrap_or(SECONDS);
    let all = targets()?;
    if let Some(unknown) = named.iter().find(|name| !all.contains(name)) {
        return Err(Usage(format!("no target `{unknown}` (there are: {})", all.join(" "))).into());
    }
    if !step::installed("cargo-fuzz") {
        println!("cargo-fuzz is missing, and is installed now");
        step::run(step::cargo().args(["install", "--locked", "cargo-fuzz"]))?;
    }
    let properties = match named.is_empty() {
        true => properties(),
        false => Ok(()),
    };
    let mut courses = Vec::new();
    for target in if named.is_empty() { &all } else { named } {
        courses.push((target, search(target, seconds)?));
    }
    println!("\ntarget          executions  finding");
    for (target, Course { executions, finding }) in &courses {
        let finding = finding.as_deref().unwrap_or("none");
        println!("{target:14}{executions:>12}  {finding}");
    }
    let found = courses
        .iter()
        .filter_map(|(target, course)| Some((target, course.finding.as_ref()?)));
    let found: Vec<_> = found.collect();
    for (target, input) in &found {
        println!("again: cargo fuzz run -s none {target} {input}");
        println!(
            "when it is mended: move it to fuzz/seeds/{target}/, named for what was wrong; the tests try it from then on"
        );
    }
    properties?;
    match found.len() {
        0 => Ok(()),
        some => bail!("findings in {some} of {} targets (above)", courses.len()),
    }
}

/// Each file of the folder is one.
fn targets() -> Result<Vec<String>> {
    let folder = step::root().join("fuzz/src/bin");
    let files = fs::read_dir(&folder).with_context(|| format!("read the folder {}", folder.display()))?;
    let mut names = Vec::new();
    for file in files {
        let name = file?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn search(target: &str, seconds: u32) -> Result<Course> {
    let corpus = format!("fuzz/corpus/{target}");
    fs::create_dir_all(step::root().join(&corpus)).with_context(|| format!("make the folder {corpus}"))?;
    let course = Mutex::new(Course::default());
    let see = |line: &str| {
        let mut course = course.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            count.trim().clone_into(&mut course.executions);
        } else if let Some((_, path)) = line.split_once("Test unit written to ") {
            course.finding = Some(path.to_owned());
        }
    };
    let mut cargo = step::cargo();
    cargo
        .args(["fuzz", "run", "--sanitizer", "none", target, &corpus])
        .arg(format!("fuzz/seeds/{target}"))
        .args(["--", "-verbosity=0", "-print_funcs=0", "-print_final_stats=1"])
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={TIMEOUT}"))
        .arg(format!("-rss_limit_mb={MEMORY}"));
    let well = step::watch(&mut cargo, &see)?;
    let course = course.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(input) = course
        .finding
        .as_deref()
        .filter(|input| input.contains("/timeout-"))
        && !takes_too_long(target, input)?
    {
        println!("{input} takes no time: this machine slept meanwhile");
        return Ok(Course {
            finding: None,
            ..course
        });
    }
    match well || course.finding.is_some() {
        true => Ok(course),
        false => bail!("the target {target} can't be built or run: see above"),
    }
}

/// Whether it does so again: what is measured is the time of day.
fn takes_too_long(target: &str, input: &str) -> Result<bool> {
    let mut cargo = step::cargo();
    cargo
        .args(["fuzz", "run", "--sanitizer", "none", target, input, "--"])
        .arg(format!("-timeout={TIMEOUT}"));
    Ok(!step::watch(&mut cargo, &|_| ())?)
}

/// The tests that try random cases, each time other ones.
fn properties() -> Result<()> {
    let mut cargo = step::cargo();
    cargo
        .args(["test", "--package", "sockeye-proto", "--package", "sockeye"])
        .args([
            "--package",
            "sockeye-services",
            "--lib",
            "--test",
            "proto",
            "--no-fail-fast",
        ])
        .env("PROPTEST_CASES", CASES.to_string())
        .env_remove("PROPTEST_RNG_SEED");
    step::run(&mut cargo).context("the properties: make the smallest case that failed a test of its own")
}
