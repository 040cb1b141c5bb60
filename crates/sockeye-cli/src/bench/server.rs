//! One server process: started by command, waited for until it listens, ended with all its descendants.

use super::cores::{self, Cores};
use super::plan::{Contestant, Kind, Plan};
use super::proc;
use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use sockeye::Endpoint;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a server may take until it listens: interpreters and virtual machines start slowly.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long it may take to end by itself when it is asked to.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// Between two looks at a process.
const LOOK: Duration = Duration::from_millis(5);
/// Lines of output that are kept.
const KEPT_LINES: usize = 10;
/// What is kept of a line.
const KEPT_CHARACTERS: usize = 300;

/// A server that listens. Dropped, it is ended.
pub(super) struct Server {
    child: Child,
    group: Pid,
    endpoint: Endpoint,
    output: Output,
}

impl Server {
    /// Starts it and waits until it listens.
    pub(super) fn start(
        plan: &Plan,
        contestant: &Contestant,
        cores: Option<&Cores>,
        stopped: impl Fn() -> bool,
    ) -> Result<Self> {
        let (mut command, port) = command(plan, contestant)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        // A child inherits the cores of the thread that starts it, before it can start threads of its own.
        cores.into_iter().for_each(|cores| cores::pin(&cores.server));
        let started = command.spawn();
        cores.into_iter().for_each(|cores| cores::pin(&cores.load));
        let mut child = started.with_context(|| format!("start {}", contestant.name))?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let (output, lines) = Output::of(&mut child);
        let mut server = Server {
            child,
            group: group.context("the system gave a process no number")?,
            endpoint: plan.endpoint(port),
            output,
        };
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if server.is_ready(plan, port, &lines) {
                tracing::debug!("{} listens at {}", contestant.name, server.endpoint);
                return Ok(server);
            }
            if let Some(why) = server.ended() {
                bail!("{} {why}", contestant.name);
            }
            if stopped() {
                bail!("interrupted");
            }
            if Instant::now() >= deadline {
                let limit = sockeye::format_duration(START_LIMIT);
                bail!(
                    "{} does not listen after {limit}{}",
                    contestant.name,
                    server.output
                );
            }
        }
    }

    /// Looks whether it listens by now, after a moment: by its announcement where it chooses its port itself.
    fn is_ready(&mut self, plan: &Plan, port: u16, lines: &Receiver<String>) -> bool {
        if port != 0 {
            std::thread::sleep(LOOK);
            return proc::is_bound(port, plan.udp);
        }
        match lines.recv_timeout(LOOK) {
            Ok(line) => announced(&line).is_some_and(|endpoint| {
                self.endpoint = endpoint;
                true
            }),
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(LOOK);
                false
            }
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How it ended, with its last words; `None` while it runs.
    pub(super) fn ended(&mut self) -> Option<String> {
        if !self.has_exited() {
            return None;
        }
        let status = self
            .child
            .wait()
            .map_or_else(|error| error.to_string(), |status| status.to_string());
        self.output.finish();
        Some(format!("ended ({status}){}", self.output))
    }

    /// Without waiting for it in the system's sense: as long as nobody has, its group's number is nobody else's.
    fn has_exited(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.group), options), Ok(None))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A group that is gone needs no signal.
        let _ = kill_process_group(self.group, Signal::TERM);
        let deadline = Instant::now() + STOP_LIMIT;
        while !self.has_exited() && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// What to run, and the port it will listen at: 0 when it says so itself.
fn command(plan: &Plan, contestant: &Contestant) -> Result<(Command, u16)> {
    match &contestant.kind {
        Kind::Own(model) => {
            let program = std::env::current_exe().context("find this program")?;
            let mut command = Command::new(program);
            let workers = if model.has_workers() {
                format!("&workers={}", plan.workers)
            } else {
                String::new()
            };
            let listener = format!("echo@{}?model={model}{workers}", plan.endpoint(0));
            command
                .args(["serve", &listener, "--json"])
                .env("RUST_LOG", "warn");
            Ok((command, 0))
        }
        Kind::Command(text) => {
            let port = free_port(plan.udp)?;
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(text.replace("{port}", &port.to_string()));
            Ok((command, port))
        }
        Kind::Running(endpoint) => Err(anyhow!("{endpoint} runs already")),
    }
}

/// A port that nobody has just now.
fn free_port(udp: bool) -> Result<u16> {
    let address = if udp {
        std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr())
    } else {
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr())
    };
    Ok(address.context("find a free port")?.port())
}

/// The endpoint in a line `listening echo tcp://127.0.0.1:40001`, or in the JSON of it.
fn announced(line: &str) -> Option<Endpoint> {
    if !line.contains("listening") {
        return None;
    }
    let words = line.split(|c: char| c.is_whitespace() || "\",".contains(c));
    let mut endpoints = words
        .filter(|word| word.contains("://"))
        .filter_map(|word| word.parse::<Endpoint>().ok());
    endpoints.find(|endpoint| endpoint.port().is_some_and(|port| port != 0))
}

/// The last lines that a server said, on either of its outputs.
struct Output {
    last: Arc<Mutex<VecDeque<String>>>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

impl Output {
    fn of(child: &mut Child) -> (Self, Receiver<String>) {
        let (sender, lines) = channel();
        let last = Arc::new(Mutex::new(VecDeque::new()));
        let out = child
            .stdout
            .take()
            .map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
        let err = child
            .stderr
            .take()
            .map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
        let readers = out
            .into_iter()
            .chain(err)
            .map(|pipe| {
                let (last, sender) = (last.clone(), sender.clone());
                std::thread::spawn(move || keep(pipe, &last, &sender))
            })
            .collect();
        (Output { last, readers }, lines)
    }

    /// Waits for the last words of a server that has ended, unless a descendant of it holds the pipes.
    fn finish(&mut self) {
        let deadline = Instant::now() + STOP_LIMIT;
        while self.readers.iter().any(|reader| !reader.is_finished()) && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
    }
}

fn keep(pipe: Box<dyn Read + Send>, last: &Mutex<VecDeque<String>>, sender: &Sender<String>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    // A line without end must not fill the memory: the rest of it counts as further lines.
    while let Ok(1..) = pipe.by_ref().take(1 << 16).read_until(b'\n', &mut line) {
        let text: String = String::from_utf8_lossy(&line)
            .trim_end()
            .chars()
            .take(KEPT_CHARACTERS)
            .collect();
        line.clear();
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == KEPT_LINES {
            last.pop_front();
        }
        last.push_back(text.clone());
        drop(last);
        // Nobody waits for lines once the server listens.
        let _ = sender.send(text);
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_empty() {
            return f.write_str("; it said nothing");
        }
        f.write_str("; it said:")?;
        last.iter()
            .filter(|line| !line.is_empty())
            .try_for_each(|line| write!(f, "\n    {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_with_a_real_port() {
        for line in [
            "listening echo tcp://127.0.0.1:40001",
            r#"{"listening":"echo","endpoint":"tcp://127.0.0.1:40001"}"#,
            r#"{"event": "listening", "service": "echo", "endpoint": "tcp://127.0.0.1:40001"}"#,
        ] {
            assert_eq!(announced(line).unwrap().port(), Some(40001), "{line}");
        }
        for line in [
            "",
            "listening echo unix:@x",
            "error tcp://127.0.0.1:40001: no",
            "listening tcp://:0",
        ] {
            assert!(announced(line).is_none(), "{line}");
        }
    }
}
