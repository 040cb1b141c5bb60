//! The binary under test, and what it says.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Who waits this long for an event has found a bug; without it the test would hang. A socket is given no timeout, for a call with one
/// fails when its process is stopped and goes on (signal(7)): a test that hangs in one is ended by who runs it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// How often a service is killed under load, before what is left of it is looked at: `cargo xtask torture` wants more.
pub(crate) fn kills() -> usize {
    let wanted = std::env::var("SOCKEYE_KILLS").ok();
    wanted.map_or(50, |number| number.parse().expect("SOCKEYE_KILLS is a number"))
}

/// A command that will run the binary, with nothing on its standard input and no surprises in its environment.
pub(crate) fn sockeye(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    command.args(args).stdin(Stdio::null()).env_remove("RUST_LOG");
    // What a service keeps goes there; a test that needs a folder of its own names one.
    command.env("XDG_DATA_HOME", own_folder().join("data"));
    command.env("XDG_STATE_HOME", own_folder().join("state"));
    command.env("XDG_CONFIG_HOME", own_folder().join("config"));
    command
}

/// Made by those few programs that keep something without being told where.
fn own_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("user-{}", std::process::id()))
}

/// Runs it to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    sockeye(args).output().expect("the binary starts")
}

/// Runs it again, until it has found what is to be found: a program that listens for a while hears nothing in it on a machine that
/// has no time for it. The last time, if it never has.
pub(crate) fn until(found: impl Fn(&Output) -> bool, mut run: impl FnMut() -> Output) -> Output {
    /// Each listens for half a second or more.
    const TRIES: usize = 40;
    let early = std::iter::repeat_with(&mut run)
        .take(TRIES)
        .find(|output| found(output));
    early.unwrap_or_else(run)
}

/// What a program said on its standard error.
pub(crate) fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether a program is there. What `cargo xtask setup` could not install is said, and its tests are left out.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|folder| folder.join(program).exists());
    if !there {
        eprintln!("left out: {program} is not installed (cargo xtask setup)");
    }
    there
}

/// A program that goes on while the test talks to it; it is killed when the test ends.
pub(crate) struct Background {
    pub(crate) child: Child,
    lines: Receiver<String>,
}

impl Background {
    /// Starts a program and reads its standard error.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let stderr = child.stderr.take().expect("a pipe");
        Self::hear(child, [Box::new(stderr)])
    }

    /// Starts a program and reads its standard output.
    pub(crate) fn printing(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let stdout = child.stdout.take().expect("a pipe");
        Self::hear(child, [Box::new(stdout)])
    }

    /// Starts a program and reads both its outputs, each in its order.
    pub(crate) fn heard(mut command: Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stdout = child.stdout.take().expect("a pipe");
        let stderr = child.stderr.take().expect("a pipe");
        Self::hear(child, [Box::new(stdout), Box::new(stderr)])
    }

    fn hear<const N: usize>(child: Child, outputs: [Box<dyn Read + Send>; N]) -> Self {
        let (teller, lines) = channel();
        for output in outputs {
            let teller = teller.clone();
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = teller.send(line); // the test may have heard enough
                }
            });
        }
        Background { child, lines }
    }

    /// The next line; `None` at the end.
    pub(crate) fn line(&self) -> Option<String> {
        use std::sync::mpsc::RecvTimeoutError;
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("it says nothing"),
        }
    }

    /// Lines up to the first that has these words in it, which is returned.
    #[track_caller]
    pub(crate) fn line_with(&self, words: &str) -> String {
        loop {
            match self.line() {
                Some(line) if line.contains(words) => return line,
                Some(_) => {}
                None => panic!("it ended before it said `{words}`"),
            }
        }
    }

    /// Waits until it has a thread of this name.
    pub(crate) fn has_thread(&self, name: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.threads().iter().any(|thread| thread == name) {
            assert!(Instant::now() < until, "it has no thread {name}");
            thread::yield_now();
        }
    }

    fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let names = tasks.into_iter().flatten().flatten().map(|task| {
            // One that has ended meanwhile has none.
            std::fs::read_to_string(task.path().join("comm")).unwrap_or_default()
        });
        names.map(|name| name.trim_end().to_owned()).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is there");
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        while self.line().is_some() {}
        self.child.wait().expect("its end")
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
