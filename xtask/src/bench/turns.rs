//! Servers that stay up for a while, in which the load generator asks one after the other, for a moment each, again and again.
//!
//! The speed of a machine that others use, too, drifts within seconds by more than what is to be measured. So the turns of those
//! that are compared are short and many, and their order is turned around each time. Where in memory a server comes to stand is chance,
//! and makes it faster or slower for as long as it lives: so it is started anew now and then. And each reference stands there twice: what it
//! differs from itself is what the measurement can't tell.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::comparisons::Comparison;
use super::peers::sockeye;
use crate::options::Options;
use crate::step;

/// Turns of each server, and seconds of each.
pub(super) const ROUNDS: &str = "25";
pub(super) const SECS: &str = "0.3";
/// Turns of a server before it is started anew.
const SITTING: usize = 5;
/// What the second one of a reference is called, after its name.
pub(super) const AGAIN: &str = " again";
/// The cores of the servers and of the load generator.
const CORES: [&str; 2] = ["0", "1"];
/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(10);
/// Between two looks at whether it does.
const LOOK: Duration = Duration::from_millis(20);

/// What the load generator is told of a case.
fn load(case: &str) -> &'static [&'static str] {
    match case {
        "c64" => &["--conns", "64"],
        "c1000" => &["--conns", "1000"],
        "c64d16" => &["--conns", "64", "--depth", "16"],
        "c64x16k" => &["--conns", "64", "--size", "16384"],
        "s1d1" => &["--conns", "1", "--depth", "1"],
        "s1d32" => &["--conns", "1", "--depth", "32"],
        "s16d8" => &["--conns", "16", "--depth", "8"],
        _ => &["--conns", "1"],
    }
}

/// Seconds of a turn that aren't counted: a crowd comes in, and a thousand processes are forked, in them.
fn warmup(case: &str, model: &str) -> &'static str {
    match (case, model) {
        ("c1000", "process") => "3",
        ("c1000", _) => "0.8",
        _ => "0.05",
    }
}

/// Whether a server takes its core though nobody asks it anything: then it stands still between its turns.
fn never_rests(model: &str) -> bool {
    model == "spin"
}

/// Whether its acceptor competes with those whom it has let in, and loses: of a thousand connections hundreds would never be accepted,
/// and what is measured were a server of the others. So it goes before them, where that may be asked for.
fn accepts_late(name: &str) -> bool {
    matches!(name, "c-thread" | "c-fork")
}

/// Puts a program before all others on its core, and what it starts not.
const FIRST: [&str; 4] = ["chrt", "--rr", "--reset-on-fork", "1"];

fn may_go_first() -> bool {
    let mut chrt = step::program(FIRST[0]);
    chrt.args(&FIRST[1..]).arg("true");
    let tried = chrt.stdout(Stdio::null()).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// How a server of this name is started.
fn command(name: &str, what: &str, programs: &Path, port: u16, may_go_first: bool) -> Command {
    let name = name.strip_suffix(AGAIN).unwrap_or(name);
    let scheme = if what == "udp" { "udp" } else { "tcp" };
    let (program, words): (_, Vec<String>) = match name.strip_prefix("sockeye-") {
        Some(model) => {
            let endpoint = format!("echo@{scheme}://127.0.0.1:{port}?model={model}&workers=1");
            (sockeye(), vec!["serve".to_owned(), endpoint])
        }
        None => {
            let (program, mode): (_, &[&str]) = match name {
                "c-mmsg" => ("cserv", &["udp-mmsg"]),
                "c-plain" => ("cserv", &["udp"]),
                "tokio-ct" => ("tokio_echo", &["ct"]),
                "tokio-udp" => ("tokio_echo", &["udp"]),
                "monoio" => ("monoio_echo", &[]),
                "c-uring-16k" => ("cserv", &["uring"]),
                other => ("cserv", &[other.strip_prefix("c-").unwrap_or(other)][..]),
            };
            let more = (name == "c-uring-16k").then(|| "16384".to_owned());
            let mode = mode.iter().map(|word| (*word).to_owned());
            let words = mode.chain([port.to_string()]).chain(more).collect();
            (programs.join(program), words)
        }
    };
    let mut command = step::program("taskset");
    command.args(["-c", CORES[0]]);
    if accepts_late(name) && may_go_first {
        command.args(FIRST);
    }
    command.arg(program).args(words);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A server at work; it ends when this is dropped.
struct Server {
    name: String,
    child: Child,
    at: SocketAddr,
}

impl Server {
    fn start(name: &str, what: &str, programs: &Path, may_go_first: bool) -> Result<Self> {
        let at = free_port()?;
        let child = command(name, what, programs, at.port(), may_go_first)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let name = name.to_owned();
        let mut server = Server { name, child, at };
        let until = Instant::now() + START;
        while !answers(what, at)? {
            let ended = server.child.try_wait().context("look after it")?;
            if ended.is_some() || Instant::now() > until {
                bail!("{} doesn't answer at {at}", server.name);
            }
            sleep(LOOK);
        }
        Ok(server)
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let mut kill = step::program("kill");
        kill.args([signal, &self.child.id().to_string()]);
        let status = kill.status().context("start kill")?;
        ensure!(status.success(), "kill {signal} of {}: {status}", self.name);
        Ok(())
    }

    /// One turn; what the load generator says of it.
    fn turn(&self, what: &str, (case, model): (&str, &str), secs: &str, programs: &Path) -> Result<Value> {
        if never_rests(model) {
            self.signal("-CONT")?;
        }
        let said = self.ask(what, (case, model), secs, programs);
        if never_rests(model) {
            self.signal("-STOP")?;
        }
        said
    }

    fn ask(&self, what: &str, (case, model): (&str, &str), secs: &str, programs: &Path) -> Result<Value> {
        let mut loadgen = step::program(&programs.join("loadgen").to_string_lossy());
        loadgen.args([what, "--addr", &self.at.to_string(), "--cpu", CORES[1]]);
        loadgen.args(["--pid", &self.child.id().to_string()]);
        loadgen
            .args(["--secs", secs, "--warmup", warmup(case, model)])
            .args(load(case));
        let said = loadgen.stderr(Stdio::inherit()).output();
        let said = said.context("start the load generator")?;
        let line = String::from_utf8_lossy(&said.stdout);
        serde_json::from_str(line.trim()).with_context(|| format!("what loadgen says of {}", self.name))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

/// A port that is free, and that nobody takes in the next moments.
fn free_port() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr()?)
}

fn answers(what: &str, at: SocketAddr) -> Result<bool> {
    if what != "udp" {
        return Ok(TcpStream::connect(at).is_ok());
    }
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("open a socket")?;
    socket.set_read_timeout(Some(LOOK))?;
    let mut byte = [0];
    let asked = socket.send_to(b"?", at).and_then(|_| socket.recv(&mut byte));
    Ok(asked.is_ok())
}

/// Runs the turns; returns the lines of JSON, which are in `out`, too.
pub(super) fn measure(
    comparison: &Comparison,
    cases: &[&str],
    built: impl Fn(&str) -> bool,
    programs: &Path,
    options: &Options,
    out: &Path,
) -> Result<String> {
    let rounds: usize = options.value("--rounds").unwrap_or(ROUNDS).parse()?;
    let secs = options.value("--secs").unwrap_or(SECS);
    let mut file = File::create(out).with_context(|| format!("create {}", out.display()))?;
    let may_go_first = may_go_first();
    if !may_go_first {
        step::announce(
            "no right to real-time priorities: c-thread and c-fork may leave some of a crowd unserved",
        );
    }
    for case in cases {
        for (model, references) in &comparison.pairs {
            step::announce(&format!("{case}: {model} and {}", references.join(", ")));
            let references = references.iter().filter(|name| built(name));
            let both = references.flat_map(|name| [(*name).to_owned(), format!("{name}{AGAIN}")]);
            let names: Vec<String> = std::iter::once(format!("sockeye-{model}")).chain(both).collect();
            for first in (0..rounds).step_by(SITTING) {
                let servers = names
                    .iter()
                    .map(|name| Server::start(name, comparison.what, programs, may_go_first))
                    .collect::<Result<Vec<_>>>()?;
                if never_rests(model) {
                    servers.iter().try_for_each(|server| server.signal("-STOP"))?;
                }
                for round in first..rounds.min(first + SITTING) {
                    let mut order: Vec<&Server> = servers.iter().collect();
                    if round % 2 == 1 {
                        order.reverse();
                    }
                    for server in order {
                        let mut said = server.turn(comparison.what, (case, model), secs, programs)?;
                        said["server"] = json!(server.name);
                        said["beside"] = json!(model);
                        said["case"] = json!(case);
                        said["round"] = json!(round);
                        writeln!(file, "{said}").with_context(|| format!("write {}", out.display()))?;
                    }
                }
            }
        }
    }
    fs::read_to_string(out).with_context(|| format!("read {}", out.display()))
}
