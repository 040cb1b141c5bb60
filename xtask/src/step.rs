//! Running other programs from the workspace's root: announced, without standard input, their failure an error.

use std::env;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};

/// The folder of the workspace's Cargo.toml.
pub(crate) fn root() -> PathBuf {
    // Cargo tells where the manifest is now; the path of the build serves where xtask was started by hand.
    let xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&xtask)
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// The cargo that started us, so that a chosen toolchain stays the chosen one.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// A program other than cargo, likewise.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// How the command would be typed.
pub(crate) fn line(command: &Command) -> String {
    let name = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    command
        .get_args()
        .fold(name, |line, arg| line + " " + &arg.to_string_lossy())
}

/// Says what is about to happen.
pub(crate) fn announce(what: &str) {
    println!("── {what}");
}

/// Runs it to its end; a failure names the command and how it ended.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    announce(&line);
    let status = command.status().with_context(|| format!("start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}

/// Runs it to its end, passing each line of its output on at once and showing it to `see` as well.
/// Tells whether it succeeded.
pub(crate) fn watch(command: &mut Command, see: &(impl Fn(&str) + Sync)) -> Result<bool> {
    let line = line(command);
    announce(&line);
    if std::io::stderr().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always"); // a pipe would make it plain
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start `{line}`"))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(|| pass_on(out, &mut std::io::stdout(), see));
        scope.spawn(|| pass_on(err, &mut std::io::stderr(), see));
    });
    Ok(child
        .wait()
        .with_context(|| format!("wait for `{line}`"))?
        .success())
}

fn pass_on(from: Option<impl Read>, to: &mut impl Write, see: &impl Fn(&str)) {
    let Some(from) = from else { return };
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        // A reader that went away must not end the run: its outcome is in the exit code.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        see(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
}

/// Whether a program of this name can be run; the system's own folders count even where PATH leaves them out.
pub(crate) fn installed(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(system)
        .any(|dir| dir.join(name).is_file())
}
