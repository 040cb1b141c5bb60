//! One server process: started by command, waited for until it listens, ended with all its descendants.

use super::cores::{self, Cores};
use super::plan::{Contestant, Kind, Plan};
use crate::ports::{self, Port};
use anyhow::{Context, Result, anyhow, bail};
use rustix::io::Errno;
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
/// Between two looks at whether a port is bound, or an interrupt has come, while there are no news.
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
    news: Receiver<News>,
    _guard: Guard,
}

/// What is heard of a server. When nothing more can come, the channel of news is closed.
enum News {
    Line(String),
    Ended,
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
        let group = Pid::from_child(&child);
        let guard = Guard::of(group).context("start /bin/sh")?;
        let (sender, news) = channel();
        let output = Output::of(&mut child, &sender);
        std::thread::spawn(move || {
            wait_for(group);
            let _ = sender.send(News::Ended);
        });
        let mut server = Server {
            child,
            group,
            endpoint: plan.endpoint(port),
            output,
            news,
            _guard: guard,
        };
        server.wait_until_ready(plan, contestant, port, stopped)?;
        tracing::debug!("{} listens at {}", contestant.name, server.endpoint);
        Ok(server)
    }

    /// Until it announces its endpoint, where it chooses its port itself (0), or has bound the port it was told.
    fn wait_until_ready(
        &mut self,
        plan: &Plan,
        contestant: &Contestant,
        port: u16,
        stopped: impl Fn() -> bool,
    ) -> Result<()> {
        let wanted = Port {
            number: port,
            udp: plan.udp,
        };
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if port != 0 && ports::is_bound(wanted) {
                return Ok(());
            }
            match self.news.recv_timeout(LOOK) {
                Ok(News::Line(line)) if port == 0 => {
                    if let Some(endpoint) = announced(&line) {
                        self.endpoint = endpoint;
                        return Ok(());
                    }
                }
                Ok(News::Line(_)) | Err(RecvTimeoutError::Timeout) => {}
                Ok(News::Ended) | Err(RecvTimeoutError::Disconnected) => {
                    bail!("{} {}", contestant.name, self.last_words());
                }
            }
            if stopped() {
                bail!("interrupted");
            }
            if Instant::now() >= deadline {
                let limit = sockeye::format_duration(START_LIMIT);
                bail!("{} does not listen after {limit}{}", contestant.name, self.output);
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
        self.has_exited().then(|| self.last_words())
    }

    /// Of a server that has ended: what a descendant of it that holds its outputs may yet say is not waited for long.
    fn last_words(&mut self) -> String {
        self.wait_for_news(|_| false);
        let status = self.child.wait();
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        format!("ended ({status}){}", self.output)
    }

    /// Until such news, or the last, but not for long.
    fn wait_for_news(&self, wanted: impl Fn(&News) -> bool) {
        let deadline = Instant::now() + STOP_LIMIT;
        let left = || deadline.saturating_duration_since(Instant::now());
        while self.news.recv_timeout(left()).is_ok_and(|news| !wanted(&news)) {}
    }

    /// Without waiting for it in the system's sense: as long as nobody has, its group's number is nobody else's.
    fn has_exited(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.group), options), Ok(None))
    }
}

/// Blocks until a child has ended, and leaves it to be waited for.
fn wait_for(child: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(Errno::INTR) = waitid(WaitId::Pid(child), options) {}
}

impl Drop for Server {
    fn drop(&mut self) {
        // A group that is gone needs no signal.
        let _ = kill_process_group(self.group, Signal::TERM);
        if !self.has_exited() {
            self.wait_for_news(|news| matches!(news, News::Ended));
        }
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Ends a server with its descendants when this program was killed and could not: a shell that reads from a pipe until
/// nobody holds the other end, in a group of its own. It is gone when the server is, before its number is another's.
struct Guard(Child);

impl Guard {
    fn of(group: Pid) -> std::io::Result<Self> {
        let script = "read -r _; kill -s KILL -- \"-$1\"";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sockeye-guard", &group.to_string()]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        command.spawn().map(Guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
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
struct Output(Arc<Mutex<VecDeque<String>>>);

impl Output {
    /// Reads both outputs, on threads that end with them.
    fn of(child: &mut Child, news: &Sender<News>) -> Self {
        let last = Arc::new(Mutex::new(VecDeque::new()));
        let out = child
            .stdout
            .take()
            .map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
        let err = child
            .stderr
            .take()
            .map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
        for pipe in out.into_iter().chain(err) {
            let (last, news) = (last.clone(), news.clone());
            std::thread::spawn(move || keep(pipe, &last, &news));
        }
        Output(last)
    }
}

fn keep(pipe: Box<dyn Read + Send>, last: &Mutex<VecDeque<String>>, news: &Sender<News>) {
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
        let _ = news.send(News::Line(text));
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
